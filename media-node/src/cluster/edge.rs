//! A gateway's side: who owns a stream that somebody asks for, and one relay from there however
//! many watch. Ownership is the operator's (`status.node`) or the hash's (`owner`); how a stream
//! is relayed is the ingest's.
//!
//! A relay is made for the first viewer and ended some time after the last. When a camera moves,
//! the relay from its former node goes on until the new one has media; then the new relay is made
//! before the old one is ended. When a pod is gone, its relays are made anew at once.

mod relay;

use super::job_of;
use super::owner;
use super::peers::{Peer, Peers};
use super::resource::World;
use super::route_match::Table;
use super::work::News;
use crate::hub::{Demand, Hub, Verdict};
use crate::ingest::Launch;
use parking_lot::RwLock;
use relay::Relays;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use weir_crds::condition::{Condition, kind};
use weir_crds::{Camera, Route};
use weir_proto::Redacted;
use weir_proto::media::StreamPath;

/// Changes of the world are gathered for this long.
const GATHER: Duration = Duration::from_millis(50);
/// How often viewers are looked for, and attempts made again.
const TICK: Duration = Duration::from_millis(500);
/// A path that no node knows is not asked for again for this long.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(2);
/// Paths that are remembered as unknown.
const MOST_UNKNOWN: usize = 10_000;
/// Paths that no Camera has and nodes are asked for at once.
const MOST_ASKED: usize = 256;
/// A node may hear of a Route later than this pod: while one is this new, a node that doesn't know what it
/// matches is asked again.
const ROUTE_NEWS: Duration = Duration::from_secs(5);
/// Of a path that no Camera has, so many nodes are asked: its owner, and who owned it before the
/// newest node came.
const RANKS: usize = 2;

/// How an edge works.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// The port on which nodes serve relays.
    pub http_port: u16,
    /// What nodes ask of whoever wants a relay.
    pub secret: Redacted<String>,
    /// How long a relay goes on without viewers.
    pub idle: Duration,
    /// How long the relay from a camera's former node goes on while the new one isn't live.
    pub handover: Duration,
    /// How long somebody is kept waiting for a stream whose owner doesn't answer.
    pub patience: Duration,
}

impl EdgeSettings {
    /// With the usual times.
    pub fn new(http_port: u16, secret: Redacted<String>) -> Self {
        Self {
            http_port,
            secret,
            idle: Duration::from_secs(10),
            handover: Duration::from_secs(10),
            patience: Duration::from_secs(10),
        }
    }
}

/// A node, as the owner of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub node: String,
    /// `host:port` of its HTTP port.
    pub address: String,
    /// Tells pods apart that had one name after each other.
    uid: String,
}

impl Owner {
    fn new(node: &str, peer: &Peer) -> Self {
        Self {
            node: node.to_owned(),
            address: peer.address.clone(),
            uid: peer.uid.clone(),
        }
    }
}

/// A handle on the edge's task; its [`Demand`] is for the hub. Cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Shared>);

struct Shared {
    map: RwLock<Map>,
    bell: Notify,
}

/// Where streams are.
#[derive(Default)]
struct Map {
    cameras: HashMap<StreamPath, Place>,
    routes: Table,
    /// Since when each Route has been as it is, by its uid and generation.
    routes_since: HashMap<(String, i64), Instant>,
    peers: Peers,
    unknown: HashMap<StreamPath, Instant>,
    asked: HashSet<StreamPath>,
    /// Paths that no Camera has and that are being asked for or relayed.
    undeclared: usize,
}

/// Where a camera is.
#[derive(Clone, Debug, Default)]
struct Place {
    enabled: bool,
    node: Option<String>,
    /// That node has said how it stands, and not a former one.
    reported: bool,
    /// ... and has media.
    live: bool,
}

impl Map {
    /// Who owns a path; of one that no Camera has, the `rank`th to ask.
    fn owner(&self, path: &StreamPath, rank: usize) -> Option<Owner> {
        if let Some(place) = self.cameras.get(path) {
            let node = place.node.as_deref()?;
            return Some(Owner::new(node, self.peers.get(node)?));
        }
        let ranked = owner::ranked(path.as_str(), self.peers.ready());
        let node = ranked.get(rank)?;
        Some(Owner::new(node, self.peers.get(node)?))
    }

    /// Whether the pod still exists.
    fn has(&self, owner: &Owner) -> bool {
        self.peers
            .get(&owner.node)
            .is_some_and(|p| p.uid == owner.uid && p.address == owner.address)
    }

    fn ask(&mut self, path: &StreamPath, now: Instant) -> Verdict {
        let coming = match self.cameras.get(path) {
            // It may be without a node for a moment, while it moves.
            Some(place) => place.enabled,
            None => self.undeclared + self.asked.len() < MOST_ASKED && self.peers.ready().next().is_some(),
        };
        if !coming || self.unknown.get(path).is_some_and(|until| *until > now) {
            return Verdict::Unknown;
        }
        self.asked.insert(path.clone());
        Verdict::Coming
    }

    /// Whether a Route matches the path that nodes may not have heard of yet.
    fn has_new_route(&self, path: &StreamPath, now: Instant) -> bool {
        self.routes.find(&job_of::canonical(path)).is_some_and(|matched| {
            let since = self.routes_since.get(&version(&matched.route));
            since.is_none_or(|since| now - *since < ROUTE_NEWS)
        })
    }

    fn unknown(&mut self, path: &StreamPath, now: Instant) {
        if self.unknown.len() >= MOST_UNKNOWN {
            self.unknown.retain(|_, until| *until > now);
        }
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown.insert(path.clone(), now + UNKNOWN_PAUSE);
        }
    }
}

impl Edge {
    /// Starts relaying; ends, with all relays, soon after `stop`.
    pub fn start(
        world: World,
        hub: Arc<Hub>,
        launch: Arc<dyn Launch>,
        settings: EdgeSettings,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let shared = Arc::new(Shared {
            map: RwLock::default(),
            bell: Notify::new(),
        });
        let task = tokio::spawn(run(world, hub, launch, settings, shared.clone(), stop));
        (Self(shared), task)
    }

    /// The node that a stream of this path is to be published at, or runs at.
    pub fn owner_of(&self, path: &StreamPath) -> Option<Owner> {
        self.0.map.read().owner(path, 0)
    }
}

impl Demand for Edge {
    fn wanted(&self, path: &StreamPath) -> Verdict {
        let verdict = self.0.map.write().ask(path, Instant::now());
        if verdict == Verdict::Coming {
            self.0.bell.notify_one();
        }
        verdict
    }
}

async fn run(
    world: World,
    hub: Arc<Hub>,
    launch: Arc<dyn Launch>,
    settings: EdgeSettings,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let (news, mut jobs) = mpsc::channel::<News>(1024);
    let http_port = settings.http_port;
    let mut relays = Relays::new(hub, launch, settings, shared.clone(), news);
    let mut changes = world.news();
    if stop.run_until_cancelled(world.ready()).await == Some(true) {
        look(&world, http_port, &shared);
        relays.step_all();
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look_at: Option<Instant> = None;
    loop {
        let due = async {
            match look_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            changed = changes.changed(), if look_at.is_none() => {
                // A feed that has ended leaves the world as it is.
                let wait = if changed.is_ok() { GATHER } else { Duration::from_hours(24) };
                look_at = Some(Instant::now() + wait);
            }
            () = due => {
                look_at = None;
                look(&world, http_port, &shared);
                relays.step_all();
            }
            () = shared.bell.notified() => relays.demands(),
            Some(news) = jobs.recv() => match news {
                News::State(id) => relays.state_changed(id),
                News::Ended(id) => relays.ended(id),
            },
            _ = tick.tick() => relays.tick(),
        }
    }
    relays.end_all();
    let deadline = Instant::now() + Duration::from_secs(6);
    while !relays.is_over() {
        match tokio::time::timeout_at(deadline, jobs.recv()).await {
            Ok(Some(News::Ended(id))) => relays.ended(id),
            Ok(Some(News::State(_))) => {}
            Ok(None) | Err(_) => break,
        }
    }
}

/// What tells a Route from what it was before.
fn version(route: &Route) -> (String, i64) {
    let metadata = &route.metadata;
    (
        metadata.uid.clone().unwrap_or_default(),
        metadata.generation.unwrap_or_default(),
    )
}

/// Draws the map anew.
fn look(world: &World, http_port: u16, shared: &Shared) {
    let mut first: HashMap<StreamPath, Arc<Camera>> = HashMap::new();
    for camera in world.cameras.state() {
        let gone = camera.metadata.deletion_timestamp.is_some();
        let Some(path) = job_of::path_of(&camera).ok().filter(|_| !gone) else {
            continue;
        };
        match first.get(&path) {
            Some(other) if !camera.goes_before(other) => {}
            _ => {
                first.insert(path, camera);
            }
        }
    }
    let place = |camera: Arc<Camera>| Place {
        enabled: camera.spec.enabled,
        node: camera.node().map(str::to_owned),
        reported: camera.reported_by_owner(),
        live: camera.reported_by_owner() && camera.condition(kind::CONNECTED).is_some_and(Condition::is_true),
    };
    let cameras = first
        .into_iter()
        .map(|(path, camera)| (path, place(camera)))
        .collect();
    let routes = world.routes.state().into_iter();
    let routes: Vec<Arc<Route>> = routes
        .filter(|r| r.metadata.deletion_timestamp.is_none())
        .collect();
    let peers = Peers::of(&world.pods, http_port);
    let now = Instant::now();
    let mut map = shared.map.write();
    map.cameras = cameras;
    let since = |route: &Arc<Route>| {
        let version = version(route);
        let since = map.routes_since.get(&version).copied().unwrap_or(now);
        (version, since)
    };
    map.routes_since = routes.iter().map(since).collect();
    map.routes = Table::new(routes);
    map.peers = peers;
}

#[cfg(test)]
mod tests;
