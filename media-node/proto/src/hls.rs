//! HLS (RFC 8216): segments of a stream, the window of those that can be fetched, and the playlist
//! that lists them. Serving them, and waiting for the first of them, is the caller's.
//!
//! ```text
//! Segmenter   access units in, finished segments out, cut where the owner's numbers say
//! Window      the newest segments by number
//! Playlist    what a window lists at one moment, rendered for one viewer
//! ```
//!
//! Low-latency HLS (RFC 8216bis) likewise: the segments are the same, and parts of them are told as
//! soon as they are there.
//!
//! ```text
//! PartCutter       access units in, parts out
//! PartedWindow     the newest segments and their parts; what must be waited for
//! PartedPlaylist   what that lists
//! ```

mod fragmenter;
mod pace;
mod part_cutter;
mod part_position;
mod parted_playlist;
mod parted_window;
mod playlist;
mod segmenter;
mod window;

pub use part_cutter::{Cut, Part, PartCutter};
pub use part_position::{Awaited, BadQuery, PartPosition};
pub use parted_playlist::{PartedEntry, PartedPlaylist};
pub use parted_window::{Lookup, PartedWindow, Readiness};
pub use playlist::{Entry, Links, Playlist};
pub use segmenter::{Segment, Segmenter};
pub use window::Window;

use crate::media::{Codec, Tracks};
use bytes::Bytes;
use std::fmt;

/// How segments are packaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// MPEG-TS, with which HLS began: H.264 and AAC, on every player there is.
    Ts,
    /// Fragmented MP4, which H.265 needs.
    Fmp4,
}

impl Form {
    /// The form for a stream: fragmented MP4 for H.265, MPEG-TS for all else.
    pub fn of(tracks: &Tracks) -> Self {
        if tracks.has(Codec::H265) {
            Self::Fmp4
        } else {
            Self::Ts
        }
    }

    /// Of a segment's file name, without dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Fmp4 => "m4s",
        }
    }

    /// Of a segment, as HTTP names it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Ts => "video/mp2ts",
            Self::Fmp4 => "video/mp4",
        }
    }
}

/// An init segment, named by its content: the same on every edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    pub version: InitVersion,
    pub bytes: Bytes,
}

/// The first 4 bytes of an init segment's MD5. Shown and parsed as 8 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InitVersion(u32);

impl Init {
    pub fn new(bytes: Bytes) -> Self {
        use md5::{Digest, Md5};
        let digest = Md5::digest(&bytes);
        Self {
            version: InitVersion(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])),
            bytes,
        }
    }
}

impl InitVersion {
    /// None for anything but 8 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits
            .then(|| u32::from_str_radix(text, 16).ok().map(Self))
            .flatten()
    }
}

impl fmt::Display for InitVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_shown_as_they_are_parsed() {
        let version = Init::new(Bytes::from_static(b"abc")).version;
        assert_eq!(version.to_string(), "90015098");
        assert_eq!(InitVersion::parse("90015098"), Some(version));
        for text in ["", "9001509", "900150983", "+0015098", "9001509g", "९0015"] {
            assert_eq!(InitVersion::parse(text), None, "{text}");
        }
    }
}
