//! What the pods may do at the API server: a service account for each component, with a role of the verbs that it uses.

use serde_json::{Value, json};
use weir_crds::GROUP;

use super::{Input, metadata, names::Component, pool_name};

pub(super) fn build(input: &Input, component: Component) -> [Value; 3] {
    let name = component.name(pool_name(input.pool));
    let rules = match component {
        Component::Node => node_rules(input),
        Component::Gateway => gateway_rules(),
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
            "resources": ["cameras/status"],
            "verbs": ["patch"],
        }),
        read("", &["pods"]),
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}),
    ];
    // A rule without names would allow all Secrets.
    if !input.secrets.is_empty() {
        rules.push(json!({
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": input.secrets,
            "verbs": ["get"],
        }));
    }
    rules
}

/// A gateway finds out which streams there are and who has them.
fn gateway_rules() -> Vec<Value> {
    vec![
        read(
            GROUP,
            &["cameras", "routes", "rooms", "recordschedules", "mediapools"],
        ),
        read("", &["pods"]),
    ]
}

fn read(group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]})
}
