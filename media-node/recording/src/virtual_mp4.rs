//! An MP4 of any range of a camera's footage, put together from stored segments without copying a byte of media.
//!
//! ```text
//! header, made here                     ftyp, moov: sample tables of all that is in it; head of mdat
//! then, each a range of an object       the payloads of the fragments' mdat boxes, in order of time
//! ```
//! It begins at the keyframe at or before the start of the range, and an edit list has it shown from the start itself. A gap in
//! the footage stays a gap: the last picture before it stands until the footage goes on, so that time in the file is
//! time of day. Where two writers overlap the parts that count are chosen by [`crate::cover`].

use bytes::{BufMut, Bytes, BytesMut};
use std::ops::Range;
use weir_proto::fmp4::{
    Fragment, MATRIX, SampleRun, main_track, write_box, write_full_box, write_mdia, write_sample_entry,
};
use weir_proto::media::{Timestamp, Track, TrackKind, Tracks};

/// Larger sample tables are refused: half a day of pictures and sound.
const MOST_SAMPLES: usize = 6_000_000;
const MOVIE_TIMESCALE: u32 = 1000;
/// Media of one session that is further apart than this has a gap between it.
const GAP_MS: i64 = 500;
/// `und`, in three groups of five bits.
const LANGUAGE_UNDETERMINED: u16 = 0x55c4;

/// A stored segment, or the part of it that counts.
#[derive(Clone, Debug)]
pub struct Source {
    pub tracks: Tracks,
    /// Timestamps of sources with the same session compare.
    pub session: u64,
    pub fragments: Vec<Fragment>,
    /// When its first picture is shown. Milliseconds since 1970.
    pub start_ms: i64,
    /// What begins before counts no more, or not yet.
    pub from_ms: i64,
    pub to_ms: i64,
}

/// A range of the bytes of a stored object; `source` is an index into the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub source: usize,
    pub range: Range<u64>,
}

/// A part of a virtual file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Header(Range<usize>),
    Object(Piece),
}

/// The file.
#[derive(Clone, Debug)]
pub struct VirtualMp4 {
    header: Bytes,
    pieces: Vec<Piece>,
    /// Where each piece ends in the file.
    ends: Vec<u64>,
    /// Milliseconds since 1970 at the file's time 0, and how long it is.
    pub start_ms: i64,
    pub duration_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the range is too long for one file: ask for half a day at most")]
    TooLong,
}

/// One track of the file.
struct Output {
    kind: TrackKind,
    clock_rate: u32,
    descriptions: Vec<Track>,
    /// When its first sample is decoded, in ticks from the first picture of the file.
    begin: i64,
    /// When what follows the last sample is decoded.
    clock: i64,
    durations: Vec<(u32, u32)>,
    offsets: Vec<(u32, i32)>,
    sizes: Vec<u32>,
    keyframes: Vec<u32>,
    chunks: Vec<Chunk>,
    last_duration: u32,
}

struct Chunk {
    /// From the beginning of the media data.
    offset: u64,
    samples: u32,
    description: u32,
}

/// A fragment that is in the file, and what its times are moved by.
struct Chosen<'a> {
    source: usize,
    fragment: &'a Fragment,
    tracks: &'a Tracks,
    /// Microseconds from media time to time of day.
    origin_micros: i64,
}

impl VirtualMp4 {
    /// The footage from `from_ms` to `to_ms`; none if there is none. The sources are in order of time.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn new(sources: &[Source], from_ms: i64, to_ms: i64) -> Result<Option<Self>, Error> {
        let chosen = choose(sources, from_ms, to_ms);
        let Some(first) = chosen.first() else {
            return Ok(None);
        };
        let zero_micros = first.start_micros();
        let mut outputs: Vec<Output> = Vec::new();
        let (mut pieces, mut at) = (Vec::new(), 0_u64);
        for one in &chosen {
            let payload = &one.fragment.payload;
            for run in &one.fragment.runs {
                let Some(track) = one.tracks.get(run.track) else {
                    continue;
                };
                let output = output(&mut outputs, track);
                output.add(
                    run,
                    track,
                    at + (run.data.start - payload.start),
                    one.origin_micros - zero_micros,
                );
            }
            at += payload.end - payload.start;
            pieces.push(Piece {
                source: one.source,
                range: payload.clone(),
            });
        }
        if outputs.iter().map(|o| o.sizes.len()).sum::<usize>() > MOST_SAMPLES {
            return Err(Error::TooLong);
        }
        outputs.retain(|output| !output.sizes.is_empty());
        let shown = shown_of(first.fragment, first.tracks).unwrap_or(0) + first.origin_micros;
        let start_ms = from_ms.max(shown.div_euclid(1000));
        let lead_micros = start_ms * 1000 - zero_micros;
        let end_micros = outputs.iter().map(Output::end_micros).max().unwrap_or(0);
        let end_ms = to_ms.min((zero_micros + end_micros) / 1000).max(start_ms + 1);
        let duration_ms = end_ms - start_ms;
        let media_bytes = at;
        let length = header(&outputs, lead_micros, duration_ms, media_bytes, 0).len();
        let header = header(&outputs, lead_micros, duration_ms, media_bytes, length as u64);
        let mut end = header.len() as u64;
        let ends = pieces
            .iter()
            .map(|piece| {
                end += piece.range.end - piece.range.start;
                end
            })
            .collect();
        Ok(Some(Self {
            header,
            pieces,
            ends,
            start_ms,
            duration_ms,
        }))
    }

    /// Bytes of the whole file.
    pub fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(self.header.len() as u64)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What comes before the media.
    pub const fn header(&self) -> &Bytes {
        &self.header
    }

    /// What a range of the file's bytes is made of, in order.
    pub fn slice(&self, range: Range<u64>) -> Vec<Part> {
        let range = range.start..range.end.min(self.len());
        let mut parts = Vec::new();
        let header = self.header.len() as u64;
        if range.start < header && range.start < range.end {
            parts.push(Part::Header(range.start as usize..range.end.min(header) as usize));
        }
        let first = self.ends.partition_point(|end| *end <= range.start);
        for (piece, end) in self.pieces.iter().zip(&self.ends).skip(first) {
            let start = end - (piece.range.end - piece.range.start);
            if start >= range.end {
                break;
            }
            let from = piece.range.start + range.start.saturating_sub(start);
            let to = piece.range.end - end.saturating_sub(range.end);
            if from < to {
                parts.push(Part::Object(Piece {
                    source: piece.source,
                    range: from..to,
                }));
            }
        }
        parts
    }
}

impl Chosen<'_> {
    /// When its first picture is decoded. Microseconds since 1970.
    fn start_micros(&self) -> i64 {
        start_of(self.fragment, self.tracks).unwrap_or(0) + self.origin_micros
    }
}

/// The fragments that show the range, in order, from the last keyframe before it on.
fn choose(sources: &[Source], from_ms: i64, to_ms: i64) -> Vec<Chosen<'_>> {
    let mut chosen: Vec<Chosen<'_>> = Vec::new();
    // Which of them can be begun with.
    let mut begin = 0;
    let mut stretch: Option<(u64, i64, i64)> = None;
    for (number, source) in sources.iter().enumerate() {
        let Some(first) = source.fragments.first() else {
            continue;
        };
        let Some(first_shown) = shown_of(first, &source.tracks) else {
            continue;
        };
        // Of one session without a gap, times are what the camera says; elsewhere, what we said of the segment.
        let origin = source.start_ms * 1000 - first_shown;
        let origin_micros = match stretch {
            Some((session, known, end)) if session == source.session => {
                let apart = (source.start_ms - end).abs();
                if apart <= GAP_MS { known } else { origin }
            }
            _ => origin,
        };
        for fragment in &source.fragments {
            let Some(start) = start_of(fragment, &source.tracks) else {
                continue;
            };
            let length = length_of(fragment, &source.tracks);
            let middle_ms = (start + origin_micros + length / 2).div_euclid(1000);
            if middle_ms < source.from_ms || middle_ms >= source.to_ms {
                continue;
            }
            let start_ms = (start + origin_micros).div_euclid(1000);
            if start_ms >= to_ms {
                break;
            }
            if start_ms <= from_ms && begins_with_keyframe(fragment, &source.tracks) {
                begin = chosen.len();
            }
            stretch = Some((
                source.session,
                origin_micros,
                (start + length + origin_micros).div_euclid(1000),
            ));
            chosen.push(Chosen {
                source: number,
                fragment,
                tracks: &source.tracks,
                origin_micros,
            });
        }
    }
    chosen.drain(..begin.min(chosen.len()));
    // What ends before the range, where a gap follows, is not in it.
    let last_end = chosen
        .last()
        .map(|one| one.start_micros() + length_of(one.fragment, one.tracks));
    if last_end.is_some_and(|end| end.div_euclid(1000) <= from_ms) {
        chosen.clear();
    }
    chosen
}

fn main_run<'a>(fragment: &'a Fragment, tracks: &Tracks) -> Option<(&'a SampleRun, u32)> {
    let main = main_track(tracks);
    let (run, number) = match fragment.run(main) {
        Some(run) => (run, main),
        None => fragment.runs.first().map(|run| (run, run.track))?,
    };
    Some((run, tracks.get(number)?.clock_rate))
}

/// When a fragment's first sample is decoded, and shown, in microseconds of media time.
fn start_of(fragment: &Fragment, tracks: &Tracks) -> Option<i64> {
    let (run, rate) = main_run(fragment, tracks)?;
    Some(Timestamp::new(run.base_decode_time as i64, rate).as_micros())
}

fn shown_of(fragment: &Fragment, tracks: &Tracks) -> Option<i64> {
    let (run, rate) = main_run(fragment, tracks)?;
    let offset = run.samples.first()?.composition_offset;
    Some(Timestamp::new(run.base_decode_time as i64 + i64::from(offset), rate).as_micros())
}

fn length_of(fragment: &Fragment, tracks: &Tracks) -> i64 {
    main_run(fragment, tracks).map_or(0, |(run, rate)| {
        Timestamp::new(run.duration() as i64, rate).as_micros()
    })
}

fn begins_with_keyframe(fragment: &Fragment, tracks: &Tracks) -> bool {
    main_run(fragment, tracks).is_some_and(|(run, _)| run.samples.first().is_some_and(|s| s.keyframe))
}

/// The output that takes that track: one of its kind, for each clock.
fn output<'a>(outputs: &'a mut Vec<Output>, track: &Track) -> &'a mut Output {
    let found = outputs
        .iter()
        .position(|o| o.kind == track.kind() && o.clock_rate == track.clock_rate);
    let found = found.unwrap_or_else(|| {
        outputs.push(Output {
            kind: track.kind(),
            clock_rate: track.clock_rate,
            descriptions: Vec::new(),
            begin: 0,
            clock: 0,
            durations: Vec::new(),
            offsets: Vec::new(),
            sizes: Vec::new(),
            keyframes: Vec::new(),
            chunks: Vec::new(),
            last_duration: 0,
        });
        outputs.len() - 1
    });
    &mut outputs[found]
}

impl Output {
    fn add(&mut self, run: &SampleRun, track: &Track, offset: u64, shift_micros: i64) {
        let shift = Timestamp::new(shift_micros, 1_000_000).rescale(self.clock_rate);
        let start = run.base_decode_time as i64 + shift;
        if self.sizes.is_empty() {
            self.begin = start;
            self.clock = start;
        } else if start > self.clock {
            // The last sample stands until this one comes.
            self.stretch_last(start - self.clock);
        }
        let description = match self.descriptions.iter().position(|known| known == track) {
            Some(known) => known,
            None => {
                self.descriptions.push(track.clone());
                self.descriptions.len() - 1
            }
        };
        for sample in &run.samples {
            push(&mut self.durations, sample.duration);
            push(&mut self.offsets, sample.composition_offset);
            self.sizes.push(sample.size);
            if sample.keyframe {
                self.keyframes.push(self.sizes.len() as u32);
            }
            self.clock += i64::from(sample.duration);
            self.last_duration = sample.duration;
        }
        // Where it comes early, by a tick or two, it follows at once, and time is made up for at the end.
        let early = self.clock - (start + run.duration() as i64);
        if early > 0 && i64::from(self.last_duration) > early {
            self.stretch_last(-early);
        }
        self.chunks.push(Chunk {
            offset,
            samples: run.samples.len() as u32,
            description: description as u32 + 1,
        });
    }

    fn stretch_last(&mut self, by: i64) {
        let Some((count, duration)) = self.durations.pop() else {
            return;
        };
        if count > 1 {
            self.durations.push((count - 1, duration));
        }
        let duration = (i64::from(duration) + by).clamp(0, i64::from(u32::MAX)) as u32;
        push(&mut self.durations, duration);
        self.clock += by;
        self.last_duration = duration;
    }

    /// When its last sample ends, in microseconds from the first picture of the file.
    fn end_micros(&self) -> i64 {
        Timestamp::new(self.clock, self.clock_rate).as_micros()
    }
}

fn push<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value => *count += 1,
        _ => runs.push((1, value)),
    }
}

/// All before the media; `media_at` is where that begins.
fn header(outputs: &[Output], lead_micros: i64, duration_ms: i64, media_bytes: u64, media_at: u64) -> Bytes {
    let mut out = BytesMut::new();
    write_box(&mut out, *b"ftyp", |out| {
        out.put_slice(b"isom");
        out.put_u32(0x200);
        out.put_slice(b"isomiso2mp41");
    });
    write_box(&mut out, *b"moov", |out| {
        write_full_box(out, *b"mvhd", 0, 0, |out| {
            for value in [0, 0, MOVIE_TIMESCALE, duration_ms as u32, 0x1_0000] {
                out.put_u32(value);
            }
            out.put_u16(0x100); // volume
            out.put_bytes(0, 10);
            put_u32s(out, &MATRIX);
            out.put_bytes(0, 24);
            out.put_u32(outputs.len() as u32 + 1);
        });
        for (id, output) in (1_u32..).zip(outputs) {
            output.write(id, lead_micros, duration_ms, media_at, out);
        }
    });
    // With a size of 64 bits, however long the media.
    out.put_u32(1);
    out.put_slice(b"mdat");
    out.put_u64(media_bytes + 16);
    out.freeze()
}

impl Output {
    fn write(&self, id: u32, lead_micros: i64, duration_ms: i64, media_at: u64, out: &mut BytesMut) {
        let is_video = self.kind == TrackKind::Video;
        let size = self.descriptions.first().and_then(|track| track.codec.size());
        let (width, height) = size.unwrap_or_default();
        write_box(out, *b"trak", |out| {
            write_full_box(out, *b"tkhd", 0, 3, |out| {
                put_u32s(out, &[0, 0, id, 0, duration_ms as u32, 0, 0]);
                for value in [0, u16::from(!is_video), if is_video { 0 } else { 0x100 }, 0] {
                    out.put_u16(value);
                }
                put_u32s(out, &MATRIX);
                put_u32s(out, &[u32::from(width) << 16, u32::from(height) << 16]);
            });
            self.write_edits(lead_micros, duration_ms, out);
            let mdhd = |out: &mut BytesMut| {
                write_full_box(out, *b"mdhd", 1, 0, |out| {
                    put_u32s(out, &[0, 0, 0, 0]); // times of creation and change
                    out.put_u32(self.clock_rate);
                    out.put_u64((self.clock - self.begin).max(0) as u64);
                    out.put_u16(LANGUAGE_UNDETERMINED);
                    out.put_u16(0);
                });
            };
            write_mdia(out, self.kind, mdhd, |out| self.write_tables(media_at, out));
        });
    }

    /// Shows the track from the start of the range on; what begins later has nothing before it.
    fn write_edits(&self, lead_micros: i64, duration_ms: i64, out: &mut BytesMut) {
        let lead = Timestamp::new(lead_micros, 1_000_000).rescale(self.clock_rate) - self.begin;
        let late_ms = if lead < 0 {
            Timestamp::new(-lead, self.clock_rate).as_millis()
        } else {
            0
        };
        write_box(out, *b"edts", |out| {
            write_full_box(out, *b"elst", 1, 0, |out| {
                out.put_u32(if late_ms > 0 { 2 } else { 1 });
                if late_ms > 0 {
                    out.put_u64(late_ms as u64);
                    out.put_i64(-1);
                    out.put_u32(0x1_0000);
                }
                out.put_u64((duration_ms - late_ms).max(0) as u64);
                out.put_i64(lead.max(0));
                out.put_u32(0x1_0000);
            });
        });
    }

    fn write_tables(&self, media_at: u64, out: &mut BytesMut) {
        write_full_box(out, *b"stsd", 0, 0, |out| {
            out.put_u32(self.descriptions.len() as u32);
            for track in &self.descriptions {
                write_sample_entry(out, &track.codec);
            }
        });
        write_full_box(out, *b"stts", 0, 0, |out| {
            out.put_u32(self.durations.len() as u32);
            for (count, duration) in &self.durations {
                put_u32s(out, &[*count, *duration]);
            }
        });
        if self.offsets.iter().any(|(_, offset)| *offset != 0) {
            write_full_box(out, *b"ctts", 1, 0, |out| {
                out.put_u32(self.offsets.len() as u32);
                for (count, offset) in &self.offsets {
                    out.put_u32(*count);
                    out.put_i32(*offset);
                }
            });
        }
        if self.keyframes.len() < self.sizes.len() {
            write_full_box(out, *b"stss", 0, 0, |out| {
                out.put_u32(self.keyframes.len() as u32);
                put_u32s(out, &self.keyframes);
            });
        }
        write_full_box(out, *b"stsc", 0, 0, |out| {
            let count = out.len();
            out.put_u32(0);
            let (mut entries, mut last) = (0_u32, None);
            for (number, chunk) in (1_u32..).zip(&self.chunks) {
                let now = Some((chunk.samples, chunk.description));
                if now != last {
                    put_u32s(out, &[number, chunk.samples, chunk.description]);
                    entries += 1;
                    last = now;
                }
            }
            out[count..count + 4].copy_from_slice(&entries.to_be_bytes());
        });
        write_full_box(out, *b"stsz", 0, 0, |out| {
            put_u32s(out, &[0, self.sizes.len() as u32]);
            put_u32s(out, &self.sizes);
        });
        write_full_box(out, *b"co64", 0, 0, |out| {
            out.put_u32(self.chunks.len() as u32);
            for chunk in &self.chunks {
                out.put_u64(media_at + chunk.offset);
            }
        });
    }
}

fn put_u32s(out: &mut BytesMut, values: &[u32]) {
    for value in values {
        out.put_u32(*value);
    }
}

#[cfg(test)]
mod tests;
