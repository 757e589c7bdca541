//! RTP (RFC 3550): packets, and access units in and out of them.
//!
//! - [`header`]: the fixed header and what may follow it.
//! - [`packetize`]: access units into packets, for sending.
//! - [`depacketize`]: packets into access units; [`dts`] finds their decoding times.
//!
//! Which payload type means which codec is the session description's matter, see [`crate::sdp`];
//! reports about a stream are in [`crate::rtcp`].

pub mod depacketize;
pub mod dts;
pub mod header;
pub mod packetize;

pub use depacketize::{Depacketizer, Unit};
pub use header::{Error, Header, Packet};
pub use packetize::Packetizer;
