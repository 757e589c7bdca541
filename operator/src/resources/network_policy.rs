//! Who may connect to the pods. Where they connect to is left open: cameras may be anywhere, and the pool's source policy
//! decides about that after names are resolved.

use serde_json::{Value, json};

use super::{Input, metadata, names, names::Component, pool_name};

/// Nodes are for the pool's pods alone, save that others may be let read metrics; gateways are for everybody, at their ports.
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
    let mut ingress =
        vec![json!({"from": from, "ports": [tcp(ports.rtsp), tcp(ports.http), tcp(ports.rtmp)]})];
    let readers = &input.settings.metrics_from;
    // A rule without peers would let everybody in.
    if component == Component::Node && !readers.is_empty() {
        ingress.push(json!({"from": readers, "ports": [tcp(ports.http)]}));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(input.pool, &component.name(pool), Some(component)),
        "spec": {
            "podSelector": {"matchLabels": names::selector(pool, component)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    })
}
