//! Days, dates, times of day and time zones in a spec. Which window is open at an instant is the schedule's evaluation,
//! which is the node's.

use k8s_openapi::jiff::civil;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

use super::ParseError;
use crate::rule::rules;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // the names say it
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl From<Day> for civil::Weekday {
    fn from(day: Day) -> Self {
        match day {
            Day::Mon => Self::Monday,
            Day::Tue => Self::Tuesday,
            Day::Wed => Self::Wednesday,
            Day::Thu => Self::Thursday,
            Day::Fri => Self::Friday,
            Day::Sat => Self::Saturday,
            Day::Sun => Self::Sunday,
        }
    }
}

/// A local time of day, `HH:MM:SS`, from `00:00:00` to `24:00:00`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    extend("maxLength" = 8),
    extend("x-kubernetes-validations" = rules(&[(
        "self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]|24:00:00)$')",
        "not a time of day: write HH:MM:SS from 00:00:00 to 24:00:00, such as 08:00:00",
    )])),
)]
pub struct TimeOfDay(String);

impl TimeOfDay {
    /// The text `HH:MM:SS`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Seconds since midnight on the clock on the wall, 0..=86400.
    ///
    /// # Errors
    /// The text is no time of day; the API server refuses such.
    pub fn seconds(&self) -> Result<u32, ParseError> {
        let wrong = || ParseError::new(&self.0, "a time of day: write HH:MM:SS, such as 08:00:00");
        let number = |at: usize| -> Option<u32> {
            let digits = self.0.get(at..at + 2)?;
            digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        if self.0.len() != 8 || self.0.as_bytes()[2] != b':' || self.0.as_bytes()[5] != b':' {
            return Err(wrong());
        }
        match (number(0), number(3), number(6)) {
            (Some(24), Some(0), Some(0)) => Ok(86_400),
            (Some(h @ 0..24), Some(m @ 0..60), Some(s @ 0..60)) => Ok(h * 3_600 + m * 60 + s),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A date of the Gregorian calendar, `YYYY-MM-DD`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    extend("maxLength" = 10),
    extend("x-kubernetes-validations" = rules(&[(
        "self.matches('^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$')",
        "not a date: write YYYY-MM-DD, such as 2026-12-25",
    )])),
)]
pub struct Date(String);

impl Date {
    /// The text `YYYY-MM-DD`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The date.
    ///
    /// # Errors
    /// There is no such date: the schema lets the 31st of a short month pass.
    pub fn get(&self) -> Result<civil::Date, ParseError> {
        self.0.parse().map_err(|_| {
            ParseError::new(
                &self.0,
                "a date of the calendar: write YYYY-MM-DD, such as 2026-12-25",
            )
        })
    }
}

/// The name of a time zone in the IANA database. The schema checks its form alone, as the API server's database may be of
/// another year; who evaluates it says in a condition if it does not know the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    extend("maxLength" = 64),
    extend("x-kubernetes-validations" = rules(&[(
        "self == 'UTC' || self.matches('^[A-Z][A-Za-z_]+(/[A-Z][A-Za-z0-9_+-]+){1,2}$')",
        "not a time zone: write its name in the IANA database, such as Asia/Shanghai, Europe/Berlin or UTC",
    )])),
)]
pub struct TimeZone(String);

impl TimeZone {
    /// The zone of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self("UTC".into())
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        for (text, seconds) in [
            ("00:00:00", 0),
            ("08:30:05", 30_605),
            ("23:59:59", 86_399),
            ("24:00:00", 86_400),
        ] {
            assert_eq!(TimeOfDay::new(text).seconds(), Ok(seconds), "{text}");
        }
        for text in [
            "", "8:00:00", "24:00:01", "12:60:00", "+1:00:00", "08-00-00", "08:00", "é8:00:0",
        ] {
            assert!(TimeOfDay::new(text).seconds().is_err(), "{text:?}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(Date::new("2028-02-29").get(), Ok(civil::date(2028, 2, 29)));
        assert!(Date::new("2026-02-29").get().is_err());
    }
}
