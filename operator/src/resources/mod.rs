//! The objects that a pool is made of, built from its spec and from nothing else. Sending them to the API server is
//! `apply`'s; how many nodes there are is the plan's.

mod access;
mod deployment;
mod disruption_budget;
pub mod names;
mod network_policy;
mod pod;
mod secret;
mod service;
mod stateful_set;
#[cfg(test)]
mod tests;

pub use deployment::replicas as gateway_replicas;
pub use pod::image;
pub use secret::auth as auth_secret;

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use weir_crds::{GROUP, MediaPool, VERSION};

use names::Component;

/// What the operator was told about all pools.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Image of pods whose pool names none.
    pub image: String,
    /// When the kubelet fetches it; without it, as the kubelet's default for its tag is.
    pub image_pull_policy: Option<String>,
    /// Secrets with which it is fetched.
    pub image_pull_secrets: Vec<String>,
    /// Whether `NetworkPolicy`s are made.
    pub network_policies: bool,
    /// Who may read the metrics of nodes besides, as peers of such a policy.
    pub metrics_from: Vec<NetworkPolicyPeer>,
    /// Networks that no source may be dialled at, besides those of the pool's own policy.
    pub deny_sources: Vec<String>,
    /// How long a camera's former node goes on while the new one has no media.
    pub handover: Duration,
}

/// What the objects of a pool are made from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The pool.
    pub pool: &'a MediaPool,
    /// What the operator was told.
    pub settings: &'a Settings,
    /// Number of node pods.
    pub nodes: u32,
    /// Secrets that Cameras and Routes of the namespace name, which nodes may read.
    pub secrets: &'a BTreeSet<String>,
    /// Those of them that Cameras and Routes name for their sources, which gateways may read: the APIs answer a URL with its
    /// credentials.
    pub gateway_secrets: &'a BTreeSet<String>,
}

/// An object to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// Its kind.
    pub resource: ApiResource,
    /// Its name.
    pub name: String,
    /// All of it that we say.
    pub body: Value,
}

/// The kinds of which a pool has objects, as `group`, `version`, `kind`, `plural`.
const KINDS: [(&str, &str, &str, &str); 8] = [
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    ("", "v1", "Service", "services"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "Deployment", "deployments"),
];

/// The kinds of which a pool has objects, in the order in which they are applied.
pub fn kinds() -> impl Iterator<Item = ApiResource> {
    KINDS.iter().map(|(group, version, kind, plural)| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    })
}

/// All objects of a pool but its Secret, in the order in which they are applied: what pods need comes before them.
pub fn build(input: &Input) -> Vec<Built> {
    let mut bodies = vec![];
    for component in [Component::Node, Component::Gateway] {
        bodies.extend(access::build(input, component));
        bodies.push(disruption_budget::build(input, component));
        if input.settings.network_policies {
            bodies.push(network_policy::build(input, component));
        }
    }
    bodies.push(service::nodes(input));
    bodies.push(service::gateways(input));
    bodies.push(stateful_set::build(input));
    bodies.push(deployment::build(input));
    let mut built: Vec<Built> = bodies.into_iter().filter_map(built).collect();
    let order: Vec<String> = kinds().map(|k| k.kind).collect();
    built.sort_by_key(|b| order.iter().position(|k| *k == b.resource.kind));
    built
}

fn built(mut body: Value) -> Option<Built> {
    prune(&mut body);
    let resource = kinds().find(|k| body["kind"] == k.kind && body["apiVersion"] == k.api_version)?;
    let name = body["metadata"]["name"].as_str()?.to_owned();
    Some(Built { resource, name, body })
}

/// Takes away members that are null: what is not said is left to the API server's defaults.
fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, v| !v.is_null());
            members.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// Metadata of an object of the pool, which goes when the pool does.
fn metadata(pool: &MediaPool, name: &str, component: Option<Component>) -> Value {
    json!({
        "name": name,
        "namespace": pool.metadata.namespace,
        "labels": names::labels(pool_name(pool), component),
        "ownerReferences": [{
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "MediaPool",
            "name": pool.metadata.name,
            "uid": pool.metadata.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    })
}

fn pool_name(pool: &MediaPool) -> &str {
    pool.metadata.name.as_deref().unwrap_or_default()
}

/// Null for an empty collection: it is not said.
fn unless_empty<T: serde::Serialize>(value: &T) -> Value {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) if members.is_empty() => Value::Null,
        Ok(Value::Array(items)) if items.is_empty() => Value::Null,
        Ok(value) => value,
        Err(_) => Value::Null,
    }
}
