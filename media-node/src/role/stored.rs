//! What is stored: how it is shown, and what takes care of it. Standalone has it, and each gateway.

use super::footage::{StoredFootage, Thumbnails};
use crate::api::{Archive, Footage, Nodes};
use crate::cluster::recording::keepings;
use crate::cluster::resource::World;
use crate::record::{Finisher, Keeper, Playback, Portraits, Sitter, Snapshots};
use crate::store::object::Bucket;
use crate::store::sql::Database;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use weir_crds::condition;
use weir_proto::media::StreamPath;

/// What it takes.
pub(super) struct Parts {
    pub(super) world: World,
    pub(super) database: Database,
    pub(super) bucket: watch::Receiver<Option<Bucket>>,
    pub(super) snapshots: Snapshots,
    /// Says where a camera runs.
    pub(super) nodes: Arc<dyn Nodes>,
    /// Rings when a recording is whole.
    pub(super) finishing: Arc<Notify>,
}

/// The same footage, as two APIs show it.
pub(super) struct Stored {
    pub(super) archive: Archive,
    pub(super) footage: Arc<dyn Footage>,
}

impl Stored {
    /// Besides, until `stop`: deletes what is too old, measures what is new, and keeps pictures of channels.
    pub(super) fn start(parts: Parts, stop: &CancellationToken) -> Self {
        let Parts {
            world,
            database,
            bucket,
            snapshots,
            nodes,
            finishing,
        } = parts;
        // Rings when something is to be deleted.
        let deleting = Arc::new(Notify::new());
        let archive = archive(&world, database.clone(), bucket.clone(), snapshots.clone());
        let footage = StoredFootage {
            playback: archive.playback.clone(),
            index: database.clone(),
            bucket: bucket.clone(),
            deleting: deleting.clone(),
            snapshots: snapshots.clone(),
            thumbnails: Thumbnails::default(),
        };
        let ruling = world.clone();
        let keeper = Keeper {
            database: database.clone(),
            bucket: bucket.clone(),
            rules: Arc::new(move || keepings(&ruling)),
            bell: deleting.clone(),
        };
        tokio::spawn(keeper.run(stop.clone()));
        let finisher = Finisher {
            database: database.clone(),
            playback: archive.playback.clone(),
            snapshots: snapshots.clone(),
            bucket: bucket.clone(),
            bell: finishing,
            deleting: deleting.clone(),
        };
        tokio::spawn(finisher.run(stop.clone()));
        let portraits = Portraits {
            database,
            snapshots,
            bucket,
            sitters: Arc::new(move || sitters(&world, &*nodes)),
            deleting,
        };
        tokio::spawn(portraits.run(stop.clone()));
        Self {
            archive,
            footage: Arc::new(footage),
        }
    }
}

/// Knows which camera a path names.
fn archive(
    world: &World,
    index: Database,
    bucket: watch::Receiver<Option<Bucket>>,
    snapshots: Snapshots,
) -> Archive {
    let (by_path, by_uid, live) = (world.clone(), world.clone(), world.clone());
    Archive {
        playback: Playback::new(index, bucket),
        snapshots,
        runs: Arc::new(move |uid| {
            let camera = live
                .cameras
                .find(|camera| camera.metadata.uid.as_deref() == Some(uid));
            let connected = camera
                .as_ref()
                .and_then(|c| c.condition(condition::kind::CONNECTED));
            connected.is_some_and(condition::Condition::is_true)
        }),
        camera_of: Arc::new(move |path| {
            let cameras = by_path.cameras.state();
            let serving = cameras.into_iter().filter(|camera| camera.serves(path.as_str()));
            let first =
                serving.reduce(|best, camera| if camera.goes_before(&best) { camera } else { best })?;
            first.metadata.uid.clone()
        }),
        path_of: Arc::new(move |uid| {
            let camera = by_uid
                .cameras
                .find(|camera| camera.metadata.uid.as_deref() == Some(uid))?;
            StreamPath::parse(&camera.path())
        }),
    }
}

/// Cameras whose streams run.
fn sitters(world: &World, nodes: &dyn Nodes) -> Vec<Sitter> {
    let cameras = world.cameras.state();
    let sitting = cameras.iter().filter_map(|camera| {
        let connected = camera.condition(condition::kind::CONNECTED)?;
        if !connected.is_true() || camera.metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some(Sitter {
            camera_uid: camera.metadata.uid.clone()?,
            path: StreamPath::parse(&camera.path())?,
            node: nodes.node_of(camera),
            since: connected.last_transition_time.0.as_second(),
        })
    });
    sitting.collect()
}
