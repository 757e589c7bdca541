//! What can be brought when somebody asks for a path: read by whoever asks, written by the
//! supervisor's task.

use crate::cluster::job_of::canonical;
use crate::cluster::route_match::Table;
use crate::hub::Verdict;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;
use weir_proto::media::StreamPath;

/// A path whose start has just failed is not started again for this long, however many ask.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// After a stream that its source soon ended: at first, and at most after some of these.
const SHORT_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));
/// How long after a pause it is still known that there was one.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Paths that are remembered as failed.
const MOST_FAILED: usize = 10_000;

/// Paths of Routes that wait to be looked at.
const MOST_ASKED: usize = 1_000;

#[derive(Default)]
pub(super) struct Index {
    /// Every path that a Camera has, here or elsewhere, and whether it can be brought here. A path
    /// that a Camera has is never a Route's.
    pub(super) cameras: HashMap<StreamPath, bool>,
    pub(super) routes: Table,
    failed: HashMap<StreamPath, Pause>,
    /// Paths that somebody asked for and the supervisor hasn't looked at yet.
    asked: HashSet<StreamPath>,
}

/// Not to be started for now.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    /// The next one, if the stream is as short again.
    next: Duration,
}

impl Index {
    /// Answers who asks, and remembers it when there is something to do. While the index is behind the
    /// world, any path may be known in a moment.
    pub(super) fn ask(&mut self, path: &StreamPath, is_behind: bool, now: Instant) -> Verdict {
        let coming = if let Some(can) = self.cameras.get(path) {
            *can
        } else {
            let known = is_behind || self.routes.find(&canonical(path)).is_some();
            known && self.asked.len() < MOST_ASKED
        };
        if !coming || self.failed.get(path).is_some_and(|pause| pause.until > now) {
            return Verdict::Unknown;
        }
        self.asked.insert(path.clone());
        Verdict::Coming
    }

    /// Whether somebody waits for the supervisor to look at the path.
    pub(super) fn is_asked(&self, path: &StreamPath) -> bool {
        self.asked.contains(path)
    }

    pub(super) fn take_asked(&mut self) -> HashSet<StreamPath> {
        std::mem::take(&mut self.asked)
    }

    /// A start has failed.
    pub(super) fn failed(&mut self, path: &StreamPath, now: Instant) {
        let next = self.failed.get(path).map_or(SHORT_PAUSE.0, |pause| pause.next);
        self.pause(path, FAILED_PAUSE, next, now);
    }

    /// A source took the trouble to begin, and soon ended the stream: those who come back at once, as players
    /// do, would have it dialled again and again. `spread` in 0..1.
    pub(super) fn was_short(&mut self, path: &StreamPath, spread: f64, now: Instant) {
        let pause = self.failed.get(path).map_or(SHORT_PAUSE.0, |pause| pause.next);
        let next = (pause * 2).min(SHORT_PAUSE.1);
        self.pause(path, pause.mul_f64(0.75 + 0.5 * spread), next, now);
    }

    /// A stream has lasted.
    pub(super) fn was_steady(&mut self, path: &StreamPath) {
        self.failed.remove(path);
    }

    fn pause(&mut self, path: &StreamPath, pause: Duration, next: Duration, now: Instant) {
        if self.failed.len() >= MOST_FAILED {
            self.tidy(now);
        }
        if self.failed.len() < MOST_FAILED {
            let until = now + pause;
            self.failed.insert(path.clone(), Pause { until, next });
        }
    }

    pub(super) fn tidy(&mut self, now: Instant) {
        self.failed.retain(|_, pause| pause.until + REMEMBERED > now);
    }
}
