//! Telling RTSP from HTTP.

use crate::socket::Socket;
use bytes::BytesMut;
use std::io;
use weir_proto::http::{Protocol, classify};

/// Reads until the first bytes tell the protocol; they are in `first` afterwards.
///
/// # Errors
/// When the peer leaves before it has said enough.
pub(super) async fn sniff(socket: &Socket, first: &mut BytesMut) -> io::Result<Protocol> {
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
