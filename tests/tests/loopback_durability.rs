//! The promise of `docs/durability.md`, row by row: what of a camera's pictures is lost when something fails. The camera's
//! pictures are numbered and it goes on whatever happens, so that each that is missing is counted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};
use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make},
    ensure, eventually,
    footage::{Clip, now_ms, record_for, spans, until_stored},
    line::{Lines, Way},
    manifest::{recorded, rtsp_camera},
    media_node::{Builder, MediaNode, command},
    process::{Process, outcome, output},
    s3::{Store, WRONG, files},
    wait::secs,
};

const CLIP: &str = "h264_aac.mp4";
/// The clips' groups of pictures: what begins anew begins with one.
const GROUP: i64 = 50;
/// What is written to the disk at once, in pictures.
const FRAGMENT: i64 = 25;

/// A node that records a camera in segments of two seconds.
fn recorder(url: &str) -> Builder {
    recorder_of(url, 2)
}

fn recorder_of(url: &str, seconds: u64) -> Builder {
    MediaNode::standalone()
        .argument("--segment-seconds")
        .argument(&seconds.to_string())
        .manifest("cam.yaml", rtsp_camera("cam", url, ""))
        .manifest("always.yaml", recorded("cam"))
}

fn storing(builder: Builder, store: &Store) -> Builder {
    builder
        .manifest("pool.yaml", store.pool())
        .manifest("keys.yaml", store.keys())
}

/// The segments in a part of the spool: `whole`, `open` or `refused`.
fn spooled(data: &Path, part: &str) -> Result<Vec<PathBuf>> {
    let mut all = files(&data.join("spool").join(part), ".mp4")?;
    // What has another name is none.
    all.retain(|file| {
        let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        name.split('-').nth(2).is_some_and(|session| session.len() == 16)
    });
    Ok(all)
}

/// Waits until nothing waits but what is being written.
async fn until_spool_is_empty(node: &MediaNode, limit: u64) -> Result<()> {
    eventually(secs(limit), "the spool to be empty", async || {
        let waiting = spooled(&node.data(), "whole")?;
        ensure!(waiting.len() < 2, "{} segments wait", waiting.len());
        Ok(())
    })
    .await
}

/// Waits until so many segments wait in the spool.
async fn until_spooled(node: &MediaNode, segments: usize) -> Result<()> {
    eventually(secs(25), "segments to wait in the spool", async || {
        let waiting = spooled(&node.data(), "whole")?;
        ensure!(waiting.len() >= segments, "{} segments wait", waiting.len());
        Ok(())
    })
    .await
}

/// Waits until so many bytes of a segment are on the disk, in the middle of it.
async fn until_written(node: &MediaNode, least: u64) -> Result<()> {
    eventually(secs(15), "a segment to be written", async || {
        let open = spooled(&node.data(), "open")?;
        let bytes = open
            .first()
            .and_then(|file| file.metadata().ok())
            .map_or(0, |m| m.len());
        ensure!(bytes > least, "{bytes} bytes are written");
        Ok(())
    })
    .await
}

/// The node tells of the failure, with that word in it.
async fn until_told(node: &MediaNode, word: &str) -> Result<()> {
    eventually(secs(20), &format!("the log to say {word}"), async || {
        ensure!(node.log().contains(word), "it says nothing of the kind");
        Ok(())
    })
    .await
}

/// What `docs/durability.md` quotes; shown by `--no-capture`.
fn measured(fault: &str, what: impl std::fmt::Display) {
    eprintln!("measured: {fault}: {what}");
}

#[tokio::test]
async fn the_node_is_killed() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let node = recorder(&camera.url("h264")).start().await?;
    record_for(&node, "cam", 3).await?;
    until_written(&node, 50_000).await?;
    let killed_ms = now_ms();
    let folder = node.crash().await?;
    let node = recorder(&camera.url("h264")).start_in(folder).await?;
    let begun_ms = now_ms();
    record_for(&node, "cam", 3).await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "SIGKILL",
        format!("{footage}; it was away for {} ms", begun_ms - killed_ms),
    );
    let away = (begun_ms - killed_ms) / 40;
    footage.expect_breaks(1, FRAGMENT + away + GROUP + 25)?;
    let log = node.log();
    ensure!(log.contains("whole again"), "nothing was recovered");
    Ok(())
}

#[tokio::test]
async fn the_node_is_ended() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let node = recorder_of(&camera.url("h264"), 60).start().await?;
    node.until_ready("cam").await?;
    // In the middle of its first segment.
    until_written(&node, 1_000_000).await?;
    let asked_ms = now_ms();
    let folder = node.terminate().await?;
    let took_ms = now_ms() - asked_ms;
    let data = folder.path().join("data");
    let mut left = spooled(&data, "whole")?;
    left.append(&mut spooled(&data, "open")?);
    let notes = files(&data.join("spool"), ".json")?;
    ensure!(
        left.is_empty() && notes.is_empty(),
        "left in the spool: {left:?} {notes:?}"
    );
    let again = MediaNode::standalone()
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest("always.yaml", "")
        .start_in(folder)
        .await?;
    let footage = clip.recorded(&again, "cam").await?;
    let end_ms = spans(&again, "cam").await?.last().context("a span")?.end_ms;
    measured(
        "SIGTERM",
        format!(
            "{footage}; the last picture ends {} ms after it was asked to, which took {took_ms} ms",
            end_ms - asked_ms
        ),
    );
    footage.expect_whole()?;
    ensure!(end_ms > asked_ms - 300, "{} ms are missing", asked_ms - end_ms);
    Ok(())
}

#[tokio::test]
async fn the_object_store_is_down() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    let node = storing(recorder(&camera.url("h264")), &store).start().await?;
    record_for(&node, "cam", 2).await?;
    store.line.cut().await?;
    until_spooled(&node, 4).await?;
    until_told(&node, "can't be reached").await?;
    // It is also ended meanwhile: what waits is stored after the next start.
    let folder = node.stop().await?;
    let waiting = spooled(&folder.path().join("data"), "whole")?.len();
    let node = storing(recorder(&camera.url("h264")), &store)
        .start_in(folder)
        .await?;
    let away_ms = now_ms();
    store.line.mend().await?;
    until_stored(&node, "cam", away_ms + 3000, secs(30)).await?;
    until_spool_is_empty(&node, 20).await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "S3 down, node restarted meanwhile",
        format!("{footage}; {waiting} segments waited"),
    );
    footage.expect_breaks(1, GROUP + 100)?;
    ensure!(
        !node.log().contains(store.secret()),
        "the log has the store's key"
    );
    Ok(())
}

#[tokio::test]
async fn the_object_store_is_slow() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    store
        .line
        .spoil("latency", Way::Back, &json!({"latency": 1500, "jitter": 500}))
        .await?;
    // A tenth more than the camera sends.
    store
        .line
        .spoil("bandwidth", Way::There, &json!({"rate": 300}))
        .await?;
    let node = storing(recorder(&camera.url("h264")), &store).start().await?;
    let at = record_for(&node, "cam", 6).await?;
    let behind = now_ms() - at;
    store.line.heal().await?;
    until_spool_is_empty(&node, 20).await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "S3 slow",
        format!("{footage}; stored {behind} ms after it was recorded"),
    );
    footage.expect_whole()
}

#[tokio::test]
async fn the_object_store_refuses() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    let node = storing(recorder(&camera.url("h264")), &store)
        .manifest("keys.yaml", store.wrong_keys())
        .start()
        .await?;
    until_spooled(&node, 3).await?;
    until_told(&node, "check the keys in the Secret").await?;
    let mended_ms = now_ms();
    node.apply("keys.yaml", &store.keys())?;
    until_spool_is_empty(&node, 25).await?;
    let took = now_ms() - mended_ms;
    record_for(&node, "cam", 1).await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "S3 answers 403",
        format!("{footage}; stored {took} ms after the Secret was mended"),
    );
    footage.expect_whole()?;
    let log = node.log();
    ensure!(
        !log.contains(WRONG) && !log.contains(store.secret()),
        "a key is in the log"
    );
    Ok(())
}

/// A server that answers whatever it is asked that it has too much to do.
async fn overloaded() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 16 << 10];
                let answer = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                if let Ok(1..) = socket.read(&mut request).await {
                    let _ = socket.write_all(answer).await;
                    // What is still being sent is taken, so that the answer is not lost to a reset.
                    while let Ok(1..) = socket.read(&mut request).await {}
                }
            });
        }
    });
    Ok(port)
}

#[tokio::test]
async fn the_object_store_has_faults() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    let node = storing(recorder(&camera.url("h264")), &store).start().await?;
    record_for(&node, "cam", 2).await?;
    store.line.lead_to(overloaded().await?).await?;
    until_spooled(&node, 3).await?;
    until_told(&node, "answered 503").await?;
    store.line.lead_to(store.port()).await?;
    until_spool_is_empty(&node, 20).await?;
    record_for(&node, "cam", 1).await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured("S3 answers 503", &footage);
    footage.expect_whole()
}

#[tokio::test]
async fn an_upload_in_parts_is_cut() -> Result<()> {
    let (clip, camera) = (
        Clip::of("h264_fat.mp4").await?,
        Camera::start(Make::Go, Auth::None).await?,
    );
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    // A part has 8 MiB: each is cut in its middle.
    store
        .line
        .spoil("limit_data", Way::There, &json!({"bytes": 5_000_000}))
        .await?;
    let node = storing(recorder_of(&camera.url("fat"), 5), &store)
        .start()
        .await?;
    until_told(&node, "recordings can't be stored").await?;
    until_spooled(&node, 2).await?;
    ensure!(
        files(&store.bucket().join("segments"), ".mp4")?.is_empty(),
        "half a segment is there"
    );
    store.line.heal().await?;
    until_spool_is_empty(&node, 25).await?;
    let footage = clip.recorded(&node, "cam").await?;
    let largest = files(&store.bucket().join("segments"), ".mp4")?
        .iter()
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .max();
    measured(
        "multipart cut",
        format!("{footage}; the largest object has {largest:?} bytes"),
    );
    ensure!(largest > Some(8 << 20), "no segment has two parts: {largest:?}");
    footage.expect_whole()?;
    // It records on, so that at any one time the next upload may be under way.
    eventually(secs(20), "what was begun to go from the store", async || {
        let left = files(&store.uploads(), "")?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_database_is_away() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let node = recorder(&camera.url("h264")).start().await?;
    record_for(&node, "cam", 2).await?;
    let mut lock = Command::new("python3");
    lock.args([
        "-c",
        "import sqlite3, sys, time\n\
         c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)\n\
         c.execute('BEGIN EXCLUSIVE')\n\
         print('{\"ready\": true}', flush=True)\n\
         time.sleep(600)",
    ]);
    lock.arg(node.data().join("weir.sqlite"));
    let mut lock = Process::start("lock", &mut lock)?;
    lock.ready(secs(20)).await?;
    let locked_ms = now_ms();
    until_told(&node, "the index can't be written to").await?;
    until_spooled(&node, 3).await?;
    // What was listed before can be seen meanwhile.
    clip.recorded(&node, "cam").await?.expect_whole()?;
    lock.kill().await?;
    let locked_ms = now_ms() - locked_ms;
    until_spool_is_empty(&node, 25).await?;
    record_for(&node, "cam", 1).await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "database locked",
        format!("{footage}; it was locked for {locked_ms} ms"),
    );
    footage.expect_whole()
}

/// A disk of its own at a folder, of that size. Needs root, as tests/cluster does. It goes with this value.
struct Disk(PathBuf);

impl Disk {
    async fn mount(at: &Path, mib: u64) -> Result<Self> {
        fs::create_dir_all(at)?;
        let size = format!("size={mib}m");
        output(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                .arg(at),
            secs(10),
        )
        .await?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the node may still have files open there.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[tokio::test]
async fn the_disk_is_full() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    let folder = TempDir::with_prefix("weir-")?;
    let _disk = Disk::mount(&folder.path().join("data/spool"), 16).await?;
    let node = storing(recorder(&camera.url("h264")), &store)
        .start_in(folder)
        .await?;
    record_for(&node, "cam", 2).await?;
    store.line.cut().await?;
    // Some seconds' worth is left.
    let ballast = node.data().join("spool/ballast");
    fs::write(&ballast, vec![0; 13 << 20])?;
    until_told(&node, "the spool is full").await?;
    let dropped_ms = now_ms();
    eventually(secs(20), "more to be dropped", async || {
        let dropped = node.metric("weir_record_dropped_segments_total").await?;
        ensure!(dropped >= 2.0, "{dropped} are dropped");
        Ok(())
    })
    .await?;
    fs::remove_file(&ballast)?;
    store.line.mend().await?;
    until_spool_is_empty(&node, 20).await?;
    record_for(&node, "cam", 1).await?;
    let dropped = node.metric("weir_record_dropped_segments_total").await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "disk full, S3 down",
        format!(
            "{footage}; {dropped} segments dropped within {} ms",
            now_ms() - dropped_ms
        ),
    );
    // The oldest that waited, and nothing else.
    footage.expect_breaks(1, dropped as i64 * GROUP)
}

#[tokio::test]
async fn the_camera_flaps() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let line = lines.to("camera", camera.port()).await?;
    let node = recorder(&format!("rtsp://127.0.0.1:{}/h264", line.port()))
        .start()
        .await?;
    record_for(&node, "cam", 2).await?;
    let flaps = 3;
    for _ in 0..flaps {
        line.cut().await?;
        tokio::time::sleep(secs(1)).await;
        line.mend().await?;
        record_for(&node, "cam", 2).await?;
    }
    // It falls silent for a moment and sends all of it then.
    camera.freeze()?;
    tokio::time::sleep(secs(2)).await;
    camera.thaw()?;
    record_for(&node, "cam", 2).await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "camera cut off three times for a second, frozen for two",
        &footage,
    );
    // A second, up to ten (eight and a quarter) that the node waits before it dials a camera again that has just failed,
    // and up to the next keyframe.
    footage.expect_breaks(flaps, 25 + 250 + GROUP)
}

/// `media-node index`, and what it printed.
async fn index(data: &Path, words: &[&str]) -> Result<(serde_json::Value, String, bool)> {
    let mut command = command()?;
    command.arg("index").arg("--data").arg(data).args(words);
    let (out, err, status) = outcome(&mut command, secs(30)).await?;
    let census = serde_json::from_str(&out).with_context(|| format!("index printed {out} {err}"))?;
    Ok((census, err, status.success()))
}

/// Copies what another node has stored, as if both had the same bucket.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_nodes_record_the_same_camera() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let one = recorder(&camera.url("h264")).start().await?;
    record_for(&one, "cam", 3).await?;
    // The other comes in between, and stays longer.
    let other = recorder(&camera.url("h264")).start().await?;
    record_for(&other, "cam", 5).await?;
    let one = one.stop().await?;
    record_for(&other, "cam", 3).await?;
    let other = other.stop().await?;
    copy_tree(
        &other.path().join("data/objects"),
        &one.path().join("data/objects"),
    )?;
    let (census, _, is_well) = index(&one.path().join("data"), &["rebuild"]).await?;
    ensure!(is_well, "{census}");
    let node = MediaNode::standalone()
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest("always.yaml", "")
        .start_in(one)
        .await?;
    let footage = clip.recorded(&node, "cam").await?;
    measured(
        "two writers",
        format!("{footage}; {} segments of both", census["segments"]),
    );
    footage.expect_whole()
}

#[tokio::test]
async fn objects_are_deleted_and_cut_short() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    let node = storing(recorder(&camera.url("h264")), &store).start().await?;
    record_for(&node, "cam", 13).await?;
    // They have been seen whole, and are remembered.
    clip.recorded(&node, "cam").await?.expect_whole()?;
    let objects = files(&store.bucket().join("segments"), ".mp4")?;
    ensure!(objects.len() >= 6, "{objects:?}");
    fs::remove_file(&objects[1])?;
    fs::File::options()
        .write(true)
        .open(&objects[3])?
        .set_len(100_000)?;
    let span = spans(&node, "cam").await?[0];
    // Who was in the middle of it is told by an answer that breaks off; who asks again gets the rest.
    let footage = eventually(secs(10), "the rest to be shown", async || {
        let footage = clip.recorded(&node, "cam").await?;
        footage.expect_breaks(2, GROUP)?;
        ensure!(footage.breaks().len() == 2, "{footage}");
        Ok(footage)
    })
    .await?;
    measured("an object deleted, another cut short", &footage);
    let playlist = format!("/recordings/cam.m3u8?from={}&to={}", span.start_ms, span.end_ms);
    let (status, text) = node.text(&playlist).await?;
    ensure!(status == StatusCode::OK, "{status} {text}");
    ensure!(text.matches("#EXT-X-DISCONTINUITY\n").count() == 2, "{text}");
    let log = node.log();
    ensure!(log.contains("can't be shown"), "nobody is told");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_in_the_bucket_is_found() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = recorder(&camera.url("h264")).start().await?;
    record_for(&node, "cam", 9).await?;
    let folder = node.stop().await?;
    let data = folder.path().join("data");
    let (census, _, is_well) = index(&data, &["verify", "--deep"]).await?;
    ensure!(is_well && census["problems"] == json!([]), "{census}");
    let objects = files(&data.join("objects/weir/segments"), ".mp4")?;
    ensure!(objects.len() >= 5, "{objects:?}");
    let length = objects[1].metadata()?.len();
    fs::remove_file(&objects[0])?;
    fs::File::options()
        .write(true)
        .open(&objects[1])?
        .set_len(length / 2)?;
    // Two change places.
    let (third, fourth) = (fs::read(&objects[2])?, fs::read(&objects[3])?);
    fs::write(&objects[2], fourth)?;
    fs::write(&objects[3], third)?;
    // And what is not ours.
    let beside = objects[0].parent().context("a folder")?;
    fs::write(beside.join("holiday.mp4"), "none of ours")?;
    fs::write(data.join("objects/weir/segments/README"), "none of ours")?;
    let (census, error, is_well) = index(&data, &["verify", "--deep"]).await?;
    measured("index verify", &census);
    ensure!(!is_well, "nothing is found wrong: {census}");
    let problems = census["problems"].as_array().context("problems")?;
    for (object, what) in [
        (&objects[0], "not in the bucket"),
        (&objects[1], "cut short"),
        (&objects[2], "bytes"),
        (&objects[3], "bytes"),
    ] {
        let name = object.file_name().and_then(|n| n.to_str()).context("a name")?;
        let found = problems.iter().any(|problem| {
            let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            text("key").ends_with(name) && text("what").contains(what)
        });
        ensure!(found, "{name} is {what}: {census}");
    }
    let foreign = census["foreign"].as_array().context("foreign")?;
    ensure!(foreign.len() == 2 && error.contains('4'), "{census} {error}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_in_the_spool_stops_nothing_else() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    store.line.cut().await?;
    let node = storing(recorder(&camera.url("h264")), &store).start().await?;
    until_spooled(&node, 7).await?;
    let folder = node.stop().await?;
    let spool = folder.path().join("data/spool");
    let whole = files(&spool.join("whole"), ".mp4")?;
    let note = |file: &Path| file.with_extension("json");
    let inside = whole[0].parent().context("a folder")?.to_owned();
    // A note that is torn, one that is gone, a segment that is torn, and one that is a folder.
    fs::write(note(&whole[0]), "{\"cameraUid\": \"")?;
    fs::remove_file(note(&whole[1]))?;
    let length = whole[2].metadata()?.len();
    fs::File::options()
        .write(true)
        .open(&whole[2])?
        .set_len(length / 2)?;
    // Files that nobody put there who is ours.
    for name in ["README", "1.mp4", "0-0-0-0.mp4", "../stray.mp4"] {
        fs::write(inside.join(name), "none of ours")?;
    }
    let uid = inside.file_name().context("a name")?.to_owned();
    let open = spool.join("open").join(&uid);
    fs::create_dir_all(&open)?;
    // What another version, or a disk, may have left of a segment that was being written.
    fs::write(open.join("1767603600000-0-00000000000000aa-1.mp4"), vec![7; 5000])?;
    fs::write(open.join("1767603600000-0-00000000000000aa-2.mp4"), "")?;
    fs::write(spool.join("recordings/torn.json"), "{")?;
    let node = storing(recorder(&camera.url("h264")), &store)
        .start_in(folder)
        .await?;
    let begun_ms = now_ms();
    store.line.mend().await?;
    until_stored(&node, "cam", begun_ms + 1000, secs(30)).await?;
    until_spool_is_empty(&node, 20).await?;
    let footage = clip.recorded(&node, "cam").await?;
    let refused = spooled(&node.data(), "refused")?;
    measured(
        "a spool with torn files",
        format!("{footage}; {} refused", refused.len()),
    );
    ensure!(refused.len() >= 2, "what can't be read is kept: {refused:?}");
    let foreign = node.data().join("spool/whole").join(&uid).join("README");
    ensure!(foreign.exists(), "a foreign file is gone");
    // The torn segment, and the time between the two processes.
    footage.expect_breaks(2, GROUP + 100)
}

/// Debian's libfaketime: the node's clock is what a file says, while its timers go on.
const FAKE_TIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[tokio::test]
async fn the_clock_is_set() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let folder = TempDir::with_prefix("weir-")?;
    let offset = folder.path().join("offset");
    fs::write(&offset, "+0s")?;
    let node = recorder(&camera.url("h264"))
        .environment("LD_PRELOAD", FAKE_TIME)
        .environment("FAKETIME_TIMESTAMP_FILE", &offset.to_string_lossy())
        .environment("FAKETIME_NO_CACHE", "1")
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start_in(folder)
        .await?;
    record_for(&node, "cam", 4).await?;
    // An hour forward, and most of it back.
    fs::write(&offset, "+3600s")?;
    until_stored(&node, "cam", now_ms() + 3_600_000 + 3000, secs(25)).await?;
    fs::write(&offset, "+1800s")?;
    let back_ms = now_ms() + 1_800_000;
    eventually(secs(25), "footage between the two", async || {
        let spans = spans(&node, "cam").await?;
        ensure!(spans.len() == 3 && spans[1].end_ms > back_ms + 3000, "{spans:?}");
        Ok(())
    })
    .await?;
    let all = spans(&node, "cam").await?;
    let mut parts = Vec::new();
    for span in &all {
        let url = format!("/recordings/cam.mp4?from={}&to={}", span.start_ms, span.end_ms);
        let footage = clip.pictures(&node.http(&url)).await?;
        footage.expect_whole()?;
        parts.push(footage);
    }
    // Each picture is somewhere, once: the parts follow each other as they were recorded, not as they lie.
    let number = |part: usize, last: bool| {
        let pictures = parts[part].pictures();
        let picture = if last { pictures.last() } else { pictures.first() };
        picture.map(|p| p.number).context("a picture")
    };
    let between = |before: usize, after: usize| -> Result<u64> {
        Ok((number(after, false)? + 300 - number(before, true)? - 1) % 300)
    };
    let missing = [between(0, 2)?, between(2, 1)?];
    measured(
        "clock set an hour forward, then half an hour back",
        format!(
            "{}; {}; {}; missing at the steps: {missing:?}",
            parts[0], parts[2], parts[1]
        ),
    );
    ensure!(missing == [0, 0], "{missing:?}");
    Ok(())
}
