//! From a source's RTP timestamps to the stream's timeline.

use std::sync::{Arc, OnceLock};
use std::time::Instant;
use weir_proto::media::{CodecParameters, Timestamp};
use weir_proto::rtp::dts::DtsEstimator;

/// Sender reports may move a track once, by at least this, where sound and picture are visibly
/// apart (ITU-R BT.1359: 45 ms early is noticed).
const WORTH_MOVING_MICROS: i64 = 45_000;
/// Reports that have tracks further apart than this can't be right. A source whose sound goes back by
/// more has set its clock, and is followed.
const MOST_APART_SECONDS: i64 = 10;

/// One track's clock. Those of one session share a start, so that their timestamps compare.
#[derive(Debug)]
pub(super) struct TrackClock {
    clock_rate: u32,
    session_start: Arc<OnceLock<Instant>>,
    /// Added to the source's timestamps; known with the first one.
    offset: Option<i64>,
    /// From the newest sender report: the sender's wall clock, in microseconds, when this track's
    /// timeline was 0.
    zero_micros: Option<i64>,
    moved: bool,
    decoding: DtsEstimator,
    /// Where the last sound was placed, in ticks.
    last_sound: Option<i64>,
}

impl TrackClock {
    pub(super) fn new(
        clock_rate: u32,
        parameters: Option<&CodecParameters>,
        session_start: Arc<OnceLock<Instant>>,
    ) -> Self {
        let decoding = DtsEstimator::new(clock_rate, parameters);
        Self {
            clock_rate,
            session_start,
            offset: None,
            zero_micros: None,
            moved: false,
            decoding,
            last_sound: None,
        }
    }

    /// `elapsed`: the source's timestamp in ticks since the start it announced for this track, or
    /// since its first packet. Only in the latter case, when the first is 0, the time of arrival
    /// tells how tracks lie to each other.
    pub(super) fn stamp(&mut self, elapsed: i64, received: Instant) -> Timestamp {
        let start = *self.session_start.get_or_init(|| received);
        let offset = *self.offset.get_or_insert_with(|| {
            if elapsed != 0 {
                return 0;
            }
            let late = received.saturating_duration_since(start);
            (late.as_micros() as i64) * i64::from(self.clock_rate) / 1_000_000
        });
        Timestamp::new(elapsed + offset, self.clock_rate)
    }

    /// Takes over what new parameter sets say of reordering.
    pub(super) fn set_parameters(&mut self, parameters: &CodecParameters) {
        self.decoding.set_parameters(parameters);
    }

    /// When to decode a picture that is shown at `pts`; pictures come in decoding order. None for one
    /// that can't be placed.
    pub(super) fn decoding_time(&mut self, pts: Timestamp) -> Option<Timestamp> {
        self.decoding
            .next(pts.ticks())
            .map(|dts| Timestamp::new(dts, self.clock_rate))
    }

    /// Whether a sound at `at` comes after the last one. After the track has been moved back, what is
    /// in the place of sounds that were sent already is left out, so that time never goes back.
    pub(super) fn sound_follows(&mut self, at: Timestamp) -> bool {
        let set = MOST_APART_SECONDS * i64::from(self.clock_rate);
        let overlaps = |last: i64| at.ticks() <= last && at.ticks() > last.saturating_sub(set);
        if self.last_sound.is_some_and(overlaps) {
            return false;
        }
        self.last_sound = Some(at.ticks());
        true
    }

    /// Notes a sender report: at `ntp` (RFC 3550: seconds since 1900, 32.32 bits) the track's
    /// timestamp was `elapsed`.
    pub(super) fn sender_report(&mut self, ntp: u64, elapsed: i64) {
        let Some(offset) = self.offset else { return };
        let ntp_micros = ((u128::from(ntp) * 1_000_000) >> 32) as i64;
        self.zero_micros = Some(ntp_micros - Timestamp::new(elapsed + offset, self.clock_rate).as_micros());
    }

    /// Moves a track onto the first one's timeline when sender reports show that they are apart.
    pub(super) fn align<'a>(mut clocks: impl Iterator<Item = &'a mut Self>) {
        let Some(first) = clocks.next().and_then(|c| c.zero_micros) else {
            return;
        };
        for clock in clocks.filter(|c| !c.moved) {
            let (Some(zero), Some(offset)) = (clock.zero_micros, &mut clock.offset) else {
                continue;
            };
            let apart = zero - first;
            if (WORTH_MOVING_MICROS..=MOST_APART_SECONDS * 1_000_000).contains(&apart.abs()) {
                *offset += Timestamp::new(apart, 1_000_000).rescale(clock.clock_rate);
            }
            clock.moved = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn clocks() -> (TrackClock, TrackClock, Instant) {
        let start = Arc::new(OnceLock::new());
        (
            TrackClock::new(90_000, None, start.clone()),
            TrackClock::new(8000, None, start),
            Instant::now(),
        )
    }

    #[test]
    fn without_better_knowledge_the_time_of_arrival_counts() {
        let (mut video, mut audio, now) = clocks();
        assert_eq!(video.stamp(0, now).as_millis(), 0);
        assert_eq!(audio.stamp(0, now + Duration::from_millis(500)).as_millis(), 500);
        assert_eq!(audio.stamp(8000, now).as_millis(), 1500);
    }

    #[test]
    fn announced_starts_are_kept() {
        let (mut video, mut audio, now) = clocks();
        assert_eq!(video.stamp(900, now).as_millis(), 10);
        assert_eq!(audio.stamp(80, now + Duration::from_millis(500)).as_millis(), 10);
    }

    #[test]
    fn sound_that_is_moved_back_is_left_out_where_it_overlaps() {
        let (mut video, mut audio, now) = clocks();
        let heard = |audio: &mut TrackClock, elapsed: i64| {
            let at = audio.stamp(elapsed, now);
            audio.sound_follows(at).then(|| at.as_millis())
        };
        video.stamp(0, now);
        assert_eq!(heard(&mut audio, 0), Some(0));
        assert_eq!(heard(&mut audio, 800), Some(100));
        video.sender_report(1000 << 32, 0);
        audio.sender_report((1000 << 32) - (1 << 32) / 10, 0);
        TrackClock::align([&mut video, &mut audio].into_iter());
        assert_eq!(
            heard(&mut audio, 1600),
            None,
            "it belongs at 100 ms, where there is sound"
        );
        assert_eq!(heard(&mut audio, 2400), Some(200));
        assert_eq!(
            heard(&mut audio, -800_000),
            Some(-100_100),
            "the source's clock was set"
        );
    }

    #[test]
    fn sender_reports_move_a_track_once() {
        let (mut video, mut audio, now) = clocks();
        video.stamp(0, now);
        audio.stamp(0, now);
        let ntp = |seconds: f64| (seconds * 4_294_967_296.0) as u64;
        video.sender_report(ntp(1000.0), 0);
        audio.sender_report(ntp(1000.0 + 2.0), 0);
        TrackClock::align([&mut video, &mut audio].into_iter());
        assert_eq!(
            audio.stamp(0, now).as_millis(),
            2000,
            "its first sample belongs 2 s later"
        );
        audio.sender_report(ntp(1009.0), 0);
        TrackClock::align([&mut video, &mut audio].into_iter());
        assert_eq!(audio.stamp(0, now).as_millis(), 2000);
        assert_eq!(video.stamp(0, now).as_millis(), 0);
    }
}
