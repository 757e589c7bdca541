//! The bucket is the truth: its index made again from it alone, compared with it, and footage that goes when its time is over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;
use weir_tests::{
    Context, Result, ensure, eventually,
    line::Lines,
    media_node::{self, MediaNode},
    player,
    s3::Store,
    wait::secs,
};

/// A schedule of all cameras, round the clock. `more` are further lines of its spec.
fn schedule(more: &str) -> String {
    format!(
        "apiVersion: weir.video/v1alpha1\nkind: RecordSchedule\nmetadata: {{name: all}}\nspec:\n  cameras: {{selector: {{}}}}\n  \
         always: true\n{more}"
    )
}

fn recording_node() -> media_node::Builder {
    MediaNode::standalone()
        .file_camera("demo", "h264_aac.mp4", "")
        .argument("--segment-seconds=2")
}

/// The spans of `demo`, in milliseconds.
async fn spans(node: &MediaNode) -> Result<Vec<(i64, i64)>> {
    let (status, text) = node.text("/api/weir/v1/recordings?path=demo").await?;
    ensure!(status == 200, "{status} {text}");
    let listed: Value = serde_json::from_str(&text)?;
    let spans = listed["spans"].as_array().context("spans")?.iter();
    let time = |span: &Value, name: &str| span[name].as_i64().context("a time");
    spans
        .map(|span| Ok((time(span, "startMs")?, time(span, "endMs")?)))
        .collect()
}

async fn until_recorded(node: &MediaNode, seconds: i64) -> Result<()> {
    eventually(secs(40), "footage", async || {
        let length: i64 = spans(node).await?.iter().map(|(start, end)| end - start).sum();
        ensure!(length >= seconds * 1000, "{length} ms");
        Ok(())
    })
    .await
}

/// Runs `media-node index` with the data folder, and gives its findings.
fn index(data: &Path, action: &[&str]) -> Result<(Output, Value)> {
    let mut command = media_node::command()?;
    command.arg("index").arg("--data").arg(data).args(action);
    let output = command.into_std().output()?;
    let found = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output, found))
}

/// The objects of segments, in order.
fn objects(data: &Path) -> Result<Vec<PathBuf>> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, found)?;
            } else {
                found.push(path);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    let segments = data.join("objects/weir/segments");
    if segments.is_dir() {
        walk(&segments, &mut found)?;
    }
    found.sort();
    Ok(found)
}

#[tokio::test]
async fn the_index_is_made_again_from_the_bucket() -> Result<()> {
    let node = recording_node()
        .manifest("rec.yaml", schedule(""))
        .start()
        .await?;
    until_recorded(&node, 6).await?;
    let folder = node.stop().await?;
    let data = folder.path().join("data");

    let (output, found) = index(&data, &["verify", "--deep"])?;
    ensure!(output.status.success(), "{found}");
    let segments = found["segments"].as_u64().context("a number")?;
    ensure!(segments >= 3 && found["listed"] == segments, "{found}");

    // The database is lost, and of one object the metadata.
    for file in ["weir.sqlite", "weir.sqlite-wal", "weir.sqlite-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    let metadata = fs::read_dir(data.join("objects"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".metadata.json"))
        .context("metadata")?;
    fs::remove_file(metadata)?;
    let (output, found) = index(&data, &["rebuild"])?;
    ensure!(output.status.success(), "{found}");
    ensure!(found["listed"] == segments && found["read"] == 1, "{found}");
    let (output, found) = index(&data, &["verify"])?;
    ensure!(output.status.success() && found["listed"] == segments, "{found}");

    // Nothing more is recorded.
    fs::remove_file(folder.path().join("manifests/rec.yaml"))?;
    let node = recording_node().start_in(folder).await?;
    let length: i64 = spans(&node).await?.iter().map(|(start, end)| end - start).sum();
    ensure!(length >= 6000, "{length} ms");
    player::probe(&node.http("/recordings/demo.mp4"), &[], 5.0)
        .await?
        .expect(&["h264", "aac"], 5.0)
}

/// The MediaPool among a standalone node's manifests names the bucket, here as where the node runs.
#[tokio::test]
async fn the_bucket_is_the_one_that_the_pool_names() -> Result<()> {
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    let node = recording_node()
        .manifest("rec.yaml", schedule(""))
        .manifest("pool.yaml", store.pool())
        .manifest("keys.yaml", store.keys())
        .start()
        .await?;
    until_recorded(&node, 6).await?;
    let folder = node.stop().await?;
    let data = folder.path().join("data");
    ensure!(objects(&data)?.is_empty());
    let manifests = folder.path().join("manifests");
    let manifests = manifests.to_str().context("a path")?;
    let given = |action: &'static str| ["--manifests", manifests, action];

    for file in ["weir.sqlite", "weir.sqlite-wal", "weir.sqlite-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    let (output, found) = index(&data, &given("rebuild"))?;
    ensure!(
        output.status.success() && found["listed"].as_u64() >= Some(3),
        "{found}"
    );
    let (output, again) = index(&data, &given("verify"))?;
    ensure!(
        output.status.success() && again["listed"] == found["listed"],
        "{again}"
    );

    // A pool that can't be read is no reason to look elsewhere, and neither is one that can't be used.
    let refused = |file: &str, text: &str| {
        fs::write(Path::new(manifests).join(file), text)?;
        let mut command = media_node::command()?;
        command
            .arg("index")
            .arg("--data")
            .arg(&data)
            .args(given("verify"));
        let output = command.into_std().output()?;
        ensure!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let said = refused("pool.yaml", &store.pool().replace("bucket:", "pail:"))?;
    ensure!(said.contains("pool.yaml"), "{said}");
    let said = refused(
        "pool.yaml",
        &store.pool().replace("secretName: store", "secretName: other"),
    )?;
    ensure!(said.contains("other") && !said.contains(store.secret()), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_the_bucket_is_said_and_the_rest_plays() -> Result<()> {
    let node = recording_node()
        .manifest("rec.yaml", schedule(""))
        .start()
        .await?;
    until_recorded(&node, 9).await?;
    let folder = node.stop().await?;
    let data = folder.path().join("data");
    let found = objects(&data)?;
    let (gone, cut) = (&found[1], &found[2]);
    fs::remove_file(gone)?;
    let bytes = fs::metadata(cut)?.len();
    fs::File::options().write(true).open(cut)?.set_len(bytes - 100)?;
    fs::write(data.join("objects/weir/segments/holiday.mp4"), "not ours")?;

    let (output, found) = index(&data, &["verify"])?;
    ensure!(output.status.code() == Some(1), "{:?}", output.status);
    ensure!(found["foreign"][0] == "segments/holiday.mp4", "{found}");
    let problems = found["problems"].as_array().context("problems")?;
    let said = |of: &Path, what: &str| {
        let name = of.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let about = |problem: &&Value| problem["key"].as_str().is_some_and(|key| key.ends_with(name));
        let text = problems
            .iter()
            .find(about)
            .and_then(|problem| problem["what"].as_str());
        text.is_some_and(|text| text.contains(what))
    };
    ensure!(
        problems.len() == 2 && said(gone, "not in the bucket") && said(cut, "cut short"),
        "{found}"
    );

    fs::remove_file(folder.path().join("manifests/rec.yaml"))?;
    let node = recording_node().start_in(folder).await?;
    let seen = player::probe(&node.http("/recordings/demo.mp4"), &[], 60.0).await?;
    ensure!(
        seen.packets("video").len() >= 100,
        "{}",
        seen.packets("video").len()
    );
    ensure!(node.metric("weir_playback_missing_segments_total").await? >= 2.0);
    Ok(())
}

#[tokio::test]
async fn footage_goes_when_its_time_is_over() -> Result<()> {
    let node = recording_node()
        .manifest("rec.yaml", schedule("  retention: {size: 1Ki}\n"))
        .start()
        .await?;
    // Less than a segment is kept: each goes once the round comes that looks for it.
    until_recorded(&node, 4).await?;
    eventually(secs(80), "old footage to go", async || {
        ensure!(node.metric("weir_retention_segments_total").await? >= 2.0);
        let left = objects(&node.data())?.len();
        let listed: i64 = spans(&node).await?.iter().map(|(start, end)| end - start).sum();
        ensure!(left <= 4 && listed <= 10_000, "{left} objects, {listed} ms");
        Ok(())
    })
    .await
}
