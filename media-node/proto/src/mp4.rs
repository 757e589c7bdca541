//! Reading ordinary MP4 files (ISO/IEC 14496-12): where the index is, and what it says. Neither
//! opens a file: the caller reads the byte ranges named here. Nothing is written here;
//! [`crate::fmp4`] writes, and reads fragmented files.
//!
//! ```text
//! MoovFinder   which bytes of the file are the moov box
//! Index        its tracks, each with the place, size and times of every sample
//! Unpacker     from a sample's bytes to an access unit
//! ```

pub(crate) mod boxes;
mod finder;
mod index;
mod sample_entry;
mod sample_table;
mod unpacker;

pub use finder::MoovFinder;
pub use index::{Index, Sample, Track};
pub use unpacker::Unpacker;

pub(crate) use sample_entry::{g711 as g711_sample_entry, parse as sample_entry};

use std::fmt;

/// Larger `moov` boxes are refused: this one indexes days of video.
pub const MAX_MOOV_BYTES: u64 = 128 << 20;
/// Files with more samples, all tracks together, are refused: a day of video with sound has 6
/// million, and each takes 32 bytes.
pub const MAX_SAMPLES: usize = 8 << 20;

/// A box type.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a file can't be read. All of these are the file's doing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the file has no moov box: it is no MP4 file, or was never finished")]
    NoMoov,
    #[error("the file is fragmented, which is not supported; remux it without fragments")]
    Fragmented,
    #[error("the file has no track that can be played; it has {0:?}")]
    NoTracks(Vec<FourCc>),
    #[error("the {kind} box at byte {offset} of the file ends beyond it")]
    BeyondFile { kind: FourCc, offset: u64 },
    #[error("the {0} box is cut short")]
    Truncated(FourCc),
    #[error("the {kind} box has {field} {value}, which is out of range")]
    OutOfRange {
        kind: FourCc,
        field: &'static str,
        value: u64,
    },
    #[error("the {0} box is missing")]
    Missing(FourCc),
}

#[cfg(test)]
mod tests;
