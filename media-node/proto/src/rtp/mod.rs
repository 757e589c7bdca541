//! RTP (RFC 3550): packets, and access units in and out of them.
//!
//! - [`header`]: the fixed header and what may follow it.
//! - [`packetize`]: access units into packets, for sending.
//! - [`jitter`]: packets that came by UDP back in order.
//! - [`receiver`]: one sender's packets by UDP: whose are taken, and what is reported of them.
//! - [`depacketize`]: packets into access units; [`dts`] finds their decoding times.
//! - [`timeline`]: one origin for the timestamps of a session's tracks.
//!
//! Which payload type means which codec is the session description's matter, see [`crate::sdp`];
//! reports about a stream are in [`crate::rtcp`].

pub mod depacketize;
pub mod dts;
pub mod header;
pub mod jitter;
pub mod packetize;
pub mod receiver;
pub mod timeline;

pub use depacketize::{Depacketizer, Unit};
pub use header::{Error, Header, Packet};
pub use jitter::JitterBuffer;
pub use packetize::Packetizer;
pub use receiver::Receiver;
pub use timeline::Timeline;
