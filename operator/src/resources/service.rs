//! The Services of a pool: one without an address, which gives each node a name, and one for viewers.

use serde_json::{Value, json};
use weir_crds::media_pool::{Ports, ServiceType};

use super::{Input, metadata, names, names::Component, pool_name, unless_empty};

/// How long a viewer's address leads to the gateway that it came to last.
const AFFINITY_SECONDS: u32 = 600;

/// Names of nodes: `<node>.<service>`. A node that is not ready is found too: the others decide whom they ask.
pub(super) fn nodes(input: &Input) -> Value {
    let pool = pool_name(input.pool);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(input.pool, &names::node(pool), Some(Component::Node)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": names::selector(pool, Component::Node),
            "ports": ports(&input.pool.spec.ports),
        },
    })
}

/// The address of the pool for viewers, publishers and clients of the APIs.
pub(super) fn gateways(input: &Input) -> Value {
    let pool = pool_name(input.pool);
    let service = &input.pool.spec.gateways.service;
    let mut metadata = metadata(input.pool, &names::gateway(pool), Some(Component::Gateway));
    metadata["annotations"] = unless_empty(&service.annotations);
    // An HLS player's next request is for a segment that its gateway has made, and that another one may not
    // have (ADR 0006). Several clouds refuse to make a load balancer for a Service that wants this.
    let (affinity, config) = match service.type_ {
        ServiceType::LoadBalancer => (Value::Null, Value::Null),
        _ => (
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}),
        ),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": service.type_.as_str(),
            "sessionAffinity": affinity,
            "sessionAffinityConfig": config,
            "selector": names::selector(pool, Component::Gateway),
            "ports": ports(&input.pool.spec.ports),
        },
    })
}

fn ports(ports: &Ports) -> Value {
    let port = |name: &str, number: u16| json!({"name": name, "port": number, "targetPort": name, "protocol": "TCP"});
    json!([
        port("rtsp", ports.rtsp),
        port("http", ports.http),
        port("rtmp", ports.rtmp)
    ])
}
