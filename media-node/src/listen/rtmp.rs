//! RTMP connections: each becomes a viewer or a publisher (ipchub contract, section 12).
//!
//! The rules of the conversation are `proto::rtmp::server`'s. Here the socket is read and written,
//! rights are asked for, streams are found, and time-outs are kept.

mod publisher;
mod viewer;

use crate::auth::{Caller, Denied};
use crate::egress::Viewing;
use crate::hub::Departure;
use crate::ingest::{FlvError, Publishing};
use crate::socket::Socket;
use crate::telemetry::{error_chain, sessions};
use bytes::BytesMut;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, debug, info, info_span};
use weir_proto::rtmp;
use weir_proto::rtmp::handshake::RANDOM_BYTES;
use weir_proto::rtmp::server::{Event, Refusal, Request, Session};

/// From the end of what a connection did before to its asking for a stream.
const REQUEST_PATIENCE: Duration = Duration::from_secs(15);
/// Silence that ends a publisher; as over RTSP (ipchub contract, section 6).
const SILENCE: Duration = Duration::from_secs(45);
/// A peer that doesn't take an answer for this long is let go.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a peer that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// Room for a read: commands are short, and there may be thousands of viewers.
const READ_COMMANDS: usize = 2 << 10;
/// A publisher's media comes in bulk.
const READ_MEDIA: usize = 16 << 10;

/// Takes RTMP connections.
#[derive(Clone)]
pub struct RtmpDoor {
    pub viewing: Viewing,
    pub publishing: Publishing,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer left")]
    PeerLeft,
    #[error("no stream was asked for in time")]
    NoRequest,
    #[error("nothing came for {} s", SILENCE.as_secs())]
    Silence,
    #[error("the peer does not read its answers")]
    Unread,
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    #[error("this is not RTMP")]
    NotRtmp(#[from] rtmp::Error),
    #[error("the peer may not publish this")]
    MayNotPublish,
    #[error("there is nothing to play for this peer")]
    NothingToPlay,
    #[error("the viewer closed the stream")]
    Closed,
    #[error("viewing is over")]
    Viewed(#[from] Departure),
    #[error("another publisher took the path, or the stream was closed")]
    Replaced,
    #[error("what was published can't be carried")]
    BadMedia(#[from] FlvError),
}

/// One connection.
struct Connection {
    door: RtmpDoor,
    socket: Arc<Socket>,
    peer: SocketAddr,
    input: BytesMut,
    session: Session,
    /// Answers that are not written yet.
    out: BytesMut,
}

/// What a connection wants to be.
enum Wish {
    Publish(Request),
    Play(Request),
}

impl RtmpDoor {
    /// Serves one connection to its end. By `deadline` it must have asked for a stream.
    pub async fn serve(self, socket: Socket, peer: SocketAddr, deadline: Instant) {
        let _open = sessions::RTMP.open();
        let span = info_span!("rtmp", %peer, stream = tracing::field::Empty);
        let mut random = [0; RANDOM_BYTES];
        rand::fill(&mut random);
        let connection = Connection {
            door: self,
            socket: Arc::new(socket),
            peer,
            input: BytesMut::new(),
            session: Session::new(&random),
            out: BytesMut::new(),
        };
        let end = connection.run(deadline).instrument(span.clone()).await;
        let _entered = span.entered();
        match end {
            End::NotRtmp(_)
            | End::BadMedia(_)
            | End::Unread
            | End::MayNotPublish
            | End::Viewed(Departure::Stalled) => {
                info!(reason = error_chain(&end), "RTMP connection closed");
            }
            _ => debug!(reason = error_chain(&end), "RTMP connection ended"),
        }
    }
}

impl Connection {
    async fn run(mut self, deadline: Instant) -> End {
        match self.converse(deadline).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Who has published may go on with something else.
    async fn converse(&mut self, mut deadline: Instant) -> Result<Infallible, End> {
        loop {
            let wish = timeout_at(deadline, self.wish()).await;
            match wish.map_err(|_| End::NoRequest)?? {
                Wish::Publish(request) => self.publish(request).await?,
                Wish::Play(request) => match self.play(request).await? {},
            }
            deadline = Instant::now() + REQUEST_PATIENCE;
        }
    }

    /// Handshake and commands, until the peer asks for a stream.
    async fn wish(&mut self) -> Result<Wish, End> {
        loop {
            let event = self.session.handle_input(&mut self.input, &mut self.out);
            self.write_out().await?;
            match event? {
                Some(Event::Publish(request)) => return Ok(Wish::Publish(request)),
                Some(Event::Play(request)) => return Ok(Wish::Play(request)),
                // Nothing of the others is of interest before.
                Some(_) => {}
                None => self.read(READ_COMMANDS).await?,
            }
        }
    }

    /// By the parameters `token`, or `user` and `password`, of the URL.
    async fn caller(&self, request: &Request) -> Caller {
        let auth = &self.door.viewing.auth;
        if let Some(token) = request.token() {
            return auth.caller_by_token(Some(token.reveal())).await;
        }
        let (user, password) = (
            request.query.parameter("user"),
            request.query.parameter("password"),
        );
        match (user, password) {
            (Some(user), Some(password)) => {
                auth.caller_by_password(self.peer.ip(), user.reveal(), password.reveal())
                    .await
            }
            _ => Caller::Anonymous,
        }
    }

    /// Tells the peer, and gives it a moment to hear it: what it sends meanwhile would, unread, reset the
    /// connection before that.
    async fn refuse(&mut self, refusal: Refusal, end: End) -> End {
        self.session.refuse(refusal, &mut self.out);
        if let Err(end) = self.write_out().await {
            return end;
        }
        let _ = self.socket.end_writing();
        let leaves = async {
            loop {
                self.input.clear();
                self.read(READ_COMMANDS).await?;
            }
        };
        let _: Result<Result<Infallible, End>, _> = timeout(LINGER, leaves).await;
        end
    }

    async fn read(&mut self, room: usize) -> Result<(), End> {
        match crate::socket::read(&self.socket, &mut self.input, room).await? {
            0 => Err(End::PeerLeft),
            _ => Ok(()),
        }
    }

    /// Writes the answers in `out`.
    async fn write_out(&mut self) -> Result<(), End> {
        timeout(WRITE_PATIENCE, crate::socket::write(&self.socket, &mut self.out))
            .await
            .map_err(|_| End::Unread)??;
        Ok(())
    }
}

/// What a refusal is called here.
const fn refusal_of(denied: Denied) -> Refusal {
    match denied {
        Denied::Unidentified | Denied::Forbidden | Denied::Throttled(_) => Refusal::Denied,
        Denied::Unavailable => Refusal::Failed,
    }
}
