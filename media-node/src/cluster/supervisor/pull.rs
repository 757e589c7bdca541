//! Streams that a Route has started: pulled for those who asked, ended when nobody watches.

use super::Context;
use super::credentials::{Found, SETTLING, SecretName};
use super::forwards::{self, Forwards, Of};
use super::owners::Owners;
use crate::cluster::job_of;
use crate::cluster::resource::{Kind, Target};
use crate::cluster::route_match::Match;
use crate::cluster::status::Forwarding;
use crate::cluster::work::{Work, WorkId};
use crate::hub::Verdict;
use crate::ingest::{Reason, State};
use rand::RngExt as _;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, info};
use weir_crds::Route;
use weir_proto::media::StreamPath;

/// Pulls at once; past that, a path that matches a Route is not found.
const MOST: usize = 1_000;
/// A stream that has lasted this long may begin anew at once.
const STEADY: Duration = Duration::from_secs(10);

/// One path that a Route serves. The route is kept as it was when the pull began: changing or
/// deleting it leaves its streams alone. But where they are pushed to is as the route says now.
struct Pull {
    matched: Match,
    /// Who owned the path when the pull began.
    owner: Option<String>,
    /// The Secrets that the forwards name.
    forward_secrets: Vec<SecretName>,
    forwards: Forwards,
    /// None while its Secret is being read.
    work: Option<Work>,
    /// When it began, or was last watched.
    seen: Instant,
    live_since: Option<Instant>,
    /// Somebody asks for it while it is on its way out.
    again: bool,
}

impl Pull {
    /// That of the credentials, and that of the authorities which vouch for the server.
    fn secrets(&self) -> (Option<SecretName>, Option<SecretName>) {
        let route = &self.matched.route;
        let namespace = route.metadata.namespace.as_deref().unwrap_or_default();
        let named = |name: &str| (namespace.to_owned(), name.to_owned());
        let credentials = route.spec.credentials.as_ref();
        (
            credentials.map(|credentials| named(&credentials.secret_name)),
            job_of::authorities_of(route.spec.tls.as_ref()).map(named),
        )
    }

    /// Another node has become the path's owner: who asks from now on asks there, and it pushes the stream.
    fn has_moved(&self, path: &StreamPath, owners: &Owners) -> bool {
        owners.has_moved(path, self.owner.as_deref())
    }
}

/// What follows a directory's pattern in a path.
fn rest<'a>(route: &Route, path: &'a str) -> Option<&'a str> {
    let pattern = route.canonical_pattern();
    path.strip_prefix(pattern.as_str())
        .filter(|_| pattern.ends_with('/'))
}

#[derive(Default)]
pub(super) struct Pulls(HashMap<StreamPath, Pull>);

impl Pulls {
    /// Somebody asks for a path that no Camera has.
    pub(super) fn demand(
        &mut self,
        path: &StreamPath,
        matched: Option<Match>,
        now: Instant,
        c: &mut Context<'_>,
    ) {
        if let Some(pull) = self.0.get_mut(path) {
            pull.again |= pull.live_since.is_some() && c.hub.stream(path).is_none();
            return;
        }
        let Some(matched) = matched.filter(|_| self.0.len() < MOST) else {
            c.hub.refuse(path);
            return;
        };
        let pull = Pull {
            matched,
            owner: c.owners.of(path).map(str::to_owned),
            forward_secrets: Vec::new(),
            forwards: Forwards::default(),
            work: None,
            seen: now,
            live_since: None,
            again: false,
        };
        self.0.insert(path.clone(), pull);
        self.begin(path, now, c);
    }

    /// Starts the job as soon as its credentials are there.
    fn begin(&mut self, path: &StreamPath, now: Instant, c: &mut Context<'_>) {
        let Some(pull) = self.0.get_mut(path).filter(|p| p.work.is_none()) else {
            return;
        };
        let (credentials, authorities) = pull.secrets();
        let known = match c.secrets.learn(credentials.as_ref(), authorities.as_ref()) {
            Found::Ready(known) => Ok(known),
            // The Secret of a Route that was just made may come in a moment; each tick tries again.
            Found::Refused(_) | Found::Pending(Some(_)) if now - pull.seen < SETTLING => return,
            Found::Refused(refusal) => Err(refusal),
            // The viewers' patience bounds this wait.
            Found::Pending(None) => return,
            Found::Pending(Some(_)) => {
                self.give_up(path, now, c);
                return;
            }
        };
        let job = known.and_then(|known| job_of::route(&pull.matched, path.clone(), &known));
        match job {
            Ok(job) => {
                info!(
                    stream = %path,
                    route = pull.matched.route.metadata.name,
                    from = job.source.shown(),
                    "a route starts a stream"
                );
                pull.work = Some(c.start(job));
            }
            Err(refusal) => {
                debug!(stream = %path, reason = refusal.reason, error = refusal.message, "a route can't start a stream");
                self.give_up(path, now, c);
            }
        }
    }

    fn give_up(&mut self, path: &StreamPath, now: Instant, c: &mut Context<'_>) {
        self.0.remove(path);
        c.failed(path, now);
    }

    /// Secrets have been read, or may be there by now.
    pub(super) fn begin_waiting(&mut self, now: Instant, c: &mut Context<'_>) {
        let waiting: Vec<StreamPath> = self
            .0
            .iter()
            .filter(|(_, p)| p.work.is_none())
            .map(|(path, _)| path.clone())
            .collect();
        for path in waiting {
            self.begin(&path, now, c);
        }
    }

    fn find(&mut self, id: WorkId) -> Option<(&StreamPath, &mut Pull)> {
        self.0
            .iter_mut()
            .find(|(_, p)| p.work.as_ref().is_some_and(|w| w.id == id))
    }

    /// False if the job is none of these.
    pub(super) fn state_changed(&mut self, id: WorkId, now: Instant, c: &mut Context<'_>) -> bool {
        let Some((path, pull)) = self.find(id) else {
            return false;
        };
        match pull.work.as_ref().map(Work::state) {
            Some(State::Live { .. }) => {
                pull.seen = now;
                pull.live_since.get_or_insert(now);
            }
            Some(State::Failed { reason, message, .. }) if pull.live_since.is_some() => {
                let lived = pull.live_since.map_or(Duration::ZERO, |since| now - since);
                let mut index = c.shared.index.lock();
                if lived >= STEADY {
                    index.was_steady(path);
                } else if reason != Reason::Closed {
                    info!(stream = %path, reason = reason.as_str(), error = message, "a route's stream was short");
                    index.was_short(path, rand::rng().random(), now);
                }
                // Otherwise somebody closed it, which says nothing of the next start: that may be at once.
            }
            Some(State::Failed { reason, message, .. }) => {
                info!(stream = %path, reason = reason.as_str(), error = message, "a route's stream has no media");
                c.failed(path, now);
            }
            _ => {}
        }
        true
    }

    /// False if the job is none of these.
    pub(super) fn ended(&mut self, id: WorkId, c: &mut Context<'_>) -> bool {
        let Some(path) = self.find(id).map(|(path, _)| path.clone()) else {
            return false;
        };
        // By whatever route there is now.
        let again = self.0.remove(&path).is_some_and(|pull| pull.again);
        // Who has asked meanwhile is not to be refused for what was before.
        let is_asked = c.shared.index.lock().is_asked(&path);
        if is_asked {
            return true;
        }
        if !again || c.shared.ask(&path) == Verdict::Unknown {
            c.hub.refuse(&path);
        }
        true
    }

    /// Ends those that nobody has watched for so long, and those whose path a Camera has now.
    pub(super) fn tick(&mut self, now: Instant, cameras: impl Fn(&StreamPath) -> bool, c: &Context<'_>) {
        for (path, pull) in &mut self.0 {
            let Some(work) = &pull.work else { continue };
            if cameras(path) {
                work.stop();
                continue;
            }
            if c.hub.stream(path).is_some_and(|s| s.viewers() > 0) {
                pull.seen = now;
            } else if !pull.matched.route.spec.keep_alive
                && (pull.forwards.is_empty() || pull.has_moved(path, c.owners))
                && now - pull.seen >= c.settings.route_idle
            {
                if !work.is_stopping() {
                    info!(stream = %path, "nobody watches a route's stream any more");
                }
                work.stop();
            }
        }
    }

    /// Whether any of the streams is pushed to a server.
    pub(super) fn forward_any(&self) -> bool {
        self.0.values().any(|pull| !pull.forwards.is_empty())
    }

    /// Pushes each stream to where its route says now; `current` finds that route.
    pub(super) fn forward(&mut self, current: impl Fn(&Target) -> Option<Arc<Route>>, c: &mut Context<'_>) {
        for (path, pull) in &mut self.0 {
            let target = Target::of(Kind::Route, &*pull.matched.route);
            let route = current(&target);
            let asked = route.as_ref().map_or(&[][..], |route| &route.spec.forward);
            if asked.is_empty() && pull.forwards.is_empty() {
                continue;
            }
            let secrets = asked.iter().flat_map(|f| forwards::secrets(f, &target.namespace));
            pull.forward_secrets = secrets.collect();
            // Of two nodes that pushed it, a server would refuse one, or take now this and now that.
            let runs =
                pull.work.as_ref().is_some_and(|work| !work.is_stopping()) && !pull.has_moved(path, c.owners);
            let canonical = job_of::canonical(path);
            let of = Of {
                target: &target,
                path: runs.then_some(path),
                rest: rest(&pull.matched.route, &canonical),
            };
            pull.forwards.step(asked, &of, c);
        }
    }

    /// Whether one of these is what pushes a stream.
    pub(super) fn has_forward(&self, id: WorkId) -> bool {
        self.0.values().any(|pull| pull.forwards.has(id))
    }

    pub(super) fn forwards(&self) -> impl Iterator<Item = &Forwards> {
        self.0.values().map(|pull| &pull.forwards)
    }

    /// Whether a stream runs here, or is being begun, that no other node has taken over.
    pub(super) fn has(&self, path: &StreamPath, owners: &Owners) -> bool {
        self.0.get(path).is_some_and(|pull| !pull.has_moved(path, owners))
    }

    /// What is said of the servers that a route's streams are pushed to: the worst of all its streams.
    /// None if none of them runs here, or other nodes have taken them over.
    pub(super) fn forwarding(&self, route: &Target, owners: &Owners) -> Option<Forwarding> {
        let of = |(path, pull): &(&StreamPath, &Pull)| {
            Target::of(Kind::Route, &*pull.matched.route) == *route && !pull.has_moved(path, owners)
        };
        let mut said: Vec<_> = self
            .0
            .iter()
            .filter(of)
            .filter_map(|(path, pull)| Some((path, pull.forwards.said()?)))
            .collect();
        // The order of the table is none.
        said.sort_by(|(a, one), (b, other)| (one.holds, a.as_str()).cmp(&(other.holds, b.as_str())));
        said.into_iter().next().map(|(_, forwarding)| forwarding)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Streams by the route that started them.
    pub(super) fn count(&self, route: &Target) -> usize {
        let of = |p: &&Pull| Target::of(Kind::Route, &*p.matched.route) == *route;
        self.0.values().filter(of).count()
    }

    pub(super) fn secrets(&self, into: &mut HashSet<SecretName>) {
        let of_sources = self.0.values().map(Pull::secrets);
        into.extend(
            of_sources.flat_map(|(credentials, authorities)| credentials.into_iter().chain(authorities)),
        );
        into.extend(
            self.0
                .values()
                .flat_map(|pull| pull.forward_secrets.iter().cloned()),
        );
    }

    pub(super) fn end_all(&mut self) -> Vec<Work> {
        let works: Vec<Work> = self.0.drain().filter_map(|(_, p)| p.work).collect();
        for work in &works {
            work.stop();
        }
        works
    }
}
