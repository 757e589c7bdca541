//! The Secret of a pool: the administrator's account and what the pods prove themselves to each other with. It is made
//! once; what stands in it afterwards is the user's.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::core::ObjectMeta;
use weir_crds::MediaPool;

use super::{metadata, names, pool_name};

/// The Secret with `password` and `relay`, which the caller has made of random bytes.
pub fn auth(pool: &MediaPool, password: String, relay: String) -> Option<Secret> {
    let metadata: ObjectMeta =
        serde_json::from_value(metadata(pool, &names::auth(pool_name(pool)), None)).ok()?;
    let data = [
        ("username", "admin".to_owned()),
        ("password", password),
        ("relay", relay),
    ];
    Some(Secret {
        metadata,
        type_: Some("Opaque".into()),
        data: Some(
            data.into_iter()
                .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
                .collect(),
        ),
        ..Secret::default()
    })
}
