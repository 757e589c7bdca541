//! `GET /api/v1/runtime`: how the answering process is, and what runs in the pool.

use super::super::streams::SessionCount;
use super::super::{Api, request};
use super::server::time;
use super::wire;
use axum::http::Uri;
use axum::response::Response;
use std::time::SystemTime;
use tokio::runtime::Handle;

#[utoipa::path(
    get,
    path = "/api/v1/runtime",
    operation_id = "ipchub.runtime",
    tag = "system",
    summary = "Tells how the process is, and what runs in the pool",
    params(("extra" = Option<String>, Query, description = "1 adds figures of memory")),
    responses((status = 200, description = "Counters", body = wire::Runtime, content_type = "text/plain"))
)]
pub(super) async fn tell(api: &Api, uri: &Uri) -> Response {
    let survey = api.streams.survey().await;
    let figures = api.server.process.figures();
    let sources = survey.streams.len();
    let consumers = survey.streams.iter().map(|stream| stream.consumers.len()).sum();
    let extra = request::parameter(uri, "extra").is_some_and(|extra| extra.trim() == "1");
    wire::json(&wire::Runtime {
        on: time(SystemTime::now()),
        proc: wire::Proc {
            cpu: figures.cpu_percent,
            private: figures.resident_kib,
            virt: figures.virtual_kib,
            uptime: figures.uptime.as_secs(),
        },
        streams: wire::StreamCount {
            sources,
            consumers,
            sc: sources,
            cc: consumers,
        },
        rtsp: survey.sessions.rtsp.into(),
        flv: survey.sessions.flv.into(),
        wsp: survey.sessions.wsp.into(),
        rtmp: survey.sessions.rtmp.into(),
        extra: extra.then(wire_extra),
    })
}

/// The figures of a Go process. Those of its allocator and collector stay 0: there are none here.
fn wire_extra() -> wire::Extra {
    let tasks = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks());
    wire::Extra {
        go: wire::Go {
            count: tasks,
            procs: std::thread::available_parallelism().map_or(0, usize::from),
            ..wire::Go::default()
        },
        ..wire::Extra::default()
    }
}

impl From<SessionCount> for wire::SessionCount {
    fn from(count: SessionCount) -> Self {
        Self {
            total: count.total,
            active: count.active,
        }
    }
}
