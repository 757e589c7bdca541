//! Fragmented MP4 (ISO/IEC 14496-12 section 8.8): the init segment and the fragments of a stream, for
//! HLS and for recordings, and reading back what was written so. When to cut is not decided here;
//! [`crate::mp4`] reads files of others.
//!
//! ```text
//! init segment   ftyp, moov: mvhd, trak for each track, mvex
//! fragment       moof: mfhd, traf for each track with samples; mdat
//! table          uuid: the sample tables of all fragments before it, at the end of a stored file
//! ```
//! Track ids are the track numbers of the stream plus one, so that left-out tracks leave a gap.

mod boxes;
mod fragment;
mod fragmenter;
mod init;
mod reader;
pub mod table;

pub use boxes::{write_box, write_full_box};
pub use fragment::{Run, write_fragment};
pub use fragmenter::{Fragmenter, main_track};
pub use init::{MATRIX, init_segment, write_mdia, write_sample_entry};
pub use reader::{Fragment, Sample, SampleRun, Scanned, Scanner, scan};

use crate::media::Codec;

/// Whether a track of this codec finds a place; every codec known so far does. Players in browsers
/// take no G.711.
pub const fn carries(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Aac | Codec::G711 => true,
    }
}

const fn track_id(number: u8) -> u32 {
    number as u32 + 1
}
