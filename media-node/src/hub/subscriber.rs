//! A cursor over a stream's access units, for those who do more with them than write them out.

use super::Stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use weir_proto::media::{AccessUnit, Tracks};

/// What a subscriber sees, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// First of all, and whenever parameter sets change.
    Tracks(Tracks),
    Unit(AccessUnit),
    /// The subscriber was too slow and missed this many access units; the next is a keyframe.
    Skipped(u64),
    Ended,
}

/// On whose behalf a subscriber reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A viewer's: it counts as one while it lives.
    Viewer,
    /// Our own.
    Reader,
}

/// Reads one stream at its own pace; when it falls out of the cache it goes on at the newest
/// keyframe.
pub struct Subscriber {
    stream: Arc<Stream>,
    standing: Standing,
    /// The number of the access unit that is read next. The stream keeps what comes from it on, within
    /// bounds.
    cursor: Arc<AtomicU64>,
    /// From which access unit on the parameters that were told last are in force.
    told: Option<u64>,
    head: watch::Receiver<u64>,
}

impl Subscriber {
    pub(super) fn new(
        stream: Arc<Stream>,
        standing: Standing,
        cursor: Arc<AtomicU64>,
        head: watch::Receiver<u64>,
    ) -> Self {
        if standing == Standing::Viewer {
            stream.viewer_came(None);
        }
        Self {
            stream,
            standing,
            cursor,
            told: None,
            head,
        }
    }

    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// What comes next; waits for it. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            self.head.borrow_and_update();
            if let Some(event) = self.ready() {
                return event;
            }
            if self.stream.has_ended() || self.head.changed().await.is_err() {
                return Event::Ended;
            }
        }
    }

    /// What is there already; none if it must be waited for.
    pub fn try_next(&mut self) -> Option<Event> {
        self.ready()
    }

    fn ready(&mut self) -> Option<Event> {
        let inner = self.stream.lock();
        let (cache, mut next) = (inner.cache(), self.cursor.load(Ordering::Relaxed));
        if next < cache.first() {
            let missed = cache.start() - next;
            next += missed;
            self.cursor.store(next, Ordering::Relaxed);
            // One who has read nothing has missed nothing.
            if self.told.is_some() {
                return Some(Event::Skipped(missed));
            }
        }
        let (from, tracks) = inner.tracks_at(next);
        if self.told != Some(from) {
            self.told = Some(from);
            return Some(Event::Tracks(tracks.clone()));
        }
        let unit = cache.get(next)?.clone();
        self.cursor.store(next + 1, Ordering::Relaxed);
        Some(Event::Unit(unit))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stream.lock().forget(&self.cursor);
        if self.standing == Standing::Viewer {
            self.stream.viewer_left();
        }
    }
}
