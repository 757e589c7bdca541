//! Local times in the installation's time zone.

use super::super::Api;
use weir_crds::jiff::tz::TimeZone;
use weir_crds::jiff::{Timestamp, Zoned};

/// Where nobody has named another.
const DEFAULT: &str = "Asia/Shanghai";
/// Seconds of the last second of a day.
pub(super) const LAST_SECOND: i64 = 86_399;

/// The installation's time zone.
pub(super) struct Calendar {
    name: String,
    zone: TimeZone,
}

impl Calendar {
    pub(super) fn of(api: &Api) -> Self {
        let recorder = &api.recorder;
        let named = recorder.settings.time_zone.clone();
        let name = named.or_else(|| recorder.nodes.time_zone());
        Self::named(name.unwrap_or_else(|| DEFAULT.to_owned()))
    }

    fn named(name: String) -> Self {
        match TimeZone::get(&name) {
            Ok(zone) => Self { name, zone },
            Err(error) => {
                tracing::warn!(name, %error, "the time zone is unknown: name one of the IANA database, such as Asia/Shanghai");
                Self {
                    name: "UTC".to_owned(),
                    zone: TimeZone::UTC,
                }
            }
        }
    }

    /// In the IANA database.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// `YYYY-MM-DD HH:MM:SS` of Unix seconds.
    pub(super) fn text(&self, seconds: i64) -> String {
        self.at(seconds).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// `YYYY-MM-DD`.
    pub(super) fn date(&self, seconds: i64) -> String {
        self.at(seconds).strftime("%Y-%m-%d").to_string()
    }

    /// `YYYYMMDD`.
    pub(super) fn day(&self, seconds: i64) -> String {
        self.at(seconds).strftime("%Y%m%d").to_string()
    }

    fn at(&self, seconds: i64) -> Zoned {
        let at = Timestamp::from_second(seconds).unwrap_or_default();
        at.to_zoned(self.zone.clone())
    }
}

/// Seconds after midnight of `HH:MM:SS`, two digits each.
pub(super) fn time_of_day(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let is_form = bytes.len() == 8
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            _ => byte.is_ascii_digit(),
        });
    if !is_form {
        return None;
    }
    let number = |at: usize| i64::from(bytes[at] - b'0') * 10 + i64::from(bytes[at + 1] - b'0');
    let (hours, minutes, seconds) = (number(0), number(3), number(6));
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

/// `HH:MM:SS` of seconds after midnight.
pub(super) fn clock(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

#[cfg(test)]
mod tests {
    use super::{Calendar, clock, time_of_day};

    #[test]
    fn times_of_day() {
        for (text, seconds) in [
            ("00:00:00", Some(0)),
            ("09:05:07", Some(32_707)),
            ("23:59:59", Some(86_399)),
        ] {
            assert_eq!(time_of_day(text), seconds);
            assert_eq!(seconds.map(clock).as_deref(), Some(text));
        }
        for wrong in [
            "9:00:00",
            "24:00:00",
            "09:60:00",
            "09:00:60",
            "09:00",
            "",
            "09-00-00",
            "０9:00:0",
            "+9:00:00",
        ] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_local() {
        let shanghai = Calendar::named("Asia/Shanghai".into());
        assert_eq!(shanghai.text(1_767_603_600), "2026-01-05 17:00:00");
        assert_eq!(
            (shanghai.date(1_767_603_600), shanghai.day(1_767_603_600)),
            ("2026-01-05".into(), "20260105".into())
        );
        assert_eq!(Calendar::named("Nowhere".into()).text(0), "1970-01-01 00:00:00");
    }
}
