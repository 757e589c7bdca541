//! From access units to the parts of segments (low-latency HLS, RFC 8216bis section 4.4.4.9).

use super::Init;
use super::fragmenter::{Fragmenter, main_track};
use super::pace::Pace;
use crate::media::{AccessUnit, Codec, SegmentStart, Timestamp, TrackKind, Tracks};
use bytes::Bytes;
use std::time::Duration;
use tracing::debug;

/// A segment that grows beyond is given up, and what follows it up to the next number.
const MAX_SEGMENT_BYTES: usize = 64 << 20;

/// A part of a segment: one fragment. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Up to the next part's start, in decoding time.
    pub duration: Duration,
    /// Decoding can start in it.
    pub independent: bool,
    /// Nothing is missing between its pictures, so that its duration says how long parts are.
    pub regular: bool,
    pub bytes: Bytes,
}

/// What comes of access units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A segment begins.
    Opened {
        /// The owner's number for it, the same on every edge.
        number: u64,
        /// Presentation time of its first keyframe.
        start: Timestamp,
        /// Of its era, where that is known: the number of discontinuities up to here.
        era: u64,
        /// Whether times break off, or parameters change. That something is missing before it is told by
        /// its number.
        discontinuity: bool,
        init: Init,
    },
    /// A part is whole; `index` counts those of the segment from 0.
    Part { number: u64, index: u32, part: Part },
    /// The segment's last part has come.
    Closed { number: u64 },
}

/// Cuts one stream into parts.
///
/// A part ends with the access unit that comes before the one nearest to the target duration after the
/// part's start, in decoding time, and at the segment's end. So its duration is exact when it is told,
/// and nothing is decided by anything but the access units of its own segment: every edge that has a
/// segment from its start cuts the same parts. One that begins within a segment waits for the next.
#[derive(Debug)]
pub struct PartCutter {
    target_micros: i64,
    /// All tracks of the stream.
    tracks: Tracks,
    /// The number, among those that are carried, of each.
    carried: Vec<Option<u8>>,
    main_track: u8,
    fragmenter: Fragmenter,
    current: Option<Current>,
    /// The number and last decoding time of the segment before.
    last: Option<(u64, Timestamp)>,
    /// The number of a segment that began with what is not carried: it begins here with what is.
    begun: Option<SegmentStart>,
    /// The parameters have changed.
    broken: bool,
}

/// The segment in hand, and its part in hand.
#[derive(Debug)]
struct Current {
    number: u64,
    index: u32,
    part_start: Timestamp,
    last_dts: Timestamp,
    independent: bool,
    longest_step_micros: i64,
    pace: Pace,
    /// Of the segment.
    bytes: usize,
}

impl PartCutter {
    pub fn new(target: Duration, tracks: &Tracks) -> Self {
        let (carried, kept) = carried(tracks);
        Self {
            target_micros: target.as_micros() as i64,
            tracks: tracks.clone(),
            carried,
            main_track: main_track(&kept),
            fragmenter: Fragmenter::new(&kept),
            current: None,
            last: None,
            begun: None,
            broken: false,
        }
    }

    /// New parameters, from the next access unit on. What there is of the segment is finished, and the
    /// next has a discontinuity.
    pub fn set_tracks(&mut self, tracks: &Tracks) -> Vec<Cut> {
        let mut cuts = Vec::new();
        if *tracks == self.tracks {
            return cuts;
        }
        self.close(None, &mut cuts);
        let target = Duration::from_micros(self.target_micros as u64);
        let last = self.last;
        *self = Self::new(target, tracks);
        self.last = last;
        self.broken = true;
        cuts
    }

    /// Takes an access unit; returns what it completes and begins, most often nothing.
    pub fn push(&mut self, au: &AccessUnit) -> Vec<Cut> {
        let mut cuts = Vec::new();
        self.begun = au.segment.or(self.begun);
        let Some(Some(track)) = self.carried.get(usize::from(au.track)).copied() else {
            return cuts;
        };
        let mut au = AccessUnit { track, ..au.clone() };
        if au.keyframe && au.track == self.main_track {
            au.segment = self.begun.take();
        }
        if let Some(segment) = au.segment {
            self.close(Some(au.dts), &mut cuts);
            self.open(segment, &au, &mut cuts);
        } else if au.track == self.main_track {
            self.step(&au, &mut cuts);
        }
        let Some(current) = &mut self.current else {
            return cuts;
        };
        current.bytes += au.data.len();
        if current.bytes > MAX_SEGMENT_BYTES {
            let (segment, bytes) = (current.number, current.bytes);
            debug!(segment, bytes, "segment too large, given up");
            self.lose();
            return cuts;
        }
        current.independent |= au.keyframe && au.track == self.main_track;
        self.fragmenter.push(&au);
        cuts
    }

    /// Some access units are missing, or the stream has ended: there will be no more of the segment,
    /// unless it comes again from its start.
    pub fn lose(&mut self) {
        self.current = None;
        self.begun = None;
        self.fragmenter.clear();
    }

    fn open(&mut self, segment: SegmentStart, au: &AccessUnit, cuts: &mut Vec<Cut>) {
        let SegmentStart {
            number,
            era,
            opens_era,
        } = segment;
        let goes_back = self
            .last
            .is_some_and(|(_, dts)| au.dts.as_micros() < dts.as_micros());
        let broken = std::mem::take(&mut self.broken);
        // Of an owner that knows eras, all edges tell the same.
        let discontinuity = if era > 0 { opens_era } else { broken };
        cuts.push(Cut::Opened {
            number,
            start: au.pts,
            era,
            discontinuity: discontinuity || goes_back,
            init: self.fragmenter.init().clone(),
        });
        self.current = Some(Current {
            number,
            index: 0,
            part_start: au.dts,
            last_dts: au.dts,
            independent: false,
            longest_step_micros: 0,
            pace: Pace::default(),
            bytes: 0,
        });
    }

    /// An access unit of the main track within the segment.
    fn step(&mut self, au: &AccessUnit, cuts: &mut Vec<Cut>) {
        let Some(current) = &mut self.current else { return };
        let step = (au.dts.as_micros() - current.last_dts.as_micros()).max(0);
        current.pace.note(step);
        current.longest_step_micros = current.longest_step_micros.max(step);
        current.last_dts = au.dts;
        let since = au.dts.as_micros() - current.part_start.as_micros();
        if since > 0 && since + current.pace.micros() / 2 >= self.target_micros {
            self.cut(au.dts, cuts);
        }
    }

    /// Ends the part before `end`, where the next begins.
    fn cut(&mut self, end: Timestamp, cuts: &mut Vec<Cut>) {
        let Some(current) = &mut self.current else { return };
        // Grows by one a part, and wraps; a segment has fewer parts than that.
        let sequence_number = (current.number as u32)
            .wrapping_mul(512)
            .wrapping_add(current.index);
        let part = Part {
            duration: end.since(current.part_start),
            independent: std::mem::take(&mut current.independent),
            regular: current.longest_step_micros <= 3 * current.pace.micros(),
            bytes: self.fragmenter.finish(sequence_number, end),
        };
        let (number, index) = (current.number, current.index);
        cuts.push(Cut::Part { number, index, part });
        current.index += 1;
        current.part_start = end;
        current.longest_step_micros = 0;
    }

    /// Ends the segment; `next` is when the next one's first access unit is decoded, if it is known.
    fn close(&mut self, next: Option<Timestamp>, cuts: &mut Vec<Cut>) {
        let Some(current) = &mut self.current else { return };
        let last = current.last_dts;
        let next = next.filter(|next| next.as_micros() > last.as_micros());
        if let Some(next) = next {
            let step = next.as_micros() - last.as_micros();
            current.longest_step_micros = current.longest_step_micros.max(step);
        }
        // The last picture lasts as long as others do.
        let usual = Timestamp::new(current.pace.micros().max(1000), 1_000_000).rescale(last.clock_rate());
        let number = current.number;
        self.last = Some((number, last));
        self.cut(next.unwrap_or(last.offset(usual)), cuts);
        cuts.push(Cut::Closed { number });
        self.current = None;
    }
}

/// Those that players of fragmented MP4 take: the first of H.264 or H.265 and the first of AAC.
fn carried(tracks: &Tracks) -> (Vec<Option<u8>>, Tracks) {
    let mut kept = Vec::new();
    let mut seen: Vec<TrackKind> = Vec::new();
    let numbers = tracks.iter().map(|track| {
        let takes = matches!(track.codec.codec(), Codec::H264 | Codec::H265 | Codec::Aac);
        if !takes || seen.contains(&track.kind()) {
            return None;
        }
        seen.push(track.kind());
        kept.push(track.clone());
        Some(kept.len() as u8 - 1)
    });
    let numbers = numbers.collect();
    (numbers, Tracks::new(kept))
}

#[cfg(test)]
mod tests;
