//! Streams from another pod of the pool, as they are: an edge reads one from its owner, and an owner
//! takes one that was published at a gateway.

use super::retry::{Attempt, Failure, Session};
use super::{Job, Reason};
use crate::auth::{Auth, Caller};
use crate::hub::{Hub, Provenance, Publisher, Segmentation};
use crate::listen::HttpIo;
use crate::peer;
use crate::socket::Socket;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::BytesMut;
use http::{Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{Instrument, debug, info, info_span};
use weir_proto::Redacted;
use weir_proto::media::{StreamPath, Tracks};
use weir_proto::relay::{Decoder, EndReason, Hello, Message};

/// A pod that is gone says nothing any more, not even good-bye.
const SILENCE: Duration = Duration::from_secs(4);
const READ_AT_ONCE: usize = 256 << 10;
/// A gateway has this long to hear why its stream is let go.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Of streams that an edge reads from their owners.
pub(super) const PROTOCOL: &str = "relay";

/// Whether the stream of this path comes to this pod itself, so that no relay may take its place.
pub fn is_published_here(hub: &Hub, path: &StreamPath) -> bool {
    hub.stream(path)
        .is_some_and(|stream| !stream.has_ended() && stream.provenance().protocol != PROTOCOL)
}

/// One stream of another pod, over all its attempts.
pub(super) struct Relay<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) job: &'a Job,
    pub(super) address: &'a str,
    pub(super) secret: &'a Redacted<String>,
}

impl Attempt for Relay<'_> {
    async fn attempt(&self, session: &mut Session<'_>) -> Failure {
        let opened = peer::open(self.address, self.secret, Method::GET, &self.job.path).await;
        let (socket, input) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let reason = match &error {
                    peer::Error::Refused(StatusCode::NOT_FOUND) => Reason::NotFound,
                    peer::Error::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                        Reason::AuthFailed
                    }
                    _ => Reason::Unreachable,
                };
                return Failure::new(reason, format!("node at {}: {error}", self.address));
            }
        };
        let from = Incoming {
            hub: self.hub,
            path: &self.job.path,
            protocol: PROTOCOL,
            address: self.address,
        };
        let Err(over) = from
            .receive(&socket.into(), input, |tracks| session.live(tracks))
            .await;
        over.into()
    }
}

/// Why nothing more comes in on a connection.
enum Over {
    /// Another publisher took the path.
    Replaced,
    /// Somebody here closed the stream.
    Closed,
    Failed(Failure),
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Over> for Failure {
    fn from(over: Over) -> Self {
        match over {
            Over::Replaced => Self::new(Reason::Ended, "another publisher took the path"),
            Over::Closed => Self::new(Reason::Ended, "the stream was closed"),
            Over::Failed(failure) => failure,
        }
    }
}

/// What comes in on one connection.
struct Incoming<'a> {
    hub: &'a Arc<Hub>,
    path: &'a StreamPath,
    protocol: &'static str,
    address: &'a str,
}

impl Incoming<'_> {
    /// Publishes what comes until it is over.
    async fn receive(
        &self,
        socket: &Socket,
        mut input: BytesMut,
        mut live: impl FnMut(&Tracks),
    ) -> Result<Infallible, Over> {
        let mut decoder = Decoder::new();
        let mut hello: Option<Hello> = None;
        let mut publisher: Option<Publisher> = None;
        loop {
            while let Some(message) = decoder.decode(&mut input).map_err(|e| self.broken(&e))? {
                match message {
                    Message::Hello(said) => {
                        publisher = None;
                        hello = Some(said);
                    }
                    Message::Tracks(tracks) => {
                        match (&mut publisher, &hello) {
                            (Some(publisher), _) => publisher.set_tracks(&tracks),
                            (None, Some(hello)) => publisher = Some(self.publish(hello, tracks.clone())?),
                            (None, None) => {}
                        }
                        live(&tracks);
                    }
                    Message::Unit(unit) => {
                        if let Some(publisher) = &mut publisher {
                            publisher.push(unit);
                        }
                    }
                    Message::Keepalive => {}
                    Message::End(reason) => return Err(ended(reason).into()),
                }
            }
            if let Some(publisher) = &mut publisher {
                publisher.flush();
                if !publisher.is_live() {
                    let replaced = self.hub.stream(self.path).is_some();
                    return Err(if replaced { Over::Replaced } else { Over::Closed });
                }
            }
            match timeout(SILENCE, read(socket, &mut input)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    // Its stream has not ended, as far as anybody knows.
                    let text = format!("the relay from {} broke: {error}", self.address);
                    return Err(Failure::new(Reason::Unreachable, text).into());
                }
                Err(_) => {
                    let text = format!("{} said nothing for {} s", self.address, SILENCE.as_secs());
                    return Err(Failure::new(Reason::NoData, text).into());
                }
            }
        }
    }

    fn publish(&self, hello: &Hello, tracks: Tracks) -> Result<Publisher, Over> {
        // What an edge reads may be what it has brought to the owner itself.
        if self.protocol == PROTOCOL && is_published_here(self.hub, self.path) {
            return Err(Over::Replaced);
        }
        debug!(stream = %self.path, node = hello.name, "the relay is live");
        let from = Provenance {
            protocol: self.protocol,
            // Who published is known to the pod that it dialled, and told in its hello.
            address: if hello.name.is_empty() {
                self.address.to_owned()
            } else {
                hello.name.clone()
            },
            session: hello.session,
        };
        Ok(self.hub.publish(self.path, tracks, from, Segmentation::Carried))
    }

    fn broken(&self, error: &weir_proto::relay::Error) -> Failure {
        info!(stream = %self.path, node = self.address, %error, "the relay broke its protocol");
        Failure::new(Reason::ProtocolError, format!("pod at {}: {error}", self.address))
    }
}

fn ended(reason: EndReason) -> Failure {
    let text = match reason {
        EndReason::Moved => "the stream has moved to another node",
        EndReason::TooSlow => "this pod did not keep up",
        EndReason::Replaced => "another publisher took the path",
        EndReason::Ended | EndReason::Other(_) => "the stream has ended",
    };
    // The first two are no word about the stream: it goes on, and is asked for again.
    let cause = match reason {
        EndReason::Moved | EndReason::TooSlow => Reason::Unreachable,
        _ => Reason::Ended,
    };
    Failure::new(cause, text)
}

/// Appends what has come; waits for at least one byte.
async fn read(socket: &Socket, input: &mut BytesMut) -> io::Result<()> {
    loop {
        socket.readable().await?;
        input.reserve(READ_AT_ONCE);
        match socket.try_read_buf(input) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

/// Tells the gateway that brought a stream that it shall not bring it again, and waits for it to leave.
async fn say_replaced(socket: &Socket) -> io::Result<()> {
    let mut words = BytesMut::new();
    let hello = Hello {
        session: 0,
        name: String::new(),
    };
    Message::Hello(hello).write(&mut words);
    Message::End(EndReason::Replaced).write(&mut words);
    socket.writable().await?;
    // Nothing was written before, so this fits.
    socket.try_write(&words)?;
    // What still comes is read: a socket that is closed with bytes unread resets the connection, and the
    // words may be lost.
    let mut input = BytesMut::new();
    loop {
        read(socket, &mut input).await?;
        input.clear();
    }
}

/// What it takes to be brought streams.
#[derive(Clone)]
struct Door {
    hub: Arc<Hub>,
    auth: Arc<Auth>,
}

/// The route by which gateways bring what was published at them to the stream's owner.
pub fn router(hub: Arc<Hub>, auth: Arc<Auth>) -> Router {
    Router::new()
        .route("/relay/v1/{*path}", post(take))
        .with_state(Door { hub, auth })
}

async fn take(State(door): State<Door>, Path(path): Path<String>, mut request: Request) -> Response {
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    // Whether the publisher may publish here was the gateway's question; ours is whether this is one.
    if !matches!(door.auth.caller_by_relay(authorization), Caller::Relay) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(path) = StreamPath::parse(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if request
        .headers()
        .get(header::UPGRADE)
        .is_none_or(|v| v != peer::UPGRADE)
    {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, peer::UPGRADE)]).into_response();
    }
    let address = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.to_string())
        .unwrap_or_default();
    let upgrade = hyper::upgrade::on(&mut request);
    let span = info_span!("ingest", stream = %path, protocol = "relay-push");
    let receiving = async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "the upgrade failed"),
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<HttpIo>>() else {
            return;
        };
        let (socket, mut input, _place) = parts.io.into_inner().into_parts();
        input.extend_from_slice(&parts.read_buf);
        let from = Incoming {
            hub: &door.hub,
            path: &path,
            protocol: "relay-push",
            address: &address,
        };
        let Err(over) = from.receive(&socket, input, |_| ()).await;
        if matches!(over, Over::Replaced) {
            let _ = timeout(LAST_WORDS, say_replaced(&socket)).await;
        }
        info!(reason = Failure::from(over).message, "a published stream is over");
    };
    tokio::spawn(receiving.instrument(span));
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, peer::UPGRADE)];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

#[cfg(test)]
mod tests;
