//! Reading bit fields: fixed width and Exp-Golomb (ITU-T H.264 section 9.1), after removal of
//! emulation prevention (section 7.4.1). H.264, H.265 and AAC configurations share it.

use super::Error;

/// Parameter sets larger than this are refused; real ones are below 300 bytes.
pub(super) const MAX_PARAMETER_SET_BYTES: usize = 4096;

/// A NAL unit's raw byte sequence payload: the bytes without each 3 that follows two zeros.
pub(super) fn rbsp(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// A cursor over bits, most significant first.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    /// Bits read so far; never beyond `data`.
    position: usize,
    /// What is being read, for errors.
    what: &'static str,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(what: &'static str, data: &'a [u8]) -> Self {
        Self {
            data,
            position: 0,
            what,
        }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    pub(super) const fn remaining(&self) -> usize {
        self.data.len() * 8 - self.position
    }

    pub(super) const fn truncated(&self) -> Error {
        Error::Truncated {
            what: self.what,
            bit: self.position,
        }
    }

    pub(super) fn out_of_range(&self, field: &'static str, value: impl Into<u64>) -> Error {
        Error::OutOfRange {
            what: self.what,
            field,
            value: value.into(),
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        let byte = self.data.get(self.position / 8).ok_or_else(|| self.truncated())?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Ok(bit == 1)
    }

    /// An unsigned number of `width` bits, at most 32.
    pub(super) fn bits(&mut self, width: u32) -> Result<u32, Error> {
        debug_assert!(width <= 32, "callers ask for fields of at most 32 bits");
        if self.remaining() < width as usize {
            return Err(self.truncated());
        }
        let mut value = 0_u32;
        for _ in 0..width {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    pub(super) fn skip(&mut self, width: usize) -> Result<(), Error> {
        if self.remaining() < width {
            return Err(self.truncated());
        }
        self.position += width;
        Ok(())
    }

    /// `ue(v)`: an unsigned Exp-Golomb number.
    pub(super) fn ue(&mut self) -> Result<u32, Error> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(self.out_of_range("an Exp-Golomb prefix", zeros));
            }
        }
        let suffix = self.bits(zeros)?;
        Ok((1_u32 << zeros) - 1 + suffix)
    }

    /// `ue(v)` of at most `max`.
    pub(super) fn ue_max(&mut self, field: &'static str, max: u32) -> Result<u32, Error> {
        let value = self.ue()?;
        if value > max {
            Err(self.out_of_range(field, value))
        } else {
            Ok(value)
        }
    }

    /// `se(v)`: a signed Exp-Golomb number.
    pub(super) fn se(&mut self) -> Result<i32, Error> {
        let value = i64::from(self.ue()?);
        let magnitude = (value + 1) / 2;
        Ok(if value % 2 == 1 {
            magnitude as i32
        } else {
            -magnitude as i32
        })
    }
}

/// A frame rate in lowest terms; none where it is zero or above 1000 pictures a second, which
/// cameras write that leave the field uninitialised.
pub(super) fn frame_rate(numerator: u64, denominator: u64) -> Option<(u32, u32)> {
    if numerator == 0 || denominator == 0 || numerator / denominator > 1000 {
        return None;
    }
    let (mut a, mut b) = (numerator, denominator);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Some((
        u32::try_from(numerator / a).ok()?,
        u32::try_from(denominator / a).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_numbers() {
        // 1 | 010 | 011 | 00100 | 1 -> 0, 1, 2, 3, 0, then zeros up to the end
        let data = [0b1010_0110, 0b0100_1000];
        let mut r = BitReader::new("test", &data);
        assert_eq!(
            (0..5).map(|_| r.ue().unwrap()).collect::<Vec<_>>(),
            [0, 1, 2, 3, 0]
        );
        assert_eq!(
            r.ue(),
            Err(Error::Truncated {
                what: "test",
                bit: 16
            })
        );
        let mut r = BitReader::new("test", &data);
        assert_eq!(
            (0..5).map(|_| r.se().unwrap()).collect::<Vec<_>>(),
            [0, 1, -1, 2, 0]
        );
    }

    #[test]
    fn the_largest_exp_golomb_number_and_one_too_large() {
        let mut data = vec![0, 0, 0, 1];
        data.extend([0xff; 4]);
        assert_eq!(BitReader::new("test", &data).ue(), Ok(u32::MAX - 1));
        assert!(matches!(
            BitReader::new("test", &[0; 9]).ue(),
            Err(Error::OutOfRange { .. })
        ));
    }

    #[test]
    fn emulation_prevention_goes_and_lone_threes_stay() {
        assert_eq!(rbsp(&[0, 0, 3, 1, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 3, 0, 0]);
        assert_eq!(rbsp(&[0, 0, 3, 0, 0, 3, 0]), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn frame_rates_are_reduced_and_nonsense_is_none() {
        assert_eq!(frame_rate(50, 2), Some((25, 1)));
        assert_eq!(frame_rate(60_000, 2002), Some((30_000, 1001)));
        assert_eq!(frame_rate(u64::from(u32::MAX), 2), None);
        assert_eq!(frame_rate(25, 0), None);
    }
}
