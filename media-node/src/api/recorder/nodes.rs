//! The nodes, as the role knows them: what the documents call gathers.

use weir_crds::Camera;

/// Tells of the nodes of the pool, or of the one process that is all of it. Made by the role.
pub trait Nodes: Send + Sync + 'static {
    /// Those that there are, in any order.
    fn nodes(&self) -> Vec<Node>;

    /// The node that runs a camera, or is to.
    fn node_of(&self, camera: &Camera) -> Option<String>;

    /// The pool's time zone; none where nobody has named one.
    fn time_zone(&self) -> Option<String>;
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// The same for all lives of a node, and no other's: its hardware address is made of it.
    pub identity: String,
    /// Tells one life of it from the next.
    pub life: String,
    /// Without a port.
    pub address: String,
    /// Operating system, release, architecture.
    pub system: String,
    pub state: NodeState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    Ready,
    /// Runs, and is not ready yet.
    Starting,
    Gone,
}

/// The system that this process runs on, as the documents write it.
pub fn system() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let words = ["Linux", release.trim(), std::env::consts::ARCH];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
