//! From how it stands with a camera's recording to what its status says. Pure.

use crate::record::{Backlog, CameraState};
use std::time::Duration;
use weir_crds::condition::{self, Condition, kind, reason};
use weir_crds::jiff::Timestamp;
use weir_crds::{CameraStatus, Time};

/// When the last segment ended is told this often: a status holds what changes rarely.
const TOLD_EVERY: Duration = Duration::from_mins(5);
/// Footage that waits longer for the object store is at risk.
pub(super) const AT_RISK: Duration = Duration::from_mins(5);

/// What a camera's status says of its recording.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recorded {
    recording: (bool, &'static str, String),
    /// None before anything was recorded here.
    uploaded: Option<(bool, &'static str, String)>,
    last_segment_time: Option<Time>,
    now: Timestamp,
}

impl Recorded {
    /// `told` is what the status says of the last segment so far; `is_live`, whether the camera has media.
    pub(super) fn of(
        state: &CameraState,
        backlog: &Backlog,
        is_live: bool,
        told: Option<&Time>,
        now: Timestamp,
    ) -> Self {
        // A picture that is missing is no footage that is missing.
        let but = state.snapshots.as_ref().map_or(String::new(), |trouble| {
            format!("recorded, but no snapshots are taken: {}", trouble.message)
        });
        let recording = match (&state.trouble, state.writing_since_ms) {
            (Some(trouble), _) => (false, reason::SPOOL_FULL, trouble.message.clone()),
            (None, Some(_)) => (true, reason::SCHEDULED, but),
            (None, None) if state.wanted && !is_live => (
                false,
                reason::NO_DATA,
                "a schedule wants it recorded, and it sends nothing".to_owned(),
            ),
            (None, None) if state.wanted => (true, reason::SCHEDULED, but),
            (None, None) => (false, reason::OUTSIDE_WINDOWS, String::new()),
        };
        let behind = state.last_whole_ms.is_some() && state.last_whole_ms > state.last_stored_ms;
        let waits = backlog.waits(now.as_millisecond());
        let uploaded = state.last_whole_ms.map(|_| match &backlog.trouble {
            Some(trouble) if behind => (false, reason::STORE_UNAVAILABLE, trouble.message.clone()),
            None if behind && waits > AT_RISK => (
                false,
                reason::PROGRESSING,
                "the object store takes it more slowly than it is recorded".to_owned(),
            ),
            _ => (true, reason::OK, String::new()),
        });
        let last = state.last_stored_ms.max(state.last_whole_ms);
        let last = last.and_then(|ms| Timestamp::from_millisecond(ms / 1000 * 1000).ok());
        let last_segment_time = match (last, told) {
            (Some(last), Some(told)) if last.duration_since(told.0).unsigned_abs() < TOLD_EVERY => {
                Some(told.clone())
            }
            (Some(last), _) => Some(Time(last)),
            (None, told) => told.cloned(),
        };
        Self {
            recording,
            uploaded,
            last_segment_time,
            now,
        }
    }

    /// Says it in a status. Times of conditions that stay are those in `before`.
    pub(super) fn add_to(&self, status: &mut CameraStatus, before: &[Condition]) {
        status.last_segment_time.clone_from(&self.last_segment_time);
        let uploaded = self.uploaded.as_ref().map(|said| (kind::UPLOADED, said));
        let all = [(kind::RECORDING, &self.recording)].into_iter().chain(uploaded);
        for (kind, (holds, reason, message)) in all {
            let new = Condition::new(kind, *holds, *reason, message.as_str(), Time(self.now))
                .observed(status.observed_generation);
            let mut one: Vec<Condition> = condition::find(before, kind).cloned().into_iter().collect();
            condition::set(&mut one, new);
            status.conditions.append(&mut one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Trouble;

    #[test]
    fn a_snapshot_that_is_missing_stops_no_recording() {
        let state = CameraState {
            wanted: true,
            writing_since_ms: Some(0),
            snapshots: Some(Trouble {
                message: "there is no ffmpeg: install one".to_owned(),
            }),
            ..CameraState::default()
        };
        let said = Recorded::of(&state, &Backlog::default(), true, None, Timestamp::UNIX_EPOCH);
        let (holds, reason, message) = &said.recording;
        assert!(*holds && *reason == reason::SCHEDULED);
        assert_eq!(
            message,
            "recorded, but no snapshots are taken: there is no ffmpeg: install one"
        );
    }
}
