//! Asking for streams that don't run yet.
//!
//! Demand is how "on demand" works without the hub calling an ingest: who wants a stream says so
//! here, whoever can bring it ([`Demand`]) hears it and starts publishing.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use weir_proto::media::StreamPath;

/// Who can bring a stream that is not running: the supervisor on a node, the relay on a gateway.
pub trait Demand: Send + Sync {
    /// Called when somebody asks for `path` and it doesn't run. Must not block; may be called
    /// many times for one path.
    fn wanted(&self, path: &StreamPath) -> Verdict;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody here knows this name; asking costs nothing more.
    Unknown,
    /// Somebody is at it: the stream will be published, or refused with [`super::Hub::refuse`].
    Coming,
}

/// Paths that are waited for at once; past that, asking for a stream that doesn't run finds none.
const MOST_WAITED: usize = 10_000;

/// Those who wait, by path.
#[derive(Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<StreamPath, Weak<Ask>>>>);

#[derive(Default)]
struct Ask {
    changed: Notify,
    refused: AtomicBool,
    askers: AtomicUsize,
}

/// One asker's place.
pub(super) struct Wait {
    ask: Arc<Ask>,
    path: StreamPath,
    table: Arc<Mutex<HashMap<StreamPath, Weak<Ask>>>>,
}

impl Waiting {
    pub(super) fn join(&self, path: &StreamPath) -> Option<Wait> {
        let mut table = self.0.lock();
        if table.len() >= MOST_WAITED && !table.contains_key(path) {
            return None;
        }
        let ask = table.get(path).and_then(Weak::upgrade).unwrap_or_default();
        table.insert(path.clone(), Arc::downgrade(&ask));
        ask.askers.fetch_add(1, Ordering::Relaxed);
        Some(Wait {
            ask,
            path: path.clone(),
            table: self.0.clone(),
        })
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(super) fn arrived(&self, path: &StreamPath) {
        if let Some(ask) = self.0.lock().get(path).and_then(Weak::upgrade) {
            ask.changed.notify_waiters();
        }
    }

    pub(super) fn refuse(&self, path: &StreamPath) {
        // Taken out, so that whoever asks next starts a new attempt.
        if let Some(ask) = self.0.lock().remove(path).and_then(|a| a.upgrade()) {
            ask.refused.store(true, Ordering::Release);
            ask.changed.notify_waiters();
        }
    }
}

impl Wait {
    /// Completes at the next news; news between this call and the await count. At once after a refusal: no
    /// other news will come this way.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        let notified = self.ask.changed.notified();
        async move {
            if !self.refused() {
                notified.await;
            }
        }
    }

    pub(super) fn refused(&self) -> bool {
        self.ask.refused.load(Ordering::Acquire)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        if self.ask.askers.fetch_sub(1, Ordering::Relaxed) == 1
            && table
                .get(&self.path)
                .is_some_and(|a| std::ptr::eq(a.as_ptr(), Arc::as_ptr(&self.ask)))
        {
            table.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_before_the_wait_is_heard_too() {
        let waiting = Waiting::default();
        let path = StreamPath::parse("door").expect("a path");
        let wait = waiting.join(&path).expect("room");
        waiting.refuse(&path);
        let heard = tokio::time::timeout(std::time::Duration::from_secs(5), wait.changed());
        assert!(heard.await.is_ok(), "who waits on would wait for ever");
    }
}
