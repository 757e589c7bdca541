//! Why something did not work with the object store.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::error::Error as _;
use std::io;

/// By what can be done about it. Messages name no credentials: requests are not part of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answers, or not in time.
    #[error("the object store can't be reached: {0}")]
    Unreachable(String),
    #[error(
        "the object store refuses: {0}; check the keys in the Secret, and what they may do with the bucket"
    )]
    Denied(String),
    #[error("there is no bucket {0}; make it, or write another in spec.storage.bucket")]
    NoBucket(String),
    /// It has a fault of its own, or too much to do.
    #[error("the object store answered {status}: {message}")]
    Busy { status: u16, message: String },
    #[error("there is no such object")]
    NotFound,
    #[error("{key} was sent with {sent} bytes and is stored with {stored:?}")]
    Incomplete {
        key: String,
        sent: u64,
        stored: Option<u64>,
    },
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("a file that is to be sent can't be read")]
    File(#[source] io::Error),
    #[error("the object store did not do what was asked: {0}")]
    Other(String),
}

impl Error {
    pub(super) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let message = || match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            _ => chain(error),
        };
        match error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Self::Unreachable(chain(error)),
            SdkError::ResponseError(_) => Self::Broken(chain(error)),
            SdkError::ServiceError(answer) => match (answer.raw().status().as_u16(), error.code()) {
                (_, Some("NoSuchBucket")) => Self::NoBucket(message()),
                (404, _) => Self::NotFound,
                (401 | 403, _) => Self::Denied(message()),
                // A range behind the object's end.
                (416, _) => Self::Broken(message()),
                (status @ (429 | 500..), _) => Self::Busy {
                    status,
                    message: message(),
                },
                _ => Self::Other(message()),
            },
            _ => Self::Other(chain(error)),
        }
    }

    /// For metric labels and conditions.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Denied(_) => "denied",
            Self::NoBucket(_) => "no_bucket",
            Self::Busy { .. } => "busy",
            Self::NotFound => "not_found",
            Self::Incomplete { .. } => "incomplete",
            Self::Broken(_) => "broken",
            Self::File(_) => "file",
            Self::Other(_) => "other",
        }
    }
}

/// The message with its causes.
fn chain<E: std::error::Error + 'static>(error: &SdkError<E>) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
