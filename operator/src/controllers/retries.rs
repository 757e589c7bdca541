//! When work that failed is tried again: after a time that grows, with some chance in it, for each object by itself.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rand::RngExt;

use crate::error::Category;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_mins(1);
/// A conflict means that the watch is about to bring what changed.
const CONFLICT: Duration = Duration::from_millis(100);
/// After this time without another failure nothing is remembered of the last.
const OLD: Duration = Duration::from_mins(5);

#[derive(Debug)]
struct Failure {
    times: u32,
    until: Instant,
}

/// Failures, by object.
#[derive(Debug, Default)]
pub(super) struct Retries(HashMap<String, Failure>);

impl Retries {
    /// For how long the object is to be left alone, if so.
    pub(super) fn waits(&self, key: &str, now: Instant) -> Option<Duration> {
        self.0
            .get(key)
            .map(|f| f.until.saturating_duration_since(now))
            .filter(|wait| !wait.is_zero())
    }

    /// How often in a row work on the object has failed.
    pub(super) fn times(&self, key: &str) -> u32 {
        self.0.get(key).map_or(0, |f| f.times)
    }

    /// Notes a failure. Says when to try again.
    pub(super) fn failed(&mut self, key: String, category: Category, now: Instant) -> Duration {
        let failure = self.0.entry(key).or_insert(Failure { times: 0, until: now });
        failure.times = failure.times.saturating_add(1);
        let after = match category {
            Category::Conflict if failure.times < 10 => CONFLICT,
            _ => (FIRST * 2_u32.saturating_pow(failure.times.min(16) - 1)).min(LONGEST),
        };
        let after = after.mul_f64(rand::rng().random_range(0.8..1.2));
        failure.until = now + after;
        after
    }

    pub(super) fn succeeded(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Forgets failures of objects that nobody has worked on for long.
    pub(super) fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, f| now.saturating_duration_since(f.until) < OLD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_grows_to_a_minute() {
        let mut retries = Retries::default();
        let now = Instant::now();
        let mut last = Duration::ZERO;
        for _ in 0..6 {
            let after = retries.failed("a".into(), Category::Unavailable, now);
            assert!(after > last, "{after:?} after {last:?}");
            last = after;
        }
        for _ in 0..100 {
            last = retries.failed("a".into(), Category::Unavailable, now);
        }
        assert!(last >= LONGEST.mul_f64(0.8) && last <= LONGEST.mul_f64(1.2));
        assert_eq!(retries.waits("a", now), Some(last));
        assert_eq!(retries.waits("b", now), None);
        assert_eq!((retries.times("a"), retries.times("b")), (106, 0));
        assert_eq!(retries.waits("a", now + last), None);
        retries.succeeded("a");
        assert_eq!(retries.waits("a", now), None);
    }

    #[test]
    fn conflicts_are_tried_at_once_but_not_for_ever() {
        let mut retries = Retries::default();
        let now = Instant::now();
        for _ in 0..9 {
            assert!(retries.failed("a".into(), Category::Conflict, now) < Duration::from_millis(200));
        }
        assert!(retries.failed("a".into(), Category::Conflict, now) > Duration::from_secs(10));
        retries.forget_old(now + OLD + LONGEST + LONGEST);
        assert!(retries.0.is_empty());
    }
}
