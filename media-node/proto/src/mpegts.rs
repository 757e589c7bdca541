//! MPEG transport streams (ITU-T H.222.0, ISO/IEC 13818-1) with H.264, H.265 and AAC, as HLS takes
//! them, and as an endless response. Nothing here cuts segments; [`crate::hls`] does.
//!
//! ```text
//! packet.rs   188-byte packets, adaptation fields, continuity counters
//! psi.rs      PAT and PMT
//! pes.rs      PES headers and time stamps
//! muxer.rs    access units in, packets out
//! live.rs     the same without an end, tables and clock repeated
//! ```

mod live;
mod muxer;
mod packet;
mod pes;
mod psi;

pub use live::LiveMuxer;
pub use muxer::Muxer;
pub use packet::PACKET_BYTES;

use crate::media::Codec;

/// Whether a track of this codec finds a place in a transport stream; others are left out.
pub const fn carries(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Aac => true,
        Codec::G711 => false,
    }
}
