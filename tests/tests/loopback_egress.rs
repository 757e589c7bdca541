//! Every way out of one stream, with players that are not ours.

use weir_tests::{
    Context, Result, browser,
    camera::{Auth, Camera, Make},
    ensure, eventually,
    manifest::rtsp_camera,
    media_node::MediaNode,
    player,
    wait::secs,
};

/// A node with a camera `a/Door` (H.264, AAC) and a camera `h265` (H.265, AAC), both from files.
async fn node() -> Result<MediaNode> {
    let node = MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "  path: a/Door\n")
        .file_camera("h265", "h265_aac.mp4", "")
        .start()
        .await?;
    node.until_ready("door").await?;
    node.until_ready("h265").await?;
    Ok(node)
}

#[tokio::test]
async fn rtsp_over_tcp_and_udp() -> Result<()> {
    let node = node().await?;
    for transport in ["tcp", "udp"] {
        // A path means the same whatever its case.
        for path in ["a/Door", "a/door"] {
            player::probe_rtsp(&node.rtsp(path), transport, 3.0)
                .await?
                .expect(&["h264", "aac"], 3.0)?;
        }
        player::probe_rtsp(&node.rtsp("h265"), transport, 3.0)
            .await?
            .expect(&["hevc", "aac"], 3.0)?;
        let complaints = player::decode(&node.rtsp("a/door"), &["-rtsp_transport", transport], 3.0).await?;
        ensure!(complaints.is_empty(), "{transport}: {complaints}");
    }
    Ok(())
}

#[tokio::test]
async fn http_flv() -> Result<()> {
    let node = node().await?;
    // The RTSP port takes HTTP as well.
    let shared = format!("http://127.0.0.1:{}/streams/a/Door.flv", node.port("rtsp"));
    for url in [
        node.http("/streams/a/Door.flv"),
        node.http("/streams/a/door.flv"),
        shared,
    ] {
        let seen = player::probe(&url, &[], 3.0).await?;
        seen.expect(&["h264", "aac"], 3.0)?;
        ensure!(seen.size()? == (1280, 720), "{:?}", seen.size());
        let complaints = player::decode(&url, &[], 3.0).await?;
        ensure!(complaints.is_empty(), "{complaints}");
    }
    let reply = node.get("/streams/a/door.flv").await?;
    ensure!(
        reply.headers()["content-type"] == "video/x-flv",
        "{:?}",
        reply.headers()
    );
    ensure!(
        reply.headers()["access-control-allow-origin"] == "*",
        "{:?}",
        reply.headers()
    );
    Ok(())
}

/// The tags of an FLV file: type, time in milliseconds, content.
fn tags(flv: &[u8]) -> Result<Vec<(u8, u32, &[u8])>> {
    ensure!(flv.starts_with(b"FLV\x01"), "no FLV");
    let mut rest = flv.get(13..).context("a header")?;
    let mut tags = Vec::new();
    // The last may be cut off.
    while let Some(head) = rest.get(..11) {
        let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let time = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let Some(content) = rest.get(11..11 + length) else {
            break;
        };
        let Some(back) = rest.get(11 + length..15 + length) else {
            break;
        };
        ensure!(
            back == (11 + length as u32).to_be_bytes(),
            "a tag tells another length behind it"
        );
        tags.push((head[0], time, content));
        rest = &rest[15 + length..];
    }
    Ok(tags)
}

/// ffmpeg of Debian 12 knows no H.265 in FLV, so the bytes are looked at: codec 12, as in players of web pages.
#[tokio::test]
async fn flv_of_h265() -> Result<()> {
    let node = node().await?;
    let flv = player::web_socket(&node.ws("/streams/h265.flv"), secs(3))
        .await?
        .concat();
    let tags = tags(&flv)?;
    let pictures: Vec<_> = tags.iter().filter(|t| t.0 == 9).collect();
    ensure!(pictures.len() > 60, "{} pictures in 3 s", pictures.len());
    // A keyframe of codec 12 that is a configuration record (ISO/IEC 14496-15 section 8.3.3), then one with pictures.
    let record = pictures[0].2;
    ensure!(
        record.starts_with(&[0x1c, 0, 0, 0, 0, 1]),
        "{:x?}",
        &record[..record.len().min(16)]
    );
    ensure!(
        pictures[1].2.starts_with(&[0x1c, 1]),
        "the first picture is no keyframe"
    );
    for picture in &pictures[1..] {
        ensure!(
            picture.2[0] & 0x0f == 12 && picture.2[1] == 1,
            "{:x?}",
            &picture.2[..5]
        );
        // NAL units behind their lengths fill it.
        let mut units = &picture.2[5..];
        while let Some((length, rest)) = units.split_first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            ensure!(length <= rest.len(), "a NAL unit is longer than its tag");
            units = &rest[length..];
        }
        ensure!(units.is_empty(), "{} bytes are left", units.len());
    }
    let sound: Vec<_> = tags.iter().filter(|t| t.0 == 8).collect();
    ensure!(sound.len() > 60, "{} tags of sound in 3 s", sound.len());
    for kind in [pictures, sound] {
        for pair in kind.windows(2) {
            ensure!(pair[1].1 >= pair[0].1, "{} after {}", pair[1].1, pair[0].1);
        }
    }
    Ok(())
}

#[tokio::test]
async fn web_socket_flv() -> Result<()> {
    let node = node().await?;
    for prefix in ["/streams", "/ws"] {
        let url = node.ws(&format!("{prefix}/a/Door.flv"));
        player::probe_web_socket(&url, node.folder(), 3.0)
            .await?
            .expect(&["h264", "aac"], 3.0)?;
    }
    Ok(())
}

#[tokio::test]
async fn hls_in_transport_stream() -> Result<()> {
    let node = node().await?;
    let url = node.http("/streams/a/Door.m3u8");
    let playlist = eventually(secs(60), "a playlist", async || {
        let (status, text) = node.text("/streams/a/Door.m3u8").await?;
        ensure!(status == 200, "{status} {text}");
        Ok(text)
    })
    .await?;
    ensure!(playlist.starts_with("#EXTM3U"), "{playlist}");
    let segment = playlist
        .lines()
        .find(|l| !l.is_empty() && !l.starts_with('#'))
        .context("a segment")?;
    ensure!(
        segment.starts_with("/streams/a/") && segment.split(['.', '?']).nth(1) == Some("ts"),
        "{segment}"
    );
    let reply = node.get(segment).await?;
    ensure!(
        reply.status() == 200 && reply.headers()["content-type"] == "video/mp2ts",
        "{reply:?}"
    );
    let length = reply.content_length().context("a length")?;
    ensure!(reply.bytes().await?.len() as u64 == length, "cut short");

    // Over three segments, so that their seams are seen too.
    player::probe(&url, &[], 9.0)
        .await?
        .expect(&["h264", "aac"], 9.0)?;
    let complaints = player::decode(&url, &[], 9.0).await?;
    ensure!(complaints.is_empty(), "{complaints}");
    Ok(())
}

#[tokio::test]
async fn hls_in_fragments_for_h265() -> Result<()> {
    let node = node().await?;
    let url = node.http("/streams/h265.m3u8");
    let playlist = eventually(secs(60), "a playlist", async || {
        let (status, text) = node.text("/streams/h265.m3u8").await?;
        ensure!(status == 200, "{status} {text}");
        Ok(text)
    })
    .await?;
    ensure!(playlist.contains("#EXT-X-MAP"), "no init segment: {playlist}");
    player::probe(&url, &[], 9.0)
        .await?
        .expect(&["hevc", "aac"], 9.0)?;
    let complaints = player::decode(&url, &[], 9.0).await?;
    ensure!(complaints.is_empty(), "{complaints}");
    Ok(())
}

#[tokio::test]
async fn hls_numbers_never_go_back() -> Result<()> {
    let number = async |node: &MediaNode| {
        eventually(secs(60), "a playlist", async || {
            let (status, text) = node.text("/streams/door.m3u8").await?;
            ensure!(status == 200, "{status} {text}");
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))
                .context("a number")?;
            Ok(line.trim().parse::<u64>()?)
        })
        .await
    };
    let node = MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "")
        .start()
        .await?;
    let before = number(&node).await?;
    let folder = node.stop().await?;
    let node = MediaNode::standalone().start_in(folder).await?;
    let after = number(&node).await?;
    ensure!(after > before, "{before}, then {after} after a restart");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_not_there() -> Result<()> {
    let node = node().await?;
    for path in [
        "/streams/none.flv",
        "/streams/none.m3u8",
        "/streams/none/1.ts",
        "/streams/a/door.mp3",
    ] {
        let (status, text) = node.text(path).await?;
        ensure!(status == 404, "{path}: {status} {text}");
    }
    let refused = player::probe_rtsp(&node.rtsp("none"), "tcp", 0.5).await;
    ensure!(
        refused.is_err_and(|e| e.to_string().contains("404")),
        "RTSP let it in"
    );
    Ok(())
}

#[tokio::test]
async fn a_viewer_begins_at_once_with_a_keyframe() -> Result<()> {
    // 2 s lie between two keyframes. Who joins in the middle must not wait for the next one.
    let node = node().await?;
    for (url, options) in [
        (node.rtsp("a/door"), ["-rtsp_transport", "tcp"].as_slice()),
        (node.http("/streams/a/door.flv"), &[]),
    ] {
        for _ in 0..4 {
            let seen = player::probe(&url, options, 0.4).await?;
            ensure!(
                seen.packets("video").first().is_some_and(|p| p.keyframe),
                "{url}: no keyframe first"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn many_viewers_of_all_kinds_at_once() -> Result<()> {
    let node = node().await?;
    let mut tasks = Vec::new();
    for i in 0..16 {
        let (rtsp, flv) = (node.rtsp("a/door"), node.http("/streams/a/door.flv"));
        tasks.push(tokio::spawn(async move {
            match i % 3 {
                0 => player::probe_rtsp(&rtsp, "tcp", 4.0).await,
                1 => player::probe_rtsp(&rtsp, "udp", 4.0).await,
                _ => player::probe(&flv, &[], 4.0).await,
            }
        }));
    }
    for (i, task) in tasks.into_iter().enumerate() {
        let seen = task.await??;
        if i % 3 == 1 {
            // A player that isn't on a processor for a while loses datagrams in its own socket.
            seen.expect_begin(&["h264", "aac"])?;
            let pictures = seen.packets("video").len();
            ensure!(pictures >= 40, "{pictures} pictures in 4 s over UDP");
        } else {
            seen.expect(&["h264", "aac"], 4.0)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn sound_that_a_form_cannot_carry_is_left_out() -> Result<()> {
    // Documented: http-flv carries AAC only, other audio is left out.
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("a.yaml", rtsp_camera("g", camera.url("g711"), ""))
        .start()
        .await?;
    node.until_ready("g").await?;
    player::probe(&node.http("/streams/g.flv"), &[], 3.0)
        .await?
        .expect(&["h264"], 3.0)
}

#[tokio::test]
async fn it_plays_in_other_peoples_pages() -> Result<()> {
    let node = node().await?;
    for (engine, url) in [
        ("hls", node.http("/streams/a/door.m3u8")),
        ("flv", node.http("/streams/a/door.flv")),
        ("flv", node.ws("/streams/a/door.flv")),
    ] {
        let watched = browser::play(engine, &url, 3.0).await?;
        watched.expect(3.0).with_context(|| url.clone())?;
        ensure!(
            (watched.width, watched.height) == (1280, 720),
            "{url}: {watched:?}"
        );
        ensure!(watched.errors.is_empty(), "{url}: {:?}", watched.errors);
    }
    Ok(())
}
