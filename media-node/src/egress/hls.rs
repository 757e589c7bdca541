//! HLS: makes segments while somebody asks for them, and serves playlists and segments (ipchub
//! contract, section 9).
//!
//! A stream's segments are made by one task per process, started by the first playlist request and
//! ended when requests stop. It reads the stream as a subscriber, so that a camera on demand stays
//! up for HLS viewers too, and outlives the stream by a while: after a camera or a relay has come
//! back, the same playlist goes on, with a discontinuity.

use super::http::{Streams, admit};
use super::viewing::{Counted, viewer_span};
use super::{Refusal, Viewing};
use crate::auth::Caller;
use crate::hub::{Event, Hub, Stream, Subscriber};
use ::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug};
use weir_proto::hls::{Form, InitVersion, Links, Playlist, Segment, Segmenter, Window};
use weir_proto::media::{Codec, StreamPath, Timestamp, Tracks};

/// Segments that a playlist lists.
const LISTED: usize = 3;
/// Older ones that can still be fetched.
const OLDER: usize = 4;
/// Without a request for this long, making segments ends.
const IDLE: Duration = Duration::from_secs(30);
/// A playlist request waits this long for the first segment.
const FIRST_SEGMENT: Duration = Duration::from_secs(20);
/// A segment request waits this long for a segment that may come soon.
const NEXT_SEGMENT: Duration = Duration::from_secs(8);
/// After a stream has ended, it is waited for this long before its segments are given up.
const RETURN: Duration = Duration::from_secs(20);

/// The streams that are watched by HLS, in this process.
pub struct Hls {
    hub: Arc<Hub>,
    entries: Mutex<HashMap<StreamPath, Arc<Entry>>>,
}

/// One stream's segments.
struct Entry {
    window: Mutex<Window>,
    /// Grows with each segment.
    news: watch::Sender<u64>,
    requested: Mutex<Instant>,
}

impl Entry {
    fn touch(&self) {
        *self.requested.lock() = Instant::now();
    }

    fn is_idle(&self) -> bool {
        self.requested.lock().elapsed() >= IDLE
    }
}

/// A stream whose segments are being made. However that ends, its entry goes, or nobody would make them
/// any more.
struct Made {
    hls: Arc<Hls>,
    path: StreamPath,
    entry: Arc<Entry>,
}

impl Drop for Made {
    fn drop(&mut self) {
        let mut entries = self.hls.entries.lock();
        if entries
            .get(&self.path)
            .is_some_and(|e| Arc::ptr_eq(e, &self.entry))
        {
            entries.remove(&self.path);
        }
    }
}

impl Hls {
    pub fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            hub,
            entries: Mutex::default(),
        })
    }

    fn entry(&self, path: &StreamPath) -> Option<Arc<Entry>> {
        let entry = self.entries.lock().get(path).cloned()?;
        entry.touch();
        Some(entry)
    }

    /// The stream's segments, which are made from now on if they weren't.
    fn start(self: &Arc<Self>, stream: &Arc<Stream>) -> Arc<Entry> {
        let path = stream.path().clone();
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(&path) {
            entry.touch();
            return entry.clone();
        }
        let entry = Arc::new(Entry {
            window: Mutex::new(Window::new(Form::of(&stream.tracks()), LISTED, OLDER)),
            news: watch::Sender::new(0),
            requested: Mutex::new(Instant::now()),
        });
        entries.insert(path.clone(), entry.clone());
        drop(entries);
        let made = Made {
            hls: self.clone(),
            path: path.clone(),
            entry: entry.clone(),
        };
        let span = viewer_span(&path, "hls", None);
        let subscriber = stream.subscribe();
        let making = async move {
            let _counted = Counted::new("hls");
            made.hls.make(&path, &made.entry, subscriber).await;
            debug!("no more segments are made");
        };
        tokio::spawn(making.instrument(span));
        entry
    }

    /// Makes segments until nobody asks for them, or the stream is gone for good.
    async fn make(&self, path: &StreamPath, entry: &Entry, mut subscriber: Subscriber) {
        let mut segmenter: Option<Segmenter> = None;
        let mut clock = WallClock::default();
        loop {
            if entry.is_idle() {
                return;
            }
            // The time-out is for the idle check alone; a stream may be slow.
            let Ok(event) = timeout(IDLE / 4, subscriber.next()).await else {
                continue;
            };
            let segment = match event {
                Event::Tracks(tracks) => {
                    let form = Form::of(&tracks);
                    match &mut segmenter {
                        Some(segmenter) if entry.window.lock().form() == form => {
                            segmenter.set_tracks(&tracks)
                        }
                        _ => {
                            if entry.window.lock().form() != form {
                                *entry.window.lock() = Window::new(form, LISTED, OLDER);
                            }
                            segmenter = Some(Segmenter::new(form, &tracks));
                            None
                        }
                    }
                }
                Event::Unit(unit) => {
                    clock.note(unit.dts);
                    segmenter.as_mut().and_then(|s| s.push(&unit))
                }
                Event::Skipped(_) => {
                    if let Some(segmenter) = &mut segmenter {
                        segmenter.lose();
                    }
                    None
                }
                Event::Ended => {
                    let last = segmenter.as_mut().and_then(Segmenter::finish);
                    entry.keep(last, &clock);
                    if let Some(segmenter) = &mut segmenter {
                        segmenter.lose();
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
                    None
                }
            };
            entry.keep(segment, &clock);
        }
    }

    /// The stream's next session.
    async fn again(&self, path: &StreamPath) -> Option<Arc<Stream>> {
        let deadline = Instant::now() + RETURN;
        while Instant::now() < deadline {
            if let Some(stream) = self.hub.find(path, RETURN).await {
                return Some(stream);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        None
    }
}

impl Entry {
    fn keep(&self, segment: Option<Segment>, clock: &WallClock) {
        if let Some(segment) = segment {
            let at = clock.millis(segment.start);
            self.window.lock().push(segment, at);
            self.news.send_modify(|n| *n += 1);
        }
    }

    /// What can be listed now; waits for the first segment.
    async fn playlist(&self) -> Option<Playlist> {
        let mut news = self.news.subscribe();
        let deadline = Instant::now() + FIRST_SEGMENT;
        loop {
            news.borrow_and_update();
            let playlist = self.window.lock().playlist();
            if !playlist.entries.is_empty() {
                return Some(playlist);
            }
            tokio::time::timeout_at(deadline, news.changed())
                .await
                .ok()?
                .ok()?;
        }
    }
}

impl Entry {
    /// The segment with this number. Waits a little for one that is yet to come: a player that
    /// another gateway has served until now asks for what it read in that gateway's playlist.
    async fn segment(&self, number: u64, form: Form) -> Option<Bytes> {
        let mut news = self.news.subscribe();
        let deadline = Instant::now() + NEXT_SEGMENT;
        loop {
            news.borrow_and_update();
            {
                let window = self.window.lock();
                if window.form() != form {
                    return None;
                }
                if let Some(segment) = window.segment(number) {
                    return Some(segment.bytes.clone());
                }
                let newest = window.playlist().entries.last().map(|e| e.number);
                let may_come =
                    newest.is_none_or(|newest| number > newest && number - newest <= LISTED as u64);
                if !may_come {
                    return None;
                }
            }
            tokio::time::timeout_at(deadline, news.changed())
                .await
                .ok()?
                .ok()?;
        }
    }
}

/// Maps a session's timestamps to wall-clock time, by the earliest arrival.
#[derive(Default)]
struct WallClock {
    origin_micros: Option<i64>,
}

impl WallClock {
    fn note(&mut self, dts: Timestamp) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let origin = now.as_micros() as i64 - dts.as_micros();
        self.origin_micros = Some(self.origin_micros.map_or(origin, |known| known.min(origin)));
    }

    fn millis(&self, at: Timestamp) -> Option<i64> {
        self.origin_micros.map(|origin| (origin + at.as_micros()) / 1000)
    }
}

/// Whether HLS carries enough of a stream to be worth serving.
fn is_carried(tracks: &Tracks) -> bool {
    match tracks.video() {
        Some((_, track)) => matches!(track.codec.codec(), Codec::H264 | Codec::H265),
        None => tracks.has(Codec::Aac),
    }
}

pub(super) async fn playlist(
    streams: &Streams,
    caller: &Caller,
    stem: &str,
    token: Option<&str>,
) -> Response {
    let stream = match admit(&streams.viewing, caller, stem).await {
        Ok(stream) if is_carried(&stream.tracks()) => stream,
        Ok(_) => return Refusal::NotFound.into_response(),
        Err(refusal) => return refusal.into_response(),
    };
    let entry = streams.hls.start(&stream);
    drop(stream);
    let Some(playlist) = entry.playlist().await else {
        let text = "playlist is not enough,maybe the HLS stream just started\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let base = format!("/streams/{}", escaped(stem));
    let body = playlist.render(&Links { base: &base, token });
    let headers = [
        (header::CONTENT_TYPE, "application/x-mpegURL"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// The canonical path, safe inside a URI.
fn escaped(stem: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    let path = StreamPath::parse(stem).map(|p| p.to_string()).unwrap_or_default();
    percent_encoding::utf8_percent_encode(&path, KEEP).to_string()
}

/// A segment, or an init segment: `<path>/<number>.<extension>`, `<path>/init-<version>.mp4`.
pub(super) async fn resource(streams: &Streams, caller: &Caller, stem: &str, extension: &str) -> Response {
    let illegal = || (StatusCode::BAD_REQUEST, "Path illegal\n").into_response();
    let Some((stem, name)) = stem.rsplit_once('/') else {
        return illegal();
    };
    let Some(path) = StreamPath::parse(stem) else {
        return illegal();
    };
    // Rights are asked for on the stream's path, and first.
    if let Err(refusal) = allowed(&streams.viewing, caller, &path) {
        return refusal.into_response();
    }
    let entry = match streams.hls.entry(&path) {
        Some(entry) => entry,
        None => match admit(&streams.viewing, caller, stem).await {
            Ok(stream) if is_carried(&stream.tracks()) => streams.hls.start(&stream),
            Ok(_) => return Refusal::NotFound.into_response(),
            Err(refusal) => return refusal.into_response(),
        },
    };
    let (bytes, content_type) = if extension == "mp4" {
        let Some(version) = name.strip_prefix("init-").and_then(InitVersion::parse) else {
            return illegal();
        };
        let bytes = entry.window.lock().init(version).map(|init| init.bytes.clone());
        (bytes, "video/mp4")
    } else {
        let Ok(number) = name.parse() else {
            return illegal();
        };
        let form = if extension == "ts" { Form::Ts } else { Form::Fmp4 };
        (entry.segment(number, form).await, form.content_type())
    };
    match bytes {
        Some(bytes) => {
            metrics::counter!("weir_sent_bytes_total", "form" => "hls").increment(bytes.len() as u64);
            (
                [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))],
                bytes,
            )
                .into_response()
        }
        None => Refusal::NotFound.into_response(),
    }
}

fn allowed(viewing: &Viewing, caller: &Caller, path: &StreamPath) -> Result<(), Refusal> {
    viewing
        .auth
        .authorize(caller, crate::auth::Action::Subscribe(path))
        .map_err(Refusal::Denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_leaves_no_entry_that_nobody_fills() {
        let hls = Hls::new(Hub::new());
        let path = StreamPath::parse("door").expect("a path");
        let entry = Arc::new(Entry {
            window: Mutex::new(Window::new(Form::Ts, LISTED, OLDER)),
            news: watch::Sender::new(0),
            requested: Mutex::new(Instant::now()),
        });
        hls.entries.lock().insert(path.clone(), entry.clone());
        let made = Made {
            hls: hls.clone(),
            path: path.clone(),
            entry,
        };
        let making = tokio::spawn(async move {
            let _made = made;
            panic!("a made-up bug");
        });
        assert!(making.await.is_err());
        assert!(hls.entry(&path).is_none());
    }
}
