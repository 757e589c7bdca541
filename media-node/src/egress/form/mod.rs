//! The forms in which streams leave: each packages access units for one protocol.

pub mod flv;
mod framing;
pub mod relay;
pub mod rtmp;
pub mod rtp;
pub mod ts;

pub use framing::Framing;
