//! Sessions of this process by family of protocols, as the documented API counts them: how many have
//! been begun, and how many are open. Metrics of single protocols are counted where they are served.

use std::sync::atomic::{AtomicU64, Ordering};

/// RTSP connections of players and publishers, also over WebSocket, and sources that are pulled.
pub static RTSP: Sessions = Sessions::new();
/// HTTP-FLV and WebSocket-FLV.
pub static FLV: Sessions = Sessions::new();
/// Control channels of RTSP wrapped in WebSocket.
pub static WSP: Sessions = Sessions::new();
pub static RTMP: Sessions = Sessions::new();

/// One family's count.
pub struct Sessions {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A session that is open while this lives.
#[must_use]
pub struct Open(&'static Sessions);

impl Sessions {
    const fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }
    }

    /// Counts a session that begins now.
    pub fn open(&'static self) -> Open {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    /// Sessions since the start of the process.
    pub fn total(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Sessions that are open.
    pub fn active(&self) -> u64 {
        // In this order, so that none ends that has not been counted as begun.
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed).saturating_sub(ended)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::Sessions;

    #[test]
    fn sessions_begin_and_end() {
        static SOME: Sessions = Sessions::new();
        let one = SOME.open();
        let two = SOME.open();
        assert_eq!((SOME.total(), SOME.active()), (2, 2));
        drop(one);
        assert_eq!((SOME.total(), SOME.active()), (2, 1));
        drop(two);
        assert_eq!((SOME.total(), SOME.active()), (2, 0));
    }
}
