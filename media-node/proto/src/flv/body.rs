//! What is inside tags, and alike inside RTMP's audio and video messages.
//!
//! ```text
//! H.264       frame type 4 | codec 7   packet type u8   composition time i24   record or NAL units
//! H.265       the same with codec 12
//! H.265, enhanced   1 | frame type 3 | packet type 4   "hvc1"   composition time i24 unless the
//!                                                               packet type is 0   record or NAL units
//! AAC         0xaf   packet type u8   AudioSpecificConfig or raw frame
//! ```
//! Packet type 0 is a sequence header, 1 an access unit. NAL units are framed as in the hub.

use super::carries;
use crate::media::{AccessUnit, CodecParameters, Track, TrackKind, Tracks};
use bytes::{BufMut, Bytes, BytesMut};

/// `TagType`, and RTMP's message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TagKind {
    Audio = 8,
    Video = 9,
    Script = 18,
}

/// How H.265, for which FLV itself has no number, is marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum H265Dialect {
    /// Codec id 12, which devices and players (mpegts.js among them) took up long before there was
    /// a specification.
    #[default]
    Legacy,
    /// Enhanced RTMP (Veovera, v1): four-character code `hvc1`.
    Enhanced,
}

/// Makes the bodies for the tracks of one stream: the first video and the first audio track that
/// FLV carries.
#[derive(Clone, Debug)]
pub struct Bodies {
    video: Option<Video>,
    audio: Option<Audio>,
}

#[derive(Clone, Debug)]
struct Video {
    track: u8,
    mark: VideoMark,
    parameters: CodecParameters,
}

#[derive(Clone, Debug)]
struct Audio {
    track: u8,
    parameters: CodecParameters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VideoMark {
    CodecId(u8),
    FourCc([u8; 4]),
}

const CODEC_ID_AVC: u8 = 7;
const CODEC_ID_HEVC: u8 = 12;
const HVC1: [u8; 4] = *b"hvc1";
/// AAC; the rate, size and type bits that go with it are fixed.
const SOUND_AAC: u8 = 0xaf;
const SEQUENCE_HEADER: u8 = 0;
const ACCESS_UNIT: u8 = 1;

impl Bodies {
    pub fn new(tracks: &Tracks, dialect: H265Dialect) -> Self {
        let first = |kind| {
            let wanted = |track: &Track| track.kind() == kind && carries(track.codec.codec());
            (0_u8..).zip(tracks).find(|(_, track)| wanted(track))
        };
        let video = first(TrackKind::Video).map(|(track, found)| Video {
            track,
            mark: match (&found.codec, dialect) {
                (CodecParameters::H265(_), H265Dialect::Legacy) => VideoMark::CodecId(CODEC_ID_HEVC),
                (CodecParameters::H265(_), H265Dialect::Enhanced) => VideoMark::FourCc(HVC1),
                _ => VideoMark::CodecId(CODEC_ID_AVC),
            },
            parameters: found.codec.clone(),
        });
        let audio = first(TrackKind::Audio).map(|(track, found)| Audio {
            track,
            parameters: found.codec.clone(),
        });
        Self { video, audio }
    }

    pub const fn has_video(&self) -> bool {
        self.video.is_some()
    }

    pub const fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    pub(super) fn video_parameters(&self) -> Option<&CodecParameters> {
        self.video.as_ref().map(|v| &v.parameters)
    }

    pub(super) fn audio_parameters(&self) -> Option<&CodecParameters> {
        self.audio.as_ref().map(|a| &a.parameters)
    }

    /// `videocodecid` of the metadata: the codec id, or the four-character code as a number.
    pub(super) fn video_codec_id(&self) -> Option<u32> {
        self.video.as_ref().map(|v| match v.mark {
            VideoMark::CodecId(id) => u32::from(id),
            VideoMark::FourCc(code) => u32::from_be_bytes(code),
        })
    }

    /// The bodies that a decoder needs before any other.
    pub fn sequence_headers(&self) -> impl Iterator<Item = (TagKind, Bytes)> {
        let video = self.video.as_ref().map(|video| {
            let record = match &video.parameters {
                CodecParameters::H264(p) => p.decoder_configuration(),
                CodecParameters::H265(p) => p.decoder_configuration(),
                CodecParameters::Aac(_) | CodecParameters::G711(_) => Bytes::new(),
            };
            let mut out = BytesMut::with_capacity(5 + record.len());
            video.mark.write(true, SEQUENCE_HEADER, 0, &mut out);
            out.put_slice(&record);
            (TagKind::Video, out.freeze())
        });
        let audio = self.audio.as_ref().and_then(|audio| match &audio.parameters {
            CodecParameters::Aac(p) => {
                let mut out = BytesMut::with_capacity(2 + p.config.len());
                out.put_slice(&[SOUND_AAC, SEQUENCE_HEADER]);
                out.put_slice(&p.config);
                Some((TagKind::Audio, out.freeze()))
            }
            _ => None,
        });
        video.into_iter().chain(audio)
    }

    /// The kind and size of the body that [`Self::write`] makes of an access unit; none for one
    /// whose track is left out.
    pub fn measure(&self, au: &AccessUnit) -> Option<(TagKind, usize)> {
        match (&self.video, &self.audio) {
            (Some(video), _) if video.track == au.track => {
                Some((TagKind::Video, video.mark.access_unit_bytes() + au.data.len()))
            }
            (_, Some(audio)) if audio.track == au.track => Some((TagKind::Audio, 2 + au.data.len())),
            _ => None,
        }
    }

    /// Appends the body of an access unit; nothing for one whose track is left out.
    pub fn write(&self, au: &AccessUnit, out: &mut BytesMut) {
        match (&self.video, &self.audio) {
            (Some(video), _) if video.track == au.track => {
                let composition_ms = au.pts.as_millis() - decoding_ms(au);
                video.mark.write(au.keyframe, ACCESS_UNIT, composition_ms, out);
            }
            (_, Some(audio)) if audio.track == au.track => out.put_slice(&[SOUND_AAC, ACCESS_UNIT]),
            _ => return,
        }
        out.put_slice(&au.data);
    }
}

impl VideoMark {
    const fn access_unit_bytes(self) -> usize {
        match self {
            Self::CodecId(_) => 5,
            Self::FourCc(_) => 8,
        }
    }

    /// What stands before the record or the NAL units.
    fn write(self, keyframe: bool, packet_type: u8, composition_ms: i64, out: &mut BytesMut) {
        let frame_type: u8 = if keyframe { 1 } else { 2 };
        let [_, composition @ ..] = (composition_ms as i32).to_be_bytes();
        match self {
            Self::CodecId(id) => {
                out.put_slice(&[frame_type << 4 | id, packet_type]);
                out.put_slice(&composition);
            }
            Self::FourCc(code) => {
                out.put_u8(0x80 | frame_type << 4 | packet_type);
                out.put_slice(&code);
                if packet_type != SEQUENCE_HEADER {
                    out.put_slice(&composition);
                }
            }
        }
    }
}

/// Times before the stream's origin, which the first reordered pictures have, count as 0: the
/// timestamp has no sign.
fn decoding_ms(au: &AccessUnit) -> i64 {
    au.dts.as_millis().max(0)
}

/// The decoding time in ms, modulo 2^32 as the field is.
pub(crate) fn timestamp_ms(au: &AccessUnit) -> u32 {
    decoding_ms(au) as u32
}
