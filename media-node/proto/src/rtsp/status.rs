//! Status codes (RFC 2326 section 7.1.1), those that we send.

/// A status code with its usual reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Ok,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    ParameterNotUnderstood,
    NotEnoughBandwidth,
    MethodNotValidInThisState,
    UnsupportedTransport,
    InternalServerError,
    ServiceUnavailable,
}

impl Status {
    pub const fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::ParameterNotUnderstood => 451,
            Self::NotEnoughBandwidth => 453,
            Self::MethodNotValidInThisState => 455,
            Self::UnsupportedTransport => 461,
            Self::InternalServerError => 500,
            Self::ServiceUnavailable => 503,
        }
    }

    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::ParameterNotUnderstood => "Parameter Not Understood",
            Self::NotEnoughBandwidth => "Not Enough Bandwidth",
            Self::MethodNotValidInThisState => "Method Not Valid In This State",
            Self::UnsupportedTransport => "Unsupported Transport",
            Self::InternalServerError => "Internal Server Error",
            Self::ServiceUnavailable => "Service Unavailable",
        }
    }
}
