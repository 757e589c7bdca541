//! Statuses and events on their way to the resources: written on change only, throttled, retried
//! while the API server is away; of several states only the last is written. What they say is
//! `status`'s.

use super::resource::{Notice, ResourceWriter, Target, WriteError};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Between two writes of one status.
const GAP: Duration = Duration::from_secs(1);
/// At most [`MOST`] writes of one status within this time: what flaps for long is written rarely.
const WINDOW: Duration = Duration::from_mins(1);
const MOST: usize = 10;
/// News in other words only can wait this long.
const MINOR_GAP: Duration = Duration::from_mins(1);
/// Writes under way at once.
const AT_ONCE: usize = 8;
/// After a conflict, until the store has the newer version.
const CONFLICT_PAUSE: Duration = Duration::from_millis(200);
/// After a refusal, which only somebody else can end.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// While nothing can be written, a single try after this and at most that long.
const OUTAGE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// Events that wait to be sent; more are dropped.
const NOTICES: usize = 256;
/// Events of one object: so many in a row, then one each time this passes.
const NOTICE_BURST: u32 = 6;
const NOTICE_REFILL: Duration = Duration::from_secs(30);

/// Takes statuses and events for all objects. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reports(Arc<Inner>);

struct Inner {
    writer: Arc<dyn ResourceWriter>,
    queue: Mutex<Queue>,
    /// There is something new to do.
    bell: Notify,
    notices: mpsc::Sender<(Target, Notice)>,
}

#[derive(Default)]
struct Queue {
    slots: HashMap<Target, Slot>,
    /// Since when nothing could be written: when to try next, and the pause after that.
    outage: Option<(Instant, Duration)>,
    allowances: HashMap<Target, (u32, Instant)>,
}

#[derive(Default)]
struct Slot {
    /// To be written, decided for this resource version; none when nothing is.
    wanted: Option<Wanted>,
    written: Option<Value>,
    /// The version that the last write was made on, and the one it made: the store may still have
    /// the first.
    made: Option<(Option<String>, Option<String>)>,
    times: VecDeque<Instant>,
    not_before: Option<Instant>,
    busy: bool,
}

#[derive(Clone, PartialEq)]
struct Wanted {
    status: Value,
    version: Option<String>,
    minor: bool,
}

impl Slot {
    /// When the wanted status may be written, `now` at the earliest; none when there is nothing to
    /// write.
    fn due(&self, now: Instant) -> Option<Instant> {
        let wanted = self.wanted.as_ref().filter(|_| !self.busy)?;
        let mut due = self.not_before;
        if let Some(last) = self.times.back() {
            let gap = if wanted.minor { MINOR_GAP } else { GAP };
            due = due.max(Some(*last + gap));
        }
        if self.times.len() >= MOST
            && let Some(first) = self.times.front()
        {
            due = due.max(Some(*first + WINDOW));
        }
        Some(due.map_or(now, |due| due.max(now)))
    }
}

impl Reports {
    /// Starts writing; ends, with what is due by then written or given up, soon after `stop`.
    pub(super) fn start(writer: Arc<dyn ResourceWriter>, stop: CancellationToken) -> (Self, JoinSet<()>) {
        let (notices, receiver) = mpsc::channel(NOTICES);
        let reports = Self(Arc::new(Inner {
            writer,
            queue: Mutex::default(),
            bell: Notify::new(),
            notices,
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(reports.clone().write_all(stop.clone()));
        tasks.spawn(reports.clone().notify_all(receiver, stop));
        (reports, tasks)
    }

    /// `status` is what is true now, decided from `version` of the object. `minor` news may wait.
    pub(super) fn put(&self, target: &Target, version: Option<String>, status: Value, minor: bool) {
        let mut queue = self.0.queue.lock();
        let slot = queue.slots.entry(target.clone()).or_default();
        if slot.written.as_ref() == Some(&status) && !slot.busy {
            slot.wanted = None;
            return;
        }
        // Once something matters, words that come after it don't put it off.
        let minor = minor && slot.wanted.as_ref().is_none_or(|w| w.minor);
        slot.wanted = Some(Wanted {
            status,
            version,
            minor,
        });
        drop(queue);
        self.0.bell.notify_one();
    }

    /// The object has a newer version, which changes nothing of what is to be written.
    pub(super) fn rebase(&self, target: &Target, version: Option<&str>) {
        let mut queue = self.0.queue.lock();
        let wanted = queue.slots.get_mut(target).and_then(|s| s.wanted.as_mut());
        if let Some(wanted) = wanted
            && wanted.version.as_deref() != version
        {
            wanted.version = version.map(str::to_owned);
            drop(queue);
            self.0.bell.notify_one();
        }
    }

    /// Nothing more is to be said of the object: it is gone, or somebody else's.
    pub(super) fn forget(&self, target: &Target) {
        let mut queue = self.0.queue.lock();
        queue.slots.remove(target);
        queue.allowances.remove(target);
    }

    /// Tells an event, unless the object had too many lately.
    pub(super) fn notice(&self, target: &Target, warning: bool, reason: &'static str, note: String) {
        let now = Instant::now();
        let mut queue = self.0.queue.lock();
        let (left, since) = queue
            .allowances
            .entry(target.clone())
            .or_insert((NOTICE_BURST, now));
        let refilled = (now.duration_since(*since).as_secs_f64() / NOTICE_REFILL.as_secs_f64()) as u32;
        if refilled > 0 {
            *left = left.saturating_add(refilled).min(NOTICE_BURST);
            *since = now;
        }
        let allowed = *left > 0;
        *left = left.saturating_sub(1);
        drop(queue);
        let notice = Notice {
            warning,
            reason,
            note,
        };
        let sent = allowed && self.0.notices.try_send((target.clone(), notice)).is_ok();
        let result = if sent { "queued" } else { "dropped" };
        metrics::counter!("weir_events_total", "result" => result).increment(1);
    }

    async fn notify_all(self, mut receiver: mpsc::Receiver<(Target, Notice)>, stop: CancellationToken) {
        while let Some(Some((target, notice))) = stop.run_until_cancelled(receiver.recv()).await {
            if let Err(error) = self.0.writer.notify(&target, &notice).await {
                debug!(object = %target, reason = notice.reason, %error, "an event was not taken");
            }
        }
    }

    async fn write_all(self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        loop {
            let (next, wake) = self.next(under_way.len());
            if let Some((target, wanted)) = next {
                let writer = self.0.writer.clone();
                under_way.spawn(async move {
                    let version = wanted.version.as_deref();
                    let outcome = writer.apply_status(&target, version, &wanted.status).await;
                    (target, wanted, outcome)
                });
                continue;
            }
            let far = Instant::now() + Duration::from_hours(1);
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.0.bell.notified() => {}
                () = tokio::time::sleep_until(wake.unwrap_or(far)) => {}
                Some(done) = under_way.join_next() => {
                    if let Ok((target, wanted, outcome)) = done {
                        self.done(&target, wanted, outcome);
                    }
                }
            }
        }
        while let Some(done) = under_way.join_next().await {
            if let Ok((target, wanted, outcome)) = done {
                self.done(&target, wanted, outcome);
            }
        }
    }

    /// A status to write now, or when there may be one.
    fn next(&self, under_way: usize) -> (Option<(Target, Wanted)>, Option<Instant>) {
        let mut queue = self.0.queue.lock();
        let now = Instant::now();
        let at_once = if queue.outage.is_some() { 1 } else { AT_ONCE };
        if under_way >= at_once {
            return (None, None);
        }
        let first = queue
            .slots
            .iter()
            .filter_map(|(t, s)| Some((s.due(now)?, t.clone())))
            .min();
        let Some((due, target)) = first else {
            return (None, None);
        };
        let due = due.max(queue.outage.map_or(due, |(until, _)| until));
        if due > now {
            return (None, Some(due));
        }
        let Some(slot) = queue.slots.get_mut(&target) else {
            return (None, None);
        };
        slot.busy = true;
        let Some(mut wanted) = slot.wanted.clone() else {
            return (None, None);
        };
        if let Some((base, made)) = &slot.made
            && *base == wanted.version
        {
            wanted.version.clone_from(made);
        }
        (Some((target, wanted)), None)
    }

    fn done(&self, target: &Target, tried: Wanted, outcome: Result<Option<String>, WriteError>) {
        let result = outcome.as_ref().map_or_else(WriteError::category, |_| "ok");
        debug!(object = %target, version = tried.version, result, "status write");
        metrics::counter!("weir_status_writes_total", "result" => result).increment(1);
        let now = Instant::now();
        let mut queue = self.0.queue.lock();
        let queue = &mut *queue;
        match (&outcome, queue.outage) {
            (Err(WriteError::Unavailable(cause)), None) => {
                warn!(error = %cause, "statuses can't be written; trying again");
                queue.outage = Some((now + OUTAGE.0, OUTAGE.0 * 2));
            }
            (Err(WriteError::Unavailable(_)), Some((_, pause))) => {
                queue.outage = Some((now + pause, (pause * 2).min(OUTAGE.1)));
            }
            (_, Some(_)) => {
                info!("statuses can be written again");
                queue.outage = None;
            }
            (_, None) => {}
        }
        let Some(slot) = queue.slots.get_mut(target) else {
            return;
        };
        slot.busy = false;
        match outcome {
            Ok(version) => {
                if slot.times.len() >= MOST {
                    slot.times.pop_front();
                }
                slot.times.push_back(now);
                slot.not_before = None;
                // What was wanted when it was taken; something newer may be by now.
                let base = match &slot.made {
                    Some((base, made)) if *made == tried.version => base.clone(),
                    _ => tried.version,
                };
                slot.made = Some((base, version));
                if slot.wanted.as_ref().is_some_and(|w| w.status == tried.status) {
                    slot.wanted = None;
                }
                slot.written = Some(tried.status);
            }
            Err(WriteError::Gone) => {
                queue.slots.remove(target);
            }
            Err(WriteError::Conflict) => slot.not_before = Some(now + CONFLICT_PAUSE),
            Err(WriteError::Refused(why)) => {
                warn!(object = %target, why, "a status was refused");
                slot.not_before = Some(now + REFUSED_PAUSE);
            }
            Err(WriteError::Unavailable(_)) => {}
        }
    }

    /// Waits until everything is written, but not for what can't be written now.
    pub(super) async fn settled(&self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let pending = || {
            let queue = self.0.queue.lock();
            queue.outage.is_none() && queue.slots.values().any(|s| s.busy || s.wanted.is_some())
        };
        while pending() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
