//! One namespace as plain values: what a plan is made from. Here are the values; `taken` fills them from the watch caches
//! and `memory` keeps what no cache says. What to do about them is the plan's.

mod memory;
mod taken;

pub use memory::Memory;
pub use taken::{Objects, take, trouble};

use std::{collections::BTreeMap, time::Duration};

/// A namespace at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// All `MediaPool`s, of which one at most serves.
    pub pools: Vec<Pool>,
    /// The pods of nodes, and the nodes without a pod that cameras are placed on; sorted by pool and ordinal.
    pub nodes: Vec<Node>,
    /// All Cameras, sorted by name.
    pub cameras: Vec<Camera>,
    /// All Routes, sorted by name.
    pub routes: Vec<Route>,
}

/// A `MediaPool` and how far its `StatefulSet` is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// Name of the object.
    pub name: String,
    /// Place in the order of the namespace's pools; 0 is the oldest.
    pub rank: usize,
    /// Wanted number of nodes, `spec.nodes.replicas`.
    pub replicas: u32,
    /// `spec.nodes.autoscale`.
    pub autoscale: Option<Autoscale>,
    /// `spec.replicas` of the `StatefulSet`; none before there is one.
    pub running: Option<u32>,
    /// Whether the `StatefulSet`'s controller has acted on the newest template, so that [`Node::outdated`] means something.
    pub settled: bool,
}

/// Bounds of the number of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoscale {
    /// Fewest nodes.
    pub min: u32,
    /// Most nodes.
    pub max: u32,
    /// Cameras for which there is one node.
    pub cameras_per_node: u32,
}

/// A node of a pool: a pod of its `StatefulSet`, or the place of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Name of the pod.
    pub name: String,
    /// Name of the pool.
    pub pool: String,
    /// The number at the name's end.
    pub ordinal: u32,
    /// UID of the pod; none while there is no pod.
    pub uid: Option<String>,
    /// The pod is Ready, and so is its Kubernetes node.
    pub ready: bool,
    /// The pod's container runs, as far as the kubelet has told: there may be a process that carries media.
    pub running: bool,
    /// The pod has been told to end.
    pub terminating: bool,
    /// The pod was made from an older template than the `StatefulSet`'s.
    pub outdated: bool,
    /// The Kubernetes node takes no new pods: somebody empties it.
    pub cordoned: bool,
    /// Labels of the Kubernetes node and of the pod; where both have a key, the Kubernetes node's value.
    pub labels: BTreeMap<String, String>,
    /// How long the node has not been ready; zero when it is.
    pub lost_for: Duration,
    /// Why the container does not run, in Kubernetes' words, such as `ImagePullBackOff`.
    pub trouble: Option<String>,
}

/// A Camera: what its spec says of the place, and where it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Camera {
    /// Name of the object.
    pub name: String,
    /// Place in the order of the namespace's cameras; of two with one path the lower serves.
    pub rank: usize,
    /// Canonical path of the stream.
    pub path: String,
    /// `spec.enabled`.
    pub enabled: bool,
    /// The object has been told to go.
    pub deleting: bool,
    /// `spec.node`.
    pub pin: Option<String>,
    /// `spec.nodeSelector`.
    pub selector: BTreeMap<String, String>,
    /// `status.node`.
    pub node: Option<String>,
    /// `status.epoch`, 0 before the first placement.
    pub epoch: i64,
    /// Reason of the condition `Placed`, as it stands.
    pub reason: Option<String>,
    /// What the node that runs the camera now has said of its media.
    pub media: Media,
    /// How long the camera has been on its way from another node, whose process goes on until the new one has media.
    pub moving_for: Option<Duration>,
}

/// What a camera's node says of its media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Media {
    /// The node that is in charge now has not said anything, or that nothing comes.
    #[default]
    None,
    /// It arrives.
    Live,
    /// The node runs the camera, and waits for a viewer or for the device.
    Waiting,
}

/// A Route: what its acceptance depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// Name of the object.
    pub name: String,
    /// Place in the order of the namespace's routes; of two with one pattern the lower serves.
    pub rank: usize,
    /// Canonical pattern.
    pub pattern: String,
    /// Scheme of the URL, in lower case.
    pub scheme: String,
}

impl Node {
    /// Whether there is a pod.
    pub fn exists(&self) -> bool {
        self.uid.is_some()
    }
}
