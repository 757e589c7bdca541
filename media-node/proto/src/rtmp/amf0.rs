//! AMF 0 (Adobe's Action Message Format, version 0), as commands and metadata use it.
//!
//! ```text
//! 0  number         f64                          9  object end      after an empty name
//! 1  boolean        u8                          10  strict array    count u32, values
//! 2  string         length u16, UTF-8           11  date            f64 ms since 1970, time zone i16
//! 3  object         properties, 0 u16, 9        12  long string     length u32, UTF-8
//! 5  null                                       13  unsupported
//! 6  undefined                                  15  XML document    length u32, UTF-8
//! 7  reference      index u16                   16  typed object    name, properties, 0 u16, 9
//! 8  ECMA array     count u32, as an object     17  AMF 3 follows
//! property          name: length u16, UTF-8; value
//! ```
//! AMF 3 is not read: we tell clients that we speak AMF 0, and they do.

mod parse;
mod write;

pub use parse::parse;

/// Bytes that hold values.
pub const MAX_BYTES: usize = 64 << 10;
/// Values inside each other.
pub const MAX_DEPTH: usize = 16;
/// Values altogether, those inside others included.
pub const MAX_VALUES: usize = 4096;

/// One value. What a peer sends in strings may be secret: log no value of which you don't know
/// what it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    Object(Properties),
    Null,
    Undefined,
    /// To an object before this one, by its number. Nobody sends them; they are not followed.
    Reference(u16),
    EcmaArray(Properties),
    StrictArray(Vec<Self>),
    Date {
        /// Since 1970, in UTC.
        ms: f64,
        /// Reserved, and 0.
        time_zone: i16,
    },
    Unsupported,
    Xml(String),
    TypedObject {
        class: String,
        properties: Properties,
    },
}

/// In the order sent; names may come twice.
pub type Properties = Vec<(String, Value)>;

/// Why bytes can't be read as values; the sender's doing. Offsets count from the first value's
/// first byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("byte {offset}: the value is cut short")]
    Truncated { offset: usize },
    #[error("byte {offset}: no value begins with {marker}")]
    Marker { offset: usize, marker: u8 },
    #[error("byte {offset}: AMF 3, which is not read")]
    Amf3 { offset: usize },
    #[error("{bytes} bytes of values, {MAX_BYTES} are taken")]
    TooLong { bytes: usize },
    #[error("byte {offset}: more than {MAX_DEPTH} values inside each other")]
    TooDeep { offset: usize },
    #[error("byte {offset}: more than {MAX_VALUES} values")]
    TooMany { offset: usize },
}

impl Value {
    /// An object of ours.
    pub fn object<const N: usize>(properties: [(&str, Self); N]) -> Self {
        Self::Object(properties.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The properties of an object of any kind.
    pub fn properties(&self) -> Option<&Properties> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) | Self::TypedObject { properties, .. } => {
                Some(properties)
            }
            _ => None,
        }
    }

    /// The first property of this name.
    pub fn property(&self, name: &str) -> Option<&Self> {
        let found = self.properties()?.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub const fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

#[cfg(test)]
mod tests;
