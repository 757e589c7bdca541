//! MPEG transport streams over HTTP and WebSocket, with players that are not ours.

use weir_tests::{Context, Result, browser, ensure, eventually, media_node::MediaNode, player, wait::secs};

/// A node with a camera `a/Door` (H.264, AAC), a camera `h265` (H.265, AAC), and one whose path looks a little like a segment
/// of the first.
async fn node() -> Result<MediaNode> {
    let node = MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "  path: a/Door\n")
        .file_camera("h265", "h265_aac.mp4", "")
        .file_camera("seven", "h264_other.mp4", "  path: a/Door/7\n")
        .start()
        .await?;
    for camera in ["door", "h265", "seven"] {
        node.until_ready(camera).await?;
    }
    Ok(node)
}

#[tokio::test]
async fn ffmpeg_plays() -> Result<()> {
    let node = node().await?;
    // The RTSP port takes HTTP as well.
    let shared = format!("http://127.0.0.1:{}/streams/a/Door.ts", node.port("rtsp"));
    for url in [node.http("/streams/a/door.ts"), shared] {
        let seen = player::probe(&url, &[], 3.0).await?;
        seen.expect(&["h264", "aac"], 3.0)?;
        ensure!(seen.size()? == (1280, 720), "{:?}", seen.size());
        ensure!(seen.complaints.is_empty(), "{}", seen.complaints);
    }
    let (h264, h265) = (node.http("/streams/a/door.ts"), node.http("/streams/h265.ts"));
    // Over five keyframes.
    let (h264, h265) = tokio::try_join!(player::decode(&h264, &[], 10.0), player::decode(&h265, &[], 10.0))?;
    ensure!(h264.is_empty() && h265.is_empty(), "{h264} {h265}");
    player::probe(&node.http("/streams/h265.ts"), &[], 3.0)
        .await?
        .expect(&["hevc", "aac"], 3.0)
}

#[tokio::test]
async fn gstreamer_plays() -> Result<()> {
    let node = node().await?;
    let counts = player::gstreamer("ts", &node.http("/streams/a/door.ts"), 100).await?;
    ensure!(counts["audio"].as_u64() > Some(20), "{counts}");
    Ok(())
}

#[tokio::test]
async fn web_pages_play() -> Result<()> {
    let node = node().await?;
    for url in [node.http("/streams/a/door.ts"), node.ws("/ws/a/door.ts")] {
        let watched = browser::play("mpegts", &url, 3.0).await?;
        watched.expect(3.0).with_context(|| url.clone())?;
        ensure!(
            (watched.width, watched.height) == (1280, 720),
            "{url}: {watched:?}"
        );
        ensure!(watched.errors.is_empty(), "{url}: {:?}", watched.errors);
    }
    for prefix in ["/streams", "/ws"] {
        let url = node.ws(&format!("{prefix}/a/Door.ts"));
        player::probe_web_socket(&url, node.folder(), 3.0)
            .await?
            .expect(&["h264", "aac"], 3.0)?;
    }
    Ok(())
}

#[tokio::test]
async fn it_begins_at_once_with_a_keyframe() -> Result<()> {
    // 2 s lie between two keyframes. Who joins in the middle must not wait for the next one.
    let node = node().await?;
    let url = node.http("/streams/a/door.ts");
    let client = reqwest::Client::builder().no_proxy().build()?;
    for _ in 0..4 {
        let mut reply = client.get(&url).send().await?;
        ensure!(
            reply.headers()["content-type"] == "video/mp2t",
            "{:?}",
            reply.headers()
        );
        ensure!(
            reply.headers()["access-control-allow-origin"] == "*",
            "{:?}",
            reply.headers()
        );
        let first = tokio::time::timeout(secs(1), reply.chunk()).await??;
        let first = first.context("bytes")?;
        // PAT, PMT, and the beginning of a picture where decoding can begin.
        let pid = |packet: usize| {
            let head = first.get(188 * packet..188 * packet + 6)?;
            (head[0] == 0x47).then(|| (u16::from_be_bytes([head[1] & 0x1f, head[2]]), head[5] & 0x40 != 0))
        };
        ensure!(pid(0).is_some_and(|(pid, _)| pid == 0), "no PAT first");
        ensure!(pid(1).is_some_and(|(pid, _)| pid == 0x1000), "no PMT then");
        ensure!(pid(2) == Some((0x100, true)), "no keyframe then: {:?}", pid(2));
    }
    eventually(secs(20), "nobody to be counted any more", async || {
        let (_, text) = node.text("/metrics").await?;
        ensure!(text.contains("weir_viewers{protocol=\"http-ts\"} 0\n"), "{text}");
        Ok(())
    })
    .await?;
    let (_, text) = node.text("/metrics").await?;
    ensure!(
        text.contains("weir_viewers_total{protocol=\"http-ts\"} 4\n"),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn segments_are_segments() -> Result<()> {
    let node = node().await?;
    let playlist = eventually(secs(30), "a playlist", async || {
        let (status, text) = node.text("/streams/a/door.m3u8").await?;
        ensure!(status == 200, "{status} {text}");
        Ok(text)
    })
    .await?;
    let segment = playlist
        .lines()
        .find(|l| l.starts_with("/streams/a/door/"))
        .context("a segment")?;
    let reply = node.get(segment).await?;
    ensure!(
        reply.status() == 200 && reply.content_length().is_some(),
        "{reply:?}"
    );
    ensure!(reply.headers()["content-type"] == "video/mp2ts", "{reply:?}");
    // A number that no segment has, and one that is the name of a stream.
    let (status, text) = node.text("/streams/a/door/1000000000.ts").await?;
    ensure!(status == 404, "{status} {text}");
    player::probe(&node.http("/streams/a/door/7.ts"), &[], 1.0)
        .await?
        .expect_begin(&["h264", "aac"])?;
    for absent in ["/streams/a/door/8.ts", "/streams/none.ts"] {
        let (status, text) = node.text(absent).await?;
        ensure!(
            status == 404 && text == "404 page not found\n",
            "{absent}: {status} {text}"
        );
    }
    Ok(())
}
