//! RTMP (Adobe's Real Time Messaging Protocol, specification 1.0 of 2012), both sides, with the
//! four-character codes of Enhanced RTMP (Veovera, v1 and v2).
//!
//! - [`handshake`]: what stands before the first chunk.
//! - [`chunk`]: bytes into messages, and messages into bytes.
//! - [`amf0`]: the values in commands and metadata.
//! - [`message`]: types of messages, commands, and those that the protocol itself needs.
//! - [`url`]: stream paths, parameters and where to connect.
//! - [`server`], [`client`]: the state machine of one session, from either end.
//! - [`Muxer`]: a stream in messages that all viewers share.
//!
//! ```text
//! bytes -> handshake -> chunk::Reader -> messages -> session -> events      in
//! bytes <------------------------------ messages <- session <- answers      out
//! bytes <--------------------------------- Muxer <- access units            out, to who plays
//! ```
//! Bodies of audio and video messages are those of FLV tags, so [`crate::flv`] reads and writes them.

mod aggregate;
pub mod amf0;
pub mod chunk;
pub mod client;
pub mod handshake;
mod link;
pub mod message;
mod muxer;
pub mod server;
pub mod url;

pub use muxer::Muxer;

/// The port if a URL has none.
pub const PORT: u16 = 1935;

/// Why a session can't go on. All of these are the peer's doing. Offsets count bytes since the
/// connection began, so that the spot can be found in a capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the handshake failed")]
    Handshake(#[from] handshake::Error),
    #[error("the chunk stream can't be read")]
    Chunk(#[from] chunk::Error),
    #[error("byte {offset}: the command that ends here can't be read")]
    Command {
        offset: u64,
        #[source]
        source: message::Error,
    },
}
