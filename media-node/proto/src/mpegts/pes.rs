//! PES packet headers (ITU-T H.222.0 section 2.4.3.6).

/// Without PTS and DTS.
const FIXED_BYTES: usize = 9;
const STAMP_BYTES: usize = 5;
/// The longest header written here.
const MAX_BYTES: usize = FIXED_BYTES + 2 * STAMP_BYTES;

/// A header, as an array that may be longer than it.
pub(super) struct Header {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Header {
    /// For `payload_bytes` of payload. Times in ticks of 90 kHz, of which the lowest 33 bits count.
    /// A payload that the length field can't tell has 0 there, which only video may.
    pub(super) fn new(stream_id: u8, payload_bytes: usize, pts_90k: u64, dts_90k: u64) -> Self {
        let with_dts = pts_90k != dts_90k;
        let stamps_bytes = if with_dts { 2 * STAMP_BYTES } else { STAMP_BYTES };
        let [l0, l1] = u16::try_from(payload_bytes + 3 + stamps_bytes)
            .unwrap_or(0)
            .to_be_bytes();
        let flags = if with_dts { 0xc0 } else { 0x80 };
        let mut bytes = [0; MAX_BYTES];
        // 0x84: marker bits, data_alignment_indicator
        let fixed = [0, 0, 1, stream_id, l0, l1, 0x84, flags, stamps_bytes as u8];
        bytes[..FIXED_BYTES].copy_from_slice(&fixed);
        let (pts, dts) = bytes[FIXED_BYTES..].split_at_mut(STAMP_BYTES);
        pts.copy_from_slice(&stamp(if with_dts { 3 } else { 2 }, pts_90k));
        if with_dts {
            dts.copy_from_slice(&stamp(1, dts_90k));
        }
        Self {
            bytes,
            length: FIXED_BYTES + stamps_bytes,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Four bits of prefix, then 33 bits of time in groups of 3, 15 and 15, a marker bit behind each.
fn stamp(prefix: u8, time_90k: u64) -> [u8; STAMP_BYTES] {
    let group = |shift: u32| (time_90k >> shift) as u16 & 0x7fff;
    let [a, b] = (group(15) << 1 | 1).to_be_bytes();
    let [c, d] = (group(0) << 1 | 1).to_be_bytes();
    [prefix << 4 | (group(30) as u8 & 7) << 1 | 1, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_spread_33_bits() {
        assert_eq!(stamp(2, 0), [0x21, 0, 1, 0, 1]);
        assert_eq!(stamp(3, u64::MAX), [0x3f, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(stamp(2, 1 << 30 | 1 << 15 | 1), [0x23, 0, 3, 0, 3]);
    }

    #[test]
    fn the_length_counts_what_follows_it() {
        let header = Header::new(0xc0, 100, 5, 5);
        assert_eq!(header.as_bytes()[..9], [0, 0, 1, 0xc0, 0, 108, 0x84, 0x80, 5]);
        assert_eq!(header.as_bytes().len(), 14);
        let header = Header::new(0xe0, 70_000, 6, 5);
        assert_eq!(header.as_bytes()[..9], [0, 0, 1, 0xe0, 0, 0, 0x84, 0xc0, 10]);
        assert_eq!(header.as_bytes().len(), 19);
    }
}
