//! What can go wrong on the way to the API server. Every error says what was being done and falls into one of few
//! categories, which are the label of a metric and decide how it is met. What people read of it stands in a condition.

use std::time::Duration;

/// Something that the operator wanted to do did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused, or was not reached.
    #[error("{doing}")]
    Kube {
        /// What was being done, as in `apply Service media-node`.
        doing: String,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{doing}: no answer for {}s", after.as_secs())]
    Timeout {
        /// What was being done.
        doing: String,
        /// The time that it had.
        after: Duration,
    },
    /// An object of ours has no JSON form: a bug.
    #[error("{doing}")]
    Json {
        /// What was being done.
        doing: String,
        /// What the serializer says.
        #[source]
        source: serde_json::Error,
    },
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// Somebody else changed the object meanwhile. The next plan sees it.
    Conflict,
    /// The object is gone.
    NotFound,
    /// The operator's role does not allow it: somebody has to change that.
    Forbidden,
    /// The API server does not take the object: somebody has to change the spec, or it is a bug.
    Invalid,
    /// The API server asks for patience.
    Throttled,
    /// The API server is not there, not well, or not in time.
    Unavailable,
    /// None of these.
    Internal,
}

impl Category {
    /// As the label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Invalid => "invalid",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether trying again helps only after somebody has changed something.
    pub fn wants_a_person(self) -> bool {
        matches!(self, Self::Forbidden | Self::Invalid)
    }

    /// Whether it is part of ordinary work, not worth a warning.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Conflict | Self::NotFound)
    }
}

impl Error {
    pub(crate) fn kube(doing: impl Into<String>, source: kube::Error) -> Self {
        Self::Kube {
            doing: doing.into(),
            source: Box::new(source),
        }
    }

    /// What kind of failure it is.
    pub fn category(&self) -> Category {
        let source = match self {
            Self::Kube { source, .. } => source,
            Self::Timeout { .. } => return Category::Unavailable,
            Self::Json { .. } => return Category::Internal,
        };
        match source.as_ref() {
            kube::Error::Api(status) => match status.code {
                404 => Category::NotFound,
                409 => Category::Conflict,
                401 | 403 => Category::Forbidden,
                400 | 405 | 415 | 422 => Category::Invalid,
                429 => Category::Throttled,
                _ => Category::Unavailable,
            },
            kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
                Category::Unavailable
            }
            _ => Category::Internal,
        }
    }

    /// Whether the API server is away or overloaded, so that the next request would fare no better, whatever it is about. Status
    /// 500 may be about one object: a webhook of its kind that is away.
    pub fn is_of_the_server(&self) -> bool {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => matches!(status.code, 429 | 503 | 504),
                _ => self.category() == Category::Unavailable,
            },
            Self::Timeout { .. } => true,
            Self::Json { .. } => false,
        }
    }

    /// The error and all its causes in one line, at most so long that it fits a condition.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        if let Self::Kube { source, .. } = self
            && let kube::Error::Api(status) = source.as_ref()
        {
            // The client's own text has the whole status in it, twice.
            text = format!("{text}: {}", status.message);
        } else {
            let mut source = std::error::Error::source(self);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
        }
        text.chars().take(1024).collect()
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api(code: u16) -> Error {
        let status = Status::failure("no such thing", "Reason").with_code(code);
        Error::kube("apply Service media-node", kube::Error::Api(status.boxed()))
    }

    #[test]
    fn categories() {
        for (code, category) in [
            (409, Category::Conflict),
            (404, Category::NotFound),
            (403, Category::Forbidden),
            (422, Category::Invalid),
            (429, Category::Throttled),
            (500, Category::Unavailable),
            (503, Category::Unavailable),
        ] {
            assert_eq!(api(code).category(), category, "{code}");
        }
        let timeout = Error::Timeout {
            doing: "x".into(),
            after: Duration::from_secs(1),
        };
        assert_eq!(timeout.category(), Category::Unavailable);
        assert!(timeout.is_of_the_server() && api(429).is_of_the_server() && api(503).is_of_the_server());
        assert!(!api(500).is_of_the_server() && !api(403).is_of_the_server());
    }

    #[test]
    fn the_chain_is_one_line_for_people() {
        assert_eq!(api(422).chain(), "apply Service media-node: no such thing");
    }
}
