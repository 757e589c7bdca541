//! The protocol between a stream's owner and an edge: tracks and access units, as they are.
//!
//! One connection carries one stream, one way. Who connects, asks for the stream and is allowed to
//! have it is HTTP's matter; this is the body of the response. Who takes a stream that is brought to it
//! (`POST`) may answer with a stream of the other direction, of a hello and an end, which tells why it
//! lets go.
//!
//! ```text
//! stream   = hello (tracks | unit | keepalive | end | hello)*
//! message  = length: u32 (of what follows) | kind: u8 | body
//!
//! 0 hello      "WEIR" | version: u8 | session: u64 | name: text
//! 1 tracks     count: u8 | count x ( codec: u8 | clock_rate: u32 | parameters )
//!   1 H.264      sps: bytes | pps: bytes | picture
//!   2 H.265      vps: bytes | sps: bytes | pps: bytes | picture
//!   3 AAC        config: bytes | sample_rate: u32 | channels: u8
//!   4 G.711      law: u8 (0 A, 1 µ) | channels: u8
//!   picture    = width: u16 | height: u16 | rate numerator: u32 | denominator: u32 (0, 0: unknown)
//! 2 unit       track: u8 | flags: u8 | clock_rate: u32 | pts: i64 | dts: i64
//!              | if flags & 2, segment: u64 | data, up to the message's end
//!              flags: 1 keyframe, 2 opens a segment
//! 3 keepalive  (empty)
//! 4 end        reason: u8
//! 5 era        era: u64 | flags: u8, 1 the unit opens it        of the unit that follows and opens a segment
//!
//! bytes, text  = length: u16 | as many bytes, of UTF-8 for text
//! ```
//!
//! All numbers are big-endian. `dts` counts in the clock of `pts`. A hello opens an ingest session:
//! timestamps start anew, and tracks come before the first unit. Kinds that a reader does not know
//! are skipped, and so are bytes behind the end of a body, so that a later version may add to
//! this one; what can't be read that way gets a new version number.

mod decode;
mod encode;

pub use decode::{Decoder, Error};

use crate::media::codec::picture::MAX_PICTURE_BYTES;
use crate::media::{AccessUnit, Tracks};

/// What a hello of ours says.
pub const VERSION: u8 = 1;
/// Bytes behind a message's length: the largest picture that ingest takes, and its header.
pub const MAX_MESSAGE: usize = MAX_PICTURE_BYTES + 64;
/// Tracks of a stream, at most.
pub const MAX_TRACKS: usize = 32;

const MAGIC: [u8; 4] = *b"WEIR";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// An ingest session begins, the first or another.
    Hello(Hello),
    /// The tracks from here on.
    Tracks(Tracks),
    Unit(AccessUnit),
    /// Nothing to say, but alive: sent when nothing else was for a while.
    Keepalive,
    /// Nothing more will come.
    End(EndReason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Names the ingest session: another number, another origin of timestamps.
    pub session: u64,
    /// The sender's name, for logs.
    pub name: String,
}

/// Why a relay ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The publisher went away.
    Ended,
    /// The node is shutting down, or the stream is another node's now: look for its owner.
    Moved,
    /// The edge did not keep up.
    TooSlow,
    /// Another publisher took the path: whoever brought the stream shall not bring it again.
    Replaced,
    /// One that this version does not know.
    Other(u8),
}

#[cfg(test)]
mod tests;
