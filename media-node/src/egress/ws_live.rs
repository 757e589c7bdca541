//! FLV (ipchub contract, sections 7 and 8) and transport streams in binary messages.

use super::form::Framing;
use super::live::Live;
use super::viewing::{Counted, viewer_span};
use super::web_socket::{self, Handshake};
use super::{Refusal, Viewing, http};
use crate::auth::Caller;
use crate::hub::{Departure, Seat, Stream, TcpSink, Visitor};
use crate::listen::Connection;
use crate::socket::Socket;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::{Instrument, debug};
use weir_proto::websocket::{Message, Reader};

/// What a client may leave unread by us: a ping and its neighbours.
const MOST_INPUT: usize = 4 << 10;

pub(super) async fn play(
    live: Live,
    viewing: &Viewing,
    connection: Connection,
    caller: &Caller,
    stem: &str,
    handshake: Handshake,
    request: Request,
) -> Response {
    let stream = match http::admit(viewing, caller, stem).await {
        Ok(stream) if live.carries_any(&stream.tracks()) => stream,
        // The contract's clients expect the upgrade, then the close.
        Ok(_) | Err(Refusal::NotFound) => return web_socket::turn_away(handshake, request),
        Err(refusal) => return refusal.into_response(),
    };
    let peer = connection.peer;
    let span = viewer_span(stream.path(), live.ws_protocol(), Some(peer));
    web_socket::upgrade(handshake, request, async move |socket, input| {
        view(live, stream, &socket, peer, input).instrument(span).await;
    })
}

async fn view(live: Live, stream: Arc<Stream>, socket: &Arc<Socket>, peer: SocketAddr, input: BytesMut) {
    let tracks = stream.tracks();
    let framing = Framing::WebSocket;
    let visitor = Visitor {
        protocol: live.ws_protocol(),
        detail: peer.to_string(),
    };
    let seat = stream.watch(
        live.key(framing),
        || live.form(&tracks, framing),
        Box::new(TcpSink::new(socket.clone())),
        visitor,
    );
    let _counted = Counted::new(live.ws_protocol()).seated(&seat);
    let departure = tokio::select! {
        departure = seat.run() => departure,
        departure = listen(socket, input, &seat) => departure,
    };
    debug!(reason = %departure, "the connection is given up");
}

/// Answers pings, until the client leaves or breaks the protocol.
async fn listen(socket: &Socket, mut input: BytesMut, seat: &Seat) -> Departure {
    let mut reader = Reader::default();
    loop {
        loop {
            match reader.read(&mut input) {
                Ok(None) => break,
                // Messages are not kept; what players say is of no interest.
                Ok(Some(Message::Data(_))) => {}
                Ok(Some(Message::Close)) => return Departure::Closed,
                Ok(Some(Message::Ping(payload))) => {
                    if !seat.send(weir_proto::websocket::pong(&payload)) {
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
