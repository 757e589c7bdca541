//! RTP (RFC 3550): packets, and access units in and out of them.
//!
//! - [`header`]: the fixed header and what may follow it.
//! - [`packetize`]: access units into packets, for sending.
//!
//! Which payload type means which codec is the session description's matter, see [`crate::sdp`];
//! reports about a stream are in [`crate::rtcp`].

pub mod header;
pub mod packetize;

pub use header::{Error, Header, Packet};
pub use packetize::Packetizer;
