//! Streams to the other pods of the pool: the owner's end of the relay.
//!
//! An HTTP request with the pool's secret, upgraded; then the hub writes to the socket what
//! [`super::form::relay`] packages, once for all edges.

use super::form::relay::{KEY, RelayForm};
use super::viewing::{Counted, viewer_span};
use super::{Refusal, Viewing};
use crate::hub::{Departure, Form, Seat, Stream, TcpSink, Visitor};
use crate::listen::HttpIo;
use crate::peer::UPGRADE;
use crate::socket::Socket;
use ::http::{StatusCode, header};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::BytesMut;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::{Instrument, debug};
use weir_proto::media::StreamPath;
use weir_proto::relay::Message;

/// An edge that hears nothing for some of these takes the node for dead.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// The relay's route, for the port that other pods reach.
pub fn router(viewing: Viewing) -> Router {
    Router::new()
        .route("/relay/v1/{*path}", get(serve))
        .with_state(viewing)
}

async fn serve(State(viewing): State<Viewing>, Path(path): Path<String>, mut request: Request) -> Response {
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let caller = viewing.auth.caller_by_relay(authorization);
    let is_upgrade = request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|v| v == UPGRADE);
    let Some(path) = StreamPath::parse(&path) else {
        return Refusal::NotFound.into_response();
    };
    // Anonymous viewing does not open this door: what it offers is not a viewer's form.
    if !matches!(caller, crate::auth::Caller::Relay) {
        return Refusal::Denied(crate::auth::Denied::Unidentified).into_response();
    }
    let stream = match viewing.admit(&caller, &path).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal.into_response(),
    };
    if !is_upgrade {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, UPGRADE)]).into_response();
    }
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0);
    let upgrade = hyper::upgrade::on(&mut request);
    let span = viewer_span(&path, "relay", peer);
    let serving = async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "the upgrade failed"),
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<HttpIo>>() else {
            return;
        };
        let (socket, _, _place) = parts.io.into_inner().into_parts();
        relay(stream, &socket).await;
    };
    tokio::spawn(serving.instrument(span));
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, UPGRADE)];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

async fn relay(stream: Arc<Stream>, socket: &Arc<Socket>) {
    let (session, name) = (stream.provenance().session, stream.provenance().address.clone());
    let form = || Box::new(RelayForm { session, name }) as Box<dyn Form>;
    let visitor = Visitor {
        protocol: "relay",
        detail: String::new(),
    };
    let seat = stream.watch(KEY, form, Box::new(TcpSink::new(socket.clone())), visitor);
    let _counted = Counted::new("relay").seated(&seat);
    let departure = tokio::select! {
        departure = seat.run() => departure,
        departure = keepalive(&seat) => departure,
        departure = until_closed(socket) => departure,
    };
    debug!(reason = %departure, "the relay is over");
}

/// Says every now and then that this pod lives; ends when the other does not read it.
pub(super) async fn keepalive(seat: &Seat) -> Departure {
    let mut message = BytesMut::new();
    Message::Keepalive.write(&mut message);
    let message = message.freeze();
    loop {
        tokio::time::sleep(KEEPALIVE).await;
        if !seat.send(message.clone()) {
            return Departure::Stalled;
        }
    }
}

/// The other pod says nothing; reading tells when it leaves.
async fn until_closed(socket: &Socket) -> Departure {
    loop {
        if let Err(error) = socket.readable().await {
            return Departure::Broken(error);
        }
        match socket.try_read(&mut [0; 64]) {
            Ok(0) => return Departure::Closed,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Departure::Broken(e),
        }
    }
}
