//! For tests: objects, and an API server that answers as a script says and remembers what it was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weir_crds::{Camera, MediaPool, Route};

/// The namespace of all fixtures.
pub(crate) const NAMESPACE: &str = "studio";

fn read<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|e| panic!("{e} in {value}"))
}

/// Puts the members of `more` over those of `base`.
pub(crate) fn merge(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more,
    }
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}"), "resourceVersion": "7", "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    })
}

/// A camera that no node has yet.
pub(crate) fn camera(name: &str) -> Camera {
    read(&json!({
        "apiVersion": "weir.video/v1alpha1", "kind": "Camera", "metadata": metadata(name),
        "spec": {"source": {"rtsp": {"url": "rtsp://10.1.2.3/main"}}},
    }))
}

/// A route.
pub(crate) fn route(name: &str, pattern: &str, url: &str) -> Route {
    read(&json!({
        "apiVersion": "weir.video/v1alpha1", "kind": "Route", "metadata": metadata(name),
        "spec": {"pattern": pattern, "url": url},
    }))
}

/// A pool with that spec.
#[allow(clippy::needless_pass_by_value)] // written with json! at every call
pub(crate) fn pool(name: &str, spec: Value) -> MediaPool {
    read(&json!({
        "apiVersion": "weir.video/v1alpha1", "kind": "MediaPool", "metadata": metadata(name), "spec": spec,
    }))
}

/// A node's pod with `more` on top.
pub(crate) fn node_pod(pool: &str, ordinal: u32, more: Value) -> Pod {
    let mut pod =
        json!({"metadata": metadata(&format!("{pool}-node-{ordinal}")), "spec": {"containers": []}});
    pod["metadata"]["labels"] = json!({"weir.video/pool": pool, "app.kubernetes.io/component": "node", "controller-revision-hash": "rev-1"});
    merge(&mut pod, more);
    read(&pod)
}

/// What makes a node's pod a ready one, for [`node_pod`].
pub(crate) fn ready() -> Value {
    json!({"status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "media-node", "ready": true, "restartCount": 0, "image": "i", "imageID": "",
            "state": {"running": {}}}],
    }})
}

/// The `StatefulSet` of a pool.
pub(crate) fn stateful_set(pool: &str, revision: &str, replicas: u32) -> StatefulSet {
    read(&json!({
        "metadata": metadata(&format!("{pool}-node")),
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
        "status": {"observedGeneration": 1, "updateRevision": revision, "replicas": replicas},
    }))
}

/// What the API server was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

/// An answer: a status code, and the body; none echoes the request's.
type Answer = (u16, Option<Value>);

#[derive(Default)]
struct Script {
    /// By path.
    objects: BTreeMap<String, Value>,
    answers: BTreeMap<(String, String), VecDeque<Answer>>,
    asked: Vec<Asked>,
}

/// An API server by script. What the script does not mention is answered as a friendly API server would: objects that it
/// knows are patched, lists are empty, and whatever else is sent is taken.
#[derive(Clone, Default)]
pub(crate) struct ApiServer(Arc<Mutex<Script>>);

impl ApiServer {
    /// Answers the next request of that method and path with that.
    pub(crate) fn on(self, method: &str, path: &str, code: u16, body: Value) -> Self {
        self.0
            .lock()
            .answers
            .entry((method.into(), path.into()))
            .or_default()
            .push_back((code, Some(body)));
        self
    }

    /// Fails the next request of that method and path, in Kubernetes' words.
    pub(crate) fn fails(self, method: &str, path: &str, code: u16, reason: &str, message: &str) -> Self {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message, "metadata": {}});
        self.on(method, path, code, status)
    }

    /// Knows an object, so that patches of it are answered with all of it.
    pub(crate) fn knows<K>(self, object: &K) -> Self
    where
        K: kube::Resource<DynamicType = ()> + serde::Serialize,
    {
        let meta = object.meta();
        let name = meta.name.clone().unwrap_or_default();
        let path = format!("{}/{name}", K::url_path(&(), meta.namespace.as_deref()));
        self.0
            .lock()
            .objects
            .insert(path, serde_json::to_value(object).expect("JSON"));
        self
    }

    /// An object that it knows, as it is now.
    pub(crate) fn object<K: DeserializeOwned>(&self, path: &str) -> K {
        read(&self.0.lock().objects[path])
    }

    /// What was asked so far, and forgets it.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().asked)
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        let script = self.0.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            async move {
                let (head, body) = request.into_parts();
                let bytes = body.collect().await?.to_bytes();
                let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                let asked = Asked {
                    method: head.method.to_string(),
                    path: head.uri.path().to_owned(),
                    query: head.uri.query().unwrap_or_default().to_owned(),
                    body: body.clone(),
                };
                let mut script = script.lock();
                let answer = script
                    .answers
                    .get_mut(&(asked.method.clone(), asked.path.clone()))
                    .and_then(VecDeque::pop_front)
                    .unwrap_or_else(|| script.friendly(&asked));
                script.asked.push(asked);
                let body = serde_json::to_vec(&answer.1.unwrap_or(body))?;
                Ok::<_, tower::BoxError>(Response::builder().status(answer.0).body(Body::from(body))?)
            }
        });
        Client::new(service, NAMESPACE)
    }
}

impl Script {
    fn friendly(&mut self, asked: &Asked) -> Answer {
        let path = asked.path.strip_suffix("/status").unwrap_or(&asked.path);
        if let (Some(object), "PATCH") = (self.objects.get_mut(path), asked.method.as_str()) {
            let version = object["metadata"]["resourceVersion"]
                .as_str()
                .and_then(|v| v.parse().ok())
                .unwrap_or(1_u64);
            let conditions = merged(
                &object["status"]["conditions"],
                &asked.body["status"]["conditions"],
            );
            merge(object, asked.body.clone());
            if !conditions.is_empty() {
                object["status"]["conditions"] = conditions.into();
            }
            object["metadata"]["resourceVersion"] = (version + 1).to_string().into();
            return (200, Some(object.clone()));
        }
        match asked.method.as_str() {
            "GET" if asked.query.contains("labelSelector") => (
                200,
                Some(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})),
            ),
            "GET" => (404, Some(not_found())),
            "DELETE" => (
                200,
                Some(json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}})),
            ),
            _ => (200, None),
        }
    }
}

/// A list of conditions with others put over it, by type.
fn merged(old: &Value, new: &Value) -> Vec<Value> {
    let mut all = old.as_array().cloned().unwrap_or_default();
    for condition in new.as_array().into_iter().flatten() {
        all.retain(|c| c["type"] != condition["type"]);
        all.push(condition.clone());
    }
    all
}

fn not_found() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": "not found", "metadata": {}})
}
