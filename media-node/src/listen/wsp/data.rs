//! The data socket, until it has joined; where its control socket is at another gateway, to its end.

use super::between::Far;
use super::channels::{DataSocket, Joining};
use super::{End, JOIN_PATIENCE, READ, WRITE_PATIENCE, WspDoor};
use crate::egress::web_socket::WebSocket;
use crate::listen::rtsp::error_chain;
use crate::listen::web_socket::Frames;
use crate::socket::{Socket, write};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio::time::timeout;
use tracing::debug;
use weir_proto::media::StreamPath;
use weir_proto::websocket::{self, Message};
use weir_proto::wsp::{ChannelId, Join, message::MAX_MESSAGE};

/// Where the control socket is.
enum Found {
    Here(Joining),
    Elsewhere(Far),
}

/// A data socket whose packets come from another gateway.
struct Carried {
    socket: Arc<Socket>,
    /// What was read from it after JOIN.
    input: BytesMut,
    far: Far,
}

impl WspDoor {
    /// Serves a data socket until its control socket takes it.
    pub async fn data(self, opened: WebSocket) {
        let peer = opened.peer;
        let joined = timeout(JOIN_PATIENCE, self.join(opened)).await;
        let end = match joined.unwrap_or(Err(End::Silence(JOIN_PATIENCE))) {
            Ok(None) => return,
            Ok(Some(Carried { socket, input, far })) => far.carry(&socket, input).await,
            Err(end) => end,
        };
        debug!(%peer, reason = error_chain(&end), "WSP data socket ended");
    }

    async fn find(&self, id: ChannelId, path: &StreamPath) -> Option<Found> {
        if let Some(joining) = self.channels.join(id, path) {
            return Some(Found::Here(joining));
        }
        let far = self.elsewhere.as_ref()?.join(id, path).await?;
        Some(Found::Elsewhere(far))
    }

    async fn join(self, opened: WebSocket) -> Result<Option<Carried>, End> {
        let socket = opened.socket;
        let mut frames = Frames::new(opened.input, MAX_MESSAGE);
        let message = first(&mut frames, &socket).await?;
        let join = Join::parse(&message)?;
        let found = match join.channel {
            Some(channel) => self.find(channel, &opened.path).await,
            None => None,
        };
        let mut reply = BytesMut::new();
        match &found {
            Some(_) => join.accept(&mut reply),
            None => join.not_found(&mut reply),
        }
        let mut out = BytesMut::from(&websocket::text(&reply)[..]);
        if found.is_none() {
            out.extend_from_slice(&websocket::close(1000));
        }
        timeout(WRITE_PATIENCE, write(&socket, &mut out))
            .await
            .map_err(|_| End::Unread)??;
        let input = frames.into_input();
        match found.ok_or(End::NoChannel)? {
            Found::Here(joining) => {
                joining.send(DataSocket {
                    socket,
                    input,
                    place: None,
                });
                Ok(None)
            }
            Found::Elsewhere(far) => Ok(Some(Carried { socket, input, far })),
        }
    }
}

async fn first(frames: &mut Frames, socket: &Socket) -> Result<Bytes, End> {
    loop {
        match frames.next()? {
            Some(Message::Data(message)) => return Ok(message.freeze()),
            Some(Message::Ping(payload)) => {
                let mut out = BytesMut::from(&websocket::pong(&payload)[..]);
                write(socket, &mut out).await?;
            }
            Some(Message::Close) => return Err(End::PeerLeft),
            None => frames.read(socket, READ).await?,
        }
    }
}
