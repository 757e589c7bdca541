//! WSP playback: packets go to the data socket, and may pause (ipchub contract, 7.1).
//!
//! The conversation on the control socket, and how a data socket is found, are `listen::wsp`'s.

use super::form::rtp::Layout;
use super::gate::{Gate, GatedSink};
use super::rtsp::{channels, watch};
use crate::hub::{Seat, Stream, TcpSink, Visitor};
use crate::socket::Socket;
use std::sync::Arc;
use weir_proto::rtsp::server::Setup;

/// Seats a viewer whose packets go to `data` while the gate is open. None when viewers of this stream have
/// chosen too many different channels already.
pub fn seat(stream: &Arc<Stream>, setups: &[Setup], data: &Arc<Socket>, gate: &Gate) -> Option<Seat> {
    let sink = GatedSink {
        inner: TcpSink::new(data.clone()),
        gate: gate.clone(),
        may_miss: |_| true,
    };
    let visitor = Visitor {
        protocol: "wsp",
        detail: String::new(),
    };
    let layout = Layout::WebSocket(channels(setups));
    stream
        .has_room_for(layout.key())
        .then(|| watch(stream, layout, Box::new(sink), visitor))
}
