//! Statuses on their way to the API server: server-side apply of the fields that are ours, on change only. What they say
//! is decided in the plan and the controllers.

use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use weir_crds::{
    Time,
    condition::{self, Condition},
    jiff::Timestamp,
};

use crate::{apply::request, error::Error};

/// A condition that is to hold or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its type.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Reason for programs.
    pub reason: String,
    /// Reason for people.
    pub message: String,
}

impl Wanted {
    /// A condition that is to hold or not.
    pub fn new(
        kind: &'static str,
        holds: bool,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            holds,
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// The wanted conditions as they are written, with the times of those in `old` whose status stays.
pub fn conditions(
    old: &[Condition],
    wanted: &[Wanted],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let to_condition = |w: &Wanted| {
        let mut all: Vec<Condition> = condition::find(old, w.kind).cloned().into_iter().collect();
        let new = Condition::new(w.kind, w.holds, w.reason.as_str(), w.message.as_str(), Time(now))
            .observed(generation);
        condition::set(&mut all, new);
        all.remove(0)
    };
    wanted.iter().map(to_condition).collect()
}

/// Whether all of those conditions stand in `old` as they are.
pub fn stand(old: &[Condition], new: &[Condition]) -> bool {
    new.iter().all(|c| condition::find(old, &c.type_) == Some(c))
}

/// Applies the status of an object: all that `manager` says of it. With a resource version, only if the object has not
/// changed since.
pub async fn write<K>(
    client: &Client,
    object: &K,
    manager: &str,
    only_version: Option<&str>,
    status: &(impl Serialize + Sync),
) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let name = object.meta().name.clone().unwrap_or_default();
    let namespace = object.meta().namespace.clone().unwrap_or_default();
    let mut body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "namespace": namespace, "uid": object.meta().uid},
    });
    if let Some(version) = only_version {
        body["metadata"]["resourceVersion"] = version.into();
    }
    let doing = || format!("write the status of {} {name}", K::kind(&()));
    body["status"] = serde_json::to_value(status).map_err(|source| Error::Json {
        doing: doing(),
        source,
    })?;
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::apply(manager).force();
    request(doing, api.patch_status(&name, &params, &Patch::Apply(&body))).await
}

#[cfg(test)]
mod tests {
    use weir_crds::condition::kind;

    use super::*;
    use crate::fixtures::{self, ApiServer};

    #[test]
    fn times_change_with_the_status_alone() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let first = conditions(&[], &[Wanted::new(kind::READY, true, "Ok", "a")], Some(1), at(10));
        let same = conditions(
            &first,
            &[Wanted::new(kind::READY, true, "Ok", "a")],
            Some(1),
            at(20),
        );
        assert!(stand(&first, &same));
        let reworded = conditions(
            &first,
            &[Wanted::new(kind::READY, true, "Ok", "b")],
            Some(1),
            at(20),
        );
        assert!(!stand(&first, &reworded));
        assert_eq!(reworded[0].last_transition_time, Time(at(10)));
        let turned = conditions(
            &first,
            &[Wanted::new(kind::READY, false, "Ok", "b")],
            Some(1),
            at(20),
        );
        assert_eq!(turned[0].last_transition_time, Time(at(20)));
    }

    #[tokio::test]
    async fn a_write_names_the_object_it_means() {
        let server = ApiServer::default();
        let camera = fixtures::camera("front");
        let answer = json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera", "metadata": {"name": "front"},
            "spec": camera.spec});
        let path = "/apis/weir.video/v1alpha1/namespaces/studio/cameras/front/status";
        let server = server.on("PATCH", path, 200, answer);
        write(
            &server.client(),
            &camera,
            "weir-operator",
            Some("7"),
            &json!({"epoch": 1}),
        )
        .await
        .expect("written");
        let asked = server.asked().remove(0);
        assert!(asked.query.contains("force=true") && asked.query.contains("fieldManager=weir-operator"));
        assert_eq!(asked.body["metadata"]["uid"], "uid-front");
        assert_eq!(asked.body["metadata"]["resourceVersion"], "7");
        assert_eq!(asked.body["status"], json!({"epoch": 1}));
    }
}
