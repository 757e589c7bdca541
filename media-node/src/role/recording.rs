//! Builds what records: the spool, the recorders, the way to the bucket and to the index.

use crate::args;
use crate::cluster::recording::Scheduling;
use crate::cluster::resource::{ResourceWriter, SecretData, Secrets, World};
use crate::hub::Hub;
use crate::record::{self, Catalogue, Recorders, Snapshots, States, Uploader, UploaderParts};
use crate::store::object::{Bucket, Embedded, Keys, Location};
use crate::store::spool::Spool;
use crate::worker::Workers;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use weir_proto::Redacted;

/// What recordings get on shutdown to be finished on the disk.
const FAREWELL: Duration = Duration::from_secs(5);
/// ... and what is whole gets to be stored.
const UPLOAD: Duration = Duration::from_secs(5);
/// How often it is looked whether the index knows all.
const LISTING: Duration = Duration::from_millis(50);
/// A Secret that can't be read is asked for again after this long.
const AGAIN: Duration = Duration::from_secs(5);

/// What records on this machine.
pub(super) struct Recording {
    recorders: Recorders,
    spool: Spool,
    tasks: Vec<JoinHandle<()>>,
    states: Arc<States>,
    bell: Arc<Notify>,
    stop: CancellationToken,
}

/// What it takes.
pub(super) struct Parts<'a> {
    pub(super) world: World,
    pub(super) hub: Arc<Hub>,
    pub(super) states: Arc<States>,
    pub(super) catalogue: Arc<dyn Catalogue>,
    pub(super) bucket: watch::Receiver<Option<Bucket>>,
    pub(super) snapshots: Snapshots,
    /// The folder that the bucket's objects lie in, where that is on this machine.
    pub(super) objects: Option<PathBuf>,
    pub(super) data: &'a Path,
    pub(super) args: &'a args::Recording,
    /// This node's name, as `status.node` has it.
    pub(super) me: String,
    /// Where nobody else writes the statuses of schedules.
    pub(super) writer: Option<Arc<dyn ResourceWriter>>,
}

impl Recording {
    /// Finishes what a former process left, and records from then on, until [`Self::end`].
    pub(super) async fn start(parts: Parts<'_>) -> anyhow::Result<Self> {
        let folder = parts.data.join("spool");
        let spool = Spool::open(&folder, parts.args.spool_bytes())
            .with_context(|| format!("can't write to the spool {}", folder.display()))?;
        let (left, recovering) = (spool.clone(), parts.states.clone());
        tokio::task::spawn_blocking(move || record::recover(&left, &recovering))
            .await
            .context("looking at the spool failed")?
            .with_context(|| format!("can't read the spool {}", folder.display()))?;
        let bell = Arc::new(Notify::new());
        let settings = record::Settings {
            segment: parts.args.segment(),
        };
        let recorders = Recorders::new(
            parts.hub,
            spool.clone(),
            parts.states.clone(),
            bell.clone(),
            parts.snapshots,
            parts.bucket.clone(),
            settings,
        );
        let uploader = Uploader::new(UploaderParts {
            spool: spool.clone(),
            states: parts.states.clone(),
            catalogue: parts.catalogue,
            node: parts.me.clone(),
            bucket: parts.bucket,
            bell: bell.clone(),
            folder: parts.objects,
        });
        let scheduling = Scheduling {
            world: parts.world,
            recorders: recorders.clone(),
            me: parts.me,
            standalone: parts.writer,
        };
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(uploader.run(stop.clone())),
            tokio::spawn(scheduling.run(stop.clone())),
        ];
        Ok(Self {
            recorders,
            spool,
            tasks,
            states: parts.states,
            bell,
            stop,
        })
    }

    /// Finishes what is being recorded. Call it while the streams still run.
    pub(super) async fn end(self) {
        self.recorders.end(FAREWELL).await;
        // What is in the spool lasts, but who knows when somebody starts here again.
        self.bell.notify_one();
        let told = async { self.states.stored(UPLOAD).await && self.listed().await };
        if !tokio::time::timeout(UPLOAD, told).await.unwrap_or(false) {
            info!("segments are left in the spool; they are stored at the next start");
        }
        self.stop.cancel();
        for task in self.tasks {
            let _ = tokio::time::timeout(FAREWELL, task).await;
        }
    }

    /// Waits until the index knows the recordings too. False if the spool can't be looked at.
    async fn listed(&self) -> bool {
        loop {
            let spool = self.spool.clone();
            let notes = tokio::task::spawn_blocking(move || spool.notes()).await;
            match notes {
                Ok(Ok(notes)) if notes.is_empty() => return true,
                Ok(Ok(_)) => {}
                _ => return false,
            }
            self.bell.notify_one();
            tokio::time::sleep(LISTING).await;
        }
    }
}

/// The bucket that the pool names, followed until `stop`; where none is named, that of `otherwise`.
pub(super) fn follow_bucket(
    world: World,
    keys: KeySource,
    otherwise: Option<Bucket>,
    stop: CancellationToken,
) -> watch::Receiver<Option<Bucket>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut news = world.news();
        let mut known: Option<(_, Option<Keys>)> = None;
        if stop.run_until_cancelled(world.ready()).await != Some(true) {
            return;
        }
        loop {
            let storage = world.pool().and_then(|pool| {
                let namespace = pool.metadata.namespace.clone().unwrap_or_default();
                Some((namespace, pool.spec.storage.clone()?))
            });
            let mut again = None;
            // They may have been replaced, which no other resource tells.
            let now = match &storage {
                None => None,
                Some((namespace, named)) => match keys.of(namespace, named.secret_name.as_deref()).await {
                    Ok(keys) => Some(keys),
                    Err(error) => {
                        warn!(error, "the object store can't be used");
                        again = Some(AGAIN);
                        None
                    }
                },
            };
            let wanted = (storage, now);
            // Keys that are away for a moment are used on.
            let is_same = known.as_ref().is_some_and(|(storage, _)| *storage == wanted.0);
            let stays = again.is_some() && is_same && sender.borrow().is_some();
            if !stays && (sender.borrow().is_none() || known.as_ref() != Some(&wanted)) {
                let bucket = match &wanted {
                    (None, _) => otherwise.clone(),
                    (Some((_, storage)), Some(keys)) => {
                        let location = Location {
                            bucket: storage.bucket.clone(),
                            endpoint: storage.endpoint.clone(),
                            region: storage.region.clone(),
                            path_style: storage.path_style,
                        };
                        Some(Bucket::new(&location, keys.clone()))
                    }
                    (Some(_), None) => None,
                };
                if let Some(bucket) = &bucket {
                    info!(bucket = bucket.name(), "recordings are stored");
                }
                sender.send_replace(bucket);
                known = Some(wanted);
            }
            let waits = async {
                match again {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => {
                        if news.changed().await.is_err() {
                            std::future::pending::<()>().await;
                        }
                    }
                }
            };
            if stop.run_until_cancelled(waits).await.is_none() {
                return;
            }
        }
    });
    receiver
}

/// ffmpeg, where there is one. That there is none is said once here, and in the status of each camera that lacks its
/// snapshots.
pub(super) fn workers(args: &args::Workers) -> Workers {
    let workers = Workers::new(args.ffmpeg.clone());
    if let Err(error) = workers.check() {
        warn!(%error, "no pictures can be made: neither snapshots nor thumbnails");
    }
    workers
}

/// Where the keys of the object store are.
pub(super) enum KeySource {
    /// In the files of a Secret that the operator has mounted.
    Folder(Option<PathBuf>),
    Secrets(Arc<dyn Secrets>),
}

impl KeySource {
    async fn of(&self, namespace: &str, secret: Option<&str>) -> Result<Keys, String> {
        match (self, secret) {
            (Self::Folder(Some(folder)), _) => Ok(Keys::Folder(folder.clone())),
            (Self::Folder(None), _) | (Self::Secrets(_), None) => Err(
                "spec.storage.secretName names no Secret: write one with accessKeyId and secretAccessKey"
                    .to_owned(),
            ),
            (Self::Secrets(secrets), Some(name)) => match secrets.read(namespace, name).await {
                Ok(Some(data)) => keys_in(&data)
                    .ok_or_else(|| format!("secret {name:?} lacks accessKeyId or secretAccessKey")),
                Ok(None) => Err(format!("secret {name:?} not found")),
                Err(error) => Err(error.chain()),
            },
        }
    }
}

fn keys_in(data: &SecretData) -> Option<Keys> {
    let text = |key: &str| {
        let value = data.get(key)?.reveal().clone();
        Some(String::from_utf8(value).ok()?.trim().to_owned())
    };
    Some(Keys::Given {
        id: text("accessKeyId")?,
        secret: Redacted::new(text("secretAccessKey")?),
    })
}

/// An object store on this machine's disk, for where no other is named.
pub(super) async fn embedded(data: &Path, stop: &CancellationToken) -> anyhow::Result<Embedded> {
    let folder = data.join("objects");
    Embedded::start(&folder, stop.clone())
        .await
        .with_context(|| format!("can't serve the folder {} as an object store", folder.display()))
}
