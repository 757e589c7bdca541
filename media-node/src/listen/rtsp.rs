//! RTSP connections: each becomes a viewer or a publisher (ipchub contract, section 6).
//!
//! The rules of the conversation are `proto::rtsp::server`'s. Here the socket is read and written,
//! rights are asked for, streams are found, and time-outs are kept.

mod publisher;
mod viewer;
mod wire;

use crate::auth::{Action, Caller, Denied, digest};
use crate::egress::Viewing;
use crate::egress::multicast::Multicast;
use crate::egress::rtsp::Transports;
use crate::egress::web_socket::WebSocket;
use crate::ingest::Publishing;
use crate::ingest::rtsp_publish::Publication;
use crate::ingest::rtsp_udp::UdpInputs;
use crate::socket::Socket;
use crate::socket::write;
pub(super) use crate::telemetry::error_chain;
use crate::telemetry::sessions;
use crate::udp::UdpPorts;
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{Instrument, debug, info, info_span};
use weir_proto::media::StreamPath;
use weir_proto::rtsp::auth::Credentials;
use weir_proto::rtsp::server::{Authorize, Carrier, Challenge, Config, Denial, Event, Right, Session};
use weir_proto::rtsp::{Message, Request, Status};
use weir_proto::sdp::Description;
use wire::Wire;

/// Silence that ends a session before PLAY, and a publisher (contract, section 6).
const SILENCE: Duration = Duration::from_secs(45);
/// A peer that doesn't take a response for this long is let go.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Room for a read: requests are short, and there may be thousands of viewers.
const READ_REQUESTS: usize = 2 << 10;
/// A publisher's media comes in bulk.
const READ_MEDIA: usize = 16 << 10;

/// Takes RTSP connections.
#[derive(Clone)]
pub struct RtspDoor {
    pub viewing: Viewing,
    pub publishing: Publishing,
    /// Where the network has it.
    pub multicast: Option<Arc<Multicast>>,
    /// Whether publishers' datagrams reach this process.
    pub udp_publish: bool,
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
    #[error("viewers of this stream have chosen too many different channels; take 0-1 and 2-3")]
    ManyLayouts,
    #[error("this is no WebSocket")]
    NotWebSocket(#[from] weir_proto::websocket::Error),
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
    socket: Arc<Socket>,
    peer: SocketAddr,
    carrier: Carrier,
    wire: Wire,
    /// Of a WebSocket, whose token has told; other clients say with each request who they are.
    caller: Option<Caller>,
    session: Session,
    transports: Transports,
    /// Of a publisher.
    announced: Option<Box<Description>>,
    /// Of a publisher whose packets come by UDP: the ports by track.
    inbound: Vec<(u8, UdpPorts)>,
    /// Responses that are not written yet.
    out: BytesMut,
}

/// What a request has made of the connection.
enum Step {
    Answered,
    Close,
    Play(Arc<crate::hub::Stream>),
    Record(Box<Publication>, Option<UdpInputs>),
}

impl RtspDoor {
    /// Serves one connection to its end; `first` has been read from it already.
    pub async fn serve(self, socket: Socket, first: BytesMut, peer: SocketAddr) {
        // A challenge in every response, as the contract has it, also where viewing is free:
        // publishers need it.
        let challenge = Challenge {
            realm: digest::REALM.to_owned(),
            nonce: digest::nonce(),
            basic: false,
        };
        // Who came by TLS takes and sends the media there too.
        let is_plain = socket.local_addr().is_some();
        let config = Config {
            session_id: session_id(),
            challenge: Some(challenge),
            path: None,
            carrier: Carrier::Tcp,
            multicast: is_plain && self.multicast.is_some(),
            udp_play: is_plain,
            udp_publish: is_plain && self.udp_publish,
        };
        self.run(Arc::new(socket), first, peer, config, None).await;
    }

    /// Serves one WebSocket to its end. The stream is that of its path, and nobody is asked for
    /// credentials; but publishers name theirs by the URL of ANNOUNCE.
    pub async fn serve_web_socket(self, opened: WebSocket) {
        let config = Config {
            session_id: session_id(),
            challenge: None,
            path: Some(format!("/{}", opened.path)),
            carrier: Carrier::WebSocket,
            multicast: false,
            udp_play: false,
            udp_publish: false,
        };
        self.run(
            opened.socket,
            opened.input,
            opened.peer,
            config,
            Some(opened.caller),
        )
        .await;
    }

    async fn run(
        self,
        socket: Arc<Socket>,
        first: BytesMut,
        peer: SocketAddr,
        config: Config,
        caller: Option<Caller>,
    ) {
        let _open = sessions::RTSP.open();
        let span = info_span!("rtsp", %peer, stream = tracing::field::Empty);
        let anonymous = self.viewing.auth.anonymous_view();
        let connection = Connection {
            door: self,
            socket,
            peer,
            carrier: config.carrier,
            wire: Wire::new(config.carrier, first),
            caller,
            session: Session::new(config),
            transports: Transports::default(),
            announced: None,
            inbound: Vec::new(),
            out: BytesMut::new(),
        };
        let end = connection.run().instrument(span.clone()).await;
        let _entered = span.entered();
        match end {
            End::NotRtsp(_)
            | End::NotWebSocket(_)
            | End::BadMedia(_)
            | End::Unread
            | End::ManyLayouts
            | End::Viewed(crate::hub::Departure::Stalled) => {
                info!(reason = error_chain(&end), anonymous, "RTSP connection closed");
            }
            _ => debug!(reason = error_chain(&end), "RTSP connection ended"),
        }
    }
}

/// For the `Session` header.
pub(super) fn session_id() -> String {
    hex::encode(rand::random::<[u8; 8]>())
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
            let step = match self.message().await? {
                Message::Request(request) => self.request(request).await,
                // A player's RTCP, or what is left of a stream that was given up.
                Message::Interleaved(_) | Message::Response(_) => Step::Answered,
            };
            self.write_out().await?;
            match step {
                Step::Answered => {}
                Step::Close => return Err(End::Teardown),
                Step::Play(stream) => return self.view(stream).await,
                Step::Record(publication, datagrams) => return self.publish(*publication, datagrams).await,
            }
        }
    }

    /// The next message, or the end by silence.
    async fn message(&mut self) -> Result<Message, End> {
        loop {
            let message = self.wire.next(&mut self.out)?;
            self.write_out().await?;
            if let Some(message) = message {
                return Ok(message);
            }
            timeout(SILENCE, self.wire.read_requests(&self.socket))
                .await
                .map_err(|_| End::Silence)??;
        }
    }

    /// Writes the responses in `out`.
    async fn write_out(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        timeout(WRITE_PATIENCE, write(&self.socket, &mut self.out))
            .await
            .map_err(|_| End::Unread)?
            .map_err(End::Broken)
    }

    /// Answers one request; the response is in `out`, as it goes over the wire.
    async fn request(&mut self, request: Request) -> Step {
        let start = self.out.len();
        // Apart, because a viewer asks little and there may be thousands, each with room for this for as long as it stays.
        let step = Box::pin(self.answer(request)).await;
        self.wire.seal(&mut self.out, start, matches!(step, Step::Close));
        step
    }

    async fn answer(&mut self, request: Request) -> Step {
        let mut event = self.session.handle_request(request, &mut self.out);
        loop {
            event = match event {
                Event::Answered | Event::Paused | Event::Resumed => return Step::Answered,
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
                Event::SetupUdp { track, right, .. } => {
                    self.setup_udp(track, right).await;
                    return Step::Answered;
                }
                Event::SetupMulticast { path, track } => {
                    self.setup_multicast(&path, track).await;
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
        let action = match asked.right {
            Right::Pull => Action::Subscribe(&path),
            Right::Push => Action::Publish(&path),
        };
        if let Some(caller) = &self.caller {
            // There is no other way to say who one is, so there is no 401.
            return auth.authorize(caller, action).map_err(|_| Denial::Forbidden);
        }
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

    async fn setup_multicast(&mut self, path: &str, track: u8) {
        let stream = self.find(path).await;
        let local = self.socket.local_addr().map(|local| local.ip());
        let (Some(stream), Some(multicast), Some(local)) = (stream, &self.door.multicast, local) else {
            self.session
                .refuse(Status::UnsupportedTransport, None, &mut self.out);
            return;
        };
        let group = multicast.group(&stream, local);
        let group = group.inspect_err(|error| info!(%error, "no multicast for a viewer"));
        let place = group.ok().and_then(|group| Some((group.of_track(track)?, group)));
        match place {
            Some((place, group)) => {
                self.session.multicast(place, &mut self.out);
                self.transports.keep_group(group);
            }
            None => self
                .session
                .refuse(Status::UnsupportedTransport, None, &mut self.out),
        }
    }

    async fn setup_udp(&mut self, track: u8, right: Right) {
        let Some(local) = self.socket.local_addr() else {
            self.session
                .refuse(Status::UnsupportedTransport, None, &mut self.out);
            return;
        };
        let opened = UdpPorts::open(local.ip()).await;
        match opened {
            Ok(ports) => {
                self.session.udp(ports.numbers(), &mut self.out);
                match right {
                    Right::Pull => self.transports.keep(track, ports),
                    Right::Push => {
                        self.inbound.retain(|(known, _)| *known != track);
                        self.inbound.push((track, ports));
                    }
                }
            }
            Err(error) => {
                info!(%error, "no UDP ports for a session");
                self.session
                    .refuse(Status::UnsupportedTransport, None, &mut self.out);
            }
        }
    }
}
