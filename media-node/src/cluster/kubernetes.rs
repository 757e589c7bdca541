//! The world as a cluster has it: watches fill the stores; statuses are written by server-side apply,
//! specs by create, merge patch and delete.
//!
//! All Cameras of the namespace are watched, not only those whose `status.node` is this node:
//! a node must see when a camera that it hands over runs elsewhere, which path an older Camera
//! has, and whether a path that is asked for belongs to a Camera on another node or may match a
//! Route. Kept without managed fields, ten thousand of them take some tens of megabytes.
//!
//! While the API server is away the stores keep what they have, and watches are tried again after
//! at most [`LONGEST_PAUSE`].

use super::peers::Identity;
use super::resource::{
    Kind, News, Notice, ResourceWriter, SecretData, Secrets, Specs, Target, World, WriteError, Writers,
};
use async_trait::async_trait;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::store::Writer;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Client, Resource, ResourceExt as _};
use rand::RngExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use weir_crds::{Camera, GATEWAY_MANAGER, NODE_MANAGER, RecordSchedule, Route};
use weir_proto::Redacted;

/// Between two tries to watch, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Seconds after which a watch is made anew: also how long a connection that died without a word
/// goes unnoticed.
const WATCH_SECONDS: u32 = 60;
/// Longest silence of a connection to the API server, which is longer than a watch lasts.
const SILENCE: Duration = Duration::from_secs(90);
const _: () = assert!(SILENCE.as_secs() > WATCH_SECONDS as u64);
/// A write that takes longer has failed.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// A client that doesn't wait for ever for the lists, and the answers, that watches begin with.
///
/// # Errors
/// When no API server is configured, or not so that it can be reached.
pub async fn connect() -> kube::Result<Client> {
    let mut config = kube::Config::infer().await.map_err(kube::Error::InferConfig)?;
    config.read_timeout = Some(SILENCE);
    // Counted from the request, not from when its connection went idle.
    config.reset_reader_on_write = true;
    Client::try_from(config)
}

/// Fills the stores of a world from the cluster until `stop`. The stores are empty at first:
/// [`World::ready`] waits for them.
pub fn feed(client: &Client, me: &Identity, stop: &CancellationToken) -> (World, JoinSet<()>) {
    let (world, writers) = Writers::new();
    let Writers {
        cameras,
        routes,
        schedules,
        pools,
        pods,
        gateways,
        news,
    } = writers;
    let all = Config::default().timeout(WATCH_SECONDS);
    let nodes = all.clone().labels(&me.node_selector());
    let others = all.clone().labels(&me.gateway_selector());
    let mut tasks = JoinSet::new();
    let namespace = me.namespace.as_str();
    tasks.spawn(follow(
        Api::namespaced(client.clone(), namespace),
        all.clone(),
        cameras,
        news.clone(),
        stop.clone(),
    ));
    tasks.spawn(follow(
        Api::namespaced(client.clone(), namespace),
        all.clone(),
        routes,
        news.clone(),
        stop.clone(),
    ));
    tasks.spawn(follow(
        Api::namespaced(client.clone(), namespace),
        all.clone(),
        schedules,
        news.clone(),
        stop.clone(),
    ));
    tasks.spawn(follow(
        Api::namespaced(client.clone(), namespace),
        all,
        pools,
        news.clone(),
        stop.clone(),
    ));
    tasks.spawn(follow(
        Api::namespaced(client.clone(), namespace),
        nodes,
        pods,
        news.clone(),
        stop.clone(),
    ));
    tasks.spawn(follow(
        Api::namespaced(client.clone(), namespace),
        others,
        gateways,
        news,
        stop.clone(),
    ));
    (world, tasks)
}

/// Keeps one store up to date.
async fn follow<K>(
    api: Api<DeserializeGuard<K>>,
    config: Config,
    mut writer: Writer<K>,
    news: News,
    stop: CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let mut events = watcher(api, config).backoff(Pauses::default()).boxed();
    let mut failing = false;
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                if !failing {
                    warn!(kind, error = %chain(&error), "can't watch; what is known stays, trying again");
                }
                failing = true;
                metrics::counter!("weir_watch_failures_total", "kind" => kind.clone()).increment(1);
                continue;
            }
        };
        if failing && !matches!(event, watcher::Event::Init) {
            failing = false;
            info!(kind, "watching again");
        }
        if let Some(event) = readable(event, &writer) {
            writer.apply_watcher_event(&event);
            if !matches!(event, watcher::Event::Init | watcher::Event::InitApply(_)) {
                news.tell();
            }
        }
    }
}

/// An object that this version can't read (a newer one wrote it) must not stop the watch: what was
/// known of it stays.
fn readable<K>(event: watcher::Event<DeserializeGuard<K>>, writer: &Writer<K>) -> Option<watcher::Event<K>>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
{
    let read = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            Some(object)
        }
        Err(invalid) => {
            let (name, namespace) = (invalid.metadata.name, invalid.metadata.namespace);
            warn!(
                kind = %K::kind(&K::DynamicType::default()),
                namespace,
                name,
                error = %invalid.error,
                "an object can't be read by this version"
            );
            let known = writer.as_reader();
            let known = known.find(|k| k.meta().name == name && k.meta().namespace == namespace);
            known.map(|k| (*k).clone())
        }
    };
    Some(match event {
        watcher::Event::Apply(guard) => watcher::Event::Apply(read(guard)?),
        watcher::Event::Delete(guard) => watcher::Event::Delete(read(guard)?),
        watcher::Event::InitApply(guard) => watcher::Event::InitApply(read(guard)?),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitDone => watcher::Event::InitDone,
    })
}

/// Growing, jittered pauses between tries to watch.
#[derive(Default)]
struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(200) * 2_u32.saturating_pow(self.0);
        self.0 = (self.0 + 1).min(10);
        Some(
            pause
                .min(LONGEST_PAUSE)
                .mul_f64(rand::rng().random_range(0.5..=1.0)),
        )
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// An error with its causes, for a log line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let next = e.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = e.source();
    }
    text
}

/// Writes to the cluster, and reads Secrets from it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: Arc<str>,
    recorder: Recorder,
}

impl Cluster {
    pub fn new(client: Client, me: &Identity) -> Self {
        let reporter = Reporter {
            controller: NODE_MANAGER.to_owned(),
            instance: Some(me.name.clone()),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            namespace: me.namespace.as_str().into(),
            client,
        }
    }

    /// All objects of a kind, past the stores.
    async fn list<K>(&self) -> Result<Vec<K>, WriteError>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<DeserializeGuard<K>> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = in_time(api.list(&ListParams::default())).await?;
        // One that this version can't read serves nothing here; the watch has said so.
        Ok(all.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.api_resource())
    }
}

/// Waits for a request no longer than [`WRITE_DEADLINE`].
async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    match tokio::time::timeout(WRITE_DEADLINE, request).await {
        Ok(outcome) => outcome.map_err(failure),
        Err(elapsed) => Err(WriteError::Unavailable(Box::new(elapsed))),
    }
}

fn failure(error: kube::Error) -> WriteError {
    match error {
        kube::Error::Api(status) if status.code == 404 => WriteError::Gone,
        kube::Error::Api(status) if status.code == 409 => WriteError::Conflict,
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 405 | 413 | 415 | 422) => {
            WriteError::Refused(status.message)
        }
        other => WriteError::Unavailable(Box::new(other)),
    }
}

#[async_trait]
impl ResourceWriter for Cluster {
    async fn apply_status(
        &self,
        target: &Target,
        resource_version: Option<&str>,
        status: &Value,
    ) -> Result<Option<String>, WriteError> {
        // The uid is a precondition too: a new object of this name is another one.
        let mut metadata = json!({"name": target.name, "namespace": target.namespace, "uid": target.uid});
        if let Some(version) = resource_version {
            metadata["resourceVersion"] = version.into();
        }
        let patch = json!({
            "apiVersion": target.kind.api_version(),
            "kind": target.kind.as_str(),
            "metadata": metadata,
            "status": status,
        });
        let api = self.api(target.kind, &target.namespace);
        let params = PatchParams::apply(NODE_MANAGER).force();
        let patched = in_time(api.patch_status(&target.name, &params, &Patch::Apply(&patch))).await?;
        Ok(patched.resource_version())
    }

    async fn notify(&self, target: &Target, notice: &Notice) -> Result<(), WriteError> {
        let event = Event {
            type_: if notice.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: notice.reason.to_owned(),
            // The API server takes 1024 bytes.
            note: Some(notice.note.chars().take(250).collect()),
            action: notice.reason.to_owned(),
            secondary: None,
        };
        let about = ObjectReference {
            api_version: Some(target.kind.api_version().to_owned()),
            kind: Some(target.kind.as_str().to_owned()),
            name: Some(target.name.clone()),
            namespace: Some(target.namespace.clone()),
            uid: Some(target.uid.clone()),
            ..ObjectReference::default()
        };
        in_time(self.recorder.publish(&event, &about)).await
    }
}

#[async_trait]
impl Specs for Cluster {
    async fn routes(&self) -> Result<Vec<Route>, WriteError> {
        self.list().await
    }

    async fn cameras(&self) -> Result<Vec<Camera>, WriteError> {
        self.list().await
    }

    async fn schedules(&self) -> Result<Vec<RecordSchedule>, WriteError> {
        self.list().await
    }

    async fn create(&self, manifest: &Value) -> Result<Target, WriteError> {
        let unusable = |why: &str| WriteError::Refused(why.to_owned());
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let kind = Kind::of(api_version.unwrap_or_default(), kind.unwrap_or_default())
            .ok_or_else(|| unusable("apiVersion or kind is missing or unknown"))?;
        let object: DynamicObject = serde_json::from_value(manifest.clone())
            .map_err(|e| unusable(&format!("the manifest is not that of an object: {e}")))?;
        let namespace = text("/metadata/namespace").unwrap_or(&self.namespace);
        let params = PostParams {
            field_manager: Some(GATEWAY_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let created = in_time(self.api(kind, namespace).create(&params, &object)).await?;
        Ok(Target {
            kind,
            namespace: namespace.to_owned(),
            name: created.name_any(),
            uid: created.uid().unwrap_or_default(),
        })
    }

    async fn change(&self, target: &Target, resource_version: &str, patch: &Value) -> Result<(), WriteError> {
        let mut patch = patch.clone();
        // The API server compares both.
        patch["metadata"]["uid"] = target.uid.as_str().into();
        patch["metadata"]["resourceVersion"] = resource_version.into();
        let params = PatchParams {
            field_manager: Some(GATEWAY_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(target.kind, &target.namespace);
        in_time(api.patch(&target.name, &params, &Patch::Merge(&patch))).await?;
        Ok(())
    }

    async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, WriteError> {
        match in_time(self.api(kind, namespace).delete(name, &DeleteParams::default())).await {
            Ok(_) => Ok(true),
            Err(WriteError::Gone) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

#[async_trait]
impl Secrets for Cluster {
    /// Asks the API server each time: to watch Secrets would take the right to list them all.
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<SecretData>, WriteError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let Some(secret) = in_time(api.get_opt(name)).await? else {
            return Ok(None);
        };
        let data = secret.data.unwrap_or_default().into_iter();
        Ok(Some(
            data.map(|(key, value)| (key, Redacted::new(value.0))).collect(),
        ))
    }
}

#[cfg(test)]
mod tests;
