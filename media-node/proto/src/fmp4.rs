//! Writing fragmented MP4 (ISO/IEC 14496-12 section 8.8): the init segment and the fragments of a
//! stream, for HLS and for recordings. When to cut is not decided here; [`crate::mp4`] reads.
//!
//! ```text
//! init segment   ftyp, moov: mvhd, trak for each track, mvex
//! fragment       moof: mfhd, traf for each track with samples; mdat
//! ```
//! Track ids are the track numbers of the stream plus one, so that left-out tracks leave a gap.

mod boxes;
mod fragment;
mod init;

pub use fragment::{Run, write_fragment};
pub use init::init_segment;

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
