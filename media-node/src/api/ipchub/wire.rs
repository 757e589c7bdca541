//! The ipchub API's JSON, spelt as documented. Nothing is left out for being zero or empty, except
//! what is unknown about a track.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::Serializer;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(super) struct TokenPair<'a> {
    pub(super) access_token: &'a str,
    pub(super) refresh_token: &'a str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Server<'a> {
    pub(super) vendor: &'a str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) os: &'a str,
    pub(super) arch: &'a str,
    pub(super) start_on: String,
    pub(super) duration: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Runtime {
    pub(super) on: String,
    pub(super) proc: Proc,
    pub(super) streams: StreamCount,
    pub(super) rtsp: SessionCount,
    pub(super) flv: SessionCount,
    pub(super) wsp: SessionCount,
    pub(super) rtmp: SessionCount,
    /// Only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra: Option<Extra>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Proc {
    /// Percent of one core.
    pub(super) cpu: f64,
    /// Resident memory, KiB.
    #[serde(rename = "priv")]
    pub(super) private: u64,
    /// KiB.
    pub(super) virt: u64,
    /// Seconds.
    pub(super) uptime: u64,
}

/// Both names of each count: the documents' table has the one, their example the other.
#[derive(Serialize, ToSchema)]
pub(super) struct StreamCount {
    pub(super) sources: usize,
    pub(super) consumers: usize,
    pub(super) sc: usize,
    pub(super) cc: usize,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SessionCount {
    /// Since the start.
    pub(super) total: u64,
    /// Open now.
    pub(super) active: u64,
}

/// KiB, save for counts.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Extra {
    pub(super) heap: Heap,
    pub(super) mcache: Memory,
    pub(super) mspan: Memory,
    pub(super) stack: Memory,
    pub(super) gc: Collector,
    pub(super) go: Go,
}

#[derive(Default, Serialize, ToSchema)]
pub(super) struct Heap {
    pub(super) inuse: u64,
    pub(super) sys: u64,
    pub(super) alloc: u64,
    pub(super) idle: u64,
    pub(super) released: u64,
    /// A count.
    pub(super) objects: u64,
}

#[derive(Default, Serialize, ToSchema)]
pub(super) struct Memory {
    pub(super) inuse: u64,
    pub(super) sys: u64,
}

#[derive(Default, Serialize, ToSchema)]
pub(super) struct Collector {
    /// Fraction of all cores, 0 to 1.
    pub(super) cpu: f64,
    pub(super) sys: u64,
}

#[derive(Default, Serialize, ToSchema)]
pub(super) struct Go {
    /// Tasks.
    pub(super) count: usize,
    /// Processors.
    pub(super) procs: usize,
    pub(super) sys: u64,
    pub(super) alloc: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct UserList {
    pub(super) total: u64,
    pub(super) next_page_token: String,
    pub(super) users: Vec<User>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) admin: bool,
    pub(super) push: String,
    pub(super) pull: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RouteList {
    pub(super) total: usize,
    pub(super) next_page_token: String,
    pub(super) routes: Vec<Route>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Route {
    pub(super) pattern: String,
    /// With its credentials.
    pub(super) url: String,
    pub(super) keepalive: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StreamList {
    pub(super) total: usize,
    pub(super) next_page_token: String,
    pub(super) streams: Vec<Stream>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Stream {
    pub(super) start_on: String,
    pub(super) path: String,
    pub(super) addr: String,
    /// KiB.
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) video: Option<Video>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audio: Option<Audio>,
    pub(super) cc: usize,
    /// Only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cs: Option<Vec<Consumer>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Video {
    pub(super) codec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fixedframerate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub(super) framerate: Option<f64>,
    /// kbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datarate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clockrate: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Audio {
    pub(super) codec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) samplerate: Option<u32>,
    pub(super) samplesize: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channels: Option<u32>,
    /// kbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datarate: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Consumer {
    pub(super) id: u32,
    pub(super) start_on: String,
    pub(super) packet_type: &'static str,
    pub(super) extra: String,
    pub(super) flow: Flow,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Flow {
    /// KiB.
    pub(super) inbytes: u64,
    pub(super) outbytes: u64,
}

/// 25 and not 25.0.
#[expect(clippy::ref_option, reason = "serde calls it so")]
fn number<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e15 => serializer.serialize_i64(*whole as i64),
        value => value.serialize(serializer),
    }
}

/// Success without content: no body, and no type of one.
pub(super) fn nothing() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], ()).into_response()
}

/// Indented with tabs, and called plain text, as the documented server does.
pub(super) fn json(value: &impl Serialize) -> Response {
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut text = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter));
    // Maps with keys that are no strings are the only thing that can't be written.
    written.expect("these types have named fields only");
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}
