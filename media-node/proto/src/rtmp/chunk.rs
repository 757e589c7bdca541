//! The chunk stream (section 5.3): messages cut into chunks, those of several chunk streams mixed.
//!
//! ```text
//! chunk           basic header, message header, [extended timestamp u32], at most chunk-size bytes
//! basic header    fmt 2 bits | chunk stream id 6 bits            ids 2 to 63
//!                 fmt 2 bits | 0    id - 64 u8                   ids 64 to 319
//!                 fmt 2 bits | 1    id - 64 u16, little-endian   ids 64 to 65599
//! message header, fmt 0    timestamp u24, length u24, type u8, message stream id u32, little-endian
//!                 fmt 1    timestamp delta u24, length u24, type u8
//!                 fmt 2    timestamp delta u24
//!                 fmt 3    none: as before, or the message goes on
//! ```
//! A timestamp or delta of 0xffffff says that the extended one follows, in chunks of fmt 3, too.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::{MAX_OVERHEAD_BYTES, measure, write, write_with};

use bytes::Bytes;
use std::fmt;

/// Chunk size until Set Chunk Size says otherwise.
pub const DEFAULT_BYTES: usize = 128;
/// Chunk size that we announce and write with, in every session, so that viewers can share what is
/// written. Few access units are larger, and a larger one is more than some peers take.
pub const BYTES: usize = 65_536;
/// Chunk streams that a peer may use; those in use have two to six.
pub const MAX_STREAMS: usize = 64;
/// Bytes of a message while nothing but commands is expected.
pub const MAX_COMMAND_BYTES: usize = 64 << 10;
/// Bytes of a message that carries media.
pub const MAX_MEDIA_BYTES: usize = 8 << 20;

/// A message. The body is not printed: it may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub header: Header,
    pub body: Bytes,
}

/// What a message header says, but for the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 to 65599.
    pub chunk_stream: u32,
    /// Modulo 2^32.
    pub timestamp_ms: u32,
    /// See [`super::message::kind`].
    pub kind: u8,
    pub message_stream: u32,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("header", &self.header)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What the peer sent can't be a chunk stream, or is more than we take. Offsets count bytes since
/// the connection began.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("byte {offset}: chunk stream {chunk_stream} begins without a message header")]
    NoHeader { offset: u64, chunk_stream: u32 },
    #[error("byte {offset}: a message begins on chunk stream {chunk_stream} before the last one's end")]
    NotContinued { offset: u64, chunk_stream: u32 },
    #[error("byte {offset}: more than {MAX_STREAMS} chunk streams")]
    TooManyStreams { offset: u64 },
    #[error("byte {offset}: message of {length} bytes, {limit} are taken")]
    MessageTooLong {
        offset: u64,
        length: usize,
        limit: usize,
    },
    #[error("byte {offset}: unfinished messages hold more than {limit} bytes")]
    TooMuchUnfinished { offset: u64, limit: usize },
    #[error("byte {offset}: chunk size {size}")]
    ChunkSize { offset: u64, size: u32 },
    #[error("byte {offset}: a message that sets the chunk size or aborts another is cut short")]
    Truncated { offset: u64 },
}

#[cfg(test)]
mod tests;
