//! What objects are called in the bucket.
//!
//! ```text
//! segments/<camera uid>/<yyyy>/<mm>/<dd>/<start ms>-<epoch>-<session>-<seq>.mp4
//! snapshots/<camera uid>/<yyyy>/<mm>/<dd>/<ms>.jpg
//! snapshots/<camera uid>/<yyyy>/<mm>/<dd>/<ms>-<recording>.jpg
//! snapshots/<camera uid>/live/<ms>.jpg
//! ```
//! Dates are UTC, of the start. The session is 16 digits of hexadecimal. Sorted by key is sorted by time, for the milliseconds
//! have 13 digits until 2286.

use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;

const SEGMENTS: &str = "segments";
const SNAPSHOTS: &str = "snapshots";
/// Longest id of a camera.
const MOST_UID: usize = 64;

/// Names a segment: two that are written differ in it, whoever writes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentKey {
    /// `metadata.uid` of the Camera: letters, digits and `-`.
    pub camera_uid: String,
    /// Milliseconds since 1970 when its first picture is shown.
    pub start_ms: i64,
    /// That of the camera's placement.
    pub epoch: u64,
    /// Identifies the ingest session.
    pub session: u64,
    /// Counts the segments of a recorder.
    pub sequence: u32,
}

/// Why a text names no segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no segment: {what}")]
pub struct KeyError {
    text: String,
    what: &'static str,
}

impl SegmentKey {
    /// The last part of the key.
    pub fn file_name(&self) -> String {
        format!(
            "{}-{}-{:016x}-{}.mp4",
            self.start_ms, self.epoch, self.session, self.sequence
        )
    }

    /// From the camera's id and the last part of the key.
    ///
    /// # Errors
    /// When either is not as this module writes it.
    pub fn of_file(camera_uid: &str, name: &str) -> Result<Self, KeyError> {
        let error = |what| KeyError {
            text: name.to_owned(),
            what,
        };
        if !is_uid(camera_uid) {
            return Err(error(
                "the camera's id has other characters than letters, digits and '-'",
            ));
        }
        let stem = name.strip_suffix(".mp4").ok_or(error("it doesn't end in .mp4"))?;
        let mut parts = stem.split('-');
        let mut next = || parts.next().ok_or(error("it hasn't four parts"));
        let (start, epoch, session, sequence) = (next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(error("it has more than four parts"));
        }
        if session.len() != 16 {
            return Err(error("the session hasn't 16 digits"));
        }
        let key = Self {
            camera_uid: camera_uid.to_owned(),
            start_ms: start.parse().map_err(|_| error("the start is no number"))?,
            epoch: epoch.parse().map_err(|_| error("the epoch is no number"))?,
            session: u64::from_str_radix(session, 16).map_err(|_| error("the session is no number"))?,
            sequence: sequence.parse().map_err(|_| error("the sequence is no number"))?,
        };
        // "+1", "007" and "AB" are numbers too, and other names.
        if key.file_name() != name {
            return Err(error("a number in it is not in its plain form"));
        }
        Ok(key)
    }

    /// What the keys of a camera's segments begin with.
    pub fn camera_prefix(camera_uid: &str) -> String {
        format!("{SEGMENTS}/{camera_uid}/")
    }
}

/// What the keys of all segments begin with.
pub const ALL_SEGMENTS: &str = "segments/";

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = day(self.start_ms);
        write!(f, "{SEGMENTS}/{}/{day}/{}", self.camera_uid, self.file_name())
    }
}

impl FromStr for SegmentKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = |what| KeyError {
            text: text.to_owned(),
            what,
        };
        let rest = text
            .strip_prefix(ALL_SEGMENTS)
            .ok_or(error("it doesn't begin with segments/"))?;
        let (uid, rest) = rest.split_once('/').ok_or(error("it has too few parts"))?;
        let (_, name) = rest.rsplit_once('/').ok_or(error("it has too few parts"))?;
        let key = Self::of_file(uid, name)?;
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(error("its date is not that of its start"))
        }
    }
}

/// The key of a picture of a camera.
pub fn snapshot_key(camera_uid: &str, at_ms: i64) -> String {
    format!("{SNAPSHOTS}/{camera_uid}/{}/{at_ms}.jpg", day(at_ms))
}

/// The key of a recording's picture. `recording` is letters and digits.
pub fn recording_snapshot_key(camera_uid: &str, at_ms: i64, recording: &str) -> String {
    format!("{SNAPSHOTS}/{camera_uid}/{}/{at_ms}-{recording}.jpg", day(at_ms))
}

/// The key of the one picture that shows what a camera shows now: the next takes its place.
pub fn live_snapshot_key(camera_uid: &str, at_ms: i64) -> String {
    format!("{SNAPSHOTS}/{camera_uid}/live/{at_ms}.jpg")
}

/// What the keys of a camera's pictures begin with.
pub fn snapshot_prefix(camera_uid: &str) -> String {
    format!("{SNAPSHOTS}/{camera_uid}/")
}

/// When the picture of that key was taken, in milliseconds since 1970; none of a key that is not a picture's, or of one that
/// lasts until the next is there.
pub fn snapshot_time(key: &str) -> Option<i64> {
    let (uid, rest) = key.strip_prefix(SNAPSHOTS)?.strip_prefix('/')?.split_once('/')?;
    let name = rest.rsplit_once('/')?.1.strip_suffix(".jpg")?;
    let (at_ms, same) = match name.split_once('-') {
        Some((at_ms, recording)) if is_uid(recording) => {
            let at_ms = at_ms.parse().ok()?;
            (at_ms, recording_snapshot_key(uid, at_ms, recording))
        }
        _ => {
            let at_ms = name.parse().ok()?;
            (at_ms, snapshot_key(uid, at_ms))
        }
    };
    (is_uid(uid) && same == key).then_some(at_ms)
}

/// Whether a key is what those of a camera's pictures begin with.
pub fn is_snapshot_prefix(key: &str) -> bool {
    let uid = key
        .strip_prefix(SNAPSHOTS)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.strip_suffix('/'));
    uid.is_some_and(is_uid)
}

fn is_uid(text: &str) -> bool {
    (1..=MOST_UID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// `yyyy/mm/dd`, UTC.
fn day(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX });
    at.strftime("%Y/%m/%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SegmentKey {
        SegmentKey {
            camera_uid: "8c9d5e1a-7b1c-4d7e-9a57-0123456789ab".to_owned(),
            start_ms: 1_767_603_600_123,
            epoch: 7,
            session: 0xabc,
            sequence: 12,
        }
    }

    #[test]
    fn there_and_back() {
        let text = key().to_string();
        assert_eq!(
            text,
            "segments/8c9d5e1a-7b1c-4d7e-9a57-0123456789ab/2026/01/05/1767603600123-7-0000000000000abc-12.mp4"
        );
        assert_eq!(text.parse(), Ok(key()));
        assert!(text.starts_with(&SegmentKey::camera_prefix(&key().camera_uid)));
    }

    #[test]
    fn what_is_not_written_so_is_refused() {
        for (text, what) in [
            ("", "begin with segments"),
            ("segments/a", "too few"),
            ("segments/a/b.mp4", "too few"),
            ("segments/a/1970/01/01/0-0-0000000000000000-0", ".mp4"),
            ("segments/a/1970/01/01/0-0-0000000000000000.mp4", "four parts"),
            (
                "segments/a/1970/01/01/0-0-0000000000000000-0-0.mp4",
                "more than four",
            ),
            ("segments/a/1970/01/01/0-0-0-0.mp4", "16 digits"),
            ("segments/a/1970/01/01/x-0-0000000000000000-0.mp4", "start"),
            ("segments/a/1970/01/01/0-0-000000000000000G-0.mp4", "session"),
            ("segments/a/1970/01/01/0-+1-0000000000000000-0.mp4", "plain form"),
            ("segments/a/1970/01/01/00-0-0000000000000000-0.mp4", "plain form"),
            ("segments/a/1970/01/01/0-0-000000000000000A-0.mp4", "plain form"),
            ("segments/a/1970/01/02/0-0-0000000000000000-0.mp4", "date"),
            ("segments/../1970/01/01/0-0-0000000000000000-0.mp4", "id"),
            ("segments//1970/01/01/0-0-0000000000000000-0.mp4", "id"),
        ] {
            let error = text.parse::<SegmentKey>().expect_err(text).to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
        assert!(
            "segments/a/1970/01/01/0-0-0000000000000000-0.mp4"
                .parse::<SegmentKey>()
                .is_ok()
        );
    }

    #[test]
    fn the_ends_of_time_have_names() {
        for ms in [i64::MIN, -1, i64::MAX] {
            let key = SegmentKey {
                start_ms: ms,
                ..key()
            };
            assert!(key.to_string().starts_with("segments/"));
        }
        assert_eq!(snapshot_key("a", 0), "snapshots/a/1970/01/01/0.jpg");
        assert_eq!(
            snapshot_time(&snapshot_key("a", 1_767_603_600_123)),
            Some(1_767_603_600_123)
        );
        assert!(snapshot_key("a", 0).starts_with(&snapshot_prefix("a")));
        let of_recording = recording_snapshot_key("a", 1_767_603_600_123, "5f1c");
        assert_eq!(of_recording, "snapshots/a/2026/01/05/1767603600123-5f1c.jpg");
        assert_eq!(snapshot_time(&of_recording), Some(1_767_603_600_123));
        assert_eq!(live_snapshot_key("a", 7), "snapshots/a/live/7.jpg");
        assert!(is_snapshot_prefix(&snapshot_prefix("a")));
        for other in [
            "",
            "snapshots/",
            "snapshots//",
            "snapshots/a",
            "snapshots/a/b/",
            "segments/a/",
        ] {
            assert!(!is_snapshot_prefix(other), "{other}");
        }
        for other in [
            "snapshots/a/live/7.jpg",
            "snapshots/a/1970/01/01/0-.jpg",
            "snapshots/a/1970/01/02/0-b.jpg",
            "snapshots/a/1970/01/02/0.jpg",
            "snapshots/a/0.jpg",
            "segments/a/1970/01/01/0.jpg",
            "snapshots/a/b.jpg",
        ] {
            assert_eq!(snapshot_time(other), None, "{other}");
        }
    }
}
