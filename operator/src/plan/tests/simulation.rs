//! Plans carried out step by step by a made-up cluster, in which pods take time to start and cameras to connect. What is
//! checked is what a single plan cannot show: that it ends, and that on the way no camera is without a carrier.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    plan::{Limits, PoolPlan, State, plan},
    snapshot::{Camera, Media, Node, Pool, Snapshot},
};

const STEP: f64 = 0.25;
const POD_STARTS: f64 = 2.0;
const POD_COMES_BACK: f64 = 1.0;
const CAMERA_CONNECTS: f64 = 1.0;
const POD_ENDS_AT_LATEST: f64 = 25.0;

#[derive(Clone, Debug)]
struct Pod {
    uid: u32,
    version: u32,
    age: f64,
    ending: Option<f64>,
    dead: Option<f64>,
    cordoned: bool,
}

#[derive(Clone, Debug, Default)]
struct Carried {
    node: Option<String>,
    epoch: i64,
    since: f64,
    moving: bool,
    former: BTreeSet<(String, u32)>,
}

struct Cluster {
    replicas: u32,
    running: u32,
    version: u32,
    works: bool,
    next_uid: u32,
    pods: BTreeMap<String, Pod>,
    gone: BTreeMap<String, f64>,
    cameras: BTreeMap<String, Carried>,
    deletions: u32,
    moves: u32,
    /// Longest time that any camera had no carrier.
    dark: BTreeMap<String, f64>,
    darkest: f64,
}

impl Cluster {
    fn new(replicas: u32, cameras: usize) -> Self {
        let mut c = Self {
            replicas,
            running: replicas,
            version: 1,
            works: true,
            next_uid: 0,
            pods: BTreeMap::new(),
            gone: BTreeMap::new(),
            cameras: (0..cameras)
                .map(|i| (format!("camera-{i:02}"), Carried::default()))
                .collect(),
            deletions: 0,
            moves: 0,
            dark: BTreeMap::new(),
            darkest: 0.0,
        };
        c.run_until_calm(30.0);
        c.darkest = 0.0;
        c.moves = 0;
        c
    }

    fn name(ordinal: u32) -> String {
        format!("media-node-{ordinal}")
    }

    fn ready(&self, pod: &Pod) -> bool {
        pod.age >= POD_STARTS && pod.dead.is_none() && (pod.version == 1 || self.works)
    }

    fn carries(&self, name: &str, uid: u32) -> bool {
        self.pods.get(name).is_some_and(|p| p.uid == uid && self.ready(p))
    }

    fn snapshot(&self) -> Snapshot {
        let mut nodes: Vec<Node> = self
            .pods
            .iter()
            .map(|(name, p)| Node {
                name: name.clone(),
                pool: "media".into(),
                ordinal: name
                    .rsplit('-')
                    .next()
                    .and_then(|n| n.parse().ok())
                    .expect("a number"),
                uid: Some(p.uid.to_string()),
                ready: self.ready(p),
                running: p.dead.is_none() && p.age >= POD_STARTS,
                terminating: p.ending.is_some(),
                outdated: p.version != self.version,
                cordoned: p.cordoned,
                lost_for: Duration::from_secs_f64(if self.ready(p) {
                    0.0
                } else {
                    p.dead.unwrap_or(p.age)
                }),
                ..Node::default()
            })
            .collect();
        nodes.extend(
            self.gone
                .iter()
                .filter(|(name, _)| !self.pods.contains_key(*name))
                .map(|(name, age)| Node {
                    name: name.clone(),
                    pool: "media".into(),
                    ordinal: name
                        .rsplit('-')
                        .next()
                        .and_then(|n| n.parse().ok())
                        .expect("a number"),
                    lost_for: Duration::from_secs_f64(*age),
                    ..Node::default()
                }),
        );
        let cameras = self
            .cameras
            .iter()
            .enumerate()
            .map(|(rank, (name, c))| {
                let uid = c.node.as_ref().and_then(|n| self.pods.get(n)).map(|p| p.uid);
                let live = c.since >= CAMERA_CONNECTS
                    && c.node
                        .as_ref()
                        .zip(uid)
                        .is_some_and(|(node, uid)| self.carries(node, uid));
                Camera {
                    name: name.clone(),
                    rank,
                    path: format!("/{name}"),
                    enabled: true,
                    node: c.node.clone(),
                    epoch: c.epoch,
                    media: if live { Media::Live } else { Media::None },
                    moving_for: c.moving.then(|| Duration::from_secs_f64(c.since)),
                    reason: Some(if c.moving { "Moving" } else { "Placed" }.into()),
                    ..Camera::default()
                }
            })
            .collect();
        let pool = Pool {
            name: "media".into(),
            replicas: self.replicas,
            running: Some(self.running),
            settled: true,
            ..Pool::default()
        };
        Snapshot {
            pools: vec![pool],
            nodes,
            cameras,
            routes: vec![],
        }
    }

    /// One step of time. Says whether the plan wanted anything.
    fn step(&mut self) -> bool {
        let world = self.snapshot();
        let plan = plan(&world, &Limits::default());
        let mut busy = !plan.changes(&world).is_empty() || !plan.removals.is_empty();
        for (name, placement) in &plan.cameras {
            let was = self.cameras[name].clone();
            let camera = self.cameras.get_mut(name).expect("of this world");
            if placement.node == was.node {
                assert_eq!(
                    placement.epoch, was.epoch,
                    "{name}: a new epoch without a placement"
                );
            } else {
                assert!(
                    placement.epoch > was.epoch,
                    "{name}: a placement without a new epoch"
                );
                let pod = was.node.as_ref().and_then(|n| self.pods.get(n));
                camera.former.extend(was.node.clone().zip(pod.map(|p| p.uid)));
                self.moves += 1;
                camera.since = 0.0;
            }
            camera.node.clone_from(&placement.node);
            camera.epoch = placement.epoch;
            camera.moving = matches!(
                placement.state,
                State::Moved { handover: true, .. } | State::HandingOver
            );
        }
        for removal in &plan.removals {
            let pod = self.pods.get_mut(&removal.pod).expect("a pod");
            assert_eq!(pod.uid.to_string(), removal.uid);
            pod.ending.get_or_insert(0.0);
            self.deletions += 1;
        }
        if let Some(PoolPlan::Serve(serving)) = plan.pools.get("media") {
            busy |= self.running != serving.replicas || serving.outdated > 0;
            self.running = serving.replicas;
        }
        self.pass_time();
        busy
    }

    fn pass_time(&mut self) {
        // Former nodes go on until the new one has media, or ten seconds.
        let ready: BTreeSet<(String, u32)> = self
            .pods
            .iter()
            .filter(|(_, p)| self.ready(p))
            .map(|(n, p)| (n.clone(), p.uid))
            .collect();
        let mut carried = BTreeSet::new();
        for (name, c) in &mut self.cameras {
            let owner_is_ready = c
                .node
                .as_ref()
                .is_some_and(|n| ready.iter().any(|(name, _)| name == n));
            if owner_is_ready {
                c.since += STEP;
            }
            let live = owner_is_ready && c.since >= CAMERA_CONNECTS;
            if live || c.since >= 10.0 {
                c.former.clear();
            }
            if live || c.former.iter().any(|f| ready.contains(f)) {
                carried.insert(name.clone());
            }
        }
        for name in self.cameras.keys() {
            let dark = self.dark.entry(name.clone()).or_default();
            *dark = if carried.contains(name) { 0.0 } else { *dark + STEP };
            self.darkest = self.darkest.max(*dark);
        }
        let mut ended = vec![];
        for (name, pod) in &mut self.pods {
            pod.age += STEP;
            if let Some(dead) = &mut pod.dead {
                *dead += STEP;
            }
            if let Some(since) = &mut pod.ending {
                *since += STEP;
                let in_use = self
                    .cameras
                    .values()
                    .any(|c| c.node.as_ref() == Some(name) || c.former.contains(&(name.clone(), pod.uid)));
                if !in_use || *since >= POD_ENDS_AT_LATEST || pod.dead.is_some() {
                    ended.push(name.clone());
                }
            }
        }
        for name in ended {
            self.pods.remove(&name);
            self.gone.insert(name, 0.0);
        }
        for age in self.gone.values_mut() {
            *age += STEP;
        }
        for ordinal in 0..self.running {
            let name = Self::name(ordinal);
            if !self.pods.contains_key(&name) && self.gone.get(&name).is_none_or(|age| *age >= POD_COMES_BACK)
            {
                self.gone.remove(&name);
                self.next_uid += 1;
                let pod = Pod {
                    uid: self.next_uid,
                    version: self.version,
                    age: 0.0,
                    ending: None,
                    dead: None,
                    cordoned: false,
                };
                self.pods.insert(name, pod);
            }
        }
        for (name, pod) in &mut self.pods {
            let ordinal: u32 = name
                .rsplit('-')
                .next()
                .and_then(|n| n.parse().ok())
                .expect("a number");
            if ordinal >= self.running {
                pod.ending.get_or_insert(0.0);
            }
        }
        // A StatefulSet of fewer replicas does not bring the others back.
        let running = self.running;
        self.gone.retain(|name, _| {
            name.rsplit('-')
                .next()
                .and_then(|n| n.parse::<u32>().ok())
                .is_some_and(|n| n < running)
        });
    }

    /// Steps until nothing has been wanted for five seconds.
    fn run_until_calm(&mut self, seconds: f64) {
        let mut calm = 0.0;
        let mut passed = 0.0;
        while calm < 5.0 {
            calm = if self.step() { 0.0 } else { calm + STEP };
            passed += STEP;
            assert!(passed < seconds, "not done after {seconds} s");
        }
    }

    fn loads(&self) -> BTreeMap<&str, usize> {
        let mut loads: BTreeMap<&str, usize> = self.pods.keys().map(|n| (n.as_str(), 0)).collect();
        for c in self.cameras.values() {
            *loads
                .get_mut(c.node.as_deref().expect("every camera has a node"))
                .expect("of a pod") += 1;
        }
        loads
    }
}

#[test]
fn a_start_spreads_cameras_evenly() {
    let cluster = Cluster::new(3, 10);
    let mut loads: Vec<usize> = cluster.loads().into_values().collect();
    loads.sort_unstable();
    assert_eq!(loads, [3, 3, 4]);
}

#[test]
fn a_roll_out_leaves_no_camera_without_a_carrier() {
    for (replicas, cameras) in [(2, 7), (3, 30), (5, 40)] {
        let mut cluster = Cluster::new(replicas, cameras);
        cluster.version = 2;
        cluster.run_until_calm(600.0);
        assert!(cluster.pods.values().all(|p| p.version == 2));
        assert_eq!(cluster.deletions, replicas);
        assert!(cluster.darkest < STEP * 1.5, "dark for {} s", cluster.darkest);
        let loads: Vec<usize> = cluster.loads().into_values().collect();
        let (max, min) = (
            loads.iter().max().expect("some"),
            loads.iter().min().expect("some"),
        );
        assert!(*max <= 2 * min + 4, "{loads:?}");
        assert!(
            cluster.moves as usize <= 3 * cameras,
            "{} moves of {cameras} cameras",
            cluster.moves
        );
    }
}

#[test]
fn a_version_that_does_not_start_costs_one_node_and_a_fix_ends_it() {
    let mut cluster = Cluster::new(3, 9);
    cluster.version = 2;
    cluster.works = false;
    for _ in 0..400 {
        cluster.step();
    }
    assert_eq!(cluster.deletions, 1, "the roll-out went on");
    assert!(cluster.darkest < STEP * 1.5);
    cluster.version = 3;
    cluster.works = true;
    cluster.run_until_calm(600.0);
    assert!(cluster.pods.values().all(|p| p.version == 3));
    assert!(cluster.darkest < STEP * 1.5);
}

#[test]
fn a_pool_of_one_is_dark_only_while_its_pod_restarts() {
    let mut cluster = Cluster::new(1, 3);
    cluster.version = 2;
    cluster.run_until_calm(120.0);
    assert!(
        cluster.darkest <= POD_COMES_BACK + POD_STARTS + CAMERA_CONNECTS + 2.0 * STEP,
        "{}",
        cluster.darkest
    );
}

#[test]
fn scale_in_moves_first() {
    let mut cluster = Cluster::new(4, 20);
    cluster.replicas = 1;
    cluster.run_until_calm(120.0);
    assert_eq!(cluster.pods.len(), 1);
    assert_eq!(cluster.loads()["media-node-0"], 20);
    assert!(cluster.darkest < STEP * 1.5, "dark for {} s", cluster.darkest);
}

#[test]
fn a_node_that_dies_is_replaced_within_the_promise() {
    let mut cluster = Cluster::new(3, 12);
    cluster.pods.get_mut("media-node-1").expect("a pod").dead = Some(0.0);
    for _ in 0..60 {
        cluster.step();
    }
    assert!(
        cluster.darkest <= 3.0 + CAMERA_CONNECTS + 2.0 * STEP,
        "dark for {} s",
        cluster.darkest
    );
    assert_eq!(cluster.loads()["media-node-1"], 0);
}

#[test]
fn a_pod_that_is_deleted_hands_over() {
    let mut cluster = Cluster::new(2, 8);
    cluster.pods.get_mut("media-node-0").expect("a pod").ending = Some(0.0);
    cluster.run_until_calm(60.0);
    assert!(cluster.darkest < STEP * 1.5, "dark for {} s", cluster.darkest);
    assert_eq!(cluster.pods.len(), 2);
}

#[test]
fn a_cordoned_node_is_emptied_and_left_alone() {
    let mut cluster = Cluster::new(3, 9);
    cluster.pods.get_mut("media-node-2").expect("a pod").cordoned = true;
    cluster.run_until_calm(60.0);
    assert_eq!(cluster.loads()["media-node-2"], 0);
    assert_eq!(cluster.deletions, 0);
    assert!(cluster.darkest < STEP * 1.5);
}
