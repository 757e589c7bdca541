//! When a namespace is due: soon after something changed in it, not more often than its pace, never twice at a time, and
//! when its last plan asked for it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Entry {
    due: Option<Instant>,
    running: bool,
    not_before: Option<Instant>,
}

/// All namespaces that are due or worked on.
#[derive(Debug)]
pub(super) struct Schedule {
    entries: Mutex<HashMap<String, Entry>>,
    changed: Notify,
    quiet: Duration,
    pace: Duration,
}

impl Schedule {
    pub(super) fn new(quiet: Duration, pace: Duration) -> Self {
        Self {
            entries: Mutex::default(),
            changed: Notify::new(),
            quiet,
            pace,
        }
    }

    /// Something changed there.
    pub(super) fn changed(&self, namespace: &str) {
        self.due(namespace, self.quiet);
    }

    /// Something changed that concerns all namespaces.
    pub(super) fn all_changed(&self) {
        let now = Instant::now();
        for entry in self.entries.lock().values_mut() {
            bring_forward(entry, now + self.quiet);
        }
        self.changed.notify_one();
    }

    /// It is to be looked at after that time at the latest.
    pub(super) fn due(&self, namespace: &str, after: Duration) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(namespace.to_owned()).or_default();
        bring_forward(entry, Instant::now() + after);
        drop(entries);
        self.changed.notify_one();
    }

    /// The namespace that has been due for the longest time, which is now being worked on.
    pub(super) fn take(&self, now: Instant) -> Option<String> {
        let mut entries = self.entries.lock();
        let (name, entry) = entries
            .iter_mut()
            .filter(|(_, e)| e.time().is_some_and(|t| t <= now))
            .min_by_key(|(_, e)| e.due)?;
        entry.due = None;
        entry.running = true;
        entry.not_before = Some(now + self.pace);
        Some(name.clone())
    }

    /// Whatever was being worked on is not any more: it was dropped half way. It is due again when something asks for it.
    pub(super) fn restart(&self) {
        for entry in self.entries.lock().values_mut() {
            entry.running = false;
        }
    }

    /// Work there has ended.
    pub(super) fn done(&self, namespace: &str, now: Instant) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(namespace) {
            entry.running = false;
        }
        // What is not due keeps its pace for a moment, and is then forgotten until something changes or is asked for.
        entries.retain(|_, e| e.running || e.due.is_some() || e.not_before.is_some_and(|t| t > now));
        drop(entries);
        self.changed.notify_one();
    }

    /// Waits until one is due, or something has changed about when.
    pub(super) async fn wait(&self, now: Instant) {
        let next = self.entries.lock().values().filter_map(Entry::time).min();
        match next {
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep(next.saturating_duration_since(now)) => {}
                    () = self.changed.notified() => {}
                }
            }
            None => self.changed.notified().await,
        }
    }
}

impl Entry {
    fn time(&self) -> Option<Instant> {
        let due = self.due.filter(|_| !self.running)?;
        Some(self.not_before.map_or(due, |t| t.max(due)))
    }
}

fn bring_forward(entry: &mut Entry, time: Instant) {
    entry.due = Some(entry.due.map_or(time, |due| due.min(time)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(20);
    const PACE: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_is_one_piece_of_work_and_the_pace_is_kept() {
        let schedule = Schedule::new(QUIET, PACE);
        let start = Instant::now();
        for _ in 0..100 {
            schedule.changed("a");
        }
        assert_eq!(schedule.take(start), None, "not quiet yet");
        let later = Instant::now() + QUIET;
        assert_eq!(schedule.take(later).as_deref(), Some("a"));
        assert_eq!(schedule.take(later), None);
        schedule.changed("a");
        assert_eq!(schedule.take(later + PACE), None, "it is being worked on");
        schedule.done("a", later);
        assert_eq!(
            schedule.take(later + PACE / 2),
            None,
            "too soon after the last time"
        );
        assert_eq!(schedule.take(later + PACE).as_deref(), Some("a"));
    }

    #[test]
    fn work_that_was_dropped_can_be_begun_again() {
        let schedule = Schedule::new(QUIET, PACE);
        schedule.due("a", Duration::ZERO);
        let later = Instant::now() + QUIET;
        assert_eq!(schedule.take(later).as_deref(), Some("a"));
        // Leadership ends, and done is never called.
        schedule.restart();
        schedule.due("a", Duration::ZERO);
        assert_eq!(schedule.take(later + PACE).as_deref(), Some("a"));
    }

    #[test]
    fn the_sooner_of_two_times_counts() {
        let schedule = Schedule::new(QUIET, PACE);
        schedule.due("a", Duration::from_mins(1));
        schedule.due("a", Duration::from_secs(1));
        schedule.due("a", Duration::from_secs(30));
        assert_eq!(
            schedule.take(Instant::now() + Duration::from_secs(2)).as_deref(),
            Some("a")
        );
        schedule.done("a", Instant::now() + Duration::from_mins(1));
        assert!(schedule.entries.lock().is_empty());
    }

    #[test]
    fn who_waits_longest_goes_first() {
        let schedule = Schedule::new(QUIET, PACE);
        schedule.due("b", Duration::from_millis(1));
        schedule.due("a", Duration::from_millis(5));
        let later = Instant::now() + PACE;
        assert_eq!(schedule.take(later).as_deref(), Some("b"));
        assert_eq!(schedule.take(later).as_deref(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_the_wait() {
        let schedule = Schedule::new(QUIET, PACE);
        schedule.due("a", Duration::from_hours(1));
        let wait = schedule.wait(Instant::now());
        schedule.changed("b");
        tokio::time::timeout(Duration::from_secs(1), wait)
            .await
            .expect("woken");
    }
}
