//! What a peer sends and can't be read: borne for a while, counted, and told once a second.

use std::fmt::Display;
use std::time::{Duration, Instant};
use tracing::info;

/// Packets or messages in a row of which none can be read; a peer that sends such is given up.
pub(super) const MOST_IN_A_ROW: u32 = 1000;
/// Between two lines of the log.
const TELL: Duration = Duration::from_secs(1);

/// One peer's.
#[derive(Default)]
pub(super) struct Unreadable {
    in_a_row: u32,
    untold: u32,
    told: Option<Instant>,
}

impl Unreadable {
    /// Something could be read.
    pub(super) const fn over(&mut self) {
        self.in_a_row = 0;
    }

    /// Something could not. False once that is too much.
    pub(super) fn bear(&mut self, error: impl Display) -> bool {
        metrics::counter!("weir_ingest_bad_packets_total").increment(1);
        self.in_a_row += 1;
        self.untold += 1;
        if self.in_a_row >= MOST_IN_A_ROW {
            return false;
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            let packets = std::mem::take(&mut self.untold);
            self.told = Some(Instant::now());
            info!(packets, %error, "packets could not be read and are left out");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_on_without_a_pause_is_too_much() {
        let mut unreadable = Unreadable::default();
        for _ in 0..3 {
            assert!((1..MOST_IN_A_ROW).all(|_| unreadable.bear("noise")));
            unreadable.over();
        }
        assert!((1..MOST_IN_A_ROW).all(|_| unreadable.bear("noise")));
        assert!(!unreadable.bear("noise"));
    }
}
