//! What of a plan is news: the changes that a person would want to read, as events and in the golden files.

use std::fmt;

use weir_crds::condition::reason;

use super::{Cause, Plan, PoolPlan, Standing, State};
use crate::snapshot::Snapshot;

/// A change of one camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the Camera.
    pub camera: String,
    /// What becomes of it.
    pub kind: Kind,
}

/// What becomes of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It gets its first node, or one again.
    Placed {
        /// The node.
        to: String,
    },
    /// It gets another node.
    Moved {
        /// The former node.
        from: String,
        /// The new node.
        to: String,
        /// Why the former one is left.
        cause: Cause,
    },
    /// The new node has taken over, or had its time.
    Arrived,
    /// It has no node that works, or should have none.
    Without {
        /// Reason for programs.
        reason: &'static str,
        /// Reason for people.
        message: String,
    },
}

impl Plan {
    /// The changes of cameras that the plan makes to that world.
    pub fn changes(&self, world: &Snapshot) -> Vec<Change> {
        world
            .cameras
            .iter()
            .filter_map(|c| {
                let placement = self.cameras.get(&c.name)?;
                let kind = match (&placement.state, &placement.node) {
                    (State::Moved { from, cause, .. }, Some(to)) => Kind::Moved {
                        from: from.clone(),
                        to: to.clone(),
                        cause: *cause,
                    },
                    (State::Placed | State::HandingOver | State::Queued(_), Some(to))
                        if c.node != placement.node =>
                    {
                        Kind::Placed { to: to.clone() }
                    }
                    (State::Placed, _) if c.reason.as_deref() == Some(reason::MOVING) => Kind::Arrived,
                    (State::Placed | State::HandingOver | State::Queued(_), _) => return None,
                    _ => {
                        let (_, reason, message) = placement.condition()?;
                        // Pods that are just starting are no news: what comes of them will be.
                        if reason == reason::NO_READY_NODE && self.starts() {
                            return None;
                        }
                        if c.reason.as_deref() == Some(reason) && c.node == placement.node {
                            return None;
                        }
                        Kind::Without { reason, message }
                    }
                };
                Some(Change {
                    camera: c.name.clone(),
                    kind,
                })
            })
            .collect()
    }
}

impl Plan {
    fn starts(&self) -> bool {
        self.pools.values().any(|p| match p {
            PoolPlan::Serve(pool) => pool.nodes.iter().any(|n| n.standing == Standing::Unready),
            PoolPlan::Refuse(_) => false,
        })
    }
}

impl Change {
    /// Whether the change came because something is wrong.
    pub fn is_warning(&self) -> bool {
        match &self.kind {
            Kind::Without { reason, .. } => *reason != weir_crds::condition::reason::DISABLED,
            Kind::Moved { cause, .. } => *cause == Cause::Lost,
            Kind::Placed { .. } | Kind::Arrived => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed { to } => write!(f, "placed on {to}"),
            Self::Moved { from, to, cause } => write!(f, "moves from {from} to {to}: {}", cause.text()),
            Self::Arrived => write!(f, "has arrived"),
            Self::Without { reason, message } => write!(f, "{reason}: {message}"),
        }
    }
}
