//! Reading and writing a socket that others write to as well.

use crate::socket::Socket;
use bytes::BytesMut;
use std::io;

/// Appends what has come; waits for at least one byte. 0 once the peer sends no more.
pub(super) async fn read(socket: &Socket, input: &mut BytesMut, room: usize) -> io::Result<usize> {
    loop {
        socket.readable().await?;
        input.reserve(room);
        match socket.try_read_buf(input) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// Writes all of it.
pub(super) async fn write(socket: &Socket, out: &mut BytesMut) -> io::Result<()> {
    while !out.is_empty() {
        socket.writable().await?;
        match socket.try_write(out) {
            Ok(length) => drop(out.split_to(length)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
