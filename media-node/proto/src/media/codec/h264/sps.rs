//! The sequence parameter set (ITU-T H.264 sections 7.3.2.1.1 and E.1.1).

use super::super::Error;
use super::super::bits::{self, BitReader, MAX_PARAMETER_SET_BYTES};
use super::{nal_type, nal_unit_type};

const WHAT: &str = "H.264 SPS";
const BASELINE: u8 = 66;
/// Level 6.2 allows no more.
const MAX_SIDE_MBS: u32 = 1055;

/// What a sequence parameter set says, as far as containers and status need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    pub profile_idc: u8,
    /// `constraint_set0_flag` in the most significant bit.
    pub constraints: u8,
    pub level_idc: u8,
    pub id: u8,
    pub chroma_format_idc: u8,
    pub bit_depth_luma: u8,
    pub bit_depth_chroma: u8,
    /// Pixels as shown, cropping applied.
    pub width: u16,
    pub height: u16,
    /// Pictures a second (numerator, denominator).
    pub frame_rate: Option<(u32, u32)>,
    /// How many pictures may be decoded ahead of one that is shown before them (section E.2.1,
    /// `max_num_reorder_frames`); none where the set does not tell.
    pub reorder: Option<u8>,
}

impl Sps {
    /// From a NAL unit without start code.
    ///
    /// # Errors
    /// When it is not an SPS, ends early, or says what no encoder can mean. A VUI that ends early,
    /// as some cameras write it, costs only the frame rate.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        if nal_unit_type(nal) != nal_type::SPS {
            return Err(Error::WrongNalUnit {
                what: WHAT,
                nal_type: nal_unit_type(nal),
            });
        }
        if nal.len() > MAX_PARAMETER_SET_BYTES {
            return Err(Error::TooLarge {
                what: WHAT,
                bytes: nal.len(),
            });
        }
        let rbsp = bits::rbsp(&nal[1..]);
        let r = &mut BitReader::new(WHAT, &rbsp);

        let profile_idc = r.bits(8)? as u8;
        let constraints = r.bits(8)? as u8;
        let level_idc = r.bits(8)? as u8;
        let id = r.ue_max("seq_parameter_set_id", 31)? as u8;

        let mut chroma_format_idc = 1;
        let mut separate_colour_planes = false;
        let (mut bit_depth_luma, mut bit_depth_chroma) = (8, 8);
        if has_chroma_fields(profile_idc) {
            chroma_format_idc = r.ue_max("chroma_format_idc", 3)?;
            if chroma_format_idc == 3 {
                separate_colour_planes = r.flag()?;
            }
            bit_depth_luma = 8 + r.ue_max("bit_depth_luma_minus8", 6)?;
            bit_depth_chroma = 8 + r.ue_max("bit_depth_chroma_minus8", 6)?;
            r.flag()?; // qpprime_y_zero_transform_bypass_flag
            if r.flag()? {
                let lists = if chroma_format_idc == 3 { 12 } else { 8 };
                for list in 0..lists {
                    if r.flag()? {
                        skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }

        r.ue_max("log2_max_frame_num_minus4", 12)?;
        let pic_order_cnt_type = r.ue_max("pic_order_cnt_type", 2)?;
        match pic_order_cnt_type {
            0 => {
                r.ue_max("log2_max_pic_order_cnt_lsb_minus4", 12)?;
            }
            1 => {
                r.flag()?; // delta_pic_order_always_zero_flag
                r.se()?; // offset_for_non_ref_pic
                r.se()?; // offset_for_top_to_bottom_field
                for _ in 0..r.ue_max("num_ref_frames_in_pic_order_cnt_cycle", 255)? {
                    r.se()?;
                }
            }
            _ => {}
        }
        r.ue()?; // max_num_ref_frames
        r.flag()?; // gaps_in_frame_num_value_allowed_flag
        let width_mbs = r.ue_max("pic_width_in_mbs_minus1", MAX_SIDE_MBS - 1)? + 1;
        let height_map_units = r.ue_max("pic_height_in_map_units_minus1", MAX_SIDE_MBS - 1)? + 1;
        let frame_mbs_only = r.flag()?;
        if !frame_mbs_only {
            r.flag()?; // mb_adaptive_frame_field_flag
        }
        r.flag()?; // direct_8x8_inference_flag
        let fields = if frame_mbs_only { 1 } else { 2 };
        let (mut width, mut height) = (width_mbs * 16, height_map_units * 16 * fields);
        if r.flag()? {
            let (unit_x, unit_y) = match (separate_colour_planes, chroma_format_idc) {
                (false, 1) => (2, 2 * fields),
                (false, 2) => (2, fields),
                _ => (1, fields),
            };
            width = crop(r, "horizontal crop", width, unit_x)?;
            height = crop(r, "vertical crop", height, unit_y)?;
        }
        let mut frame_rate = None;
        // Type 2 says that pictures are shown as they are decoded; Baseline has no B slices.
        let mut reorder = (pic_order_cnt_type == 2 || profile_idc == BASELINE).then_some(0);
        if r.flag().unwrap_or(false)
            && let Ok(rate) = vui_frame_rate(r)
        {
            frame_rate = rate;
            reorder = vui_reorder(r).unwrap_or(None).or(reorder);
        }

        Ok(Self {
            profile_idc,
            constraints,
            level_idc,
            id,
            chroma_format_idc: chroma_format_idc as u8,
            bit_depth_luma: bit_depth_luma as u8,
            bit_depth_chroma: bit_depth_chroma as u8,
            width: u16::try_from(width).map_err(|_| r.out_of_range("width", width))?,
            height: u16::try_from(height).map_err(|_| r.out_of_range("height", height))?,
            frame_rate,
            reorder,
        })
    }
}

/// The profiles whose SPS, and whose configuration record, carry chroma format and bit depths.
pub(super) const fn has_chroma_fields(profile_idc: u8) -> bool {
    matches!(
        profile_idc,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

/// Reads a pair of crop offsets and takes them off `side`.
fn crop(r: &mut BitReader<'_>, field: &'static str, side: u32, unit: u32) -> Result<u32, Error> {
    let pixels = (u64::from(r.ue()?) + u64::from(r.ue()?)) * u64::from(unit);
    match u32::try_from(pixels) {
        Ok(pixels) if pixels < side => Ok(side - pixels),
        _ => Err(r.out_of_range(field, pixels)),
    }
}

fn skip_scaling_list(r: &mut BitReader<'_>, size: u32) -> Result<(), Error> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..size {
        if next != 0 {
            next = (last.wrapping_add(r.se()?)).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

/// Reads the VUI up to its timing.
fn vui_frame_rate(r: &mut BitReader<'_>) -> Result<Option<(u32, u32)>, Error> {
    const EXTENDED_SAR: u32 = 255;
    if r.flag()? && r.bits(8)? == EXTENDED_SAR {
        r.skip(32)?;
    }
    if r.flag()? {
        r.skip(1)?; // overscan_appropriate_flag
    }
    if r.flag()? {
        r.skip(4)?; // video_format, video_full_range_flag
        if r.flag()? {
            r.skip(24)?; // colour_primaries, transfer_characteristics, matrix_coefficients
        }
    }
    if r.flag()? {
        r.ue()?; // chroma_sample_loc_type_top_field
        r.ue()?; // chroma_sample_loc_type_bottom_field
    }
    if !r.flag()? {
        return Ok(None);
    }
    let num_units_in_tick = r.bits(32)?;
    let time_scale = r.bits(32)?;
    let _ = r.flag(); // fixed_frame_rate_flag, which no one misses if the set ends here
    // A tick is a field: two make a picture.
    Ok(bits::frame_rate(
        u64::from(time_scale),
        u64::from(num_units_in_tick) * 2,
    ))
}

/// Reads on from behind the timing to `max_num_reorder_frames`.
fn vui_reorder(r: &mut BitReader<'_>) -> Result<Option<u8>, Error> {
    let nal_hrd = skip_hrd(r)?;
    let vcl_hrd = skip_hrd(r)?;
    if nal_hrd || vcl_hrd {
        r.skip(1)?; // low_delay_hrd_flag
    }
    r.skip(1)?; // pic_struct_present_flag
    if !r.flag()? {
        return Ok(None);
    }
    r.skip(1)?; // motion_vectors_over_pic_boundaries_flag
    for _ in 0..4 {
        r.ue()?; // limits of picture, macroblock and motion vectors
    }
    Ok(Some(r.ue_max("max_num_reorder_frames", 16)? as u8))
}

/// Skips `hrd_parameters()` if the flag in front says that they are there.
fn skip_hrd(r: &mut BitReader<'_>) -> Result<bool, Error> {
    let present = r.flag()?;
    if present {
        let cpbs = r.ue_max("cpb_cnt_minus1", 31)? + 1;
        r.skip(4 + 4)?; // bit_rate_scale, cpb_size_scale
        for _ in 0..cpbs {
            r.ue()?; // bit_rate_value_minus1
            r.ue()?; // cpb_size_value_minus1
            r.skip(1)?; // cbr_flag
        }
        r.skip(4 * 5)?; // lengths of delays and of time_offset
    }
    Ok(present)
}
