//! How the nodes of the pool stand: which take cameras, which lose theirs and why, which pod may be deleted, and how many
//! pods there are to be. Where the cameras go is decided in `placement`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Limits, NodePlan, Serving,
    placement::{Moves, Placement},
};
use crate::snapshot::{Node, Pool, Snapshot};

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes cameras.
    Usable,
    /// It is not ready, for a short time so far: it keeps its cameras and takes no others.
    Unready,
    /// It has not been ready for longer than a restart takes.
    Lost,
    /// It works, and is to be emptied.
    Leaving(Cause),
}

/// Why a camera leaves a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The node has not been ready for too long.
    Lost,
    /// The pod has been told to end, and does so in some seconds.
    Ending,
    /// The pool wants fewer nodes.
    ScaleIn,
    /// The Kubernetes node below takes no new pods.
    Cordoned,
    /// The pod is to be replaced by one of the new version.
    RollOut,
    /// The camera's spec rules the node out.
    Spec,
    /// The node has far more cameras than another.
    Balance,
}

impl Cause {
    /// Whether the cameras cannot wait for each other.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Lost | Self::Ending)
    }

    /// The cause as part of a sentence about the node that is left.
    pub fn text(self) -> &'static str {
        match self {
            Self::Lost => "it is not ready",
            Self::Ending => "its pod ends",
            Self::ScaleIn => "the pool shrinks",
            Self::Cordoned => "its Kubernetes node is cordoned",
            Self::RollOut => "it gets a new version",
            Self::Spec => "the camera's spec rules it out",
            Self::Balance => "it has more cameras",
        }
    }

    /// The cause as a label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Ending => "ending",
            Self::ScaleIn => "scale_in",
            Self::Cordoned => "cordoned",
            Self::RollOut => "roll_out",
            Self::Spec => "spec",
            Self::Balance => "balance",
        }
    }
}

/// A pod that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod: another of that name is not meant.
    pub uid: String,
}

/// The nodes of the serving pool.
pub(super) struct Nodes<'a> {
    pool: &'a Pool,
    wanted: u32,
    limits: Limits,
    by_name: BTreeMap<&'a str, (&'a Node, Standing)>,
}

impl<'a> Nodes<'a> {
    pub(super) fn of(world: &'a Snapshot, pool: &'a Pool, limits: &Limits) -> Self {
        let wanted = wanted(world, pool);
        let by_name = world
            .nodes
            .iter()
            .filter(|n| n.pool == pool.name)
            .map(|n| (n.name.as_str(), (n, standing(n, wanted, limits))))
            .collect();
        Self {
            pool,
            wanted,
            limits: *limits,
            by_name,
        }
    }

    /// Takes the next node of a roll-out, if there is one under way and everything else is calm.
    pub(super) fn pick_next_of_roll_out(&mut self, moves: &Moves) {
        let works = |s: &Standing| matches!(s, Standing::Usable | Standing::Leaving(Cause::Cordoned));
        let whole = (0..self.wanted).all(|ordinal| {
            self.by_name
                .values()
                .any(|(n, s)| n.ordinal == ordinal && works(s))
        });
        if !self.pool.settled || !whole {
            return;
        }
        // The one with the fewest cameras, so that few move twice: the others of this version go too.
        let next = self
            .by_name
            .values()
            .filter(|(n, s)| n.outdated && self.is_wanted(n) && works(s))
            .min_by_key(|(n, _)| (moves.placed_on(&n.name), u32::MAX - n.ordinal))
            .map(|(n, _)| n.name.as_str());
        if let Some(entry) = next.and_then(|name| self.by_name.get_mut(name)) {
            entry.1 = Standing::Leaving(Cause::RollOut);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<(&'a Node, Standing)> {
        self.by_name.get(name).copied()
    }

    pub(super) fn usable(&self) -> impl Iterator<Item = &'a Node> + '_ {
        self.by_name
            .values()
            .filter(|(_, s)| *s == Standing::Usable)
            .map(|(n, _)| *n)
    }

    /// Nodes that the pool has or is to have, by name, for messages.
    pub(super) fn names(&self) -> Vec<String> {
        (0..self.wanted)
            .map(|ordinal| format!("{}-node-{ordinal}", self.pool.name))
            .collect()
    }

    pub(super) fn wanted(&self) -> u32 {
        self.wanted
    }

    pub(super) fn is_wanted(&self, node: &Node) -> bool {
        node.ordinal < self.wanted
    }

    /// Whether no node is missing, leaves, or is about to.
    pub(super) fn calm(&self) -> bool {
        self.by_name
            .values()
            .all(|(n, s)| *s == Standing::Usable && !n.outdated)
    }

    /// Pods of an older version that may be deleted now: those that serve nothing, and the one whose turn it is, when it
    /// has been emptied.
    pub(super) fn removals(&self, cameras: &BTreeMap<String, Placement>, moves: &Moves) -> Vec<Removal> {
        if !self.pool.settled {
            return vec![];
        }
        let may_go = |node: &Node, standing: Standing| match standing {
            Standing::Leaving(Cause::RollOut) => moves.under_way() == 0 && !leaves(cameras, &node.name),
            Standing::Lost => true,
            Standing::Unready => cameras.values().all(|c| c.node.as_deref() != Some(&node.name)),
            Standing::Usable | Standing::Leaving(_) => false,
        };
        self.by_name
            .values()
            .filter(|(n, s)| n.outdated && !n.terminating && self.is_wanted(n) && may_go(n, *s))
            .filter_map(|(n, _)| {
                Some(Removal {
                    pod: n.name.clone(),
                    uid: n.uid.clone()?,
                })
            })
            .collect()
    }

    /// The pool as it is to be applied and shown.
    pub(super) fn serving(&self, cameras: &BTreeMap<String, Placement>, moves: &Moves) -> Serving {
        // A StatefulSet takes away its highest pods: they all stay until nothing moves away from any of them.
        let busy = self
            .by_name
            .values()
            .any(|(n, _)| !self.is_wanted(n) && leaves(cameras, &n.name))
            || (moves.under_way() > 0
                && self
                    .by_name
                    .values()
                    .any(|(n, _)| !self.is_wanted(n) && n.exists()));
        let replicas = match self.pool.running {
            Some(running) if running > self.wanted && busy => running,
            _ => self.wanted,
        };
        let mut on: BTreeMap<&str, usize> = BTreeMap::new();
        for node in cameras.values().filter_map(|c| c.node.as_deref()) {
            *on.entry(node).or_default() += 1;
        }
        let mut nodes: Vec<_> = self
            .by_name
            .values()
            .filter(|(n, _)| n.exists() || self.is_wanted(n))
            .collect();
        nodes.sort_by_key(|(n, _)| n.ordinal);
        Serving {
            wanted: self.wanted,
            replicas,
            outdated: nodes
                .iter()
                .filter(|(n, _)| self.pool.settled && n.outdated)
                .count() as u32,
            nodes: nodes
                .into_iter()
                .map(|(n, standing)| NodePlan {
                    name: n.name.clone(),
                    standing: *standing,
                    wanted: self.is_wanted(n),
                    cameras: on.get(n.name.as_str()).copied().unwrap_or(0),
                    trouble: n.trouble.clone(),
                })
                .collect(),
        }
    }

    /// When the next node counts as lost.
    pub(super) fn wake(&self) -> Option<Duration> {
        self.by_name
            .values()
            .filter(|(_, s)| *s == Standing::Unready)
            .map(|(n, _)| self.limits.grace.saturating_sub(n.lost_for))
            .min()
    }
}

/// Whether the plan still has cameras on their way from that node.
fn leaves(cameras: &BTreeMap<String, Placement>, node: &str) -> bool {
    cameras.values().any(|c| c.leaves(node))
}

fn standing(node: &Node, wanted: u32, limits: &Limits) -> Standing {
    if node.terminating {
        Standing::Leaving(Cause::Ending)
    } else if !node.ready {
        if node.lost_for >= limits.grace {
            Standing::Lost
        } else {
            Standing::Unready
        }
    } else if node.ordinal >= wanted {
        Standing::Leaving(Cause::ScaleIn)
    } else if node.cordoned {
        Standing::Leaving(Cause::Cordoned)
    } else {
        Standing::Usable
    }
}

/// The number of nodes that the pool is to have.
fn wanted(world: &Snapshot, pool: &Pool) -> u32 {
    let Some(scale) = pool.autoscale else {
        return pool.replicas;
    };
    let per_node = scale.cameras_per_node.max(1);
    let cameras = world.cameras.iter().filter(|c| c.enabled && !c.deleting).count() as u32;
    let needed = cameras.div_ceil(per_node);
    // It shrinks when a tenth of the room would be left, so that one camera more or less changes nothing.
    let with_room = (cameras + cameras / 9).div_ceil(per_node);
    let now = pool.running.unwrap_or(pool.replicas);
    let wanted = if needed > now { needed } else { now.min(with_room) };
    wanted.clamp(scale.min, scale.max.max(scale.min))
}
