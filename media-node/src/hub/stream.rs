//! One stream: its tracks, its cached access units, its outlets, and who it comes from.

use super::gop_cache::GopCache;
use super::outlet::Outlet;
use super::subscriber::Standing;
use super::{Form, FormKey, Seat, SeatHandle, Sink, Subscriber, View, Visitor};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;
use tokio::sync::watch;
use weir_proto::media::{AccessUnit, StreamPath, Tracks};

/// Forms in which one stream is packaged at once. Clients choose layouts of RTP; players that exist choose
/// among two or three.
const MOST_OUTLETS: usize = 24;

/// Where a stream comes from.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// Protocol by which it comes in: `rtsp`, `rtsp-push`, `rtmp`, `rtmp-push`, `file`, `relay`.
    pub protocol: &'static str,
    /// The upstream URL without credentials, or the publisher's address and port.
    pub address: String,
    /// Identifies the ingest session: timestamps of different sessions don't compare. Travels
    /// over relays unchanged.
    pub session: u64,
}

/// What has gone through a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub bytes_in: u64,
    pub units_in: u64,
    /// Pieces that slow viewers missed.
    pub skipped: u64,
}

/// A running stream. Read handle for everybody; [`super::Publisher`] alone adds to it.
pub struct Stream {
    path: StreamPath,
    provenance: Provenance,
    started: SystemTime,
    inner: Mutex<Inner>,
    /// Number of the access unit that will come next: news for subscribers.
    head: watch::Sender<u64>,
    ended: AtomicBool,
    viewers: AtomicUsize,
    bytes_in: AtomicU64,
    units_in: AtomicU64,
    skipped: AtomicU64,
    received: metrics::Counter,
    left_out: metrics::Counter,
}

pub(super) struct Inner {
    tracks: Tracks,
    /// The number of the access unit from which on each of the latest parameters is in force, oldest
    /// first; never empty. The last is `tracks`.
    changes: VecDeque<(u64, Tracks)>,
    /// What each subscriber reads next.
    cursors: Vec<Arc<AtomicU64>>,
    cache: GopCache,
    outlets: Arc<[Arc<Outlet>]>,
    seats: Vec<SeatHandle>,
    /// Viewers that have come so far.
    numbered: u32,
}

impl Stream {
    pub(super) fn new(path: StreamPath, tracks: Tracks, provenance: Provenance) -> Self {
        Self {
            received: metrics::counter!("weir_received_bytes_total", "protocol" => provenance.protocol),
            left_out: metrics::counter!("weir_skipped_pieces_total"),
            path,
            provenance,
            started: SystemTime::now(),
            inner: Mutex::new(Inner {
                changes: VecDeque::from([(0, tracks.clone())]),
                tracks,
                cursors: Vec::new(),
                cache: GopCache::default(),
                outlets: Arc::default(),
                seats: Vec::new(),
                numbered: 0,
            }),
            head: watch::Sender::new(0),
            ended: AtomicBool::new(false),
            viewers: AtomicUsize::new(0),
            bytes_in: AtomicU64::new(0),
            units_in: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    pub fn path(&self) -> &StreamPath {
        &self.path
    }

    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    pub fn started(&self) -> SystemTime {
        self.started
    }

    pub fn tracks(&self) -> Tracks {
        self.inner.lock().tracks.clone()
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Viewers now, in all forms, and subscribers that count as such.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Whether anybody uses it, viewer or not: a stream on demand goes on as long.
    pub fn is_in_use(&self) -> bool {
        self.viewers() > 0 || !self.inner.lock().cursors.is_empty()
    }

    /// The same without servers that the stream is pushed to, which nobody watches at.
    pub fn viewers_but_servers(&self) -> usize {
        let pushed = |view: &View| view.visitor.protocol.ends_with("-push");
        let servers = self.views().iter().filter(|view| pushed(view)).count();
        self.viewers().saturating_sub(servers)
    }

    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            units_in: self.units_in.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
        }
    }

    /// Whether one more viewer can be seated at `key`: layouts that nobody else watches in each cost a
    /// packaging of their own.
    pub fn has_room_for(&self, key: FormKey) -> bool {
        let inner = self.inner.lock();
        inner.outlets.len() < MOST_OUTLETS || inner.outlets.iter().any(|o| o.key == key)
    }

    /// Seats a viewer at the outlet of `key`, which `form` makes if nobody watches so yet.
    pub fn watch(
        self: &Arc<Self>,
        key: FormKey,
        form: impl FnOnce() -> Box<dyn Form>,
        sink: Box<dyn Sink>,
        visitor: Visitor,
    ) -> Seat {
        let outlet = {
            let mut inner = self.inner.lock();
            let found = inner.outlets.iter().find(|o| o.key == key).cloned();
            let outlet = found.unwrap_or_else(|| {
                let cache = &inner.cache;
                let cached = cache.since(cache.start());
                let outlet = Arc::new(Outlet::new(key, form(), &inner.tracks, cached, cache.head()));
                if self.has_ended() {
                    outlet.end();
                }
                inner.outlets = inner.outlets.iter().cloned().chain([outlet.clone()]).collect();
                outlet
            });
            outlet.seats.fetch_add(1, Ordering::Relaxed);
            outlet
        };
        Seat::take(self.clone(), outlet, sink, visitor)
    }

    /// Who views now, in the order of coming; subscribers are not among them.
    pub fn views(&self) -> Vec<View> {
        let seats = self.inner.lock().seats.clone();
        seats.iter().filter_map(SeatHandle::view).collect()
    }

    /// The seat of the viewer with that number and of one of these protocols, if it is still there.
    pub fn seat(&self, number: u32, is_protocol: impl Fn(&str) -> bool) -> Option<SeatHandle> {
        let seats = self.inner.lock().seats.clone();
        seats.into_iter().find(|seat| {
            seat.view()
                .is_some_and(|view| view.number == number && is_protocol(view.visitor.protocol))
        })
    }

    /// A cursor over the access units, starting at the newest keyframe. Counts as a viewer.
    pub fn subscribe(self: &Arc<Self>) -> Subscriber {
        self.subscriber(Standing::Viewer)
    }

    /// The same for who watches on nobody's behalf, as a recorder does.
    pub fn read(self: &Arc<Self>) -> Subscriber {
        self.subscriber(Standing::Reader)
    }

    fn subscriber(self: &Arc<Self>, standing: Standing) -> Subscriber {
        let cursor = {
            let mut inner = self.inner.lock();
            let cursor = Arc::new(AtomicU64::new(inner.cache.start()));
            inner.cursors.push(cursor.clone());
            cursor
        };
        Subscriber::new(self.clone(), standing, cursor, self.head.subscribe())
    }

    /// Ends the stream for all who watch or read it.
    pub fn end(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let outlets = self.inner.lock().outlets.clone();
        for outlet in outlets.iter() {
            outlet.end();
        }
        self.head.send_modify(|_| {});
    }

    /// A seat is given up; drops an outlet that nobody uses any more.
    pub(super) fn release(&self, outlet: &Arc<Outlet>) {
        let mut inner = self.inner.lock();
        if outlet.seats.fetch_sub(1, Ordering::Relaxed) == 1 {
            inner.outlets = inner
                .outlets
                .iter()
                .filter(|o| !Arc::ptr_eq(o, outlet))
                .cloned()
                .collect();
        }
    }

    pub(super) fn viewer_came(&self, seat: Option<SeatHandle>) {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        if let Some(seat) = seat {
            let mut inner = self.inner.lock();
            // Those who left are swept out when the list would grow, so that coming and going is cheap.
            if inner.seats.len() == inner.seats.capacity() {
                inner.seats.retain(|s| !s.is_gone());
            }
            inner.seats.push(seat);
        }
    }

    pub(super) fn next_number(&self) -> u32 {
        let mut inner = self.inner.lock();
        inner.numbered = inner.numbered.wrapping_add(1);
        inner.numbered
    }

    pub(super) fn viewer_left(&self) {
        self.viewers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_skipped(&self, pieces: u64) {
        self.skipped.fetch_add(pieces, Ordering::Relaxed);
        self.left_out.increment(pieces);
    }

    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// For the publisher: new units are in the cache; hand them to every outlet.
    pub(super) fn fan_out(&self, units: &[(u64, AccessUnit)]) {
        let (tracks, outlets) = {
            let inner = self.inner.lock();
            (inner.tracks.clone(), inner.outlets.clone())
        };
        for outlet in outlets.iter() {
            outlet.round(&tracks, units);
        }
        if let Some((last, _)) = units.last() {
            self.head.send_if_modified(|head| {
                *head = last + 1;
                true
            });
        }
    }

    pub(super) fn count_in(&self, units: u64, bytes: u64) {
        self.units_in.fetch_add(units, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        self.received.increment(bytes);
    }

    pub(super) fn change_tracks(&self, tracks: &Tracks) {
        let outlets = {
            let mut inner = self.inner.lock();
            if inner.tracks == *tracks {
                return;
            }
            inner.tracks = tracks.clone();
            inner.cache.close();
            let from = inner.cache.head();
            if inner.changes.back().is_some_and(|(last, _)| *last == from) {
                inner.changes.pop_back();
            }
            inner.changes.push_back((from, tracks.clone()));
            inner.outlets.clone()
        };
        for outlet in outlets.iter() {
            outlet.tracks_changed(tracks);
        }
        self.head.send_modify(|_| {});
    }
}

impl Inner {
    pub(super) fn cache(&self) -> &GopCache {
        &self.cache
    }

    /// Adds an access unit, and returns its number.
    pub(super) fn push(&mut self, unit: AccessUnit) -> u64 {
        let number = self.cache.head();
        let needed = self.cursors.iter().map(|c| c.load(Ordering::Relaxed)).min();
        self.cache.push(unit, needed);
        let first = self.cache.first();
        while self.changes.get(1).is_some_and(|(from, _)| *from <= first) {
            self.changes.pop_front();
        }
        number
    }

    /// The parameters in force at an access unit, and from which on they are.
    pub(super) fn tracks_at(&self, number: u64) -> (u64, &Tracks) {
        let in_force = self.changes.iter().rev().find(|(from, _)| *from <= number);
        in_force.map_or((0, &self.tracks), |(from, tracks)| (*from, tracks))
    }

    pub(super) fn forget(&mut self, cursor: &Arc<AtomicU64>) {
        self.cursors.retain(|c| !Arc::ptr_eq(c, cursor));
    }
}
