//! What the account store said lately, so that a request does not cost a query each.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Most entries kept. More callers than this just cost a query now and then.
const CAPACITY: usize = 8192;

pub(super) struct Cache<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The value and its age.
    pub(super) fn look_up(&self, key: &K, now: Instant) -> Option<(V, Duration)> {
        let entries = self.0.lock();
        let (value, since) = entries.get(key)?;
        Some((value.clone(), now.saturating_duration_since(*since)))
    }

    pub(super) fn insert(&self, key: K, value: V, now: Instant) {
        let mut entries = self.0.lock();
        if entries.len() >= CAPACITY && !entries.contains_key(&key) {
            let limit = super::FRESH;
            entries.retain(|_, (_, since)| now.saturating_duration_since(*since) <= limit);
            // More live callers than fit: forget them all rather than search for the oldest each time.
            if entries.len() >= CAPACITY {
                entries.clear();
            }
        }
        entries.insert(key, (value, now));
    }

    pub(super) fn forget(&self, key: &K) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Cache};
    use std::time::{Duration, Instant};

    #[test]
    fn it_never_grows_past_its_capacity() {
        let cache = Cache::new();
        let start = Instant::now();
        for n in 0..3 * CAPACITY {
            cache.insert(n, n, start);
            assert!(cache.0.lock().len() <= CAPACITY);
        }
        let newest = 3 * CAPACITY - 1;
        assert_eq!(cache.look_up(&newest, start).unwrap().0, newest);
    }

    #[test]
    fn the_old_make_room_for_the_new() {
        let cache = Cache::new();
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        for n in 0..CAPACITY {
            cache.insert(n, n, if n == 7 { later } else { start });
        }
        cache.insert(CAPACITY, 0, later);
        assert_eq!(cache.0.lock().len(), 2);
        assert!(cache.look_up(&7, later).is_some() && cache.look_up(&8, later).is_none());
        cache.forget(&7);
        assert!(cache.look_up(&7, later).is_none());
    }
}
