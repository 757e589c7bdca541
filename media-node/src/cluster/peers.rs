//! The pods of this pool, as they tell of themselves: who is ready, and where each is reached.

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::Store;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who this process is in its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The pod's name, which for a node is the name that `status.node` has.
    pub name: String,
    pub namespace: String,
    pub pool: String,
}

impl Identity {
    /// Selects the pods that are this pool's nodes.
    pub fn node_selector(&self) -> String {
        self.selector("node")
    }

    /// Selects the pods that are this pool's gateways.
    pub fn gateway_selector(&self) -> String {
        self.selector("gateway")
    }

    fn selector(&self, component: &str) -> String {
        format!(
            "app.kubernetes.io/name=weir,app.kubernetes.io/component={component},weir.video/pool={}",
            self.pool
        )
    }
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// `host:port` of its HTTP port.
    pub address: String,
    /// Tells pods apart that had one name after each other.
    pub uid: String,
    /// Takes new streams: ready, and not about to go.
    pub ready: bool,
}

/// The pods of one component that can be reached, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers(BTreeMap<String, Peer>);

impl Peers {
    /// `http_port` is the port on which all pods of the pool serve one another.
    pub fn of(pods: &Store<Pod>, http_port: u16) -> Self {
        Self::of_pods(pods.state().iter().map(|p| &**p), http_port)
    }

    fn of_pods<'a>(pods: impl Iterator<Item = &'a Pod>, http_port: u16) -> Self {
        Self(pods.filter_map(|pod| peer(pod, http_port)).collect())
    }

    /// The node of that name, ready or not.
    pub fn get(&self, name: &str) -> Option<&Peer> {
        self.0.get(name)
    }

    /// Name and address of each, ready or not.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, peer)| (name.as_str(), peer.address.as_str()))
    }

    /// Names of the nodes that take new streams.
    pub fn ready(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|(_, p)| p.ready)
            .map(|(name, _)| name.as_str())
    }
}

fn peer(pod: &Pod, http_port: u16) -> Option<(String, Peer)> {
    let status = pod.status.as_ref()?;
    // A pod that has ended keeps its address for a while.
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let ip: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    let peer = Peer {
        address: std::net::SocketAddr::new(ip, http_port).to_string(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        ready: ready && pod.metadata.deletion_timestamp.is_none(),
    };
    Some((pod.metadata.name.clone()?, peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, meta: &Value, status: &Value) -> Pod {
        let mut pod = json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "status": status});
        if let (Some(to), Some(from)) = (pod["metadata"].as_object_mut(), meta.as_object()) {
            to.extend(from.clone());
        }
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn who_is_reached_and_who_is_ready() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let pods = [
            pod(
                "n-0",
                &json!({}),
                &json!({"podIP": "10.0.0.1", "phase": "Running", "conditions": ready}),
            ),
            pod(
                "n-1",
                &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
                &json!({"podIP": "10.0.0.2", "phase": "Running", "conditions": ready}),
            ),
            pod(
                "n-2",
                &json!({}),
                &json!({"podIP": "10.0.0.3", "phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}),
            ),
            pod("n-3", &json!({}), &json!({"phase": "Pending"})),
            pod(
                "n-4",
                &json!({}),
                &json!({"podIP": "10.0.0.5", "phase": "Failed", "conditions": ready}),
            ),
            pod(
                "n-5",
                &json!({}),
                &json!({"podIP": "fd00::7", "phase": "Running", "conditions": ready}),
            ),
        ];
        let peers = Peers::of_pods(pods.iter(), 8080);
        assert_eq!(peers.ready().collect::<Vec<_>>(), ["n-0", "n-5"]);
        let address = |name| peers.get(name).map(|p| p.address.as_str());
        assert_eq!(address("n-0"), Some("10.0.0.1:8080"));
        assert_eq!(
            address("n-1"),
            Some("10.0.0.2:8080"),
            "a node that goes is still reached"
        );
        assert_eq!(address("n-2"), Some("10.0.0.3:8080"));
        assert_eq!(address("n-3"), None, "no address yet");
        assert_eq!(address("n-4"), None, "its process has ended");
        assert_eq!(address("n-5"), Some("[fd00::7]:8080"));
    }
}
