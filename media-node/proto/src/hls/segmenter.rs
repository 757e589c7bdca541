//! From access units to segments, cut where the owner's segment numbers say.

use super::fragmenter::{Fragmenter, main_track};
use super::{Form, Init};
use crate::media::{AccessUnit, Timestamp, Tracks};
use crate::mpegts;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tracing::debug;

/// A segment that grows beyond is given up, and what follows it up to the next number: a minute at
/// 8 Mbit/s.
const MAX_SEGMENT_BYTES: usize = 64 << 20;

/// A finished segment. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The owner's number for it, the same on every edge.
    pub number: u64,
    /// Presentation time of its first keyframe.
    pub start: Timestamp,
    /// Up to the next segment's start.
    pub duration: Duration,
    /// Whether something is missing before it, times break off, or parameters change.
    pub discontinuity: bool,
    /// For fragmented MP4.
    pub init: Option<Init>,
    pub bytes: Bytes,
}

/// Makes segments of one form from one stream.
///
/// A segment starts at an access unit with a number and at no other, so that what comes before the
/// first, or after a loss, is not used.
#[derive(Debug)]
pub struct Segmenter {
    packager: Packager,
    /// The track whose times count: the first video track, or else the first.
    main_track: u8,
    tracks: Tracks,
    current: Option<Current>,
    /// The number and last decoding time of the segment before.
    last: Option<(u64, Timestamp)>,
    broken: bool,
}

#[derive(Debug)]
struct Current {
    number: u64,
    start: Timestamp,
    discontinuity: bool,
    bytes: usize,
    /// Decoding times of the main track: the first, the last, and what is between the last two.
    first_dts: Timestamp,
    last_dts: Timestamp,
    step: Duration,
}

#[derive(Debug)]
enum Packager {
    Ts { muxer: mpegts::Muxer, out: BytesMut },
    Fmp4(Fragmenter),
}

impl Segmenter {
    pub fn new(form: Form, tracks: &Tracks) -> Self {
        Self {
            packager: Packager::new(form, tracks),
            main_track: main_track(tracks),
            tracks: tracks.clone(),
            current: None,
            last: None,
            broken: false,
        }
    }

    /// New parameters, from the next access unit on. What there is of the current segment is
    /// finished, and the next has a discontinuity.
    pub fn set_tracks(&mut self, tracks: &Tracks) -> Option<Segment> {
        if *tracks == self.tracks {
            return None;
        }
        let segment = self.finish();
        self.packager = Packager::new(self.packager.form(), tracks);
        self.main_track = main_track(tracks);
        self.tracks = tracks.clone();
        self.broken = true;
        segment
    }

    /// Takes an access unit; returns the segment that it ends.
    pub fn push(&mut self, au: &AccessUnit) -> Option<Segment> {
        let finished = match au.segment {
            Some(_) => self.end(Some(au.pts)),
            None => None,
        };
        if let Some(number) = au.segment.map(|segment| segment.number) {
            let follows = self.last.is_none_or(|(last, dts)| {
                last.checked_add(1) == Some(number) && au.dts.as_micros() >= dts.as_micros()
            });
            let discontinuity = !follows || std::mem::take(&mut self.broken);
            self.broken = false;
            self.packager.start();
            self.current = Some(Current {
                number,
                start: au.pts,
                discontinuity,
                bytes: 0,
                first_dts: au.dts,
                last_dts: au.dts,
                step: Duration::ZERO,
            });
        }
        let current = self.current.as_mut()?;
        current.bytes += au.data.len();
        if current.bytes > MAX_SEGMENT_BYTES {
            debug!(
                segment = current.number,
                bytes = current.bytes,
                "segment too large, given up"
            );
            self.lose();
            return finished;
        }
        if au.track == self.main_track {
            current.step = au.dts.since(current.last_dts);
            current.last_dts = au.dts;
        }
        self.packager.push(au);
        finished
    }

    /// Some access units are missing: the current segment is given up.
    pub fn lose(&mut self) {
        self.current = None;
        self.packager.clear();
        self.broken = true;
    }

    /// The stream has ended: what there is of the current segment.
    pub fn finish(&mut self) -> Option<Segment> {
        self.end(None)
    }

    /// `next` is the next segment's start, if there is one.
    fn end(&mut self, next: Option<Timestamp>) -> Option<Segment> {
        let current = self.current.take()?;
        let duration = match next.map(|next| next.since(current.start)) {
            Some(duration) if duration > Duration::ZERO => duration,
            // The last picture lasts as long as the one before it.
            _ => current.last_dts.since(current.first_dts) + current.step,
        };
        let end = current
            .last_dts
            .offset(ticks(current.step, current.last_dts.clock_rate()));
        self.last = Some((current.number, current.last_dts));
        let (init, bytes) = self.packager.finish(current.number, end);
        let Current {
            number,
            start,
            discontinuity,
            ..
        } = current;
        Some(Segment {
            number,
            start,
            duration,
            discontinuity,
            init,
            bytes,
        })
    }
}

fn ticks(duration: Duration, clock_rate: u32) -> i64 {
    Timestamp::new(duration.as_micros() as i64, 1_000_000).rescale(clock_rate)
}

impl Packager {
    fn new(form: Form, tracks: &Tracks) -> Self {
        match form {
            Form::Ts => Self::Ts {
                muxer: mpegts::Muxer::new(tracks),
                out: BytesMut::new(),
            },
            Form::Fmp4 => Self::Fmp4(Fragmenter::new(tracks)),
        }
    }

    const fn form(&self) -> Form {
        match self {
            Self::Ts { .. } => Form::Ts,
            Self::Fmp4(_) => Form::Fmp4,
        }
    }

    fn start(&mut self) {
        match self {
            Self::Ts { muxer, out } => muxer.start_segment(out),
            Self::Fmp4(_) => {}
        }
    }

    fn push(&mut self, au: &AccessUnit) {
        match self {
            Self::Ts { muxer, out } => muxer.access_unit(au, out),
            Self::Fmp4(fragmenter) => fragmenter.push(au),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Ts { muxer, out } => {
                muxer.end_segment(out);
                out.clear();
            }
            Self::Fmp4(fragmenter) => fragmenter.clear(),
        }
    }

    /// The bytes since the start; `end` is when the main track's next access unit is decoded.
    fn finish(&mut self, number: u64, end: Timestamp) -> (Option<Init>, Bytes) {
        match self {
            Self::Ts { muxer, out } => {
                muxer.end_segment(out);
                // Copied, to be as large as the segment; the buffer, grown by doubling, serves on.
                let bytes = Bytes::copy_from_slice(out);
                out.clear();
                (None, bytes)
            }
            Self::Fmp4(fragmenter) => {
                let init = fragmenter.init().clone();
                (Some(init), fragmenter.finish(number as u32, end))
            }
        }
    }
}

#[cfg(test)]
mod tests;
