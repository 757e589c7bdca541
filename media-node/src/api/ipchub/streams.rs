//! `/api/v1/streams`: what runs and who watches, and ending that.

use super::super::error::Error;
use super::super::streams::{Consumer, ConsumerId, ConsumerKind, Stream};
use super::super::{Api, request};
use super::paging::{Wanted, number};
use super::server::time;
use super::wire;
use axum::http::Uri;
use axum::response::Response;
use weir_proto::media::StreamPath;

#[utoipa::path(
    get,
    path = "/api/v1/streams",
    operation_id = "ipchub.streams.list",
    tag = "streams",
    summary = "Lists the streams that run, by path",
    params(
        ("c" = Option<String>, Query, description = "1 adds consumers"),
        ("page_size" = Option<i64>, Query, description = "Most items of a page, 20 if missing"),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = wire::StreamList, content_type = "text/plain"),
        (status = 500, description = "Wrong input: no such size of a page", body = String),
    ),
    security(("token" = []))
)]
pub(super) async fn list(api: &Api, uri: &Uri) -> Result<Response, Error> {
    let wanted = Wanted::parse(uri)?;
    let streams = api.streams.survey().await.streams;
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

/// `path` is the rest of the request's path, percent-encoded, as for the others here.
#[utoipa::path(
    get,
    path = "/api/v1/streams/{path}",
    operation_id = "ipchub.streams.get",
    tag = "streams",
    summary = "Tells about a stream that runs",
    params(
        ("path" = String, Path, description = "With its slashes", example = "gate/a1"),
        ("c" = Option<String>, Query, description = "1 adds consumers"),
    ),
    responses(
        (status = 200, description = "The stream", body = wire::Stream, content_type = "text/plain"),
        (status = 404, description = "It does not run", body = String),
    ),
    security(("token" = []))
)]
pub(super) async fn one(api: &Api, path: &str, uri: &Uri) -> Result<Response, Error> {
    let path = StreamPath::parse(&decoded(path)?).ok_or(Error::NotFound)?;
    let stream = api.streams.stream(&path).await.ok_or(Error::NotFound)?;
    Ok(wire::json(&wire_stream(stream, with_consumers(uri))))
}

/// Ends a stream, or with the verb `:consumer` one who watches it. What is not there has ended.
#[utoipa::path(
    delete,
    path = "/api/v1/streams/{path}",
    operation_id = "ipchub.streams.delete",
    tag = "streams",
    summary = "Closes a stream: its source, and all who watch",
    params(("path" = String, Path, description = "With its slashes", example = "gate/a1")),
    responses(
        (status = 200, description = "Closed, or did not run"),
        (status = 404, description = "The path is no UTF-8", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn delete(api: &Api, path: &str, uri: &Uri) -> Result<Response, Error> {
    let path = decoded(path)?;
    if let Some(path) = path.strip_suffix(":consumer") {
        return stop_consumer(api, path, uri).await;
    }
    if let Some(path) = StreamPath::parse(&path) {
        tracing::info!(stream = %path, "a stream is closed on request");
        api.streams.close(&path).await;
    }
    Ok(wire::nothing())
}

#[utoipa::path(
    delete,
    path = "/api/v1/streams/{path}:consumer",
    operation_id = "ipchub.streams.stop_consumer",
    tag = "streams",
    summary = "Lets one who watches go",
    params(
        ("path" = String, Path, description = "With its slashes", example = "gate/a1"),
        ("cid" = i64, Query, description = "`id` of the consumer", example = 1_073_741_825),
    ),
    responses(
        (status = 200, description = "Gone, or was not there"),
        (status = 404, description = "The path is no UTF-8", body = String),
        (status = 500, description = "Wrong input: `cid` is missing, or no number", body = String),
    ),
    security(("token" = ["admin"]))
)]
async fn stop_consumer(api: &Api, path: &str, uri: &Uri) -> Result<Response, Error> {
    let cid = request::parameter(uri, "cid").unwrap_or_default();
    let cid = number::<i64>("ParseInt", &cid)?;
    let id = u32::try_from(cid).ok().and_then(ConsumerId::from_bits);
    if let (Some(path), Some(id)) = (StreamPath::parse(path), id) {
        tracing::info!(stream = %path, consumer = cid, "a consumer is let go on request");
        api.streams.close_consumer(&path, id).await;
    }
    Ok(wire::nothing())
}

fn decoded(path: &str) -> Result<String, Error> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    Ok(decoded.map_err(|_| Error::NotFound)?.into_owned())
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
        consumers.sort_by_key(|consumer| consumer.id.bits());
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
        id: consumer.id.bits(),
        start_on: time(consumer.started),
        packet_type: match consumer.id.kind {
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
