//! Each WebSocket on which more is said than FLV: RTSP, and the two of WSP (ipchub contract,
//! section 7). `egress` has shaken hands and asked for rights; here the sockets are read.

use super::rtsp::RtspDoor;
use super::wsp::WspDoor;
use crate::egress::web_socket::{Conversation, SubProtocol};
use crate::socket::Socket;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use weir_proto::websocket::{Error, Message, Reader};

/// Takes every socket to whoever speaks its sub-protocol.
pub fn conversation(rtsp: RtspDoor, wsp: WspDoor) -> Conversation {
    Arc::new(move |sub_protocol, opened| match sub_protocol {
        SubProtocol::Rtsp => Box::pin(rtsp.clone().serve_web_socket(opened)),
        SubProtocol::Control => Box::pin(wsp.clone().control(opened)),
        SubProtocol::Data => Box::pin(wsp.clone().data(opened)),
    })
}

/// What comes in on a socket: bytes, and the messages in them.
#[derive(Debug)]
pub(super) struct Frames {
    reader: Reader,
    input: BytesMut,
}

impl Frames {
    /// `input` has been read from the socket; messages have `most` bytes.
    pub(super) const fn new(input: BytesMut, most: usize) -> Self {
        let reader = Reader::keeping(most);
        Self { reader, input }
    }

    /// Messages are skipped; only pings and good-byes come through.
    pub(super) fn skipping(input: BytesMut) -> Self {
        let reader = Reader::default();
        Self { reader, input }
    }

    /// What was read and belongs to no message that came through.
    pub(super) fn into_input(self) -> BytesMut {
        self.input
    }

    /// The next message of those that have come. `None`: [`Self::read`] more.
    ///
    /// # Errors
    /// The client broke the protocol.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Error> {
        self.reader.read(&mut self.input)
    }

    /// Waits for at least one byte, and appends what has come. Cancel-safe.
    ///
    /// # Errors
    /// `UnexpectedEof` when the client has left.
    pub(super) async fn read(&mut self, socket: &Socket, room: usize) -> io::Result<()> {
        read(socket, &mut self.input, room).await
    }
}

/// Waits for at least one byte, and appends what has come. Cancel-safe.
///
/// # Errors
/// `UnexpectedEof` when the client has left.
pub(super) async fn read(socket: &Socket, input: &mut BytesMut, room: usize) -> io::Result<()> {
    match crate::socket::read(socket, input, room).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
