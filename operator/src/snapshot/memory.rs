//! What the operator remembers of a namespace between two plans, because no object says it: since when a node is not
//! ready, since when a camera moves, and cameras as the API server returned them, until the watch has caught up. All of
//! it may be lost: a new leader waits a grace period again, and that is all.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use weir_crds::Camera;

/// What a namespace's objects do not say.
#[derive(Debug, Default)]
pub struct Memory {
    since: HashMap<String, Instant>,
    seen: HashSet<String>,
    /// By UID.
    written: HashMap<String, Arc<Camera>>,
}

impl Memory {
    /// For how long `what` has been so, counted from when this was first asked without [`Memory::forget_unasked`] in
    /// between having found it unasked.
    pub(super) fn lasts(&mut self, what: String, now: Instant) -> Duration {
        let since = *self.since.entry(what.clone()).or_insert(now);
        self.seen.insert(what);
        now.saturating_duration_since(since)
    }

    /// Ends a snapshot: what was not asked for in it is over.
    pub(super) fn forget_unasked(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        self.since.retain(|what, _| seen.contains(what));
    }

    /// Notes a camera as the API server returned it after a write.
    pub fn note_written(&mut self, camera: Camera) {
        if let Some(uid) = camera.metadata.uid.clone() {
            self.written.insert(uid, Arc::new(camera));
        }
    }

    /// The newer of the cached camera and the one that was written.
    pub(super) fn newest(&mut self, cached: &Arc<Camera>) -> Arc<Camera> {
        let Some(uid) = &cached.metadata.uid else {
            return cached.clone();
        };
        let Some(written) = self.written.get(uid) else {
            return cached.clone();
        };
        if version(cached) >= version(written) {
            self.written.remove(uid);
            return cached.clone();
        }
        written.clone()
    }

    /// Forgets what was written to cameras that are gone.
    pub(super) fn keep_written(&mut self, cached: &[Arc<Camera>]) {
        if self.written.is_empty() {
            return;
        }
        let uids: HashSet<&str> = cached.iter().filter_map(|c| c.metadata.uid.as_deref()).collect();
        self.written.retain(|uid, _| uids.contains(uid.as_str()));
    }
}

/// The resource version as the number that Kubernetes says it is; of an API server that counts otherwise, the cache's word
/// is taken.
fn version(camera: &Camera) -> u64 {
    camera
        .metadata
        .resource_version
        .as_deref()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn time_counts_while_it_is_asked_for() {
        let mut memory = Memory::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(memory.lasts("a".into(), start), Duration::ZERO);
        memory.forget_unasked();
        assert_eq!(memory.lasts("a".into(), start + second), second);
        memory.forget_unasked();
        memory.forget_unasked();
        assert_eq!(memory.lasts("a".into(), start + 3 * second), Duration::ZERO);
    }

    #[test]
    fn what_was_written_stands_until_the_watch_has_it() {
        let mut memory = Memory::default();
        let at = |version: &str| {
            let mut camera = fixtures::camera("a");
            camera.metadata.resource_version = Some(version.into());
            camera
        };
        memory.note_written(at("10"));
        let version = |c: Arc<Camera>| c.metadata.resource_version.clone();
        assert_eq!(version(memory.newest(&Arc::new(at("9")))).as_deref(), Some("10"));
        assert_eq!(version(memory.newest(&Arc::new(at("11")))).as_deref(), Some("11"));
        assert_eq!(
            version(memory.newest(&Arc::new(at("9")))).as_deref(),
            Some("9"),
            "caught up, so forgotten"
        );
        memory.note_written(at("12"));
        memory.keep_written(&[]);
        assert!(memory.written.is_empty());
    }
}
