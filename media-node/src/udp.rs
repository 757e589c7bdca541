//! Pairs of UDP ports, for RTP and RTCP, that RTSP sessions get for a track each.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::UdpSocket;

/// Attempts at a pair of neighbouring UDP ports.
const ATTEMPTS: usize = 16;
/// Pairs that are open at once in this process: they come from a range that all programs of the
/// machine share.
const MOST: usize = 8192;
/// Room for what comes while the process does something else: a large keyframe comes in one go.
const RECEIVE_BYTES: usize = 2 << 20;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A place among [`MOST`], until it is dropped.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            (n < MOST).then_some(n + 1)
        });
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Our two UDP ports for a track of a session; given back when this is dropped.
pub struct UdpPorts {
    pub rtp: Arc<UdpSocket>,
    pub rtcp: Arc<UdpSocket>,
    numbers: (u16, u16),
    _place: Place,
}

impl UdpPorts {
    /// An even port for RTP and the next for RTCP (RFC 3550 section 11), on the address that the peer
    /// reached us at.
    ///
    /// # Errors
    /// When there is none.
    pub async fn open(local: IpAddr) -> io::Result<Self> {
        let none = |why| io::Error::new(io::ErrorKind::AddrInUse, why);
        let place = Place::take().ok_or_else(|| none("as many UDP ports as allowed are in use"))?;
        for _ in 0..ATTEMPTS {
            let rtp = UdpSocket::bind((local, 0)).await?;
            let number = rtp.local_addr()?.port();
            if number % 2 != 0 {
                continue;
            }
            let Ok(rtcp) = UdpSocket::bind((local, number + 1)).await else {
                continue;
            };
            return Ok(Self {
                rtp: Arc::new(rtp),
                rtcp: Arc::new(rtcp),
                numbers: (number, number + 1),
                _place: place,
            });
        }
        Err(none("no pair of neighbouring UDP ports is free"))
    }

    pub const fn numbers(&self) -> (u16, u16) {
        self.numbers
    }

    /// Makes room for a sender's bursts; the kernel may allow less.
    pub fn expect_media(&self) {
        let _ = socket2::SockRef::from(&*self.rtp).set_recv_buffer_size(RECEIVE_BYTES);
    }
}
