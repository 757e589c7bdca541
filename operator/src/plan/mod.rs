//! What is to be done in a namespace, as a pure function of its snapshot: no client, no clock, no memory. The same world
//! gives the same plan, and a plan that was carried out gives a world whose plan is to do nothing.
//!
//! | file | decides |
//! |---|---|
//! | `drain` | how each node stands, which leaves and why, when a pod may go, how many pods there are |
//! | `placement` | which node each camera is on |
//! | `diff` | what of it is news |
//!
//! # How a new version rolls out
//!
//! The `StatefulSet` has the update strategy `OnDelete`: nothing but this plan replaces a pod. One node at a time stops
//! taking cameras; its cameras are placed on others, in preference on such that run the new version already; each goes on
//! at the old node until the new one reports media (make before break, ten seconds at most); then the pod is deleted, and
//! the next node is taken when the new pod is ready. A version that does not become ready therefore stops at the first
//! node. Pods of an older version that serve nothing are replaced at once, which is also the way out of a broken version.
//! With `RollingUpdate` the pods' grace period would bound the hand-over, and cameras would move to nodes that go next.

mod diff;
mod drain;
mod placement;
#[cfg(test)]
mod tests;

pub use diff::{Change, Kind};
pub use drain::{Cause, Removal, Standing};
pub use placement::{Placement, State};

use std::{collections::BTreeMap, time::Duration};

use weir_crds::condition::reason;

use crate::snapshot::{Pool, Snapshot};

/// Delays and bounds of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a node may be not ready before its cameras move. A container that restarts comes back within it.
    pub grace: Duration,
    /// How long a camera's former node goes on while the new one has no media yet.
    pub handover: Duration,
    /// Most cameras on their way at a time, save those that cannot wait.
    pub moves: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(3),
            handover: Duration::from_secs(10),
            moves: 64,
        }
    }
}

/// What the namespace should become.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Every `MediaPool`, by name.
    pub pools: BTreeMap<String, PoolPlan>,
    /// Every Camera that is not being deleted, by name.
    pub cameras: BTreeMap<String, Placement>,
    /// Every Route, by name.
    pub routes: BTreeMap<String, Verdict>,
    /// Pods to delete, so that their `StatefulSet` makes them anew.
    pub removals: Vec<Removal>,
    /// When to plan again although nothing changes.
    pub wake: Option<Duration>,
}

/// What becomes of a `MediaPool`.
#[derive(Clone, Debug, PartialEq)]
pub enum PoolPlan {
    /// It serves the namespace.
    Serve(Serving),
    /// It does not.
    Refuse(Refusal),
}

/// A pool that serves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Serving {
    /// Nodes that the spec wants, or its bounds and the number of cameras.
    pub wanted: u32,
    /// Pods that the `StatefulSet` is to have: more than wanted while cameras move away from those that go.
    pub replicas: u32,
    /// Every node, as it is to be shown.
    pub nodes: Vec<NodePlan>,
    /// Nodes that still run an older version, when a roll-out is under way.
    pub outdated: u32,
}

/// A node as it is to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePlan {
    /// Name of the node.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Whether the pool is to have it; what it has beyond that goes.
    pub wanted: bool,
    /// Cameras that are placed on it.
    pub cameras: usize,
    /// Why its container does not run.
    pub trouble: Option<String>,
}

/// Whether an object is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accept,
    /// It is not.
    Refuse(Refusal),
}

/// Why an object is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Reason for programs.
    pub reason: &'static str,
    /// Reason for people, with what to do.
    pub message: String,
}

/// Most characters of a pool's name: the longest name made of it is a label of at most 63,
/// `<name>-node-<hash of 10>`, with room to spare.
const POOL_NAME_MAX: usize = 40;

/// Schemes of URLs that nodes can pull.
const ROUTE_SCHEMES: [&str; 4] = ["rtsp", "rtsps", "rtmp", "rtmps"];

/// What is to be done in that world.
pub fn plan(world: &Snapshot, limits: &Limits) -> Plan {
    let mut plan = Plan {
        routes: routes(world),
        ..Plan::default()
    };
    let serving = serving_pool(world, &mut plan.pools);
    match serving {
        None => plan.cameras = placement::without_pool(world),
        Some(pool) => {
            let mut nodes = drain::Nodes::of(world, pool, limits);
            let moves = placement::Moves::of(world, limits);
            nodes.pick_next_of_roll_out(&moves);
            plan.cameras = placement::assign(world, pool, &nodes, &moves, limits);
            plan.removals = nodes.removals(&plan.cameras, &moves);
            let serving = nodes.serving(&plan.cameras, &moves);
            plan.wake = nodes
                .wake()
                .into_iter()
                .chain(moves.wake(&plan.cameras, limits))
                .min();
            plan.pools.insert(pool.name.clone(), PoolPlan::Serve(serving));
        }
    }
    plan
}

/// The pool that serves the namespace; all others get their refusal.
fn serving_pool<'a>(world: &'a Snapshot, plans: &mut BTreeMap<String, PoolPlan>) -> Option<&'a Pool> {
    let mut pools: Vec<&Pool> = world.pools.iter().collect();
    pools.sort_by_key(|p| p.rank);
    let mut serving: Option<&Pool> = None;
    for pool in pools {
        if !is_pool_name(&pool.name) {
            let message = format!(
                "the name cannot be part of other names: make a MediaPool whose name has at most {POOL_NAME_MAX} \
                 lower-case letters, digits and '-', begins with a letter and does not end with '-', such as media"
            );
            plans.insert(
                pool.name.clone(),
                PoolPlan::Refuse(Refusal {
                    reason: reason::INVALID_SPEC,
                    message,
                }),
            );
        } else if let Some(first) = serving {
            let message = format!(
                "the MediaPool {} is older and serves this namespace: delete one of the two, or use another namespace",
                first.name
            );
            plans.insert(
                pool.name.clone(),
                PoolPlan::Refuse(Refusal {
                    reason: reason::POOL_EXISTS,
                    message,
                }),
            );
        } else {
            serving = Some(pool);
        }
    }
    serving
}

/// A DNS label as Services want it (RFC 1035), short enough.
fn is_pool_name(name: &str) -> bool {
    name.len() <= POOL_NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn routes(world: &Snapshot) -> BTreeMap<String, Verdict> {
    let mut first: BTreeMap<&str, &crate::snapshot::Route> = BTreeMap::new();
    for route in &world.routes {
        let entry = first.entry(&route.pattern).or_insert(route);
        if route.rank < entry.rank {
            *entry = route;
        }
    }
    let verdict = |route: &crate::snapshot::Route| {
        let winner = first[route.pattern.as_str()];
        if winner.name != route.name {
            return Verdict::Refuse(Refusal {
                reason: reason::DUPLICATE_PATTERN,
                message: format!(
                    "the older Route {} has this pattern: write another, or delete one",
                    winner.name
                ),
            });
        }
        if !ROUTE_SCHEMES.contains(&route.scheme.as_str()) {
            return Verdict::Refuse(Refusal {
                reason: reason::UNSUPPORTED_SCHEME,
                message: "streams of this scheme cannot be pulled: write an rtsp:// or rtmp:// URL".into(),
            });
        }
        Verdict::Accept
    };
    world
        .routes
        .iter()
        .map(|r| (r.name.clone(), verdict(r)))
        .collect()
}
