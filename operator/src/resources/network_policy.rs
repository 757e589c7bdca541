//! Who may connect to the pods. Where they connect to is left open: cameras may be anywhere, and the pool's source policy
//! decides about that after names are resolved.

use serde_json::{Value, json};

use super::{Input, metadata, names, names::Component, pool_name};

/// Nodes are for the pool's pods alone; gateways are for everybody, at their ports.
pub(super) fn build(input: &Input, component: Component) -> Value {
    let pool = pool_name(input.pool);
    let ports = &input.pool.spec.ports;
    let from = match component {
        Component::Gateway => Value::Null,
        Component::Node => [Component::Node, Component::Gateway]
            .map(|c| json!({"podSelector": {"matchLabels": names::selector(pool, c)}}))
            .to_vec()
            .into(),
    };
    let tcp = |port: u16| json!({"protocol": "TCP", "port": port});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(input.pool, &component.name(pool), Some(component)),
        "spec": {
            "podSelector": {"matchLabels": names::selector(pool, component)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": from, "ports": [tcp(ports.rtsp), tcp(ports.http), tcp(ports.rtmp)]}],
        },
    })
}
