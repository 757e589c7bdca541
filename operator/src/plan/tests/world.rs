//! The short form in which worlds are written down, and the snapshot that it means.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::snapshot::{Autoscale, Camera, Media, Node, Pool, Route, Snapshot};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct World {
    /// What the world shows.
    pub(super) what: String,
    #[serde(default)]
    pools: Vec<PoolIn>,
    #[serde(default)]
    nodes: BTreeMap<String, NodeIn>,
    #[serde(default)]
    cameras: BTreeMap<String, CameraIn>,
    #[serde(default)]
    routes: BTreeMap<String, RouteIn>,
    /// Cameras to add: how many, each with the rest.
    #[serde(default)]
    crowd: Option<(usize, CameraIn)>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolIn {
    #[serde(default = "media")]
    name: String,
    #[serde(default)]
    replicas: u32,
    #[serde(default)]
    autoscale: Option<(u32, u32, u32)>,
    #[serde(default)]
    running: Option<u32>,
    #[serde(default)]
    unsettled: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NodeIn {
    /// No pod.
    missing: bool,
    /// Seconds for which it has not been ready.
    lost: Option<f64>,
    /// Its container does not run.
    dead: bool,
    terminating: bool,
    outdated: bool,
    cordoned: bool,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CameraIn {
    on: Option<String>,
    epoch: i64,
    path: Option<String>,
    off: bool,
    deleting: bool,
    rank: Option<usize>,
    pin: Option<String>,
    selector: BTreeMap<String, String>,
    /// Not live, although it has a node.
    silent: bool,
    waiting: bool,
    /// Seconds since it began to move.
    moving: Option<f64>,
    reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteIn {
    pattern: String,
    #[serde(default)]
    scheme: Option<String>,
    #[serde(default)]
    rank: usize,
}

fn media() -> String {
    "media".into()
}

impl World {
    pub(super) fn read(text: &str) -> Self {
        serde_norway::from_str(text).unwrap_or_else(|e| panic!("{e} in\n{text}"))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let pools = self.pools.iter().enumerate().map(|(rank, p)| Pool {
            name: p.name.clone(),
            rank,
            replicas: p.replicas,
            autoscale: p.autoscale.map(|(min, max, cameras_per_node)| Autoscale {
                min,
                max,
                cameras_per_node,
            }),
            running: p.running.or(Some(p.replicas)),
            settled: !p.unsettled,
        });
        let nodes = self.nodes.iter().map(|(name, n)| {
            let (pool, ordinal) = name.split_once("-node-").expect("POOL-node-N");
            let ready = n.lost.is_none() && !n.missing;
            Node {
                name: name.clone(),
                pool: pool.into(),
                ordinal: ordinal.parse().expect("a number"),
                uid: (!n.missing).then(|| format!("uid-{name}")),
                ready,
                running: !n.missing && !n.dead,
                terminating: n.terminating,
                outdated: n.outdated,
                cordoned: n.cordoned,
                labels: n.labels.clone(),
                lost_for: Duration::from_secs_f64(n.lost.unwrap_or_default()),
                trouble: None,
            }
        });
        let crowd = self
            .crowd
            .iter()
            .flat_map(|(n, c)| (0..*n).map(move |i| (format!("crowd-{i:03}"), c.clone())));
        let all = self.cameras.clone().into_iter().chain(crowd);
        let cameras = all.enumerate().map(|(rank, (name, c))| Camera {
            path: format!("/{}", c.path.as_ref().unwrap_or(&name)),
            rank: c.rank.unwrap_or(rank),
            enabled: !c.off,
            deleting: c.deleting,
            pin: c.pin.clone(),
            selector: c.selector.clone(),
            epoch: if c.on.is_some() { c.epoch.max(1) } else { c.epoch },
            media: match (&c.on, c.silent, c.waiting) {
                (Some(_), false, false) => Media::Live,
                (_, _, true) => Media::Waiting,
                _ => Media::None,
            },
            moving_for: c.moving.map(Duration::from_secs_f64),
            reason: c.reason.clone().or(match (&c.on, c.moving) {
                (Some(_), None) => Some("Placed".into()),
                (Some(_), Some(_)) => Some("Moving".into()),
                _ => None,
            }),
            node: c.on,
            name,
        });
        let routes = self.routes.iter().map(|(name, r)| Route {
            name: name.clone(),
            rank: r.rank,
            pattern: r.pattern.clone(),
            scheme: r.scheme.clone().unwrap_or_else(|| "rtsp".into()),
        });
        Snapshot {
            pools: pools.collect(),
            nodes: nodes.collect(),
            cameras: cameras.collect(),
            routes: routes.collect(),
        }
    }
}
