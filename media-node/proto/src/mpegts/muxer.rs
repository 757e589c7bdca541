//! From access units to transport stream packets.

use super::packet::{Marks, Pid, UnitWriter, write_clock, write_section};
use super::pes::Header;
use super::psi;
use crate::media::codec::{aac::adts, nal};
use crate::media::{AccessUnit, Codec, CodecParameters, TrackKind, Tracks};
use bytes::{Bytes, BytesMut};

/// Added to all times, so that those just before the stream's origin, and the clock reference
/// ahead of them, need no negative numbers.
const ORIGIN_90K: i64 = 90_000;
/// How long before its decoding time a picture arrives, as the clock reference tells it.
const DELAY_90K: i64 = 45_000;
/// Audio frames wait to share a PES packet: alone, each would take two packets for the bytes of one.
const AUDIO_PES_90K: i64 = 15_000;
const AUDIO_PES_BYTES: usize = 16 << 10;

const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const VIDEO_STREAM_ID: u8 = 0xe0;
const AUDIO_STREAM_ID: u8 = 0xc0;

const H264_AUD: &[u8] = &[0, 0, 0, 1, 9, 0xf0];
const H265_AUD: &[u8] = &[0, 0, 0, 1, 0x46, 1, 0x50];

/// Writes the first video and the first AAC track of a stream.
#[derive(Debug)]
pub struct Muxer {
    /// Of the PMT, which grows when what it tells changes.
    version: u8,
    pat_pid: Pid,
    pat: Vec<u8>,
    pmt_pid: Pid,
    pmt: Vec<u8>,
    /// Of video and audio, also while the stream has none: counters go on when it is back.
    video_pid: Pid,
    audio_pid: Pid,
    video: Option<Video>,
    audio: Option<Audio>,
}

#[derive(Debug)]
struct Video {
    track: u8,
    access_unit_delimiter: &'static [u8],
    /// Those that go before every keyframe, each behind a start code.
    parameter_sets: Bytes,
}

#[derive(Debug)]
struct Audio {
    track: u8,
    adts: adts::Writer,
    /// Whether the clock reference goes here, for want of video.
    carries_pcr: bool,
    /// ADTS frames that wait, and the time of the first.
    waiting: BytesMut,
    waiting_since_90k: i64,
}

impl Muxer {
    pub fn new(tracks: &Tracks) -> Self {
        Self::with_version(tracks, 0)
    }

    fn with_version(tracks: &Tracks, version: u8) -> Self {
        let numbered = || (0_u8..).zip(tracks);
        let video = numbered().find_map(|(track, found)| Video::new(track, &found.codec));
        let audio = numbered()
            .filter(|(_, found)| found.kind() == TrackKind::Audio)
            .find_map(|(track, found)| Audio::new(track, &found.codec, video.is_none()));
        let (video_pid, audio_pid) = (Pid::new(VIDEO_PID), Pid::new(AUDIO_PID));
        let mut streams = Vec::new();
        if let Some((_, codec)) = &video {
            streams.push((*codec, video_pid));
        }
        if audio.is_some() {
            streams.push((Codec::Aac, audio_pid));
        }
        let pcr = streams.first().map_or(Pid::new(0x1fff), |(_, pid)| *pid);
        let pmt_pid = Pid::new(PMT_PID);
        Self {
            version,
            pat_pid: Pid::new(0),
            pat: psi::pat(pmt_pid),
            pmt_pid,
            pmt: psi::pmt(version, pcr, &streams),
            video_pid,
            audio_pid,
            video: video.map(|(video, _)| video),
            audio,
        }
    }

    /// Whether any track of the stream has a place; without one, there is nothing to serve.
    pub const fn carries_any(&self) -> bool {
        self.video.is_some() || self.audio.is_some()
    }

    /// Goes on with new parameters. Counters go on too; the PMT is a new version. What waits is to be
    /// written before, by [`Self::end_segment`].
    pub fn set_tracks(&mut self, tracks: &Tracks) {
        *self = Self {
            pat_pid: self.pat_pid,
            pmt_pid: self.pmt_pid,
            video_pid: self.video_pid,
            audio_pid: self.audio_pid,
            ..Self::with_version(tracks, (self.version + 1) & 31)
        };
    }

    /// The track whose packets carry the clock reference: video, or else audio.
    pub fn clock_track(&self) -> Option<u8> {
        let audio = || self.audio.as_ref().map(|audio| audio.track);
        self.video.as_ref().map(|video| video.track).or_else(audio)
    }

    pub const fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// A packet with nothing but the clock reference for a time of decoding; `jumps`: it does not go on
    /// from the one before.
    pub(super) fn clock(&self, dts_90k: i64, jumps: bool, out: &mut BytesMut) {
        let pid = match (&self.video, &self.audio) {
            (Some(_), _) => self.video_pid,
            (None, Some(_)) => self.audio_pid,
            (None, None) => return,
        };
        write_clock(pid, wire_90k(dts_90k - DELAY_90K), jumps, out);
    }

    /// What a segment starts with: PAT and PMT.
    pub fn start_segment(&mut self, out: &mut BytesMut) {
        write_section(&mut self.pat_pid, &self.pat, out);
        write_section(&mut self.pmt_pid, &self.pmt, out);
    }

    /// Appends an access unit. Audio may wait for more of it; tracks without a place are left out.
    pub fn access_unit(&mut self, au: &AccessUnit, out: &mut BytesMut) {
        if let Some(video) = self.video.as_ref().filter(|video| video.track == au.track) {
            video.write(au, &mut self.video_pid, out);
        } else if let Some(audio) = self.audio.as_mut().filter(|audio| audio.track == au.track) {
            audio.push(au, &mut self.audio_pid, out);
        }
    }

    /// Appends what waits; to be called before a segment ends.
    pub fn end_segment(&mut self, out: &mut BytesMut) {
        if let Some(audio) = &mut self.audio {
            audio.flush(&mut self.audio_pid, out);
        }
    }
}

impl Video {
    fn new(track: u8, parameters: &CodecParameters) -> Option<(Self, Codec)> {
        let (access_unit_delimiter, sets): (_, &[&Bytes]) = match parameters {
            CodecParameters::H264(p) => (H264_AUD, &[&p.sps, &p.pps]),
            CodecParameters::H265(p) => (H265_AUD, &[&p.vps, &p.sps, &p.pps]),
            CodecParameters::Aac(_) | CodecParameters::G711(_) => return None,
        };
        let mut parameter_sets = BytesMut::new();
        for set in sets {
            nal::write_annexb(set, &mut parameter_sets);
        }
        let parameter_sets = parameter_sets.freeze();
        Some((
            Self {
                track,
                access_unit_delimiter,
                parameter_sets,
            },
            parameters.codec(),
        ))
    }

    fn write(&self, au: &AccessUnit, pid: &mut Pid, out: &mut BytesMut) {
        let parameter_sets: &[u8] = if au.keyframe { &self.parameter_sets } else { &[] };
        // A start code takes the place of each length: both are 4 bytes.
        let payload_bytes: usize = self.access_unit_delimiter.len()
            + parameter_sets.len()
            + nal::units(&au.data)
                .map(|nal| nal::START_CODE.len() + nal.len())
                .sum::<usize>();
        let dts = au.dts.as_90k();
        let header = Header::new(
            VIDEO_STREAM_ID,
            payload_bytes,
            wire_90k(au.pts.as_90k()),
            wire_90k(dts),
        );
        let marks = Marks {
            random_access: au.keyframe,
            pcr_90k: Some(wire_90k(dts - DELAY_90K)),
        };
        let bytes = header.as_bytes().len() + payload_bytes;
        let mut unit = UnitWriter::new(pid, bytes, marks, out);
        unit.put(header.as_bytes());
        unit.put(self.access_unit_delimiter);
        unit.put(parameter_sets);
        for nal in nal::units(&au.data) {
            unit.put(&nal::START_CODE);
            unit.put(nal);
        }
    }
}

impl Audio {
    fn new(track: u8, parameters: &CodecParameters, carries_pcr: bool) -> Option<Self> {
        let CodecParameters::Aac(parameters) = parameters else {
            return None;
        };
        let adts = adts::Writer::new(parameters)?;
        let (waiting, waiting_since_90k) = (BytesMut::new(), 0);
        Some(Self {
            track,
            adts,
            carries_pcr,
            waiting,
            waiting_since_90k,
        })
    }

    fn push(&mut self, au: &AccessUnit, pid: &mut Pid, out: &mut BytesMut) {
        let Some(header) = self.adts.header(au.data.len()) else {
            return;
        };
        let pts = au.pts.as_90k();
        let waited = pts.saturating_sub(self.waiting_since_90k);
        // Out of step also where time jumps: frames in a PES packet are taken to follow each other.
        if !(0..AUDIO_PES_90K).contains(&waited) || self.waiting.len() + au.data.len() > AUDIO_PES_BYTES {
            self.flush(pid, out);
        }
        if self.waiting.is_empty() {
            self.waiting_since_90k = pts;
        }
        self.waiting.extend_from_slice(&header);
        self.waiting.extend_from_slice(&au.data);
    }

    fn flush(&mut self, pid: &mut Pid, out: &mut BytesMut) {
        if self.waiting.is_empty() {
            return;
        }
        let pts = wire_90k(self.waiting_since_90k);
        let header = Header::new(AUDIO_STREAM_ID, self.waiting.len(), pts, pts);
        let pcr_90k = self
            .carries_pcr
            .then_some(wire_90k(self.waiting_since_90k - DELAY_90K));
        let marks = Marks {
            random_access: true,
            pcr_90k,
        };
        let bytes = header.as_bytes().len() + self.waiting.len();
        let mut unit = UnitWriter::new(pid, bytes, marks, out);
        unit.put(header.as_bytes());
        unit.put(&self.waiting);
        self.waiting.clear();
    }
}

/// A time of the stream as it stands on the wire, where it wraps at 33 bits.
const fn wire_90k(time_90k: i64) -> u64 {
    time_90k.wrapping_add(ORIGIN_90K) as u64 & 0x1_ffff_ffff
}

#[cfg(test)]
mod tests;
