//! From access units to the fragments and segments of a recording. Pure.

use bytes::Bytes;
use std::borrow::Cow;
use std::time::Duration;
use weir_proto::fmp4::{Fragmenter, main_track};
use weir_proto::media::codec::nal;
use weir_proto::media::{AccessUnit, CodecParameters, Timestamp, Track, TrackKind, Tracks};

/// A fragment ends with the first picture this long after its first, or before a keyframe: what a kill costs
/// at most.
const FRAGMENT: Duration = Duration::from_secs(1);
/// Of a track that goes on while the main track has stopped, a fragment holds so much: it neither waits in memory nor is lost.
const ALONE: Duration = Duration::from_secs(10);
/// Keyframes come a tick early or late.
const TOLERANCE: Duration = Duration::from_millis(10);

/// What comes of access units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A segment begins.
    Opened {
        tracks: Tracks,
        /// Presentation time of its first keyframe.
        start: Timestamp,
    },
    /// More of the segment that was opened last.
    Fragment(Bytes),
    /// The segment ends: where its last picture ends, which is where the next segment starts unless
    /// something is missing between the two.
    Closed { end: Timestamp },
}

/// Cuts one stream. A segment begins at a keyframe, which comes first in it.
#[derive(Debug)]
pub(super) struct Cutter {
    target: Duration,
    tracks: Tracks,
    main_track: u8,
    has_video: bool,
    fragmenter: Fragmenter,
    current: Option<Current>,
    /// The next keyframe begins a segment, however short the one in hand is.
    cut_soon: bool,
    /// The tracks as they are now, where the segment in hand goes on by the former ones up to the next keyframe.
    next: Option<Tracks>,
    /// A picture parameter set that has to come before the next picture.
    next_pps: Option<Bytes>,
}

/// The segment in hand, and its fragment in hand.
#[derive(Debug)]
struct Current {
    /// Decoding times of the main track.
    first: Timestamp,
    last: Timestamp,
    step_ticks: i64,
    fragment_first: Timestamp,
    fragments: u32,
    /// The latest presentation time of the main track.
    latest: Timestamp,
}

impl Cutter {
    /// Segments of `target`, and up to the next keyframe.
    pub(super) fn new(tracks: &Tracks, target: Duration) -> Self {
        Self {
            target,
            tracks: tracks.clone(),
            main_track: main_track(tracks),
            has_video: tracks.first(TrackKind::Video).is_some(),
            fragmenter: Fragmenter::new(tracks),
            current: None,
            cut_soon: false,
            next: None,
            next_pps: None,
        }
    }

    /// Whether this access unit, if it is pushed next, begins a segment.
    pub(super) fn cuts_at(&self, au: &AccessUnit) -> bool {
        if au.track != self.main_track || !au.keyframe {
            return false;
        }
        let Some(current) = &self.current else { return true };
        let enough = self.target.saturating_sub(TOLERANCE);
        self.cut_soon || au.dts.since(current.first) >= enough
    }

    /// Whether a segment is in hand.
    pub(super) const fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// The next keyframe begins a segment.
    pub(super) fn cut_soon(&mut self) {
        self.cut_soon = self.current.is_some();
    }

    /// Takes an access unit. What comes before the first keyframe is left out.
    pub(super) fn push(&mut self, au: &AccessUnit, out: &mut Vec<Cut>) {
        if self.cuts_at(au) {
            self.close(Some(au), out);
            self.follow();
            self.cut_soon = false;
            out.push(Cut::Opened {
                tracks: self.tracks.clone(),
                start: au.pts,
            });
            self.current = Some(Current {
                first: au.dts,
                last: au.dts,
                step_ticks: 0,
                fragment_first: au.dts,
                fragments: 0,
                latest: au.pts,
            });
            self.fragmenter.push(au);
            return;
        }
        let Some(current) = &mut self.current else { return };
        let mut au = Cow::Borrowed(au);
        if let Some(next) = &self.next {
            if au.track != self.main_track && next.get(au.track) != self.tracks.get(au.track) {
                return;
            }
            if au.track == self.main_track
                && let Some(pps) = self.next_pps.take()
            {
                au = Cow::Owned(with_pps(&au, &pps));
            }
        }
        let au = &*au;
        if au.track == self.main_track {
            let ends = au.keyframe && self.has_video || au.dts.since(current.fragment_first) >= FRAGMENT;
            if ends && !self.fragmenter.is_empty() {
                current.fragments += 1;
                out.push(Cut::Fragment(self.fragmenter.finish(current.fragments, au.dts)));
                current.fragment_first = au.dts;
            }
            current.step_ticks = (au.dts.ticks() - current.last.ticks()).max(0);
            current.last = au.dts;
            if au.pts.ticks() > current.latest.ticks() {
                current.latest = au.pts;
            }
        }
        self.fragmenter.push(au);
        if au.track != self.main_track && self.fragmenter.span(au.track) >= ALONE {
            current.fragments += 1;
            let end = current.last.offset(current.step_ticks);
            out.push(Cut::Fragment(self.fragmenter.finish(current.fragments, end)));
        }
    }

    /// Ends the segment in hand where it is.
    pub(super) fn finish(&mut self, out: &mut Vec<Cut>) {
        self.close(None, out);
        self.follow();
    }

    /// New parameters, from the next access unit on. Where the pictures up to the next keyframe can be decoded by the former ones,
    /// they still belong to the segment in hand: sound was changed or has come or gone, or the picture parameter set (PPS) was changed,
    /// which may be between any two pictures, and then comes in the stream. A sequence parameter set changes at a keyframe alone (H.264 section
    /// 7.4.1.2.1, H.265 section 7.4.2.4.2); if none comes with it, it was lost, and what would need it is left out. So is sound that was
    /// changed.
    pub(super) fn set_tracks(&mut self, tracks: &Tracks, out: &mut Vec<Cut>) {
        let now = self.next.as_ref().unwrap_or(&self.tracks);
        if tracks == now {
            return;
        }
        let main = (now.get(self.main_track), tracks.get(self.main_track));
        if let (Some(former), Some(latter)) = main
            && self.current.is_some()
            && main_track(tracks) == self.main_track
            && let Some(change) = Change::of(former, latter)
        {
            if let Change::Pps(pps) = change {
                self.next_pps = Some(pps);
            }
            self.next = Some(tracks.clone());
            self.cut_soon();
            return;
        }
        self.close(None, out);
        *self = Self::new(tracks, self.target);
    }

    /// The segment in hand is closed: what comes goes by the newest tracks.
    fn follow(&mut self) {
        if let Some(tracks) = self.next.take() {
            *self = Self::new(&tracks, self.target);
        }
    }

    fn close(&mut self, next: Option<&AccessUnit>, out: &mut Vec<Cut>) {
        let Some(mut current) = self.current.take() else {
            return;
        };
        // The last picture lasts as long as the one before it, unless the next one is known.
        let decoded = next.map_or_else(|| current.last.offset(current.step_ticks), |au| au.dts);
        if !self.fragmenter.is_empty() {
            current.fragments += 1;
            out.push(Cut::Fragment(self.fragmenter.finish(current.fragments, decoded)));
        }
        let shown = next.map_or_else(|| current.latest.offset(current.step_ticks), |au| au.pts);
        out.push(Cut::Closed { end: shown });
    }
}

/// How a track of pictures may change between two of them.
enum Change {
    Not,
    Pps(Bytes),
}

impl Change {
    /// None where what comes can't be decoded with what was before.
    fn of(former: &Track, latter: &Track) -> Option<Self> {
        use CodecParameters::{H264, H265};
        if former == latter {
            return Some(Self::Not);
        }
        let (is_same_sequence, pps) = match (&former.codec, &latter.codec) {
            (H264(a), H264(b)) => (a.sps == b.sps, &b.pps),
            (H265(a), H265(b)) => (a.vps == b.vps && a.sps == b.sps, &b.pps),
            _ => return None,
        };
        (is_same_sequence && former.clock_rate == latter.clock_rate).then(|| Self::Pps(pps.clone()))
    }
}

fn with_pps(au: &AccessUnit, pps: &[u8]) -> AccessUnit {
    let mut data = Vec::with_capacity(4 + pps.len() + au.data.len());
    nal::write_unit(pps, &mut data);
    data.extend_from_slice(&au.data);
    AccessUnit {
        data: data.into(),
        ..au.clone()
    }
}

#[cfg(test)]
mod tests;
