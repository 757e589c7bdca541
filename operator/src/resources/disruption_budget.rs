//! How many pods of a component an eviction may take at a time.

use serde_json::{Value, json};

use super::{Input, metadata, names, names::Component, pool_name};

/// One. A pod that does not work may always be evicted.
pub(super) fn build(input: &Input, component: Component) -> Value {
    let pool = pool_name(input.pool);
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(input.pool, &component.name(pool), Some(component)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names::selector(pool, component)},
        },
    })
}
