//! A cursor over a stream's access units, for those who do more with them than write them out.

use super::Stream;
use std::sync::Arc;
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

/// Reads one stream at its own pace; when it falls out of the cache it goes on at the newest
/// keyframe. Counts as a viewer while it lives.
pub struct Subscriber {
    stream: Arc<Stream>,
    next: u64,
    tracks_version: Option<u64>,
    head: watch::Receiver<u64>,
}

impl Subscriber {
    pub(super) fn new(stream: Arc<Stream>, next: u64, head: watch::Receiver<u64>) -> Self {
        stream.viewer_came(None);
        Self {
            stream,
            next,
            tracks_version: None,
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

    /// What is there already.
    fn ready(&mut self) -> Option<Event> {
        let inner = self.stream.lock();
        let (tracks, version) = inner.tracks();
        if self.tracks_version != Some(version) {
            let event = Event::Tracks(tracks.clone());
            self.tracks_version = Some(version);
            return Some(event);
        }
        if self.next < inner.cache.first() {
            let missed = inner.cache.start() - self.next;
            self.next = inner.cache.start();
            return Some(Event::Skipped(missed));
        }
        let unit = inner.cache.get(self.next)?.clone();
        self.next += 1;
        Some(Event::Unit(unit))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stream.viewer_left();
    }
}
