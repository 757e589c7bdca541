//! The `moov` box: tracks and their samples.

use super::boxes::{Fields, child, children, required};
use super::sample_entry::{self, Description};
use super::{Error, FourCc, MAX_SAMPLES, Unpacker, sample_table};
use crate::media::{self, Timestamp, TrackKind, Tracks};
use bytes::Bytes;
use std::time::Duration;

/// Times beyond this are refused: some thirty years.
pub(super) const MAX_SECONDS: i64 = 1_000_000_000;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Those with a codec known here; the index of one is its number in access units.
    pub tracks: Vec<Track>,
    /// Sample entry types of the tracks left out.
    pub skipped: Vec<FourCc>,
}

/// One track of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub track: media::Track,
    /// In decoding order. Audio before the start of the presentation (the encoder's delay) is left
    /// out.
    pub samples: Vec<Sample>,
    /// When the last sample's presentation ends, in ticks of `track.clock_rate`.
    pub end: i64,
    pub(super) description: Description,
}

/// Where a sample is, and when. Ticks are of the track's clock rate; 0 is the start of the
/// presentation, edit list applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Bytes into the file.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
    /// Whether the file lists it as a sync sample.
    pub sync: bool,
    /// Ticks.
    pub dts: i64,
    /// Ticks.
    pub pts: i64,
}

const MOOV: FourCc = FourCc(*b"moov");

impl Index {
    /// From the payload of a `moov` box.
    ///
    /// # Errors
    /// When a table of a known track is damaged, or no track is known. Memory is bounded by
    /// [`MAX_SAMPLES`], whatever counts the tables claim.
    pub fn parse(moov: &Bytes) -> Result<Self, Error> {
        let (mut mvhd, version) = Fields::full(*b"mvhd", required(MOOV, moov, *b"mvhd")?)?;
        mvhd.skip(if version == 1 { 16 } else { 8 })?; // creation_time, modification_time
        let movie_timescale = mvhd.u32()?;

        let (mut tracks, mut skipped) = (Vec::new(), Vec::new());
        let mut samples_left = MAX_SAMPLES;
        for found in children(MOOV, moov) {
            let (kind, trak) = found?;
            if kind.0 == *b"trak" && tracks.len() < usize::from(u8::MAX) {
                match track(&trak, movie_timescale, samples_left)? {
                    Ok(track) => {
                        samples_left = samples_left.saturating_sub(track.samples.len());
                        tracks.push(track);
                    }
                    Err(kind) => skipped.push(kind),
                }
            }
        }
        let fragmented = child(MOOV, moov, *b"mvex")?.is_some();
        if tracks.iter().all(|t: &Track| t.samples.is_empty()) {
            return Err(if fragmented {
                Error::Fragmented
            } else {
                Error::NoTracks(skipped)
            });
        }
        Ok(Self { tracks, skipped })
    }

    /// The tracks as the hub takes them.
    pub fn media_tracks(&self) -> Tracks {
        Tracks::new(self.tracks.iter().map(|t| t.track.clone()))
    }

    /// What turns samples into access units: one for each track.
    pub fn unpackers(&self) -> Vec<Unpacker> {
        let has_video = self.tracks.iter().any(|t| t.track.kind() == TrackKind::Video);
        (0..)
            .zip(&self.tracks)
            .map(|(number, track)| Unpacker::new(track, number, !has_video))
            .collect()
    }

    /// From the start of the presentation to the end of its longest track: what a loop adds to
    /// every time in each round.
    pub fn duration(&self) -> Duration {
        let end = |t: &Track| {
            Timestamp::new(t.end, t.track.clock_rate).since(Timestamp::new(0, t.track.clock_rate))
        };
        self.tracks.iter().map(end).max().unwrap_or_default()
    }

    /// Every sample in the order of decoding times, as (track, index into its samples).
    pub fn schedule(&self) -> Vec<(u8, u32)> {
        let mut order: Vec<(i64, u8, u32)> =
            Vec::with_capacity(self.tracks.iter().map(|t| t.samples.len()).sum());
        for (number, track) in (0_u8..).zip(&self.tracks) {
            for (index, sample) in (0_u32..).zip(&track.samples) {
                let micros = Timestamp::new(sample.dts, track.track.clock_rate).as_micros();
                order.push((micros, number, index));
            }
        }
        order.sort_unstable();
        order
            .into_iter()
            .map(|(_, track, sample)| (track, sample))
            .collect()
    }
}

/// A `trak` box; the inner error is the sample entry of a codec not known here.
fn track(trak: &Bytes, movie_timescale: u32, max_samples: usize) -> Result<Result<Track, FourCc>, Error> {
    const TRAK: FourCc = FourCc(*b"trak");
    const MDIA: FourCc = FourCc(*b"mdia");
    const MINF: FourCc = FourCc(*b"minf");
    const STBL: FourCc = FourCc(*b"stbl");
    let mdia = required(TRAK, trak, *b"mdia")?;
    let minf = required(MDIA, &mdia, *b"minf")?;
    let stbl = required(MINF, &minf, *b"stbl")?;
    let (codec, description) = match sample_entry::parse(required(STBL, &stbl, *b"stsd")?)? {
        Ok(found) => found,
        Err(kind) => return Ok(Err(kind)),
    };
    let (mut mdhd, version) = Fields::full(*b"mdhd", required(MDIA, &mdia, *b"mdhd")?)?;
    mdhd.skip(if version == 1 { 16 } else { 8 })?; // creation_time, modification_time
    let timescale = mdhd.u32()?;
    if timescale == 0 {
        return Err(mdhd.out_of_range("timescale", timescale));
    }

    let is_video = codec.codec().kind() == TrackKind::Video;
    let clock_rate = match &codec {
        media::CodecParameters::Aac(p) => p.sample_rate,
        media::CodecParameters::G711(_) => 8000,
        media::CodecParameters::H264(_) | media::CodecParameters::H265(_) => 90_000,
    };
    let shift = match child(TRAK, trak, *b"edts")? {
        Some(edts) => edit_shift(&edts, movie_timescale, timescale)?,
        None => 0,
    };
    let mut end = -shift;
    let mut samples = Vec::new();
    // Writers that use negative composition offsets mean decoding to begin that much earlier: no
    // picture is decoded after it is shown.
    let mut reordering = 0;
    for entry in sample_table::Samples::parse(&stbl, max_samples)? {
        let (sample, duration) = entry?;
        if [sample.dts, sample.pts]
            .iter()
            .any(|t| t.abs() / i64::from(timescale) > MAX_SECONDS)
        {
            return Err(Error::OutOfRange {
                kind: STBL,
                field: "time",
                value: sample.dts.unsigned_abs(),
            });
        }
        let sample_end = sample.pts + i64::from(duration);
        if is_video || sample_end + shift > 0 {
            end = end.max(sample_end);
            reordering = reordering.max(sample.dts - sample.pts);
            samples.push(sample);
        }
    }
    let rescale = |ticks: i64| Timestamp::new(ticks + shift, timescale).rescale(clock_rate);
    for sample in &mut samples {
        sample.dts = rescale(sample.dts - reordering);
        sample.pts = rescale(sample.pts);
    }
    let end = rescale(end);
    let track = media::Track { codec, clock_rate };
    Ok(Ok(Track {
        track,
        samples,
        end,
        description,
    }))
}

/// What an edit list adds to media times, in ticks of the track: an empty edit delays the start, and
/// the first other edit names the media time that is shown first. Edits after that are not applied.
fn edit_shift(edts: &Bytes, movie_timescale: u32, timescale: u32) -> Result<i64, Error> {
    let Some(elst) = child(FourCc(*b"edts"), edts, *b"elst")? else {
        return Ok(0);
    };
    let (mut elst, version) = Fields::full(*b"elst", elst)?;
    let mut delay = 0_i64;
    for _ in 0..elst.u32()?.min(16) {
        let (duration, media_time) = if version == 1 {
            (elst.u64()?, elst.u64()? as i64)
        } else {
            (u64::from(elst.u32()?), i64::from(elst.u32()? as i32))
        };
        elst.skip(4)?; // media_rate
        if media_time >= 0 {
            if media_time / i64::from(timescale) > MAX_SECONDS {
                return Err(elst.out_of_range("media_time", media_time as u64));
            }
            return Ok(delay - media_time);
        }
        if duration / u64::from(movie_timescale.max(1)) > MAX_SECONDS as u64 {
            return Err(elst.out_of_range("segment_duration", duration));
        }
        delay += Timestamp::new(duration as i64, movie_timescale).rescale(timescale);
    }
    Ok(delay)
}
