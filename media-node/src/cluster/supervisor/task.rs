//! Everything that the supervisor's task owns, and what it does about each piece of news.

use super::camera::Entry;
use super::credentials::{Answer, SecretCache};
use super::forwards::{Forwards, LABELS};
use super::owners::Owners;
use super::pull::Pulls;
use super::{Context, Parts, Settings, Shared};
use crate::cluster::job_of::{self, Refusal};
use crate::cluster::report::Reports;
use crate::cluster::resource::{Kind, Target};
use crate::cluster::route_match::Table;
use crate::cluster::status::{self, Forwarding, Phase};
use crate::cluster::work::{News, Work, WorkId};
use std::collections::hash_map;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::info;
use weir_crds::condition::{kind, reason};
use weir_crds::{Camera, Condition, Route, RouteStatus};
use weir_proto::media::StreamPath;

pub(super) struct Task {
    pub(super) parts: Parts,
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) reports: Reports,
    pub(super) news: mpsc::Sender<News>,
    pub(super) secrets: SecretCache,
    pub(super) entries: HashMap<Target, Entry>,
    pub(super) pulls: Pulls,
    pub(super) owners: Owners,
    /// Of Routes of one path that are pushed somewhere, which node owned them when they were last looked at.
    pub(super) owned: HashMap<Target, Option<String>>,
    /// Jobs of Cameras that are gone, until they end.
    pub(super) ending: HashMap<WorkId, Work>,
    pub(super) routes_said: HashMap<Target, RouteStatus>,
    /// There is news of recordings that no status tells yet.
    pub(super) recording_changed: bool,
}

impl Task {
    /// Calls `f` with the entries, the pulls and what they need.
    fn with<T>(
        &mut self,
        f: impl FnOnce(&mut HashMap<Target, Entry>, &mut Pulls, &mut Context<'_>) -> T,
    ) -> T {
        let mut context = Context {
            settings: &self.settings,
            hub: &self.parts.hub,
            launch: &*self.parts.launch,
            forward: &*self.parts.forward,
            news: &self.news,
            reports: &self.reports,
            shared: &self.shared,
            recording: &self.parts.recording,
            owners: &self.owners,
            secrets: &mut self.secrets,
        };
        f(&mut self.entries, &mut self.pulls, &mut context)
    }

    /// Looks at the whole world.
    pub(super) fn refresh(&mut self) {
        let started = std::time::Instant::now();
        let now = Instant::now();
        let version = self.parts.world.version();
        let all: Vec<Arc<Camera>> = self.parts.world.cameras.state();
        let all: Vec<Arc<Camera>> = all
            .into_iter()
            .filter(|c| c.metadata.deletion_timestamp.is_none())
            .collect();
        if !self.settings.standalone {
            self.owners = Owners::new(&self.settings.me, &self.parts.world.pods);
        }
        let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| self.is_mine(c));
        let winners = winners(&mine);
        let mut gone: HashSet<Target> = self.entries.keys().cloned().collect();
        for camera in &mine {
            let target = Target::of(Kind::Camera, &**camera);
            gone.remove(&target);
            let taken_by = winners
                .get(&camera.canonical_path())
                .filter(|w| !Arc::ptr_eq(w, camera))
                .and_then(|w| w.metadata.name.clone());
            self.with(|entries, _, c| {
                let (entry, new) = match entries.entry(target) {
                    hash_map::Entry::Occupied(held) => (held.into_mut(), false),
                    hash_map::Entry::Vacant(free) => (free.insert(Entry::new(camera.clone())), true),
                };
                if entry.update(camera, taken_by) || new {
                    entry.step(now, c);
                }
            });
        }
        self.let_go(&gone, &others, now);
        let placed = self.entries.len();
        self.shared
            .placed
            .send_if_modified(|n| std::mem::replace(n, placed) != placed);
        self.index(&others);
        self.shared.indexed.store(version, Ordering::Release);
        self.take_over(now);
        self.forward_routes();
        self.say_routes();
        self.forget_secrets();
        self.count();
        metrics::histogram!("weir_reconcile_seconds", "kind" => "Camera")
            .record(started.elapsed().as_secs_f64());
    }

    fn is_mine(&self, camera: &Camera) -> bool {
        self.settings.standalone || camera.node() == Some(self.settings.me.as_str())
    }

    /// Cameras that were ours: handed over to where they are placed now, or ended.
    fn let_go(&mut self, gone: &HashSet<Target>, others: &[Arc<Camera>], now: Instant) {
        let placed_elsewhere: HashMap<Target, &Arc<Camera>> = others
            .iter()
            .filter(|c| c.node().is_some() && c.spec.enabled)
            .map(|c| (Target::of(Kind::Camera, &**c), c))
            .filter(|(target, _)| gone.contains(target))
            .collect();
        for target in gone {
            // From here on what is said of it is not ours to say.
            self.reports.forget(target);
            let elsewhere = placed_elsewhere.get(target);
            let leaves = self.with(|entries, _, c| {
                let entry = entries.get_mut(target)?;
                let leaves = elsewhere.is_some_and(|camera| entry.leave(camera, now));
                if leaves {
                    entry.step(now, c);
                }
                Some(leaves)
            });
            if leaves == Some(false) {
                self.remove(target);
            }
        }
    }

    fn remove(&mut self, target: &Target) {
        let Some(entry) = self.entries.remove(target) else {
            return;
        };
        if !entry.is_leaving() {
            info!(camera = %target, "a camera is no longer ours");
        }
        if let Some(work) = entry.end() {
            self.ending.insert(work.id, work);
        }
    }

    /// Makes the index anew.
    fn index(&self, others: &[Arc<Camera>]) {
        let mut cameras: HashMap<StreamPath, bool> = others
            .iter()
            .filter_map(|c| Some((job_of::path_of(c).ok()?, false)))
            .collect();
        let mine = self.entries.values().filter(|e| e.has_path());
        cameras.extend(mine.filter_map(|e| Some((e.path()?, e.can_come()))));
        let routes = Table::new(self.routes());
        let mut index = self.shared.index.lock();
        index.cameras = cameras;
        index.routes = routes;
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        let all = self.parts.world.routes.state().into_iter();
        all.filter(|r| r.metadata.deletion_timestamp.is_none()).collect()
    }

    /// Tells the index what one camera can do now.
    fn reindex(&self, target: &Target) {
        let Some(entry) = self.entries.get(target).filter(|e| e.has_path()) else {
            return;
        };
        if let Some(path) = entry.path() {
            self.shared.index.lock().cameras.insert(path, entry.can_come());
        }
    }

    /// Somebody asked for streams that don't run.
    pub(super) fn demands(&mut self) {
        let now = Instant::now();
        if self.shared.is_behind() {
            self.refresh();
        }
        let asked = self.shared.index.lock().take_asked();
        for path in asked {
            let target = self
                .entries
                .iter()
                .find(|(_, e)| e.has_path() && e.path().as_ref() == Some(&path))
                .map(|(target, _)| target.clone());
            if let Some(target) = target {
                self.with(|entries, _, c| {
                    if let Some(entry) = entries.get_mut(&target) {
                        entry.demand(now);
                        entry.step(now, c);
                        if !entry.can_come() {
                            c.hub.refuse(&path);
                        }
                    }
                });
                self.reindex(&target);
            } else {
                let matched = self.shared.index.lock().routes.find(&job_of::canonical(&path));
                self.with(|_, pulls, c| pulls.demand(&path, matched, now, c));
                self.forward_routes();
                self.say_routes();
            }
        }
    }

    pub(super) fn job_news(&mut self, news: News) {
        let now = Instant::now();
        let (News::State(id) | News::Ended(id)) = news;
        let over = matches!(news, News::Ended(_));
        if self.ending.contains_key(&id) {
            if over {
                self.ending.remove(&id);
            }
            return;
        }
        let pulled = self.with(|_, pulls, c| {
            if over {
                pulls.ended(id, c)
            } else {
                pulls.state_changed(id, now, c)
            }
        });
        if pulled || self.pulls.has_forward(id) {
            self.forward_routes();
            self.say_routes();
            return;
        }
        let pushes = |entry: &Entry| entry.forwards().has(id);
        let target = self
            .entries
            .iter()
            .find(|(_, e)| pushes(e))
            .map(|(t, _)| t.clone());
        if let Some(target) = target {
            self.with(|entries, _, c| entries.get_mut(&target).map(|e| e.step(now, c)));
            return;
        }
        let target = self
            .entries
            .iter()
            .find(|(_, e)| e.work_id() == Some(id))
            .map(|(t, _)| t.clone());
        let Some(target) = target else { return };
        let left = self.with(|entries, _, c| {
            let entry = entries.get_mut(&target)?;
            if over {
                entry.ended(now, c);
            } else {
                entry.state_changed(now, c);
            }
            Some(over && entry.is_leaving())
        });
        if left == Some(true) {
            self.remove(&target);
            let placed = self.entries.len();
            self.shared.placed.send_replace(placed);
        }
        self.reindex(&target);
    }

    pub(super) fn secret(&mut self, answer: Answer) {
        let now = Instant::now();
        let name = answer.0.clone();
        self.secrets.answered(answer);
        let users: Vec<Target> = self
            .entries
            .iter()
            .filter(|(_, e)| e.secrets().any(|used| used == name))
            .map(|(t, _)| t.clone())
            .collect();
        for target in users {
            self.with(|entries, _, c| entries.get_mut(&target).map(|e| e.step(now, c)));
            self.reindex(&target);
        }
        self.with(|_, pulls, c| pulls.begin_waiting(now, c));
        self.forward_routes();
        self.say_routes();
    }

    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let told = std::mem::take(&mut self.recording_changed);
        let due: Vec<Target> = self
            .entries
            .iter()
            .filter(|(_, e)| told || e.needs_tick())
            .map(|(t, _)| t.clone())
            .collect();
        for target in due {
            self.with(|entries, _, c| entries.get_mut(&target).map(|e| e.tick(now, c)));
            self.reindex(&target);
        }
        if !self.pulls.is_empty() {
            let shared = self.shared.clone();
            let camera_has = |path: &StreamPath| shared.index.lock().cameras.contains_key(path);
            self.with(|_, pulls, c| {
                pulls.tick(now, camera_has, c);
                pulls.begin_waiting(now, c);
            });
            self.forward_routes();
        }
        self.shared.index.lock().tidy(now);
        self.count();
    }

    /// Begins the streams that their former owners pushed: the condition that they left behind tells of those.
    /// A directory's streams have none, and come back when somebody asks.
    fn take_over(&mut self, now: Instant) {
        if self.settings.standalone {
            return;
        }
        let mut owned = HashMap::new();
        for (route, target, path) in self.pushed_routes() {
            let owner = self.owners.of(&path).map(str::to_owned);
            let came = owner.as_deref() == Some(self.settings.me.as_str())
                && self.owned.get(&target).is_none_or(|before| *before != owner);
            owned.insert(target.clone(), owner);
            let was_pushed = route.condition(kind::FORWARDING).is_some();
            if !came || !was_pushed || self.pulls.has(&path, &self.owners) {
                continue;
            }
            let index = self.shared.index.lock();
            let matched = index.routes.find(&job_of::canonical(&path));
            let is_camera = index.cameras.contains_key(&path);
            drop(index);
            let matched = matched.filter(|_| !is_camera && !route.spec.forward.is_empty());
            if let Some(matched) = matched {
                info!(stream = %path, "a stream that another node pushed is ours now");
                self.with(|_, pulls, c| pulls.demand(&path, Some(matched), now, c));
            }
            if !self.pulls.has(&path, &self.owners) {
                self.put_forwarding(&route, &target, None, None);
            }
        }
        self.owned = owned;
    }

    /// The Routes of one path that are to be pushed, or of which it is said that they are.
    fn pushed_routes(&self) -> Vec<(Arc<Route>, Target, StreamPath)> {
        let pushed = |route: &Arc<Route>| {
            !route.spec.forward.is_empty()
                || route.condition(kind::FORWARDING).is_some()
                || self.routes_said.contains_key(&Target::of(Kind::Route, &**route))
        };
        let routes = self.routes().into_iter().filter(pushed);
        let one = routes.filter_map(|route| {
            let pattern = route.canonical_pattern();
            let path = StreamPath::parse(&pattern).filter(|_| !pattern.ends_with('/'))?;
            Some((route.clone(), Target::of(Kind::Route, &*route), path))
        });
        one.collect()
    }

    /// Pushes the streams of Routes to where their Routes say.
    fn forward_routes(&mut self) {
        if self.pulls.is_empty() {
            return;
        }
        let mut routes = self.routes();
        routes.retain(|route| !route.spec.forward.is_empty());
        if routes.is_empty() && !self.pulls.forward_any() {
            return;
        }
        let current = |target: &Target| {
            let found = routes.iter().find(|r| Target::of(Kind::Route, &***r) == *target);
            found.cloned()
        };
        self.with(|_, pulls, c| pulls.forward(current, c));
    }

    /// What a Route's condition says of the servers that its streams are pushed to.
    fn forwarding(&self, route: &Route, target: &Target) -> Option<Forwarding> {
        if route.spec.forward.is_empty() {
            return None;
        }
        Some(
            self.pulls
                .forwarding(target, &self.owners)
                .unwrap_or_else(|| Forwarding {
                    holds: false,
                    reason: reason::NO_STREAM,
                    message: "no stream of this route runs".to_owned(),
                }),
        )
    }

    /// Where an operator writes the statuses of Routes, a node adds what becomes of the streams that it
    /// pushes. All nodes write it in one name: whoever has lost a stream to another node says no more of it.
    /// The streams of a directory may run on many nodes, which can't have one condition: of those, events
    /// tell.
    fn say_forwarded_routes(&mut self) {
        let mut said = HashMap::new();
        for (route, target, path) in self.pushed_routes() {
            let before = self.routes_said.remove(&target);
            let forwarding = (!route.spec.forward.is_empty())
                .then(|| self.pulls.forwarding(&target, &self.owners))
                .flatten();
            if before.is_none() && forwarding.is_none() {
                continue;
            }
            if forwarding.is_none() && !self.owners.is_mine(&path) {
                // From here on it is not ours to say.
                self.reports.forget(&target);
                continue;
            }
            let stands = route.status.as_ref().map(|status| status.conditions.clone());
            let conditions = before.map(|status| status.conditions).or(stands);
            let status = self.put_forwarding(&route, &target, forwarding.as_ref(), conditions);
            if forwarding.is_some() {
                said.insert(target, status);
            }
        }
        for gone in self.routes_said.keys() {
            self.reports.forget(gone);
        }
        self.routes_said = said;
    }

    fn put_forwarding(
        &self,
        route: &Route,
        target: &Target,
        forwarding: Option<&Forwarding>,
        before: Option<Vec<Condition>>,
    ) -> RouteStatus {
        let before = before.unwrap_or_default();
        let status = status::of_forwarded_route(route, forwarding, &before, SystemTime::now());
        if let Ok(value) = serde_json::to_value(&status) {
            self.reports.put(target, None, value, false);
        }
        status
    }

    /// What is said of streams that end with this node must not stand: the next owner takes them over, but
    /// there may be none for long.
    fn say_last_of_routes(&mut self) {
        if self.settings.standalone {
            return;
        }
        let ending = Forwarding {
            holds: false,
            reason: reason::CONNECTING,
            message: "the node that pushed the stream has ended; the next one goes on".to_owned(),
        };
        for (route, target, _) in self.pushed_routes() {
            if let Some(before) = self.routes_said.remove(&target) {
                self.put_forwarding(&route, &target, Some(&ending), Some(before.conditions));
            }
        }
    }

    /// Statuses of Routes, as far as no operator writes them.
    fn say_routes(&mut self) {
        if !self.settings.standalone {
            self.say_forwarded_routes();
            return;
        }
        let routes = self.routes();
        let mut said = HashMap::new();
        for route in routes {
            let target = Target::of(Kind::Route, &*route);
            let pattern = route.canonical_pattern();
            let serving = self.shared.index.lock().routes.serving(&pattern).cloned();
            let refused = match serving.filter(|s| s.metadata.uid != route.metadata.uid) {
                Some(other) => Some(Refusal::new(
                    reason::DUPLICATE_PATTERN,
                    format!(
                        "the older Route {} has this pattern: write another, or delete one of the two",
                        other.metadata.name.as_deref().unwrap_or_default()
                    ),
                )),
                None => job_of::check_route(&route).err(),
            };
            let before = self
                .routes_said
                .remove(&target)
                .or_else(|| route.status.clone())
                .unwrap_or_default();
            let streams = self.pulls.count(&target);
            let forwarding = self.forwarding(&route, &target);
            let status = status::of_route(
                &route,
                refused.as_ref(),
                streams,
                forwarding.as_ref(),
                &before.conditions,
                SystemTime::now(),
            );
            let version = route.metadata.resource_version.clone();
            if let Ok(value) = serde_json::to_value(&status) {
                self.reports.put(&target, version, value, false);
            }
            said.insert(target, status);
        }
        for gone in self.routes_said.keys() {
            self.reports.forget(gone);
        }
        self.routes_said = said;
    }

    fn forget_secrets(&mut self) {
        let mut used: HashSet<_> = self.entries.values().flat_map(Entry::secrets).collect();
        self.pulls.secrets(&mut used);
        self.secrets.retain(&used);
    }

    fn count(&self) {
        for label in Phase::ALL {
            let number = self
                .entries
                .values()
                .filter(|e| e.phase().label() == label)
                .count();
            metrics::gauge!("weir_cameras", "state" => label).set(number as f64);
        }
        metrics::gauge!("weir_route_streams").set(self.pulls.len() as f64);
        for label in LABELS {
            let of_cameras = self.entries.values().map(Entry::forwards);
            let all = of_cameras.chain(self.pulls.forwards());
            let number: usize = all.map(|forwards| forwards.count(label)).sum();
            metrics::gauge!("weir_forwards", "state" => label).set(number as f64);
        }
    }

    /// Stops everything; answers with the jobs whose end is to be waited for.
    pub(super) fn end_all(&mut self) -> HashSet<WorkId> {
        self.say_last_of_routes();
        let of_cameras = self.entries.values().map(Entry::forwards);
        let pushing: HashSet<WorkId> = of_cameras
            .chain(self.pulls.forwards())
            .flat_map(Forwards::ids)
            .collect();
        let works = self.entries.drain().filter_map(|(_, e)| e.end());
        self.ending.extend(works.map(|w| (w.id, w)));
        self.ending
            .extend(self.pulls.end_all().into_iter().map(|w| (w.id, w)));
        self.ending.keys().copied().chain(pushing).collect()
    }
}

/// Of the cameras that want one path, the one that has it.
fn winners(cameras: &[Arc<Camera>]) -> HashMap<String, Arc<Camera>> {
    let mut first: HashMap<String, Arc<Camera>> = HashMap::new();
    for camera in cameras {
        let path = camera.canonical_path();
        match first.get(&path) {
            Some(other) if !camera.goes_before(other) => {}
            _ => {
                first.insert(path, camera.clone());
            }
        }
    }
    first
}
