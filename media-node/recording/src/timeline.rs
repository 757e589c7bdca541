//! From a session's media time to the time of day.
//!
//! Media time is the camera's clock, which is even and drifts; arrivals are our clock, which is right and uneven. What arrives
//! is never early, so the least of many differences is the truth but for the way's least delay. It is taken over windows, and
//! followed slowly.

use std::collections::VecDeque;
use weir_proto::media::Timestamp;

/// A window's length, and how many count.
const WINDOW_MICROS: i64 = 10_000_000;
const WINDOWS: usize = 6;
/// Clocks of cameras are off by less than this: 500 millionths.
const MOST_DRIFT_PER_MILLION: i64 = 500;
/// A difference that changes by more between two access units was not the camera's doing: somebody set our clock, or the
/// machine slept.
const STEP_MICROS: i64 = 5_000_000;
/// What stays as late as that for so long is not merely late.
const SUSPECT_MICROS: i64 = 2_000_000;

/// What one arrival told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    Steady,
    /// Our clock has been set. The timeline has begun anew.
    Stepped,
}

/// The mapping of one session. All times in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Wall time when media time was 0.
    origin: Option<i64>,
    /// When the origin was last moved, in media time.
    moved_at: i64,
    /// The least difference in each window that is over, the oldest first.
    least: VecDeque<i64>,
    /// The window in hand: when it began, in media time, and its least difference.
    window: Option<(i64, i64)>,
    /// The last arrival.
    last_wall: Option<i64>,
    /// The origin before our clock was last set.
    former: Option<i64>,
    /// Since when all has been late, and the least difference since.
    suspect: Option<(i64, i64)>,
}

impl Timeline {
    /// An access unit of `media` time has arrived at `wall_micros` since 1970.
    pub fn note(&mut self, media: Timestamp, wall_micros: i64) -> Noted {
        let media = media.as_micros();
        let difference = wall_micros - media;
        if self
            .last_wall
            .is_some_and(|last| wall_micros - last < -STEP_MICROS)
        {
            return self.begin_again(media, wall_micros, difference);
        }
        self.last_wall = Some(wall_micros);
        let Some(origin) = self.origin else {
            self.begin(media, wall_micros, difference);
            return Noted::Steady;
        };
        if difference - origin > STEP_MICROS {
            // After a pause of the network the difference falls back as fast as what was held up arrives.
            let (since, least) = self.suspect.unwrap_or((wall_micros, difference));
            let least = least.min(difference);
            if wall_micros - since > SUSPECT_MICROS {
                return self.begin_again(media, wall_micros, least);
            }
            self.suspect = Some((since, least));
            return Noted::Steady;
        }
        self.suspect = None;
        let (began, least) = self.window.unwrap_or((media, difference));
        let least = least.min(difference);
        self.window = Some((began, least));
        if media - began >= WINDOW_MICROS {
            self.least.push_back(least);
            if self.least.len() > WINDOWS {
                self.least.pop_front();
            }
            self.window = None;
        }
        let target = self.least.iter().copied().chain([least]).min().unwrap_or(least);
        // In the first window all is still open: the first arrivals come in a burst.
        if self.least.is_empty() {
            if target < origin {
                self.origin = Some(target);
            }
            self.moved_at = media;
            return Noted::Steady;
        }
        let room = (media - self.moved_at).max(0) * MOST_DRIFT_PER_MILLION / 1_000_000;
        if room > 0 {
            self.origin = Some(origin + (target - origin).clamp(-room, room));
            self.moved_at = media;
        }
        Noted::Steady
    }

    /// Milliseconds since 1970 at that media time; none before anything was noted.
    pub fn wall_ms(&self, at: Timestamp) -> Option<i64> {
        Some((self.origin? + at.as_micros()).div_euclid(1000))
    }

    /// This timeline as it was before our clock was last set.
    #[must_use]
    pub fn former(&self) -> Self {
        Self {
            origin: self.former,
            ..Self::default()
        }
    }

    fn begin(&mut self, media: i64, wall: i64, difference: i64) {
        self.origin = Some(difference);
        self.moved_at = media;
        self.window = Some((media, difference));
        self.last_wall = Some(wall);
    }

    fn begin_again(&mut self, media: i64, wall: i64, difference: i64) -> Noted {
        *self = Self {
            former: self.origin,
            ..Self::default()
        };
        self.begin(media, wall, difference);
        Noted::Stepped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_767_603_600_000_000;
    const FRAME: i64 = 40_000;

    fn at(micros: i64) -> Timestamp {
        Timestamp::new(micros, 1_000_000)
    }

    /// Delays of 0 to 80 ms, and now and then of half a second.
    fn delay(n: i64) -> i64 {
        let noise = (n.wrapping_mul(2_654_435_761) >> 7) & 0xffff;
        let late = if n % 997 == 0 { 500_000 } else { 0 };
        noise * 80_000 / 0xffff + late
    }

    #[test]
    fn a_burst_at_the_start_does_not_count() {
        let mut timeline = Timeline::default();
        // Two seconds of a cache, all at once, then as it comes.
        for n in 0..50 {
            timeline.note(at(n * FRAME), START);
        }
        for n in 50..100 {
            timeline.note(at(n * FRAME), START + (n - 49) * FRAME);
        }
        assert_eq!(timeline.wall_ms(at(49 * FRAME)), Some(START / 1000));
        assert_eq!(timeline.wall_ms(at(0)), Some((START - 49 * FRAME) / 1000));
    }

    #[test]
    fn a_clock_that_drifts_is_followed_for_a_day() {
        for drift in [-100_i64, 100] {
            let mut timeline = Timeline::default();
            let (mut worst, mut last) = (0, 0);
            for n in 0..24 * 3600 * 25 {
                let media = n * FRAME;
                let wall = START + media + media * drift / 1_000_000;
                assert_eq!(timeline.note(at(media), wall + delay(n)), Noted::Steady);
                let told = timeline.wall_ms(at(media)).expect("noted");
                // The first window settles what the first arrivals could not tell.
                assert!(told >= last || n < 300, "it goes back at {n}");
                last = told;
                if n > 1000 {
                    worst = worst.max((told - wall / 1000).abs());
                }
            }
            assert!(worst < 50, "{worst} ms at a drift of {drift} millionths");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_told() {
        for step in [3_600_000_000_i64, -3_600_000_000] {
            let mut timeline = Timeline::default();
            for n in 0..1000 {
                assert_eq!(
                    timeline.note(at(n * FRAME), START + n * FRAME + delay(n)),
                    Noted::Steady
                );
            }
            let after = START + step;
            let told = (1000..2000)
                .filter(|n| timeline.note(at(n * FRAME), after + n * FRAME + delay(*n)) == Noted::Stepped);
            let told: Vec<i64> = told.collect();
            assert!(told.len() == 1 && told[0] < 1060, "{told:?}");
            let told = timeline.wall_ms(at(1999 * FRAME)).expect("noted");
            assert!((told - (after + 1999 * FRAME) / 1000).abs() < 100);
            let told = timeline.former().wall_ms(at(999 * FRAME)).expect("noted");
            assert!(
                (told - (START + 999 * FRAME) / 1000).abs() < 100,
                "what was before stays when it was"
            );
        }
    }

    #[test]
    fn a_network_that_pauses_sets_no_clock() {
        let mut timeline = Timeline::default();
        for n in 0..1000 {
            timeline.note(at(n * FRAME), START + n * FRAME);
        }
        // Eight seconds of nothing, then all of it at once.
        let back = START + 1200 * FRAME;
        for n in 1000..1200 {
            assert_eq!(timeline.note(at(n * FRAME), back), Noted::Steady, "{n}");
        }
        for n in 1200..1400 {
            assert_eq!(timeline.note(at(n * FRAME), START + n * FRAME), Noted::Steady);
        }
        let told = timeline.wall_ms(at(1399 * FRAME)).expect("noted");
        assert!((told - (START + 1399 * FRAME) / 1000).abs() < 50, "{told}");
    }
}
