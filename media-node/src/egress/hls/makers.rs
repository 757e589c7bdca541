//! Who makes the segments of streams, while somebody asks for them.
//!
//! A stream's segments are made by one task per process, started by the first playlist request and
//! ended when requests stop. It reads the stream as a subscriber, so that a camera on demand stays
//! up for HLS viewers too, and outlives the stream by a while: after a camera or a relay has come
//! back, the same playlist goes on, with a discontinuity. Of one that somebody has closed nothing stays.

use super::wall_clock::WallClock;
use crate::egress::viewing::{Counted, viewer_span};
use crate::hub::{Event, Hub, Stream, Subscriber};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug};
use weir_proto::media::{StreamPath, Tracks};

/// Without a request for this long, making segments ends.
const IDLE: Duration = Duration::from_secs(30);
/// After a stream has ended, it is waited for this long before its segments are given up.
const RETURN: Duration = Duration::from_secs(20);

/// What is made of a stream.
pub(super) trait Product: Send + 'static {
    /// The viewer that its making counts as.
    const PROTOCOL: &'static str;

    /// Takes the next event; whether that makes a difference to those who wait.
    fn take(&mut self, event: Event, clock: &WallClock) -> bool;

    /// All that was at hand has been taken.
    fn settle(&mut self, _: &WallClock) {}
}

/// The streams of which something is made, in this process.
pub(super) struct Makers<P> {
    hub: Arc<Hub>,
    new: Box<dyn Fn(&Tracks) -> P + Send + Sync>,
    entries: Mutex<HashMap<StreamPath, Arc<Entry<P>>>>,
}

/// What is made of one stream.
pub(super) struct Entry<P> {
    product: Mutex<P>,
    news: watch::Sender<News>,
    requested: Mutex<Instant>,
}

/// What those who wait want to know.
#[derive(Clone, Copy, Default)]
struct News {
    /// Grows with each difference.
    changes: u64,
    /// How often the stream has ended.
    endings: u64,
    /// Nothing more is made.
    given_up: bool,
}

/// Why somebody waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InVain {
    Late,
    /// The stream ended meanwhile.
    Ended,
}

/// A stream of which something is being made. However that ends, its entry goes, or nobody would make it
/// any more.
struct Made<P> {
    makers: Arc<Makers<P>>,
    path: StreamPath,
    entry: Arc<Entry<P>>,
}

impl<P> Drop for Made<P> {
    fn drop(&mut self) {
        let mut entries = self.makers.entries.lock();
        if entries
            .get(&self.path)
            .is_some_and(|e| Arc::ptr_eq(e, &self.entry))
        {
            entries.remove(&self.path);
        }
        drop(entries);
        self.entry.news.send_modify(|news| news.given_up = true);
    }
}

impl<P: Product> Makers<P> {
    pub(super) fn new(hub: Arc<Hub>, new: impl Fn(&Tracks) -> P + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            hub,
            new: Box::new(new),
            entries: Mutex::default(),
        })
    }

    /// What is being made of a stream already.
    pub(super) fn entry(&self, path: &StreamPath) -> Option<Arc<Entry<P>>> {
        let entry = self.entries.lock().get(path).cloned()?;
        entry.touch();
        Some(entry)
    }

    /// What is made of the stream, from now on if it wasn't.
    pub(super) fn start(self: &Arc<Self>, stream: &Arc<Stream>) -> Arc<Entry<P>> {
        let path = stream.path().clone();
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(&path) {
            entry.touch();
            return entry.clone();
        }
        let entry = Entry::new((self.new)(&stream.tracks()));
        entries.insert(path.clone(), entry.clone());
        drop(entries);
        let made = Made {
            makers: self.clone(),
            path: path.clone(),
            entry: entry.clone(),
        };
        let span = viewer_span(&path, P::PROTOCOL, None);
        let (subscriber, closings) = (stream.subscribe(), self.hub.closings());
        let making = async move {
            let _counted = Counted::new(P::PROTOCOL);
            let ended = made.makers.make(&path, &made.entry, subscriber);
            tokio::select! {
                () = ended => {}
                () = closed(&path, closings) => {}
            }
            debug!("no more segments are made");
        };
        tokio::spawn(making.instrument(span));
        entry
    }

    /// Goes on until nobody asks for it, or the stream is gone for good.
    async fn make(&self, path: &StreamPath, entry: &Entry<P>, mut subscriber: Subscriber) {
        let mut clock = WallClock::default();
        loop {
            if entry.is_idle() {
                return;
            }
            // The time-out is for the idle check alone; a stream may be slow.
            let Ok(event) = timeout(IDLE / 4, subscriber.next()).await else {
                continue;
            };
            if !entry.take(event, &mut subscriber, &mut clock) {
                continue;
            }
            clock = WallClock::default();
            // An ended camera that nobody watches any more is not to be started again.
            if entry.is_idle() {
                return;
            }
            match self.again(path).await {
                Some(stream) => subscriber = stream.subscribe(),
                None => return,
            }
        }
    }

    /// The stream's next session. It is not asked for here: the next request of a playlist does that, and
    /// who has closed a stream does not want it back because somebody watched a while ago.
    async fn again(&self, path: &StreamPath) -> Option<Arc<Stream>> {
        timeout(RETURN, self.hub.arrival(path)).await.ok()
    }
}

/// Completes when the path is closed.
async fn closed(path: &StreamPath, mut closings: broadcast::Receiver<StreamPath>) {
    loop {
        match closings.recv().await {
            Ok(closed) if closed == *path => return,
            // It ends all the same, if later.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl<P: Product> Entry<P> {
    fn new(product: P) -> Arc<Self> {
        Arc::new(Self {
            product: Mutex::new(product),
            news: watch::Sender::default(),
            requested: Mutex::new(Instant::now()),
        })
    }

    /// Takes an event and all that is at hand behind it; whether the stream has ended.
    fn take(&self, event: Event, subscriber: &mut Subscriber, clock: &mut WallClock) -> bool {
        let mut product = self.product.lock();
        let (mut next, mut changed, mut ended) = (Some(event), false, false);
        while let Some(event) = next.take() {
            if let Event::Unit(unit) = &event {
                clock.note(unit.dts);
            }
            ended = matches!(event, Event::Ended);
            changed |= product.take(event, clock);
            if !ended {
                next = subscriber.try_next();
            }
        }
        product.settle(clock);
        drop(product);
        if changed || ended {
            self.news.send_modify(|news| {
                news.changes += 1;
                news.endings += u64::from(ended);
            });
        }
        ended
    }

    fn touch(&self) {
        *self.requested.lock() = Instant::now();
    }

    fn is_idle(&self) -> bool {
        self.requested.lock().elapsed() >= IDLE && self.news.receiver_count() == 0
    }

    pub(super) fn product(&self) -> MutexGuard<'_, P> {
        self.product.lock()
    }

    /// Waits until `look` finds something, over a pause of the stream too.
    pub(super) async fn until<T>(
        &self,
        patience: Duration,
        look: impl FnMut(&P) -> Option<T>,
    ) -> Result<T, InVain> {
        self.wait(patience, false, look).await
    }

    /// As [`Self::until`], but for no longer than the stream goes on.
    pub(super) async fn until_ending<T>(
        &self,
        patience: Duration,
        look: impl FnMut(&P) -> Option<T>,
    ) -> Result<T, InVain> {
        self.wait(patience, true, look).await
    }

    async fn wait<T>(
        &self,
        patience: Duration,
        ends: bool,
        mut look: impl FnMut(&P) -> Option<T>,
    ) -> Result<T, InVain> {
        let deadline = Instant::now() + patience;
        let mut news = self.news.subscribe();
        let endings = news.borrow().endings;
        loop {
            let now = *news.borrow_and_update();
            if let Some(found) = look(&self.product.lock()) {
                return Ok(found);
            }
            if now.given_up || ends && now.endings != endings {
                return Err(InVain::Ended);
            }
            let changed = tokio::time::timeout_at(deadline, news.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(InVain::Late);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Product for Nothing {
        const PROTOCOL: &'static str = "hls";

        fn take(&mut self, _: Event, _: &WallClock) -> bool {
            false
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_leaves_no_entry_that_nobody_fills() {
        let makers = Makers::new(Hub::new(), |_| Nothing);
        let path = StreamPath::parse("door").expect("a path");
        let entry = Entry::new(Nothing);
        makers.entries.lock().insert(path.clone(), entry.clone());
        let made = Made {
            makers: makers.clone(),
            path: path.clone(),
            entry: entry.clone(),
        };
        let waiting = tokio::spawn(async move { entry.until(IDLE, |_| None::<()>).await });
        let making = tokio::spawn(async move {
            let _made = made;
            tokio::time::sleep(Duration::from_secs(1)).await;
            panic!("a made-up bug");
        });
        assert!(making.await.is_err());
        assert!(makers.entry(&path).is_none());
        assert_eq!(waiting.await.expect("it ends"), Err(InVain::Ended), "at once");
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_stream_that_was_closed_nothing_stays() {
        use crate::hub::{Provenance, Segmentation};
        let hub = Hub::new();
        let makers = Makers::new(hub.clone(), |_| Nothing);
        let path = StreamPath::parse("door").expect("a path");
        let publish = || {
            let from = Provenance {
                protocol: "test",
                address: String::new(),
                session: 1,
            };
            hub.publish(&path, Tracks::default(), from, Segmentation::Own(IDLE))
        };
        let moment = || tokio::time::sleep(Duration::from_millis(10));
        let publisher = publish();
        makers.start(publisher.stream());
        moment().await;
        assert!(hub.close(&path));
        moment().await;
        assert!(makers.entry(&path).is_none());

        // One that has ended may come back, unless it is closed then.
        let publisher = publish();
        makers.start(publisher.stream());
        moment().await;
        drop(publisher);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(makers.entry(&path).is_some());
        hub.close(&StreamPath::parse("other").expect("a path"));
        assert!(!hub.close(&path));
        moment().await;
        assert!(makers.entry(&path).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_has_a_deadline() {
        let entry = Entry::new(Nothing);
        let begin = Instant::now();
        assert_eq!(entry.until(IDLE, |_| None::<()>).await, Err(InVain::Late));
        assert_eq!(begin.elapsed(), IDLE);
        assert_eq!(entry.until(IDLE, |_| Some(7)).await, Ok(7));
    }
}
