//! Streams by path, and how access units get from their one publisher to everybody else.
//!
//! ```text
//! ingest -> Publisher --push/flush--> Stream { ring of access units } --> Subscriber (HLS, recording)
//!                                        |
//!                                        +--> Outlet per form: packaged once --> try_write to each viewer's socket
//! ```
//!
//! The publisher's own task writes to the viewers: an access unit is packaged once per form and
//! the same bytes go to every socket, without a wake-up, copy or allocation per viewer. A viewer
//! whose socket is full leaves that path and catches up in its own task (see [`outlet`]), so that
//! it costs nobody else anything. No protocol is known here: forms and sinks are handed in.

mod datagrams;
mod demand;
mod form;
mod gop_cache;
mod outlet;
mod publisher;
mod sink;
mod stream;
mod subscriber;

pub use datagrams::Datagrams;
pub use demand::{Demand, Verdict};
pub use form::{Form, FormKey, Packed, Piece};
pub use outlet::{Departure, Seat, SeatHandle, View, Visitor};
pub use publisher::{Publisher, Segmentation};
pub use sink::{Sink, TcpSink};
pub use stream::{Provenance, Stream, Traffic};
pub use subscriber::{Event, Subscriber};

use demand::Waiting;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::broadcast;
use weir_proto::media::{StreamPath, Tracks};

/// All streams that run in this process.
#[derive(Default)]
pub struct Hub {
    streams: RwLock<HashMap<StreamPath, Arc<Stream>>>,
    waiting: Waiting,
    demand: OnceLock<Arc<dyn Demand>>,
    closings: Closings,
}

/// Closings that who hears of them may be behind; who is further behind misses some.
const MOST_CLOSINGS: usize = 64;

/// Tells which paths are closed.
struct Closings(broadcast::Sender<StreamPath>);

impl Default for Closings {
    fn default() -> Self {
        Self(broadcast::Sender::new(MOST_CLOSINGS))
    }
}

impl Hub {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Names who can bring streams that are asked for but don't run. May be called once; without
    /// it, only running streams are found.
    pub fn set_demand(&self, demand: Arc<dyn Demand>) {
        let _ = self.demand.set(demand);
    }

    /// Starts a stream. One that runs under this path is replaced: it ends for its viewers.
    pub fn publish(
        self: &Arc<Self>,
        path: &StreamPath,
        tracks: Tracks,
        provenance: Provenance,
        segmentation: Segmentation,
    ) -> Publisher {
        let stream = Arc::new(Stream::new(path.clone(), tracks, provenance));
        let former = self.streams.write().insert(path.clone(), stream.clone());
        if let Some(former) = former {
            former.end();
        }
        self.waiting.arrived(path);
        Publisher::new(self.clone(), stream, segmentation)
    }

    /// The stream, if it runs.
    pub fn stream(&self, path: &StreamPath) -> Option<Arc<Stream>> {
        self.streams.read().get(path).cloned()
    }

    pub fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.read().values().cloned().collect()
    }

    /// The stream, waiting for it to start when somebody can start it.
    ///
    /// An unknown name costs no wait. `None` also when the start failed or took over `patience`.
    pub async fn find(&self, path: &StreamPath, patience: Duration) -> Option<Arc<Stream>> {
        if let Some(stream) = self.stream(path) {
            return Some(stream);
        }
        let deadline = tokio::time::Instant::now() + patience;
        let demand = self.demand.get()?;
        // Registered before the demand is voiced, so that an arrival in between is not missed.
        let wait = self.waiting.join(path)?;
        if demand.wanted(path) == Verdict::Unknown {
            return None;
        }
        loop {
            let changed = wait.changed();
            if let Some(stream) = self.stream(path) {
                return Some(stream);
            }
            if wait.refused() || tokio::time::timeout_at(deadline, changed).await.is_err() {
                return None;
            }
        }
    }

    /// The stream, once it runs, without asking for it.
    pub async fn arrival(&self, path: &StreamPath) -> Arc<Stream> {
        loop {
            let wait = self.waiting.join(path);
            let changed = wait.as_ref().map(demand::Wait::changed);
            if let Some(stream) = self.stream(path) {
                return stream;
            }
            match changed {
                // Those who asked may be refused, and then there is another to wait with.
                Some(changed) => changed.await,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Tells those who wait for `path` that it will not come for now.
    pub fn refuse(&self, path: &StreamPath) {
        self.waiting.refuse(path);
    }

    /// Ends a stream because somebody wants it gone, and with it its viewers' connections and what has been
    /// made of it. False if it doesn't run.
    pub fn close(&self, path: &StreamPath) -> bool {
        let stream = self.streams.write().remove(path);
        if let Some(stream) = &stream {
            stream.end();
        }
        // Also of one that has just ended, of which there may be something left. Perhaps nobody listens.
        let _ = self.closings.0.send(path.clone());
        stream.is_some()
    }

    /// The paths that are closed from now on.
    pub fn closings(&self) -> broadcast::Receiver<StreamPath> {
        self.closings.0.subscribe()
    }

    /// Ends this stream, unless a newcomer has its path. It may come back by another way.
    pub fn end(&self, stream: &Arc<Stream>) {
        self.remove(stream);
        stream.end();
    }

    /// Takes a stream whose publisher has left out of the table, unless a newcomer has its place.
    fn remove(&self, stream: &Arc<Stream>) {
        let mut streams = self.streams.write();
        if streams.get(stream.path()).is_some_and(|s| Arc::ptr_eq(s, stream)) {
            streams.remove(stream.path());
        }
    }
}

#[cfg(test)]
mod tests;
