//! H.265 video (ITU-T H.265): NAL unit types, parameter sets and the configuration record of
//! ISO/IEC 14496-15. Slices are never read.

mod record;
mod sps;
mod vps;

pub use record::Record;
pub use sps::Sps;
pub(super) use vps::id as vps_id;

use super::{Error, bits};
use bytes::Bytes;

/// `nal_unit_type` values (ITU-T H.265 table 7-1).
pub mod nal_type {
    pub const BLA_W_LP: u8 = 16;
    pub const IDR_W_RADL: u8 = 19;
    pub const IDR_N_LP: u8 = 20;
    pub const CRA: u8 = 21;
    /// The last of the intra random access point types, reserved ones included.
    pub const LAST_IRAP: u8 = 23;
    /// The last of the types that carry slices.
    pub const LAST_VCL: u8 = 31;
    pub const VPS: u8 = 32;
    pub const SPS: u8 = 33;
    pub const PPS: u8 = 34;
    pub const AUD: u8 = 35;
    pub const END_OF_SEQUENCE: u8 = 36;
    pub const END_OF_BITSTREAM: u8 = 37;
    pub const FILLER: u8 = 38;
    pub const PREFIX_SEI: u8 = 39;
    pub const SUFFIX_SEI: u8 = 40;
}

/// Bytes of a NAL unit header.
const HEADER_BYTES: usize = 2;

/// The type of a NAL unit; 63, "unspecified", for one without a whole header.
pub fn nal_unit_type(nal: &[u8]) -> u8 {
    if nal.len() < HEADER_BYTES {
        63
    } else {
        nal[0] >> 1 & 0x3f
    }
}

/// Whether a picture of this NAL unit type starts a GOP: IDR, CRA or BLA.
pub const fn is_irap(nal_type: u8) -> bool {
    nal_type >= nal_type::BLA_W_LP && nal_type <= nal_type::LAST_IRAP
}

/// The parameter sets in force, and what they say of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Video parameter set NAL unit, without start code.
    pub vps: Bytes,
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
    /// From the three NAL units, each without start code.
    ///
    /// # Errors
    /// When one is not what it should be, or the SPS can't be meant. Of the VPS, only the type and
    /// the id must be right; its timing counts where the SPS has none.
    pub fn parse(vps: Bytes, sps: Bytes, pps: Bytes) -> Result<Self, Error> {
        vps_id(&vps)?;
        let parsed = Sps::parse(&sps)?;
        pps_id(&pps)?;
        let frame_rate = parsed
            .frame_rate
            .or_else(|| vps::frame_rate(&vps).unwrap_or(None));
        Ok(Self {
            width: parsed.width,
            height: parsed.height,
            frame_rate,
            vps,
            sps,
            pps,
        })
    }

    /// The `HEVCDecoderConfigurationRecord` (hvcC) for NAL units behind 4-byte lengths.
    pub fn decoder_configuration(&self) -> Bytes {
        record::write(self)
    }

    /// As RFC 6381 and ISO/IEC 14496-15 annex E name it: `hvc1.1.6.L93.b0`.
    pub fn codec_string(&self) -> String {
        use std::fmt::Write;
        let Ok(Sps {
            profile_tier_level: ptl,
            ..
        }) = Sps::parse(&self.sps)
        else {
            return "hvc1".to_owned();
        };
        let space = ["", "A", "B", "C"][usize::from(ptl[0] >> 6)];
        let tier = if ptl[0] & 0x20 == 0 { 'L' } else { 'H' };
        let compatibility = u32::from_be_bytes([ptl[1], ptl[2], ptl[3], ptl[4]]).reverse_bits();
        let mut text = format!(
            "hvc1.{space}{}.{compatibility:x}.{tier}{}",
            ptl[0] & 0x1f,
            ptl[11]
        );
        let constraints = &ptl[5..11];
        let end = constraints.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
        for byte in &constraints[..end] {
            write!(text, ".{byte:x}").expect("a String takes every write");
        }
        text
    }
}

/// `pps_pic_parameter_set_id` of a PPS NAL unit.
pub(super) fn pps_id(pps: &[u8]) -> Result<u32, Error> {
    let rbsp = parameter_set("H.265 PPS", nal_type::PPS, pps)?;
    bits::BitReader::new("H.265 PPS", &rbsp).ue_max("pps_pic_parameter_set_id", 63)
}

/// The payload of a parameter set after its NAL unit header, once its type and size are checked.
fn parameter_set(what: &'static str, wanted: u8, nal: &[u8]) -> Result<Vec<u8>, Error> {
    if nal_unit_type(nal) != wanted {
        return Err(Error::WrongNalUnit {
            what,
            nal_type: nal_unit_type(nal),
        });
    }
    if nal.len() > bits::MAX_PARAMETER_SET_BYTES {
        return Err(Error::TooLarge {
            what,
            bytes: nal.len(),
        });
    }
    Ok(bits::rbsp(&nal[HEADER_BYTES..]))
}

#[cfg(test)]
mod tests;
