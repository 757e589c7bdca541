//! The pool of the chart: a MediaPool in a file, applied when this process begins to lead and the file is not the one that
//! was applied last. What was changed in the cluster since, as by `kubectl scale`, stays until the values change. The chart
//! cannot apply it itself, as Helm wants to know every kind of a release before it installs the first object, and the kind
//! comes with the release. The pool is owned by the `ConfigMap` that the file comes from, so that it goes when the release
//! does.

use std::{path::Path, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, ValidationDirective},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weir_crds::MediaPool;

use super::Error as Fatal;
use crate::{apply::request, error::Error};

/// The field manager of what the chart's values say.
const MANAGER: &str = "weir-chart";
/// Annotation of the pool: the hash of what was applied last.
const APPLIED: &str = "weir.video/chart-values";
/// How often a failure is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Reads the pool.
///
/// # Errors
/// When the file does not hold one.
pub(super) fn read(path: &Path) -> Result<Value, Fatal> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Fatal::PoolManifest(format!("{}: {e}", path.display())))?;
    parse(&text).map_err(|why| Fatal::PoolManifest(format!("{}: {why}", path.display())))
}

fn parse(text: &str) -> Result<Value, String> {
    let value: Value = serde_norway::from_str(text).map_err(|e| e.to_string())?;
    // Read as the type it is to be, so that a mistake shows here and not as an answer of the API server alone.
    let pool: MediaPool = serde_norway::from_str(text).map_err(|e| e.to_string())?;
    if pool.metadata.name.is_none() {
        return Err("metadata.name is missing".into());
    }
    Ok(value)
}

/// Applies it, if it differs from what was applied last, and tries again until it is taken.
pub(super) async fn apply(
    client: &Client,
    own_namespace: &str,
    namespace: &str,
    pool: &Value,
    owner: Option<&str>,
) {
    loop {
        match attempt(client, own_namespace, namespace, pool, owner).await {
            Ok(true) => {
                tracing::info!(namespace, "MediaPool of the chart is applied");
                return;
            }
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(namespace, error = %error.chain(), "MediaPool of the chart could not be applied");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Says whether there was something to apply.
async fn attempt(
    client: &Client,
    own_namespace: &str,
    namespace: &str,
    pool: &Value,
    owner: Option<&str>,
) -> Result<bool, Error> {
    let mut pool = pool.clone();
    pool["metadata"]["namespace"] = namespace.into();
    // An object cannot own what is in another namespace.
    if let Some(owner) = owner.filter(|_| own_namespace == namespace) {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), own_namespace);
        let map = request(|| format!("read ConfigMap {owner}"), api.get(owner)).await?;
        pool["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": map.name_any(), "uid": map.uid().unwrap_or_default(),
        }]);
    }
    let name = pool["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let hash = hex::encode(Sha256::digest(pool.to_string()));
    pool["metadata"]["annotations"][APPLIED] = hash.as_str().into();
    let api: Api<MediaPool> = Api::namespaced(client.clone(), namespace);
    let current = request(|| format!("read MediaPool {name}"), api.get_opt(&name)).await?;
    if current.is_some_and(|c| c.annotations().get(APPLIED) == Some(&hash)) {
        return Ok(false);
    }
    let mut params = PatchParams::apply(MANAGER).force();
    params.field_validation = Some(ValidationDirective::Strict);
    request(
        || format!("apply MediaPool {name}"),
        api.patch(&name, &params, &Patch::Apply(&pool)),
    )
    .await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, ApiServer};

    const POOL: &str = "{apiVersion: weir.video/v1alpha1, kind: MediaPool, metadata: {name: media}, spec: {nodes: {replicas: 2}}}";

    #[test]
    fn only_a_pool_is_one() {
        assert!(parse(POOL).is_ok());
        for bad in [
            "{}",
            "a: [",
            "{apiVersion: weir.video/v1alpha1, kind: MediaPool, metadata: {}, spec: {}}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_pool_goes_with_the_config_map() {
        let map = json!({"metadata": {"name": "weir-pool", "uid": "uid-map"}});
        let pool = parse(POOL).expect("a pool");
        let server =
            ApiServer::default().on("GET", "/api/v1/namespaces/studio/configmaps/weir-pool", 200, map);
        attempt(&server.client(), "studio", "studio", &pool, Some("weir-pool"))
            .await
            .expect("applied");
        let applied = server.asked().remove(2);
        assert!(
            applied.query.contains("fieldManager=weir-chart"),
            "{}",
            applied.query
        );
        assert_eq!(applied.body["metadata"]["ownerReferences"][0]["uid"], "uid-map");
        assert_eq!(
            applied.body["spec"],
            json!({"nodes": {"replicas": 2}}),
            "nothing but what the values say"
        );

        attempt(&server.client(), "system", "studio", &pool, Some("weir-pool"))
            .await
            .expect("applied");
        let applied = server.asked().remove(1);
        assert!(applied.body["metadata"].get("ownerReferences").is_none());
    }

    #[tokio::test]
    async fn what_was_applied_is_not_applied_again() {
        const PATH: &str = "/apis/weir.video/v1alpha1/namespaces/studio/mediapools/media";
        let pool = parse(POOL).expect("a pool");
        let mut current = serde_json::to_value(fixtures::pool("media", json!({}))).expect("JSON");
        let server = ApiServer::default().on("GET", PATH, 200, current.clone());
        let first = attempt(&server.client(), "studio", "studio", &pool, None).await;
        assert!(first.expect("applied"), "nothing says that it ever was");

        // Somebody scales it; the operator starts again.
        current["metadata"]["annotations"] = server.asked().remove(1).body["metadata"]["annotations"].clone();
        current["spec"]["nodes"]["replicas"] = 7.into();
        let server = ApiServer::default()
            .on("GET", PATH, 200, current.clone())
            .on("GET", PATH, 200, current);
        let second = attempt(&server.client(), "studio", "studio", &pool, None).await;
        assert!(!second.expect("read"));
        assert_eq!(server.asked().len(), 1);

        let other = parse(&POOL.replace("replicas: 2", "replicas: 3")).expect("a pool");
        let third = attempt(&server.client(), "studio", "studio", &other, None).await;
        assert!(third.expect("applied"), "the values have changed");
    }
}
