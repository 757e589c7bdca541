//! Amounts of bytes in a spec: `500Gi`, `1500M`. Amounts of processor time and memory for pods are passed on unread and
//! are plain strings.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

use super::ParseError;
use crate::rule::rules;

const WANT: &str = "a size: write a whole number of bytes with one of the units k, M, G, T, P, Ki, Mi, Gi, Ti or Pi, such as 500Gi";

const UNITS: [(&str, u64); 11] = [
    ("", 1),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
];

/// A positive amount of bytes, written again as it was read.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(
    with = "String",
    extend("maxLength" = 16),
    extend("x-kubernetes-validations" = rules(&[(
        "self.matches('^[1-9][0-9]{0,8}(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$')",
        "not a size: write a whole number of bytes with one of the units k, M, G, T, P, Ki, Mi, Gi, Ti or Pi, such as 500Gi",
    )])),
)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

impl Quantity {
    /// So many times 2^30 bytes.
    pub fn gibibytes(number: u32) -> Self {
        Self {
            text: format!("{number}Gi"),
            bytes: u64::from(number) << 30,
        }
    }

    /// The amount, in bytes; the largest that fits if it is more.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// As it was written, which Kubernetes reads as a quantity too.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, WANT);
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if digits == 0 || digits > 9 || number.starts_with('0') {
            return Err(wrong());
        }
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        Ok(Self {
            text: text.into(),
            bytes: number.saturating_mul(*factor),
        })
    }
}

/// Equal when equally many bytes, however written.
impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Quantity {}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_refused() {
        for (text, bytes) in [("1", 1), ("500Gi", 500 << 30), ("20M", 20_000_000), ("1k", 1_000)] {
            assert_eq!(text.parse::<Quantity>().expect("a size").bytes(), bytes, "{text}");
        }
        assert_eq!(
            "999999999Pi".parse::<Quantity>().expect("a size").bytes(),
            u64::MAX
        );
        for text in ["", "0", "-1", "1.5Gi", "5GB", "5 Gi", "Gi", "1000000000", "1K"] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
    }
}
