//! Where a viewer's bytes go.

use super::Piece;
use crate::socket::Socket;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

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
