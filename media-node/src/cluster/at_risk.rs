//! Which news of a camera's recording are worth an event: footage that is lost, or will be. Pure.

use super::recorded::AT_RISK;
use crate::record::{Backlog, CameraState};

/// What was told of one camera so far.
#[derive(Debug, Default)]
pub(super) struct AtRisk {
    dropped: u64,
    waits: bool,
    trouble: Option<String>,
    snapshots: Option<String>,
}

/// An event: whether it warns, its reason, and what it says.
pub(super) type Told = (bool, &'static str, String);

impl AtRisk {
    /// What is to be told now, and was not yet.
    pub(super) fn news(&mut self, state: &CameraState, backlog: &Backlog, now_ms: i64) -> Vec<Told> {
        let mut news = Vec::new();
        if state.dropped > self.dropped {
            let more = state.dropped - self.dropped;
            let note = format!(
                "{more} segments were dropped before they were stored: the spool is full. Look at why the object store \
                 takes nothing, or give the spool more room"
            );
            news.push((true, "FootageLost", note));
        }
        self.dropped = state.dropped;

        let trouble = state.trouble.as_ref().map(|trouble| trouble.message.clone());
        if let Some(message) = &trouble
            && self.trouble != trouble
        {
            news.push((true, "FootageLost", format!("nothing can be recorded: {message}")));
        }
        self.trouble = trouble;

        let behind = state.last_whole_ms > state.last_stored_ms;
        let waits = behind && backlog.waits(now_ms) > AT_RISK;
        if waits && !self.waits {
            let why = match &backlog.trouble {
                Some(trouble) => trouble.message.as_str(),
                None => "the object store takes it more slowly than it is recorded",
            };
            let minutes = backlog.waits(now_ms).as_secs() / 60;
            let note = format!("footage waits on the node's disk for {minutes} minutes: {why}");
            news.push((true, "FootageAtRisk", note));
        } else if !behind && self.waits {
            news.push((false, "FootageStored", "all footage is stored".to_owned()));
        }
        // Told once until all is stored.
        self.waits = waits || self.waits && behind;

        let snapshots = state.snapshots.as_ref().map(|trouble| trouble.message.clone());
        if let Some(message) = &snapshots
            && self.snapshots != snapshots
        {
            news.push((
                true,
                "SnapshotMissing",
                format!("no snapshots are taken: {message}"),
            ));
        }
        self.snapshots = snapshots;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Trouble;

    fn reasons(told: &[Told]) -> Vec<(bool, &'static str)> {
        told.iter().map(|(warns, reason, _)| (*warns, *reason)).collect()
    }

    #[test]
    fn each_is_told_once() {
        let mut risk = AtRisk::default();
        let mut state = CameraState {
            wanted: true,
            last_whole_ms: Some(1000),
            ..CameraState::default()
        };
        let mut backlog = Backlog {
            segments: 1,
            oldest_ms: Some(0),
            trouble: Some(Trouble {
                message: "the store refuses".to_owned(),
            }),
            ..Backlog::default()
        };
        assert_eq!(
            reasons(&risk.news(&state, &backlog, 60_000)),
            [],
            "a minute is nothing"
        );
        let told = risk.news(&state, &backlog, 301_000);
        assert_eq!(reasons(&told), [(true, "FootageAtRisk")]);
        assert!(told[0].2.contains("5 minutes: the store refuses"), "{told:?}");
        assert_eq!(reasons(&risk.news(&state, &backlog, 400_000)), []);
        // The oldest was dropped: what waits is younger, and not stored either.
        state.dropped = 3;
        backlog.oldest_ms = Some(350_000);
        let told = risk.news(&state, &backlog, 400_000);
        assert_eq!(reasons(&told), [(true, "FootageLost")]);
        assert!(told[0].2.contains("3 segments"), "{told:?}");
        assert_eq!(reasons(&risk.news(&state, &backlog, 900_000)), []);
        state.last_stored_ms = Some(1000);
        backlog = Backlog::default();
        let told = risk.news(&state, &backlog, 900_000);
        assert_eq!(reasons(&told), [(false, "FootageStored")]);
        assert_eq!(reasons(&risk.news(&state, &backlog, 900_000)), []);
    }

    #[test]
    fn snapshots_and_disks() {
        let mut risk = AtRisk::default();
        let trouble = |message: &str| {
            Some(Trouble {
                message: message.to_owned(),
            })
        };
        let state = CameraState {
            snapshots: trouble("there is no ffmpeg"),
            trouble: trouble("no space is left"),
            ..CameraState::default()
        };
        let told = risk.news(&state, &Backlog::default(), 0);
        assert_eq!(reasons(&told), [(true, "FootageLost"), (true, "SnapshotMissing")]);
        assert_eq!(reasons(&risk.news(&state, &Backlog::default(), 0)), []);
        assert_eq!(
            reasons(&risk.news(&CameraState::default(), &Backlog::default(), 0)),
            []
        );
        assert_eq!(reasons(&risk.news(&state, &Backlog::default(), 0)).len(), 2);
    }
}
