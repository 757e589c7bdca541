//! The hub's currency.

use super::Timestamp;
use bytes::Bytes;

/// All NAL units of one coded picture, or one coded audio frame. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Index into the stream's [`super::Tracks`].
    pub track: u8,
    /// When to show or play it.
    pub pts: Timestamp,
    /// When to decode it; differs from `pts` only where pictures are reordered.
    pub dts: Timestamp,
    /// Decoding can start here: an IDR, CRA or BLA picture. False for audio in a stream with
    /// video; true for every audio access unit of a stream without.
    pub keyframe: bool,
    /// On a keyframe that opens a segment. The stream's owner counts, and the number travels with the
    /// access unit, so that every edge cuts the same segments.
    pub segment: Option<SegmentStart>,
    /// H.264, H.265: NAL units, each behind its length as 4 bytes, big-endian (ISO/IEC 14496-15
    /// with `lengthSizeMinusOne` = 3), without access unit delimiters, parameter sets, filler
    /// data and end-of-sequence. AAC: one raw frame without ADTS header. Other codecs: the
    /// payload as RTP carries it.
    pub data: Bytes,
}

/// The segment that an access unit opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStart {
    pub number: u64,
    /// Counts the times within which timestamps and parameters go on: the next one's number is one more,
    /// another session's is another. 0: not known, from an owner of an older version.
    pub era: u64,
    /// It is the first of its era.
    pub opens_era: bool,
}

/// Of an era that is not known.
impl From<u64> for SegmentStart {
    fn from(number: u64) -> Self {
        Self {
            number,
            era: 0,
            opens_era: false,
        }
    }
}
