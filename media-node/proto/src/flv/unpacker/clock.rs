//! From timestamps of 32 bits in ms to media time.

use crate::media::Timestamp;

/// Undoes the wrap of timestamps, and counts from the first.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<(u32, i64)>,
}

impl Clock {
    /// Milliseconds since the first timestamp; negative for one that lies before it. Each is taken
    /// as within 2^31 ms, some 25 days, of the one before.
    pub(super) fn extend(&mut self, timestamp_ms: u32) -> i64 {
        let extended = match self.last {
            Some((last, extended)) => extended + i64::from(timestamp_ms.wrapping_sub(last) as i32),
            None => 0,
        };
        self.last = Some((timestamp_ms, extended));
        extended
    }
}

/// Times of audio access units in samples. Milliseconds are too coarse to follow each other without
/// gap, so samples are counted as long as the count keeps near them.
#[derive(Debug)]
pub(super) struct AudioClock {
    clock_rate: u32,
    samples_per_access_unit: u32,
    /// When the next access unit is expected, in samples.
    next: Option<i64>,
}

impl AudioClock {
    /// Encoders round, and some send audio in bursts of a few frames with one time.
    const TOLERANCE_MS: i64 = 100;

    pub(super) const fn new(clock_rate: u32, samples_per_access_unit: u32) -> Self {
        Self {
            clock_rate,
            samples_per_access_unit,
            next: None,
        }
    }

    pub(super) fn at(&mut self, ms: i64) -> Timestamp {
        let told = Timestamp::from_millis(ms).rescale(self.clock_rate);
        let tolerance = Self::TOLERANCE_MS * i64::from(self.clock_rate) / 1000;
        let at = self
            .next
            .filter(|next| (next - told).abs() <= tolerance)
            .unwrap_or(told);
        self.next = Some(at + i64::from(self.samples_per_access_unit));
        Timestamp::new(at, self.clock_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_wrap_and_may_step_back() {
        let mut clock = Clock::default();
        let times = [u32::MAX - 9, u32::MAX, 30, 20, 70].map(|t| clock.extend(t));
        assert_eq!(times, [0, 9, 40, 30, 80]);
    }

    #[test]
    fn audio_is_counted_until_it_drifts() {
        let mut clock = AudioClock::new(48_000, 1024);
        let ticks: Vec<i64> = [0, 21, 43, 64, 1000, 1021].map(|ms| clock.at(ms).ticks()).into();
        assert_eq!(ticks, [0, 1024, 2048, 3072, 48_000, 49_024]);
    }
}
