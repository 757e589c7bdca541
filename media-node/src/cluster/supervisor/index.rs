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
    failed: HashMap<StreamPath, Instant>,
    /// Paths that somebody asked for and the supervisor hasn't looked at yet.
    asked: HashSet<StreamPath>,
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
        if !coming || self.failed.get(path).is_some_and(|until| *until > now) {
            return Verdict::Unknown;
        }
        self.asked.insert(path.clone());
        Verdict::Coming
    }

    pub(super) fn take_asked(&mut self) -> HashSet<StreamPath> {
        std::mem::take(&mut self.asked)
    }

    pub(super) fn failed(&mut self, path: &StreamPath, now: Instant) {
        if self.failed.len() >= MOST_FAILED {
            self.failed.retain(|_, until| *until > now);
        }
        if self.failed.len() < MOST_FAILED {
            self.failed.insert(path.clone(), now + FAILED_PAUSE);
        }
    }

    pub(super) fn tidy(&mut self, now: Instant) {
        self.failed.retain(|_, until| *until > now);
    }
}
