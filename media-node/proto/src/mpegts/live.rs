//! A transport stream without an end, which a viewer may join where it says so.

use super::Muxer;
use crate::media::{AccessUnit, Tracks};
use bytes::BytesMut;

/// Tables come again after this time at the latest, and before every keyframe.
const TABLES_90K: i64 = 45_000;
/// Clock references are at most this far apart (ITU-T H.222.0 section 2.7.2: 100 ms).
const CLOCK_90K: i64 = 9_000;
/// A longer time without access units is a jump of the clock, and is not filled with references.
const MOST_FILLED_90K: i64 = 180_000;
/// Sound without pictures gathers for this long, because its packets carry the clock.
const SOUND_90K: i64 = 6_000;

/// Writes a stream once for all its viewers: counters, tables and clock are the stream's.
#[derive(Debug)]
pub struct LiveMuxer {
    muxer: Muxer,
    /// The times of decoding at which tables and clock were told last.
    tables_90k: Option<i64>,
    clock_90k: Option<i64>,
    /// Without pictures: since when sound waits to be written.
    sound_90k: Option<i64>,
}

impl LiveMuxer {
    pub fn new(tracks: &Tracks) -> Self {
        Self {
            muxer: Muxer::new(tracks),
            tables_90k: None,
            clock_90k: None,
            sound_90k: None,
        }
    }

    /// Whether a transport stream has a place for any of the tracks.
    pub fn carries_any(tracks: &Tracks) -> bool {
        Muxer::new(tracks).carries_any()
    }

    /// Whether a viewer can begin with what [`Self::access_unit`] will write for this one: a keyframe
    /// behind the tables. For sound alone, whatever follows the tables.
    pub fn starts_at(&self, au: &AccessUnit) -> bool {
        let starts = if self.muxer.has_video() {
            au.keyframe
        } else {
            self.tables_are_due(au.dts.as_90k())
        };
        starts && self.is_clock(au)
    }

    /// Appends the sound that waits; to be called first where a viewer is to begin.
    pub fn flush(&mut self, out: &mut BytesMut) {
        if let Some(since) = self.sound_90k.take() {
            self.tell_clock(since, out);
        }
        self.muxer.end_segment(out);
    }

    /// Appends an access unit. Sound waits for the next picture, or for more of it.
    pub fn access_unit(&mut self, au: &AccessUnit, out: &mut BytesMut) {
        if !self.is_clock(au) {
            return self.muxer.access_unit(au, out);
        }
        let dts = au.dts.as_90k();
        let waits_enough = |since: i64| !(0..SOUND_90K).contains(&(dts - since));
        let starts = self.starts_at(au);
        if starts || self.muxer.has_video() || self.sound_90k.is_some_and(waits_enough) {
            self.flush(out);
        }
        if starts || self.tables_are_due(dts) {
            self.tables(dts, out);
        }
        if self.muxer.has_video() {
            self.tell_clock(dts, out);
        } else {
            self.sound_90k.get_or_insert(dts);
        }
        self.muxer.access_unit(au, out);
    }

    /// New parameters, from the next access unit on.
    pub fn set_tracks(&mut self, tracks: &Tracks, out: &mut BytesMut) {
        self.flush(out);
        self.muxer.set_tracks(tracks);
        self.tables_90k = None;
    }

    fn is_clock(&self, au: &AccessUnit) -> bool {
        self.muxer.clock_track() == Some(au.track)
    }

    fn tables_are_due(&self, at_90k: i64) -> bool {
        // Told ahead: before clock references that are filled in behind them.
        let fresh = |told: i64| (-MOST_FILLED_90K..TABLES_90K).contains(&(at_90k - told));
        !self.tables_90k.is_some_and(fresh)
    }

    fn tables(&mut self, at_90k: i64, out: &mut BytesMut) {
        self.muxer.start_segment(out);
        self.tables_90k = Some(at_90k);
    }

    /// Before packets with the clock reference for `at_90k`: those that are missing since the last one.
    fn tell_clock(&mut self, at_90k: i64, out: &mut BytesMut) {
        match self.clock_90k {
            Some(last) if (0..=MOST_FILLED_90K).contains(&(at_90k - last)) => {
                let mut clock = last + CLOCK_90K;
                while clock < at_90k {
                    if self.tables_are_due(clock) {
                        self.tables(clock, out);
                    }
                    self.muxer.clock(clock, false, out);
                    clock += CLOCK_90K;
                }
            }
            Some(_) => self.muxer.clock(at_90k, true, out),
            None => {}
        }
        self.clock_90k = Some(at_90k);
    }
}

#[cfg(test)]
mod tests;
