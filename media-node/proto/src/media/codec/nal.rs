//! NAL units in their two framings: behind a 4-byte length (as in ISO BMFF and in the hub), or
//! behind a start code (Annex B, as in MPEG-TS and most encoders' output).

use bytes::{BufMut, BytesMut};

/// The start code that [`write_annexb`] puts before each NAL unit.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The NAL units of an access unit in the hub's framing. Ends at the first length that does not
/// fit, so damaged data yields what is whole before the damage.
pub fn units(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let unit = rest.get(..length)?;
        data = &rest[length..];
        Some(unit)
    })
}

/// Appends one NAL unit in the hub's framing.
pub fn write_unit(nal: &[u8], out: &mut impl BufMut) {
    out.put_u32(nal.len() as u32);
    out.put_slice(nal);
}

/// The NAL units of an Annex B byte stream (ITU-T H.264 Annex B), without start codes and the
/// zero bytes around them. Bytes before the first start code are skipped; empty units too.
pub fn annexb(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(data).map(|(_, after)| &data[after..]);
    std::iter::from_fn(move || {
        loop {
            let data = rest?;
            let unit = if let Some((before, after)) = start_code(data) {
                rest = Some(&data[after..]);
                &data[..before]
            } else {
                rest = None;
                data
            };
            // A NAL unit never ends in a zero byte; what looks so is trailing_zero_8bits or the
            // first byte of a 4-byte start code.
            let end = unit.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
            if end > 0 {
                return Some(&unit[..end]);
            }
        }
    })
}

/// Appends one NAL unit behind a 4-byte start code.
pub fn write_annexb(nal: &[u8], out: &mut BytesMut) {
    out.reserve(4 + nal.len());
    out.put_slice(&START_CODE);
    out.put_slice(nal);
}

/// Where the first `00 00 01` begins and ends.
fn start_code(data: &[u8]) -> Option<(usize, usize)> {
    let mut i = 2;
    while let Some(&byte) = data.get(i) {
        match byte {
            0 => i += 1,
            1 if data[i - 1] == 0 && data[i - 2] == 0 => return Some((i - 2, i + 1)),
            // No start code can end in this byte or the two after it.
            _ => i += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_lengths_end_the_walk() {
        let data = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 9, 1];
        assert_eq!(units(&data).collect::<Vec<_>>(), [&[0x65_u8, 1][..]]);
        assert_eq!(units(&[0, 0, 1]).count(), 0);
        assert_eq!(units(&[0xff; 8]).count(), 0);
    }

    #[test]
    fn annexb_takes_both_start_codes_and_drops_padding() {
        let data = [
            9, 9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 1, 0, 0, 1, 0x65, 0, 1, 0, 0,
        ];
        let found: Vec<_> = annexb(&data).collect();
        assert_eq!(found, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0, 1]]);
        assert_eq!(annexb(&[1, 2, 3]).count(), 0);
        assert_eq!(annexb(&[0, 0, 1]).count(), 0);
        assert_eq!(annexb(&[]).count(), 0);
    }

    #[test]
    fn start_codes_are_found_at_every_offset() {
        for lead in 0..8 {
            let mut data = vec![1; lead];
            data.extend([0, 0, 1, 7]);
            assert_eq!(
                annexb(&data).collect::<Vec<_>>(),
                [&[7][..]],
                "after {lead} bytes"
            );
        }
    }

    #[test]
    fn both_framings_round_trip() {
        let nals = [&[0x67, 1, 2][..], &[0x65, 0, 0, 3, 1]];
        let (mut framed, mut stream) = (BytesMut::new(), BytesMut::new());
        for nal in nals {
            write_unit(nal, &mut framed);
            write_annexb(nal, &mut stream);
        }
        assert_eq!(units(&framed).collect::<Vec<_>>(), nals);
        assert_eq!(annexb(&stream).collect::<Vec<_>>(), nals);
    }
}
