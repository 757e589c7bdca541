//! From a session's timestamps to the time of day.

use std::time::{SystemTime, UNIX_EPOCH};
use weir_proto::media::Timestamp;

/// Maps timestamps to wall-clock time, by the earliest arrival.
#[derive(Default)]
pub(super) struct WallClock {
    origin_micros: Option<i64>,
}

impl WallClock {
    pub(super) fn note(&mut self, dts: Timestamp) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let origin = now.as_micros() as i64 - dts.as_micros();
        self.origin_micros = Some(self.origin_micros.map_or(origin, |known| known.min(origin)));
    }

    pub(super) fn millis(&self, at: Timestamp) -> Option<i64> {
        self.origin_micros.map(|origin| (origin + at.as_micros()) / 1000)
    }
}
