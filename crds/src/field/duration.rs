//! Lengths of time in a spec: `30s`, `5m`, `1h30m`, `30d`. Points in time and times of day are in `calendar`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

use super::ParseError;
use crate::rule::rules;

const WANT: &str = "a duration: write numbers with the units d, h, m and s in that order, more than zero, such as 30s, 5m, 1h30m or 30d";

/// A positive length of time, in whole seconds. It is written again as it was read, so that applying a manifest twice
/// is no diff.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(
    with = "String",
    extend("maxLength" = 32),
    extend("x-kubernetes-validations" = rules(&[(
        "self.matches('^([0-9]{1,6}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && self.matches('[1-9]')",
        "not a duration: write numbers with the units d, h, m and s in that order, more than zero, such as 30s, 5m, 1h30m or 30d",
    )])),
)]
pub struct Duration {
    text: String,
    value: std::time::Duration,
}

impl Duration {
    /// So many seconds, written in the largest units that fit. Zero becomes one second, as the schema has no zero.
    pub fn from_secs(seconds: u64) -> Self {
        let seconds = seconds.max(1);
        let mut rest = seconds;
        let mut text = String::new();
        for (unit, letter) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
            if rest >= unit {
                text.push_str(&(rest / unit).to_string());
                text.push(letter);
                rest %= unit;
            }
        }
        Self {
            text,
            value: std::time::Duration::from_secs(seconds),
        }
    }

    /// The length of time.
    pub fn get(&self) -> std::time::Duration {
        self.value
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Duration {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, WANT);
        let mut rest = text;
        let mut seconds = 0_u64;
        for (unit, letter) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                break;
            }
            if !rest[digits..].starts_with(letter) {
                continue;
            }
            if digits > 6 {
                return Err(wrong());
            }
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            seconds += number * unit;
            rest = &rest[digits + 1..];
        }
        if !rest.is_empty() || seconds == 0 {
            return Err(wrong());
        }
        Ok(Self {
            text: text.into(),
            value: std::time::Duration::from_secs(seconds),
        })
    }
}

/// Equal when equally long, however written.
impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Duration {}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
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
    fn read_and_written() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("1h30m", 5_400),
            ("30d", 2_592_000),
            ("0d1s", 1),
            ("90m", 5_400),
        ] {
            let d: Duration = text.parse().expect("a duration");
            assert_eq!(d.get().as_secs(), seconds, "{text}");
            assert_eq!(d.as_str(), text);
        }
        assert_eq!(Duration::from_secs(93_784).as_str(), "1d2h3m4s");
        assert_eq!(Duration::from_secs(300).as_str(), "5m");
        assert_eq!(Duration::from_secs(0).as_str(), "1s");
    }

    #[test]
    fn refused() {
        for text in [
            "", "0s", "5", "m", "5 m", "-5m", "5m1h", "1.5h", "5ms", "1h1h", "1234567s", "5M", "٣s",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }
}
