//! VLC's library plays what the README says that VLC plays.

use serde_json::Value;
use tokio::process::Command;
use weir_tests::{Context, Result, ensure, media_node::MediaNode, process, setup, wait::secs};

/// Pictures that have to be decoded: three segments of HLS.
const PICTURES: u64 = 150;

#[tokio::test]
async fn vlc_plays() -> Result<()> {
    let node = MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "")
        .file_camera("h265", "h265_aac.mp4", "")
        .start()
        .await?;
    let mut urls = Vec::new();
    for name in ["door", "h265"] {
        node.until_ready(name).await?;
        urls.push(node.http(&format!("/streams/{name}.m3u8")));
    }
    // Its FLV reader is older than H.265 in FLV.
    urls.push(node.http("/streams/door.flv"));
    urls.push(node.rtmp("door"));
    let all = urls.iter().map(|url| plays(url));
    futures::future::try_join_all(all).await.map(drop)
}

async fn plays(url: &str) -> Result<()> {
    let mut command = Command::new(setup::sources().join("vlc"));
    command.args([url, &PICTURES.to_string(), "40"]);
    let out = process::output(&mut command, secs(60)).await?;
    let seen: Value = serde_json::from_str(&out)?;
    let count = |name: &str| seen[name].as_u64().with_context(|| format!("no {name}: {out}"));
    ensure!(
        seen["playing"] == true && count("pictures")? >= PICTURES && count("sounds")? > 0,
        "{url}: {seen}"
    );
    ensure!(count("corrupted")? == 0, "{url}: {seen}");
    Ok(())
}
