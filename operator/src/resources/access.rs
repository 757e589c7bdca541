//! What the pods may do at the API server: a service account for each component, with a role of the verbs that it uses.

use serde_json::{Value, json};
use weir_crds::{GROUP, route::is_made_secret};

use super::{Input, metadata, names::Component, pool_name};

pub(super) fn build(input: &Input, component: Component) -> [Value; 3] {
    let name = component.name(pool_name(input.pool));
    let rules = match component {
        Component::Node => node_rules(input),
        Component::Gateway => gateway_rules(input),
    };
    let metadata = metadata(input.pool, &name, Some(component));
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": input.pool.metadata.namespace}],
        }),
    ]
}

/// A node reads what it runs and says how it goes. It reads only the Secrets that Cameras and Routes name.
fn node_rules(input: &Input) -> Vec<Value> {
    let mut rules = vec![
        read(
            GROUP,
            &["cameras", "routes", "rooms", "recordschedules", "mediapools"],
        ),
        json!({
            "apiGroups": [GROUP],
            "resources": ["cameras/status", "routes/status"],
            "verbs": ["patch"],
        }),
        read("", &["pods"]),
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}),
    ];
    rules.extend(named_secrets(input.secrets.iter(), &["get"]));
    rules
}

/// A gateway finds out which streams there are and who has them, and writes what API calls make. Their
/// credentials go into Secrets that it makes, reads back, and deletes when they are replaced; what is made has no name yet
/// that a rule could tell.
fn gateway_rules(input: &Input) -> Vec<Value> {
    let mut rules = vec![
        read(
            GROUP,
            &["cameras", "routes", "rooms", "recordschedules", "mediapools"],
        ),
        json!({"apiGroups": [GROUP], "resources": ["cameras", "routes", "recordschedules"], "verbs": ["create", "patch", "delete"]}),
        read("", &["pods"]),
        json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}),
    ];
    let (made, others): (Vec<_>, Vec<_>) = input
        .gateway_secrets
        .iter()
        .partition(|name| is_made_secret(name));
    rules.extend(named_secrets(others, &["get"]));
    rules.extend(named_secrets(made, &["get", "delete"]));
    rules
}

/// What may be done with these Secrets; nothing where there are none, because a rule without names would be one for all.
fn named_secrets<'a>(names: impl IntoIterator<Item = &'a String>, verbs: &[&str]) -> Option<Value> {
    let names: Vec<&String> = names.into_iter().collect();
    (!names.is_empty())
        .then(|| json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": verbs}))
}

fn read(group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]})
}
