//! Objects on their way to the API server: server-side apply, removal of what is not wanted any more, and deadlines on all
//! of it. What the objects are is decided in `resources`.

use std::{collections::HashSet, time::Duration};

use kube::{
    Api, Client, ResourceExt,
    api::{
        DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
        ValidationDirective,
    },
    core::DynamicObject,
};
use rand::RngExt;
use weir_crds::{MediaPool, POOL_LABEL};

use crate::{
    error::{Category, Error},
    resources::{self, Built, names},
};

/// Longest time that one request may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Waits for the answer to a request, no longer than [`DEADLINE`].
pub async fn request<T>(
    doing: impl FnOnce() -> String,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Error::kube(doing(), source)),
        Err(_) => Err(Error::Timeout {
            doing: doing(),
            after: DEADLINE,
        }),
    }
}

/// Applies one object. A `StatefulSet` whose fixed fields differ is made anew around its pods, which go on running and are
/// replaced by the roll-out that follows.
pub async fn apply(client: &Client, namespace: &str, object: &Built) -> Result<(), Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &object.resource);
    let doing = || format!("apply {} {}", object.resource.kind, object.name);
    let mut params = PatchParams::apply(names::MANAGER).force();
    params.field_validation = Some(ValidationDirective::Strict);
    let patch = Patch::Apply(&object.body);
    let result = request(doing, api.patch(&object.name, &params, &patch)).await;
    match result {
        Err(error) if object.resource.kind == "StatefulSet" && wants_another(&error) => {
            tracing::info!(name = %object.name, "StatefulSet is made anew around its pods");
            let orphan = DeleteParams {
                propagation_policy: Some(PropagationPolicy::Orphan),
                ..DeleteParams::default()
            };
            request(
                || format!("delete StatefulSet {}", object.name),
                api.delete(&object.name, &orphan),
            )
            .await?;
            request(doing, api.patch(&object.name, &params, &patch))
                .await
                .map(drop)
        }
        result => result.map(drop),
    }
}

fn wants_another(error: &Error) -> bool {
    let Error::Kube { source, .. } = error else {
        return false;
    };
    matches!(source.as_ref(), kube::Error::Api(status)
        if status.code == 422 && status.message.contains("updates to statefulset spec"))
}

/// Deletes objects that carry the pool's labels and are not in `keep`.
pub async fn remove_orphans(
    client: &Client,
    namespace: &str,
    pool: &MediaPool,
    keep: &[Built],
) -> Result<usize, Error> {
    let keep: HashSet<(&str, &str)> = keep
        .iter()
        .map(|b| (b.resource.kind.as_str(), b.name.as_str()))
        .collect();
    let labels = format!(
        "{POOL_LABEL}={},{}={}",
        pool.name_any(),
        names::MANAGED_BY,
        names::MANAGER
    );
    let list = ListParams::default().labels(&labels);
    let mut removed = 0;
    for resource in resources::kinds() {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let kind = resource.kind.as_str();
        for object in request(|| format!("list {kind}s of the pool"), api.list(&list)).await? {
            let name = object.name_any();
            let ours = object
                .owner_references()
                .iter()
                .any(|o| Some(&o.uid) == pool.metadata.uid.as_ref());
            if !ours || keep.contains(&(kind, name.as_str())) {
                continue;
            }
            tracing::info!(kind, %name, "object is not wanted any more");
            let params = DeleteParams {
                preconditions: exactly(object.uid()),
                ..DeleteParams::background()
            };
            match request(|| format!("delete {kind} {name}"), api.delete(&name, &params)).await {
                Err(error) if error.category() != Category::NotFound => return Err(error),
                _ => removed += 1,
            }
        }
    }
    Ok(removed)
}

/// Preconditions that mean this object and no other of its name.
pub fn exactly(uid: Option<String>) -> Option<Preconditions> {
    Some(Preconditions {
        uid: Some(uid?),
        resource_version: None,
    })
}

/// Makes the pool's Secret if there is none. One that is there stays as it is. Says whether it was made.
pub async fn ensure_secret(client: &Client, namespace: &str, pool: &MediaPool) -> Result<bool, Error> {
    let Some(secret) = resources::auth_secret(pool, random_text(), random_text(), random_text()) else {
        return Ok(false);
    };
    let name = secret.name_any();
    let api = Api::namespaced(client.clone(), namespace);
    match request(
        || format!("make Secret {name}"),
        api.create(&PostParams::default(), &secret),
    )
    .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.category() == Category::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

/// 32 letters and digits, some 190 bits.
fn random_text() -> String {
    let mut rng = rand::rng();
    (0..32)
        .map(|_| char::from(rng.sample(rand::distr::Alphanumeric)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::fixtures::{self, ApiServer, NAMESPACE};

    fn objects(pool: &MediaPool) -> Vec<Built> {
        let settings = resources::Settings {
            image: "i".into(),
            ..resources::Settings::default()
        };
        resources::build(&resources::Input {
            pool,
            settings: &settings,
            nodes: 1,
            secrets: &BTreeSet::new(),
            gateway_secrets: &BTreeSet::new(),
        })
    }

    #[tokio::test]
    async fn objects_are_applied_by_force_and_read_strictly() {
        let server = ApiServer::default();
        let pool = fixtures::pool("media", json!({}));
        let object = objects(&pool).remove(0);
        apply(&server.client(), NAMESPACE, &object)
            .await
            .expect("applied");
        let asked = server.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].method, "PATCH");
        assert_eq!(
            asked[0].path,
            "/api/v1/namespaces/studio/serviceaccounts/media-node"
        );
        for part in [
            "force=true",
            "fieldManager=weir-operator",
            "fieldValidation=Strict",
        ] {
            assert!(asked[0].query.contains(part), "{}", asked[0].query);
        }
        assert_eq!(asked[0].body, object.body);
    }

    #[tokio::test]
    async fn a_stateful_set_with_other_fixed_fields_is_made_anew_around_its_pods() {
        let path = "/apis/apps/v1/namespaces/studio/statefulsets/media-node";
        let message = "StatefulSet.apps \"media-node\" is invalid: spec: Forbidden: updates to statefulset spec for fields \
                       other than 'replicas' are forbidden";
        let server = ApiServer::default()
            .fails("PATCH", path, 422, "Invalid", message)
            .on(
                "DELETE",
                path,
                200,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}),
            );
        let pool = fixtures::pool("media", json!({}));
        let set = objects(&pool)
            .into_iter()
            .find(|o| o.resource.kind == "StatefulSet")
            .expect("one");
        apply(&server.client(), NAMESPACE, &set).await.expect("applied");
        let asked = server.asked();
        let methods: Vec<&str> = asked.iter().map(|a| a.method.as_str()).collect();
        assert_eq!(methods, ["PATCH", "DELETE", "PATCH"]);
        assert_eq!(asked[1].body["propagationPolicy"], "Orphan");

        let server =
            ApiServer::default().fails("PATCH", path, 422, "Invalid", "replicas: must not be negative");
        let error = apply(&server.client(), NAMESPACE, &set)
            .await
            .expect_err("refused");
        assert_eq!(error.category(), Category::Invalid);
        assert_eq!(server.asked().len(), 1);
    }

    #[tokio::test]
    async fn orphans_go_and_strangers_stay() {
        let pool = fixtures::pool("media", json!({}));
        let keep = objects(&pool);
        let mut server = ApiServer::default();
        for kind in resources::kinds() {
            let group = if kind.group.is_empty() {
                "/api".into()
            } else {
                format!("/apis/{}", kind.group)
            };
            let path = format!("{group}/{}/namespaces/studio/{}", kind.version, kind.plural);
            let object = |name: &str, owner: &str| {
                json!({"metadata": {"name": name, "uid": format!("u-{name}"),
                "ownerReferences": [{"apiVersion": "v1", "kind": "MediaPool", "name": "media", "uid": owner}]}})
            };
            let items = match kind.kind.as_str() {
                "NetworkPolicy" => json!([object("media-node", "uid-media"), object("another", "uid-other")]),
                "Service" => json!([object("media-node", "uid-media")]),
                _ => json!([]),
            };
            let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items});
            server = server.on("GET", &path, 200, list);
        }
        let gone = "/apis/networking.k8s.io/v1/namespaces/studio/networkpolicies/media-node";
        let server = server.on(
            "DELETE",
            gone,
            200,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}),
        );
        assert_eq!(
            remove_orphans(&server.client(), NAMESPACE, &pool, &keep)
                .await
                .expect("listed"),
            1
        );
        let deleted: Vec<_> = server
            .asked()
            .into_iter()
            .filter(|a| a.method == "DELETE")
            .collect();
        assert_eq!(deleted.len(), 1);
        assert_eq!(
            (deleted[0].path.as_str(), &deleted[0].body["preconditions"]["uid"]),
            (gone, &json!("u-media-node"))
        );
    }

    #[tokio::test]
    async fn a_secret_is_made_once_and_is_random() {
        let path = "/api/v1/namespaces/studio/secrets";
        let server = ApiServer::default();
        let pool = fixtures::pool("media", json!({}));
        assert!(
            ensure_secret(&server.client(), NAMESPACE, &pool)
                .await
                .expect("made")
        );
        assert!(
            ensure_secret(&server.client(), NAMESPACE, &pool)
                .await
                .expect("made")
        );
        let made = server.asked();
        assert_ne!(made[0].body["data"]["password"], made[1].body["data"]["password"]);
        assert_ne!(made[0].body["data"]["password"], made[0].body["data"]["relay"]);
        let server = ApiServer::default().fails("POST", path, 409, "AlreadyExists", "there is one");
        assert!(
            !ensure_secret(&server.client(), NAMESPACE, &pool)
                .await
                .expect("there is one")
        );
        assert_eq!(server.asked().len(), 1, "it is not touched");
    }
}
