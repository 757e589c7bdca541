//! HLS: serves playlists, segments and parts of segments.
//!
//! ```text
//! makers        one task per stream that is asked for, and those who wait for what it makes
//! plain         segments (ipchub contract, section 9)
//! low_latency   segments and their parts (RFC 8216bis)
//! ```
//!
//! | URL below `/streams/` | |
//! |---|---|
//! | `<path>.m3u8` | the documented playlist |
//! | `<path>/<number>.ts`, `<path>/<number>.m4s`, `<path>/init-<version>.mp4` | what it names |
//! | `<path>.m3u8?ll` | the low-latency playlist |
//! | `<path>/ll-<number>.m4s`, `<path>/ll-<number>-<part>.m4s`, `<path>/ll-init-<version>.mp4` | what that names |

mod low_latency;
mod makers;
mod plain;
mod wall_clock;

use super::http::{Streams, admit};
use super::{Refusal, Viewing};
use crate::auth::Caller;
use crate::hub::{Hub, Stream};
use ::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use low_latency::{LowLatency, Name};
use makers::{Entry, Makers, Product};
use plain::Plain;
use std::sync::Arc;
use std::time::Duration;
use weir_proto::hls::{Awaited, Form, InitVersion, Links};
use weir_proto::media::{Codec, StreamPath, Tracks};

/// How streams are cut.
#[derive(Clone, Copy, Debug)]
pub struct Cutting {
    /// What segments last at least. Their owner cuts them; here it is what players are told to expect.
    pub segment: Duration,
    /// What parts last, as nearly as access units allow.
    pub part: Duration,
}

/// The streams that are watched by HLS, in this process.
pub struct Hls {
    plain: Arc<Makers<Plain>>,
    low_latency: Arc<Makers<LowLatency>>,
}

impl Hls {
    pub fn new(hub: Arc<Hub>, cutting: Cutting) -> Arc<Self> {
        Arc::new(Self {
            plain: Plain::makers(hub.clone()),
            low_latency: LowLatency::makers(hub, cutting),
        })
    }
}

/// What a playlist's query may say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PlaylistQuery<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) low_latency: bool,
    /// `_HLS_msn` and `_HLS_part`.
    pub(super) msn: Option<&'a str>,
    pub(super) part: Option<&'a str>,
}

/// Whether HLS carries enough of a stream to be worth serving.
fn is_carried(tracks: &Tracks) -> bool {
    match tracks.video() {
        Some((_, track)) => matches!(track.codec.codec(), Codec::H264 | Codec::H265),
        None => tracks.has(Codec::Aac),
    }
}

async fn admitted(viewing: &Viewing, caller: &Caller, stem: &str) -> Result<Arc<Stream>, Refusal> {
    let stream = admit(viewing, caller, stem).await?;
    if is_carried(&stream.tracks()) {
        Ok(stream)
    } else {
        Err(Refusal::NotFound)
    }
}

pub(super) async fn playlist(
    streams: &Streams,
    caller: &Caller,
    stem: &str,
    query: PlaylistQuery<'_>,
) -> Response {
    let stream = match admitted(&streams.viewing, caller, stem).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal.into_response(),
    };
    let base = format!("/streams/{}", escaped(stem));
    let links = Links {
        base: &base,
        token: query.token,
    };
    // The documented playlist knows nothing of what may be awaited.
    if !query.low_latency {
        let entry = streams.hls.plain.start(&stream);
        drop(stream);
        return plain::playlist(&entry, &links).await;
    }
    let awaited = match Awaited::parse(query.msn, query.part) {
        Ok(awaited) => awaited,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let entry = streams.hls.low_latency.start(&stream);
    drop(stream);
    low_latency::playlist(&entry, &links, awaited).await
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

/// What a playlist names: `<path>/<name>.<extension>`. `has_token`: nobody else may be handed the reply.
pub(super) async fn resource(
    streams: &Streams,
    caller: &Caller,
    stem: &str,
    extension: &str,
    has_token: bool,
) -> Response {
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
    if let Some(name) = name.strip_prefix("ll-") {
        let Some(name) = Name::parse(name).filter(|name| {
            let is_init = matches!(name, Name::Init(_));
            extension == if is_init { "mp4" } else { "m4s" }
        }) else {
            return illegal();
        };
        let entry = match entry(&streams.hls.low_latency, streams, caller, &path).await {
            Ok(entry) => entry,
            Err(refusal) => return refusal.into_response(),
        };
        let bytes = low_latency::resource(&entry, name).await;
        let mut reply = media(bytes, LowLatency::PROTOCOL, Form::Fmp4.content_type());
        if reply.status().is_success() {
            // The bytes of a name never change (RFC 8216bis, appendix B).
            let whose = if has_token { "private" } else { "public" };
            if let Ok(value) = HeaderValue::try_from(format!("{whose}, max-age=60, immutable")) {
                reply.headers_mut().insert(header::CACHE_CONTROL, value);
            }
        }
        return reply;
    }
    let entry = match entry(&streams.hls.plain, streams, caller, &path).await {
        Ok(entry) => entry,
        Err(refusal) => return refusal.into_response(),
    };
    if extension == "mp4" {
        let Some(version) = name.strip_prefix("init-").and_then(InitVersion::parse) else {
            return illegal();
        };
        return media(plain::init(&entry, version), Plain::PROTOCOL, "video/mp4");
    }
    let Ok(number) = name.parse() else {
        return illegal();
    };
    let form = if extension == "ts" { Form::Ts } else { Form::Fmp4 };
    let bytes = plain::segment(&entry, number, form).await;
    media(bytes, Plain::PROTOCOL, form.content_type())
}

/// What is made of a stream, from now on if it wasn't: its player may come from another gateway.
async fn entry<P: Product>(
    makers: &Arc<Makers<P>>,
    streams: &Streams,
    caller: &Caller,
    path: &StreamPath,
) -> Result<Arc<Entry<P>>, Refusal> {
    if let Some(entry) = makers.entry(path) {
        return Ok(entry);
    }
    let stream = admitted(&streams.viewing, caller, path.as_str()).await?;
    Ok(makers.start(&stream))
}

fn media(bytes: Option<Bytes>, form: &'static str, content_type: &'static str) -> Response {
    let Some(bytes) = bytes else {
        return Refusal::NotFound.into_response();
    };
    metrics::counter!("weir_sent_bytes_total", "form" => form).increment(bytes.len() as u64);
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (headers, bytes).into_response()
}

fn allowed(viewing: &Viewing, caller: &Caller, path: &StreamPath) -> Result<(), Refusal> {
    viewing
        .auth
        .authorize(caller, crate::auth::Action::Subscribe(path))
        .map_err(Refusal::Denied)
}
