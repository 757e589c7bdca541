//! HTTP-FLV: an endless response of FLV tags (ipchub contract, section 8).

use super::direct_body::DirectBody;
use super::form::flv::{FlvForm, Framing};
use super::viewing::{Counted, viewer_span};
use super::{Refusal, Viewing, http};
use crate::auth::Caller;
use crate::hub::{Form, TcpSink, Visitor};
use crate::listen::Connection;
use ::http::{Method, Version, header};
use axum::body::Body;
use axum::response::{IntoResponse, Response};

pub(super) async fn play(
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
    if !FlvForm::carries_any(&stream.tracks()) {
        return Refusal::NotFound.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "video/x-flv"),
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
    let span = viewer_span(stream.path(), "http-flv", Some(connection.peer));
    let visitor = Visitor {
        protocol: "http-flv",
        detail: connection.peer.to_string(),
    };
    let sink = TcpSink::new(connection.socket.clone());
    let body = DirectBody::new(
        connection,
        span.in_scope(|| Counted::new("http-flv")),
        move || {
            let tracks = stream.tracks();
            stream.watch(
                framing.key(),
                || Box::new(FlvForm::new(&tracks, framing)) as Box<dyn Form>,
                Box::new(sink),
                visitor,
            )
        },
    );
    (headers, Body::new(body)).into_response()
}
