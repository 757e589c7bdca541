//! The `StatefulSet` of a pool's nodes. Its pods start and end side by side, and nothing but the plan replaces one
//! (`OnDelete`): the reasons are in [`crate::plan`].

use serde_json::{Value, json};

use super::{Input, metadata, names, names::Component, pod, pool_name};

pub(super) fn build(input: &Input) -> Value {
    let pool = pool_name(input.pool);
    let spool = &input.pool.spec.nodes.spool;
    // Recordings wait for their upload in the spool. Where there is nowhere to upload to, nothing is recorded, and a
    // volume that outlives the pod would hold nothing.
    let claimed = input.pool.spec.storage.is_some() || spool.storage_class.is_some();
    let (volume, claims) = if claimed {
        let claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": pod::DATA, "labels": names::selector(pool, Component::Node)},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": spool.storage_class,
                "resources": {"requests": {"storage": spool.size.as_str()}},
            },
        });
        (Value::Null, json!([claim]))
    } else {
        (
            json!({"name": pod::DATA, "emptyDir": {"sizeLimit": spool.size.as_str()}}),
            Value::Null,
        )
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(input.pool, &names::node(pool), Some(Component::Node)),
        "spec": {
            "replicas": input.nodes,
            "serviceName": names::node(pool),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": names::selector(pool, Component::Node)},
            "template": pod::template(input, Component::Node, &volume),
            "volumeClaimTemplates": claims,
        },
    })
}
