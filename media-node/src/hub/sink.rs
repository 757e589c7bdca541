//! Where a viewer's bytes go.

use super::Piece;
use crate::socket::Socket;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UdpSocket;

/// A viewer's way out. Written by the publisher's task while the viewer keeps up, and by the
/// viewer's own task otherwise, never by both at once.
pub trait Sink: Send + Sync {
    /// Writes what fits now, without waiting. `round` is the bytes of all `pieces` in one; returns
    /// how many of its bytes went out, or `WouldBlock`.
    fn try_write(&self, round: &[u8], pieces: &[Piece]) -> io::Result<usize>;

    /// Ready when more may fit.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// How long to wait after each write of a burst, for ways out that don't push back.
    fn pause(&self) -> Option<Duration> {
        None
    }
}

/// Bytes that may wait unsent in the kernel for one viewer. More would make a slow viewer's delay and
/// the machine's memory grow without the hub seeing it; less would let a large keyframe of a good
/// viewer take the slow path.
const MOST_UNSENT: u32 = 512 << 10;

/// A connection that takes the form's bytes as they are.
pub struct TcpSink(Arc<Socket>);

impl TcpSink {
    pub fn new(socket: Arc<Socket>) -> Self {
        socket.bound_unsent(MOST_UNSENT);
        Self(socket)
    }
}

impl Sink for TcpSink {
    fn try_write(&self, round: &[u8], _: &[Piece]) -> io::Result<usize> {
        self.0.try_write(round)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(cx)
    }
}

/// Bytes that go to a viewer over UDP in one go. More would overrun the receiver's socket buffer, which
/// by default takes some 130 KB of full packets.
const MOST_DATAGRAM_BYTES: usize = 64 << 10;

/// UDP: every packet a datagram, to an address by the piece's channel.
pub struct Datagrams {
    /// By channel; `None` where the viewer did not ask for it.
    pub to: Vec<Option<(Arc<UdpSocket>, SocketAddr)>>,
}

impl Datagrams {
    /// Sends whole datagrams, about `room` bytes of them. Returns how many bytes are done with, and
    /// whether the socket is full. A datagram that can't be sent for another reason is lost, as
    /// datagrams are.
    fn send(&self, piece: &Piece, room: usize) -> (usize, bool) {
        let Some(Some((socket, address))) = self.to.get(usize::from(piece.channel)) else {
            return (piece.bytes.len(), false);
        };
        let mut start = 0;
        for &end in &piece.ends {
            let end = end as usize;
            if start >= room {
                return (start, false);
            }
            match socket.try_send_to(&piece.bytes[start..end], *address) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (start, true),
                Ok(_) | Err(_) => start = end,
            }
        }
        (piece.bytes.len(), false)
    }
}

impl Sink for Datagrams {
    fn try_write(&self, _: &[u8], pieces: &[Piece]) -> io::Result<usize> {
        let mut taken = 0;
        for piece in pieces {
            let (done, is_full) = self.send(piece, MOST_DATAGRAM_BYTES.saturating_sub(taken));
            taken += done;
            if is_full && taken == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if done < piece.bytes.len() {
                break;
            }
        }
        Ok(taken)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.to.iter().flatten().next() {
            Some((socket, _)) => socket.poll_send_ready(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// The publisher's task sends each piece when it comes, so this is at least five times as fast as real
    /// time, whatever the bitrate; and a receiver may be off its processor for some 75 ms.
    fn pause(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }
}
