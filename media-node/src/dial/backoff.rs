//! How long to wait between attempts.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// A camera or server that comes back is seen within this.
const LONGEST: Duration = Duration::from_secs(20);

/// Growing waits, each spread by a quarter so that a thousand cameras behind one switch do not
/// come back in step.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// What was live this long starts over with short waits.
    pub const STEADY: Duration = Duration::from_secs(10);

    pub const fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next wait; `spread` in 0..1.
    pub fn wait(&mut self, spread: f64) -> Duration {
        let wait = self.next.mul_f64(0.75 + 0.5 * spread);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_are_spread() {
        let mut backoff = Backoff::new();
        let waits: Vec<u64> = (0..7).map(|_| backoff.wait(0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(backoff.wait(0.0), Duration::from_secs(15));
        assert_eq!(backoff.wait(1.0), Duration::from_secs(25));
    }
}
