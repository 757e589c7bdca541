//! Which parts of which segments show a span of time, once each.
//!
//! Two nodes may have recorded the same minute: across a hand-over, or because both thought that the camera is theirs. Of what
//! two have, the newer placement's counts; the other's is shown up to where that begins, and again after where it ends.

use crate::facts::SegmentFacts;

/// A segment, and the part of it that counts. Milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered<'a> {
    pub segment: &'a SegmentFacts,
    /// From here: the beginning of the segment, or where another one ends.
    pub from_ms: i64,
    /// Up to here: its end, or where another one begins.
    pub to_ms: i64,
}

/// Parts shorter than this are what clocks of two nodes differ by.
const LEAST_MS: i64 = 200;

/// Covers `from_ms..to_ms` with `segments`, in any order.
pub fn cover(segments: &[SegmentFacts], from_ms: i64, to_ms: i64) -> Vec<Covered<'_>> {
    let mut all: Vec<&SegmentFacts> = segments
        .iter()
        .filter(|s| s.end_ms > from_ms && s.start_ms < to_ms)
        .collect();
    // The better ones first: what they have is theirs.
    all.sort_by_key(|s| {
        (
            std::cmp::Reverse((s.epoch, s.end_ms - s.start_ms)),
            s.start_ms,
            s.session,
        )
    });
    let mut covered: Vec<Covered<'_>> = Vec::new();
    for segment in all {
        let mut free = vec![(segment.start_ms, segment.end_ms)];
        for taken in &covered {
            free = free
                .into_iter()
                .flat_map(|(from, to)| {
                    let before = (from, to.min(taken.from_ms));
                    let after = (from.max(taken.to_ms), to);
                    if taken.to_ms <= from || taken.from_ms >= to {
                        [(from, to), (0, 0)]
                    } else {
                        [before, after]
                    }
                })
                .filter(|(from, to)| from < to)
                .collect();
        }
        for (from, to) in free {
            let is_whole = (from, to) == (segment.start_ms, segment.end_ms);
            if (is_whole || to - from >= LEAST_MS) && to > from_ms && from < to_ms {
                covered.push(Covered {
                    segment,
                    from_ms: from,
                    to_ms: to,
                });
            }
        }
    }
    covered.sort_by_key(|c| c.from_ms);
    covered
}

/// Spans without anything in `from_ms..to_ms`, longer than `tolerance_ms`.
pub fn gaps(covered: &[Covered<'_>], from_ms: i64, to_ms: i64, tolerance_ms: i64) -> Vec<(i64, i64)> {
    let mut gaps = Vec::new();
    let mut at = from_ms;
    for part in covered {
        if part.from_ms - at > tolerance_ms {
            gaps.push((at, part.from_ms));
        }
        at = at.max(part.to_ms);
    }
    if to_ms - at > tolerance_ms {
        gaps.push((at, to_ms));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(epoch: u64, start_ms: i64, end_ms: i64) -> SegmentFacts {
        SegmentFacts {
            epoch,
            start_ms,
            end_ms,
            ..SegmentFacts::default()
        }
    }

    fn parts(segments: &[SegmentFacts], from: i64, to: i64) -> Vec<(u64, i64, i64)> {
        let covered = cover(segments, from, to);
        covered
            .iter()
            .map(|c| (c.segment.epoch, c.from_ms, c.to_ms))
            .collect()
    }

    #[test]
    fn one_after_the_other() {
        let all = [
            segment(1, 60_000, 120_000),
            segment(1, 0, 60_000),
            segment(1, 200_000, 260_000),
        ];
        assert_eq!(
            parts(&all, 30_000, 230_000),
            [(1, 0, 60_000), (1, 60_000, 120_000), (1, 200_000, 260_000)]
        );
        assert_eq!(parts(&all, 120_000, 200_000), []);
        let covered = cover(&all, 0, 300_000);
        assert_eq!(
            gaps(&covered, 0, 300_000, 100),
            [(120_000, 200_000), (260_000, 300_000)]
        );
    }

    #[test]
    fn the_newer_owner_counts() {
        // A hand-over: the former goes on for a while.
        let all = [segment(1, 0, 60_000), segment(2, 45_000, 105_000)];
        assert_eq!(parts(&all, 0, 200_000), [(1, 0, 45_000), (2, 45_000, 105_000)]);
        // One that thought it was still the owner.
        let all = [
            segment(3, 10_000, 70_000),
            segment(2, 0, 60_000),
            segment(2, 60_000, 120_000),
        ];
        assert_eq!(
            parts(&all, 0, 200_000),
            [(2, 0, 10_000), (3, 10_000, 70_000), (2, 70_000, 120_000)]
        );
    }

    #[test]
    fn clocks_that_differ_a_little_leave_no_crumbs() {
        let all = [
            segment(1, 0, 60_050),
            segment(2, 60_000, 120_000),
            segment(1, 60_050, 60_120),
        ];
        assert_eq!(parts(&all, 0, 200_000), [(1, 0, 60_000), (2, 60_000, 120_000)]);
    }

    #[test]
    fn nothing_is_shown_twice_whatever_overlaps() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let all: Vec<SegmentFacts> = (0..20)
                .map(|_| {
                    let start = random(600_000) as i64;
                    segment(random(4), start, start + 1 + random(90_000) as i64)
                })
                .collect();
            let covered = cover(&all, 0, 1_000_000);
            for pair in covered.windows(2) {
                assert!(pair[0].to_ms <= pair[1].from_ms, "{pair:?}");
            }
            // All that anybody has is shown, but for crumbs.
            for gap in gaps(&covered, 0, 1_000_000, LEAST_MS) {
                let inside = (gap.0 + gap.1) / 2;
                let has = all
                    .iter()
                    .any(|s| s.start_ms < inside - LEAST_MS && s.end_ms > inside + LEAST_MS);
                assert!(!has, "{gap:?}");
            }
        }
    }
}
