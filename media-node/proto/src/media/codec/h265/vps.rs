//! The video parameter set (ITU-T H.265 section 7.3.2.1), of which only the id and the timing
//! count: some makes write their frame rate here and nowhere else.

use super::super::Error;
use super::super::bits::{self, BitReader};
use super::{nal_type, parameter_set, sps};

const WHAT: &str = "H.265 VPS";

/// `vps_video_parameter_set_id`.
pub(in super::super) fn id(nal: &[u8]) -> Result<u32, Error> {
    let rbsp = parameter_set(WHAT, nal_type::VPS, nal)?;
    BitReader::new(WHAT, &rbsp).bits(4)
}

pub(super) fn frame_rate(nal: &[u8]) -> Result<Option<(u32, u32)>, Error> {
    let rbsp = parameter_set(WHAT, nal_type::VPS, nal)?;
    let r = &mut BitReader::new(WHAT, &rbsp);
    // vps_video_parameter_set_id, vps_base_layer_internal_flag, vps_base_layer_available_flag,
    // vps_max_layers_minus1
    r.skip(4 + 2 + 6)?;
    let sub_layers = sps::sub_layers(r)?;
    r.skip(1 + 16)?; // vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits
    sps::profile_tier_level(r, sub_layers)?;
    sps::sub_layer_ordering(r, sub_layers)?;
    let max_layer_id = r.bits(6)? as usize;
    let further_layer_sets = r.ue_max("vps_num_layer_sets_minus1", 1023)? as usize;
    r.skip(further_layer_sets * (max_layer_id + 1))?;
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
