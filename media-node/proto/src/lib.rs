//! Media vocabulary and streaming protocols, as plain values and state machines.
//!
//! Nothing here opens a socket, reads a clock, spawns a task or draws random numbers: whoever
//! drives a protocol passes bytes and the time in, and takes bytes and events out. That is why
//! this crate compiles and tests in seconds, and why every parser in it can be fuzzed.

pub mod flv;
pub mod fmp4;
#[doc(hidden)]
pub mod fuzz;
pub mod hls;
pub mod http;
pub mod media;
pub mod mp4;
pub mod mpegts;
pub mod relay;
pub mod rtcp;
pub mod rtmp;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
#[doc(hidden)]
pub mod testing;
pub mod websocket;
pub mod wsp;

mod redacted;
pub use redacted::Redacted;
