//! A namespace whose nodes record: each has a volume, the bucket is that of a store that is not ours, and what was recorded is
//! watched at the gateways, as a user does.

use std::{fs, os::unix::fs::PermissionsExt, panic::AssertUnwindSafe, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use tempfile::TempDir;

use crate::{
    cluster::{Namespace, Pool, machine, with_namespace},
    eventually,
    footage::{self, Clip, Footage, Span, now_ms},
    s3::{self, BUCKET, Server},
    wait::secs,
};

/// Cut often, at each keyframe, so that nobody needs to wait for a minute's segment.
const SCHEDULE: &str = "apiVersion: weir.video/v1alpha1\nkind: RecordSchedule\nmetadata: {name: all}\nspec:\n  \
                        cameras: {selector: {}}\n  always: true\n  recordingLength: 2s\n";
/// What the cameras play.
const CLIP: &str = "h264_aac.mp4";

/// The namespace, and what stores for it.
pub struct Archive<'a> {
    /// Its pool is ready, and what cameras it gets are recorded.
    pub ns: &'a Namespace,
    store: Server,
    clip: Clip,
    /// The gateways' URL: it is known also while the API server is away.
    gateways: String,
}

/// Makes a namespace with so many nodes that record, calls `test` with it, and removes all of it again.
///
/// # Errors
/// The test's, and those of [`with_namespace`].
pub async fn with_archive<F>(nodes: u32, test: F) -> Result<()>
where
    F: AsyncFnOnce(&Archive<'_>) -> Result<()>,
{
    with_namespace(None, async |ns| {
        let volumes = Volumes::make(ns, nodes).await?;
        let run = async {
            let archive = Archive::start(ns, nodes).await?;
            test(&archive).await
        };
        let result = AssertUnwindSafe(run).catch_unwind().await;
        let removed = volumes.remove().await;
        match result {
            Ok(Ok(())) => removed,
            Ok(Err(error)) => Err(error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
    .await
}

impl<'a> Archive<'a> {
    async fn start(ns: &'a Namespace, nodes: u32) -> Result<Self> {
        let store = Server::start(&machine()).await?;
        ns.apply(&store.keys("store")).await?;
        ns.apply(SCHEDULE).await?;
        let pool = Pool {
            nodes,
            node_fields: ", spool: {storageClass: by-hand}",
            ..Pool::default()
        };
        let storage = format!(
            "  storage: {{bucket: {BUCKET}, endpoint: \"http://{}:{}\", secretName: store}}\n",
            machine(),
            store.port()
        );
        ns.start_pool_with(pool, &storage).await?;
        Ok(Self {
            ns,
            store,
            clip: Clip::of(CLIP).await?,
            gateways: ns.http("").await?,
        })
    }

    /// What is stored of a stream, of all time.
    ///
    /// # Errors
    /// When no gateway tells.
    pub async fn spans(&self, path: &str) -> Result<Vec<Span>> {
        let url = format!("{}/api/weir/v1/recordings?path={path}&from=0", self.gateways);
        let reply = reqwest::get(url).await?.error_for_status()?;
        footage::listed(&reply.text().await?)
    }

    /// Waits until footage of that time is stored and listed.
    ///
    /// # Errors
    /// When it is not after `limit`.
    pub async fn until_stored(&self, path: &str, at_ms: i64, limit: Duration) -> Result<()> {
        eventually(limit, &format!("{path} to be stored up to {at_ms}"), async || {
            let end = self.spans(path).await?.last().map_or(0, |span| span.end_ms);
            ensure!(end >= at_ms, "it is {} ms before", at_ms - end);
            Ok(())
        })
        .await
    }

    /// Waits until so many seconds of a stream are stored from now on.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn record_for(&self, path: &str, seconds: u64) -> Result<()> {
        let at_ms = now_ms() + seconds as i64 * 1000;
        self.until_stored(path, at_ms, secs(seconds + 30)).await
    }

    /// All that was recorded of a stream, from an MP4. A playlist of the same time must have the same pictures in the same
    /// order.
    ///
    /// # Errors
    /// When one of the two can't be watched, or they differ.
    pub async fn footage(&self, path: &str) -> Result<Footage> {
        let spans = self.spans(path).await?;
        let (first, last) = (
            spans.first().context("nothing is stored")?,
            spans.last().context("nothing is stored")?,
        );
        let range = format!("from={}&to={}", first.start_ms, last.end_ms);
        let url = |ending: &str| format!("{}/recordings/{path}.{ending}?{range}", self.gateways);
        let footage = self.clip.pictures(&url("mp4")).await?;
        let listed = self.clip.listed(&url("m3u8")).await?;
        let shown: Vec<u64> = footage.pictures().iter().map(|picture| picture.number).collect();
        let differs = listed.iter().zip(&shown).position(|(one, other)| one != other);
        ensure!(
            listed.len() == shown.len() && differs.is_none(),
            "{} pictures by HLS, {} in the MP4; the first that differs: {differs:?}",
            listed.len(),
            shown.len()
        );
        Ok(footage)
    }

    /// When the stored segments of all cameras begin, and the numbers of the placements that they are of, the oldest first.
    ///
    /// # Errors
    /// When the bucket can't be read.
    pub fn segments(&self) -> Result<Vec<(i64, u64)>> {
        let files = s3::files(&self.store.bucket().join("segments"), ".mp4")?;
        let mut all = Vec::new();
        for file in files {
            let name = file.file_name().context("a name")?.to_string_lossy().into_owned();
            let mut parts = name.split('-');
            let start = parts.next().context("a start")?.parse()?;
            all.push((start, parts.next().context("an epoch")?.parse()?));
        }
        all.sort_unstable();
        Ok(all)
    }
}

/// Folders of this machine as volumes of the nodes: those that the test's Kubernetes makes are for root alone.
struct Volumes<'a> {
    ns: &'a Namespace,
    folders: Vec<TempDir>,
}

impl<'a> Volumes<'a> {
    async fn make(ns: &'a Namespace, nodes: u32) -> Result<Self> {
        let mut folders = Vec::new();
        for node in 0..nodes {
            let folder = TempDir::with_prefix("weir-volume-")?;
            // Pods of ours run as a user of their own.
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
            ns.apply(&format!(
                "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}-{node}}}\nspec:\n  storageClassName: by-hand\n  capacity: {{storage: 10Gi}}\n  \
                 accessModes: [ReadWriteOnce]\n  persistentVolumeReclaimPolicy: Retain\n  hostPath: {{path: \"{path}\"}}\n  \
                 claimRef: {{namespace: {name}, name: data-media-node-{node}}}\n",
                name = ns.name,
                path = folder.path().display()
            ))
            .await?;
            folders.push(folder);
        }
        Ok(Self { ns, folders })
    }

    async fn remove(self) -> Result<()> {
        for node in 0..self.folders.len() {
            let name = format!("{}-{node}", self.ns.name);
            self.ns
                .kubectl(&["delete", "persistentvolume", &name, "--wait=false"])
                .await?;
            let patch = r#"{"metadata": {"finalizers": null}}"#;
            let arguments = ["patch", "persistentvolume", &name, "--type=merge", "-p", patch];
            let _ = self.ns.kubectl(&arguments).await;
        }
        Ok(())
    }
}
