//! Session descriptions (RFC 8866, formerly RFC 4566) as RTSP carries them.
//!
//! - [`parse`]: what cameras, encoders and publishers send, leniently and within bounds.
//! - [`write`]: what DESCRIBE answers, made from a stream's tracks.
//! - [`fmtp`]: format parameters of the codecs that we know.
//!
//! No offer and answer here: those of WebRTC are another dialect.

pub mod fmtp;
pub mod parse;
pub mod write;

pub use parse::{Error, parse};
pub use write::{control, payload_type, write};

use crate::media::codec::{aac, g711, h264, h265};
use crate::media::{Codec, CodecParameters, Track};

/// A parsed description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `s=`, for people; often empty or a dash.
    pub name: String,
    /// The session's `a=control`.
    pub control: Option<String>,
    /// In the order of the text. Never empty.
    pub media: Vec<Media>,
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    pub kind: Kind,
    pub payload_type: u8,
    /// The encoding's name as sent, such as `H264` or `opus`; empty if nothing tells it.
    pub encoding: String,
    /// Hz of the RTP timestamps.
    pub clock_rate: u32,
    /// `a=control`: an absolute URL, or what to append to the session's.
    pub control: Option<String>,
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Video,
    Audio,
    /// `application` (ONVIF metadata), `text` and what else there may be.
    Other,
}

/// What a depacketizer has to know. Parameters are `None` if they come in-band only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    H264(Option<h264::Parameters>),
    H265(Option<h265::Parameters>),
    Aac(aac::Parameters, fmtp::AuHeader),
    /// AAC in the older framing of RFC 6416.
    Latm(aac::Parameters),
    G711(g711::Parameters),
    /// A codec or a packetization that we can't take; [`Media::encoding`] names it.
    Unsupported,
}

impl Media {
    pub const fn codec(&self) -> Option<Codec> {
        match self.format {
            Format::H264(_) => Some(Codec::H264),
            Format::H265(_) => Some(Codec::H265),
            Format::Aac(..) | Format::Latm(_) => Some(Codec::Aac),
            Format::G711(_) => Some(Codec::G711),
            Format::Unsupported => None,
        }
    }

    /// What a decoder needs, if the description tells all of it.
    pub fn parameters(&self) -> Option<CodecParameters> {
        match &self.format {
            Format::H264(parameters) => parameters.clone().map(CodecParameters::H264),
            Format::H265(parameters) => parameters.clone().map(CodecParameters::H265),
            Format::Aac(parameters, _) | Format::Latm(parameters) => {
                Some(CodecParameters::Aac(parameters.clone()))
            }
            Format::G711(parameters) => Some(CodecParameters::G711(parameters.clone())),
            Format::Unsupported => None,
        }
    }

    /// The track, if the description tells all of it; else it shows with the first keyframe.
    pub fn track(&self) -> Option<Track> {
        self.parameters().map(|codec| Track {
            codec,
            clock_rate: self.clock_rate,
        })
    }
}
