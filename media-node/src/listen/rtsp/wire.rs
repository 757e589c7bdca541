//! How messages lie on a connection: one behind the other, or each in a WebSocket message.

use super::{End, READ_REQUESTS};
use crate::listen::web_socket::{Frames, read};
use crate::socket::Socket;
use bytes::{Bytes, BytesMut};
use std::io;
use weir_proto::rtsp::message::{MAX_BODY, MAX_HEAD};
use weir_proto::rtsp::server::Carrier;
use weir_proto::rtsp::{Message, Parser};
use weir_proto::websocket;

/// Bytes of a WebSocket message that are taken: room for the longest request, and for a packet.
const MOST_MESSAGE: usize = MAX_HEAD + MAX_BODY;

/// The incoming half of a connection.
pub(super) struct Wire {
    parser: Parser,
    /// RTSP that waits for its end.
    input: BytesMut,
    /// Of a WebSocket: what is around the RTSP.
    frames: Option<Frames>,
}

impl Wire {
    /// `first` has been read from the socket already.
    pub(super) fn new(carrier: Carrier, first: BytesMut) -> Self {
        let (input, frames) = match carrier {
            Carrier::Tcp => (first, None),
            Carrier::WebSocket | Carrier::Wsp => (BytesMut::new(), Some(Frames::new(first, MOST_MESSAGE))),
        };
        let parser = Parser::new();
        Self {
            parser,
            input,
            frames,
        }
    }

    /// The next message of those that have come. `None`: [`Self::read`] more. What a WebSocket's ping
    /// wants to hear is appended to `out`.
    pub(super) fn next(&mut self, out: &mut BytesMut) -> Result<Option<Message>, End> {
        loop {
            if let Some(message) = self.parser.parse(&mut self.input)? {
                return Ok(Some(message));
            }
            let Some(frames) = &mut self.frames else {
                return Ok(None);
            };
            match frames.next()? {
                None => return Ok(None),
                Some(websocket::Message::Data(data)) if self.input.is_empty() => self.input = data,
                Some(websocket::Message::Data(data)) => self.input.extend_from_slice(&data),
                Some(websocket::Message::Ping(payload)) => {
                    out.extend_from_slice(&websocket::pong(&payload));
                }
                Some(websocket::Message::Close) => return Err(End::PeerLeft),
            }
        }
    }

    /// Gives memory back that nothing is in: it may take long until more comes.
    pub(super) fn release(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Waits for at least one byte. Cancel-safe.
    pub(super) async fn read(&mut self, socket: &Socket, room: usize) -> Result<(), End> {
        let read = match &mut self.frames {
            None => read(socket, &mut self.input, room).await,
            Some(frames) => frames.read(socket, room).await,
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => End::PeerLeft,
            _ => End::Broken(error),
        })
    }

    pub(super) async fn read_requests(&mut self, socket: &Socket) -> Result<(), End> {
        self.read(socket, READ_REQUESTS).await
    }

    /// Makes what was appended to `out` since `start` one message; the last one, if `is_last`.
    pub(super) fn seal(&self, out: &mut BytesMut, start: usize, is_last: bool) {
        if self.frames.is_none() {
            return;
        }
        let response: Bytes = out.split_off(start).freeze();
        if !response.is_empty() {
            out.extend_from_slice(&websocket::binary(&response));
        }
        if is_last {
            out.extend_from_slice(&websocket::close(1000));
        }
    }
}
