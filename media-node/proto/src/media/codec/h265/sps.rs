//! The sequence parameter set (ITU-T H.265 sections 7.3.2.2, 7.3.3, 7.3.4, 7.3.7 and E.2.1).

use super::super::Error;
use super::super::bits::{self, BitReader};
use super::{nal_type, parameter_set};

const WHAT: &str = "H.265 SPS";
/// Level 6.2 allows no more.
const MAX_SIDE: u32 = 16_888;
/// `sps_max_dec_pic_buffering` allows no more reference pictures.
const MAX_DELTA_POCS: u32 = 16;

/// What a sequence parameter set says, as far as containers and status need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    pub vps_id: u8,
    pub id: u8,
    /// 1 to 7.
    pub sub_layers: u8,
    pub temporal_id_nesting: bool,
    /// `general_profile_space` to `general_level_idc`, as they stand in the SPS.
    pub profile_tier_level: [u8; 12],
    pub chroma_format_idc: u8,
    pub bit_depth_luma: u8,
    pub bit_depth_chroma: u8,
    /// Pixels as shown, cropping applied.
    pub width: u16,
    pub height: u16,
    /// Pictures a second (numerator, denominator).
    pub frame_rate: Option<(u32, u32)>,
    /// How many pictures may be decoded ahead of one that is shown before them
    /// (`sps_max_num_reorder_pics` of the highest sub-layer); none where the set ends before.
    pub reorder: Option<u8>,
}

impl Sps {
    /// From a NAL unit without start code.
    ///
    /// # Errors
    /// When it is not an SPS, ends before the coding tools, or says what no encoder can mean.
    /// Whatever is wrong after the bit depths costs only the frame rate.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let rbsp = parameter_set(WHAT, nal_type::SPS, nal)?;
        let r = &mut BitReader::new(WHAT, &rbsp);
        let vps_id = r.bits(4)? as u8;
        let sub_layers = sub_layers(r)?;
        let temporal_id_nesting = r.flag()?;
        let profile_tier_level = profile_tier_level(r, sub_layers)?;
        let id = r.ue_max("sps_seq_parameter_set_id", 15)? as u8;
        let chroma_format_idc = r.ue_max("chroma_format_idc", 3)?;
        let separate_colour_planes = chroma_format_idc == 3 && r.flag()?;
        let mut width = r.ue_max("pic_width_in_luma_samples", MAX_SIDE)?;
        let mut height = r.ue_max("pic_height_in_luma_samples", MAX_SIDE)?;
        if r.flag()? {
            let (unit_x, unit_y) = match (separate_colour_planes, chroma_format_idc) {
                (false, 1) => (2, 2),
                (false, 2) => (2, 1),
                _ => (1, 1),
            };
            width = crop(r, "horizontal crop", width, unit_x)?;
            height = crop(r, "vertical crop", height, unit_y)?;
        }
        if width == 0 || height == 0 {
            return Err(r.out_of_range("picture size", 0_u8));
        }
        let bit_depth_luma = 8 + r.ue_max("bit_depth_luma_minus8", 8)? as u8;
        let bit_depth_chroma = 8 + r.ue_max("bit_depth_chroma_minus8", 8)? as u8;
        let reorder = reorder(r, sub_layers).ok();
        let frame_rate = reorder.and_then(|(_, poc_lsb_bits)| frame_rate(r, poc_lsb_bits).unwrap_or(None));
        Ok(Self {
            vps_id,
            id,
            sub_layers,
            temporal_id_nesting,
            profile_tier_level,
            chroma_format_idc: chroma_format_idc as u8,
            bit_depth_luma,
            bit_depth_chroma,
            width: width as u16,
            height: height as u16,
            frame_rate,
            reorder: reorder.map(|(reorder, _)| reorder),
        })
    }
}

/// `*_max_sub_layers_minus1`, plus one.
pub(super) fn sub_layers(r: &mut BitReader<'_>) -> Result<u8, Error> {
    match r.bits(3)? {
        7 => Err(r.out_of_range("max_sub_layers_minus1", 7_u8)),
        n => Ok(n as u8 + 1),
    }
}

/// Reads `profile_tier_level(1, sub_layers - 1)`; the result is its general part.
pub(super) fn profile_tier_level(r: &mut BitReader<'_>, sub_layers: u8) -> Result<[u8; 12], Error> {
    const PROFILE_BITS: usize = 88;
    const LEVEL_BITS: usize = 8;
    let mut general = [0; 12];
    for byte in &mut general {
        *byte = r.bits(8)? as u8;
    }
    if sub_layers > 1 {
        let mut further = 0;
        for _ in 1..sub_layers {
            further += usize::from(r.flag()?) * PROFILE_BITS + usize::from(r.flag()?) * LEVEL_BITS;
        }
        r.skip(2 * (9 - usize::from(sub_layers)))?; // reserved_zero_2bits up to eight sub-layers
        r.skip(further)?;
    }
    Ok(general)
}

/// Reads `*_sub_layer_ordering_info_present_flag` and what it announces; the result is
/// `*_max_num_reorder_pics` of the highest sub-layer.
pub(super) fn sub_layer_ordering(r: &mut BitReader<'_>, sub_layers: u8) -> Result<u8, Error> {
    let entries = if r.flag()? { sub_layers } else { 1 };
    let mut reorder = 0;
    for _ in 0..entries {
        r.ue()?; // max_dec_pic_buffering_minus1
        reorder = r.ue_max("max_num_reorder_pics", 16)?;
        r.ue()?; // max_latency_increase_plus1
    }
    Ok(reorder as u8)
}

fn crop(r: &mut BitReader<'_>, field: &'static str, side: u32, unit: u32) -> Result<u32, Error> {
    let pixels = (u64::from(r.ue()?) + u64::from(r.ue()?)) * u64::from(unit);
    match u32::try_from(pixels) {
        Ok(pixels) if pixels < side => Ok(side - pixels),
        _ => Err(r.out_of_range(field, pixels)),
    }
}

/// Reads the reordering depth, behind the bits of a picture order count's lower part.
fn reorder(r: &mut BitReader<'_>, sub_layers: u8) -> Result<(u8, u32), Error> {
    let poc_lsb_bits = r.ue_max("log2_max_pic_order_cnt_lsb_minus4", 12)? + 4;
    Ok((sub_layer_ordering(r, sub_layers)?, poc_lsb_bits))
}

/// Reads on from behind the sub-layers' ordering to the timing in the VUI.
fn frame_rate(r: &mut BitReader<'_>, poc_lsb_bits: u32) -> Result<Option<(u32, u32)>, Error> {
    for _ in 0..6 {
        r.ue()?; // block sizes and hierarchy depths
    }
    if r.flag()? && r.flag()? {
        skip_scaling_list_data(r)?;
    }
    r.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if r.flag()? {
        r.skip(4 + 4)?; // pcm_sample_bit_depth_luma_minus1, .._chroma_minus1
        r.ue()?;
        r.ue()?;
        r.skip(1)?; // pcm_loop_filter_disabled_flag
    }
    skip_short_term_ref_pic_sets(r)?;
    if r.flag()? {
        for _ in 0..r.ue_max("num_long_term_ref_pics_sps", 32)? {
            r.skip(poc_lsb_bits as usize + 1)?;
        }
    }
    r.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if r.flag()? { vui_frame_rate(r) } else { Ok(None) }
}

fn skip_scaling_list_data(r: &mut BitReader<'_>) -> Result<(), Error> {
    for size_id in 0..4_u32 {
        for _ in (0..6).step_by(if size_id == 3 { 3 } else { 1 }) {
            if !r.flag()? {
                r.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size_id > 1 {
                r.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..64.min(1 << (4 + (size_id << 1))) {
                r.se()?; // scaling_list_delta_coef
            }
        }
    }
    Ok(())
}

/// The picture order count differences of one set, nearest first: pictures before, pictures after.
#[derive(Default)]
struct RefPicSet {
    negative: Vec<i32>,
    positive: Vec<i32>,
}

/// `st_ref_pic_set()` for all of `num_short_term_ref_pic_sets` (sections 7.3.7 and 7.4.8). A set
/// may be coded by its difference from the one before, so that lengths follow only from content.
fn skip_short_term_ref_pic_sets(r: &mut BitReader<'_>) -> Result<(), Error> {
    let mut previous = RefPicSet::default();
    for index in 0..r.ue_max("num_short_term_ref_pic_sets", 64)? {
        previous = if index > 0 && r.flag()? {
            inter_ref_pic_set(r, &previous)?
        } else {
            let negatives = r.ue_max("num_negative_pics", MAX_DELTA_POCS)?;
            let positives = r.ue_max("num_positive_pics", MAX_DELTA_POCS - negatives)?;
            RefPicSet {
                negative: delta_pocs(r, negatives, -1)?,
                positive: delta_pocs(r, positives, 1)?,
            }
        };
    }
    Ok(())
}

fn delta_pocs(r: &mut BitReader<'_>, count: u32, sign: i32) -> Result<Vec<i32>, Error> {
    let mut poc = 0;
    (0..count)
        .map(|_| {
            poc += sign * (r.ue_max("delta_poc_minus1", 0x7fff)? as i32 + 1);
            r.flag()?; // used_by_curr_pic_flag
            Ok(poc)
        })
        .collect()
}

/// A set coded by its difference from `reference` (equations 7-61 and 7-62).
fn inter_ref_pic_set(r: &mut BitReader<'_>, reference: &RefPicSet) -> Result<RefPicSet, Error> {
    let negative_delta = r.flag()?;
    let delta = r.ue_max("abs_delta_rps_minus1", 0x7fff)? as i32 + 1;
    let delta = if negative_delta { -delta } else { delta };
    let RefPicSet { negative, positive } = reference;
    let mut keep = Vec::with_capacity(negative.len() + positive.len() + 1);
    for _ in 0..=negative.len() + positive.len() {
        // used_by_curr_pic_flag; where it is not set, use_delta_flag follows
        keep.push(r.flag()? || r.flag()?);
    }
    // Every old difference, and 0 for the reference picture itself, moves by delta.
    let old = negative.iter().chain(positive).chain(&[0]);
    let moved: Vec<i32> = old
        .zip(keep)
        .filter(|(_, keep)| *keep)
        .map(|(poc, _)| poc + delta)
        .collect();
    if moved.len() > MAX_DELTA_POCS as usize + 1 {
        return Err(r.out_of_range("reference pictures", moved.len() as u64));
    }
    let mut set = RefPicSet {
        negative: moved.iter().copied().filter(|&poc| poc < 0).collect(),
        positive: moved.iter().copied().filter(|&poc| poc > 0).collect(),
    };
    set.negative.sort_unstable_by_key(|poc| -poc);
    set.positive.sort_unstable();
    Ok(set)
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
            r.skip(24)?; // colour_primaries, transfer_characteristics, matrix_coeffs
        }
    }
    if r.flag()? {
        r.ue()?; // chroma_sample_loc_type_top_field
        r.ue()?; // chroma_sample_loc_type_bottom_field
    }
    r.skip(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if r.flag()? {
        for _ in 0..4 {
            r.ue()?; // default display window
        }
    }
    if !r.flag()? {
        return Ok(None);
    }
    let num_units_in_tick = r.bits(32)?;
    let time_scale = r.bits(32)?;
    Ok(bits::frame_rate(
        u64::from(time_scale),
        u64::from(num_units_in_tick),
    ))
}
