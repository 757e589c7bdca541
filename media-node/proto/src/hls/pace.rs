//! How far a track's access units are apart.

/// Of so many steps, the middle one counts: a picture that is missing, or comes late, changes nothing.
const STEPS: usize = 9;

/// The usual step of a track in one segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    newest: [i64; STEPS],
    noted: usize,
}

impl Pace {
    pub(super) fn note(&mut self, step_micros: i64) {
        self.newest[self.noted % STEPS] = step_micros;
        self.noted += 1;
    }

    /// 0 before the first step.
    pub(super) fn micros(&self) -> i64 {
        let known = self.noted.min(STEPS);
        let mut steps = self.newest;
        steps[..known].sort_unstable();
        steps[known / 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unusual_does_not_count() {
        let mut pace = Pace::default();
        assert_eq!(pace.micros(), 0);
        for step in [40, 41, 39, 3000, 40, 1, 40] {
            pace.note(step);
        }
        assert_eq!(pace.micros(), 40);
        for _ in 0..5 {
            pace.note(80);
        }
        assert_eq!(pace.micros(), 80, "what is new is the rule");
    }
}
