//! Recording in a cluster: nodes record into a bucket, gateways show it, and what is lost when a node goes, one way or the
//! other. Rows of the table in `docs/durability.md`; `e2e_faults` has that of the API server.

use std::{fmt::Display, time::Instant};

use weir_tests::{
    Context, Result,
    archive::{Archive, with_archive},
    camera::{Auth, Camera, Make},
    cluster::{self, POOL, camera},
    ensure, eventually,
    manifest::rtsp_camera,
    wait::secs,
};

/// Pictures that the cameras send in a second, and in a group.
const PER_SECOND: f64 = 25.0;
const GROUP: i64 = 50;
/// What is written to the disk at once, in pictures.
const FRAGMENT: i64 = 25;

fn measured(fault: &str, what: impl Display) {
    println!("measured: {fault}: {what}");
}

/// A camera that is live, and of which a second is stored.
async fn recorded_door(archive: &Archive<'_>) -> Result<Camera> {
    let source = camera(Make::Go, Auth::None).await?;
    archive
        .ns
        .apply(&rtsp_camera("door", source.url("h264"), ""))
        .await?;
    archive.ns.until_ready("door").await?;
    archive.record_for("door", 1).await?;
    Ok(source)
}

#[tokio::test]
async fn nodes_record_and_gateways_show_it() -> Result<()> {
    with_archive(2, async |archive| {
        let ns = archive.ns;
        let source = recorded_door(archive).await?;
        ns.until_condition("camera/door", "Recording", "True", "Scheduled")
            .await?;
        ns.until_condition("camera/door", "Uploaded", "True", "Ok")
            .await?;
        let schedule = ns.get(&["recordschedule", "all"]).await?;
        ensure!(
            schedule["status"]["active"] == true && schedule["status"]["cameras"] == 1,
            "{schedule}"
        );

        // Its pod goes in an orderly way: the other node has the camera before, and both record it for a while.
        let node = ns.node_of("door").await?;
        ns.kubectl(&["delete", "pod", &node, "--wait=false"]).await?;
        eventually(secs(60), "the camera to move", async || {
            let now = ns.node_of("door").await?;
            ensure!(now != node, "{now}");
            Ok(())
        })
        .await?;
        eventually(secs(30), "the former node to end", async || {
            let viewers = source.viewers();
            ensure!(source.plays() == 2 && viewers == 1, "{viewers} viewers");
            Ok(())
        })
        .await?;
        archive.record_for("door", 3).await?;
        let (footage, spans) = (archive.footage("door").await?, archive.spans("door").await?);
        measured("a node's pod is ended", &footage);
        ensure!(spans.len() == 1, "{spans:?}");
        footage.expect_whole()
    })
    .await
}

#[tokio::test]
async fn nodes_are_rolled_out() -> Result<()> {
    with_archive(2, async |archive| {
        let ns = archive.ns;
        let source = recorded_door(archive).await?;
        let uids = async || -> Result<Vec<String>> {
            let list = ns
                .get(&["pods", "-l", "app.kubernetes.io/component=node"])
                .await?;
            let pods = list["items"].as_array().context("a list")?.iter();
            let uid = |pod: &serde_json::Value| pod["metadata"]["uid"].as_str().map(str::to_owned);
            Ok(pods.filter_map(uid).collect())
        };
        let former = uids().await?;
        // Of the nodes alone: the index of a pool without a database is in its gateway.
        let patch = r#"{"spec": {"nodes": {"resources": {"requests": {"cpu": "11m"}}}}}"#;
        ns.kubectl(&["patch", "mediapool", POOL, "--type=merge", "-p", patch])
            .await?;
        eventually(secs(120), "both pods to be new", async || {
            let now = uids().await?;
            let left = now.iter().filter(|uid| former.contains(uid)).count();
            ensure!(now.len() == 2 && left == 0, "{left} of the former pods are left");
            Ok(())
        })
        .await?;
        ns.wait(&format!("mediapool/{POOL}"), "Ready", secs(60)).await?;
        archive.record_for("door", 3).await?;
        let (footage, spans) = (archive.footage("door").await?, archive.spans("door").await?);
        measured(
            "all nodes are rolled out",
            format!("{footage}; it was dialled {} times", source.plays()),
        );
        ensure!(source.plays() >= 2 && spans.len() == 1, "{spans:?}");
        footage.expect_whole()
    })
    .await
}

#[tokio::test]
async fn a_node_is_killed_while_it_records() -> Result<()> {
    if cluster::ours().is_none() {
        println!("not run: the cluster is not ours");
        return Ok(());
    }
    with_archive(1, async |archive| {
        let ns = archive.ns;
        let source = recorded_door(archive).await?;
        let began = Instant::now();
        ns.kill_process(&ns.node_of("door").await?).await?;
        // Kubernetes starts it again in the same pod, with what was on its volume.
        eventually(secs(60), "the camera to be dialled again", async || {
            ensure!(source.plays() > 1, "{}", source.log());
            Ok(())
        })
        .await?;
        let away = began.elapsed().as_secs_f64();
        archive.record_for("door", 3).await?;
        let footage = archive.footage("door").await?;
        measured(
            "a node is killed",
            format!("{footage}; nobody dialled for {away:.1} s"),
        );
        footage.expect_breaks(1, FRAGMENT + (away * PER_SECOND).ceil() as i64 + GROUP)?;
        ensure!(footage.breaks().len() == 1, "it was not killed: {footage}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_nodes_have_the_camera() -> Result<()> {
    if cluster::ours().is_none() {
        println!("not run: the cluster is not ours");
        return Ok(());
    }
    with_archive(2, async |archive| {
        let ns = archive.ns;
        let source = recorded_door(archive).await?;
        let former = ns.node_of("door").await?;
        let pods = ns.pods("node").await?;
        let other = pods.iter().find(|pod| **pod != former);
        let other = other.context("two nodes")?;
        // It does not hear that the camera is another's now.
        ns.cut_off(&former).await?;
        let patch = format!(r#"{{"spec": {{"node": "{other}"}}}}"#);
        ns.kubectl(&["patch", "camera", "door", "--type=merge", "-p", &patch])
            .await?;
        eventually(secs(30), "both nodes to have the camera", async || {
            let viewers = source.viewers();
            ensure!(viewers == 2, "{viewers} viewers");
            Ok(())
        })
        .await?;
        let began = Instant::now();
        archive.record_for("door", 4).await?;
        let viewers = source.viewers();
        ensure!(viewers == 2, "it has {viewers} viewers");
        let both = began.elapsed().as_secs_f64();
        ns.reconnect(&former).await?;
        eventually(secs(60), "the former node to let it go", async || {
            let viewers = source.viewers();
            ensure!(viewers == 1, "{viewers} viewers");
            Ok(())
        })
        .await?;
        let let_go = began.elapsed().as_secs_f64() - both;
        archive.record_for("door", 1).await?;
        let footage = archive.footage("door").await?;
        let segments = archive.segments()?;
        let mut epochs: Vec<u64> = segments.iter().map(|(_, epoch)| *epoch).collect();
        let switches = epochs.windows(2).filter(|pair| pair[0] != pair[1]).count();
        epochs.sort_unstable();
        epochs.dedup();
        measured(
            "two nodes have the camera",
            format!(
                "{footage}; {} segments of both, for {both:.1} s and {let_go:.1} s until the former let it go",
                segments.len()
            ),
        );
        // In order of time, segments of the one lie between those of the other.
        ensure!(epochs.len() == 2 && switches >= 3, "{segments:?}");
        footage.expect_whole()
    })
    .await
}
