//! Recording in a cluster: nodes record into a bucket, gateways show it, and a node that goes costs no more than a GOP.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;
use weir_tests::{
    Context, Result,
    camera::{Auth, Make},
    cluster::{Namespace, Pool, camera, machine, with_namespace},
    ensure, eventually,
    manifest::rtsp_camera,
    player,
    s3::{BUCKET, Server},
    wait::secs,
};

/// Cut often, so that the test needn't wait for a minute's segment.
const SCHEDULE: &str = "apiVersion: weir.video/v1alpha1\nkind: RecordSchedule\nmetadata: {name: all}\nspec:\n  \
                        cameras: {selector: {}}\n  always: true\n  recordingLength: 4s\n";

/// Folders of this machine as volumes of the nodes: those that the test's Kubernetes makes are for root alone.
struct Volumes<'a> {
    ns: &'a Namespace,
    folders: Vec<tempfile::TempDir>,
}

impl<'a> Volumes<'a> {
    async fn make(ns: &'a Namespace, nodes: u32) -> Result<Self> {
        let mut folders = Vec::new();
        for node in 0..nodes {
            let folder = tempfile::TempDir::with_prefix("weir-volume-")?;
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

/// The spans of `door`, in milliseconds.
async fn spans(ns: &Namespace) -> Result<Vec<(i64, i64)>> {
    let url = ns.http("/api/weir/v1/recordings?path=door").await?;
    let listed: Value = reqwest::get(&url).await?.error_for_status()?.json().await?;
    let spans = listed["spans"].as_array().context("spans")?.iter();
    let time = |span: &Value, name: &str| span[name].as_i64().context("a time");
    spans
        .map(|span| Ok((time(span, "startMs")?, time(span, "endMs")?)))
        .collect()
}

async fn until_recorded(ns: &Namespace, seconds: i64) -> Result<Vec<(i64, i64)>> {
    eventually(secs(60), "footage", async || {
        let spans = spans(ns).await?;
        let length: i64 = spans.iter().map(|(start, end)| end - start).sum();
        ensure!(length >= seconds * 1000, "{spans:?}");
        Ok(spans)
    })
    .await
}

#[tokio::test]
async fn nodes_record_and_gateways_show_it() -> Result<()> {
    with_namespace(None, async |ns| {
        let store = Server::start(&machine()).await?;
        let volumes = Volumes::make(ns, 2).await?;
        ns.apply(&store.keys("store")).await?;
        let pool = Pool {
            nodes: 2,
            node_fields: ", spool: {storageClass: by-hand}",
            ..Pool::default()
        };
        let storage = format!(
            "  storage: {{bucket: {BUCKET}, endpoint: \"http://{}:{}\", secretName: store}}\n",
            machine(),
            store.port()
        );
        ns.start_pool_with(pool, &storage).await?;
        let source = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("door", source.url("h264"), "")).await?;
        ns.apply(SCHEDULE).await?;
        ns.until_ready("door").await?;
        until_recorded(ns, 8).await?;
        ns.until_condition("camera/door", "Recording", "True", "Scheduled")
            .await?;
        ns.until_condition("camera/door", "Uploaded", "True", "Ok")
            .await?;
        let schedule = ns.get(&["recordschedule", "all"]).await?;
        ensure!(
            schedule["status"]["active"] == true && schedule["status"]["cameras"] == 1,
            "{schedule}"
        );

        // Its pod goes in an orderly way: the other node has the camera before.
        let node = ns.node_of("door").await?;
        ns.kubectl(&["delete", "pod", &node, "--wait=false"]).await?;
        eventually(secs(60), "the camera to move", async || {
            let now = ns.node_of("door").await?;
            ensure!(now != node, "{now}");
            Ok(())
        })
        .await?;
        let before: i64 = spans(ns).await?.iter().map(|(start, end)| end - start).sum();
        let spans = until_recorded(ns, before / 1000 + 10).await?;
        // The new node begins with its first keyframe, and the former one ends when the new one has media: of GOPs of two
        // seconds that much may be missing between the two.
        let missing: i64 = spans.windows(2).map(|pair| pair[1].0 - pair[0].1).sum();
        ensure!(spans.len() <= 2 && missing < 2_500, "{spans:?}");
        player::probe(&ns.http("/recordings/door.mp4").await?, &[], 10.0)
            .await?
            .expect(&["h264", "aac"], 10.0)?;
        volumes.remove().await
    })
    .await
}
