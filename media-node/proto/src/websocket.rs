//! WebSocket framing (RFC 6455), for the server's side.
//!
//! The handshake's HTTP part is the caller's. Clients of sockets that only send media have nothing to
//! say but pings and good-byes: a [`Reader`] skips their messages, unless it is told to keep them.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Longest header of an unmasked frame.
pub const MAX_HEADER: usize = 10;
/// Control frames carry at most this (RFC 6455 section 5.5).
const MAX_CONTROL: usize = 125;

/// Opcodes (RFC 6455 section 5.2).
mod opcode {
    pub(super) const CONTINUATION: u8 = 0;
    pub(super) const TEXT: u8 = 1;
    pub(super) const BINARY: u8 = 2;
    pub(super) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(super) const PONG: u8 = 10;
}

/// The client broke the protocol; the connection is to be closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    #[error("a client's frame is not masked")]
    NotMasked,
    #[error("reserved bits or an unknown opcode in a frame header ({0:#04x})")]
    Reserved(u8),
    #[error("a control frame is fragmented or longer than {MAX_CONTROL} bytes")]
    BadControl,
    #[error("a frame or message of {0} bytes is more than is taken")]
    TooLong(u64),
    #[error("a message begins before the last has ended, or goes on that has not begun")]
    Interrupted,
}

/// The header of a final, unmasked binary message of `length` bytes; returns how many of the bytes
/// of `out` it takes.
pub fn binary_header(length: usize, out: &mut [u8; MAX_HEADER]) -> usize {
    header(opcode::BINARY, length, out)
}

fn header(opcode: u8, length: usize, out: &mut [u8; MAX_HEADER]) -> usize {
    out[0] = 0x80 | opcode;
    if length < 126 {
        out[1] = length as u8;
        2
    } else if let Ok(short) = u16::try_from(length) {
        out[1] = 126;
        out[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        out[1] = 127;
        out[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        10
    }
}

/// A whole text message; `payload` is UTF-8.
pub fn text(payload: &[u8]) -> Bytes {
    frame(opcode::TEXT, payload)
}

/// A whole binary message.
pub fn binary(payload: &[u8]) -> Bytes {
    frame(opcode::BINARY, payload)
}

/// A whole pong for a ping's payload.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(opcode::PONG, payload)
}

/// A whole close frame with a status code (RFC 6455 section 7.4).
pub fn close(code: u16) -> Bytes {
    frame(opcode::CLOSE, &code.to_be_bytes())
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut head = [0; MAX_HEADER];
    let length = header(opcode, payload.len(), &mut head);
    let mut out = BytesMut::with_capacity(length + payload.len());
    out.extend_from_slice(&head[..length]);
    out.extend_from_slice(payload);
    out.freeze()
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Ping(Bytes),
    Close,
    /// A whole text or binary message, of a reader that keeps them.
    Data(BytesMut),
}

/// Reads what a client sends. By default, data frames of any length up to 1 GiB pass without being
/// kept.
#[derive(Debug, Default)]
pub struct Reader {
    skip: u64,
    keep: Option<Keep>,
}

/// Puts messages together.
#[derive(Debug)]
struct Keep {
    /// Bytes that a message may have.
    most: usize,
    /// The message whose last frame is still to come.
    begun: Option<BytesMut>,
}

impl Reader {
    /// Keeps messages of up to `most` bytes. That many, and a header, wait in the input for the end
    /// of a frame.
    pub const fn keeping(most: usize) -> Self {
        let keep = Keep { most, begun: None };
        Self {
            skip: 0,
            keep: Some(keep),
        }
    }

    /// The next message in `input`, which loses what was read. `None`: more bytes are needed.
    ///
    /// # Errors
    /// See [`Error`]; the connection can't be read any further.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            let skip = self.skip.min(input.len() as u64);
            input.advance(skip as usize);
            self.skip -= skip;
            if self.skip > 0 {
                return Ok(None);
            }
            let [first, second, ..] = input[..] else {
                return Ok(None);
            };
            let (opcode, fin) = (first & 0x0f, first & 0x80 != 0);
            if first & 0x70 != 0 {
                return Err(Error::Reserved(first));
            }
            if second & 0x80 == 0 {
                return Err(Error::NotMasked);
            }
            let (length, header) = match (second & 0x7f, &input[2..]) {
                (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
                (127, rest) if rest.len() >= 8 => {
                    let mut long = [0; 8];
                    long.copy_from_slice(&rest[..8]);
                    (u64::from_be_bytes(long), 10)
                }
                (126 | 127, _) => return Ok(None),
                (short, _) => (u64::from(short), 2),
            };
            if length > 1 << 30 {
                return Err(Error::TooLong(length));
            }
            match (opcode, &mut self.keep) {
                (opcode::CONTINUATION | opcode::TEXT | opcode::BINARY, Some(keep)) => {
                    if (opcode == opcode::CONTINUATION) != keep.begun.is_some() {
                        return Err(Error::Interrupted);
                    }
                    let before = keep.begun.as_ref().map_or(0, BytesMut::len);
                    let whole = before as u64 + length;
                    if whole > keep.most as u64 {
                        return Err(Error::TooLong(whole));
                    }
                    let end = header + 4 + length as usize;
                    if input.len() < end {
                        return Ok(None);
                    }
                    let payload = payload(input.split_to(end), header);
                    let message = match keep.begun.take() {
                        None => payload,
                        Some(mut begun) => {
                            begun.extend_from_slice(&payload);
                            begun
                        }
                    };
                    if fin {
                        return Ok(Some(Message::Data(message)));
                    }
                    keep.begun = Some(message);
                }
                (opcode::CONTINUATION | opcode::TEXT | opcode::BINARY, None) => {
                    if input.len() < header + 4 {
                        return Ok(None);
                    }
                    input.advance(header + 4);
                    self.skip = length;
                }
                (opcode::CLOSE | opcode::PING | opcode::PONG, _) => {
                    if !fin || length > MAX_CONTROL as u64 {
                        return Err(Error::BadControl);
                    }
                    let end = header + 4 + length as usize;
                    if input.len() < end {
                        return Ok(None);
                    }
                    let payload = payload(input.split_to(end), header);
                    match opcode {
                        opcode::CLOSE => return Ok(Some(Message::Close)),
                        opcode::PING => return Ok(Some(Message::Ping(payload.freeze()))),
                        _ => {}
                    }
                }
                _ => return Err(Error::Reserved(first)),
            }
        }
    }
}

/// The payload of a whole frame, unmasked in place.
fn payload(mut frame: BytesMut, header: usize) -> BytesMut {
    frame.advance(header);
    let mut mask = [0; 4];
    frame.split_to(4).copy_to_slice(&mut mask);
    // Eight at a time: publishers send all their media masked.
    let wide = u64::from(u32::from_ne_bytes(mask));
    let wide = wide << 32 | wide;
    let mut chunks = frame.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 0x80 | payload.len() as u8, 1, 2, 3, 4];
        frame.extend(
            payload
                .iter()
                .zip([1, 2, 3, 4].iter().cycle())
                .map(|(b, k)| b ^ k),
        );
        frame
    }

    #[test]
    fn headers_take_the_fewest_bytes() {
        for (length, want) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
        ] {
            let mut out = [0; MAX_HEADER];
            let used = binary_header(length, &mut out);
            assert_eq!(&out[..used], want);
        }
        let mut out = [0; MAX_HEADER];
        assert_eq!(binary_header(65_535, &mut out), 4);
        assert_eq!(binary_header(65_536, &mut out), 10);
        assert_eq!(out, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn data_is_skipped_and_pings_come_through_byte_by_byte() {
        let mut bytes = client(0x81, b"hello");
        bytes.extend(client(0x89, b"are you there"));
        bytes.extend(client(0x88, b""));
        let (mut reader, mut input, mut got) = (Reader::default(), BytesMut::new(), Vec::new());
        for byte in bytes {
            input.extend_from_slice(&[byte]);
            got.extend(reader.read(&mut input).expect("legal"));
        }
        assert_eq!(
            got,
            [
                Message::Ping(Bytes::from_static(b"are you there")),
                Message::Close
            ]
        );
        assert_eq!(pong(b"x"), &[0x8a, 1, b'x'][..]);
        assert_eq!(close(1000), &[0x88, 2, 3, 232][..]);
    }

    #[test]
    fn messages_are_kept_whole_when_wanted() {
        let long: Vec<u8> = (0..100).collect();
        let mut bytes = client(0x82, b"");
        // A ping may stand between the frames of a message.
        for frame in [
            client(0x01, b"he"),
            client(0x89, b"?"),
            client(0x00, b"l"),
            client(0x80, b"lo"),
            client(0x82, &long),
            client(0x81, b"seventh"),
        ] {
            bytes.extend(frame);
        }
        for step in [1, 7, bytes.len()] {
            let (mut reader, mut input, mut got) = (Reader::keeping(100), BytesMut::new(), Vec::new());
            for piece in bytes.chunks(step) {
                input.extend_from_slice(piece);
                while let Some(message) = reader.read(&mut input).expect("legal") {
                    got.push(message);
                }
            }
            let data = |bytes: &[u8]| Message::Data(BytesMut::from(bytes));
            let want = [
                data(b""),
                Message::Ping(Bytes::from_static(b"?")),
                data(b"hello"),
                data(&long),
                data(b"seventh"),
            ];
            assert_eq!(got, want, "{step} bytes at a time");
        }
        assert_eq!(text(b"x"), &[0x81, 1, b'x'][..]);
        assert_eq!(binary(b"x"), &[0x82, 1, b'x'][..]);
    }

    #[test]
    fn kept_messages_are_bounded_and_in_order() {
        let read = |frames: &[Vec<u8>]| {
            let (mut reader, mut input) = (Reader::keeping(10), BytesMut::new());
            input.extend_from_slice(&frames.concat());
            reader.read(&mut input)
        };
        let (begin, end) = (client(0x02, b"123456"), client(0x80, b"12345"));
        // Known from the header alone.
        let claim = vec![0x82, 0x8b];
        for (frames, want) in [
            (&[claim][..], Error::TooLong(11)),
            (&[begin.clone(), end.clone()], Error::TooLong(11)),
            (&[begin.clone(), begin], Error::Interrupted),
            (&[end], Error::Interrupted),
        ] {
            assert_eq!(read(frames), Err(want), "{frames:x?}");
        }
    }

    #[test]
    fn what_is_illegal_is_refused() {
        for (bytes, want) in [
            (&[0x82, 1, 0][..], Error::NotMasked),
            (&[0xf2, 0x80], Error::Reserved(0xf2)),
            (&[0x83, 0x80], Error::Reserved(0x83)),
            (&[0x09, 0x80], Error::BadControl),
            (&[0x89, 0xfe, 0, 126], Error::BadControl),
            (
                &[0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0],
                Error::TooLong(0x7f << 56),
            ),
        ] {
            assert_eq!(
                Reader::default().read(&mut BytesMut::from(bytes)),
                Err(want),
                "{bytes:x?}"
            );
        }
    }
}
