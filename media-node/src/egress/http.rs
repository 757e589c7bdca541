//! `/streams/…` and `/ws/…`: which form of which stream a URL asks for (ipchub contract, 7 to 9).

use super::hls::{self, Hls, PlaylistQuery};
use super::live::{self, Live};
use super::web_socket::{self, Conversation};
use super::{Refusal, Viewing, http_live};
use crate::auth::Caller;
use crate::listen::Connection;
use axum::Router;
use axum::extract::{Extension, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use std::sync::Arc;
use weir_proto::http::split_extension;
use weir_proto::media::StreamPath;

/// What these routes need.
#[derive(Clone)]
pub struct Streams {
    pub viewing: Viewing,
    pub hls: Arc<Hls>,
    /// Takes each WebSocket on which more is said than media.
    pub conversation: Conversation,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    token: Option<String>,
    /// Present: low-latency HLS.
    ll: Option<String>,
    #[serde(rename = "_HLS_msn")]
    msn: Option<String>,
    #[serde(rename = "_HLS_part")]
    part: Option<String>,
}

/// The media routes of an HTTP port.
pub fn router(streams: Streams) -> Router {
    Router::new()
        .route("/streams/{*rest}", any(serve))
        .route("/ws/{*rest}", any(serve))
        .with_state(streams)
}

async fn serve(
    State(streams): State<Streams>,
    Extension(connection): Extension<Connection>,
    Query(parameters): Query<Parameters>,
    request: Request,
) -> Response {
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => dispatch(&streams, connection, &parameters, request).await,
        Method::OPTIONS => preflight(),
        _ => Refusal::NotFound.into_response(),
    };
    let any_origin = HeaderValue::from_static("*");
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any_origin);
    response
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Content-Type"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn dispatch(
    streams: &Streams,
    connection: Connection,
    parameters: &Parameters,
    request: Request,
) -> Response {
    let token = parameters.token.as_deref();
    let raw = request.uri().path().trim_start_matches('/');
    let Some((prefix, rest)) = raw.split_once('/') else {
        return Refusal::NotFound.into_response();
    };
    let rest = percent_encoding::percent_decode_str(rest)
        .decode_utf8_lossy()
        .into_owned();
    if web_socket::is_upgrade(request.headers()) {
        let caller = streams.viewing.auth.caller_by_token(token).await;
        return web_socket::open(streams, connection, caller, &rest, request).await;
    }
    if prefix == "ws" {
        return (StatusCode::BAD_REQUEST, "Bad Request\n").into_response();
    }
    let Some((stem, extension)) = split_extension(&rest) else {
        return Refusal::NotFound.into_response();
    };
    if rest.rsplit('/').next() == Some("crossdomain.xml") {
        return crossdomain();
    }
    let caller = streams.viewing.auth.caller_by_token(token).await;
    let live = match extension {
        "flv" => Some(Live::Flv),
        "ts" if !live::is_segment(stem) => Some(Live::Ts),
        _ => None,
    };
    if let Some(live) = live {
        let (method, version) = (request.method().clone(), request.version());
        return http_live::play(live, &streams.viewing, connection, &caller, stem, method, version).await;
    }
    match extension {
        "m3u8" => {
            let query = PlaylistQuery {
                token,
                low_latency: parameters.ll.is_some(),
                msn: parameters.msn.as_deref(),
                part: parameters.part.as_deref(),
            };
            hls::playlist(streams, &caller, stem, query).await
        }
        "ts" | "m4s" | "mp4" => hls::resource(streams, &caller, stem, extension, token.is_some()).await,
        _ => Refusal::NotFound.into_response(),
    }
}

/// Old Flash players ask for it under any path.
fn crossdomain() -> Response {
    let body = concat!(
        r#"<?xml version="1.0"?><cross-domain-policy>"#,
        r#"<allow-access-from domain="*"/></cross-domain-policy>"#
    );
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// The stream that a URL's stem names, admitted.
pub(super) async fn admit(
    viewing: &Viewing,
    caller: &Caller,
    stem: &str,
) -> Result<Arc<crate::hub::Stream>, Refusal> {
    let path = StreamPath::parse(stem).ok_or(Refusal::NotFound)?;
    viewing.admit(caller, &path).await
}
