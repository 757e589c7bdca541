//! RTMP playback: seats a viewer, whose media may pause.
//!
//! The conversation itself is `listen::rtmp`'s, because the same connection may publish instead.

use super::form::rtmp::{KEY, MEDIA, RtmpForm};
use super::gate::{Gate, GatedSink};
use crate::hub::{Form, Seat, Stream, TcpSink, Visitor};
use crate::socket::Socket;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whether the stream has anything for an RTMP viewer.
pub fn carries_any(stream: &Stream) -> bool {
    RtmpForm::carries_any(&stream.tracks())
}

/// Seats a viewer, which gets access units while the gate is open. Its session must have been told already
/// that the stream plays.
pub fn seat(stream: &Arc<Stream>, socket: &Arc<Socket>, peer: SocketAddr, gate: &Gate) -> Seat {
    let sink = GatedSink {
        inner: TcpSink::new(socket.clone()),
        gate: gate.clone(),
        // Not sequence headers, of which there is no other.
        may_miss: |piece| piece.channel == MEDIA,
    };
    let tracks = stream.tracks();
    let form = || Box::new(RtmpForm::new(&tracks)) as Box<dyn Form>;
    let visitor = Visitor {
        protocol: "rtmp",
        detail: peer.to_string(),
    };
    stream.watch(KEY, form, Box::new(sink), visitor)
}
