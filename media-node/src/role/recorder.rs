//! What the cloud recorder's API is made of in each role.

use crate::api::{self, Footage, Node, NodeState, Nodes, Recorder, RecorderSettings, Viewers};
use crate::args;
use crate::auth::Auth;
use crate::cluster::resource::World;
use crate::store::sql::Database;
use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;
use weir_crds::Camera;
use weir_proto::Redacted;

/// The parts of the API.
pub(super) fn build(
    database: Database,
    nodes: Arc<dyn Nodes>,
    footage: Arc<dyn Footage>,
    args: &args::Recorder,
) -> anyhow::Result<Recorder> {
    let storage_address = match &args.recorder_storage_address {
        None => None,
        Some(text) => Some(api::storage_address(text).with_context(|| {
            format!("{text} is no address of files: write scheme, host and port, such as http://media.example.org:80")
        })?),
    };
    Ok(Recorder {
        database,
        nodes,
        footage,
        settings: RecorderSettings {
            title: args.recorder_title.clone(),
            time_zone: args.recorder_time_zone.clone(),
            storage_address,
            token_lifetime: Duration::from_secs(args.recorder_token_seconds),
        },
        viewers: Arc::new(Viewers::default()),
    })
}

/// The credential in the file of the pool's Secret becomes the administrator's.
pub(super) async fn take_credential(auth: &Auth, user: &str, file: &Path) -> anyhow::Result<()> {
    let unionid = match std::fs::read_to_string(file) {
        Ok(text) => Redacted::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            warn!(
                file = %file.display(),
                "nobody can call the cloud recorder's API: add the key unionid to the pool's Secret and restart the gateways"
            );
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
    };
    auth.set_up_recorder(user, Some(unionid.reveal())).await?;
    Ok(())
}

/// The nodes of a pool.
pub(super) struct PoolNodes {
    pub(super) world: World,
    pub(super) namespace: String,
}

impl Nodes for PoolNodes {
    fn nodes(&self) -> Vec<Node> {
        let pods = self.world.pods.state();
        pods.iter().filter_map(|pod| node(pod, &self.namespace)).collect()
    }

    fn node_of(&self, camera: &Camera) -> Option<String> {
        // Where it runs, and else where it is to.
        camera
            .node()
            .map(str::to_owned)
            .or_else(|| camera.spec.node.clone())
    }

    fn time_zone(&self) -> Option<String> {
        zone(&self.world)
    }
}

fn node(pod: &Pod, namespace: &str) -> Option<Node> {
    let name = pod.metadata.name.clone()?;
    let status = pod.status.as_ref()?;
    let is_ready = status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    let is_leaving = pod.metadata.deletion_timestamp.is_some();
    let state = match status.phase.as_deref() {
        _ if is_leaving => NodeState::Gone,
        Some("Running") if is_ready => NodeState::Ready,
        Some("Running" | "Pending") => NodeState::Starting,
        _ => NodeState::Gone,
    };
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let restarts: i32 = status
        .container_statuses
        .iter()
        .flatten()
        .map(|c| c.restart_count)
        .sum();
    Some(Node {
        identity: format!("{namespace}/{name}"),
        life: format!("{uid}/{restarts}"),
        address: status.pod_ip.clone().unwrap_or_default(),
        // Pods don't say more of the machine that they are on.
        system: "Linux".to_owned(),
        state,
        name,
    })
}

/// The process that is all of it.
pub(super) struct OnlyNode {
    pub(super) world: World,
    pub(super) address: IpAddr,
    /// Of this start.
    pub(super) life: String,
}

impl Nodes for OnlyNode {
    fn nodes(&self) -> Vec<Node> {
        let address = if self.address.is_unspecified() {
            IpAddr::from([127, 0, 0, 1])
        } else {
            self.address
        };
        vec![Node {
            name: super::standalone::ME.to_owned(),
            identity: super::standalone::ME.to_owned(),
            life: self.life.clone(),
            address: address.to_string(),
            system: api::system(),
            state: NodeState::Ready,
        }]
    }

    fn node_of(&self, _: &Camera) -> Option<String> {
        Some(super::standalone::ME.to_owned())
    }

    fn time_zone(&self) -> Option<String> {
        zone(&self.world)
    }
}

fn zone(world: &World) -> Option<String> {
    Some(world.pool()?.spec.time_zone.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{NodeState, node};
    use serde_json::{Value, json};

    #[test]
    fn pods_as_nodes() {
        let pod = |meta: Value, phase: &str, ready: &str| {
            let mut pod = json!({"metadata": {"name": "n-0", "uid": "u"}, "status": {
                "phase": phase, "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 2}],
            }});
            if let (Some(to), Some(from)) = (pod["metadata"].as_object_mut(), meta.as_object()) {
                to.extend(from.clone());
            }
            node(&serde_json::from_value(pod).expect("a pod"), "studio").expect("a node")
        };
        let up = pod(json!({}), "Running", "True");
        assert_eq!((up.state, up.address.as_str()), (NodeState::Ready, "10.0.0.1"));
        assert_eq!((up.identity.as_str(), up.life.as_str()), ("studio/n-0", "u/2"));
        assert_eq!(pod(json!({}), "Running", "False").state, NodeState::Starting);
        assert_eq!(pod(json!({}), "Pending", "False").state, NodeState::Starting);
        assert_eq!(pod(json!({}), "Failed", "False").state, NodeState::Gone);
        let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(pod(leaving, "Running", "True").state, NodeState::Gone);
    }
}
