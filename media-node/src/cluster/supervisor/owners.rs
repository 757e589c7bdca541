//! Which node owns a stream that nobody has placed, as the node that runs it needs to know: to tell whether
//! it is still its own.

use crate::cluster::owner;
use crate::cluster::peers::Peers;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::Store;
use weir_proto::media::StreamPath;

/// The nodes that may own streams, as they were when the world was last looked at.
#[derive(Default)]
pub(super) struct Owners {
    me: String,
    ready: Vec<String>,
}

impl Owners {
    pub(super) fn new(me: &str, pods: &Store<Pod>) -> Self {
        // Whom to reach at which port is not asked here.
        let ready = Peers::of(pods, 0).ready().map(str::to_owned).collect();
        let me = me.to_owned();
        Self { me, ready }
    }

    /// None while no node takes new streams, and always without a cluster.
    pub(super) fn of(&self, path: &StreamPath) -> Option<&str> {
        owner::owner(path.as_str(), self.ready.iter().map(String::as_str))
    }

    /// Whether this node owns the path. Where nobody does, it goes on with what it has.
    pub(super) fn is_mine(&self, path: &StreamPath) -> bool {
        self.of(path).is_none_or(|owner| owner == self.me)
    }

    /// Whether another node owns the path now which did not when `then` did. A node may bring a stream that
    /// it doesn't own, because the owner could not: that is no move.
    pub(super) fn has_moved(&self, path: &StreamPath, then: Option<&str>) -> bool {
        let now = self.of(path);
        now.is_some() && now != then && !self.is_mine(path)
    }
}
