//! One origin for the timestamps of all tracks of a session.
//!
//! RTP starts each track at a random timestamp. Here the first access unit of all becomes 0, and
//! each further track is set beside it: by the sender reports of both, if they have come by then,
//! else by the time that the first packet arrived. A sender whose clock jumps is set anew by arrival,
//! so that time goes on.

use crate::media::Timestamp;
use crate::rtcp::NtpTime;
use std::time::Duration;

/// How far a track's clock may jump, or sender reports contradict arrival, and be believed.
const MAX_JUMP: Duration = Duration::from_secs(10);

/// Maps the extended RTP timestamps of a session's tracks to media time.
#[derive(Clone, Debug)]
pub struct Timeline {
    base: Option<Base>,
    tracks: Vec<Track>,
}

/// Where media time 0 lies.
#[derive(Clone, Copy, Debug)]
struct Base {
    /// On the caller's clock.
    arrival: Duration,
    /// On the sender's clock, in NTP's format, if a report has told.
    ntp: Option<u64>,
    /// The track that began.
    track: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// What to add to an RTP timestamp.
    offset: Option<i64>,
    /// NTP time and extended RTP timestamp of the same moment.
    report: Option<(u64, Timestamp)>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// As placed, in ticks.
    pts: i64,
    dts: i64,
    arrival: Duration,
}

impl Timeline {
    pub fn new(tracks: u8) -> Self {
        Self {
            base: None,
            tracks: vec![Track::default(); usize::from(tracks)],
        }
    }

    /// Takes a sender report: the moment `ntp`, and the same in the track's extended RTP timestamps
    /// ([`super::Depacketizer::extend`]).
    pub fn report(&mut self, track: u8, ntp: NtpTime, timestamp: Timestamp) {
        let index = usize::from(track);
        let Some(track) = self.tracks.get_mut(index) else {
            return;
        };
        // Senders without a clock fill in 0.
        if ntp.0 == 0 {
            return;
        }
        track.report = Some((ntp.0, timestamp));
        if let (Some(base), Some(offset)) = (&mut self.base, track.offset)
            && base.track == index
            && base.ntp.is_none()
        {
            base.ntp = Some(ntp_before(ntp.0, timestamp.offset(offset)));
        }
    }

    /// The media time of an access unit that arrived at `now` on any clock that does not jump.
    /// Decoding times never go back.
    pub fn place(
        &mut self,
        track: u8,
        pts: Timestamp,
        dts: Timestamp,
        now: Duration,
    ) -> (Timestamp, Timestamp) {
        let index = usize::from(track);
        let Some(state) = self.tracks.get(index).copied() else {
            return (pts, dts);
        };
        let rate = pts.clock_rate();
        let ahead = (pts.ticks() - dts.rescale(rate)).max(0);
        let base = *self.base.get_or_insert_with(|| Base {
            arrival: now,
            ntp: state.report.map(|(ntp, at)| ntp_before(ntp, since(at, pts))),
            track: index,
        });
        let elapsed = now.saturating_sub(base.arrival);
        let jumped = |offset: i64, last: Last| {
            let step = pts.ticks().saturating_add(offset).saturating_sub(last.pts);
            let arrived = ticks(now.saturating_sub(last.arrival), rate);
            let limit = ticks(MAX_JUMP, rate);
            step.saturating_abs() > limit && step.saturating_sub(arrived).saturating_abs() > limit
        };
        let offset = match (state.offset, state.last) {
            (Some(offset), Some(last)) if !jumped(offset, last) => offset,
            (_, Some(last)) => {
                let at = ticks(elapsed, rate).max(last.dts.saturating_add(ahead));
                at.saturating_sub(pts.ticks())
            }
            _ => {
                let by_arrival = ticks(elapsed, rate);
                let by_report = base.ntp.zip(state.report).map(|(zero, (ntp, at))| {
                    ntp_ticks(ntp, zero, rate).saturating_sub(since(at, pts).ticks())
                });
                let limit = ticks(MAX_JUMP, rate);
                let believed = by_report.filter(|at| at.saturating_sub(by_arrival).saturating_abs() <= limit);
                believed.unwrap_or(by_arrival).saturating_sub(pts.ticks())
            }
        };
        let mut placed = pts.ticks().saturating_add(offset);
        let mut decoded = placed.saturating_sub(ahead);
        if let Some(last) = state.last {
            decoded = decoded.max(last.dts);
            placed = placed.max(decoded);
        }
        let last = Last {
            pts: placed,
            dts: decoded,
            arrival: now,
        };
        self.tracks[index] = Track {
            offset: Some(offset),
            last: Some(last),
            ..state
        };
        (Timestamp::new(placed, rate), Timestamp::new(decoded, rate))
    }
}

fn ticks(duration: Duration, rate: u32) -> i64 {
    (duration.as_nanos() as i128 * i128::from(rate) / 1_000_000_000) as i64
}

/// `at` counted from `from`.
fn since(at: Timestamp, from: Timestamp) -> Timestamp {
    Timestamp::new(
        at.ticks().saturating_sub(from.rescale(at.clock_rate())),
        at.clock_rate(),
    )
}

/// The NTP time at media time 0, when it is `ntp` at media time `at`.
fn ntp_before(ntp: u64, at: Timestamp) -> u64 {
    let fraction = (i128::from(at.ticks()) << 32) / i128::from(at.clock_rate());
    ntp.wrapping_sub(fraction as u64)
}

/// From `zero` to `ntp`, in ticks.
fn ntp_ticks(ntp: u64, zero: u64, rate: u32) -> i64 {
    ((i128::from(ntp.wrapping_sub(zero) as i64) * i128::from(rate)) >> 32) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: u32 = 90_000;
    const AUDIO: u32 = 8000;
    const NTP: NtpTime = NtpTime(0xe000_0000_0000_0000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Places a unit without reordering and gives its media time in ms.
    fn place(timeline: &mut Timeline, track: u8, ticks: i64, rate: u32, now: u64) -> i64 {
        let at = Timestamp::new(ticks, rate);
        let (pts, dts) = timeline.place(track, at, at, ms(now));
        assert_eq!(pts, dts);
        pts.as_millis()
    }

    #[test]
    fn the_first_unit_is_0_and_others_are_set_by_arrival() {
        let mut timeline = Timeline::new(2);
        assert_eq!(place(&mut timeline, 0, 5_000_000, VIDEO, 1000), 0);
        assert_eq!(place(&mut timeline, 1, 77, AUDIO, 1120), 120);
        assert_eq!(place(&mut timeline, 0, 5_009_000, VIDEO, 1500), 100);
        assert_eq!(place(&mut timeline, 1, 877, AUDIO, 1500), 220);
    }

    #[test]
    fn sender_reports_are_better_than_arrival() {
        let mut timeline = Timeline::new(2);
        // Both reports are of the same moment; audio began half a second before it.
        timeline.report(0, NTP, Timestamp::new(90_000, VIDEO));
        assert_eq!(place(&mut timeline, 0, 0, VIDEO, 0), 0);
        timeline.report(1, NTP, Timestamp::new(4000, AUDIO));
        assert_eq!(place(&mut timeline, 1, 0, AUDIO, 3000), 500);
        // The same with the first track's report behind its first unit.
        let mut timeline = Timeline::new(2);
        assert_eq!(place(&mut timeline, 0, 1000, VIDEO, 0), 0);
        timeline.report(0, NTP, Timestamp::new(91_000, VIDEO));
        timeline.report(1, NtpTime(NTP.0 + (1 << 31)), Timestamp::new(4000, AUDIO));
        assert_eq!(place(&mut timeline, 1, 0, AUDIO, 3000), 1000);
    }

    #[test]
    fn reports_that_cannot_be_right_are_not_believed() {
        let mut timeline = Timeline::new(3);
        timeline.report(0, NTP, Timestamp::new(0, VIDEO));
        assert_eq!(place(&mut timeline, 0, 0, VIDEO, 0), 0);
        timeline.report(1, NtpTime(NTP.0 + (60 << 32)), Timestamp::new(0, AUDIO));
        assert_eq!(place(&mut timeline, 1, 0, AUDIO, 40), 40);
        timeline.report(2, NtpTime(0), Timestamp::new(0, AUDIO));
        assert_eq!(place(&mut timeline, 2, 0, AUDIO, 80), 80);
    }

    #[test]
    fn a_clock_that_jumps_is_set_anew_but_one_that_runs_fast_is_not() {
        let mut timeline = Timeline::new(1);
        place(&mut timeline, 0, 0, VIDEO, 0);
        assert_eq!(place(&mut timeline, 0, 900_000_000, VIDEO, 40), 40);
        assert_eq!(place(&mut timeline, 0, 900_003_600, VIDEO, 80), 80);
        assert_eq!(place(&mut timeline, 0, -5, VIDEO, 120), 120);
        // A file that is sent as fast as it can.
        let mut timeline = Timeline::new(1);
        for second in 0..100 {
            assert_eq!(place(&mut timeline, 0, second * 90_000, VIDEO, 1), second * 1000);
        }
        // A camera that was silent for a minute, and whose clock went on.
        let mut timeline = Timeline::new(1);
        place(&mut timeline, 0, 0, VIDEO, 0);
        assert_eq!(place(&mut timeline, 0, 60 * 90_000, VIDEO, 60_500), 60_000);
    }

    #[test]
    fn decoding_times_keep_their_distance_and_never_go_back() {
        let mut timeline = Timeline::new(1);
        let at = |ticks| Timestamp::new(ticks, VIDEO);
        assert_eq!(timeline.place(0, at(100), at(40), ms(0)), (at(0), at(-60)));
        assert_eq!(timeline.place(0, at(90), at(60), ms(0)), (at(-10), at(-40)));
        // Back by less than a jump.
        assert_eq!(timeline.place(0, at(20), at(20), ms(0)), (at(-40), at(-40)));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut timeline = Timeline::new(1);
        for ticks in [i64::MIN, i64::MAX, 0, i64::MAX] {
            timeline.report(0, NtpTime(u64::MAX), Timestamp::new(ticks, u32::MAX));
            let at = Timestamp::new(ticks, u32::MAX);
            timeline.place(0, at, at, Duration::from_secs(1 << 40));
        }
        timeline.place(9, Timestamp::new(0, 1), Timestamp::new(0, 1), Duration::MAX);
    }
}
