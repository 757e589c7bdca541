//! Which node each camera is on. A camera stays where it is while it can; a new one goes to the node with the fewest
//! cameras, in a roll-out to one of the new version. Nothing is taken away from a camera without a better place for it: a
//! node that seems lost may well go on carrying media while the API server or the network is away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use weir_crds::condition::reason;

use super::{Cause, Limits, Refusal, Standing, drain::Nodes};
use crate::snapshot::{Camera, Media, Node, Pool, Snapshot};

/// Where a camera is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node, `status.node`.
    pub node: Option<String>,
    /// Number of this placement, `status.epoch`.
    pub epoch: i64,
    /// Why it is so.
    pub state: State,
    /// No process can be running the camera, so that nobody but the operator can say how it is.
    pub silent: bool,
}

/// Why a camera is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has a node.
    Placed,
    /// It gets a new node by this plan.
    Moved {
        /// The former node.
        from: String,
        /// Why that is left.
        cause: Cause,
        /// Whether the former node has media, with which it goes on until the new one has.
        handover: bool,
    },
    /// It got a new node by an earlier plan, and the former one still goes on.
    HandingOver,
    /// It has a node that it will leave when others have arrived.
    Queued(Cause),
    /// Its node does not work, and there is no other for it.
    Stranded(Refusal),
    /// It has no node, and should have one.
    Unplaced(Refusal),
    /// It has no node, and should have none: an older Camera of this name has the path.
    PathTaken {
        /// Name of the other Camera.
        by: String,
    },
    /// It has no node, and should have none.
    Disabled,
}

impl Placement {
    /// Whether the camera moves away from `node` or waits to do so.
    pub fn leaves(&self, node: &str) -> bool {
        match &self.state {
            State::Moved { from, .. } => from == node,
            State::Queued(_) => self.node.as_deref() == Some(node),
            _ => false,
        }
    }

    /// The condition `Placed`: whether it holds, its reason and its message. None leaves the condition as it is.
    pub fn condition(&self) -> Option<(bool, &'static str, String)> {
        let node = self.node.as_deref().unwrap_or("no node");
        Some(match &self.state {
            State::Placed => (true, reason::PLACED, format!("on {node}")),
            State::Moved {
                from,
                cause,
                handover: true,
            } => (
                true,
                reason::MOVING,
                format!("{node} takes over from {from}: {}", cause.text()),
            ),
            State::Moved {
                from,
                cause,
                handover: false,
            } => (
                true,
                reason::PLACED,
                format!("on {node}, before on {from}: {}", cause.text()),
            ),
            // A word about each of hundreds that wait would be hundreds of writes.
            State::HandingOver | State::Queued(_) => return None,
            State::Stranded(why) => (
                false,
                why.reason,
                format!("{node} is not ready, and {}", why.message),
            ),
            State::Unplaced(why) => (false, why.reason, why.message.clone()),
            State::PathTaken { by } => (
                false,
                reason::PATH_TAKEN,
                format!(
                    "the older Camera {by} has this path: write another in spec.path, or delete one of the two"
                ),
            ),
            State::Disabled => (false, reason::DISABLED, "spec.enabled is false".into()),
        })
    }

    fn on(node: &str, epoch: i64, state: State) -> Self {
        Self {
            node: Some(node.to_owned()),
            epoch,
            state,
            silent: false,
        }
    }

    fn nowhere(epoch: i64, state: State) -> Self {
        Self {
            node: None,
            epoch,
            state,
            silent: true,
        }
    }
}

/// Moves that an earlier plan began, and the number of cameras on each node.
pub(super) struct Moves<'a> {
    under_way: BTreeMap<&'a str, Duration>,
    placed: BTreeMap<&'a str, usize>,
}

impl<'a> Moves<'a> {
    pub(super) fn of(world: &'a Snapshot, limits: &Limits) -> Self {
        let mut placed: BTreeMap<&str, usize> = BTreeMap::new();
        for node in world.cameras.iter().filter_map(|c| c.node.as_deref()) {
            *placed.entry(node).or_default() += 1;
        }
        let under_way = world
            .cameras
            .iter()
            .filter(|c| !c.deleting && c.node.is_some() && c.media == Media::None)
            .filter_map(|c| Some((c.name.as_str(), c.moving_for?)))
            .filter(|(_, age)| *age < limits.handover)
            .collect();
        Self { under_way, placed }
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn placed_on(&self, node: &str) -> usize {
        self.placed.get(node).copied().unwrap_or(0)
    }

    /// When the next move counts as done, whether the new node has media or not.
    pub(super) fn wake(&self, plan: &BTreeMap<String, Placement>, limits: &Limits) -> Option<Duration> {
        let new = plan
            .values()
            .any(|p| matches!(p.state, State::Moved { handover: true, .. }));
        let new = new.then_some(limits.handover);
        self.under_way
            .values()
            .map(|age| limits.handover.saturating_sub(*age))
            .chain(new)
            .min()
    }
}

/// The placements of a namespace without a pool.
pub(super) fn without_pool(world: &Snapshot) -> BTreeMap<String, Placement> {
    let message =
        "this namespace has no MediaPool: apply one, or move the Camera to a namespace that has one";
    let no_pool = Refusal {
        reason: reason::NO_POOL,
        message: message.into(),
    };
    let taken = taken_paths(world);
    world
        .cameras
        .iter()
        .filter(|c| !c.deleting)
        .map(|c| {
            let state = unwanted(c, &taken).unwrap_or_else(|| State::Unplaced(no_pool.clone()));
            (c.name.clone(), Placement::nowhere(c.epoch, state))
        })
        .collect()
}

/// The placement of every camera.
pub(super) fn assign(
    world: &Snapshot,
    pool: &Pool,
    nodes: &Nodes,
    moves: &Moves,
    limits: &Limits,
) -> BTreeMap<String, Placement> {
    let taken = taken_paths(world);
    let mut choice = Choice {
        pool,
        nodes,
        load: nodes.usable().map(|n| (n.name.as_str(), 0)).collect(),
    };
    let mut plan = BTreeMap::new();
    let mut urgent = vec![];
    let mut new = vec![];
    let mut patient = vec![];
    for camera in world.cameras.iter().filter(|c| !c.deleting) {
        if let Some(state) = unwanted(camera, &taken) {
            plan.insert(camera.name.clone(), Placement::nowhere(camera.epoch, state));
            continue;
        }
        match wish(camera, nodes) {
            Wish::Stay(node) => {
                choice.count(node);
                let moving = moves.under_way.contains_key(camera.name.as_str());
                let state = if moving { State::HandingOver } else { State::Placed };
                plan.insert(camera.name.clone(), Placement::on(node, camera.epoch, state));
            }
            Wish::Leave(node, cause) if cause.is_urgent() => urgent.push((camera, node, cause)),
            Wish::Leave(node, cause) => patient.push((camera, node, cause)),
            Wish::Any => new.push(camera),
        }
    }
    for (camera, node, cause) in urgent {
        plan.insert(camera.name.clone(), choice.move_away(camera, node, cause));
    }
    for camera in new {
        plan.insert(camera.name.clone(), choice.place(camera));
    }
    let mut room = limits.moves.saturating_sub(moves.under_way());
    for (camera, node, cause) in patient {
        let placement = if room > 0 || choice.best(camera).is_none() {
            choice.move_away(camera, node, cause)
        } else {
            Placement::on(node, camera.epoch, State::Queued(cause))
        };
        room = room.saturating_sub(usize::from(matches!(placement.state, State::Moved { .. })));
        plan.insert(camera.name.clone(), placement);
    }
    if nodes.calm() && moves.under_way() == 0 {
        balance(world, &mut choice, &mut plan);
    }
    plan
}

/// What a camera wants.
enum Wish<'a> {
    /// To stay where it is.
    Stay(&'a str),
    /// Another node than this.
    Leave(&'a str, Cause),
    /// A node.
    Any,
}

fn wish<'a>(camera: &'a Camera, nodes: &Nodes) -> Wish<'a> {
    let Some(name) = camera.node.as_deref() else {
        return Wish::Any;
    };
    // A node that no pod and no ordinal of this pool stands for never comes back.
    let Some((node, standing)) = nodes.get(name) else {
        return Wish::Any;
    };
    if !node.exists() && !nodes.is_wanted(node) {
        return Wish::Any;
    }
    if !fits(camera, node) {
        return Wish::Leave(name, Cause::Spec);
    }
    match standing {
        Standing::Usable | Standing::Unready => Wish::Stay(name),
        Standing::Lost => Wish::Leave(name, Cause::Lost),
        Standing::Leaving(cause) => Wish::Leave(name, cause),
    }
}

/// Whether the spec allows the node. Of a node whose pod is gone nobody knows the labels: it may come back with the same.
fn fits(camera: &Camera, node: &Node) -> bool {
    camera.pin.as_ref().is_none_or(|pin| *pin == node.name)
        && (!node.exists()
            || camera
                .selector
                .iter()
                .all(|(key, value)| node.labels.get(key) == Some(value)))
}

/// Cameras that share their path with an older one, and the older one's name.
fn taken_paths(world: &Snapshot) -> BTreeMap<&str, &str> {
    let mut first: BTreeMap<&str, &Camera> = BTreeMap::new();
    for camera in world.cameras.iter().filter(|c| !c.deleting) {
        let entry = first.entry(&camera.path).or_insert(camera);
        if camera.rank < entry.rank {
            *entry = camera;
        }
    }
    world
        .cameras
        .iter()
        .filter_map(|c| {
            let winner = first.get(c.path.as_str())?;
            (winner.name != c.name).then_some((c.name.as_str(), winner.name.as_str()))
        })
        .collect()
}

/// Why the camera should have no node, if so.
fn unwanted(camera: &Camera, taken: &BTreeMap<&str, &str>) -> Option<State> {
    if let Some(by) = taken.get(camera.name.as_str()) {
        return Some(State::PathTaken { by: (*by).to_owned() });
    }
    (!camera.enabled).then_some(State::Disabled)
}

/// The nodes to choose from, and how many cameras each has so far.
struct Choice<'a, 'b> {
    pool: &'a Pool,
    nodes: &'b Nodes<'a>,
    load: BTreeMap<&'a str, usize>,
}

impl<'a> Choice<'a, '_> {
    fn count(&mut self, node: &str) {
        if let Some(load) = self.load.get_mut(node) {
            *load += 1;
        }
    }

    fn best(&self, camera: &Camera) -> Option<&'a Node> {
        self.nodes
            .usable()
            .filter(|n| fits(camera, n))
            .min_by_key(|n| (n.outdated, self.load.get(n.name.as_str()).copied(), n.ordinal))
    }

    fn place(&mut self, camera: &Camera) -> Placement {
        let Some(node) = self.best(camera) else {
            return Placement::nowhere(camera.epoch, State::Unplaced(self.why_none(camera)));
        };
        self.count(&node.name);
        Placement::on(&node.name, camera.epoch + 1, State::Placed)
    }

    fn move_away(&mut self, camera: &Camera, from: &str, cause: Cause) -> Placement {
        let Some(to) = self.best(camera) else {
            if cause == Cause::Spec {
                return Placement::nowhere(camera.epoch, State::Unplaced(self.why_none(camera)));
            }
            let why = self.why_none(camera);
            let node = self.nodes.get(from).map(|(node, _)| node);
            // A node that works keeps its camera to the end.
            return match node {
                Some(node) if node.ready => Placement::on(from, camera.epoch, State::Placed),
                node => Placement {
                    silent: node.is_none_or(|n| !n.running),
                    ..Placement::on(from, camera.epoch, State::Stranded(why))
                },
            };
        };
        self.count(&to.name);
        // Without media at the former node there is nothing to carry on.
        let handover =
            camera.media == Media::Live && self.nodes.get(from).is_some_and(|(node, _)| node.running);
        let state = State::Moved {
            from: from.to_owned(),
            cause,
            handover,
        };
        Placement::on(&to.name, camera.epoch + 1, state)
    }

    /// Why no node takes the camera, and what to do about it.
    fn why_none(&self, camera: &Camera) -> Refusal {
        let pool = &self.pool.name;
        let usable: Vec<&Node> = self.nodes.usable().collect();
        if self.nodes.wanted() == 0 {
            let message =
                format!("the MediaPool {pool} has no nodes: write a number in its spec.nodes.replicas");
            return Refusal {
                reason: reason::NO_READY_NODE,
                message,
            };
        }
        if let Some(pin) = &camera.pin {
            let message = match self.nodes.get(pin) {
                Some((node, Standing::Usable)) => format!(
                    "spec.node is {pin}, which lacks the label{} of spec.nodeSelector: take one of the two away",
                    lacking(camera, node)
                ),
                Some((node, _)) if self.nodes.is_wanted(node) => format!(
                    "spec.node is {pin}, which is not ready: see kubectl describe pod {pin}, or take spec.node away"
                ),
                _ => format!(
                    "spec.node is {pin}, and the MediaPool {pool} has {}: write one of those, or take spec.node away",
                    sentence(&self.nodes.names())
                ),
            };
            return Refusal {
                reason: reason::PINNED_NODE_UNAVAILABLE,
                message,
            };
        }
        if usable.is_empty() {
            let message = format!(
                "no node of the MediaPool {pool} is ready: see kubectl describe mediapool {pool}, and \
                 kubectl get pods -l weir.video/pool={pool}"
            );
            return Refusal {
                reason: reason::NO_READY_NODE,
                message,
            };
        }
        let selector: Vec<String> = camera.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let message = format!(
            "no ready node of the MediaPool {pool} has the labels {} of spec.nodeSelector: label the Kubernetes node of \
             one of {} (kubectl label node NAME {}), or change the selector",
            selector.join(","),
            sentence(&usable.iter().map(|n| n.name.clone()).collect::<Vec<_>>()),
            selector.join(" "),
        );
        Refusal {
            reason: reason::NO_MATCHING_NODE,
            message,
        }
    }
}

/// The first label that the selector wants and the node lacks, with a blank before it.
fn lacking(camera: &Camera, node: &Node) -> String {
    camera
        .selector
        .iter()
        .find(|(key, value)| node.labels.get(*key) != Some(value))
        .map(|(key, value)| format!(" {key}={value}"))
        .unwrap_or_default()
}

fn sentence(names: &[String]) -> String {
    match names {
        [] => "no nodes".into(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [first, .., last] => format!("{first} to {last}"),
    }
}

/// Most cameras that one plan moves for balance alone.
const BALANCE_AT_ONCE: usize = 4;

/// Moves some cameras from the node with the most to the one with the fewest. One that carries media moves only when the
/// difference is gross, as it is after a roll-out or when the pool has grown: a move costs more than a small difference
/// does. One that does not, as all of a pool that starts, moves for any difference.
fn balance(world: &Snapshot, choice: &mut Choice, plan: &mut BTreeMap<String, Placement>) {
    let mut moved: BTreeSet<&str> = BTreeSet::new();
    while moved.len() < BALANCE_AT_ONCE {
        let load = |n: &Node| choice.load.get(n.name.as_str()).copied().unwrap_or(0);
        let by_load = |n: &&Node| (load(n), n.ordinal);
        let fullest = choice.nodes.usable().max_by_key(by_load);
        let emptiest = choice.nodes.usable().min_by_key(by_load);
        let (Some(fullest), Some(emptiest)) = (fullest, emptiest) else {
            return;
        };
        let (most, fewest) = (load(fullest), load(emptiest));
        let candidate = world.cameras.iter().find(|c| {
            let gain = if c.media == Media::Live {
                most > 2 * fewest + 4
            } else {
                most > fewest + 1
            };
            let stays = |p: &Placement| p.state == State::Placed && p.epoch == c.epoch;
            gain && c.node.as_deref() == Some(&fullest.name)
                && !moved.contains(c.name.as_str())
                && fits(c, emptiest)
                && plan.get(&c.name).is_some_and(stays)
        });
        let Some(camera) = candidate else { return };
        moved.insert(&camera.name);
        if let Some(load) = choice.load.get_mut(fullest.name.as_str()) {
            *load -= 1;
        }
        choice.count(&emptiest.name);
        let handover = camera.media == Media::Live;
        let state = State::Moved {
            from: fullest.name.clone(),
            cause: Cause::Balance,
            handover,
        };
        plan.insert(
            camera.name.clone(),
            Placement::on(&emptiest.name, camera.epoch + 1, state),
        );
    }
}
