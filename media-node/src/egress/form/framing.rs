//! What the connection that carries a stream puts around its pieces.

use bytes::BytesMut;
use weir_proto::websocket;

/// What stands around the bytes of one access unit.
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
    /// What stands before `length` bytes.
    pub(super) fn open(self, length: usize, out: &mut BytesMut) {
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
    pub(super) fn close(self, out: &mut BytesMut) {
        if self == Self::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn around(self, bytes: &[u8], out: &mut BytesMut) {
        if !bytes.is_empty() {
            self.open(bytes.len(), out);
            out.extend_from_slice(bytes);
            self.close(out);
        }
    }

    /// What properly ends the stream.
    pub(super) fn end(self, out: &mut BytesMut) {
        match self {
            Self::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
            Self::WebSocket => out.extend_from_slice(&websocket::close(1000)),
            Self::Bare => {}
        }
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
