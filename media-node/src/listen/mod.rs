//! Ports: accepts connections, tells RTSP from HTTP by their first bytes, and hands them on. RTMP has a
//! port of its own. Each of these may be inside TLS.
//!
//! What is spoken on a connection is the business of whoever it is handed to. Here are the bounds
//! that hold for all: connections at once ([`Limits`]), and how long a peer may take to say what it wants.

mod http;
mod limits;
pub mod rtmp;
pub mod rtsp;
mod sniff;
pub mod tls;
pub mod web_socket;
pub mod wsp;

pub use http::{Connection, HttpIo};
pub use limits::{Limits, Place};
use sniff::sniff;

use crate::socket::Socket;
use axum::Router;
use bytes::BytesMut;
use rtmp::RtmpDoor;
use socket2::{SockRef, TcpKeepalive};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tls::Entrance;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};
use weir_proto::http::Protocol;

/// A peer that hasn't said within this time what it speaks is let go (ipchub contract, 1.1). A handshake counts
/// in, and where RTMP is spoken the first question.
const ENTRY_PATIENCE: Duration = Duration::from_secs(15);
/// A connection without traffic is asked after this long whether its peer is still there,
const ASK_AFTER: Duration = Duration::from_secs(15);
/// and again after this, three times in all.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// A peer that takes nothing of what is sent for this long is gone.
#[cfg(target_os = "linux")]
const GONE_AFTER: Duration = Duration::from_secs(30);
/// On shutdown, connections may take this long to end by themselves. What is watched has ended by then,
/// and who does not take the rest now is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes RTSP connections: the socket, the bytes read from it so far, and the peer.
pub type RtspHandler =
    Arc<dyn Fn(Socket, BytesMut, SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What is offered on a port.
#[derive(Clone)]
pub struct Offer {
    pub http: Router,
    /// None on a port that takes HTTP alone.
    pub rtsp: Option<RtspHandler>,
    /// What is still offered when as many connections as allowed are open: probes must be answered, or
    /// the process is restarted because it is busy. None on a port that nobody probes.
    pub spare: Option<Router>,
    /// What is still offered without encryption where TLS is required.
    pub bare: Router,
}

impl Offer {
    /// HTTP alone.
    pub fn of(http: Router) -> Self {
        Self {
            http,
            rtsp: None,
            spare: None,
            bare: Router::new(),
        }
    }
}

/// Serves a port until `stop`; connections that are open then have a moment to end.
pub async fn serve(
    listener: TcpListener,
    entrance: Entrance,
    offer: Offer,
    limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let ending = stop.clone();
    let has_spare = offer.spare.is_some();
    let serve = move |admitted: Admitted| {
        let spare = offer.spare.clone().filter(|_| admitted.is_spare);
        let bare = admitted.is_bare.then(|| offer.bare.clone());
        let offer = spare.or(bare).map_or_else(|| offer.clone(), Offer::of);
        handle(admitted, offer, ending.clone())
    };
    accept(listener, entrance, serve, has_spare, limits, tasks, stop).await;
}

/// Serves an RTMP port likewise.
pub async fn serve_rtmp(
    listener: TcpListener,
    entrance: Entrance,
    door: RtmpDoor,
    limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let serve = move |admitted: Admitted| {
        let door = door.clone();
        async move {
            let Admitted {
                socket,
                peer,
                place,
                deadline,
                ..
            } = admitted;
            let _place = place;
            if admitted.is_bare {
                info!(%peer, "closed: TLS is required, and the peer speaks RTMP without it; use rtmps://");
                return;
            }
            door.serve(socket, peer, deadline).await;
        }
    };
    accept(listener, entrance, serve, false, limits, tasks, stop).await;
}

/// A connection that is in, perhaps by a handshake, and has said nothing yet.
struct Admitted {
    socket: Socket,
    peer: SocketAddr,
    place: Place,
    /// By which it must say what it wants.
    deadline: Instant,
    /// It has a place that is kept back.
    is_spare: bool,
    /// It is plain where TLS is required.
    is_bare: bool,
}

/// Has each connection served in a task of its own, within the bounds that hold for all. With
/// `has_spare`, one beyond the bounds may still have a place that is kept back; `serve` is told so.
async fn accept<F>(
    listener: TcpListener,
    entrance: Entrance,
    serve: impl Fn(Admitted) -> F + Clone + Send + 'static,
    has_spare: bool,
    limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others must end before this gets better.
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = set_options(&socket) {
            debug!(%peer, %error, "the connection was gone at once");
            continue;
        }
        let place = limits.take(peer.ip());
        let is_spare = place.is_none();
        let Some(place) = place.or_else(|| limits.take_spare(peer.ip()).filter(|_| has_spare)) else {
            metrics::counter!("weir_connections_refused_total").increment(1);
            debug!(%peer, "refused: as many connections as allowed are open");
            continue;
        };
        let (serve, entrance) = (serve.clone(), entrance.clone());
        let (pumps, ending) = (tasks.clone(), stop.clone());
        let deadline = Instant::now() + ENTRY_PATIENCE;
        let served = async move {
            let Some(entered) = entrance.enter(socket, peer, &place, deadline).await else {
                return;
            };
            if let Some(pump) = entered.pump {
                // What the connection is upgraded to outlasts this task.
                pumps.spawn(until_cut(pump.run(), peer, ending));
            }
            let admitted = Admitted {
                socket: entered.socket,
                peer,
                place,
                deadline,
                is_spare,
                is_bare: entered.is_bare,
            };
            serve(admitted).await;
        };
        tasks.spawn(until_cut(served, peer, stop.clone()));
    }
}

/// Lets a connection end by itself, also on shutdown, but then not for long.
async fn until_cut(served: impl Future<Output = ()>, peer: SocketAddr, stop: CancellationToken) {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = served => {}
        () = over => debug!(%peer, "cut on shutdown"),
    }
}

/// A peer whose machine is gone says nothing any more, not even that it leaves: one that plays over UDP
/// would be sent media for ever. The system asks it, and ends the connection.
fn set_options(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(ASK_AFTER)
        .with_interval(ASK_AGAIN)
        .with_retries(3);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    // The same for what was sent and is not acknowledged, or finds no room with the peer.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
    Ok(())
}

async fn handle(admitted: Admitted, offer: Offer, stop: CancellationToken) {
    let Admitted {
        socket,
        peer,
        place,
        deadline,
        ..
    } = admitted;
    let mut first = BytesMut::new();
    let protocol = match timeout_at(deadline, sniff(&socket, &mut first)).await {
        Ok(Ok(protocol)) => protocol,
        Ok(Err(error)) => {
            debug!(%peer, %error, "the connection ended before it said what it speaks");
            return;
        }
        Err(_) => {
            debug!(%peer, "the peer did not say in time what it speaks");
            return;
        }
    };
    match (protocol, offer.rtsp) {
        // What such a connection is upgraded to takes its place along.
        // Apart, so that an RTSP connection has no room for it.
        (Protocol::Http, _) => Box::pin(http::serve(socket, first, peer, place, offer.http, stop)).await,
        (Protocol::Rtsp, Some(rtsp)) => {
            let _place = place;
            rtsp(socket, first, peer).await;
        }
        (Protocol::Rtsp, None) if admitted.is_bare => {
            info!(%peer, "closed: TLS is required, and the peer speaks RTSP without it; use rtsps://");
        }
        (Protocol::Rtsp, None) | (Protocol::Unknown, _) => {
            info!(%peer, bytes = first.len(), "closed: this is neither HTTP nor RTSP on a port that takes it");
        }
    }
}

#[cfg(test)]
mod tests;
