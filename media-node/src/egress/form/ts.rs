//! An MPEG transport stream, framed for the connection that carries it.

use super::Framing;
use crate::hub::{Form, FormKey, Packed};
use bytes::BytesMut;
use weir_proto::media::{AccessUnit, Tracks};
use weir_proto::mpegts::LiveMuxer;

/// A transport stream for all viewers with one framing. It needs no header: tables stand before each
/// keyframe.
pub struct TsForm {
    muxer: LiveMuxer,
    framing: Framing,
    /// Packets of one piece, until their length is known.
    packets: BytesMut,
}

impl TsForm {
    /// Whether a transport stream has a place for any of the tracks.
    pub fn carries_any(tracks: &Tracks) -> bool {
        LiveMuxer::carries_any(tracks)
    }

    pub fn key(framing: Framing) -> FormKey {
        let name = match framing {
            Framing::Chunked => "ts-chunked",
            Framing::WebSocket => "ts-websocket",
            Framing::Bare => "ts",
        };
        FormKey { name, layout: 0 }
    }

    pub fn new(tracks: &Tracks, framing: Framing) -> Self {
        Self {
            muxer: LiveMuxer::new(tracks),
            framing,
            packets: BytesMut::new(),
        }
    }

    fn cut(&mut self, keyframe: bool, out: &mut Packed) {
        self.framing.around(&self.packets, &mut out.buffer);
        self.packets.clear();
        out.cut(0, keyframe);
    }
}

impl Form for TsForm {
    fn start(&mut self, _: &Tracks, _: &mut Packed) {}

    fn unit(&mut self, _: &Tracks, unit: &AccessUnit, out: &mut Packed) {
        let starts = self.muxer.starts_at(unit);
        if starts {
            self.muxer.flush(&mut self.packets);
            self.cut(false, out);
        }
        self.muxer.access_unit(unit, &mut self.packets);
        self.cut(starts, out);
    }

    fn tracks_changed(&mut self, tracks: &Tracks, out: &mut Packed) {
        self.muxer.set_tracks(tracks, &mut self.packets);
        self.cut(false, out);
    }

    fn end(&mut self, out: &mut Packed) {
        self.muxer.flush(&mut self.packets);
        self.cut(false, out);
        self.framing.end(&mut out.buffer);
        out.cut(0, false);
    }
}
