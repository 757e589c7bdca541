//! WebSocket-FLV: FLV tags in binary messages (ipchub contract, sections 7 and 8).

use super::form::flv::{FlvForm, Framing};
use super::viewing::Counted;
use super::{Refusal, Viewing, http};
use crate::auth::Caller;
use crate::hub::{Departure, Form, Seat, Stream, TcpSink, Visitor};
use crate::listen::{Connection, HttpIo};
use ::http::{HeaderMap, StatusCode, header};
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tracing::{Instrument, debug, info_span};
use weir_proto::websocket::{self, Message, Reader};

/// Appended to the client's key (RFC 6455 section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What a client may leave unread by us: a ping and its neighbours.
const MOST_INPUT: usize = 4 << 10;

/// Whether a request wants to become a WebSocket. `Connection` is a list.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let lists = |name, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket")
}

pub(super) async fn play(
    viewing: &Viewing,
    connection: Connection,
    caller: &Caller,
    stem: &str,
    mut request: Request,
) -> Response {
    let key = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|k| k.as_bytes().to_vec());
    let version_13 = request
        .headers()
        .get(header::SEC_WEBSOCKET_VERSION)
        .is_some_and(|v| v == "13");
    let (Some(key), true) = (key, version_13) else {
        return (
            StatusCode::BAD_REQUEST,
            "a WebSocket request of version 13 is needed\n",
        )
            .into_response();
    };
    let stream = match http::admit(viewing, caller, stem).await {
        Ok(stream) if FlvForm::carries_any(&stream.tracks()) => Some(stream),
        // The contract's clients expect the upgrade, then the close.
        Ok(_) | Err(Refusal::NotFound) => None,
        Err(refusal) => return refusal.into_response(),
    };
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize());
    let upgrade = hyper::upgrade::on(&mut request);
    let path = stream.as_ref().map(|s| s.path().to_string()).unwrap_or_default();
    let span = info_span!("egress", stream = path, protocol = "ws-flv", peer = %connection.peer);
    let serving = async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "the upgrade failed"),
        };
        // Never another type: `listen` serves nothing else.
        let Ok(parts) = upgraded.downcast::<TokioIo<HttpIo>>() else {
            return;
        };
        let (socket, mut input) = parts.io.into_inner().into_parts();
        input.extend_from_slice(&parts.read_buf);
        match stream {
            Some(stream) => view(stream, &socket, input).await,
            None => drop(socket.try_write(&websocket::close(1000))),
        }
    };
    tokio::spawn(serving.instrument(span));
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

async fn view(stream: Arc<Stream>, socket: &Arc<TcpStream>, input: BytesMut) {
    let tracks = stream.tracks();
    let framing = Framing::WebSocket;
    let form = || Box::new(FlvForm::new(&tracks, framing)) as Box<dyn Form>;
    let detail = socket
        .peer_addr()
        .map(|peer| peer.to_string())
        .unwrap_or_default();
    let visitor = Visitor {
        protocol: "ws-flv",
        detail,
    };
    let seat = stream.watch(
        framing.key(),
        form,
        Box::new(TcpSink::new(socket.clone())),
        visitor,
    );
    let _counted = Counted::new("ws-flv").seated(&seat);
    let departure = tokio::select! {
        departure = seat.run() => departure,
        departure = listen(socket, input, &seat) => departure,
    };
    debug!(reason = %departure, "the connection is given up");
}

/// Answers pings, until the client leaves or breaks the protocol.
async fn listen(socket: &TcpStream, mut input: BytesMut, seat: &Seat) -> Departure {
    let mut reader = Reader::default();
    loop {
        loop {
            match reader.read(&mut input) {
                Ok(None) => break,
                // Messages are not kept; what players say is of no interest.
                Ok(Some(Message::Data(_))) => {}
                Ok(Some(Message::Close)) => return Departure::Closed,
                Ok(Some(Message::Ping(payload))) => {
                    if !seat.send(websocket::pong(&payload)) {
                        return Departure::Stalled;
                    }
                }
                Err(error) => return Departure::Broken(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        if let Err(error) = socket.readable().await {
            return Departure::Broken(error);
        }
        input.reserve(MOST_INPUT.saturating_sub(input.len()).max(1));
        match socket.try_read_buf(&mut input) {
            Ok(0) => return Departure::Closed,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Departure::Broken(e),
        }
    }
}
