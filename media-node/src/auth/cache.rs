//! What the account store said lately, so that a request does not cost a query each.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Most entries kept. More callers than this just cost a query now and then.
const CAPACITY: usize = 8192;

pub(super) struct Cache<K, V>(Mutex<HashMap<K, Entry<V>>>);

#[derive(Clone)]
pub(super) struct Entry<V> {
    pub(super) value: V,
    /// The store's revision before it was asked.
    pub(super) revision: i64,
    pub(super) since: Instant,
}

impl<V> Entry<V> {
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(super) fn look_up(&self, key: &K) -> Option<Entry<V>> {
        self.0.lock().get(key).cloned()
    }

    pub(super) fn insert(&self, key: K, entry: Entry<V>) {
        let mut entries = self.0.lock();
        if entries.len() >= CAPACITY && !entries.contains_key(&key) {
            let now = entry.since;
            entries.retain(|_, known| known.age(now) <= super::FRESH);
            // More live callers than fit: forget them all rather than search for the oldest each time.
            if entries.len() >= CAPACITY {
                entries.clear();
            }
        }
        entries.insert(key, entry);
    }

    pub(super) fn forget(&self, key: &K) {
        self.0.lock().remove(key);
    }

    pub(super) fn forget_all(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Cache, Entry};
    use std::time::{Duration, Instant};

    fn entry(value: usize, since: Instant) -> Entry<usize> {
        Entry {
            value,
            revision: 0,
            since,
        }
    }

    #[test]
    fn it_never_grows_past_its_capacity() {
        let cache = Cache::new();
        let start = Instant::now();
        for n in 0..3 * CAPACITY {
            cache.insert(n, entry(n, start));
            assert!(cache.0.lock().len() <= CAPACITY);
        }
        let newest = 3 * CAPACITY - 1;
        assert_eq!(cache.look_up(&newest).unwrap().value, newest);
    }

    #[test]
    fn the_old_make_room_for_the_new() {
        let cache = Cache::new();
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        for n in 0..CAPACITY {
            cache.insert(n, entry(n, if n == 7 { later } else { start }));
        }
        cache.insert(CAPACITY, entry(0, later));
        assert_eq!(cache.0.lock().len(), 2);
        assert!(cache.look_up(&7).is_some() && cache.look_up(&8).is_none());
        cache.forget(&7);
        assert!(cache.look_up(&7).is_none());
        cache.forget_all();
        assert!(cache.0.lock().is_empty());
    }
}
