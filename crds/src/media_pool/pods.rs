//! The pods of a pool: how many, how large, and where they run.

use k8s_openapi::{
    api::core::v1::ResourceRequirements,
    apimachinery::pkg::{api::resource, util::intstr::IntOrString},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::integer;
use crate::{
    field::{self, Quantity},
    rule::rules,
};

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
    pub requests: BTreeMap<String, IntOrString>,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, IntOrString>,
}

impl Resources {
    /// As a container's `resources` has them.
    pub fn requirements(&self) -> ResourceRequirements {
        let quantities = |amounts: &BTreeMap<String, IntOrString>| {
            let quantity = |amount: &IntOrString| match amount {
                IntOrString::Int(number) => resource::Quantity(number.to_string()),
                IntOrString::String(text) => resource::Quantity(text.clone()),
            };
            Some(
                amounts
                    .iter()
                    .map(|(name, amount)| (name.clone(), quantity(amount)))
                    .collect(),
            )
            .filter(|amounts: &BTreeMap<_, _>| !amounts.is_empty())
        };
        ResourceRequirements {
            requests: quantities(&self.requests),
            limits: quantities(&self.limits),
            ..ResourceRequirements::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

const MIN_MAX: &str = "min is above max: write a min that is at most max";

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
            "x-kubernetes-int-or-string": true,
            "maxLength": 32,
            "x-kubernetes-validations": rules(&[(
                "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
                "not a quantity: write one as Kubernetes does, such as 500m of cpu or 512Mi of memory",
            )]),
        },
    })
}
