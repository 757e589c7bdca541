//! The data socket, until it has joined.

use super::channels::DataSocket;
use super::{End, JOIN_PATIENCE, READ, WRITE_PATIENCE, WspDoor};
use crate::egress::web_socket::WebSocket;
use crate::listen::rtsp::error_chain;
use crate::listen::web_socket::Frames;
use crate::socket::write;
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use tracing::debug;
use weir_proto::websocket::{self, Message};
use weir_proto::wsp::{Join, message::MAX_MESSAGE};

impl WspDoor {
    /// Serves a data socket until its control socket takes it.
    pub async fn data(self, opened: WebSocket) {
        let peer = opened.peer;
        let joined = timeout(JOIN_PATIENCE, self.join(opened)).await;
        if let Err(end) = joined.unwrap_or(Err(End::Silence(JOIN_PATIENCE))) {
            debug!(%peer, reason = error_chain(&end), "WSP data socket ended");
        }
    }

    async fn join(self, opened: WebSocket) -> Result<(), End> {
        let socket = opened.socket;
        let mut frames = Frames::new(opened.input, MAX_MESSAGE);
        let message = first(&mut frames, &socket).await?;
        let join = Join::parse(&message)?;
        let found = join
            .channel
            .and_then(|channel| self.channels.join(channel, &opened.path));
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
        found.ok_or(End::NoChannel)?.send(DataSocket { socket, input });
        Ok(())
    }
}

async fn first(frames: &mut Frames, socket: &crate::socket::Socket) -> Result<Bytes, End> {
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
