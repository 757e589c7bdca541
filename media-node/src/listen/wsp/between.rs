//! Between gateways: data sockets that came to another one than their control sockets.
//!
//! A Service or an Ingress may lead the two sockets of a player to two gateways. The channel id names the
//! one that has the control socket ([`ChannelId::gateway`]). The other one asks it by
//! `GET /wsp/v1/<channel>/<path>` with the pool's secret and an upgrade, and answers JOIN by what it is told.
//! Then it carries bytes: what is sent on the upgraded connection are the frames of the data socket.

use super::channels::DataSocket;
use super::{End, WRITE_PATIENCE, WspDoor};
use crate::auth::Caller;
use crate::listen::{HttpIo, set_options};
use crate::peer::{self, CHANNEL_PREFIX, CHANNEL_UPGRADE};
use crate::socket::{self, Socket};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::BytesMut;
use http::{StatusCode, header};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, warn};
use weir_proto::Redacted;
use weir_proto::media::StreamPath;
use weir_proto::wsp::ChannelId;

/// So many gateways are asked for a channel. That two have one number is chance, which makes no third.
const MOST_ASKED: usize = 2;
/// A player or gateway that takes no byte for this long is let go, as viewers are.
const STALLED: Duration = Duration::from_secs(15);
/// Bytes of packets that are read at once.
const ROOM: usize = 16 << 10;
/// What the systems of the two gateways keep between them, in bytes. A viewer whose line is slow is to skip
/// packets at the gateway that makes them, and not to watch what lies here.
const MOST_BETWEEN: usize = 128 << 10;

/// The other gateways of the pool.
pub struct Elsewhere {
    /// `host:port` of those that have this number.
    pub gateways: Box<dyn Fn(u16) -> Vec<String> + Send + Sync>,
    /// What pods of the pool show one another.
    pub secret: Redacted<String>,
}

impl Elsewhere {
    /// Joins a channel of another gateway. None if there is none of that path, or it has its data socket.
    pub(super) async fn join(&self, id: ChannelId, path: &StreamPath) -> Option<Far> {
        for address in (self.gateways)(id.gateway()).into_iter().take(MOST_ASKED) {
            match peer::open_channel(&address, &self.secret, id, path).await {
                Ok((socket, input)) => return Far::new(socket, input).ok(),
                Err(peer::Error::Refused(StatusCode::NOT_FOUND)) => {}
                Err(error) => {
                    warn!(gateway = address, %error, "a gateway could not be asked for a player's other socket");
                }
            }
        }
        None
    }
}

/// A connection to the gateway that has the control socket.
#[derive(Debug)]
pub(super) struct Far {
    socket: Socket,
    /// What has come on it.
    input: BytesMut,
}

impl Far {
    fn new(socket: TcpStream, input: BytesMut) -> io::Result<Self> {
        // Nothing may be said on it for long, and a pod may go without a word.
        set_options(&socket)?;
        SockRef::from(&socket).set_recv_buffer_size(MOST_BETWEEN)?;
        let socket = socket.into();
        Ok(Self { socket, input })
    }

    /// Carries bytes between a player's data socket, of which some were read, and that gateway, until either
    /// has ended.
    pub(super) async fn carry(self, player: &Socket, mut from_player: BytesMut) -> End {
        let Self { socket, mut input } = self;
        player.bound_unsent(MOST_BETWEEN as u32);
        tokio::select! {
            end = pass(&mut input, &socket, player) => end,
            end = pass(&mut from_player, player, &socket) => end,
        }
    }
}

/// Writes to `to` what was read of `from`, and all that follows, until its end.
async fn pass(bytes: &mut BytesMut, from: &Socket, to: &Socket) -> End {
    loop {
        while !bytes.is_empty() {
            match timeout(STALLED, to.writable()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return End::Unread,
            }
            match to.try_write(bytes) {
                Ok(length) => drop(bytes.split_to(length)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return e.into(),
            }
        }
        match socket::read(from, bytes, ROOM).await {
            Ok(0) => return End::PeerLeft,
            Ok(_) => {}
            Err(error) => return error.into(),
        }
    }
}

/// The route by which gateways ask one another, for the port that pods reach.
pub fn router(door: WspDoor) -> Router {
    Router::new()
        .route(&format!("{CHANNEL_PREFIX}{{channel}}/{{*path}}"), get(take))
        .with_state(door)
}

async fn take(
    State(door): State<WspDoor>,
    Path((channel, path)): Path<(String, String)>,
    mut request: Request,
) -> Response {
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    // Whether the player may watch this path was the other gateway's question; ours is whether this is one.
    if !matches!(door.viewing.auth.caller_by_relay(authorization), Caller::Relay) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if request
        .headers()
        .get(header::UPGRADE)
        .is_none_or(|v| v != CHANNEL_UPGRADE)
    {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, CHANNEL_UPGRADE)]).into_response();
    }
    let named = ChannelId::parse(&channel).zip(StreamPath::parse(&path));
    let Some(joining) = named.and_then(|(id, path)| door.channels.join(id, &path)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = match timeout(WRITE_PATIENCE, upgrade).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => return debug!(%error, "the upgrade failed"),
            Err(_) => return debug!("the other gateway does not read its answer"),
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<HttpIo>>() else {
            return;
        };
        let (socket, mut input, place) = parts.io.into_inner().into_parts();
        input.extend_from_slice(&parts.read_buf);
        joining.send(DataSocket {
            socket,
            input,
            place: Some(place),
        });
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, CHANNEL_UPGRADE),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

#[cfg(test)]
mod tests;
