//! NAL units in their two framings: behind a 4-byte length (as in ISO BMFF and in the hub), or
//! behind a start code (Annex B, as in MPEG-TS and most encoders' output).

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
}
