//! A stream in one form, and the viewers who watch it so.
//!
//! A viewer is in one of two places. In the outlet's list it keeps up: the publisher's task writes
//! each round of packaged access units straight into its sink. When the sink takes only a part, or
//! nothing, the viewer *falls*: it leaves the list with the rest of the piece that was cut, and its
//! own task ([`Seat::run`]) writes that rest and what follows from the ring until it has caught up.
//! One whose next piece has left the ring goes on at the newest keyframe, and what it missed is
//! counted. One whose sink takes nothing for [`PATIENCE`] is dropped.

use super::{Form, FormKey, Packed, Piece, Sink, Stream};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use weir_proto::media::{AccessUnit, Tracks};

/// A viewer that takes nothing for this long is dropped.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes a catching-up viewer takes from the ring at a time.
const BATCH_BYTES: usize = 256 << 10;
/// The ring keeps what came since the newest keyframe, and this much before it. While a viewer is
/// behind it keeps all that came since the keyframe before that one.
const TAIL_PIECES: usize = 16;
/// As long as all that is kept is as little as this, up to `LONG_TAIL` pieces are kept: sound alone,
/// where each piece counts as a keyframe.
const LITTLE_BYTES: usize = 48 << 10;
const LONG_TAIL: usize = 128;
/// More than this is never kept, whatever the distance of keyframes.
const MOST_BYTES: usize = 32 << 20;
/// Out-of-band bytes (replies) that may wait for a viewer that doesn't read them.
const MOST_REPLIES: usize = 64;

/// One form of one stream.
pub(super) struct Outlet {
    pub(super) key: FormKey,
    /// Seats taken; changed under the stream's lock alone.
    pub(super) seats: AtomicUsize,
    /// Bytes to viewers in this form.
    sent: metrics::Counter,
    state: Mutex<State>,
}

struct State {
    form: Box<dyn Form>,
    packed: Packed,
    /// Number of the access unit that is to be packaged next.
    next_unit: u64,
    pieces: VecDeque<Piece>,
    /// Number of `pieces[0]`.
    first: u64,
    /// Number of the newest piece at which a viewer can start.
    keyframe: Option<u64>,
    /// Number of the keyframe before that one.
    former_keyframe: Option<u64>,
    bytes: usize,
    listed: Vec<Arc<Viewer>>,
    /// Seats whose viewers are not listed.
    behind: usize,
    ended: bool,
}

/// A viewer as the publisher's task sees it.
struct Viewer {
    visitor: Visitor,
    number: u32,
    started: SystemTime,
    sink: Box<dyn Sink>,
    fallen: Mutex<Option<Fallen>>,
    replies: Mutex<VecDeque<Bytes>>,
    wake: Notify,
    closed: AtomicBool,
    bytes_out: AtomicU64,
    skipped: AtomicU64,
}

/// Who views, for those who list viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// `rtsp`, `rtsp-multicast`, `wsp`, `rtmp`, `http-flv`, `ws-flv`, `http-ts`, `ws-ts`, `relay`.
    pub protocol: &'static str,
    /// How it is connected, such as `tcp` or an address.
    pub detail: String,
}

/// A viewer at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub visitor: Visitor,
    /// Counts the stream's viewers from 1.
    pub number: u32,
    pub started: SystemTime,
    pub bytes_out: u64,
    /// Pieces that were left out because the viewer was too slow.
    pub skipped: u64,
}

/// Where a viewer goes on that has left the list.
struct Fallen {
    /// The form's start, or what is left of a piece that was cut off.
    rest: Vec<Piece>,
    /// Number of the piece after them.
    next: u64,
}

/// Why a viewer's time is over.
#[derive(Debug, thiserror::Error)]
pub enum Departure {
    #[error("the stream has ended")]
    Ended,
    #[error("the viewer took no data for {} s", PATIENCE.as_secs())]
    Stalled,
    #[error("the viewer was too slow, and this form leaves nothing out")]
    Behind,
    #[error("closed on request")]
    Closed,
    #[error("the viewer's connection broke")]
    Broken(#[source] io::Error),
}

impl Outlet {
    /// With the cached access units, numbered from `first_unit`, already packaged.
    pub(super) fn new<'a>(
        key: FormKey,
        mut form: Box<dyn Form>,
        tracks: &Tracks,
        cached: impl Iterator<Item = (u64, &'a AccessUnit)>,
        next_unit: u64,
    ) -> Self {
        let mut packed = Packed::default();
        for (_, unit) in cached {
            form.unit(tracks, unit, &mut packed);
        }
        let mut state = State {
            form,
            packed,
            next_unit,
            pieces: VecDeque::new(),
            first: 0,
            keyframe: None,
            former_keyframe: None,
            bytes: 0,
            listed: Vec::new(),
            behind: 0,
            ended: false,
        };
        let (_, pieces) = state.packed.take();
        for piece in pieces {
            state.keep(piece);
        }
        Self {
            sent: metrics::counter!("weir_sent_bytes_total", "form" => key.name),
            key,
            seats: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    /// Packages `units` (with their numbers) and writes them to all listed viewers: one round.
    pub(super) fn round(&self, tracks: &Tracks, units: &[(u64, AccessUnit)]) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for (number, unit) in units {
            if *number >= state.next_unit {
                state.form.unit(tracks, unit, &mut state.packed);
                state.next_unit = number + 1;
            }
        }
        state.deliver(&self.sent);
    }

    pub(super) fn tracks_changed(&self, tracks: &Tracks) {
        let mut state = self.state.lock();
        let state = &mut *state;
        // The old GOP needs the old parameter sets: nobody may start there any more.
        // Who is behind goes on reading it.
        state.former_keyframe = state.keyframe.take().or(state.former_keyframe);
        state.form.tracks_changed(tracks, &mut state.packed);
        state.deliver(&self.sent);
    }

    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.form.end(&mut state.packed);
        state.deliver(&self.sent);
        state.ended = true;
        state.drop_all();
    }
}

impl State {
    fn head(&self) -> u64 {
        self.first + self.pieces.len() as u64
    }

    fn keep(&mut self, piece: Piece) {
        if piece.keyframe {
            self.former_keyframe = self.keyframe.replace(self.head()).or(self.former_keyframe);
        }
        self.bytes += piece.bytes.len();
        self.pieces.push_back(piece);
        let start = self.keyframe.unwrap_or(self.head());
        let mut keep_from = start.saturating_sub(TAIL_PIECES as u64);
        // Who begins shortly before a keyframe gets all of the GOP that it began with.
        if let Some(former) = self.former_keyframe.filter(|_| self.behind > 0) {
            keep_from = keep_from.min(former);
        }
        let long_tail = start.saturating_sub(LONG_TAIL as u64);
        while self.first < keep_from && (self.bytes > LITTLE_BYTES || self.first < long_tail)
            || self.bytes > MOST_BYTES
        {
            let Some(gone) = self.pieces.pop_front() else {
                break;
            };
            self.bytes -= gone.bytes.len();
            if self.keyframe == Some(self.first) {
                self.keyframe = None;
            }
            self.first += 1;
        }
    }

    /// Writes what is packed to all listed viewers, and keeps it.
    fn deliver(&mut self, total: &metrics::Counter) {
        let (round, pieces) = self.packed.take();
        if pieces.is_empty() {
            return;
        }
        let head = self.head();
        let listed = self.listed.len();
        let mut sent = 0;
        self.listed.retain(|viewer| {
            let taken = match viewer.sink.try_write(&round, &pieces) {
                Ok(taken) => taken,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
                // Its own task will meet the error, and report it, when it writes.
                Err(_) => 0,
            };
            viewer.bytes_out.fetch_add(taken as u64, Ordering::Relaxed);
            sent += taken as u64;
            if taken == round.len() {
                return true;
            }
            viewer.fall(Fallen::cut(&pieces, taken, head));
            false
        });
        self.behind += listed - self.listed.len();
        total.increment(sent);
        for piece in pieces {
            self.keep(piece);
        }
    }

    /// Sends all listed viewers to their own tasks, which will find out why.
    fn drop_all(&mut self) {
        let next = self.head();
        self.behind += self.listed.len();
        for viewer in self.listed.drain(..) {
            viewer.fall(Fallen {
                rest: Vec::new(),
                next,
            });
        }
    }
}

impl Fallen {
    /// For a viewer that took the first `taken` bytes of `pieces`, the first of which has number
    /// `first`. A piece that was not begun need not be finished.
    fn cut(pieces: &[Piece], mut taken: usize, first: u64) -> Self {
        for (piece, number) in pieces.iter().zip(first..) {
            if taken == 0 {
                return Self {
                    rest: Vec::new(),
                    next: number,
                };
            }
            if taken < piece.bytes.len() {
                return Self {
                    rest: vec![piece.without(taken)],
                    next: number + 1,
                };
            }
            taken -= piece.bytes.len();
        }
        Self {
            rest: Vec::new(),
            next: first + pieces.len() as u64,
        }
    }
}

impl Viewer {
    fn fall(&self, fallen: Fallen) {
        *self.fallen.lock() = Some(fallen);
        self.wake.notify_one();
    }
}

/// A viewer's place at an outlet, held by the viewer's own task. Dropping it ends the viewing.
pub struct Seat {
    stream: Arc<Stream>,
    outlet: Arc<Outlet>,
    viewer: Arc<Viewer>,
}

/// Closes a seat, or sends it something, from elsewhere.
#[derive(Clone)]
pub struct SeatHandle(Weak<Viewer>);

impl Seat {
    /// A new viewer: gets the form's start, then what is cached since the newest keyframe.
    pub(super) fn take(
        stream: Arc<Stream>,
        outlet: Arc<Outlet>,
        sink: Box<dyn Sink>,
        visitor: Visitor,
    ) -> Self {
        let fallen = {
            let mut state = outlet.state.lock();
            let state = &mut *state;
            // Packed aside: these bytes are this viewer's alone.
            let mut start = Packed::default();
            state.behind += 1;
            state.form.start(&stream.tracks(), &mut start);
            Fallen {
                rest: start.take().1,
                next: state.keyframe.unwrap_or(state.head()),
            }
        };
        let viewer = Arc::new(Viewer {
            visitor,
            number: stream.next_number(),
            started: SystemTime::now(),
            sink,
            fallen: Mutex::new(Some(fallen)),
            replies: Mutex::default(),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            bytes_out: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        });
        stream.viewer_came(Some(SeatHandle(Arc::downgrade(&viewer))));
        Self {
            stream,
            outlet,
            viewer,
        }
    }

    /// Counts the stream's viewers from 1.
    pub fn number(&self) -> u32 {
        self.viewer.number
    }

    pub fn handle(&self) -> SeatHandle {
        SeatHandle(Arc::downgrade(&self.viewer))
    }

    /// Puts `bytes` between two pieces, for replies to a viewer that also gets media on the same
    /// connection. False if the viewer doesn't read its replies.
    pub fn send(&self, bytes: Bytes) -> bool {
        {
            let mut replies = self.viewer.replies.lock();
            if replies.len() >= MOST_REPLIES {
                return false;
            }
            replies.push_back(bytes);
        }
        self.unlist();
        self.viewer.wake.notify_one();
        true
    }

    /// Takes the viewer from the list, so that its own task writes next.
    fn unlist(&self) {
        let mut state = self.outlet.state.lock();
        let next = state.head();
        if let Some(at) = state.listed.iter().position(|v| Arc::ptr_eq(v, &self.viewer)) {
            let viewer = state.listed.swap_remove(at);
            state.behind += 1;
            viewer.fall(Fallen {
                rest: Vec::new(),
                next,
            });
        }
    }

    /// The viewer's life: writes whatever the publisher's task could not, until the viewing ends.
    /// Cancel-safe only in the sense that dropping it ends the viewing.
    pub async fn run(&self) -> Departure {
        loop {
            if self.viewer.closed.load(Ordering::Acquire) {
                return Departure::Closed;
            }
            let fallen = self.viewer.fallen.lock().take();
            match fallen {
                None => self.viewer.wake.notified().await,
                Some(fallen) => {
                    if let Err(departure) = self.catch_up(fallen).await {
                        return departure;
                    }
                }
            }
        }
    }

    /// Writes `fallen`'s rest and all that follows, then lists the viewer again.
    async fn catch_up(&self, fallen: Fallen) -> Result<(), Departure> {
        let mut next = fallen.next;
        let mut batch = fallen.rest;
        for piece in batch.drain(..) {
            self.write(piece).await?;
        }
        loop {
            if self.viewer.closed.load(Ordering::Acquire) {
                return Err(Departure::Closed);
            }
            while let Some(reply) = self.reply() {
                self.write(Piece::reply(reply)).await?;
            }
            {
                let mut state = self.outlet.state.lock();
                if next < state.first {
                    if !state.form.may_skip() {
                        return Err(Departure::Behind);
                    }
                    let start = state.keyframe.unwrap_or(state.head());
                    self.viewer.skipped.fetch_add(start - next, Ordering::Relaxed);
                    self.stream.count_skipped(start - next);
                    next = start;
                }
                let mut bytes = 0;
                let from = (next - state.first) as usize;
                for piece in state.pieces.iter().skip(from) {
                    bytes += piece.bytes.len();
                    batch.push(piece.clone());
                    if bytes >= BATCH_BYTES {
                        break;
                    }
                }
                if batch.is_empty() {
                    if state.ended {
                        return Err(Departure::Ended);
                    }
                    // A reply that came meanwhile must go first; it can't come while we hold the lock
                    // and be missed, because its sender then takes the viewer from the list.
                    if self.viewer.replies.lock().is_empty() {
                        state.listed.push(self.viewer.clone());
                        state.behind -= 1;
                        return Ok(());
                    }
                    continue;
                }
            }
            next += batch.len() as u64;
            for piece in batch.drain(..) {
                self.write(piece).await?;
            }
        }
    }

    fn reply(&self) -> Option<Bytes> {
        self.viewer.replies.lock().pop_front()
    }

    /// Writes all of a piece; as long as some bytes go out every now and then it may take long.
    async fn write(&self, mut piece: Piece) -> Result<(), Departure> {
        while !piece.bytes.is_empty() {
            match self
                .viewer
                .sink
                .try_write(&piece.bytes, std::slice::from_ref(&piece))
            {
                Ok(0) => return Err(Departure::Broken(io::ErrorKind::WriteZero.into())),
                Ok(taken) => {
                    self.viewer.bytes_out.fetch_add(taken as u64, Ordering::Relaxed);
                    self.outlet.sent.increment(taken as u64);
                    piece = piece.without(taken);
                    if let Some(pause) = self.viewer.sink.pause() {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let writable = std::future::poll_fn(|cx| self.viewer.sink.poll_writable(cx));
                    match tokio::time::timeout(PATIENCE, writable).await {
                        Err(_) => return Err(Departure::Stalled),
                        Ok(Err(e)) => return Err(Departure::Broken(e)),
                        Ok(Ok(())) => {}
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Departure::Broken(e)),
            }
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.outlet.state.lock();
        if let Some(at) = state.listed.iter().position(|v| Arc::ptr_eq(v, &self.viewer)) {
            state.listed.swap_remove(at);
        } else {
            state.behind -= 1;
        }
        drop(state);
        self.stream.viewer_left();
        self.stream.release(&self.outlet);
    }
}

impl SeatHandle {
    /// Ends the viewing soon.
    pub fn close(&self) {
        if let Some(viewer) = self.0.upgrade() {
            viewer.closed.store(true, Ordering::Release);
            viewer.wake.notify_one();
        }
    }

    /// What there is to say of the viewer; none when it has left.
    pub fn view(&self) -> Option<View> {
        let viewer = self.0.upgrade()?;
        Some(View {
            visitor: viewer.visitor.clone(),
            number: viewer.number,
            started: viewer.started,
            bytes_out: viewer.bytes_out.load(Ordering::Relaxed),
            skipped: viewer.skipped.load(Ordering::Relaxed),
        })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}
