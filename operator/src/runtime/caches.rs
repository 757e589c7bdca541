//! The watches: every kind that plans are made of, kept up to date in memory, and a word to the schedule for each change.

use std::{collections::BTreeSet, fmt::Debug, hash::Hash, pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, future::join_all};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Node, Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{
        WatchStreamExt,
        reflector::{self, Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use weir_crds::{Camera, MediaPool, POOL_LABEL, RecordSchedule, Room, Route};

use super::schedule::Schedule;
use crate::{
    metrics::{UNREADABLE, WATCH_ERRORS},
    snapshot::Objects,
};

/// Seconds after which a watch is made anew, and so the time for which a connection that died silently goes unnoticed.
pub(super) const WATCH_SECONDS: u32 = 60;

/// Whose resources are reconciled.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// Those of all namespaces.
    All,
    /// Those of one.
    One(String),
}

impl Scope {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::One(namespace) => namespace,
        }
    }

    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::All => Api::all(client.clone()),
            Self::One(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// Everything that is watched.
pub(super) struct Caches {
    pools: Store<MediaPool>,
    cameras: Store<Camera>,
    routes: Store<Route>,
    rooms: Store<Room>,
    schedules: Store<RecordSchedule>,
    pods: Store<Pod>,
    stateful_sets: Store<StatefulSet>,
    deployments: Store<Deployment>,
    /// None where the operator may not read Kubernetes nodes.
    nodes: Option<Store<Node>>,
}

impl Caches {
    /// Begins to watch. The tasks end with the set.
    pub(super) async fn start(
        client: &Client,
        scope: &Scope,
        schedule: &Arc<Schedule>,
    ) -> (Self, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let all = watcher::Config::default().timeout(WATCH_SECONDS);
        // Of the other kinds only those objects that carry a pool's label concern us.
        let of_pools = all.clone().labels(POOL_LABEL);
        let one = ListParams::default().limit(1);
        let may_read = list_patiently::<Node>(&Api::all(client.clone()), &one)
            .await
            .is_some();
        let nodes = if may_read {
            Some(watch(
                &mut tasks,
                Api::<DeserializeGuard<Node>>::all(client.clone()),
                all.clone(),
                schedule.clone(),
            ))
        } else {
            tracing::info!(
                "Kubernetes nodes may not be read: their labels do not count, and cordons are not seen"
            );
            None
        };
        let caches = Self {
            pools: watch(&mut tasks, scope.api(client), all.clone(), schedule.clone()),
            cameras: watch(&mut tasks, scope.api(client), all.clone(), schedule.clone()),
            routes: watch(&mut tasks, scope.api(client), all.clone(), schedule.clone()),
            rooms: watch(&mut tasks, scope.api(client), all.clone(), schedule.clone()),
            schedules: watch(&mut tasks, scope.api(client), all, schedule.clone()),
            pods: watch(&mut tasks, scope.api(client), of_pools.clone(), schedule.clone()),
            stateful_sets: watch(&mut tasks, scope.api(client), of_pools.clone(), schedule.clone()),
            deployments: watch(&mut tasks, scope.api(client), of_pools, schedule.clone()),
            nodes,
        };
        (caches, tasks)
    }

    /// Waits until every watch has brought everything once.
    pub(super) async fn ready(&self) {
        // A store's writer lives as long as its task, which is watched elsewhere.
        _ = tokio::join!(
            self.pools.wait_until_ready(),
            self.cameras.wait_until_ready(),
            self.routes.wait_until_ready(),
            self.rooms.wait_until_ready(),
            self.schedules.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.stateful_sets.wait_until_ready(),
            self.deployments.wait_until_ready(),
            join_all(self.nodes.iter().map(Store::wait_until_ready)),
        );
    }

    /// Namespaces with resources of ours.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        fn of<K: Resource + Clone>(store: &Store<K>) -> Vec<String>
        where
            K::DynamicType: Eq + Hash + Clone,
        {
            store.state().iter().filter_map(|o| o.namespace()).collect()
        }
        [
            of(&self.pools),
            of(&self.cameras),
            of(&self.routes),
            of(&self.rooms),
            of(&self.schedules),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether a namespace has no resources of ours.
    pub(super) fn is_empty(&self, namespace: &str) -> bool {
        fn none<K: Resource + Clone>(store: &Store<K>, namespace: &str) -> bool
        where
            K::DynamicType: Eq + Hash + Clone,
        {
            store
                .find(|o| o.namespace().as_deref() == Some(namespace))
                .is_none()
        }
        none(&self.pools, namespace)
            && none(&self.cameras, namespace)
            && none(&self.routes, namespace)
            && none(&self.rooms, namespace)
            && none(&self.schedules, namespace)
    }

    /// The objects of a namespace.
    pub(super) fn objects(&self, namespace: &str) -> Objects {
        fn of<K: Resource + Clone>(store: &Store<K>, namespace: &str) -> Vec<Arc<K>>
        where
            K::DynamicType: Eq + Hash + Clone,
        {
            store.state_filter(|o| o.namespace().as_deref() == Some(namespace))
        }
        let nodes = self.nodes.iter().flat_map(Store::state);
        Objects {
            pools: of(&self.pools, namespace),
            cameras: of(&self.cameras, namespace),
            routes: of(&self.routes, namespace),
            rooms: of(&self.rooms, namespace),
            schedules: of(&self.schedules, namespace),
            pods: of(&self.pods, namespace),
            stateful_sets: of(&self.stateful_sets, namespace),
            deployments: of(&self.deployments, namespace),
            kubernetes_nodes: nodes.map(|n| (n.name_any(), n)).collect(),
        }
    }
}

/// Those objects; none where the operator may not list them, or the API server does not know their kind. One that is not
/// there yet is asked again.
pub(super) async fn list_patiently<K>(api: &Api<K>, params: &ListParams) -> Option<Vec<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut pause = Duration::from_millis(250);
    loop {
        match tokio::time::timeout(crate::apply::DEADLINE, api.list(params)).await {
            Ok(Ok(list)) => return Some(list.items),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => return None,
            Ok(Err(error)) => tracing::warn!(error = %error, "API server is not there yet"),
            Err(_) => tracing::warn!("API server does not answer yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

/// Watches one kind for ever. One object that no type fits would end the listing of all others, so that each is read by
/// itself.
fn watch<K>(
    tasks: &mut JoinSet<()>,
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    schedule: Arc<Schedule>,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    tasks.spawn(follow(
        watcher::watcher(api, config).default_backoff(),
        writer,
        schedule,
    ));
    store
}

async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
    mut writer: Writer<K>,
    schedule: Arc<Schedule>,
) where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let kind = K::kind(&()).into_owned();
    let store = writer.as_reader();
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                metrics::counter!(WATCH_ERRORS, "kind" => kind.clone()).increment(1);
                // After a pause the API server no longer knows where a watch was: it is listed anew, and nothing is wrong.
                if matches!(&error, watcher::Error::WatchError(status) if status.code == 410) {
                    tracing::debug!(kind, %error, "watch is begun anew");
                } else {
                    tracing::warn!(kind, %error, "watch is begun anew");
                }
                continue;
            }
        };
        let Some(event) = readable(event, &kind, &store) else {
            continue;
        };
        writer.apply_watcher_event(&event);
        match event {
            Event::Apply(object) | Event::Delete(object) => match object.namespace() {
                Some(namespace) => schedule.changed(&namespace),
                None => schedule.all_changed(),
            },
            Event::InitDone => {
                schedule.all_changed();
                let namespaces: BTreeSet<String> =
                    store.state().iter().filter_map(|o| o.namespace()).collect();
                for namespace in &namespaces {
                    schedule.changed(namespace);
                }
            }
            Event::Init | Event::InitApply(_) => {}
        }
    }
}

/// The event, if its object could be read. What could not be read stays in the cache as it was before.
fn readable<K>(event: Event<DeserializeGuard<K>>, kind: &str, known: &Store<K>) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let read = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            object.meta_mut().managed_fields = None;
            Some(object)
        }
        Err(invalid) => {
            metrics::counter!(UNREADABLE, "kind" => kind.to_owned()).increment(1);
            let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
            tracing::warn!(kind, namespace, name, error = %invalid.error, "object cannot be read");
            let known = known.find(|k| k.meta().name == name && k.meta().namespace == namespace)?;
            Some((*known).clone())
        }
    };
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(guard) => Event::InitApply(read(guard)?),
        Event::Apply(guard) => Event::Apply(read(guard)?),
        Event::Delete(guard) => Event::Delete(read(guard)?),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures::stream;
    use serde_json::json;

    use super::*;
    use crate::fixtures;

    fn guard(value: serde_json::Value) -> DeserializeGuard<Camera> {
        serde_json::from_value(value).expect("metadata at least")
    }

    #[tokio::test]
    async fn one_broken_object_hides_no_other() {
        let good = serde_json::to_value(fixtures::camera("good")).expect("JSON");
        let bad = json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera",
            "metadata": {"name": "bad", "namespace": "elsewhere"}, "spec": {"source": {}}});
        let events = stream::iter([
            Ok(Event::Init),
            Ok(Event::InitApply(guard(bad.clone()))),
            Ok(Event::InitApply(guard(good))),
            Ok(Event::InitDone),
            Err(watcher::Error::NoResourceVersion),
            Ok(Event::Apply(guard(bad))),
        ]);
        let schedule = Arc::new(Schedule::new(Duration::ZERO, Duration::ZERO));
        let (store, writer) = reflector::store();
        follow(events, writer, schedule.clone()).await;
        let names: Vec<String> = store.state().iter().map(|c| c.name_any()).collect();
        assert_eq!(names, ["good"]);
        let later = Instant::now() + Duration::from_secs(1);
        assert_eq!(schedule.take(later).as_deref(), Some(fixtures::NAMESPACE));
        assert_eq!(schedule.take(later), None);
    }
}
