//! Who watches by the player page, as the page says it every twelve seconds. Streams start and stop with their real
//! viewers; this is a count for people.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A page that says nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(30);
/// Silent pages are looked for when this has passed since the last look.
const LOOK: Duration = Duration::from_secs(10);
/// Most that are remembered.
const MOST: usize = 100_000;

/// The pages that are open at this process, by channel and page.
#[derive(Debug)]
pub struct Viewers(Mutex<Pages>);

#[derive(Debug)]
struct Pages {
    /// When each was heard of last.
    seen: HashMap<(i64, i64), Instant>,
    looked: Instant,
}

impl Default for Viewers {
    fn default() -> Self {
        Self(Mutex::new(Pages {
            seen: HashMap::new(),
            looked: Instant::now(),
        }))
    }
}

impl Viewers {
    /// A number that no other page of the channel has.
    pub(super) fn register(&self, camera_id: i64, now: Instant) -> i64 {
        let player_id = i64::from(rand::random::<u32>() >> 1).max(1);
        self.see(camera_id, player_id, now);
        player_id
    }

    pub(super) fn see(&self, camera_id: i64, player_id: i64, now: Instant) {
        let mut pages = self.0.lock();
        let Pages { seen, looked } = &mut *pages;
        if now.duration_since(*looked) >= LOOK || seen.len() >= MOST {
            seen.retain(|_, at| now.duration_since(*at) < SILENT);
            *looked = now;
        }
        if seen.len() < MOST || seen.contains_key(&(camera_id, player_id)) {
            seen.insert((camera_id, player_id), now);
        }
        metrics::gauge!("weir_recorder_pages").set(seen.len() as f64);
    }

    pub(super) fn leave(&self, camera_id: i64, player_id: i64) {
        let mut pages = self.0.lock();
        pages.seen.remove(&(camera_id, player_id));
        metrics::gauge!("weir_recorder_pages").set(pages.seen.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::Viewers;
    use std::time::{Duration, Instant};

    #[test]
    fn silent_pages_are_forgotten() {
        let (viewers, start) = (Viewers::default(), Instant::now());
        let count = || viewers.0.lock().seen.len();
        let one = viewers.register(1, start);
        let two = viewers.register(1, start);
        assert!(one > 0 && two > 0 && count() == 2);
        viewers.see(1, one, start + Duration::from_secs(29));
        assert_eq!(count(), 2);
        viewers.see(1, one, start + Duration::from_secs(40));
        assert_eq!(count(), 1);
        viewers.leave(1, one);
        assert_eq!(count(), 0);
    }
}
