//! The relays of a gateway: one for each stream that somebody here watches.

use super::{EdgeSettings, Map, Owner, RANKS, Shared};
use crate::cluster::work::{News, Work, WorkId};
use crate::hub::Hub;
use crate::ingest::relay::is_published_here;
use crate::ingest::{Job, Launch, Reason, Source, State};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info};
use weir_proto::media::StreamPath;

/// Between attempts while the owner doesn't answer.
const RETRY: Duration = Duration::from_millis(500);
/// Relays at once; past that, streams that don't run here are not found.
const MOST: usize = 10_000;

/// One stream.
struct Relay {
    /// The relay whose stream viewers get; none between attempts.
    now: Option<(Work, Owner)>,
    /// The one that shall take its place as soon as it has media.
    next: Option<(Work, Owner)>,
    /// Of a path that no Camera has, how many nodes did not know it.
    rank: usize,
    /// When somebody last asked, or watched.
    wanted_at: Instant,
    /// No attempt before.
    retry_at: Option<Instant>,
    /// Since when the stream is to come from another node.
    moving: Option<Instant>,
    was_live: bool,
    /// Somebody asks for it while it is on its way out.
    again: bool,
}

impl Relay {
    fn is_live(&self) -> bool {
        self.now.as_ref().is_some_and(|(work, _)| work.is_live())
    }
}

pub(super) struct Relays {
    hub: Arc<Hub>,
    launch: Arc<dyn Launch>,
    settings: EdgeSettings,
    shared: Arc<Shared>,
    news: mpsc::Sender<News>,
    all: HashMap<StreamPath, Relay>,
    /// Which path a job is for; jobs that were told to stop have none.
    paths: HashMap<WorkId, Option<StreamPath>>,
}

/// What is to become of a relay.
enum Fate {
    Stays,
    /// Nobody needs it, nobody has it, or it is published here.
    Goes,
}

impl Relays {
    pub(super) fn new(
        hub: Arc<Hub>,
        launch: Arc<dyn Launch>,
        settings: EdgeSettings,
        shared: Arc<Shared>,
        news: mpsc::Sender<News>,
    ) -> Self {
        Self {
            hub,
            launch,
            settings,
            shared,
            news,
            all: HashMap::new(),
            paths: HashMap::new(),
        }
    }

    /// Somebody asked for streams that don't run here.
    pub(super) fn demands(&mut self) {
        let now = Instant::now();
        let asked = std::mem::take(&mut self.shared.map.write().asked);
        for path in asked {
            if self.all.len() >= MOST && !self.all.contains_key(&path) {
                self.hub.refuse(&path);
                continue;
            }
            let relay = self.all.entry(path.clone()).or_insert(Relay {
                now: None,
                next: None,
                rank: 0,
                wanted_at: now,
                retry_at: None,
                moving: None,
                was_live: false,
                again: false,
            });
            relay.wanted_at = now;
            relay.again |= relay.was_live && self.hub.stream(&path).is_none();
            self.step(&path, now);
        }
        self.count();
    }

    pub(super) fn step_all(&mut self) {
        let now = Instant::now();
        let paths: Vec<StreamPath> = self.all.keys().cloned().collect();
        for path in paths {
            self.step(&path, now);
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        for (path, relay) in &mut self.all {
            if self.hub.stream(path).is_some_and(|s| s.viewers() > 0) {
                relay.wanted_at = now;
            }
        }
        self.step_all();
        self.shared.map.write().unknown.retain(|_, until| *until > now);
        self.count();
    }

    fn count(&self) {
        let live = self.all.values().filter(|r| r.is_live()).count();
        metrics::gauge!("weir_relays", "state" => "live").set(live as f64);
        metrics::gauge!("weir_relays", "state" => "connecting").set((self.all.len() - live) as f64);
        let mut map = self.shared.map.write();
        // Those that are live don't count: they are streams, not questions.
        map.undeclared = self
            .all
            .iter()
            .filter(|(path, r)| !r.is_live() && !map.cameras.contains_key(*path))
            .count();
    }

    fn step(&mut self, path: &StreamPath, now: Instant) {
        let Some(mut relay) = self.all.remove(path) else {
            return;
        };
        match self.decide(path, &mut relay, now) {
            Fate::Stays => {
                self.all.insert(path.clone(), relay);
            }
            Fate::Goes => {
                let was_live = relay.is_live();
                self.stop(relay.now.take());
                self.stop(relay.next.take());
                if !was_live {
                    self.hub.refuse(path);
                }
            }
        }
    }

    fn decide(&mut self, path: &StreamPath, relay: &mut Relay, now: Instant) -> Fate {
        if is_published_here(&self.hub, path) {
            debug!(stream = %path, "a relay makes way for a publisher");
            return Fate::Goes;
        }
        let shared = self.shared.clone();
        let map = shared.map.read();
        let wanted = map.owner(path, relay.rank);
        if relay.is_live() {
            if now - relay.wanted_at >= self.settings.idle {
                debug!(stream = %path, "nobody watches a relayed stream any more");
                return Fate::Goes;
            }
            self.follow_owner(path, relay, &map, wanted, now);
            return Fate::Stays;
        }
        if map.cameras.get(path).is_some_and(|place| !place.enabled) {
            return Fate::Goes;
        }
        if now - relay.wanted_at >= self.settings.patience {
            return Fate::Goes;
        }
        if let Some((_, owner)) = &relay.now
            && wanted.as_ref() != Some(owner)
        {
            // Not yet begun, and at the wrong place.
            self.stop(relay.now.take());
            relay.retry_at = None;
        }
        if let Some(owner) = wanted
            && relay.now.is_none()
            && relay.retry_at.is_none_or(|at| at <= now)
        {
            relay.retry_at = None;
            relay.now = Some(self.begin(path, owner));
        }
        Fate::Stays
    }

    /// Keeps a live stream coming when its owner changes.
    fn follow_owner(
        &mut self,
        path: &StreamPath,
        relay: &mut Relay,
        map: &Map,
        wanted: Option<Owner>,
        now: Instant,
    ) {
        let Some((_, owner)) = &relay.now else { return };
        if !map.has(owner) {
            // Its pod is gone: no use to wait for the connection to find out.
            info!(stream = %path, node = owner.node, "the owner of a relayed stream is gone");
            self.stop(relay.now.take());
            self.stop(relay.next.take());
            relay.moving = None;
            relay.now = wanted.map(|owner| self.begin(path, owner));
            return;
        }
        let declared = map.cameras.get(path);
        let wanted = wanted.filter(|w| w != owner && declared.is_some());
        let Some(wanted) = wanted else {
            // Where it should be; or a stream that nobody placed, which stays where it began.
            relay.moving = None;
            self.stop(relay.next.take());
            return;
        };
        let since = *relay.moving.get_or_insert(now);
        let ready = declared.is_some_and(|p| p.live) || now - since >= self.settings.handover;
        match &relay.next {
            Some((_, next)) if *next == wanted => {}
            _ if ready && relay.retry_at.is_none_or(|at| at <= now) => {
                info!(stream = %path, from = owner.node, to = wanted.node, "a relayed stream moves");
                self.stop(relay.next.take());
                relay.retry_at = None;
                relay.next = Some(self.begin(path, wanted));
            }
            _ => {}
        }
    }

    fn begin(&mut self, path: &StreamPath, owner: Owner) -> (Work, Owner) {
        let job = Job {
            path: path.clone(),
            camera: None,
            source: Source::Relay {
                address: owner.address.clone(),
                secret: self.settings.secret.clone(),
            },
            audio: true,
            // Whether there is another attempt, and where, is decided here.
            redial: false,
        };
        debug!(stream = %path, node = owner.node, "relaying");
        let work = Work::start(&*self.launch, job, self.news.clone());
        self.paths.insert(work.id, Some(path.clone()));
        (work, owner)
    }

    fn stop(&mut self, work: Option<(Work, Owner)>) {
        if let Some((work, _)) = work {
            work.stop();
            self.paths.insert(work.id, None);
        }
    }

    pub(super) fn state_changed(&mut self, id: WorkId) {
        let now = Instant::now();
        let Some(Some(path)) = self.paths.get(&id).cloned() else {
            return;
        };
        let Some(mut relay) = self.all.remove(&path) else {
            return;
        };
        if relay.next.as_ref().is_some_and(|(work, _)| work.id == id) {
            self.next_changed(&path, &mut relay, now);
        } else if let Some((work, owner)) = relay.now.as_ref().filter(|(work, _)| work.id == id) {
            match work.state() {
                State::Live { .. } => {
                    relay.wanted_at = now;
                    relay.was_live = true;
                    relay.again = false;
                }
                State::Failed {
                    reason: Reason::Ended,
                    ..
                } if relay.was_live && !self.shared.map.read().cameras.contains_key(&path) => {
                    // It has ended or was closed, and those who watched are gone: only who asks brings it back. A
                    // relay that broke is another matter.
                    debug!(stream = %path, node = owner.node, "a relayed stream has ended");
                    self.stop(relay.now.take());
                    self.stop(relay.next.take());
                    if !relay.again {
                        return;
                    }
                    relay.rank = 0;
                    relay.was_live = false;
                    relay.again = false;
                    relay.retry_at = None;
                }
                State::Failed { reason, message, .. } => {
                    debug!(stream = %path, node = owner.node, reason = reason.as_str(), error = message, "no relay");
                    if !self.another_attempt(&path, &mut relay, reason, now) {
                        self.shared.map.write().unknown(&path, now);
                        self.stop(relay.now.take());
                        self.stop(relay.next.take());
                        self.hub.refuse(&path);
                        return;
                    }
                }
                State::Connecting | State::Stopped => {}
            }
        }
        self.all.insert(path.clone(), relay);
        self.step(&path, now);
    }

    /// The relay that shall take over has something to say.
    fn next_changed(&mut self, path: &StreamPath, relay: &mut Relay, now: Instant) {
        let state = relay.next.as_ref().map(|(work, _)| work.state());
        match state {
            Some(State::Live { .. }) => {
                info!(stream = %path, "a relayed stream has moved");
                let former = relay.now.take();
                self.stop(former);
                relay.now = relay.next.take();
                relay.moving = None;
            }
            Some(State::Failed { .. } | State::Stopped) => {
                // The former node's goes on as long as it does.
                self.stop(relay.next.take());
                relay.retry_at = Some(now + 2 * RETRY);
            }
            Some(State::Connecting) | None => {}
        }
    }

    /// What to do after an attempt has failed. False to give up.
    fn another_attempt(
        &mut self,
        path: &StreamPath,
        relay: &mut Relay,
        reason: Reason,
        now: Instant,
    ) -> bool {
        let place = self.shared.map.read().cameras.get(path).cloned();
        let unknown = reason == Reason::NotFound;
        match place {
            // An owner that doesn't know its camera yet will in a moment.
            Some(place) if unknown && place.reported => return false,
            None if unknown && self.shared.map.read().has_new_route(path, now) => {
                relay.retry_at = Some(now + RETRY);
            }
            None if unknown => {
                relay.rank += 1;
                let others = self.shared.map.read().owner(path, relay.rank).is_some();
                if relay.rank >= RANKS || !others {
                    return false;
                }
                relay.retry_at = None;
            }
            _ if reason == Reason::AuthFailed => return false,
            _ => relay.retry_at = Some(now + RETRY),
        }
        self.stop(relay.now.take());
        true
    }

    pub(super) fn ended(&mut self, id: WorkId) {
        let now = Instant::now();
        let Some(Some(path)) = self.paths.remove(&id) else {
            return;
        };
        let Some(mut relay) = self.all.remove(&path) else {
            return;
        };
        let is = |of: &Option<(Work, Owner)>| of.as_ref().is_some_and(|(work, _)| work.id == id);
        if is(&relay.next) {
            relay.next = None;
            relay.retry_at = Some(now + 2 * RETRY);
        } else if is(&relay.now) {
            relay.now = None;
            // One that takes over already takes over now. Otherwise the stream has ended, and
            // whoever comes back asks again.
            relay.now = relay.next.take();
            if relay.now.is_none() {
                self.hub.refuse(&path);
                return;
            }
        }
        self.all.insert(path.clone(), relay);
        self.step(&path, now);
    }

    pub(super) fn end_all(&mut self) {
        let all = std::mem::take(&mut self.all);
        for (_, mut relay) in all {
            self.stop(relay.now.take());
            self.stop(relay.next.take());
        }
    }

    /// Whether every job has ended.
    pub(super) fn is_over(&self) -> bool {
        self.paths.is_empty()
    }
}
