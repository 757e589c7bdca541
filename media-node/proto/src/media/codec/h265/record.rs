//! `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 8.3.3.1), the payload of an `hvcC`
//! box and of FLV's HEVC sequence header.
//!
//! ```text
//!  0  configurationVersion = 1                   18  reserved 5 | bitDepthChromaMinus8
//!  1  general_profile_space .. level_idc (12)    19  avgFrameRate u16
//! 13  reserved 4 | min_spatial_segmentation_idc  21  constantFrameRate 2 | numTemporalLayers 3 |
//! 15  reserved 6 | parallelismType                   temporalIdNested 1 | lengthSizeMinusOne 2
//! 16  reserved 6 | chromaFormat                  22  numOfArrays, then for each: completeness 1 |
//! 17  reserved 5 | bitDepthLumaMinus8                0 | NAL_unit_type 6, u16 count, { u16, NAL }*
//! ```

use super::super::Error;
use super::super::reader::Reader;
use super::{Parameters, Sps, nal_type};
use bytes::{BufMut, Bytes, BytesMut};

const WHAT: &str = "HEVC decoder configuration record";

/// A parsed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// From the first VPS, SPS and PPS.
    pub parameters: Parameters,
    /// Further parameter sets and SEI, which belong before every keyframe.
    pub further: Vec<Bytes>,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
}

impl Record {
    /// # Errors
    /// When the record ends early, or has no usable VPS, SPS and PPS.
    pub fn parse(data: &Bytes) -> Result<Self, Error> {
        let mut r = Reader::new(WHAT, data);
        let version = r.u8()?;
        // Version 0 is what encoders wrote while the standard was a draft.
        if version > 1 {
            return Err(r.out_of_range("configurationVersion", version));
        }
        r.skip(20)?; // what the SPS repeats, and frame rates that nobody fills in
        let length_size = (r.u8()? & 3) + 1;
        if length_size == 3 {
            return Err(r.out_of_range("lengthSizeMinusOne", 2_u8));
        }
        let (mut vps, mut sps, mut pps, mut further) = (None, None, None, Vec::new());
        for _ in 0..r.u8()? {
            let first = match r.u8()? & 0x3f {
                nal_type::VPS => &mut vps,
                nal_type::SPS => &mut sps,
                nal_type::PPS => &mut pps,
                _ => &mut None,
            };
            for _ in 0..r.u16()? {
                let length = usize::from(r.u16()?);
                let nal = r.take(length)?;
                if first.is_none() {
                    *first = Some(nal);
                } else {
                    further.push(nal);
                }
            }
        }
        let (Some(vps), Some(sps), Some(pps)) = (vps, sps, pps) else {
            return Err(Error::Unsupported {
                what: WHAT,
                feature: "a record without parameter sets",
            });
        };
        Ok(Self {
            parameters: Parameters::parse(vps, sps, pps)?,
            further,
            length_size,
        })
    }
}

pub(super) fn write(parameters: &Parameters) -> Bytes {
    let Parameters { vps, sps, pps, .. } = parameters;
    let mut out = BytesMut::with_capacity(vps.len() + sps.len() + pps.len() + 40);
    out.put_u8(1);
    // Parameters come from `parse`, so the SPS parses; the general fields of a record made by hand
    // are left 0, "unknown".
    let (ptl, chroma, luma_depth, chroma_depth, sub_layers, nesting) = match Sps::parse(sps) {
        Ok(s) => (
            s.profile_tier_level,
            s.chroma_format_idc,
            s.bit_depth_luma - 8,
            s.bit_depth_chroma - 8,
            s.sub_layers,
            s.temporal_id_nesting,
        ),
        Err(_) => ([0; 12], 1, 0, 0, 0, false),
    };
    out.put_slice(&ptl);
    out.put_u16(0xf000); // min_spatial_segmentation_idc: unknown
    out.put_slice(&[0xfc, 0xfc | chroma, 0xf8 | luma_depth, 0xf8 | chroma_depth]);
    out.put_u16(0); // avgFrameRate: unspecified
    out.put_u8(sub_layers << 3 | u8::from(nesting) << 2 | 3);
    out.put_u8(3);
    for (nal_type, nal) in [(nal_type::VPS, vps), (nal_type::SPS, sps), (nal_type::PPS, pps)] {
        out.put_u8(0x80 | nal_type); // complete: none of these stand in the samples
        out.put_u16(1);
        out.put_u16(nal.len() as u16);
        out.put_slice(nal);
    }
    out.freeze()
}
