//! `GET /api/weir/v1/endpoints`: where the other protocols are. Told to everybody, because players
//! need it before anybody logs in.

use super::super::Api;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;

/// Ports as clients reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoints {
    /// RTSP and HTTP.
    pub rtsp: u16,
    pub http: u16,
    pub rtmp: u16,
    /// Whether each of them takes TLS as well.
    pub tls: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(flatten)]
    endpoints: Endpoints,
    anonymous_view: bool,
}

pub(super) async fn tell(State(api): State<Arc<Api>>) -> Response {
    super::json(&Reply {
        endpoints: api.endpoints,
        anonymous_view: api.auth.anonymous_view(),
    })
}
