//! `MediaPool`: the pods that carry media in a namespace, and what they share. The pods are in
//! `pods`, what they share in `settings`; the objects that are made of it are the operator's.

mod pods;
mod settings;

pub use pods::{GatewayAutoscale, Gateways, NodeAutoscale, Nodes, Resources, Service, ServiceType, Spool};
pub use settings::{Access, Advertise, Ports, SourcePolicy, Tls, Turn, Verdict};

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    condition::{self, Condition},
    field::{BucketRef, SecretRef, TimeZone},
    rule::rules,
};

/// What the user wants of a pool.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weir.video",
    version = "v1alpha1",
    kind = "MediaPool",
    namespaced,
    status = "MediaPoolStatus",
    derive = "PartialEq",
    shortname = "pool",
    validation = (
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "metadata.name begins the names of pods and Services: write at most 40 lower-case letters, digits and '-', a letter first, such as media"
    ),
    category = "weir",
    doc = "The pods that carry media in a namespace: nodes, which run cameras, and gateways, which serve viewers.",
    scale(
        spec_replicas_path = ".spec.nodes.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.readyNodes"),
    printcolumn(name = "Gateways", type_ = "integer", json_path = ".status.readyGateways"),
    printcolumn(name = "Cameras", type_ = "integer", json_path = ".status.cameras"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    (
        "has(self.database) || !has(self.gateways) || ((!has(self.gateways.replicas) || self.gateways.replicas <= 1) && !has(self.gateways.autoscale))",
        "gateways: several of them share accounts by a database: write database.secretName, or gateways.replicas: 1 without autoscale",
    ),
])))]
pub struct MediaPoolSpec {
    /// Pods that run cameras and rooms.
    #[serde(default)]
    pub nodes: Nodes,
    /// Pods that serve viewers and answer the APIs.
    #[serde(default)]
    pub gateways: Gateways,
    /// Image of the pods; without it, the one that the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "image")]
    pub image: Option<String>,
    /// Where recordings are stored; without it, nothing can be recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<BucketRef>,
    /// Secret whose key `url` is the `postgres://` URL of a database; without it, accounts are in a file of the only gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<SecretRef>,
    /// Ports that the pods listen on and the gateways' Service offers.
    #[serde(default)]
    pub ports: Ports,
    /// Certificate of the gateways; without it, they speak plain text alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Addresses that clients are told, where they differ from those that the pods listen on.
    #[serde(default)]
    pub advertise: Advertise,
    /// Who may view.
    #[serde(default)]
    pub access: Access,
    /// Addresses that no source may be dialled at.
    #[serde(default)]
    pub source_policy: SourcePolicy,
    /// Time zone of schedules that name none.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// Number of this cluster in names and URLs of the rooms API.
    #[serde(default = "MediaPoolSpec::default_cluster_id")]
    #[schemars(schema_with = "cluster_id", default = "MediaPoolSpec::default_cluster_id")]
    pub cluster_id: u32,
}

impl MediaPoolSpec {
    fn default_cluster_id() -> u32 {
        1
    }
}

impl Default for MediaPoolSpec {
    fn default() -> Self {
        Self {
            nodes: Nodes::default(),
            gateways: Gateways::default(),
            image: None,
            storage: None,
            database: None,
            ports: Ports::default(),
            tls: None,
            advertise: Advertise::default(),
            access: Access::default(),
            source_policy: SourcePolicy::default(),
            time_zone: TimeZone::default(),
            cluster_id: Self::default_cluster_id(),
        }
    }
}

/// What is true of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaPoolStatus {
    /// Number of node pods that exist, as the scale subresource shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i64>,
    /// Label selector of the node pods, as the scale subresource shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// Number of nodes that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ready_nodes: Option<i64>,
    /// Number of gateways that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ready_gateways: Option<i64>,
    /// Number of cameras that are placed on the pool's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cameras: Option<i64>,
    /// Image of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// The nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub nodes: Vec<NodeStatus>,
    /// The `metadata.generation` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Accepted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One node of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// The pod's name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Whether cameras can be placed on it.
    pub ready: bool,
    /// Whether its cameras are being moved away.
    #[serde(default)]
    pub draining: bool,
    /// Number of cameras that are placed on it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cameras: i64,
    /// Megabits a second that it last reported to take in and send, when somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub mbps: Option<i64>,
}

impl MediaPool {
    /// Name of the nodes' `StatefulSet` and headless Service, which the nodes' names begin with: `media-node` for the pool
    /// `media`, with the nodes `media-node-0` and so on.
    pub fn nodes_name(&self) -> String {
        format!("{}-node", self.metadata.name.as_deref().unwrap_or_default())
    }

    /// Name of the gateways' Deployment and Service.
    pub fn gateways_name(&self) -> String {
        format!("{}-gateway", self.metadata.name.as_deref().unwrap_or_default())
    }

    /// Name of the Secret with the pool's own credentials: keys `username`, `password` and `relay`.
    pub fn auth_secret_name(&self) -> String {
        format!("{}-auth", self.metadata.name.as_deref().unwrap_or_default())
    }

    /// Whether a Secret is the pool's own: no Camera and no Route may name it, as what is in it would be sent to a source.
    pub fn owns_secret(&self, name: &str) -> bool {
        let spec = &self.spec;
        let named = [
            spec.database.as_ref().map(|d| &d.secret_name),
            spec.storage.as_ref().and_then(|s| s.secret_name.as_ref()),
            spec.advertise.turn.as_ref().map(|t| &t.secret_name),
            spec.tls.as_ref().map(|t| &t.secret_name),
        ];
        name == self.auth_secret_name() || named.into_iter().flatten().any(|n| n == name)
    }

    /// Whether this pool goes before `other` in one namespace: the older, then the smaller name.
    pub fn goes_before(&self, other: &Self) -> bool {
        crate::precedence(&self.metadata) < crate::precedence(&other.metadata)
    }

    /// The condition of that type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        condition::find(&self.status.as_ref()?.conditions, type_)
    }
}

/// An integer with bounds that a message explains.
fn integer(min: i64, max: i64, message: &str) -> Schema {
    json_schema!({
        "type": "integer",
        "x-kubernetes-validations": rules(&[(&format!("self >= {min} && self <= {max}"), message)]),
    })
}

fn cluster_id(_: &mut SchemaGenerator) -> Schema {
    integer(1, 9, "not the number of a cluster: write a number from 1 to 9")
}

fn image(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 512,
        "x-kubernetes-validations": rules(&[(
            "self.matches('^[A-Za-z0-9][A-Za-z0-9._:/@-]*$')",
            "not an image: write a reference such as registry.example/weir/media-node:1.2.3",
        )]),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pool_keeps_its_secrets() {
        let pool: MediaPool = serde_json::from_value(json!({
            "apiVersion": "weir.video/v1alpha1", "kind": "MediaPool", "metadata": {"name": "media"},
            "spec": {"database": {"secretName": "db"}, "storage": {"bucket": "b", "secretName": "s3"},
                "tls": {"secretName": "tls"}, "advertise": {"turn": {"urls": ["turn:t:3478"], "secretName": "turn"}}},
        }))
        .expect("a pool");
        for own in ["media-auth", "db", "s3", "turn", "tls"] {
            assert!(pool.owns_secret(own), "{own}");
        }
        for other in ["front-door", "other-auth", ""] {
            assert!(!pool.owns_secret(other), "{other}");
        }
    }
}
