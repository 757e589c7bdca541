//! H.264 video (ITU-T H.264): NAL unit types, parameter sets and the configuration record of
//! ISO/IEC 14496-15. Slices are read no further than their type.

mod record;
mod sps;

pub use record::Record;
pub use sps::Sps;

use super::{Error, bits};
use bytes::Bytes;

/// `nal_unit_type` values (ITU-T H.264 table 7-1).
pub mod nal_type {
    pub const SLICE: u8 = 1;
    pub const IDR: u8 = 5;
    pub const SEI: u8 = 6;
    pub const SPS: u8 = 7;
    pub const PPS: u8 = 8;
    pub const AUD: u8 = 9;
    pub const END_OF_SEQUENCE: u8 = 10;
    pub const END_OF_STREAM: u8 = 11;
    pub const FILLER: u8 = 12;
}

/// The type of a NAL unit; 0, "unspecified", for an empty one.
pub fn nal_unit_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |b| b & 0x1f)
}

/// The parameter sets in force, and what they say of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Sequence parameter set NAL unit, without start code.
    pub sps: Bytes,
    /// Picture parameter set NAL unit, without start code.
    pub pps: Bytes,
    /// Pixels as shown, cropping applied.
    pub width: u16,
    pub height: u16,
    /// Pictures a second, where the parameter sets tell (numerator, denominator).
    pub frame_rate: Option<(u32, u32)>,
}

impl Parameters {
    /// From the two NAL units, each without start code.
    ///
    /// # Errors
    /// When either is not what it should be, or the SPS can't be meant.
    pub fn parse(sps: Bytes, pps: Bytes) -> Result<Self, Error> {
        let parsed = Sps::parse(&sps)?;
        pps_id(&pps)?;
        Ok(Self {
            width: parsed.width,
            height: parsed.height,
            frame_rate: parsed.frame_rate,
            sps,
            pps,
        })
    }

    /// The `AVCDecoderConfigurationRecord` (avcC) for NAL units behind 4-byte lengths.
    pub fn decoder_configuration(&self) -> Bytes {
        record::write(self)
    }

    /// As RFC 6381 names it: `avc1.` and profile, constraints and level in hexadecimal.
    pub fn codec_string(&self) -> String {
        let byte = |i: usize| self.sps.get(i).copied().unwrap_or(0);
        format!("avc1.{:02x}{:02x}{:02x}", byte(1), byte(2), byte(3))
    }
}

/// `pic_parameter_set_id` of a PPS NAL unit.
pub(super) fn pps_id(pps: &[u8]) -> Result<u32, Error> {
    const WHAT: &str = "H.264 PPS";
    if nal_unit_type(pps) != nal_type::PPS {
        return Err(Error::WrongNalUnit {
            what: WHAT,
            nal_type: nal_unit_type(pps),
        });
    }
    if pps.len() > bits::MAX_PARAMETER_SET_BYTES {
        return Err(Error::TooLarge {
            what: WHAT,
            bytes: pps.len(),
        });
    }
    // The id needs at most 17 bits, and emulation prevention can't come before the fourth byte.
    let head = bits::rbsp(pps.get(1..pps.len().min(8)).unwrap_or_default());
    bits::BitReader::new(WHAT, &head).ue_max("pic_parameter_set_id", 255)
}

/// Whether a coded slice is an I or SI slice (ITU-T H.264 section 7.3.3).
pub(super) fn is_intra_slice(nal: &[u8]) -> bool {
    let head = bits::rbsp(nal.get(1..nal.len().min(16)).unwrap_or_default());
    let mut r = bits::BitReader::new("H.264 slice", &head);
    // first_mb_in_slice, slice_type
    r.ue().is_ok() && matches!(r.ue(), Ok(2 | 4 | 7 | 9))
}

/// Whether an SEI NAL unit holds a recovery point message (ITU-T H.264 section D.1.8).
pub(super) fn has_recovery_point(sei: &[u8]) -> bool {
    let mut rest = sei.get(1..).unwrap_or_default();
    // Payload type and size are each a sum of bytes, all but the last of them 255. Emulation
    // prevention inside payloads is not undone: it can hide a message, never make one up that
    // matters, and recovery points come first or second in practice.
    let sum = |rest: &mut &[u8]| -> Option<usize> {
        let mut sum = 0_usize;
        loop {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            sum += usize::from(byte);
            if byte != 255 {
                return Some(sum);
            }
        }
    };
    while rest.len() > 1 {
        let Some((payload_type, size)) = sum(&mut rest).zip(sum(&mut rest)) else {
            return false;
        };
        if payload_type == 6 {
            return true;
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests;
