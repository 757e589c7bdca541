//! Reading back files that this module wrote: an init segment, fragments, and perhaps the trailing
//! [`table`]. Nothing is opened here: [`Scanner`] names the bytes it wants, which are
//! the boxes' headers and the `moof` boxes, and never the media itself.
//!
//! A file may end anywhere, as the process that wrote it may have been killed. What is damaged or cut
//! short ends the scan, and all before it counts: [`Scanned::whole_bytes`] says how far that is, and
//! [`Scanned::tail`] why the scan ended there. Only a file without a whole init segment is an error.
//!
//! Fragments of other writers (defaults in place of fields, several runs of a track, data outside of
//! the `mdat` box that follows) are taken for damage.

use super::{fragment::TRUN_FLAGS, table, track_id};
use crate::media::{Track, Tracks};
use crate::mp4::boxes::{Fields, Header, child, children, required};
use crate::mp4::{Error, FourCc, MAX_SAMPLES, g711_sample_entry, sample_entry};
use bytes::Bytes;
use std::ops::Range;

/// Larger `moov` and `moof` boxes are refused: one sample takes 16 bytes of a `moof`.
const MAX_HEAD_BYTES: u64 = 16 << 20;
/// Read at each box in one go: most `moof` boxes fit.
const PEEK_BYTES: u64 = 4096;

/// Times are signed elsewhere; half of the range is beyond any clock.
pub(super) const MOST_DECODE_TIME: u64 = i64::MAX as u64 / 2;

const FTYP: [u8; 4] = *b"ftyp";
const MOOV: [u8; 4] = *b"moov";
const MOOF: [u8; 4] = *b"moof";
const MDAT: [u8; 4] = *b"mdat";
const TRAF: [u8; 4] = *b"traf";
const TRUN: [u8; 4] = *b"trun";

/// What a file holds. Ranges and offsets are bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// `ftyp` and `moov`; starts at 0.
    pub init: Range<u64>,
    pub tracks: Tracks,
    /// In the order of the file.
    pub fragments: Vec<Fragment>,
    /// End of the last whole fragment, or of the init segment if there is none.
    pub whole_bytes: u64,
    /// The trailing table's box, where the file has one right behind the last fragment.
    pub table: Option<Range<u64>>,
    /// Why the scan ended before the end of the file; none where all of it was understood.
    pub tail: Option<Error>,
}

/// A `moof` and the `mdat` after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where the `moof` begins.
    pub offset: u64,
    /// Of both boxes.
    pub bytes: u64,
    /// What is in the `mdat`.
    pub payload: Range<u64>,
    /// One for each track that has samples here.
    pub runs: Vec<SampleRun>,
}

impl Fragment {
    /// Where the next fragment begins.
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }

    /// The samples of a track.
    pub fn run(&self, track: u8) -> Option<&SampleRun> {
        self.runs.iter().find(|run| run.track == track)
    }
}

/// The samples of one track in a fragment: they lie one behind the other in `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRun {
    /// The track's number in the stream.
    pub track: u8,
    /// Decoding time of the first sample, in ticks of the track's clock rate.
    pub base_decode_time: u64,
    /// In decoding order.
    pub samples: Vec<Sample>,
    /// Bytes of the file, within the fragment's payload.
    pub data: Range<u64>,
}

impl SampleRun {
    /// Sum of the samples' durations, in ticks.
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.duration)).sum()
    }

    /// Decoding time of what follows the run, in ticks.
    pub fn end_decode_time(&self) -> u64 {
        self.base_decode_time.saturating_add(self.duration())
    }
}

/// One sample; times are in ticks of the track's clock rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// From its decoding time to the next sample's.
    pub duration: u32,
    /// Bytes.
    pub size: u32,
    /// Presentation time minus decoding time.
    pub composition_offset: i32,
    /// Decoding can start here; true for all samples of audio.
    pub keyframe: bool,
}

/// Scans a file that is in memory whole.
///
/// # Errors
/// When it has no whole init segment that this module could have written.
pub fn scan(file: &[u8]) -> Result<Scanned, Error> {
    let mut scanner = Scanner::new(file.len() as u64);
    while let Some(wanted) = scanner.wanted() {
        scanner.push(&file[wanted.start as usize..wanted.end as usize]);
    }
    scanner.finish()
}

/// Walks a file's boxes: read [`Self::wanted`] and [`Self::push`] it, until nothing is wanted; then
/// [`Self::finish`].
#[derive(Debug)]
pub struct Scanner {
    file_bytes: u64,
    /// Where the box that is looked at begins.
    at: u64,
    /// How many bytes of it to read.
    want: u64,
    found: Scanned,
    has_init: bool,
    /// A `moof` whose `mdat` comes next.
    moof: Option<Fragment>,
    samples: usize,
    done: bool,
}

impl Scanner {
    pub fn new(file_bytes: u64) -> Self {
        Self {
            file_bytes,
            at: 0,
            want: PEEK_BYTES,
            found: Scanned {
                init: 0..0,
                tracks: Tracks::default(),
                fragments: Vec::new(),
                whole_bytes: 0,
                table: None,
                tail: None,
            },
            has_init: false,
            moof: None,
            samples: 0,
            done: false,
        }
    }

    /// The bytes of the file to read next, 16 MiB at most; none when the scan is over.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let end = self.file_bytes.min(self.at.saturating_add(self.want));
        (!self.done && self.at < end).then_some(self.at..end)
    }

    /// Takes the bytes wanted. Fewer than wanted end the scan: the file is shorter than was said.
    pub fn push(&mut self, data: &[u8]) {
        if self.done {
            return;
        }
        if let Err(error) = self.look_at_box(data) {
            self.found.tail = Some(error);
            self.done = true;
        }
        if self.at >= self.file_bytes {
            self.done = true;
        }
    }

    /// What was found.
    ///
    /// # Errors
    /// When the file has no whole init segment that this module could have written.
    pub fn finish(self) -> Result<Scanned, Error> {
        if self.has_init {
            let mut found = self.found;
            if self.moof.is_some() && found.tail.is_none() {
                found.tail = Some(Error::Missing(FourCc(MDAT)));
            }
            Ok(found)
        } else {
            Err(self.found.tail.unwrap_or(Error::NoMoov))
        }
    }

    fn look_at_box(&mut self, data: &[u8]) -> Result<(), Error> {
        let left = self.file_bytes - self.at;
        let header = Header::parse(data)?.ok_or(Error::BeyondFile {
            kind: FourCc(*b"????"),
            offset: self.at,
        })?;
        let kind = header.kind;
        // Only others leave the size open; a hole full of zeros looks so, too.
        let size = header.size.ok_or(out_of_range(kind, "size", 0))?;
        if size > left {
            return Err(Error::BeyondFile {
                kind,
                offset: self.at,
            });
        }
        if self.found.table.is_some() || (self.moof.is_some() && kind.0 != MDAT) {
            return Err(out_of_range(kind, "place", self.at));
        }
        match kind.0 {
            MOOV | MOOF => {
                if size > MAX_HEAD_BYTES {
                    return Err(out_of_range(kind, "size", size));
                }
                let Some(whole) = data.get(..size as usize) else {
                    return self.ask_for(size, data.len());
                };
                let payload = Bytes::copy_from_slice(&whole[header.bytes as usize..]);
                if kind.0 == MOOV {
                    if self.has_init {
                        return Err(out_of_range(kind, "place", self.at));
                    }
                    self.found.tracks = tracks(&payload)?;
                    self.has_init = true;
                    self.found.init = 0..self.at + size;
                    self.found.whole_bytes = self.at + size;
                } else {
                    let fragment = self.fragment(&payload, size)?;
                    self.moof = Some(fragment);
                }
            }
            MDAT => {
                let fragment = self.moof.take().ok_or(Error::Missing(FourCc(MOOF)))?;
                let fragment = with_payload(fragment, self.at + header.bytes..self.at + size)?;
                self.found.whole_bytes = fragment.end();
                self.found.fragments.push(fragment);
            }
            // An init segment begins with it.
            FTYP if self.at == 0 => {}
            _ if !self.has_init => return Err(Error::NoMoov),
            _ => {
                let head = (size.min(table::HEAD_BYTES)) as usize;
                let Some(head) = data.get(..head) else {
                    return self.ask_for(head as u64, data.len());
                };
                if !table::is_table(head) {
                    return Err(out_of_range(kind, "place", self.at));
                }
                self.found.table = Some(self.at..self.at + size);
            }
        }
        self.at += size;
        self.want = PEEK_BYTES;
        Ok(())
    }

    /// Reads the box again, more of it.
    fn ask_for(&mut self, bytes: u64, had: usize) -> Result<(), Error> {
        if self.want >= bytes || (had as u64) < self.want.min(self.file_bytes - self.at) {
            // It was asked for and didn't come: the file has become shorter.
            return Err(Error::BeyondFile {
                kind: FourCc(*b"????"),
                offset: self.at,
            });
        }
        self.want = bytes;
        Ok(())
    }

    /// From the payload of a `moof` box of that size, at the current place.
    fn fragment(&mut self, moof: &Bytes, size: u64) -> Result<Fragment, Error> {
        if !self.has_init {
            return Err(Error::NoMoov);
        }
        let mut runs: Vec<SampleRun> = Vec::new();
        for found in children(FourCc(MOOF), moof) {
            let (kind, traf) = found?;
            if kind.0 != TRAF {
                continue;
            }
            let run = sample_run(&traf, self.at, &self.found.tracks)?;
            if runs.iter().any(|other| other.track == run.track) {
                return Err(out_of_range(kind, "track_ID", track_id(run.track).into()));
            }
            self.samples += run.samples.len();
            if self.samples > MAX_SAMPLES {
                return Err(out_of_range(FourCc(TRUN), "sample count", self.samples as u64));
            }
            runs.push(run);
        }
        Ok(Fragment {
            offset: self.at,
            bytes: size,
            payload: 0..0,
            runs,
        })
    }
}

/// Joins a `moof` with the payload of the `mdat` behind it.
fn with_payload(mut fragment: Fragment, payload: Range<u64>) -> Result<Fragment, Error> {
    for run in &fragment.runs {
        if run.data.start < payload.start || run.data.end > payload.end {
            return Err(out_of_range(FourCc(TRUN), "data_offset", run.data.start));
        }
    }
    fragment.bytes = payload.end - fragment.offset;
    fragment.payload = payload;
    Ok(fragment)
}

/// The tracks of a `moov` box's payload.
fn tracks(moov: &Bytes) -> Result<Tracks, Error> {
    let mut tracks = Vec::new();
    for found in children(FourCc(MOOV), moov) {
        let (kind, trak) = found?;
        if kind.0 != *b"trak" {
            continue;
        }
        let (mut tkhd, version) = Fields::full(*b"tkhd", required(kind, &trak, *b"tkhd")?)?;
        tkhd.skip(if version == 1 { 16 } else { 8 })?;
        let id = tkhd.u32()?;
        if u8::try_from(tracks.len()).map(track_id) != Ok(id) {
            return Err(tkhd.out_of_range("track_ID", id));
        }
        let mdia = required(kind, &trak, *b"mdia")?;
        let (mut mdhd, version) = Fields::full(*b"mdhd", required(FourCc(*b"mdia"), &mdia, *b"mdhd")?)?;
        mdhd.skip(if version == 1 { 16 } else { 8 })?;
        let clock_rate = mdhd.u32()?;
        if clock_rate == 0 {
            return Err(mdhd.out_of_range("timescale", clock_rate));
        }
        let minf = required(FourCc(*b"mdia"), &mdia, *b"minf")?;
        let stbl = required(FourCc(*b"minf"), &minf, *b"stbl")?;
        let stsd = required(FourCc(*b"stbl"), &stbl, *b"stsd")?;
        let codec = match sample_entry(stsd.clone())? {
            Ok((codec, _)) => codec,
            Err(kind) => g711_sample_entry(stsd)?.ok_or_else(|| Error::NoTracks(vec![kind]))?,
        };
        tracks.push(Track { codec, clock_rate });
    }
    if tracks.is_empty() {
        return Err(Error::NoTracks(Vec::new()));
    }
    if child(FourCc(MOOV), moov, *b"mvex")?.is_none() {
        return Err(Error::Missing(FourCc(*b"mvex")));
    }
    Ok(Tracks::new(tracks))
}

/// A `traf` box's payload; offsets in it count from `moof_at`.
fn sample_run(traf: &Bytes, moof_at: u64, tracks: &Tracks) -> Result<SampleRun, Error> {
    const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
    const NON_SYNC: u32 = 0x0001_0000;
    let kind = FourCc(TRAF);
    let mut tfhd = Fields::new(*b"tfhd", required(kind, traf, *b"tfhd")?);
    let flags = tfhd.u32()?;
    if flags != DEFAULT_BASE_IS_MOOF {
        return Err(tfhd.out_of_range("flags", flags));
    }
    let id = tfhd.u32()?;
    let track = id.checked_sub(1).and_then(|number| u8::try_from(number).ok());
    let track = track.filter(|number| tracks.get(*number).is_some());
    let track = track.ok_or_else(|| tfhd.out_of_range("track_ID", id))?;
    let (mut tfdt, version) = Fields::full(*b"tfdt", required(kind, traf, *b"tfdt")?)?;
    let base_decode_time = match version {
        1 => tfdt.u64()?,
        _ => u64::from(tfdt.u32()?),
    };
    if base_decode_time > MOST_DECODE_TIME {
        return Err(tfdt.out_of_range("baseMediaDecodeTime", base_decode_time));
    }
    let mut trun = Fields::new(TRUN, required(kind, traf, TRUN)?);
    let flags = trun.u32()?;
    if flags & 0x00ff_ffff != TRUN_FLAGS {
        return Err(trun.out_of_range("flags", flags));
    }
    let count = trun.u32()? as usize;
    let data_offset = trun.u32()?;
    let entries = count.checked_mul(16).ok_or(Error::Truncated(FourCc(TRUN)))?;
    let entries = trun.take(entries)?;
    let samples: Vec<Sample> = entries
        .chunks_exact(16)
        .map(|entry| {
            let word = |n: usize| {
                entry[4 * n..4 * n + 4]
                    .iter()
                    .fold(0, |v, b| v << 8 | u32::from(*b))
            };
            Sample {
                duration: word(0),
                size: word(1),
                keyframe: word(2) & NON_SYNC == 0,
                composition_offset: word(3) as i32,
            }
        })
        .collect();
    let start = moof_at + u64::from(data_offset);
    let bytes: u64 = samples.iter().map(|s| u64::from(s.size)).sum();
    Ok(SampleRun {
        track,
        base_decode_time,
        samples,
        data: start..start + bytes,
    })
}

const fn out_of_range(kind: FourCc, field: &'static str, value: u64) -> Error {
    Error::OutOfRange { kind, field, value }
}

#[cfg(test)]
mod tests;
