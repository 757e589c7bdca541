//! FLV tags, framed for the connection that carries them.

use super::Framing;
use crate::hub::{Form, FormKey, Packed};
use bytes::BytesMut;
use weir_proto::flv::{self, H265Dialect, Muxer};
use weir_proto::media::{AccessUnit, Timestamp, Tracks};

/// FLV for all viewers with one framing.
pub struct FlvForm {
    muxer: Muxer,
    framing: Framing,
    /// Decoding time of the newest access unit.
    newest: Timestamp,
}

impl FlvForm {
    /// Whether FLV has a place for any of the tracks.
    pub fn carries_any(tracks: &Tracks) -> bool {
        tracks.iter().any(|track| flv::carries(track.codec.codec()))
    }

    pub fn key(framing: Framing) -> FormKey {
        let name = match framing {
            Framing::Chunked => "flv-chunked",
            Framing::WebSocket => "flv-websocket",
            Framing::Bare => "flv",
        };
        FormKey { name, layout: 0 }
    }

    pub fn new(tracks: &Tracks, framing: Framing) -> Self {
        let muxer = Muxer::new(tracks, H265Dialect::Legacy);
        Self {
            muxer,
            framing,
            newest: Timestamp::from_millis(0),
        }
    }
}

impl Form for FlvForm {
    fn start(&mut self, _: &Tracks, out: &mut Packed) {
        let mut header = BytesMut::new();
        self.muxer.header(&mut header);
        self.framing.around(&header, &mut out.buffer);
        out.cut(0, false);
    }

    fn unit(&mut self, _: &Tracks, unit: &AccessUnit, out: &mut Packed) {
        let Some(length) = self.muxer.tag_bytes(unit) else {
            return;
        };
        self.newest = unit.dts;
        self.framing.open(length, &mut out.buffer);
        self.muxer.tag(unit, &mut out.buffer);
        self.framing.close(&mut out.buffer);
        out.cut(0, unit.keyframe);
    }

    fn tracks_changed(&mut self, tracks: &Tracks, out: &mut Packed) {
        self.muxer = Muxer::new(tracks, H265Dialect::Legacy);
        let mut headers = BytesMut::new();
        self.muxer.sequence_headers(self.newest, &mut headers);
        self.framing.around(&headers, &mut out.buffer);
        out.cut(0, false);
    }

    fn end(&mut self, out: &mut Packed) {
        self.framing.end(&mut out.buffer);
        out.cut(0, false);
    }
}
