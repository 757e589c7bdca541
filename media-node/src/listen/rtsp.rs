//! RTSP connections: each becomes a viewer or a publisher (ipchub contract, section 6).
//!
//! The rules of the conversation are `proto::rtsp::server`'s. Here the socket is read and written,
//! rights are asked for, streams are found, and time-outs are kept.

mod publisher;
mod viewer;

use crate::auth::{Action, Caller, Denied, digest};
use crate::egress::Viewing;
use crate::egress::rtsp::{Transports, UdpPorts};
use crate::ingest::rtsp_publish::Publishing;
use crate::telemetry::sessions;
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, debug, info, info_span};
use weir_proto::media::StreamPath;
use weir_proto::rtsp::auth::Credentials;
use weir_proto::rtsp::server::{Authorize, Challenge, Config, Denial, Event, Right, Session};
use weir_proto::rtsp::{Message, Parser, Request, Status};
use weir_proto::sdp::Description;

/// Silence that ends a session before PLAY, and a publisher (contract, section 6).
const SILENCE: Duration = Duration::from_secs(45);
/// A peer that doesn't take a response for this long is let go.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Room for a read: requests are short, and there may be thousands of viewers.
const READ_REQUESTS: usize = 2 << 10;
/// A publisher's media comes in bulk.
const READ_MEDIA: usize = 64 << 10;

/// Takes RTSP connections.
#[derive(Clone)]
pub struct RtspDoor {
    pub viewing: Viewing,
    pub publishing: Publishing,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer left")]
    PeerLeft,
    #[error("the session was torn down")]
    Teardown,
    #[error("nothing came for {} s", SILENCE.as_secs())]
    Silence,
    #[error("the peer does not read its responses")]
    Unread,
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    #[error("this is not RTSP")]
    NotRtsp(#[from] weir_proto::rtsp::message::Error),
    #[error("viewing is over")]
    Viewed(#[from] crate::hub::Departure),
    #[error("another publisher took the path, or the stream was closed")]
    Replaced,
    #[error("what was published can't be carried")]
    BadMedia(#[from] crate::ingest::rtsp_publish::Error),
}

/// One connection.
struct Connection {
    door: RtspDoor,
    socket: Arc<TcpStream>,
    peer: SocketAddr,
    input: BytesMut,
    parser: Parser,
    session: Session,
    transports: Transports,
    /// Of a publisher.
    announced: Option<Box<Description>>,
    /// Responses that are not written yet.
    out: BytesMut,
}

/// What a request has made of the connection.
enum Step {
    Answered,
    Close,
    Play(Arc<crate::hub::Stream>),
    Record(Box<crate::ingest::rtsp_publish::Publication>),
}

impl RtspDoor {
    /// Serves one connection to its end; `first` has been read from it already.
    pub async fn serve(self, socket: TcpStream, first: BytesMut, peer: SocketAddr) {
        let _open = sessions::RTSP.open();
        let span = info_span!("rtsp", %peer, stream = tracing::field::Empty);
        let anonymous = self.viewing.auth.anonymous_view();
        // A challenge in every response, as the contract has it, also where viewing is free:
        // publishers need it.
        let challenge = Challenge {
            realm: digest::REALM.to_owned(),
            nonce: digest::nonce(),
            basic: false,
        };
        let session_id = hex::encode(rand::random::<[u8; 8]>());
        let config = Config {
            session_id,
            challenge: Some(challenge),
            path: None,
        };
        let connection = Connection {
            door: self,
            socket: Arc::new(socket),
            peer,
            input: first,
            parser: Parser::new(),
            session: Session::new(config),
            transports: Transports::default(),
            announced: None,
            out: BytesMut::new(),
        };
        let end = connection.run().instrument(span.clone()).await;
        let _entered = span.entered();
        match end {
            End::NotRtsp(_)
            | End::BadMedia(_)
            | End::Unread
            | End::Viewed(crate::hub::Departure::Stalled) => {
                info!(reason = error_chain(&end), anonymous, "RTSP connection closed");
            }
            _ => debug!(reason = error_chain(&end), "RTSP connection ended"),
        }
    }
}

/// An error with its causes, each a level.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Connection {
    async fn run(mut self) -> End {
        match self.converse().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Requests and responses, until the connection becomes a viewer's or a publisher's.
    async fn converse(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let message = self.message().await?;
            let step = match message {
                Message::Request(request) => self.request(request).await,
                // A player's RTCP, or what is left of a stream that was given up.
                Message::Interleaved(_) | Message::Response(_) => Step::Answered,
            };
            self.write_out().await?;
            match step {
                Step::Answered => {}
                Step::Close => return Err(End::Teardown),
                Step::Play(stream) => return self.view(stream).await,
                Step::Record(publication) => return self.publish(*publication).await,
            }
        }
    }

    /// The next message, or the end by silence.
    async fn message(&mut self) -> Result<Message, End> {
        loop {
            if let Some(message) = self.parser.parse(&mut self.input)? {
                return Ok(message);
            }
            timeout(SILENCE, self.read()).await.map_err(|_| End::Silence)??;
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        read(&self.socket, &mut self.input, READ_REQUESTS).await
    }

    /// Writes the responses in `out`.
    async fn write_out(&mut self) -> Result<(), End> {
        timeout(WRITE_PATIENCE, async {
            while !self.out.is_empty() {
                self.socket.writable().await?;
                match self.socket.try_write(&self.out) {
                    Ok(length) => drop(self.out.split_to(length)),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Err(End::Broken(e)),
                }
            }
            Ok(())
        })
        .await
        .map_err(|_| End::Unread)?
    }

    /// Answers one request; the response is in `out`.
    async fn request(&mut self, request: Request) -> Step {
        let mut event = self.session.handle_request(request, &mut self.out);
        loop {
            event = match event {
                Event::Answered => return Step::Answered,
                Event::Close => return Step::Close,
                Event::Authorize(authorize) => match self.authorize(&authorize).await {
                    Ok(()) => self.session.allow(&mut self.out),
                    Err(denial) => {
                        self.session.deny(denial, &mut self.out);
                        return Step::Answered;
                    }
                },
                Event::Describe { path } => {
                    self.describe(&path).await;
                    return Step::Answered;
                }
                Event::Announce { path, description } => {
                    tracing::Span::current().record("stream", &path);
                    match self.door.publishing.announced(&description) {
                        Ok(()) => {
                            self.announced = Some(description);
                            self.session.accept(&mut self.out);
                        }
                        Err(error) => {
                            info!(%error, "announced stream refused");
                            self.session.refuse(
                                Status::ParameterNotUnderstood,
                                Some(&error.to_string()),
                                &mut self.out,
                            );
                        }
                    }
                    return Step::Answered;
                }
                Event::SetupUdp { track, .. } => {
                    self.setup_udp(track).await;
                    return Step::Answered;
                }
                Event::Play { path, .. } => {
                    let Some(stream) = self.find(&path).await else {
                        self.session.refuse(Status::NotFound, None, &mut self.out);
                        return Step::Answered;
                    };
                    self.session.accept(&mut self.out);
                    return Step::Play(stream);
                }
                Event::Record { path, setups } => return self.record(&path, &setups),
            };
        }
    }

    async fn authorize(&self, asked: &Authorize) -> Result<(), Denial> {
        let auth = &self.door.viewing.auth;
        let wrong = || Denial::WrongCredentials {
            next_nonce: digest::nonce(),
        };
        let Some(path) = StreamPath::parse(&asked.path) else {
            return Err(Denial::Forbidden);
        };
        let caller = match (&asked.credentials, &asked.token) {
            (Some(Credentials::Digest(answer)), _) => {
                let expected = |ha1: &str| asked.expected_response_of(ha1);
                let answer = digest::Answer {
                    username: &answer.username,
                    response: &answer.response,
                    expected: &expected,
                };
                auth.caller_by_digest(self.peer.ip(), answer).await
            }
            (_, Some(token)) => auth.caller_by_token(Some(token.reveal())).await,
            _ => Caller::Anonymous,
        };
        let action = match asked.right {
            Right::Pull => Action::Subscribe(&path),
            Right::Push => Action::Publish(&path),
        };
        auth.authorize(&caller, action).map_err(|denied| match denied {
            Denied::Unidentified if asked.credentials.is_some() => wrong(),
            Denied::Unidentified => Denial::NoCredentials,
            Denied::Forbidden | Denied::Throttled(_) | Denied::Unavailable => Denial::Forbidden,
        })
    }

    async fn find(&self, path: &str) -> Option<Arc<crate::hub::Stream>> {
        let path = StreamPath::parse(path)?;
        self.door
            .viewing
            .hub
            .find(&path, self.door.viewing.patience)
            .await
    }

    async fn describe(&mut self, path: &str) {
        tracing::Span::current().record("stream", path);
        match self.find(path).await {
            Some(stream) => self
                .session
                .describe(stream.path().as_str(), &stream.tracks(), &mut self.out),
            None => self.session.refuse(Status::NotFound, None, &mut self.out),
        }
    }

    async fn setup_udp(&mut self, track: u8) {
        let opened = match self.socket.local_addr() {
            Ok(local) => UdpPorts::open(local.ip()).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(ports) => {
                self.session.udp(ports.numbers(), &mut self.out);
                self.transports.keep(track, ports);
            }
            Err(error) => {
                info!(%error, "no UDP ports for a viewer");
                self.session
                    .refuse(Status::UnsupportedTransport, None, &mut self.out);
            }
        }
    }
}

/// Appends what has come; waits for at least one byte.
async fn read(socket: &TcpStream, input: &mut BytesMut, room: usize) -> Result<(), End> {
    loop {
        socket.readable().await?;
        input.reserve(room);
        match socket.try_read_buf(input) {
            Ok(0) => return Err(End::PeerLeft),
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(End::Broken(e)),
        }
    }
}
