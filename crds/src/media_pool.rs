//! `MediaPool`: the pods that carry media in a namespace, and what they share. Its parts besides pods and gateways are in
//! `settings`; the objects that are made of it are the operator's.

mod settings;

pub use settings::{Access, Advertise, Ports, SourcePolicy, Turn, Verdict};

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{
    condition::{self, Condition},
    field::{self, BucketRef, Quantity, SecretRef, TimeZone},
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
        "has(self.database) || !has(self.gateways) || ((!has(self.gateways.replicas) || self.gateways.replicas == 1) && !has(self.gateways.autoscale))",
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
    /// Secret whose key `url` is the URL of a PostgreSQL database; without it, accounts are in a file of the only gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<SecretRef>,
    /// Ports that the pods listen on and the gateways' Service offers.
    #[serde(default)]
    pub ports: Ports,
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
            advertise: Advertise::default(),
            access: Access::default(),
            source_policy: SourcePolicy::default(),
            time_zone: TimeZone::default(),
            cluster_id: Self::default_cluster_id(),
        }
    }
}

/// Pods that run cameras and rooms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// Number of nodes; with `autoscale`, the number to begin with.
    #[serde(default = "Nodes::default_replicas")]
    #[schemars(schema_with = "node_replicas", default = "Nodes::default_replicas")]
    pub replicas: u32,
    /// Grows and shrinks the number of nodes with that of the cameras.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<NodeAutoscale>,
    /// Processor time and memory of a node.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Labels that the Kubernetes nodes must have on which the pods run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "field::labels")]
    pub node_selector: BTreeMap<String, String>,
    /// The volume on which recordings wait for their upload.
    #[serde(default)]
    pub spool: Spool,
}

impl Nodes {
    fn default_replicas() -> u32 {
        1
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            replicas: Self::default_replicas(),
            autoscale: None,
            resources: Resources::default(),
            node_selector: BTreeMap::new(),
            spool: Spool::default(),
        }
    }
}

/// Grows and shrinks the number of nodes with that of the cameras.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[("self.min <= self.max", MIN_MAX)])))]
pub struct NodeAutoscale {
    /// Fewest nodes.
    #[schemars(schema_with = "scale_bound")]
    pub min: u32,
    /// Most nodes.
    #[schemars(schema_with = "scale_bound")]
    pub max: u32,
    /// Cameras that a node is given before there is another.
    #[serde(default = "NodeAutoscale::default_cameras")]
    #[schemars(schema_with = "cameras_per_node", default = "NodeAutoscale::default_cameras")]
    pub cameras_per_node: u32,
}

impl NodeAutoscale {
    fn default_cameras() -> u32 {
        200
    }
}

/// The volume on which recordings wait for their upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spool {
    /// Size of a node's volume.
    #[serde(default = "Spool::default_size")]
    pub size: Quantity,
    /// Its storage class; without it, the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "field::object_name")]
    pub storage_class: Option<String>,
}

impl Spool {
    fn default_size() -> Quantity {
        Quantity::gibibytes(10)
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            size: Self::default_size(),
            storage_class: None,
        }
    }
}

/// Pods that serve viewers and answer the APIs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateways {
    /// Number of gateways; with `autoscale`, the number to begin with. More than one need a database.
    #[serde(default = "Gateways::default_replicas")]
    #[schemars(schema_with = "gateway_replicas", default = "Gateways::default_replicas")]
    pub replicas: u32,
    /// Grows and shrinks the number of gateways with what they send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<GatewayAutoscale>,
    /// Processor time and memory of a gateway.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Labels that the Kubernetes nodes must have on which the pods run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "field::labels")]
    pub node_selector: BTreeMap<String, String>,
    /// The Service in front of the gateways.
    #[serde(default)]
    pub service: Service,
}

impl Gateways {
    fn default_replicas() -> u32 {
        1
    }
}

impl Default for Gateways {
    fn default() -> Self {
        Self {
            replicas: Self::default_replicas(),
            autoscale: None,
            resources: Resources::default(),
            node_selector: BTreeMap::new(),
            service: Service::default(),
        }
    }
}

/// Grows and shrinks the number of gateways with what they send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[("self.min <= self.max", MIN_MAX)])))]
pub struct GatewayAutoscale {
    /// Fewest gateways.
    #[schemars(schema_with = "scale_bound")]
    pub min: u32,
    /// Most gateways.
    #[schemars(schema_with = "scale_bound")]
    pub max: u32,
    /// Megabits a second that a gateway sends before there is another.
    #[serde(default = "GatewayAutoscale::default_mbps")]
    #[schemars(schema_with = "mbps_per_gateway", default = "GatewayAutoscale::default_mbps")]
    pub mbps_per_gateway: u32,
}

impl GatewayAutoscale {
    fn default_mbps() -> u32 {
        2_000
    }
}

/// The Service in front of the gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Where it is reached from: `ClusterIP`, `NodePort` or `LoadBalancer`.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations, as load balancers read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Where a Service is reached from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From within the cluster.
    #[default]
    ClusterIP,
    /// Also at a port of every Kubernetes node.
    NodePort,
    /// Also at a load balancer that the cluster makes.
    LoadBalancer,
}

impl ServiceType {
    /// As a Service's `spec.type` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Processor time and memory of a container, as Kubernetes quantities by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What is set aside for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, String>,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, String>,
}

impl Resources {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
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
    /// Whether this pool goes before `other` in one namespace: the older, then the smaller name.
    pub fn goes_before(&self, other: &Self) -> bool {
        crate::precedence(&self.metadata) < crate::precedence(&other.metadata)
    }

    /// The condition of that type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        condition::find(&self.status.as_ref()?.conditions, type_)
    }
}

const MIN_MAX: &str = "min is above max: write a min that is at most max";

/// An integer with bounds that a message explains.
pub(crate) fn integer(min: i64, max: i64, message: &str) -> Schema {
    json_schema!({
        "type": "integer",
        "x-kubernetes-validations": rules(&[(&format!("self >= {min} && self <= {max}"), message)]),
    })
}

fn node_replicas(_: &mut SchemaGenerator) -> Schema {
    integer(0, 100, "not a number of nodes: write a number from 0 to 100")
}

fn gateway_replicas(_: &mut SchemaGenerator) -> Schema {
    integer(1, 100, "not a number of gateways: write a number from 1 to 100")
}

fn scale_bound(_: &mut SchemaGenerator) -> Schema {
    integer(
        1,
        100,
        "not a bound of the number of pods: write a number from 1 to 100",
    )
}

fn cameras_per_node(_: &mut SchemaGenerator) -> Schema {
    integer(
        1,
        10_000,
        "not a number of cameras: write a number from 1 to 10000",
    )
}

fn mbps_per_gateway(_: &mut SchemaGenerator) -> Schema {
    integer(
        1,
        1_000_000,
        "not a bit rate: write megabits a second from 1 to 1000000",
    )
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

fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": rules(&[(
                "isQuantity(self)",
                "not a quantity: write one as Kubernetes does, such as 500m of cpu or 512Mi of memory",
            )]),
        },
    })
}
