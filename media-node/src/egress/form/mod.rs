//! The forms in which streams leave: each packages access units for one protocol.

pub mod flv;
pub mod relay;
pub mod rtmp;
pub mod rtp;
