//! The Secret of a pool: the administrator's account, with its credential for the cloud recorder's API, and what the pods prove
//! themselves to each other with. It is made once; what stands in it afterwards is the user's.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::core::ObjectMeta;
use weir_crds::MediaPool;

use super::{metadata, names, pool_name};

/// The Secret with `password`, `relay` and `unionid`, which the caller has made of random bytes.
pub fn auth(pool: &MediaPool, password: String, relay: String, unionid: String) -> Option<Secret> {
    let metadata: ObjectMeta =
        serde_json::from_value(metadata(pool, &names::auth(pool_name(pool)), None)).ok()?;
    let data = [
        ("username", "admin".to_owned()),
        ("password", password),
        ("relay", relay),
        ("unionid", unionid),
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
