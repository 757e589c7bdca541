//! Packet types of Enhanced RTMP (Veovera, v2), and what may stand before them.
//!
//! ```text
//! video       1 | frame type 3 | packet type 4   *modifier   "hvc1"        body
//! audio       sound format 4 = 9 | packet type 4 *modifier   "mp4a"        body
//! modifier    when the packet type is 7: bytes - 1 u8, or 255 and bytes - 1 u16;
//!             data, type 4 | packet type 4
//! multitrack  kind 4 | packet type 4, in place of the code
//! ```
//! Packet types 0 and 1 are those of FLV.

use super::{Error, take};
use bytes::{Buf, Bytes};

/// An access unit whose composition time is 0 and not written.
pub(super) const ACCESS_UNIT_IN_ORDER: u8 = 3;
/// Of the colours; not looked at.
pub(super) const METADATA: u8 = 4;
pub(super) const MULTITRACK_VIDEO: u8 = 6;
pub(super) const MULTITRACK_AUDIO: u8 = 5;
const MODIFIER: u8 = 7;

/// The packet type behind the modifiers, which are skipped: the one there is says by how many
/// nanoseconds the timestamp is off.
pub(super) fn packet_type(first: u8, body: &mut Bytes, what: &'static str) -> Result<u8, Error> {
    let mut packet_type = first;
    while packet_type == MODIFIER {
        let mut bytes = 1 + usize::from(take::<1>(body, what)?[0]);
        if bytes == 256 {
            bytes = 1 + usize::from(u16::from_be_bytes(take(body, what)?));
        }
        if body.len() < bytes {
            return Err(Error::Truncated { what });
        }
        body.advance(bytes);
        packet_type = take::<1>(body, what)?[0] & 0x0f;
    }
    Ok(packet_type)
}
