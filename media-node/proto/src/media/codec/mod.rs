//! Codecs and their parameters, as far as a server that never decodes must know them: parameter
//! sets, decoder configuration records, where a picture starts and whether it is a keyframe.
//! Sample values are never looked at.

pub mod aac;
mod bits;
pub mod g711;
pub mod h264;
pub mod h265;
pub mod nal;
pub mod picture;
mod reader;

pub use picture::{Picture, PictureBuilder};

use super::TrackKind;
use std::fmt;

/// Why codec parameters were refused. All of these are the sender's doing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{what} ends early, at bit {bit}")]
    Truncated {
        what: &'static str,
        /// Bits into the raw byte sequence payload, emulation prevention removed.
        bit: usize,
    },
    #[error("{what}: {field} is {value}, which is out of range")]
    OutOfRange {
        what: &'static str,
        field: &'static str,
        value: u64,
    },
    #[error("expected {what}, got NAL unit type {nal_type}")]
    WrongNalUnit { what: &'static str, nal_type: u8 },
    #[error("{what} of {bytes} bytes is too large")]
    TooLarge { what: &'static str, bytes: usize },
    #[error("{what}: {feature} is not supported")]
    Unsupported {
        what: &'static str,
        feature: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    H264,
    H265,
    Aac,
    G711,
}

impl Codec {
    pub const fn kind(self) -> TrackKind {
        match self {
            Self::H264 | Self::H265 => TrackKind::Video,
            Self::Aac | Self::G711 => TrackKind::Audio,
        }
    }
}

/// The name users read, in a Camera's status and in API answers.
impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Aac => "AAC",
            Self::G711 => "G711",
        })
    }
}

/// What a decoder needs before the first access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecParameters {
    H264(h264::Parameters),
    H265(h265::Parameters),
    Aac(aac::Parameters),
    G711(g711::Parameters),
}

impl CodecParameters {
    pub const fn codec(&self) -> Codec {
        match self {
            Self::H264(_) => Codec::H264,
            Self::H265(_) => Codec::H265,
            Self::Aac(_) => Codec::Aac,
            Self::G711(_) => Codec::G711,
        }
    }

    /// Width and height in pixels as shown, cropping applied.
    pub const fn size(&self) -> Option<(u16, u16)> {
        match self {
            Self::H264(p) => Some((p.width, p.height)),
            Self::H265(p) => Some((p.width, p.height)),
            Self::Aac(_) | Self::G711(_) => None,
        }
    }

    /// Audio channels.
    pub const fn channels(&self) -> Option<u8> {
        match self {
            Self::Aac(p) => Some(p.channels),
            Self::G711(p) => Some(p.channels),
            Self::H264(_) | Self::H265(_) => None,
        }
    }

    /// The codec as RFC 6381 names it in a `codecs` parameter: `avc1.64001f`, `mp4a.40.2`.
    pub fn codec_string(&self) -> String {
        match self {
            Self::H264(p) => p.codec_string(),
            Self::H265(p) => p.codec_string(),
            Self::Aac(p) => p.codec_string(),
            Self::G711(p) => match p.law {
                g711::Law::A => "alaw".to_owned(),
                g711::Law::Mu => "ulaw".to_owned(),
            },
        }
    }
}
