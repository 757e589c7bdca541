//! The Deployment of a pool's gateways. A new one is ready before an old one goes.

use serde_json::{Value, json};
use weir_crds::MediaPool;

use super::{Input, metadata, names, names::Component, pod, pool_name};

/// Number of gateways. Without a database the accounts are in a file of the gateway, which two cannot share.
pub fn replicas(pool: &MediaPool) -> u32 {
    let gateways = &pool.spec.gateways;
    if pool.spec.database.is_none() {
        return 1;
    }
    gateways.autoscale.as_ref().map_or(gateways.replicas, |a| {
        gateways.replicas.clamp(a.min, a.max.max(a.min))
    })
}

pub(super) fn build(input: &Input) -> Value {
    let pool = pool_name(input.pool);
    let data = json!({"name": pod::DATA, "emptyDir": {}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(input.pool, &names::gateway(pool), Some(Component::Gateway)),
        "spec": {
            "replicas": replicas(input.pool),
            "revisionHistoryLimit": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": names::selector(pool, Component::Gateway)},
            "template": pod::template(input, Component::Gateway, &data),
        },
    })
}
