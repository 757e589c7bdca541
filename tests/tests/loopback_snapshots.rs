//! Pictures of cameras: those that a schedule wants, those that somebody asks for, and what goes on without an ffmpeg.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use reqwest::StatusCode;
use tokio::process::Command;
use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make},
    ensure, eventually,
    manifest::rtsp_camera,
    media_node::{Builder, MediaNode},
    player::shape,
    process::output,
    setup,
    wait::secs,
};

const CLIP: &str = "h264_aac.mp4";

/// Records the camera `cam` in segments of two seconds, with a picture each second.
fn builder(camera: &Camera) -> Builder {
    MediaNode::standalone()
        .argument("--segment-seconds")
        .argument("2")
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest(
            "always.yaml",
            "apiVersion: weir.video/v1alpha1\nkind: RecordSchedule\nmetadata: {name: always}\n\
             spec: {cameras: {names: [cam]}, always: true, snapshotInterval: 1s}\n",
        )
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Files whose names end so, anywhere in a folder.
fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, end)?);
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The picture that a request is answered with.
async fn picture(node: &MediaNode, path: &str) -> Result<(u32, u32)> {
    let reply = node.get(path).await?;
    let status = reply.status();
    ensure!(
        status == StatusCode::OK,
        "{path}: {status} {}",
        reply.text().await?
    );
    ensure!(
        reply.headers()["content-type"] == "image/jpeg",
        "{:?}",
        reply.headers()
    );
    let file = node.folder().join("picture.jpg");
    fs::write(&file, reply.bytes().await?)?;
    let (codec, width, height) = shape(&file).await?;
    ensure!(codec == "mjpeg", "{codec}");
    Ok((width, height))
}

/// Processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|child| {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            let parent = stat
                .rsplit(')')
                .next()
                .and_then(|rest| rest.split_whitespace().nth(1));
            parent == Some(pid.to_string().as_str())
        })
        .collect()
}

#[tokio::test]
async fn pictures_are_stored_every_so_often() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let (_, width, height) = shape(&setup::clip(CLIP).await?).await?;
    let begun = now_ms();
    let node = builder(&camera).start().await?;
    let folder = node.data().join("objects/weir/snapshots");
    let stored = eventually(secs(40), "four snapshots", async || {
        let stored = files(&folder, ".jpg")?;
        ensure!(stored.len() >= 4, "{stored:?}");
        Ok(stored)
    })
    .await?;
    for file in &stored {
        ensure!(
            shape(file).await? == ("mjpeg".to_owned(), width, height),
            "{}",
            file.display()
        );
        // Each is named after when it was seen.
        let name = file.file_stem().context("a name")?.to_string_lossy();
        let at: i64 = name.parse()?;
        ensure!((begun - 5000..=now_ms()).contains(&at), "{}", file.display());
        let day = output(
            Command::new("date").args(["-u", "+%Y/%m/%d", "-d", &format!("@{}", at / 1000)]),
            secs(5),
        )
        .await?;
        ensure!(
            file.parent().context("a folder")?.ends_with(day.trim()),
            "{} is not of {day}",
            file.display()
        );
    }
    let (_, metrics) = node.text("/metrics").await?;
    ensure!(
        metrics.contains(r#"weir_snapshots_total{result="stored"}"#),
        "{metrics}"
    );
    // Without a schedule that wants them, no more are taken.
    node.delete("always.yaml")?;
    eventually(secs(20), "the last snapshot", async || {
        let before = files(&folder, ".jpg")?.len();
        tokio::time::sleep(secs(3)).await;
        let now = files(&folder, ".jpg")?.len();
        ensure!(before == now, "{before} have become {now}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_picture_is_made_of_any_time() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let (_, width, height) = shape(&setup::clip(CLIP).await?).await?;
    let node = builder(&camera).start().await?;
    node.until_ready("cam").await?;
    ensure!(picture(&node, "/recordings/cam.jpg").await? == (width, height));
    let small = picture(&node, "/recordings/cam.jpg?w=160&h=160").await?;
    ensure!(small.0 == 160 && small.1 <= 160, "{small:?}");
    let low = picture(&node, "/recordings/cam.jpg?h=90").await?;
    ensure!(low.1 == 90, "{low:?}");
    let larger = picture(&node, "/recordings/cam.jpg?w=1920&h=1920").await?;
    ensure!(larger == (width, height), "{larger:?}");

    // One of a time that is stored.
    let segment = eventually(secs(40), "two stored segments", async || {
        let stored = files(&node.data().join("objects/weir/segments"), ".mp4")?;
        ensure!(stored.len() >= 2, "{stored:?}");
        Ok(stored[1].clone())
    })
    .await?;
    let name = segment.file_name().context("a name")?.to_string_lossy();
    let start: i64 = name.split('-').next().context("a time")?.parse()?;
    for at in [start, start + 1, start + 700, start - 1] {
        let seen = eventually(secs(20), "a picture", async || {
            picture(&node, &format!("/recordings/cam.jpg?at={at}&w=320")).await
        })
        .await?;
        ensure!(seen.0 == width.min(320), "{seen:?} at {at}");
    }
    for (path, status) in [
        ("/recordings/cam.jpg?at=1000", 404),
        ("/recordings/nobody.jpg", 404),
        ("/recordings/cam.jpg?at=yesterday", 400),
        ("/recordings/cam.jpg?w=0", 400),
        ("/recordings/cam.jpg?w=1921", 400),
        ("/recordings/cam.jpg?h=-1", 400),
        ("/recordings/cam.jpg?w=9&h=99999", 400),
        ("/recordings/cam.png", 404),
    ] {
        let (found, text) = node.text(path).await?;
        ensure!(found.as_u16() == status, "{path}: {found} {text}");
    }

    // When the camera is gone, what was seen last.
    node.delete("always.yaml")?;
    let mut camera = camera;
    camera.unplug().await?;
    eventually(secs(40), "the camera to be missed", async || {
        let state = node.camera("cam").await?;
        ensure!(state["ready"] != true, "{state}");
        Ok(())
    })
    .await?;
    ensure!(picture(&node, "/recordings/cam.jpg").await? == (width, height));
    Ok(())
}

#[tokio::test]
async fn whoever_may_not_watch_sees_no_picture() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = builder(&camera).protected().start().await?;
    node.until_ready("cam").await?;
    for path in [
        "/recordings/cam.jpg",
        "/recordings/cam.jpg?at=0",
        "/recordings/nobody.jpg",
    ] {
        let (status, text) = node.text(path).await?;
        ensure!(status == StatusCode::UNAUTHORIZED, "{path}: {status} {text}");
    }
    let token = node.login().await?.access;
    picture(&node, &format!("/recordings/cam.jpg?token={token}&w=64")).await?;
    Ok(())
}

#[tokio::test]
async fn without_an_ffmpeg_all_else_works() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = builder(&camera)
        .argument("--ffmpeg")
        .argument("/nowhere/ffmpeg")
        .start()
        .await?;
    node.until_ready("cam").await?;
    let log = node.log();
    ensure!(
        log.contains("no pictures can be made") && log.contains("/nowhere/ffmpeg is no program"),
        "{log}"
    );
    eventually(secs(40), "stored segments", async || {
        let stored = files(&node.data().join("objects/weir/segments"), ".mp4")?;
        ensure!(stored.len() >= 2, "{stored:?}");
        Ok(())
    })
    .await?;
    eventually(secs(20), "a snapshot to be missed", async || {
        let (_, metrics) = node.text("/metrics").await?;
        ensure!(
            metrics.contains(r#"weir_snapshots_total{result="missing"}"#),
            "{metrics}"
        );
        Ok(())
    })
    .await?;
    ensure!(files(&node.data().join("objects/weir/snapshots"), "")?.is_empty());
    let (status, text) = node.text("/recordings/cam.jpg").await?;
    ensure!(
        status == StatusCode::SERVICE_UNAVAILABLE && text.contains("ffmpeg"),
        "{status} {text}"
    );
    let (status, _) = node.text("/recordings/cam.m3u8").await?;
    ensure!(status == StatusCode::OK, "{status}");
    // It is said once, not each second.
    tokio::time::sleep(secs(3)).await;
    let times = node.log().matches("a snapshot is missing").count();
    ensure!(times == 1, "said {times} times:\n{}", node.log());
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_a_worker_that_hangs() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let folder = tempfile::tempdir()?;
    let hanging = folder.path().join("ffmpeg");
    fs::write(&hanging, "#!/bin/sh\nexec sleep 300\n")?;
    fs::set_permissions(&hanging, fs::Permissions::from_mode(0o755))?;
    let mut node = builder(&camera)
        .argument("--ffmpeg")
        .argument(&hanging.to_string_lossy())
        .start()
        .await?;
    let pid = node.process().pid();
    let workers = eventually(secs(40), "a worker", async || {
        let workers = children(pid);
        ensure!(!workers.is_empty(), "none");
        Ok(workers)
    })
    .await?;
    // It costs nobody else anything: what is recorded is stored meanwhile.
    eventually(secs(40), "stored segments", async || {
        let stored = files(&node.data().join("objects/weir/segments"), ".mp4")?;
        ensure!(stored.len() >= 2, "{stored:?}");
        Ok(())
    })
    .await?;
    eventually(secs(30), "a worker to be given up", async || {
        let (_, metrics) = node.text("/metrics").await?;
        ensure!(
            metrics.contains(r#"weir_snapshots_total{result="late"}"#),
            "{metrics}"
        );
        Ok(())
    })
    .await?;
    ensure!(
        workers.iter().all(|worker| !children(pid).contains(worker)),
        "{workers:?} outlive their deadline"
    );
    let last = eventually(secs(40), "another worker", async || {
        let workers = children(pid);
        ensure!(!workers.is_empty(), "none");
        Ok(workers)
    })
    .await?;
    let status = node.interrupt().await?;
    ensure!(status.success(), "{status}");
    for worker in last {
        ensure!(
            !Path::new("/proc").join(worker.to_string()).exists(),
            "{worker} is left"
        );
    }
    Ok(())
}
