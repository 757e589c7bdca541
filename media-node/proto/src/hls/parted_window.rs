//! The newest segments of a stream with their parts, by their numbers.

use super::{Awaited, Cut, Init, InitVersion, Part, PartPosition, PartedEntry, PartedPlaylist};
use crate::media::Timestamp;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;
use tracing::debug;

/// Parts are listed this many target durations back (RFC 8216bis section 6.2.2).
const PARTS_LISTED_TARGETS: u32 = 3;
/// Segments ahead of the last that may be waited for (section 6.2.5.2).
const MOST_AHEAD: u64 = 2;
/// Parts ahead of the newest that may be fetched: another gateway may be as much earlier.
const PARTS_AHEAD: u32 = 1;
/// From one part target that may be told down to the next, in thousandths: all parts are to be at least 85 % of
/// it (section 4.4.4.9).
const RUNG: u64 = 860;
/// How much longer than it is meant to be a part may be, in thousandths, without another target.
const SLACK: u64 = 1050;
/// A segment ends with the first keyframe after what it is meant to last: with keyframes no further apart than
/// that, it lasts less than so many times as long.
const SEGMENTS_IN_TARGET: u32 = 2;
/// Whole segments in a playlist last as long as so many target durations together (section 6.2.2),
const LISTED_TARGETS: u32 = 3;
/// but there are no more than so many times as many of them as are listed at least.
const MOST_LISTED: usize = 3;

/// Holds the segments that a playlist lists, and a few older ones for players that fetch late. Its
/// memory is bounded by their count and the largest size of a segment.
///
/// What a playlist tells depends on what is in the window and on how this was made, and on nothing that was
/// before: two gateways that began at other times tell the same of the same segments.
#[derive(Debug)]
pub struct PartedWindow {
    listed: usize,
    older: usize,
    /// Oldest first, numbers growing. All but the last are whole.
    segments: VecDeque<Stored>,
    target_seconds: u64,
    wanted_segment: Duration,
    wanted_part: Duration,
}

#[derive(Debug)]
struct Stored {
    number: u64,
    start: Timestamp,
    era: u64,
    discontinuity: bool,
    init: Init,
    program_date_time_ms: Option<i64>,
    parts: Vec<Part>,
    /// All parts behind each other, once all are there.
    whole: Option<Bytes>,
}

/// Something that a player asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Here(Bytes),
    /// It will come soon, unless the stream breaks off.
    Coming,
    Absent,
}

/// Whether a playlist that must hold something can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    Wait,
    /// Nobody can know of that yet.
    TooFarAhead,
}

impl PartedWindow {
    /// Lists `listed` whole segments, at least 1, and more of short ones; keeps `older` more. `segment` and
    /// `part` are how long they are meant to be.
    pub fn new(listed: usize, older: usize, segment: Duration, part: Duration) -> Self {
        Self {
            listed: listed.max(1),
            older,
            segments: VecDeque::new(),
            target_seconds: rounded_seconds(SEGMENTS_IN_TARGET * segment).max(1),
            wanted_segment: segment,
            wanted_part: part,
        }
    }

    /// Takes what the cutter has cut.
    ///
    /// After a relay has reconnected, a segment comes again from its start: parts that are here stay as
    /// they are, and what was missing is added. A segment that was cut off and doesn't come again goes.
    /// One with an older number starts the window anew.
    pub fn take(&mut self, cut: Cut) {
        match cut {
            Cut::Opened {
                number,
                start,
                era,
                discontinuity,
                init,
            } => {
                if self.segments.iter().any(|s| s.number == number) {
                    return;
                }
                if self.segments.back().is_some_and(|last| last.number > number) {
                    self.keep(0);
                }
                self.segments.pop_back_if(|last| last.whole.is_none());
                self.segments.push_back(Stored {
                    number,
                    start,
                    era,
                    discontinuity,
                    init,
                    program_date_time_ms: None,
                    parts: Vec::new(),
                    whole: None,
                });
                self.keep(self.listed_whole() + self.older + 1);
            }
            Cut::Part { number, index, part } => {
                let segment = self.segments.back_mut().filter(|s| s.number == number);
                let Some(segment) = segment.filter(|s| s.is_next(index)) else {
                    return;
                };
                segment.parts.push(part);
            }
            Cut::Closed { number } => {
                let segment = self.segments.back_mut().filter(|s| s.number == number);
                let Some(segment) = segment.filter(|s| s.whole.is_none()) else {
                    return;
                };
                segment.close();
                // The target must not change (section 6.2.1), and no segment be longer. Only a camera whose
                // keyframes are so far apart makes a player bear the first.
                let seconds = rounded_seconds(segment.duration());
                if seconds > self.target_seconds {
                    debug!(
                        number,
                        seconds,
                        told = self.target_seconds,
                        "a segment is longer than was told"
                    );
                    self.target_seconds = seconds;
                }
            }
        }
    }

    /// Gives segments that have none their time, in ms since 1970.
    pub fn settle(&mut self, millis: impl Fn(Timestamp) -> Option<i64>) {
        let undated = |s: &&mut Stored| s.program_date_time_ms.is_none();
        for segment in self.segments.iter_mut().rev().take_while(undated) {
            segment.program_date_time_ms = millis(segment.start);
        }
    }

    fn keep(&mut self, count: usize) {
        let gone = self.segments.len().saturating_sub(count);
        self.segments.drain(..gone);
    }

    pub fn target(&self) -> Duration {
        Duration::from_secs(self.target_seconds)
    }

    pub fn init(&self, version: InitVersion) -> Option<&Init> {
        let mut inits = self.segments.iter().rev().map(|s| &s.init);
        inits.find(|init| init.version == version)
    }

    pub fn part(&self, wanted: PartPosition) -> Lookup {
        let PartPosition { number, index } = wanted;
        if let Some(segment) = self.segments.iter().find(|s| s.number == number) {
            let count = segment.parts.len() as u32;
            return match segment.parts.get(index as usize) {
                Some(part) => Lookup::Here(part.bytes.clone()),
                None if segment.whole.is_none() && index - count <= PARTS_AHEAD => Lookup::Coming,
                None => Lookup::Absent,
            };
        }
        self.is_next(number, index <= PARTS_AHEAD)
    }

    /// A whole segment.
    pub fn segment(&self, number: u64) -> Lookup {
        match self.segments.iter().find(|s| s.number == number) {
            Some(segment) => segment.whole.clone().map_or(Lookup::Coming, Lookup::Here),
            None => self.is_next(number, true),
        }
    }

    /// Of a segment that has not begun.
    fn is_next(&self, number: u64, early: bool) -> Lookup {
        let newest = self.segments.back().map(|s| s.number);
        if early && newest.is_none_or(|newest| newest.checked_add(1) == Some(number)) {
            Lookup::Coming
        } else {
            Lookup::Absent
        }
    }

    /// Whether the playlist holds what is awaited, or something later.
    pub fn readiness(&self, awaited: Awaited) -> Readiness {
        let Awaited { number, index } = awaited;
        let Some(newest) = self.segments.back() else {
            return Readiness::Wait;
        };
        // The last that stands in the playlist as a segment.
        let last = newest.number - u64::from(newest.whole.is_none() && newest.number > 0);
        if number > last.saturating_add(MOST_AHEAD) {
            return Readiness::TooFarAhead;
        }
        let Some(index) = index else {
            return ready(number <= last);
        };
        // What lies behind a segment's last part is the first of the next.
        let of = |number: u64| self.segments.iter().find(|s| s.number == number);
        let (number, index) = match of(number) {
            Some(s) if s.whole.is_some() && index as usize >= s.parts.len() => (number.saturating_add(1), 0),
            _ => (number, index),
        };
        let listed = match of(number) {
            Some(segment) => segment.parts.len(),
            None if number < newest.number => return Readiness::Ready,
            None => 0,
        };
        let target = self.part_target().as_secs_f64();
        let limit = if target < 1.0 { (3.0 / target) as u64 } else { 3 };
        match u64::from(index) {
            index if index < listed as u64 => Readiness::Ready,
            index if index >= listed as u64 + limit => Readiness::TooFarAhead,
            _ => Readiness::Wait,
        }
    }

    /// None before the first part.
    pub fn playlist(&self) -> Option<PartedPlaylist> {
        let newest = self.segments.back()?;
        let hint = if newest.whole.is_some() {
            PartPosition {
                number: newest.number + 1,
                index: 0,
            }
        } else {
            PartPosition {
                number: newest.number,
                index: newest.parts.len() as u32,
            }
        };
        let shown = self.shown();
        let parts_reach = PARTS_LISTED_TARGETS * self.target();
        let mut from_end = Duration::ZERO;
        let mut entries = Vec::with_capacity(self.listed + 1);
        for segment in self.segments.range(shown.clone()).rev() {
            let with_parts = segment.whole.is_none() || from_end < parts_reach;
            from_end += segment.duration();
            entries.push(segment.entry(with_parts));
        }
        if let [open] = &entries[..]
            && let Some(gap) = self.gap_before(open)
        {
            entries.push(gap);
        }
        entries.reverse();
        // That of a segment counts its own discontinuity too (section 4.4.3.3).
        let first = self.segments.range(shown).next();
        let discontinuity_sequence = first.map_or(0, |s| s.era.saturating_sub(u64::from(s.discontinuity)));
        (!entries.is_empty()).then(|| PartedPlaylist {
            target_seconds: self.target_seconds,
            part_target: self.part_target(),
            discontinuity_sequence,
            segments: entries,
            hint,
        })
    }

    /// What stands before a segment that is the only one and not whole yet, because several players take
    /// a playlist without a single segment for empty.
    fn gap_before(&self, open: &PartedEntry) -> Option<PartedEntry> {
        let number = open.number.checked_sub(1)?;
        open.duration.is_none().then(|| PartedEntry {
            number,
            duration: Some(self.wanted_segment),
            gap: true,
            discontinuity: false,
            init: open.init,
            program_date_time_ms: None,
            parts: Vec::new(),
        })
    }

    /// Which segments are listed: the newest, as far back as neither their numbers nor those of their
    /// discontinuities have a gap.
    fn shown(&self) -> std::ops::Range<usize> {
        let open = self.segments.back().is_some_and(|s| s.whole.is_none());
        let most = self.listed_whole() + usize::from(open);
        let newest_first = self.segments.iter().rev();
        let pairs = newest_first.clone().zip(newest_first.skip(1));
        let going_on = pairs.take_while(|(later, before)| later.follows(before));
        let count = self.segments.len().min(1 + going_on.count()).min(most);
        let first = self.segments.len() - count;
        let empty = self.segments.back().is_some_and(|s| s.parts.is_empty());
        first..self.segments.len() - usize::from(empty)
    }

    /// No less than any part that lies within: a playlist may list them all (section 4.4.3.7). One with a
    /// pause of the stream in it is the exception, as no target would hold it. It is one of a ladder, each
    /// rung of which holds all parts down to the next: so times that jitter don't change it, and neither does
    /// it matter which of them are in the window.
    fn part_target(&self) -> Duration {
        let parts = self.segments.iter().flat_map(|segment| &segment.parts);
        let longest = parts.filter(|part| part.regular).map(|part| part.duration).max();
        rung(self.wanted_part, longest.unwrap_or(self.wanted_part))
    }

    /// How many whole segments a playlist lists, if there are as many.
    fn listed_whole(&self) -> usize {
        let mut left = LISTED_TARGETS * self.target();
        let whole = self.segments.iter().rev().filter(|s| s.whole.is_some());
        let count = whole
            .take_while(|segment| {
                let is_needed = !left.is_zero();
                left = left.saturating_sub(segment.duration());
                is_needed
            })
            .count();
        count.clamp(self.listed, MOST_LISTED * self.listed)
    }
}

impl Stored {
    /// Whether a playlist may list it right behind `before`.
    fn follows(&self, before: &Self) -> bool {
        let era = before.era + u64::from(self.discontinuity);
        // Within an era, times that went back are a discontinuity that was not counted.
        before.number.checked_add(1) == Some(self.number) && (self.era == era || self.era == before.era)
    }

    fn is_next(&self, index: u32) -> bool {
        self.whole.is_none() && index as usize == self.parts.len()
    }

    fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).sum()
    }

    /// The parts lie in the segment from now on, so that they take no memory of their own.
    fn close(&mut self) {
        let mut all = BytesMut::with_capacity(self.parts.iter().map(|p| p.bytes.len()).sum());
        for part in &self.parts {
            all.extend_from_slice(&part.bytes);
        }
        let all = all.freeze();
        let mut at = 0;
        for part in &mut self.parts {
            let end = at + part.bytes.len();
            part.bytes = all.slice(at..end);
            at = end;
        }
        self.whole = Some(all);
    }

    fn entry(&self, with_parts: bool) -> PartedEntry {
        let parts = if with_parts { &self.parts[..] } else { &[] };
        PartedEntry {
            number: self.number,
            duration: self.whole.is_some().then(|| self.duration()),
            gap: false,
            discontinuity: self.discontinuity,
            init: self.init.version,
            program_date_time_ms: self.program_date_time_ms,
            parts: parts.iter().map(|p| (p.duration, p.independent)).collect(),
        }
    }
}

fn ready(is_ready: bool) -> Readiness {
    if is_ready {
        Readiness::Ready
    } else {
        Readiness::Wait
    }
}

fn rounded_seconds(duration: Duration) -> u64 {
    (duration + Duration::from_millis(500)).as_secs()
}

/// The lowest rung that holds `longest`, of a ladder with one a little above `wanted`.
fn rung(wanted: Duration, longest: Duration) -> Duration {
    let micros = |duration: Duration| duration.as_micros().clamp(1000, 60_000_000) as u64;
    let longest = micros(longest);
    let mut rung = micros(wanted) * SLACK / 1000;
    while rung < longest {
        rung = rung * 1000 / RUNG;
    }
    while rung * RUNG / 1000 >= longest {
        rung = rung * RUNG / 1000;
    }
    Duration::from_millis(rung.div_ceil(1000))
}

#[cfg(test)]
mod tests;
