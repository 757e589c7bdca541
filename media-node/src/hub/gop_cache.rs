//! The access units since the last keyframe, and a short tail before it.

use std::collections::VecDeque;
use weir_proto::media::AccessUnit;

/// Access units kept from before the newest keyframe when no subscriber needs them.
const TAIL: usize = 16;
/// As long as all that is kept is as little as this, up to `LONG_TAIL` are kept: sound alone, where
/// each access unit counts as a keyframe.
const LITTLE_BYTES: usize = 48 << 10;
const LONG_TAIL: usize = 128;
/// A GOP larger than this is not kept: new viewers then wait for the next keyframe.
const MOST_BYTES: usize = 32 << 20;
const MOST_UNITS: usize = 8192;

/// A window over a stream's access units, which are numbered from 0 in the order of publishing.
#[derive(Default)]
pub(super) struct GopCache {
    units: VecDeque<AccessUnit>,
    /// Number of `units[0]`.
    first: u64,
    /// Number of the newest keyframe, while it is in `units`.
    keyframe: Option<u64>,
    /// Number of the keyframe before that one.
    former_keyframe: Option<u64>,
    bytes: usize,
}

impl GopCache {
    /// The number the next access unit will get.
    pub(super) fn head(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    /// `needed` is the lowest number that a subscriber will ask for. What came since the keyframe
    /// before the newest is kept for it, so that one who wakes up late at a keyframe loses nothing.
    pub(super) fn push(&mut self, unit: AccessUnit, needed: Option<u64>) {
        if unit.keyframe {
            // Of a GOP that was closed, `close` has kept the number.
            self.former_keyframe = self.keyframe.replace(self.head()).or(self.former_keyframe);
        }
        self.bytes += unit.data.len();
        self.units.push_back(unit);
        let start = self.start();
        let mut keep_from = start.saturating_sub(TAIL as u64);
        if let (Some(needed), Some(former)) = (needed, self.former_keyframe) {
            keep_from = keep_from.min(needed.max(former));
        }
        let long_tail = start.saturating_sub(LONG_TAIL as u64);
        while self.first < keep_from && (self.bytes > LITTLE_BYTES || self.first < long_tail)
            || self.bytes > MOST_BYTES
            || self.units.len() > MOST_UNITS
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(unit) = self.units.pop_front() else {
            return;
        };
        self.bytes -= unit.data.len();
        if self.keyframe == Some(self.first) {
            self.keyframe = None;
        }
        self.first += 1;
    }

    /// Where decoding can start: the newest keyframe, or what comes next if there is none.
    pub(super) fn start(&self) -> u64 {
        self.keyframe.unwrap_or(self.head())
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn get(&self, number: u64) -> Option<&AccessUnit> {
        self.units
            .get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// From `number` on; empty if `number` has left the window.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = (u64, &AccessUnit)> {
        let skip = number
            .checked_sub(self.first)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(usize::MAX);
        self.units
            .iter()
            .enumerate()
            .skip(skip)
            .map(|(i, u)| (self.first + i as u64, u))
    }

    /// Nobody may start with what is here, as when the parameter sets change; who is reading may go on.
    pub(super) fn close(&mut self) {
        self.former_keyframe = self.keyframe.take().or(self.former_keyframe);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_proto::media::Timestamp;

    fn unit(keyframe: bool, bytes: usize) -> AccessUnit {
        let at = Timestamp::from_millis(0);
        AccessUnit {
            track: 0,
            pts: at,
            dts: at,
            keyframe,
            segment: None,
            data: vec![0; bytes].into(),
        }
    }

    #[test]
    fn holds_the_gop_and_a_tail() {
        let mut cache = GopCache::default();
        for n in 0..100 {
            cache.push(unit(n % 40 == 0, 10_000), None);
        }
        assert_eq!(cache.start(), 80);
        assert_eq!(cache.first(), 80 - TAIL as u64);
        assert_eq!(cache.head(), 100);
        assert_eq!(cache.since(98).map(|(n, _)| n).collect::<Vec<_>>(), [98, 99]);
        assert_eq!(
            cache.since(0).count(),
            0,
            "what has left is not replaced by something else"
        );
    }

    #[test]
    fn a_monstrous_gop_is_dropped_and_starts_at_the_next_keyframe() {
        let mut cache = GopCache::default();
        cache.push(unit(true, 10), None);
        for _ in 0..40 {
            cache.push(unit(false, 1 << 20), None);
        }
        assert_eq!(cache.start(), cache.head());
        assert!(cache.bytes <= MOST_BYTES);
        cache.push(unit(true, 10), None);
        assert_eq!(cache.start(), cache.head() - 1);
    }

    #[test]
    fn what_a_subscriber_needs_is_kept_since_the_former_keyframe() {
        let mut cache = GopCache::default();
        for n in 0..100 {
            cache.push(unit(n % 40 == 0, 10_000), Some(5));
        }
        assert_eq!(cache.first(), 40, "the keyframe before the newest");
        cache.push(unit(false, 10_000), Some(90));
        assert_eq!(cache.first(), 80 - TAIL as u64, "nobody needs it any more");
    }

    #[test]
    fn sound_alone_is_kept_for_seconds() {
        let mut cache = GopCache::default();
        for _ in 0..1000 {
            cache.push(unit(true, 300), None);
        }
        assert_eq!(cache.head() - 1 - cache.first(), LONG_TAIL as u64);
    }

    #[test]
    fn nobody_starts_in_a_closed_gop() {
        let mut cache = GopCache::default();
        cache.push(unit(true, 10), None);
        cache.push(unit(false, 10), None);
        cache.close();
        assert_eq!((cache.first(), cache.start(), cache.head()), (0, 2, 2));
        assert!(cache.get(1).is_some(), "who reads may go on");
    }
}
