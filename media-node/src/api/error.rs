//! Replies that are not a plain success: the one place where HTTP statuses are chosen.
//!
//! Texts in Chinese are those that the ipchub documents and clients know.

use crate::auth::{Denied, LoginError};
use crate::store::sql;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// What an API answers instead of what it was asked for: a line of text, never JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// No token, or one that opens nothing.
    InvalidToken,
    /// For administrators only.
    AdministratorsOnly,
    /// A login without a name and password in it.
    NoCredentials,
    WrongCredentials,
    TooManyFailures(Duration),
    NotFound,
    /// The request's body is longer than any that we take.
    BodyTooLarge,
    /// The request was not done in time.
    TimedOut,
    /// What is needed to answer is away or overloaded, and may be back soon.
    Unavailable(&'static str),
    /// The request can't be meant; says what to write.
    BadRequest(String),
    /// The documented API tells wrong input and failures alike so, with the reason.
    Failed(String),
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unidentified => Self::InvalidToken,
            Denied::Forbidden => Self::AdministratorsOnly,
            Denied::Throttled(wait) => Self::TooManyFailures(wait),
            Denied::Unavailable => Self::Unavailable("the account store is away"),
        }
    }
}

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::WrongCredentials,
            LoginError::Throttled { retry_in } => Self::TooManyFailures(retry_in),
            LoginError::Busy => Self::Unavailable("too many logins at once"),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        tracing::warn!(error = %error.chain(), "the account store failed");
        Self::Unavailable("the account store is away")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "Token is not valid"),
            Self::AdministratorsOnly => (StatusCode::FORBIDDEN, "访问被拒绝，请用管理员登录"),
            Self::NoCredentials => (StatusCode::FORBIDDEN, "未提供用户名或密码"),
            Self::WrongCredentials => (StatusCode::FORBIDDEN, "用户名或密码错误"),
            Self::TooManyFailures(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong passwords, try again later",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "404 page not found"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large"),
            Self::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "the request took too long"),
            Self::Unavailable(reason) => (StatusCode::SERVICE_UNAVAILABLE, *reason),
            Self::BadRequest(reason) => (StatusCode::BAD_REQUEST, reason.as_str()),
            Self::Failed(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason.as_str()),
        };
        let retry = match self {
            Self::TooManyFailures(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            Self::Unavailable(_) => Some(1),
            _ => None,
        };
        let mut response = (status, TEXT, format!("{text}\n")).into_response();
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Headers of a plain text that no browser should take for anything else.
const TEXT: [(HeaderName, HeaderValue); 2] = [
    (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

/// Probes: what passes and what does not, one check a line.
pub(super) fn readiness(ready: bool, checks: String) -> Response {
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, TEXT, checks).into_response()
}

/// The cloud recorder's interfaces answer everything else by a success and a code.
pub(super) fn recorder_unavailable(mut answer: Response) -> Response {
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer.headers_mut().insert(header::RETRY_AFTER, 1.into());
    answer
}

pub(super) fn recorder_unknown(mut answer: Response) -> Response {
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

pub(super) fn recorder_wrong_method(mut answer: Response) -> Response {
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let allowed = HeaderValue::from_static("GET, HEAD");
    answer.headers_mut().insert(header::ALLOW, allowed);
    answer
}

/// A part of a file, RFC 9110 section 15.3.7.
pub(super) fn partial(mut answer: Response) -> Response {
    *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    answer
}

/// No such part, section 15.5.17.
pub(super) fn no_such_range() -> Response {
    StatusCode::RANGE_NOT_SATISFIABLE.into_response()
}

/// The client has this version already.
pub(super) fn not_modified() -> Response {
    StatusCode::NOT_MODIFIED.into_response()
}

/// The answer to a browser that asks what it may send to another origin.
pub(super) fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Content-Type"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}
