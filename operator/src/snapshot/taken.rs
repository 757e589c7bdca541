//! Objects as the watches have them, read into a snapshot. Everything that depends on how Kubernetes words a fact is here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ContainerState, Node as KubernetesNode, Pod},
};
use kube::ResourceExt;
use weir_crds::{
    Camera, MediaPool, POOL_LABEL, RecordSchedule, Room, Route,
    condition::{self, kind, reason},
};

use super::{Autoscale, Camera as CameraView, Media, Memory, Node, Pool, Route as RouteView, Snapshot};
use crate::resources::names;

/// The objects of one namespace, and the Kubernetes nodes below it.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// All `MediaPool`s.
    pub pools: Vec<Arc<MediaPool>>,
    /// All Cameras.
    pub cameras: Vec<Arc<Camera>>,
    /// All Routes.
    pub routes: Vec<Arc<Route>>,
    /// All Rooms.
    pub rooms: Vec<Arc<Room>>,
    /// All `RecordSchedule`s.
    pub schedules: Vec<Arc<RecordSchedule>>,
    /// Pods of nodes and gateways.
    pub pods: Vec<Arc<Pod>>,
    /// `StatefulSet`s of pools.
    pub stateful_sets: Vec<Arc<StatefulSet>>,
    /// Deployments of pools.
    pub deployments: Vec<Arc<Deployment>>,
    /// Kubernetes nodes, by name; empty where the operator may not read them.
    pub kubernetes_nodes: HashMap<String, Arc<KubernetesNode>>,
}

/// The namespace as plain values. Cameras in `objects` are replaced by newer ones from memory.
pub fn take(objects: &mut Objects, memory: &mut Memory, now: Instant) -> Snapshot {
    memory.keep_written(&objects.cameras);
    for camera in &mut objects.cameras {
        *camera = memory.newest(camera);
    }
    objects.cameras.sort_by_cached_key(|c| c.name_any());
    // A pool that is being deleted takes its objects with it: nothing is made for it any more.
    objects.pools.retain(|p| p.metadata.deletion_timestamp.is_none());
    let pools = pools(objects);
    let nodes = nodes(objects, &pools, memory, now);
    let cameras = cameras(objects, memory, now);
    memory.forget_unasked();
    Snapshot {
        pools,
        nodes,
        cameras,
        routes: routes(objects),
    }
}

fn pools(objects: &Objects) -> Vec<Pool> {
    let ranks = ranks(&objects.pools, MediaPool::goes_before);
    let pool = |(pool, rank): (&Arc<MediaPool>, usize)| {
        let name = pool.name_any();
        let set = objects
            .stateful_sets
            .iter()
            .find(|s| s.name_any() == names::node(&name));
        Pool {
            rank,
            replicas: pool.spec.nodes.replicas,
            autoscale: pool.spec.nodes.autoscale.as_ref().map(|a| Autoscale {
                min: a.min,
                max: a.max,
                cameras_per_node: a.cameras_per_node,
            }),
            running: set.and_then(|s| s.spec.as_ref()?.replicas).map(i32::unsigned_abs),
            settled: set.is_some_and(|s| {
                let observed = s.status.as_ref().and_then(|status| status.observed_generation);
                observed.is_some() && observed >= s.metadata.generation
            }),
            name,
        }
    };
    objects.pools.iter().zip(ranks).map(pool).collect()
}

/// The position of each object in the order that `before` makes.
fn ranks<K>(objects: &[Arc<K>], before: impl Fn(&K, &K) -> bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&*objects[*a], &*objects[*b]);
        before(b, a).cmp(&before(a, b))
    });
    let mut ranks = vec![0; objects.len()];
    for (rank, index) in order.into_iter().enumerate() {
        ranks[index] = rank;
    }
    ranks
}

fn nodes(objects: &Objects, pools: &[Pool], memory: &mut Memory, now: Instant) -> Vec<Node> {
    let mut nodes: BTreeMap<(String, u32), Node> = BTreeMap::new();
    for pool in pools {
        let set = objects
            .stateful_sets
            .iter()
            .find(|s| s.name_any() == names::node(&pool.name));
        let revision = set.and_then(|s| s.status.as_ref()?.update_revision.as_deref());
        for pod in &objects.pods {
            if pod.labels().get(POOL_LABEL) != Some(&pool.name) {
                continue;
            }
            let Some(ordinal) = names::ordinal(&pool.name, &pod.name_any()) else {
                continue;
            };
            let mut node = node(pod, objects, revision);
            node.pool.clone_from(&pool.name);
            node.ordinal = ordinal;
            nodes.insert((pool.name.clone(), ordinal), node);
        }
        let placed = objects
            .cameras
            .iter()
            .filter_map(|c| names::ordinal(&pool.name, c.node()?));
        for ordinal in placed.chain(0..pool.replicas) {
            nodes.entry((pool.name.clone(), ordinal)).or_insert_with(|| Node {
                name: format!("{}-{ordinal}", names::node(&pool.name)),
                pool: pool.name.clone(),
                ordinal,
                ..Node::default()
            });
        }
    }
    for node in nodes.values_mut().filter(|n| !n.ready) {
        node.lost_for = memory.lasts(format!("node/{}", node.name), now);
    }
    nodes.into_values().collect()
}

fn node(pod: &Pod, objects: &Objects, revision: Option<&str>) -> Node {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    let below = pod
        .spec
        .as_ref()
        .and_then(|s| s.node_name.as_ref())
        .and_then(|name| objects.kubernetes_nodes.get(name));
    let mut labels = pod.labels().clone();
    if let Some(below) = below {
        labels.extend(below.labels().clone());
    }
    Node {
        name: pod.name_any(),
        uid: Some(pod.uid().unwrap_or_default()),
        ready: conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True"),
        running: container(pod).is_some_and(|s| s.running.is_some()),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        outdated: revision.is_some_and(|want| {
            pod.labels()
                .get("controller-revision-hash")
                .is_some_and(|have| have != want)
        }),
        cordoned: below
            .and_then(|n| n.spec.as_ref()?.unschedulable)
            .unwrap_or(false),
        labels,
        trouble: trouble(pod),
        ..Node::default()
    }
}

/// The state of the pod's one container.
fn container(pod: &Pod) -> Option<&ContainerState> {
    let statuses = pod.status.as_ref()?.container_statuses.as_deref()?;
    statuses
        .iter()
        .find(|c| c.name == names::CONTAINER)?
        .state
        .as_ref()
}

/// Why a pod's container does not run, in Kubernetes' words; none while it runs or is being made.
pub fn trouble(pod: &Pod) -> Option<String> {
    let waiting = container(pod).and_then(|s| s.waiting.as_ref()).and_then(|w| {
        let reason = w
            .reason
            .as_deref()
            .filter(|r| !matches!(*r, "ContainerCreating" | "PodInitializing"))?;
        Some(
            w.message
                .as_ref()
                .map_or_else(|| reason.into(), |message| format!("{reason}: {message}")),
        )
    });
    waiting.or_else(|| {
        let conditions = pod.status.as_ref()?.conditions.as_deref()?;
        let c = conditions
            .iter()
            .find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some(format!(
            "{}: {}",
            c.reason.as_deref()?,
            c.message.as_deref().unwrap_or_default()
        ))
    })
}

fn cameras(objects: &Objects, memory: &mut Memory, now: Instant) -> Vec<CameraView> {
    let ranks = ranks(&objects.cameras, Camera::goes_before);
    let mut view = |(camera, rank): (&Arc<Camera>, usize)| {
        let status = camera.status.clone().unwrap_or_default();
        let placed = camera.condition(kind::PLACED);
        let moving = placed.is_some_and(|c| c.is_true() && c.reason == reason::MOVING);
        let epoch = status.epoch.unwrap_or(0);
        CameraView {
            name: camera.name_any(),
            rank,
            path: camera.canonical_path(),
            enabled: camera.spec.enabled,
            deleting: camera.metadata.deletion_timestamp.is_some(),
            pin: camera.spec.node.clone(),
            selector: camera.spec.node_selector.clone(),
            reason: placed.map(|c| c.reason.clone()),
            media: media(camera, moving),
            moving_for: moving.then(|| memory.lasts(format!("move/{}/{epoch}", camera.name_any()), now)),
            node: status.node,
            epoch,
        }
    };
    objects.cameras.iter().zip(ranks).map(&mut view).collect()
}

/// What the node in charge says. Words that do not carry the epoch's number are the former node's as long as a move goes on.
fn media(camera: &Camera, moving: bool) -> Media {
    let Some(status) = &camera.status else {
        return Media::None;
    };
    let from_owner = match status.observed_epoch {
        Some(observed) => Some(observed) == status.epoch,
        None => !moving,
    };
    match condition::find(&status.conditions, kind::CONNECTED) {
        Some(c) if from_owner && c.is_true() => Media::Live,
        Some(c)
            if from_owner && [reason::IDLE, reason::WAITING_FOR_PUBLISHER].contains(&c.reason.as_str()) =>
        {
            Media::Waiting
        }
        _ => Media::None,
    }
}

fn routes(objects: &Objects) -> Vec<RouteView> {
    let ranks = ranks(&objects.routes, Route::goes_before);
    let mut routes: Vec<RouteView> = objects
        .routes
        .iter()
        .zip(ranks)
        .filter(|(r, _)| r.metadata.deletion_timestamp.is_none())
        .map(|(route, rank)| RouteView {
            name: route.name_any(),
            rank,
            pattern: route.canonical_pattern(),
            scheme: route
                .spec
                .url
                .split_once(':')
                .map(|(scheme, _)| scheme.to_lowercase())
                .unwrap_or_default(),
        })
        .collect();
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    routes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::fixtures;

    fn snapshot(objects: &Objects) -> Snapshot {
        take(&mut objects.clone(), &mut Memory::default(), Instant::now())
    }

    fn pod(more: serde_json::Value) -> Arc<Pod> {
        Arc::new(fixtures::node_pod("media", 0, more))
    }

    #[test]
    fn a_pod_is_read_as_kubernetes_words_it() {
        let running = json!([{"name": "media-node", "ready": true, "restartCount": 0, "image": "i", "imageID": "",
            "state": {"running": {}}}]);
        let waiting = json!([{"name": "media-node", "ready": false, "restartCount": 3, "image": "i", "imageID": "",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]);
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let objects = Objects {
            pools: vec![Arc::new(fixtures::pool("media", json!({})))],
            stateful_sets: vec![Arc::new(fixtures::stateful_set("media", "rev-2", 1))],
            ..Objects::default()
        };
        let one = |pod: Arc<Pod>| {
            let mut nodes = snapshot(&Objects {
                pods: vec![pod],
                ..objects.clone()
            })
            .nodes;
            assert_eq!(nodes.len(), 1);
            nodes.remove(0)
        };
        let node = one(pod(
            json!({"metadata": {"labels": {"controller-revision-hash": "rev-2"}},
            "status": {"conditions": ready, "containerStatuses": running}}),
        ));
        assert!(node.ready && node.running && !node.outdated && !node.terminating && node.exists());
        let node = one(pod(
            json!({"metadata": {"labels": {"controller-revision-hash": "rev-1"},
            "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"containerStatuses": waiting}}),
        ));
        assert!(!node.ready && !node.running && node.outdated && node.terminating);
        assert_eq!(node.trouble.as_deref(), Some("ImagePullBackOff: no such image"));
        let node = one(pod(
            json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes"}]}}),
        ));
        assert_eq!(node.trouble.as_deref(), Some("Unschedulable: 0/1 nodes"));
    }

    #[test]
    fn labels_of_the_kubernetes_node_come_before_the_pods() {
        let mut objects = Objects {
            pools: vec![Arc::new(fixtures::pool("media", json!({})))],
            pods: vec![pod(
                json!({"metadata": {"labels": {"site": "pod", "only": "pod"}}, "spec": {"nodeName": "n"}}),
            )],
            ..Objects::default()
        };
        let below: KubernetesNode =
            serde_json::from_value(json!({"metadata": {"name": "n", "labels": {"site": "a"}},
            "spec": {"unschedulable": true}}))
            .expect("a node");
        let node = &snapshot(&objects).nodes[0];
        assert_eq!((node.labels["site"].as_str(), node.cordoned), ("pod", false));
        objects.kubernetes_nodes.insert("n".into(), Arc::new(below));
        let node = &snapshot(&objects).nodes[0];
        assert_eq!(
            (node.labels["site"].as_str(), node.labels["only"].as_str()),
            ("a", "pod")
        );
        assert!(node.cordoned);
    }

    #[test]
    fn a_node_without_a_pod_counts_its_absence() {
        let mut camera = fixtures::camera("a");
        camera.status =
            serde_json::from_value(json!({"node": "media-node-3", "epoch": 2})).expect("a status");
        let mut objects = Objects {
            pools: vec![Arc::new(fixtures::pool(
                "media",
                json!({"nodes": {"replicas": 0}}),
            ))],
            cameras: vec![Arc::new(camera)],
            ..Objects::default()
        };
        let mut memory = Memory::default();
        let start = Instant::now();
        take(&mut objects, &mut memory, start);
        let nodes = take(&mut objects, &mut memory, start + Duration::from_secs(2)).nodes;
        assert_eq!(nodes.len(), 1);
        assert!(!nodes[0].exists());
        assert_eq!((nodes[0].ordinal, nodes[0].lost_for), (3, Duration::from_secs(2)));
    }

    #[test]
    fn a_former_owners_words_do_not_count() {
        let media = |status: serde_json::Value| {
            let mut camera = fixtures::camera("a");
            camera.status = serde_json::from_value(status).expect("a status");
            let objects = Objects {
                cameras: vec![Arc::new(camera)],
                ..Objects::default()
            };
            let camera = snapshot(&objects).cameras.remove(0);
            (camera.media, camera.moving_for.is_some())
        };
        let time = "2026-01-01T00:00:00Z";
        let connected =
            json!({"type": "Connected", "status": "True", "reason": "Connected", "lastTransitionTime": time});
        let idle =
            json!({"type": "Connected", "status": "False", "reason": "Idle", "lastTransitionTime": time});
        let moving =
            json!({"type": "Placed", "status": "True", "reason": "Moving", "lastTransitionTime": time});
        let all = [connected.clone(), moving];
        assert_eq!(
            media(json!({"epoch": 3, "observedEpoch": 2, "conditions": all})),
            (Media::None, true)
        );
        assert_eq!(
            media(json!({"epoch": 3, "observedEpoch": 3, "conditions": all})),
            (Media::Live, true)
        );
        assert_eq!(media(json!({"epoch": 3, "conditions": all})), (Media::None, true));
        assert_eq!(
            media(json!({"epoch": 3, "conditions": [connected]})),
            (Media::Live, false)
        );
        assert_eq!(
            media(json!({"epoch": 3, "observedEpoch": 3, "conditions": [idle]})),
            (Media::Waiting, false)
        );
    }

    #[test]
    fn the_order_is_by_age() {
        let at = |name: &str, created: &str| {
            let mut camera = fixtures::camera(name);
            camera.metadata.creation_timestamp = serde_json::from_value(json!(created)).expect("a time");
            Arc::new(camera)
        };
        let objects = Objects {
            cameras: vec![
                at("b", "2026-01-02T00:00:00Z"),
                at("c", "2026-01-01T00:00:00Z"),
                at("a", "2026-01-02T00:00:00Z"),
            ],
            ..Objects::default()
        };
        let ranks: Vec<(String, usize)> = snapshot(&objects)
            .cameras
            .into_iter()
            .map(|c| (c.name, c.rank))
            .collect();
        assert_eq!(ranks, [("a".into(), 1), ("b".into(), 2), ("c".into(), 0)]);
    }
}
