//! Media time. Wall clocks live with the drivers, not here.

use std::time::Duration;

/// A point in media time: `ticks` of a clock that ticks `clock_rate` times a second.
///
/// All tracks of a stream share one origin (0 is the start of the ingest session), so that
/// comparing two tracks is a matter of [`Timestamp::rescale`]. Ticks may be negative: decoding
/// times of the first reordered pictures lie before the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp {
    ticks: i64,
    clock_rate: u32,
}

impl Timestamp {
    /// `clock_rate` in Hz; 0, which no clock has, is taken as 1.
    pub const fn new(ticks: i64, clock_rate: u32) -> Self {
        Self {
            ticks,
            clock_rate: if clock_rate == 0 { 1 } else { clock_rate },
        }
    }

    pub const fn from_millis(ms: i64) -> Self {
        Self::new(ms, 1000)
    }

    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    pub const fn clock_rate(self) -> u32 {
        self.clock_rate
    }

    /// The same point in ticks of another clock, rounded down.
    pub const fn rescale(self, clock_rate: u32) -> i64 {
        if self.clock_rate == clock_rate {
            return self.ticks;
        }
        let wide = self.ticks as i128 * clock_rate as i128;
        wide.div_euclid(self.clock_rate as i128) as i64
    }

    pub const fn as_millis(self) -> i64 {
        self.rescale(1000)
    }

    pub const fn as_micros(self) -> i64 {
        self.rescale(1_000_000)
    }

    /// In ticks of the 90 kHz clock that video RTP, MPEG-TS and MPEG-PS share.
    pub const fn as_90k(self) -> i64 {
        self.rescale(90_000)
    }

    /// Time from `earlier` to `self`; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.as_micros() - earlier.as_micros();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// This point moved by `ticks` of its own clock; stops at the ends of the number range.
    #[must_use]
    pub const fn offset(self, ticks: i64) -> Self {
        Self {
            ticks: self.ticks.saturating_add(ticks),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaling_rounds_down_on_both_sides_of_zero() {
        assert_eq!(Timestamp::new(1, 90_000).rescale(1000), 0);
        assert_eq!(Timestamp::new(-1, 90_000).rescale(1000), -1);
        assert_eq!(Timestamp::new(44_100, 44_100).as_90k(), 90_000);
    }

    #[test]
    fn a_century_at_90_khz_does_not_overflow() {
        let ticks = 100 * 365 * 86_400 * 90_000_i64;
        assert_eq!(
            Timestamp::new(ticks, 90_000).as_micros(),
            100 * 365 * 86_400 * 1_000_000
        );
    }

    #[test]
    fn since_is_zero_backwards() {
        let (a, b) = (Timestamp::from_millis(5), Timestamp::from_millis(7));
        assert_eq!(b.since(a), Duration::from_millis(2));
        assert_eq!(a.since(b), Duration::ZERO);
    }
}
