//! HTTP-FLV and HTTP-TS: one response without an end (ipchub contract, section 8, for FLV).

use super::direct_body::DirectBody;
use super::form::Framing;
use super::live::Live;
use super::viewing::{Counted, viewer_span};
use super::{Refusal, Viewing, http};
use crate::auth::Caller;
use crate::hub::{TcpSink, Visitor};
use crate::listen::Connection;
use ::http::{Method, Version, header};
use axum::body::Body;
use axum::response::{IntoResponse, Response};

pub(super) async fn play(
    live: Live,
    viewing: &Viewing,
    connection: Connection,
    caller: &Caller,
    stem: &str,
    method: Method,
    version: Version,
) -> Response {
    let stream = match http::admit(viewing, caller, stem).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal.into_response(),
    };
    if !live.carries_any(&stream.tracks()) {
        return Refusal::NotFound.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, live.content_type()),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    if method == Method::HEAD {
        return (headers, Body::empty()).into_response();
    }
    let framing = if version == Version::HTTP_11 {
        Framing::Chunked
    } else {
        Framing::Bare
    };
    let protocol = live.http_protocol();
    let span = viewer_span(stream.path(), protocol, Some(connection.peer));
    let visitor = Visitor {
        protocol,
        detail: connection.peer.to_string(),
    };
    let sink = TcpSink::new(connection.socket.clone());
    let body = DirectBody::new(connection, span.in_scope(|| Counted::new(protocol)), move || {
        let tracks = stream.tracks();
        stream.watch(
            live.key(framing),
            || live.form(&tracks, framing),
            Box::new(sink),
            visitor,
        )
    });
    (headers, Body::new(body)).into_response()
}
