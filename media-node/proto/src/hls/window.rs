//! The newest segments of a stream, by their numbers.

use super::{Entry, Form, Init, InitVersion, Playlist, Segment};
use std::collections::VecDeque;

/// Holds the segments a playlist lists, and a few older ones for players that fetch late. Its
/// memory is bounded by their count and the largest size of a segment.
#[derive(Debug)]
pub struct Window {
    form: Form,
    listed: usize,
    retained: usize,
    /// Oldest first, numbers growing.
    segments: VecDeque<Stored>,
    /// Discontinuities among the segments that are gone.
    discontinuities_gone: u64,
}

#[derive(Debug)]
struct Stored {
    segment: Segment,
    program_date_time_ms: Option<i64>,
}

impl Window {
    /// Lists up to `listed` segments, at least 1, and keeps `older` more.
    pub fn new(form: Form, listed: usize, older: usize) -> Self {
        let listed = listed.max(1);
        let segments = VecDeque::with_capacity(listed + older);
        Self {
            form,
            listed,
            retained: listed + older,
            segments,
            discontinuities_gone: 0,
        }
    }

    pub const fn form(&self) -> Form {
        self.form
    }

    /// Takes the next segment; `program_date_time_ms` as in [`Entry`].
    ///
    /// After a relay has reconnected, a segment comes again: one that is here is left as it is, unless
    /// it was cut off by the loss and now comes whole. One with an older number starts the window anew.
    pub fn push(&mut self, segment: Segment, program_date_time_ms: Option<i64>) {
        let mut known = self.segments.iter_mut().map(|stored| &mut stored.segment);
        if let Some(known) = known.find(|known| known.number == segment.number) {
            if segment.duration > known.duration {
                // Nothing is missing before it: it begins as the part did.
                let discontinuity = known.discontinuity;
                *known = Segment {
                    discontinuity,
                    ..segment
                };
            }
            return;
        }
        if self
            .segments
            .back()
            .is_some_and(|last| last.segment.number > segment.number)
        {
            self.keep(0);
        }
        self.segments.push_back(Stored {
            segment,
            program_date_time_ms,
        });
        self.keep(self.retained);
    }

    fn keep(&mut self, count: usize) {
        let gone = self.segments.len().saturating_sub(count);
        let gone = self
            .segments
            .drain(..gone)
            .filter(|stored| stored.segment.discontinuity);
        self.discontinuities_gone += gone.count() as u64;
    }

    pub fn segment(&self, number: u64) -> Option<&Segment> {
        self.segments
            .iter()
            .map(|stored| &stored.segment)
            .find(|segment| segment.number == number)
    }

    pub fn init(&self, version: InitVersion) -> Option<&Init> {
        self.segments
            .iter()
            .rev()
            .filter_map(|s| s.segment.init.as_ref())
            .find(|init| init.version == version)
    }

    /// What is to be listed now: the newest segments, as far back as their numbers have no gap,
    /// because players count on from the first number. Empty before the first segment.
    pub fn playlist(&self) -> Playlist {
        let newest = self.segments.back().map_or(0, |stored| stored.segment.number);
        let without_gap = |(age, stored): &(u64, &Stored)| stored.segment.number + age == newest;
        let newest_first = (0..).zip(self.segments.iter().rev()).take(self.listed);
        let first = self.segments.len() - newest_first.take_while(without_gap).count();
        let before = self
            .segments
            .range(..first)
            .filter(|stored| stored.segment.discontinuity);
        let discontinuity_sequence = self.discontinuities_gone + before.count() as u64;
        let entries = self.segments.range(first..).map(
            |Stored {
                 segment,
                 program_date_time_ms,
             }| Entry {
                number: segment.number,
                duration: segment.duration,
                discontinuity: segment.discontinuity,
                init: segment.init.as_ref().map(|init| init.version),
                program_date_time_ms: *program_date_time_ms,
            },
        );
        Playlist {
            form: self.form,
            entries: entries.collect(),
            discontinuity_sequence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Timestamp;
    use bytes::Bytes;
    use std::time::Duration;

    fn segment(number: u64, discontinuity: bool) -> Segment {
        Segment {
            number,
            start: Timestamp::from_millis(0),
            duration: Duration::from_secs(2),
            discontinuity,
            init: Some(Init::new(Bytes::copy_from_slice(&(number / 4).to_be_bytes()))),
            bytes: Bytes::new(),
        }
    }

    fn numbers(window: &Window) -> Vec<u64> {
        window.playlist().entries.iter().map(|e| e.number).collect()
    }

    #[test]
    fn lists_the_newest_and_keeps_a_few_older() {
        let mut window = Window::new(Form::Ts, 3, 2);
        assert_eq!(numbers(&window), [0; 0]);
        for number in 10..20 {
            window.push(segment(number, false), None);
        }
        assert_eq!(numbers(&window), [17, 18, 19]);
        assert!(window.segment(15).is_some() && window.segment(14).is_none() && window.segment(20).is_none());
    }

    #[test]
    fn init_segments_stay_as_long_as_their_segments() {
        let mut window = Window::new(Form::Fmp4, 2, 1);
        let old = segment(3, false).init.unwrap().version;
        for number in 3..=5 {
            window.push(segment(number, false), None);
        }
        assert!(window.init(old).is_some());
        window.push(segment(6, false), None);
        assert!(window.init(old).is_none());
    }

    #[test]
    fn a_gap_in_the_numbers_hides_what_is_before_it() {
        let mut window = Window::new(Form::Ts, 3, 3);
        for number in [5, 6, 8] {
            window.push(segment(number, number == 8), None);
        }
        assert_eq!(numbers(&window), [8]);
        assert!(window.segment(6).is_some());
        window.push(segment(9, false), None);
        assert_eq!(numbers(&window), [8, 9]);
    }

    #[test]
    fn discontinuities_that_left_the_list_are_counted() {
        let mut window = Window::new(Form::Ts, 2, 1);
        let mut counts = Vec::new();
        for number in 1..=6 {
            window.push(segment(number, number % 2 == 0), None);
            counts.push(window.playlist().discontinuity_sequence);
        }
        assert_eq!(counts, [0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn repeated_segments_are_ignored_and_older_numbers_start_anew() {
        let mut window = Window::new(Form::Ts, 3, 1);
        for number in [5, 6, 6, 5, 7] {
            window.push(segment(number, false), Some(1));
        }
        assert_eq!(numbers(&window), [5, 6, 7]);
        window.push(segment(2, true), None);
        assert_eq!(numbers(&window), [2]);
        assert!(window.segment(7).is_none());
    }

    #[test]
    fn a_whole_segment_takes_the_place_of_its_part() {
        let part = |number, ms, bytes| Segment {
            duration: Duration::from_millis(ms),
            bytes: Bytes::from_static(bytes),
            ..segment(number, false)
        };
        let mut window = Window::new(Form::Ts, 3, 1);
        window.push(part(5, 2000, b"five"), None);
        window.push(part(6, 700, b"si"), Some(1));
        let again = Segment {
            discontinuity: true,
            ..part(6, 2000, b"six")
        };
        window.push(again, Some(2));
        window.push(part(6, 900, b"si"), None);
        let entry = &window.playlist().entries[1];
        assert_eq!(entry.duration, Duration::from_secs(2));
        assert_eq!(
            (entry.discontinuity, entry.program_date_time_ms),
            (false, Some(1))
        );
        assert_eq!(window.segment(6).unwrap().bytes, "six");
    }
}
