//! From NAL units, as they arrive, to the pictures of the hub. Where one picture ends and the next
//! begins is for the caller to know: from the RTP marker, the FLV tag, the sample.

use super::{Codec, CodecParameters, Error, h264, h265, nal};
use bytes::Bytes;
use tracing::debug;

/// Larger pictures are dropped: more than twice the largest seen of an 8K camera.
pub const MAX_PICTURE_BYTES: usize = 16 << 20;
/// Parameter sets and SEI that may wait for their picture.
const MAX_WAITING_BYTES: usize = 64 << 10;

/// A coded picture in the hub's framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// As [`crate::media::AccessUnit::data`].
    pub data: Bytes,
    /// H.264: an IDR picture, or one of only I slices with a recovery point SEI message (how open
    /// GOPs are marked). H.265: IDR, CRA or BLA.
    pub keyframe: bool,
    /// The parameters from this picture on, where they differ from those before.
    pub new_parameters: Option<CodecParameters>,
}

/// Collects the NAL units of one picture after another.
///
/// Parameter sets, access unit delimiters, filler data, and end of sequence or stream are taken
/// out; parameter sets are remembered. SEI stays. So do parameter sets with another id than the
/// first seen: [`CodecParameters`] has room for one of each kind, decoders find the others in band.
#[derive(Debug)]
pub struct PictureBuilder {
    video: Video,
    parameters: Option<CodecParameters>,
    /// The newest parameter sets: VPS (H.265), SPS, PPS.
    sets: [Option<Bytes>; 3],
    sets_changed: bool,
    data: Vec<u8>,
    /// Bytes of the newest picture that was no keyframe: what the next one will take, most likely.
    usual_bytes: usize,
    state: State,
}

/// The two codecs that have NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Video {
    H264,
    H265,
}

/// What the NAL units of the picture so far have told.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    slices: bool,
    random_access: bool,
    recovery_point: bool,
    inter_slices: bool,
    too_large: bool,
}

/// What is done with a NAL unit.
enum Role {
    Slice {
        random_access: bool,
        intra: bool,
    },
    /// Index into [`PictureBuilder::sets`].
    ParameterSet(usize),
    Keep,
    RecoveryPoint,
    Drop,
}

impl PictureBuilder {
    /// `parameters` as known from outside: the SDP, a configuration record. A codec without NAL
    /// units is taken as H.264, which finds no picture in what comes.
    pub fn new(codec: Codec, parameters: Option<CodecParameters>) -> Self {
        let video = if codec == Codec::H265 {
            Video::H265
        } else {
            Video::H264
        };
        let sets = match (&parameters, video) {
            (Some(CodecParameters::H264(p)), Video::H264) => [None, Some(p.sps.clone()), Some(p.pps.clone())],
            (Some(CodecParameters::H265(p)), Video::H265) => {
                [Some(p.vps.clone()), Some(p.sps.clone()), Some(p.pps.clone())]
            }
            _ => [None, None, None],
        };
        let parameters = parameters.filter(|p| p.codec() == codec);
        let state = State::default();
        Self {
            video,
            parameters,
            sets,
            sets_changed: false,
            data: Vec::new(),
            usual_bytes: 0,
            state,
        }
    }

    /// The parameters in force; none until every parameter set has been seen once.
    pub const fn parameters(&self) -> Option<&CodecParameters> {
        self.parameters.as_ref()
    }

    /// Takes one NAL unit of the current picture, without start code.
    pub fn push(&mut self, nal: &[u8]) {
        let role = match self.video {
            Video::H264 => h264_role(nal),
            Video::H265 => h265_role(nal),
        };
        match role {
            Role::Drop => return,
            Role::ParameterSet(index) => {
                if self.remember(index, nal) {
                    return;
                }
            }
            Role::Slice { random_access, intra } => {
                self.state.slices = true;
                self.state.random_access |= random_access;
                self.state.inter_slices |= !intra;
            }
            Role::RecoveryPoint => self.state.recovery_point = true,
            Role::Keep => {}
        }
        if self.data.len() + nal.len() > MAX_PICTURE_BYTES {
            self.state.too_large = true;
            return;
        }
        if self.data.is_empty() {
            self.data.reserve(self.usual_bytes);
        }
        nal::write_unit(nal, &mut self.data);
    }

    /// Ends the current picture. None when it has no slice, or was too large; what came without a
    /// slice (some cameras send parameter sets as if they were a picture) goes with the next one.
    pub fn finish(&mut self) -> Option<Picture> {
        if !self.state.slices && !self.state.too_large {
            if self.data.len() > MAX_WAITING_BYTES {
                self.discard();
            }
            return None;
        }
        let state = std::mem::take(&mut self.state);
        let mut data = std::mem::take(&mut self.data);
        if state.too_large {
            debug!(bytes = data.len(), "picture too large, dropped");
            return None;
        }
        let keyframe = state.random_access || state.recovery_point && !state.inter_slices;
        if !keyframe {
            self.usual_bytes = data.len();
        }
        // The hub keeps pictures for seconds: each holds what it needs, and nothing of its neighbours.
        data.shrink_to_fit();
        Some(Picture {
            data: data.into(),
            keyframe,
            new_parameters: self.apply_sets(),
        })
    }

    /// Forgets the current picture, for a caller that knows a part of it to be lost. Parameter sets
    /// seen in it stay.
    pub fn discard(&mut self) {
        self.data.clear();
        self.state = State::default();
    }

    /// Whether the parameter set is one to take out of the picture.
    fn remember(&mut self, index: usize, nal: &[u8]) -> bool {
        if self.sets[index].as_deref() == Some(nal) {
            return true;
        }
        let id = match self.set_id(index, nal) {
            Ok(id) => id,
            Err(error) => {
                debug!(%error, "parameter set refused");
                return true;
            }
        };
        let known = self.sets[index].as_deref();
        if known.is_some_and(|known| self.set_id(index, known).is_ok_and(|known| known != id)) {
            return false;
        }
        self.sets[index] = Some(Bytes::copy_from_slice(nal));
        self.sets_changed = true;
        true
    }

    fn set_id(&self, index: usize, nal: &[u8]) -> Result<u32, Error> {
        match (self.video, index) {
            (Video::H264, SPS) => h264::Sps::parse(nal).map(|sps| u32::from(sps.id)),
            (Video::H264, _) => h264::pps_id(nal),
            (Video::H265, VPS) => h265::vps_id(nal),
            (Video::H265, SPS) => h265::Sps::parse(nal).map(|sps| u32::from(sps.id)),
            (Video::H265, _) => h265::pps_id(nal),
        }
    }

    /// Turns changed parameter sets into parameters.
    fn apply_sets(&mut self) -> Option<CodecParameters> {
        if !std::mem::take(&mut self.sets_changed) {
            return None;
        }
        let [vps, sps, pps] = self.sets.clone();
        let parsed = match self.video {
            Video::H264 => h264::Parameters::parse(sps?, pps?).map(CodecParameters::H264),
            Video::H265 => h265::Parameters::parse(vps?, sps?, pps?).map(CodecParameters::H265),
        };
        // Each set was parsed when it came, so this does not fail.
        let parameters = parsed.ok()?;
        if self.parameters.as_ref() == Some(&parameters) {
            return None;
        }
        self.parameters = Some(parameters.clone());
        Some(parameters)
    }
}

const VPS: usize = 0;
const SPS: usize = 1;
const PPS: usize = 2;

fn h264_role(nal: &[u8]) -> Role {
    use h264::nal_type as t;
    match h264::nal_unit_type(nal) {
        t::IDR => Role::Slice {
            random_access: true,
            intra: true,
        },
        // 2 is data partition A, which has the slice header; B and C follow it.
        t::SLICE | 2 => Role::Slice {
            random_access: false,
            intra: h264::is_intra_slice(nal),
        },
        t::SEI if h264::has_recovery_point(nal) => Role::RecoveryPoint,
        t::SPS => Role::ParameterSet(SPS),
        t::PPS => Role::ParameterSet(PPS),
        // 0 and 24 to 31 mean nothing outside RTP.
        0 | t::AUD | t::END_OF_SEQUENCE | t::END_OF_STREAM | t::FILLER | 24.. => Role::Drop,
        _ => Role::Keep,
    }
}

fn h265_role(nal: &[u8]) -> Role {
    use h265::nal_type as t;
    match h265::nal_unit_type(nal) {
        n @ 0..=t::LAST_VCL => Role::Slice {
            random_access: h265::is_irap(n),
            intra: false,
        },
        t::VPS => Role::ParameterSet(VPS),
        t::SPS => Role::ParameterSet(SPS),
        t::PPS => Role::ParameterSet(PPS),
        // 48 to 63 mean nothing outside RTP.
        t::AUD | t::END_OF_SEQUENCE | t::END_OF_BITSTREAM | t::FILLER | 48.. => Role::Drop,
        _ => Role::Keep,
    }
}

#[cfg(test)]
mod tests;
