//! A connection's socket, as everything behind the handshake sees it.
//!
//! Over TCP it is the peer's connection itself, and writing to it costs what writing to a `TcpStream`
//! costs. With TLS it is one end of a pair of local sockets: at the other end a task turns bytes into records
//! ([`Pump`]). The pair holds little, so that a peer which doesn't read stops its writer just as a TCP
//! connection does.

mod pump;

pub use pump::Pump;

use bytes::{BufMut, BytesMut};
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A connection.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Tls(Inside),
}

/// Our end of a connection that a task encrypts.
#[derive(Debug)]
pub struct Inside {
    socket: UnixStream,
    /// Tells the task that nobody is here any more.
    _left: DropGuard,
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

/// Does the same with either kind.
macro_rules! each {
    ($self:ident, $socket:ident => $does:expr) => {
        match $self {
            Socket::Tcp($socket) => $does,
            Socket::Tls(Inside { socket: $socket, .. }) => $does,
        }
    };
}

impl Socket {
    /// A connection with TLS: `stream` is what encrypts, and `below` finds the TCP connection under it. What carries the bytes
    /// is to be run as long as the connection lasts.
    ///
    /// # Errors
    /// When there is no room for two more files.
    pub fn within<S: AsyncRead + AsyncWrite>(
        stream: S,
        below: impl Fn(&S) -> &TcpStream,
    ) -> io::Result<(Self, Pump<S>)> {
        let (outside, inside) = UnixStream::pair()?;
        pump::bound_unsent(below(&stream));
        let left = CancellationToken::new();
        let socket = Self::Tls(Inside {
            socket: inside,
            _left: left.clone().drop_guard(),
        });
        Ok((socket, Pump::new(stream, outside, left)))
    }

    /// Whether what is written travels encrypted.
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Where the peer reached us. None with TLS: what goes beside such a connection would not be encrypted.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Tls(_) => None,
        }
    }

    /// See [`TcpStream::readable`].
    pub async fn readable(&self) -> io::Result<()> {
        each!(self, socket => socket.readable().await)
    }

    /// See [`TcpStream::writable`].
    pub async fn writable(&self) -> io::Result<()> {
        each!(self, socket => socket.writable().await)
    }

    /// See [`TcpStream::poll_read_ready`].
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => socket.poll_read_ready(cx))
    }

    /// See [`TcpStream::poll_write_ready`].
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => socket.poll_write_ready(cx))
    }

    /// See [`TcpStream::try_read`].
    pub fn try_read(&self, out: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => socket.try_read(out))
    }

    /// See [`TcpStream::try_read_buf`].
    pub fn try_read_buf(&self, out: &mut impl BufMut) -> io::Result<usize> {
        each!(self, socket => socket.try_read_buf(out))
    }

    /// See [`TcpStream::try_write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, socket => socket.try_write(bytes))
    }

    /// See [`TcpStream::try_write_vectored`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, socket => socket.try_write_vectored(slices))
    }

    /// Says that nothing more will be written.
    pub fn end_writing(&self) -> io::Result<()> {
        each!(self, socket => SockRef::from(socket).shutdown(Shutdown::Write))
    }

    /// Bounds what may wait here unsent, in bytes. Where the kernel has no such bound, its own on a
    /// socket's memory is left.
    pub fn bound_unsent(&self, most: u32) {
        let _ = match self {
            Self::Tcp(socket) => SockRef::from(socket).set_tcp_notsent_lowat(most),
            // The kernel counts its own overhead as well, and doubles what it is told for that.
            Self::Tls(Inside { socket, .. }) => SockRef::from(socket).set_send_buffer_size(most as usize / 2),
        };
    }
}

/// Appends what has come; waits for at least one byte. 0 once the peer sends no more. Cancel-safe.
pub async fn read(socket: &Socket, input: &mut BytesMut, room: usize) -> io::Result<usize> {
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
pub async fn write(socket: &Socket, out: &mut BytesMut) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_does_not_read_stops_its_writer() {
        let (near, far) = UnixStream::pair().unwrap();
        let left = CancellationToken::new();
        let socket = Socket::Tls(Inside {
            socket: near,
            _left: left.clone().drop_guard(),
        });
        socket.bound_unsent(128 << 10);
        let piece = vec![0; 16 << 10];
        let mut taken = 0;
        socket.writable().await.unwrap();
        while let Ok(length) = socket.try_write(&piece) {
            taken += length;
            assert!(taken <= 256 << 10, "it takes more and more");
        }
        assert!(taken >= 64 << 10, "it takes {taken} bytes only");
        let mut read = vec![0; taken];
        far.readable().await.unwrap();
        far.try_read(&mut read).unwrap();
        socket.writable().await.unwrap();
        socket.try_write(&piece).unwrap();
        assert!(!left.is_cancelled());
        drop(socket);
        assert!(left.is_cancelled());
    }
}
