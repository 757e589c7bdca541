//! From tags, or RTMP's messages of the same content, to tracks and access units.

mod clock;
mod enhanced;

use super::{Error, TagKind};
use crate::media::codec::{Codec, PictureBuilder, aac, g711, h264, h265};
use crate::media::{AccessUnit, CodecParameters, Timestamp, Track, TrackKind, Tracks};
use bytes::{Buf, Bytes};
use clock::{AudioClock, Clock};
use std::collections::VecDeque;

/// How long, in media time, access units wait for the other track to show up.
const WAIT_MS: i64 = 1000;
/// And how many, and of how many bytes.
const MAX_WAITING: usize = 512;
const MAX_WAITING_BYTES: usize = 8 << 20;
const VIDEO_CLOCK_RATE: u32 = 90_000;
const G711_CLOCK_RATE: u32 = 8000;

/// What comes out of an [`Unpacker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Before the first access unit, and when a track's parameters change or one more shows up.
    Tracks(Tracks),
    AccessUnit(AccessUnit),
    /// The stream has media of a kind that is not taken; told once for each.
    LeftOut(LeftOut),
}

/// Media of a kind that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeftOut {
    /// `CodecID` of a video tag.
    Video(u8),
    /// `SoundFormat` of an audio tag.
    Audio(u8),
    /// The four-character code of enhanced RTMP.
    FourCc([u8; 4]),
    /// Tracks beside the first, as enhanced RTMP has them from version 2 on.
    Multitrack(TrackKind),
}

/// Turns the tags of one stream into access units.
///
/// A stream does not say beforehand which tracks it has, so the first access units wait until both
/// video and audio have shown up, or for a second of media time. Times start at the first tag.
#[derive(Debug, Default)]
pub struct Unpacker {
    clock: Clock,
    video: Option<Video>,
    audio: Option<Audio>,
    tracks: Vec<Track>,
    announced: bool,
    /// Access units that wait for the tracks to be announced.
    waiting: VecDeque<AccessUnit>,
    waiting_bytes: usize,
    events: VecDeque<Event>,
    left_out: Vec<LeftOut>,
}

#[derive(Debug)]
struct Video {
    track: u8,
    builder: PictureBuilder,
    /// Bytes of the length before each NAL unit.
    length_size: usize,
}

#[derive(Debug)]
struct Audio {
    track: u8,
    clock: AudioClock,
}

/// The packet types of video and audio tags, and those of enhanced RTMP that mean the same.
const SEQUENCE_HEADER: u8 = 0;
const ACCESS_UNIT: u8 = 1;
/// The frame type of a tag that tells a player to seek.
const COMMAND: u8 = 5;

impl Unpacker {
    pub fn new() -> Self {
        Self::default()
    }

    /// What has come out since the last call.
    pub fn pull(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes the body of a tag or message. Script data is not looked at: what it says of tracks is
    /// often wrong.
    ///
    /// # Errors
    /// When the body can't be meant. The next one may be fine: nothing of this one is kept.
    pub fn push(&mut self, kind: TagKind, timestamp_ms: u32, body: &Bytes) -> Result<(), Error> {
        match kind {
            TagKind::Video => self.push_video(timestamp_ms, body.clone()),
            TagKind::Audio => self.push_audio(timestamp_ms, body.clone()),
            TagKind::Script => Ok(()),
        }
    }

    /// Ends the stream: what still waits comes out.
    pub fn finish(&mut self) {
        self.announce();
    }

    fn push_video(&mut self, timestamp_ms: u32, mut body: Bytes) -> Result<(), Error> {
        const WHAT: &str = "video";
        let first = take::<1>(&mut body, WHAT)?[0];
        let (codec, packet_type) = if first & 0x80 != 0 {
            let packet_type = enhanced::packet_type(first & 0x0f, &mut body, WHAT)?;
            if first >> 4 & 7 == COMMAND && packet_type != enhanced::METADATA {
                return Ok(());
            }
            if packet_type == enhanced::MULTITRACK_VIDEO {
                return self.leave_out(LeftOut::Multitrack(TrackKind::Video));
            }
            let code = take::<4>(&mut body, WHAT)?;
            let codec = match &code {
                b"avc1" => Codec::H264,
                b"hvc1" => Codec::H265,
                _ => return self.leave_out(LeftOut::FourCc(code)),
            };
            (codec, packet_type)
        } else {
            let codec = match first & 0x0f {
                7 => Codec::H264,
                12 => Codec::H265,
                id => return self.leave_out(LeftOut::Video(id)),
            };
            if first >> 4 == COMMAND {
                return Ok(());
            }
            (codec, take::<1>(&mut body, WHAT)?[0])
        };
        let with_composition_time = first & 0x80 == 0 || packet_type == ACCESS_UNIT;
        let composition_ms = if with_composition_time {
            let [a, b, c] = take::<3>(&mut body, WHAT)?;
            i64::from(i32::from_be_bytes([a, b, c, 0]) >> 8)
        } else {
            0
        };
        match packet_type {
            SEQUENCE_HEADER => self.configure_video(codec, &body),
            ACCESS_UNIT => self.picture(timestamp_ms, composition_ms, &body),
            enhanced::ACCESS_UNIT_IN_ORDER if first & 0x80 != 0 => self.picture(timestamp_ms, 0, &body),
            // End of sequence, metadata.
            _ => Ok(()),
        }
    }

    fn configure_video(&mut self, codec: Codec, record: &Bytes) -> Result<(), Error> {
        let (parameters, further, length_size) = if codec == Codec::H264 {
            let record = h264::Record::parse(record)?;
            (
                CodecParameters::H264(record.parameters),
                record.further,
                record.length_size,
            )
        } else {
            let record = h265::Record::parse(record)?;
            (
                CodecParameters::H265(record.parameters),
                record.further,
                record.length_size,
            )
        };
        let track = self.set_track(Track {
            codec: parameters.clone(),
            clock_rate: VIDEO_CLOCK_RATE,
        });
        let mut builder = PictureBuilder::new(codec, Some(parameters));
        for nal in further {
            builder.push(&nal);
        }
        self.video = Some(Video {
            track,
            builder,
            length_size: usize::from(length_size),
        });
        Ok(())
    }

    /// Pictures before the first sequence header are dropped.
    fn picture(&mut self, timestamp_ms: u32, composition_ms: i64, data: &[u8]) -> Result<(), Error> {
        let dts_ms = self.clock.extend(timestamp_ms);
        let Some(Video {
            track,
            builder,
            length_size,
        }) = &mut self.video
        else {
            return Ok(());
        };
        let mut rest = data;
        while !rest.is_empty() {
            let unit = rest.split_at_checked(*length_size).and_then(|(length, after)| {
                let length = length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
                after.split_at_checked(length)
            });
            let Some((nal, after)) = unit else {
                builder.discard();
                return Err(Error::Truncated { what: "NAL unit" });
            };
            builder.push(nal);
            rest = after;
        }
        let Some(picture) = builder.finish() else {
            return Ok(());
        };
        let track = *track;
        if let Some(codec) = picture.new_parameters {
            self.set_track(Track {
                codec,
                clock_rate: VIDEO_CLOCK_RATE,
            });
        }
        let at = |ms: i64| Timestamp::new(ms * i64::from(VIDEO_CLOCK_RATE / 1000), VIDEO_CLOCK_RATE);
        self.emit(AccessUnit {
            track,
            pts: at(dts_ms + composition_ms),
            dts: at(dts_ms),
            keyframe: picture.keyframe,
            segment: None,
            data: picture.data,
        });
        Ok(())
    }

    fn push_audio(&mut self, timestamp_ms: u32, mut body: Bytes) -> Result<(), Error> {
        const WHAT: &str = "audio";
        // The end of a stream may be marked by an empty message.
        if body.is_empty() {
            return Ok(());
        }
        let first = take::<1>(&mut body, WHAT)?[0];
        match first >> 4 {
            7 => self.g711(g711::Law::A, first, timestamp_ms, body),
            8 => self.g711(g711::Law::Mu, first, timestamp_ms, body),
            9 => {
                let packet_type = enhanced::packet_type(first & 0x0f, &mut body, WHAT)?;
                if packet_type == enhanced::MULTITRACK_AUDIO {
                    return self.leave_out(LeftOut::Multitrack(TrackKind::Audio));
                }
                match take::<4>(&mut body, WHAT)? {
                    [b'm', b'p', b'4', b'a'] => return self.aac(packet_type, timestamp_ms, body),
                    code => return self.leave_out(LeftOut::FourCc(code)),
                }
            }
            10 => {
                let packet_type = take::<1>(&mut body, WHAT)?[0];
                return self.aac(packet_type, timestamp_ms, body);
            }
            format => return self.leave_out(LeftOut::Audio(format)),
        }
        Ok(())
    }

    fn aac(&mut self, packet_type: u8, timestamp_ms: u32, body: Bytes) -> Result<(), Error> {
        match packet_type {
            SEQUENCE_HEADER => {
                let parameters = aac::Parameters::parse(body)?;
                let (clock_rate, samples) = (parameters.sample_rate, parameters.samples_per_access_unit());
                self.set_audio(CodecParameters::Aac(parameters), clock_rate, samples);
            }
            ACCESS_UNIT => self.sound(timestamp_ms, body),
            _ => {}
        }
        Ok(())
    }

    /// `SoundType` 1 is stereo.
    fn g711(&mut self, law: g711::Law, first: u8, timestamp_ms: u32, body: Bytes) {
        let channels = 1 + (first & 1);
        let samples = body.len() as u32 / u32::from(channels);
        let parameters = CodecParameters::G711(g711::Parameters { law, channels });
        let known = self
            .audio
            .as_ref()
            .and_then(|audio| self.tracks.get(usize::from(audio.track)));
        if known.is_none_or(|track| track.codec != parameters) {
            self.set_audio(parameters, G711_CLOCK_RATE, samples);
        }
        self.sound(timestamp_ms, body);
    }

    fn set_audio(&mut self, codec: CodecParameters, clock_rate: u32, samples: u32) {
        let track = self.set_track(Track { codec, clock_rate });
        self.audio = Some(Audio {
            track,
            clock: AudioClock::new(clock_rate, samples),
        });
    }

    /// Audio before its sequence header is dropped.
    fn sound(&mut self, timestamp_ms: u32, data: Bytes) {
        let ms = self.clock.extend(timestamp_ms);
        let Some(audio) = self.audio.as_mut().filter(|_| !data.is_empty()) else {
            return;
        };
        let at = audio.clock.at(ms);
        let au = AccessUnit {
            track: audio.track,
            pts: at,
            dts: at,
            keyframe: false,
            segment: None,
            data,
        };
        self.emit(au);
    }

    /// Adds a track, or replaces the one of its kind; its number.
    fn set_track(&mut self, track: Track) -> u8 {
        let known = self.tracks.iter().position(|known| known.kind() == track.kind());
        let number = known.unwrap_or(self.tracks.len());
        let unchanged = self.tracks.get(number) == Some(&track);
        if known.is_some() {
            self.tracks[number] = track;
        } else {
            self.tracks.push(track);
        }
        if self.announced && !unchanged {
            self.events
                .push_back(Event::Tracks(Tracks::new(self.tracks.iter().cloned())));
        }
        number as u8
    }

    fn emit(&mut self, mut au: AccessUnit) {
        if self.announced {
            let has_video = self.tracks.iter().any(|track| track.kind() == TrackKind::Video);
            au.keyframe |= !has_video;
            self.events.push_back(Event::AccessUnit(au));
            return;
        }
        let waited = self
            .waiting
            .front()
            .map_or(0, |first| au.dts.as_millis() - first.dts.as_millis());
        self.waiting_bytes += au.data.len();
        self.waiting.push_back(au);
        let full = self.waiting.len() >= MAX_WAITING || self.waiting_bytes >= MAX_WAITING_BYTES;
        if self.tracks.len() == 2 || waited > WAIT_MS || full {
            self.announce();
        }
    }

    fn announce(&mut self) {
        if self.announced || self.tracks.is_empty() {
            return;
        }
        self.announced = true;
        self.events
            .push_back(Event::Tracks(Tracks::new(self.tracks.iter().cloned())));
        for au in std::mem::take(&mut self.waiting) {
            self.emit(au);
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "ends its callers")]
    fn leave_out(&mut self, kind: LeftOut) -> Result<(), Error> {
        if !self.left_out.contains(&kind) && self.left_out.len() < 16 {
            self.left_out.push(kind);
            self.events.push_back(Event::LeftOut(kind));
        }
        Ok(())
    }
}

fn take<const N: usize>(body: &mut Bytes, what: &'static str) -> Result<[u8; N], Error> {
    let array = body
        .first_chunk::<N>()
        .copied()
        .ok_or(Error::Truncated { what })?;
    body.advance(N);
    Ok(array)
}

#[cfg(test)]
mod tests;
