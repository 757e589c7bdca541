//! `GET /api/v1/streams` and `GET /api/v1/streams/{path}`: what runs, and who watches.

use super::super::error::Error;
use super::super::{Api, request};
use super::paging::Wanted;
use super::server::time;
use super::wire;
use async_trait::async_trait;
use axum::http::Uri;
use axum::response::Response;
use std::time::SystemTime;
use weir_proto::media::StreamPath;

/// Knows the streams that run, in the whole pool. Made by the role. Asking never starts one.
#[async_trait]
pub trait StreamDirectory: Send + Sync + 'static {
    /// All of them, in any order, each path once.
    async fn streams(&self) -> Result<Vec<Stream>, DirectoryError>;

    /// The one with this path, if it runs.
    async fn stream(&self, path: &StreamPath) -> Result<Option<Stream>, DirectoryError>;
}

/// Why streams can't be told. The text is shown to the caller.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DirectoryError(pub String);

/// A running stream, as far as an API tells about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub path: StreamPath,
    pub started: SystemTime,
    /// The upstream URL without credentials and with its port, or the publisher's `ip:port`.
    pub provider: String,
    pub received_bytes: u64,
    pub video: Option<Video>,
    pub audio: Option<Audio>,
    pub consumers: Vec<Consumer>,
}

/// The codec is named as in SDP, with `H265` for it and `AAC` for MPEG4-GENERIC.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Video {
    pub codec: String,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub frame_rate: Option<FrameRate>,
    pub data_rate_kbps: Option<u32>,
    pub clock_rate_hz: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameRate {
    pub per_second: f64,
    /// Whether it never changes, by the codec's parameters.
    pub fixed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audio {
    pub codec: String,
    pub sample_rate_hz: Option<u32>,
    pub channels: Option<u32>,
    pub data_rate_kbps: Option<u32>,
}

/// Somebody who watches: not a relay, and not a reader of HLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    pub kind: ConsumerKind,
    /// Ordinal of the pod that serves it, below 256; 0 when there is one.
    pub node: u8,
    /// Counts a stream's consumers on that pod from 1, below 2^22.
    pub number: u32,
    pub started: SystemTime,
    /// How it is connected, such as `net=rtsp-tcp` or `net=http-flv,10.0.0.20:46060`.
    pub extra: String,
    pub queued_bytes: u64,
    pub sent_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConsumerKind {
    Rtp,
    Flv,
}

impl Consumer {
    /// Unique in a stream:
    /// ```text
    ///  31 30 29        22 21                    0
    /// | kind |   node    |        number         |
    /// ```
    fn id(&self) -> u32 {
        let kind = match self.kind {
            ConsumerKind::Rtp => 0,
            ConsumerKind::Flv => 1,
        };
        kind << 30 | u32::from(self.node) << 22 | self.number & 0x3f_ffff
    }
}

pub(super) async fn list(api: &Api, uri: &Uri) -> Result<Response, Error> {
    let wanted = Wanted::parse(uri)?;
    let streams = api.streams.streams().await.map_err(failed)?;
    let page = wanted.cut(streams, |stream| shown(&stream.path));
    let consumers = with_consumers(uri);
    Ok(wire::json(&wire::StreamList {
        total: page.total,
        next_page_token: page.last.unwrap_or_default(),
        streams: page
            .items
            .into_iter()
            .map(|stream| wire_stream(stream, consumers))
            .collect(),
    }))
}

/// `path` is the rest of the request's path, percent-encoded.
pub(super) async fn one(api: &Api, path: &str, uri: &Uri) -> Result<Response, Error> {
    let path = percent_encoding::percent_decode_str(path).decode_utf8();
    let path = path
        .ok()
        .and_then(|path| StreamPath::parse(&path))
        .ok_or(Error::NotFound)?;
    let stream = api
        .streams
        .stream(&path)
        .await
        .map_err(failed)?
        .ok_or(Error::NotFound)?;
    Ok(wire::json(&wire_stream(stream, with_consumers(uri))))
}

fn failed(error: DirectoryError) -> Error {
    Error::Failed(error.0)
}

fn with_consumers(uri: &Uri) -> bool {
    request::parameter(uri, "c").as_deref() == Some("1")
}

fn shown(path: &StreamPath) -> String {
    format!("/{path}")
}

fn wire_stream(stream: Stream, with_consumers: bool) -> wire::Stream {
    let cc = stream.consumers.len();
    let cs = with_consumers.then(|| {
        let mut consumers = stream.consumers;
        consumers.sort_by_key(Consumer::id);
        consumers.into_iter().map(wire_consumer).collect()
    });
    wire::Stream {
        start_on: time(stream.started),
        path: shown(&stream.path),
        addr: stream.provider,
        size: stream.received_bytes / 1024,
        video: stream.video.map(|video| wire::Video {
            codec: video.codec,
            width: video.width,
            height: video.height,
            fixedframerate: video.frame_rate.map(|rate| rate.fixed),
            framerate: video.frame_rate.map(|rate| rate.per_second),
            datarate: video.data_rate_kbps,
            clockrate: video.clock_rate_hz,
        }),
        audio: stream.audio.map(|audio| wire::Audio {
            codec: audio.codec,
            samplerate: audio.sample_rate_hz,
            samplesize: 16,
            channels: audio.channels,
            datarate: audio.data_rate_kbps,
        }),
        cc,
        cs,
    }
}

fn wire_consumer(consumer: Consumer) -> wire::Consumer {
    wire::Consumer {
        id: consumer.id(),
        start_on: time(consumer.started),
        packet_type: match consumer.kind {
            ConsumerKind::Rtp => "RTP",
            ConsumerKind::Flv => "FLV",
        },
        extra: consumer.extra,
        flow: wire::Flow {
            inbytes: consumer.queued_bytes / 1024,
            outbytes: consumer.sent_bytes / 1024,
        },
    }
}
