//! `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 5.3.3.1), the payload of an `avcC`
//! box and of FLV's AVC sequence header.
//!
//! ```text
//!  0  configurationVersion = 1     4  reserved 6 bits | lengthSizeMinusOne
//!  1  AVCProfileIndication         5  reserved 3 bits | numOfSequenceParameterSets
//!  2  profile_compatibility        6  { length u16, NAL unit }*, then u8 count of PPS, the same
//!  3  AVCLevelIndication              for profiles with chroma fields: 4 bytes more
//! ```

use super::super::Error;
use super::super::reader::Reader;
use super::{Parameters, Sps, sps};
use bytes::{BufMut, Bytes, BytesMut};

const WHAT: &str = "AVC decoder configuration record";

/// A parsed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// From the first SPS and the first PPS.
    pub parameters: Parameters,
    /// Further parameter sets, which belong before every keyframe.
    pub further: Vec<Bytes>,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
}

impl Record {
    /// # Errors
    /// When the record ends early, or has no usable SPS and PPS.
    pub fn parse(data: &Bytes) -> Result<Self, Error> {
        let mut r = Reader::new(WHAT, data);
        let version = r.u8()?;
        if version != 1 {
            return Err(r.out_of_range("configurationVersion", version));
        }
        r.skip(3)?; // profile, compatibility and level, which the SPS repeats
        let length_size = (r.u8()? & 3) + 1;
        if length_size == 3 {
            return Err(r.out_of_range("lengthSizeMinusOne", 2_u8));
        }
        let count = r.u8()? & 0x1f;
        let mut sps = nal_units(&mut r, count)?.into_iter();
        let count = r.u8()?;
        let mut pps = nal_units(&mut r, count)?.into_iter();
        let (Some(first_sps), Some(first_pps)) = (sps.next(), pps.next()) else {
            return Err(Error::Unsupported {
                what: WHAT,
                feature: "a record without parameter sets",
            });
        };
        Ok(Self {
            parameters: Parameters::parse(first_sps, first_pps)?,
            further: sps.chain(pps).collect(),
            length_size,
        })
    }
}

/// `count` NAL units, each behind its length in 16 bits.
fn nal_units(r: &mut Reader<'_>, count: u8) -> Result<Vec<Bytes>, Error> {
    (0..count)
        .map(|_| {
            let length = usize::from(r.u16()?);
            r.take(length)
        })
        .collect()
}

pub(super) fn write(parameters: &Parameters) -> Bytes {
    let Parameters { sps, pps, .. } = parameters;
    let head = |i: usize| sps.get(i).copied().unwrap_or(0);
    let mut out = BytesMut::with_capacity(sps.len() + pps.len() + 16);
    out.put_slice(&[1, head(1), head(2), head(3), 0xfc | 3, 0xe0 | 1]);
    out.put_u16(sps.len() as u16);
    out.put_slice(sps);
    out.put_u8(1);
    out.put_u16(pps.len() as u16);
    out.put_slice(pps);
    if sps::has_chroma_fields(head(1))
        && let Ok(parsed) = Sps::parse(sps)
    {
        out.put_slice(&[
            0xfc | parsed.chroma_format_idc,
            0xf8 | (parsed.bit_depth_luma - 8),
            0xf8 | (parsed.bit_depth_chroma - 8),
            0, // numOfSequenceParameterSetExt
        ]);
    }
    out.freeze()
}
