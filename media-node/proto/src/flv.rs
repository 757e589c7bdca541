//! FLV (Adobe Flash Video File Format Specification 10.1, annex E), as HTTP-FLV and RTMP carry it:
//! H.264, H.265 and AAC, and G.711 that
//! comes in. Chunking for HTTP or RTMP is not done here.
//!
//! ```text
//! file    "FLV" 1 flags u8, header bytes u32 = 9, PreviousTagSize0 u32 = 0, tags
//! tag     type u8, body bytes u24, timestamp u24 then its top u8, stream id u24 = 0,
//!         body, PreviousTagSize u32 = 11 + body bytes
//! ```

mod body;
mod metadata;
mod muxer;
mod reader;
mod unpacker;

pub(crate) use body::timestamp_ms;
pub use body::{Bodies, H265Dialect, TagKind};
pub(crate) use metadata::on_meta_data;
pub use muxer::Muxer;
pub use reader::{Reader, Tag};
pub use unpacker::{Event, LeftOut, Unpacker};

use crate::media::{Codec, codec};

/// Why a stream, or one tag of it, can't be read. All of these are the sender's doing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the stream does not start with an FLV header")]
    NotFlv,
    #[error("{what} is cut short")]
    Truncated { what: &'static str },
    #[error("a sequence header can't be used")]
    Parameters(#[from] codec::Error),
}

/// Whether a track of this codec is written as FLV; others are left out.
pub const fn carries(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Aac => true,
        // The format has numbers for A-law and µ-law, but no player in a browser takes them.
        Codec::G711 => false,
    }
}
