//! The newest segments of a stream with their parts, by their numbers.

use super::{Awaited, Cut, Init, InitVersion, Part, PartPosition, PartedEntry, PartedPlaylist};
use crate::media::Timestamp;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;

/// Parts are listed this many target durations back (RFC 8216bis section 6.2.2).
const PARTS_LISTED_TARGETS: u32 = 3;
/// Segments ahead of the last that may be waited for (section 6.2.5.2).
const MOST_AHEAD: u64 = 2;
/// Parts ahead of the newest that may be fetched: another gateway may be as much earlier.
const PARTS_AHEAD: u32 = 1;
/// What the part target is rounded up to, so that times which jitter don't change it each time.
const STEP_MS: u64 = 10;

/// Holds the segments that a playlist lists, and a few older ones for players that fetch late. Its
/// memory is bounded by their count and the largest size of a segment.
#[derive(Debug)]
pub struct PartedWindow {
    listed: usize,
    retained: usize,
    /// Oldest first, numbers growing. All but the last are whole.
    segments: VecDeque<Stored>,
    /// Discontinuities among the segments that are gone.
    discontinuities_gone: u64,
    target_seconds: u64,
    wanted_part: Duration,
    /// The longest part, rounded up; none before a part is certain not to be its segment's last.
    part_target: Option<Duration>,
}

#[derive(Debug)]
struct Stored {
    number: u64,
    start: Timestamp,
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
    /// Lists up to `listed` whole segments, at least 1, and keeps `older` more. `segment` and `part` are
    /// how long they are meant to be.
    pub fn new(listed: usize, older: usize, segment: Duration, part: Duration) -> Self {
        let listed = listed.max(1);
        Self {
            listed,
            retained: listed + older,
            segments: VecDeque::new(),
            discontinuities_gone: 0,
            target_seconds: rounded_seconds(segment).max(1),
            wanted_part: part,
            part_target: None,
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
                discontinuity,
                init,
            } => {
                if self.segments.iter().any(|s| s.number == number) {
                    return;
                }
                if self.segments.back().is_some_and(|last| last.number > number) {
                    self.keep(0);
                }
                if let Some(cut_off) = self.segments.pop_back_if(|last| last.whole.is_none()) {
                    self.discontinuities_gone += u64::from(cut_off.discontinuity);
                }
                self.segments.push_back(Stored {
                    number,
                    start,
                    discontinuity,
                    init,
                    program_date_time_ms: None,
                    parts: Vec::new(),
                    whole: None,
                });
                self.keep(self.retained + 1);
            }
            Cut::Part { number, index, part } => {
                let segment = self.segments.back_mut().filter(|s| s.number == number);
                let Some(segment) = segment.filter(|s| s.is_next(index)) else {
                    return;
                };
                let before = segment.parts.last().cloned();
                segment.parts.push(part);
                if let Some(before) = before {
                    self.note_part(&before);
                }
            }
            Cut::Closed { number } => {
                let segment = self.segments.back_mut().filter(|s| s.number == number);
                let Some(segment) = segment.filter(|s| s.whole.is_none()) else {
                    return;
                };
                segment.close();
                let seconds = rounded_seconds(segment.duration());
                let longest = segment.longest_but_the_last();
                self.target_seconds = self.target_seconds.max(seconds);
                self.note_longest(longest);
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

    /// Between "at most this long" and "at least 85 % of it" (RFC 8216bis section 4.4.4.9) there must be
    /// room for all parts but the last of each segment.
    fn note_part(&mut self, part: &Part) {
        let is_longer = self.part_target.is_none_or(|target| part.duration > target);
        if part.regular && is_longer {
            self.part_target = Some(rounded_up(part.duration));
        }
    }

    /// Cameras change their frame rate at nightfall.
    fn note_longest(&mut self, longest: Option<Duration>) {
        if let (Some(longest), Some(target)) = (longest, self.part_target)
            && longest < target.mul_f64(0.85)
        {
            self.part_target = Some(rounded_up(longest));
        }
    }

    fn keep(&mut self, count: usize) {
        let gone = self.segments.len().saturating_sub(count);
        let gone = self.segments.drain(..gone).filter(|s| s.discontinuity);
        self.discontinuities_gone += gone.count() as u64;
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
        let before = self.segments.range(..shown.start).filter(|s| s.discontinuity);
        (!entries.is_empty()).then(|| PartedPlaylist {
            target_seconds: self.target_seconds,
            part_target: self.part_target(),
            discontinuity_sequence: self.discontinuities_gone + before.count() as u64,
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
            duration: Some(self.target()),
            gap: true,
            discontinuity: false,
            init: open.init,
            program_date_time_ms: None,
            parts: Vec::new(),
        })
    }

    /// Which segments are listed: the newest, as far back as their numbers have no gap.
    fn shown(&self) -> std::ops::Range<usize> {
        let newest = self.segments.back().map_or(0, |s| s.number);
        let without_gap = |(age, segment): &(u64, &Stored)| segment.number + age == newest;
        let newest_first = || (0..).zip(self.segments.iter().rev());
        let open = self.segments.back().is_some_and(|s| s.whole.is_none());
        let most = self.listed + usize::from(open);
        let first = self.segments.len() - newest_first().take(most).take_while(without_gap).count();
        let empty = self.segments.back().is_some_and(|s| s.parts.is_empty());
        first..self.segments.len() - usize::from(empty)
    }

    /// No less than any part that lies within: a playlist may list them all (section 4.4.3.7). One with a
    /// pause of the stream in it is the exception, as no target would hold it.
    fn part_target(&self) -> Duration {
        let target = self.part_target.unwrap_or_else(|| rounded_up(self.wanted_part));
        let parts = self.segments.iter().flat_map(|segment| &segment.parts);
        let longest = parts.filter(|part| part.regular).map(|part| part.duration).max();
        longest.map_or(target, |longest| target.max(rounded_up(longest)))
    }
}

impl Stored {
    fn is_next(&self, index: u32) -> bool {
        self.whole.is_none() && index as usize == self.parts.len()
    }

    fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).sum()
    }

    fn longest_but_the_last(&self) -> Option<Duration> {
        let (_, parts) = self.parts.split_last()?;
        parts.iter().filter(|p| p.regular).map(|p| p.duration).max()
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

fn rounded_up(duration: Duration) -> Duration {
    let steps = duration.as_micros().div_ceil(u128::from(STEP_MS) * 1000);
    Duration::from_millis(steps as u64 * STEP_MS)
}

#[cfg(test)]
mod tests;
