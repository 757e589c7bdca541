//! The control socket, and the data socket that has joined it.

use super::channels::{Channel, DataSocket};
use super::{End, READ, SILENCE, WRITE_PATIENCE, WspDoor};
use crate::auth::{Action, Caller};
use crate::egress::web_socket::WebSocket;
use crate::egress::wsp::seat;
use crate::egress::{Counted, Gate};
use crate::hub::Stream;
use crate::listen::Place;
use crate::listen::rtsp::{error_chain, session_id};
use crate::listen::web_socket::Frames;
use crate::socket::Socket;
use crate::socket::write;
use crate::telemetry::sessions;
use bytes::{Bytes, BytesMut};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::{Instrument, debug, info, info_span};
use weir_proto::media::StreamPath;
use weir_proto::rtsp::server::{Carrier, Config, Denial};
use weir_proto::rtsp::{self, Request, Session, Status, server};
use weir_proto::websocket::{self, Message};
use weir_proto::wsp::message::MAX_MESSAGE;
use weir_proto::wsp::{Control, Event};

impl WspDoor {
    /// Serves a control socket to its end.
    pub async fn control(self, opened: WebSocket) {
        let span = info_span!("egress", stream = %opened.path, protocol = "wsp", peer = %opened.peer);
        let config = Config {
            session_id: session_id(),
            challenge: None,
            path: Some(format!("/{}", opened.path)),
            carrier: Carrier::Wsp,
            multicast: false,
            udp_play: false,
            udp_publish: false,
        };
        let player = Player {
            door: self,
            socket: opened.socket,
            frames: Frames::new(opened.input, MAX_MESSAGE),
            silence: Box::pin(sleep(SILENCE)),
            path: opened.path,
            caller: opened.caller,
            control: Control::default(),
            session: Session::new(config),
            channel: None,
            open: None,
            stream: None,
            gate: Gate::default(),
            out: BytesMut::new(),
        };
        let end = player.run().instrument(span.clone()).await;
        let _entered = span.entered();
        match end {
            End::NotWsp(_) | End::NotWebSocket(_) | End::Unread | End::Full => {
                info!(reason = error_chain(&end), "WSP control socket closed");
            }
            _ => debug!(reason = error_chain(&end), "WSP control socket ended"),
        }
    }
}

/// One player.
struct Player {
    door: WspDoor,
    socket: Arc<Socket>,
    frames: Frames,
    /// Ends the player, unless something comes on the control socket.
    silence: Pin<Box<Sleep>>,
    path: StreamPath,
    caller: Caller,
    control: Control,
    session: Session,
    /// Since INIT.
    channel: Option<Channel>,
    /// Since INIT: counts the player.
    open: Option<sessions::Open>,
    /// Since PLAY.
    stream: Option<Arc<Stream>>,
    gate: Gate,
    /// What is to be written to the control socket.
    out: BytesMut,
}

/// The data socket.
struct Data {
    socket: Arc<Socket>,
    frames: Frames,
    _place: Option<Place>,
}

impl From<DataSocket> for Data {
    fn from(data: DataSocket) -> Self {
        Self {
            socket: data.socket,
            // Nothing of interest is said there.
            frames: Frames::skipping(data.input),
            _place: data.place,
        }
    }
}

impl Player {
    async fn run(mut self) -> End {
        match self.converse().await {
            Ok(never) => match never {},
            Err(end) => {
                // What breaks the rules gets no good-bye (contract, 7.1).
                if !matches!(end, End::NotWsp(_) | End::NotWebSocket(_)) {
                    let _ = self.socket.try_write(&websocket::close(1000));
                }
                end
            }
        }
    }

    /// Requests and replies; packets while there is a stream and a data socket.
    async fn converse(&mut self) -> Result<Infallible, End> {
        let mut data: Option<Data> = None;
        loop {
            self.replies().await?;
            if let (Some(stream), Some(joined)) = (&self.stream, &mut data) {
                let stream = stream.clone();
                let counted = self.view(&stream, joined).await?;
                // Who sees the consumer gone may count on another socket being let in.
                self.data_is_gone(&mut data);
                drop(counted);
                continue;
            }
            let has_data = data.is_some();
            tokio::select! {
                () = &mut self.silence => return Err(End::Silence(SILENCE)),
                read = self.frames.read(&self.socket, READ) => {
                    read?;
                    self.silence.as_mut().reset(Instant::now() + SILENCE);
                }
                joined = next_join(&mut self.channel), if !has_data => data = Some(joined.into()),
                pong = said(&mut data), if has_data => match pong {
                    Some(pong) => answer(data.as_ref(), pong).await?,
                    None => self.data_is_gone(&mut data),
                },
            }
        }
    }

    /// Sends packets until the data socket is gone; that is not the end of the player.
    async fn view(&mut self, stream: &Arc<Stream>, data: &mut Data) -> Result<Counted, End> {
        let Some(seat) = seat(stream, self.session.setups(), &data.socket, &self.gate) else {
            return Err(End::ManyLayouts);
        };
        let counted = Counted::new("wsp").seated(&seat);
        let mut viewing = std::pin::pin!(seat.run());
        let end = loop {
            if let Err(end) = self.replies().await {
                break end;
            }
            tokio::select! {
                departure = &mut viewing => break End::Viewed(departure),
                () = &mut self.silence => break End::Silence(SILENCE),
                read = self.frames.read(&self.socket, READ) => match read {
                    Ok(()) => self.silence.as_mut().reset(Instant::now() + SILENCE),
                    Err(error) => break error.into(),
                },
                pong = data.said() => match pong {
                    Some(pong) => if !seat.send(pong) {
                        break End::Unread;
                    },
                    None => return Ok(counted),
                },
            }
        };
        if !matches!(end, End::Viewed(_)) {
            // Where a packet was cut off, this is lost in it; the socket ends either way.
            let _ = data.socket.try_write(&websocket::close(1000));
        }
        Err(end)
    }

    fn data_is_gone(&self, data: &mut Option<Data>) {
        *data = None;
        if let Some(channel) = &self.channel {
            channel.data_is_gone();
        }
    }

    /// Answers all messages that have come on the control socket.
    async fn replies(&mut self) -> Result<(), End> {
        loop {
            let is_over = match self.frames.next()? {
                None => return Ok(()),
                Some(Message::Close) => return Err(End::PeerLeft),
                Some(Message::Ping(payload)) => {
                    self.out.extend_from_slice(&websocket::pong(&payload));
                    false
                }
                Some(Message::Data(message)) => self.message(message.freeze()).await?,
            };
            timeout(WRITE_PATIENCE, write(&self.socket, &mut self.out))
                .await
                .map_err(|_| End::Unread)??;
            if is_over {
                return Err(End::Teardown);
            }
        }
    }

    /// Answers one message; the reply is in `out`. True if it is the last.
    async fn message(&mut self, message: Bytes) -> Result<bool, End> {
        let mut reply = BytesMut::new();
        let mut is_over = false;
        match self.control.handle_message(&message, &mut reply)? {
            Event::Ignored => return Ok(false),
            Event::Answered => {}
            Event::Init => {
                let channel = self.door.channels.open(&self.path).ok_or(End::Full)?;
                self.control.init(channel.id(), &mut reply);
                self.channel = Some(channel);
                self.open = Some(sessions::WSP.open());
            }
            Event::Wrapped(request) => {
                let mut response = BytesMut::new();
                is_over = self.request(*request, &mut response).await;
                self.control.wrap(&response, &mut reply);
            }
        }
        self.out.extend_from_slice(&websocket::text(&reply));
        Ok(is_over)
    }

    /// Answers one RTSP request. True if it is the last.
    async fn request(&mut self, request: Request, out: &mut BytesMut) -> bool {
        let mut event = self.session.handle_request(request, out);
        if let server::Event::Authorize(_) = event {
            // The token was looked at when the socket was opened, and the path is the socket's.
            let auth = &self.door.viewing.auth;
            let action = Action::Subscribe(&self.path);
            if auth.authorize(&self.caller, action).is_err() {
                self.session.deny(Denial::Forbidden, out);
                return false;
            }
            event = self.session.allow(out);
        }
        match event {
            server::Event::Answered => {}
            server::Event::Close => return true,
            server::Event::Paused => self.gate.close(),
            server::Event::Resumed => self.gate.open(),
            server::Event::Describe { .. } => match self.find().await {
                Some(stream) => self
                    .session
                    .describe(stream.path().as_str(), &stream.tracks(), out),
                None => self.session.refuse(Status::NotFound, None, out),
            },
            server::Event::Play { .. } => match self.find().await {
                Some(stream) => {
                    self.session.accept(out);
                    self.stream = Some(stream);
                }
                None => self.session.refuse(Status::NotFound, None, out),
            },
            // Not in a session over WSP; but a request is owed a response.
            server::Event::Authorize(_)
            | server::Event::Announce { .. }
            | server::Event::SetupUdp { .. }
            | server::Event::SetupMulticast { .. }
            | server::Event::Record { .. } => {
                self.session
                    .refuse(rtsp::Status::MethodNotValidInThisState, None, out);
            }
        }
        false
    }

    async fn find(&self) -> Option<Arc<Stream>> {
        let viewing = &self.door.viewing;
        viewing.hub.find(&self.path, viewing.patience).await
    }
}

impl Data {
    /// A pong that the player is owed; none when it has left, or broke the protocol. Cancel-safe.
    async fn said(&mut self) -> Option<Bytes> {
        loop {
            match self.frames.next() {
                Ok(Some(Message::Ping(payload))) => return Some(websocket::pong(&payload)),
                Ok(Some(Message::Data(_))) => {}
                Ok(Some(Message::Close)) | Err(_) => return None,
                Ok(None) => self.frames.read(&self.socket, READ).await.ok()?,
            }
        }
    }
}

/// Says something on a data socket that gets no packets just now.
async fn answer(data: Option<&Data>, pong: Bytes) -> Result<(), End> {
    let Some(data) = data else { return Ok(()) };
    let mut out = BytesMut::from(pong);
    timeout(WRITE_PATIENCE, write(&data.socket, &mut out))
        .await
        .map_err(|_| End::Unread)??;
    Ok(())
}

async fn said(data: &mut Option<Data>) -> Option<Bytes> {
    match data {
        Some(data) => data.said().await,
        None => std::future::pending().await,
    }
}

/// Never, before INIT.
async fn next_join(channel: &mut Option<Channel>) -> DataSocket {
    match channel {
        Some(channel) => channel.joined().await,
        None => std::future::pending().await,
    }
}
