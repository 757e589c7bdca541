//! Cameras and nodes of all namespaces, counted by state for the metrics.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::{
    metrics::{CAMERAS, NODES},
    plan::{Plan, PoolPlan, Standing, State},
};

const CAMERA_STATES: [&str; 6] = [
    "placed",
    "moving",
    "stranded",
    "unplaced",
    "path_taken",
    "disabled",
];
const NODE_STATES: [&str; 4] = ["usable", "unready", "lost", "leaving"];

type Counts = BTreeMap<(&'static str, &'static str), usize>;

/// What was counted, by namespace.
#[derive(Debug, Default)]
pub(super) struct Totals(Mutex<HashMap<String, Counts>>);

impl Totals {
    pub(super) fn set(&self, namespace: &str, plan: &Plan) {
        let mut all = self.0.lock();
        all.insert(namespace.to_owned(), count(plan));
        show(&all);
    }

    pub(super) fn forget(&self, namespace: &str) {
        let mut all = self.0.lock();
        all.remove(namespace);
        show(&all);
    }
}

fn count(plan: &Plan) -> Counts {
    let mut counts = Counts::new();
    for placement in plan.cameras.values() {
        let state = match placement.state {
            State::Placed | State::Moved { handover: false, .. } => "placed",
            State::Moved { handover: true, .. } | State::HandingOver | State::Queued(_) => "moving",
            State::Stranded(_) => "stranded",
            State::Unplaced(_) => "unplaced",
            State::PathTaken { .. } => "path_taken",
            State::Disabled => "disabled",
        };
        *counts.entry((CAMERAS, state)).or_default() += 1;
    }
    for pool in plan.pools.values() {
        let PoolPlan::Serve(pool) = pool else { continue };
        for node in &pool.nodes {
            let state = match node.standing {
                Standing::Usable => "usable",
                Standing::Unready => "unready",
                Standing::Lost => "lost",
                Standing::Leaving(_) => "leaving",
            };
            *counts.entry((NODES, state)).or_default() += 1;
        }
    }
    counts
}

fn show(all: &HashMap<String, Counts>) {
    let states = CAMERA_STATES
        .map(|s| (CAMERAS, s))
        .into_iter()
        .chain(NODE_STATES.map(|s| (NODES, s)));
    for (name, state) in states {
        let total: usize = all.values().filter_map(|counts| counts.get(&(name, state))).sum();
        metrics::gauge!(name, "state" => state).set(total as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Placement, Refusal};

    #[test]
    fn every_state_is_counted_under_a_known_label() {
        let why = Refusal {
            reason: "x",
            message: String::new(),
        };
        let states = [
            State::Placed,
            State::HandingOver,
            State::Stranded(why.clone()),
            State::Unplaced(why),
            State::PathTaken { by: "x".into() },
            State::Disabled,
        ];
        let cameras = states.into_iter().enumerate().map(|(i, state)| {
            (
                i.to_string(),
                Placement {
                    node: None,
                    epoch: 1,
                    state,
                    silent: false,
                },
            )
        });
        let counts = count(&Plan {
            cameras: cameras.collect(),
            ..Plan::default()
        });
        for state in CAMERA_STATES {
            assert_eq!(counts.get(&(CAMERAS, state)), Some(&1), "{state}");
        }
    }
}
