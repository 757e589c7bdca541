//! H.265 video (ITU-T H.265): NAL units and parameter sets.

use bytes::Bytes;

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
