//! Telling RTSP from HTTP.

use bytes::BytesMut;
use std::io;
use tokio::net::TcpStream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Rtsp,
    Unknown,
}

/// Methods that only RTSP has; `OPTIONS` is looked at more closely.
const RTSP: [&[u8]; 10] = [
    b"DESCRIBE ",
    b"ANNOUNCE ",
    b"SETUP ",
    b"PLAY ",
    b"PAUSE ",
    b"TEARDOWN ",
    b"GET_PARAMETER ",
    b"SET_PARAMETER ",
    b"RECORD ",
    b"REDIRECT ",
];
const HTTP: [&[u8]; 8] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];
const OPTIONS: &[u8] = b"OPTIONS ";
const RTSP_TARGETS: [&[u8]; 3] = [b"* RTSP", b"rtsp://", b"rtsps://"];

/// Reads until the first bytes tell the protocol; they are in `first` afterwards.
///
/// # Errors
/// When the peer leaves before it has said enough.
pub async fn sniff(socket: &TcpStream, first: &mut BytesMut) -> io::Result<Protocol> {
    loop {
        socket.readable().await?;
        first.reserve(1024);
        match socket.try_read_buf(first) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                if let Some(protocol) = classify(first) {
                    return Ok(protocol);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

/// None: more bytes are needed.
fn classify(first: &[u8]) -> Option<Protocol> {
    let is = |word: &[u8]| first.starts_with(word);
    let may_become = |word: &[u8]| word.starts_with(first);
    if let Some(target) = first.strip_prefix(OPTIONS) {
        let target = target.to_ascii_lowercase();
        let known = RTSP_TARGETS.map(<[u8]>::to_ascii_lowercase);
        if known.iter().any(|t| target.starts_with(t)) {
            return Some(Protocol::Rtsp);
        }
        return (!known.iter().any(|t| t.starts_with(&target))).then_some(Protocol::Http);
    }
    if RTSP.iter().any(|w| is(w)) {
        Some(Protocol::Rtsp)
    } else if HTTP.iter().any(|w| is(w)) {
        Some(Protocol::Http)
    } else if may_become(OPTIONS) || RTSP.iter().chain(&HTTP).any(|w| may_become(w)) {
        None
    } else {
        Some(Protocol::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        for (bytes, want) in [
            ("GET / HTTP/1.1", Some(Protocol::Http)),
            ("POST /x", Some(Protocol::Http)),
            ("OPTIONS * RTSP/1.0", Some(Protocol::Rtsp)),
            ("OPTIONS RTSP://h/a RTSP/1.0", Some(Protocol::Rtsp)),
            ("OPTIONS /api HTTP/1.1", Some(Protocol::Http)),
            ("OPTIONS * HTTP/1.1", Some(Protocol::Http)),
            ("OPTIONS ", None),
            ("OPTIONS rts", None),
            ("DESC", None),
            ("P", None),
            ("PLAY rtsp://h/a", Some(Protocol::Rtsp)),
            ("ANNOUNCE rtsp://h/a", Some(Protocol::Rtsp)),
            ("\x16\x03\x01", Some(Protocol::Unknown)),
            ("SSH-2.0", Some(Protocol::Unknown)),
            ("get / ", Some(Protocol::Unknown)),
        ] {
            assert_eq!(classify(bytes.as_bytes()), want, "{bytes:?}");
        }
    }
}
