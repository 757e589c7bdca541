//! A viewer over UDP.

use super::{Piece, Sink};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Bytes that go to a viewer in one go. More would overrun the receiver's socket buffer, which by
/// default takes some 130 KB of full packets.
const MOST_BYTES: usize = 64 << 10;
/// Datagrams that the kernel takes in one call (`UDP_MAX_SEGMENTS`), and bytes of them: it treats them
/// as one IP packet for most of the way.
const MOST_AT_ONCE: usize = 64;
const MOST_BYTES_AT_ONCE: usize = 60_000;

/// Every packet a datagram, to an address by the piece's channel.
pub struct Datagrams {
    /// By channel; `None` where the viewer did not ask for it.
    to: Vec<Option<(Arc<UdpSocket>, SocketAddr)>>,
    /// The kernel, or the way to this viewer, does not take several datagrams at once.
    one_by_one: AtomicBool,
}

impl Datagrams {
    /// `to`: where the packets of each channel go; `None` where the viewer did not ask for it.
    pub fn new(to: Vec<Option<(Arc<UdpSocket>, SocketAddr)>>) -> Self {
        Self {
            to,
            one_by_one: AtomicBool::new(!cfg!(target_os = "linux")),
        }
    }

    /// Sends whole datagrams, about `room` bytes of them. Returns how many bytes are done with, and
    /// whether the socket is full. A datagram that can't be sent for another reason is lost, as
    /// datagrams are.
    fn send(&self, piece: &Piece, room: usize) -> (usize, bool) {
        let Some(Some((socket, address))) = self.to.get(usize::from(piece.channel)) else {
            return (piece.bytes.len(), false);
        };
        let (mut start, mut ends) = (0, &*piece.ends);
        while !ends.is_empty() {
            if start >= room {
                return (start, false);
            }
            let count = if self.one_by_one.load(Ordering::Relaxed) {
                1
            } else {
                alike(ends, start, (room - start).min(MOST_BYTES_AT_ONCE))
            };
            let end = ends[count - 1] as usize;
            let bytes = &piece.bytes[start..end];
            let sent = if count == 1 {
                socket.try_send_to(bytes, *address).map(drop)
            } else {
                send_at_once(socket, *address, bytes, ends[0] as usize - start)
            };
            match sent {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (start, true),
                // Why not is not told apart: an interface without checksums in hardware says EIO, an old
                // kernel EINVAL, a tunnel EMSGSIZE. One by one, each datagram meets its own fate.
                Err(_) if count > 1 => self.one_by_one.store(true, Ordering::Relaxed),
                Ok(()) | Err(_) => {
                    start = end;
                    ends = &ends[count..];
                }
            }
        }
        (piece.bytes.len(), false)
    }
}

/// How many of the datagrams from `start` on can go at once: as long as they are of one size, and the
/// last may be shorter; at least one, and more only within `room` bytes.
fn alike(ends: &[u32], start: usize, room: usize) -> usize {
    let size = ends[0] as usize - start;
    let mut before = ends[0] as usize;
    for (count, &end) in ends.iter().enumerate().skip(1).take(MOST_AT_ONCE - 1) {
        let next = end as usize - before;
        if next > size || end as usize - start > room {
            return count;
        }
        if next < size {
            return count + 1;
        }
        before = end as usize;
    }
    ends.len().min(MOST_AT_ONCE)
}

/// Sends `bytes` as datagrams of `size` bytes, the last maybe shorter, in one call: the kernel cuts them
/// (generic segmentation offload, `UDP_SEGMENT` in udp(7)).
#[cfg(target_os = "linux")]
fn send_at_once(socket: &UdpSocket, address: SocketAddr, bytes: &[u8], size: usize) -> io::Result<()> {
    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
    use std::os::fd::AsRawFd;
    let Ok(size) = u16::try_from(size) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let address = SockaddrStorage::from(address);
    socket.try_io(tokio::io::Interest::WRITABLE, || {
        sendmsg(
            socket.as_raw_fd(),
            &[io::IoSlice::new(bytes)],
            &[ControlMessage::UdpGsoSegments(&size)],
            MsgFlags::MSG_DONTWAIT,
            Some(&address),
        )?;
        Ok(())
    })
}

#[cfg(not(target_os = "linux"))]
fn send_at_once(_: &UdpSocket, _: SocketAddr, _: &[u8], _: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Sink for Datagrams {
    fn try_write(&self, _: &[u8], pieces: &[Piece]) -> io::Result<usize> {
        let mut taken = 0;
        for piece in pieces {
            let (done, is_full) = self.send(piece, MOST_BYTES.saturating_sub(taken));
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn datagrams_of_one_size_go_at_once() {
        assert_eq!(alike(&[10], 0, 1000), 1);
        assert_eq!(alike(&[10, 20, 30], 0, 1000), 3);
        assert_eq!(alike(&[10, 20, 25, 35], 0, 1000), 3, "a shorter one is the last");
        assert_eq!(alike(&[10, 25, 35], 0, 1000), 1, "none is longer than the first");
        assert_eq!(alike(&[30, 40, 50], 20, 1000), 3, "they begin in the middle");
        assert_eq!(alike(&[10, 20, 30], 0, 25), 2, "no more than there is room for");
        assert_eq!(alike(&[10, 20, 30], 0, 1), 1);
        let many: Vec<u32> = (1..=200).map(|n| n * 10).collect();
        assert_eq!(alike(&many, 0, 100_000), MOST_AT_ONCE);
    }

    /// Sends datagrams of these sizes, and returns what arrives.
    async fn sent(sizes: &[usize], one_by_one: bool) -> Vec<Vec<u8>> {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let sender = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("bind"));
        sender.writable().await.expect("writable");
        let to = receiver.local_addr().expect("an address");
        let sink = Datagrams::new(vec![Some((sender, to))]);
        sink.one_by_one.store(one_by_one, Ordering::Relaxed);
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (i, size) in sizes.iter().enumerate() {
            bytes.resize(bytes.len() + size, i as u8);
            ends.push(bytes.len() as u32);
        }
        let piece = Piece {
            bytes: Bytes::from(bytes),
            ends: ends.into(),
            channel: 0,
            keyframe: true,
            whole: true,
        };
        let taken = sink.try_write(b"", std::slice::from_ref(&piece)).expect("sent");
        assert_eq!(taken, piece.bytes.len());
        let mut found = Vec::new();
        let mut buffer = [0; 2048];
        for _ in sizes {
            let next = tokio::time::timeout(Duration::from_secs(5), receiver.recv(&mut buffer));
            let length = next.await.expect("in time").expect("a datagram");
            found.push(buffer[..length].to_vec());
        }
        found
    }

    #[tokio::test]
    async fn at_once_or_one_by_one_the_same_arrives() {
        let sizes = [1400, 1400, 1400, 300, 20, 1400, 1400, 7];
        let want: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
        assert_eq!(sent(&sizes, false).await, want);
        assert_eq!(sent(&sizes, true).await, want);
    }
}
