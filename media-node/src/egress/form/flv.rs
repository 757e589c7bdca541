//! FLV tags, framed for the connection that carries them.

use crate::hub::{Form, FormKey, Packed};
use bytes::BytesMut;
use weir_proto::flv::{self, H265Dialect, Muxer};
use weir_proto::media::{AccessUnit, Timestamp, Tracks};
use weir_proto::websocket;

/// What stands around the tags of one access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1.1 chunks (RFC 9112 section 7.1).
    Chunked,
    /// WebSocket binary messages.
    WebSocket,
    /// Nothing: HTTP/1.0, where the end of the connection is the end of the body.
    Bare,
}

impl Framing {
    pub fn key(self) -> FormKey {
        let name = match self {
            Self::Chunked => "flv-chunked",
            Self::WebSocket => "flv-websocket",
            Self::Bare => "flv",
        };
        FormKey { name, layout: 0 }
    }

    /// What stands before `length` bytes.
    fn open(self, length: usize, out: &mut BytesMut) {
        match self {
            Self::Chunked => {
                let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
                let hex = (0..digits)
                    .rev()
                    .map(|n| b"0123456789abcdef"[length >> (4 * n) & 15]);
                out.extend(hex);
                out.extend_from_slice(b"\r\n");
            }
            Self::WebSocket => {
                let mut header = [0; websocket::MAX_HEADER];
                let used = websocket::binary_header(length, &mut header);
                out.extend_from_slice(&header[..used]);
            }
            Self::Bare => {}
        }
    }

    /// What stands behind them.
    fn close(self, out: &mut BytesMut) {
        if self == Self::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    fn around(self, bytes: &[u8], out: &mut BytesMut) {
        if !bytes.is_empty() {
            self.open(bytes.len(), out);
            out.extend_from_slice(bytes);
            self.close(out);
        }
    }
}

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
        match self.framing {
            Framing::Chunked => out.buffer.extend_from_slice(b"0\r\n\r\n"),
            Framing::WebSocket => out.buffer.extend_from_slice(&websocket::close(1000)),
            Framing::Bare => {}
        }
        out.cut(0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_tells_true_lengths() {
        for (length, want) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (16, "10\r\n"),
            (300, "12c\r\n"),
            (70_000, "11170\r\n"),
        ] {
            let body = vec![b'x'; length];
            let mut out = BytesMut::new();
            Framing::Chunked.around(&body, &mut out);
            assert_eq!(out, [want.as_bytes(), &body, b"\r\n"].concat());
            let mut out = BytesMut::new();
            Framing::WebSocket.around(&body, &mut out);
            let mut header = [0; websocket::MAX_HEADER];
            let used = websocket::binary_header(length, &mut header);
            assert_eq!(out, [&header[..used], &body].concat());
        }
    }

    #[test]
    fn nothing_makes_no_frame() {
        for framing in [Framing::Chunked, Framing::WebSocket, Framing::Bare] {
            let mut out = BytesMut::new();
            framing.around(&[], &mut out);
            assert!(out.is_empty(), "an empty chunk would end the response");
        }
    }
}
