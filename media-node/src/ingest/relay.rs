//! Streams from another pod of the pool, as they are: the edge's end of the relay.

use super::retry::{Attempt, Failure, Session};
use super::{Job, Reason};
use crate::hub::{Hub, Provenance, Publisher, Segmentation};
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, info};
use weir_proto::Redacted;
use weir_proto::relay::{Decoder, EndReason, Hello, Message};

/// The protocol's name in the `Upgrade` header.
const UPGRADE: &str = "weir-relay/1";
/// Where a node offers its streams; the stream's path follows.
const PREFIX: &str = "/relay/v1/";

/// Pods of a pool are near each other.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// The owner may have to start the camera first.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// A node whose pod is gone says nothing any more, not even good-bye.
const SILENCE: Duration = Duration::from_secs(4);
const READ_AT_ONCE: usize = 256 << 10;

/// One stream of another pod, over all its attempts.
pub(super) struct Relay<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) job: &'a Job,
    pub(super) address: &'a str,
    pub(super) secret: &'a Redacted<String>,
}

impl Attempt for Relay<'_> {
    async fn attempt(&self, session: &mut Session<'_>) -> Failure {
        match self.run(session).await {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }
}

impl Relay<'_> {
    async fn run(&self, session: &mut Session<'_>) -> Result<Infallible, Failure> {
        let (socket, mut input) = self.open().await?;
        let mut decoder = Decoder::new();
        let mut hello: Option<Hello> = None;
        let mut publisher: Option<Publisher> = None;
        loop {
            while let Some(message) = decoder.decode(&mut input).map_err(|e| self.protocol(&e))? {
                match message {
                    Message::Hello(said) => {
                        publisher = None;
                        hello = Some(said);
                    }
                    Message::Tracks(tracks) => {
                        session.live(&tracks);
                        match (&mut publisher, &hello) {
                            (Some(publisher), _) => publisher.set_tracks(&tracks),
                            (None, Some(hello)) => {
                                debug!(stream = %self.job.path, node = hello.name, "the relay is live");
                                let from = Provenance {
                                    protocol: "relay",
                                    address: self.address.to_owned(),
                                    session: hello.session,
                                };
                                let path = &self.job.path;
                                publisher = Some(self.hub.publish(path, tracks, from, Segmentation::Carried));
                            }
                            (None, None) => {}
                        }
                    }
                    Message::Unit(unit) => {
                        if let Some(publisher) = &mut publisher {
                            publisher.push(unit);
                        }
                    }
                    Message::Keepalive => {}
                    Message::End(reason) => return Err(Self::ended(reason)),
                }
            }
            if let Some(publisher) = &mut publisher {
                publisher.flush();
                if !publisher.is_live() {
                    return Err(Failure::new(Reason::Ended, "the stream was closed"));
                }
            }
            match timeout(SILENCE, read(&socket, &mut input)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let text = format!("the relay from {} broke: {error}", self.address);
                    return Err(Failure::new(Reason::Ended, text));
                }
                Err(_) => {
                    let text = format!("{} said nothing for {} s", self.address, SILENCE.as_secs());
                    return Err(Failure::new(Reason::NoData, text));
                }
            }
        }
    }

    /// The connection after the upgrade, and what came with its answer.
    async fn open(&self) -> Result<(TcpStream, BytesMut), Failure> {
        let unreachable =
            |why: String| Failure::new(Reason::Unreachable, format!("node at {}: {why}", self.address));
        let socket = match timeout(CONNECT_PATIENCE, TcpStream::connect(self.address)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("no answer".to_owned())),
        };
        let _ = socket.set_nodelay(true);
        match timeout(ANSWER_PATIENCE, self.upgrade(socket)).await {
            Ok(Ok(Ok(opened))) => Ok(opened),
            Ok(Ok(Err(status))) => Err(self.refused(status)),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable("no answer to the relay's request".to_owned())),
        }
    }

    async fn upgrade(
        &self,
        socket: TcpStream,
    ) -> Result<Result<(TcpStream, BytesMut), StatusCode>, Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        // Ends with the upgrade, or with the connection.
        let driver = tokio::spawn(connection.with_upgrades());
        let path = percent_encoding::utf8_percent_encode(self.job.path.as_str(), percent_encoding::CONTROLS);
        let request = Request::get(format!("{PREFIX}{path}"))
            .header(header::HOST, self.address)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, UPGRADE)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.secret.reveal()))
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            driver.abort();
            return Ok(Err(response.status()));
        }
        let upgraded = hyper::upgrade::on(response).await?;
        let parts = upgraded
            .downcast::<TokioIo<TcpStream>>()
            .map_err(|_| "the upgraded connection is of another type")?;
        Ok(Ok((parts.io.into_inner(), BytesMut::from(&parts.read_buf[..]))))
    }

    fn refused(&self, status: StatusCode) -> Failure {
        let reason = match status {
            StatusCode::NOT_FOUND => Reason::NotFound,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::AuthFailed,
            _ => Reason::Unreachable,
        };
        Failure::new(reason, format!("node at {} answered {status}", self.address))
    }

    fn protocol(&self, error: &weir_proto::relay::Error) -> Failure {
        info!(stream = %self.job.path, node = self.address, %error, "the relay broke its protocol");
        Failure::new(
            Reason::ProtocolError,
            format!("node at {}: {error}", self.address),
        )
    }

    fn ended(reason: EndReason) -> Failure {
        let text = match reason {
            EndReason::Moved => "the stream has moved to another node",
            EndReason::TooSlow => "this pod did not keep up",
            EndReason::Ended | EndReason::Other(_) => "the stream has ended",
        };
        Failure::new(Reason::Ended, text)
    }
}

/// Appends what has come; waits for at least one byte.
async fn read(socket: &TcpStream, input: &mut BytesMut) -> io::Result<()> {
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
