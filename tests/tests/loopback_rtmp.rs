//! RTMP in and out, with publishers, players and servers that are not ours.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};
use weir_tests::{
    Context, Result, camera, ensure, eventually,
    manifest::{publish_camera, route, rtmp_camera},
    media_node::{ADMIN_PASSWORD, MediaNode},
    player, process, setup,
    wait::secs,
};

const BOTH: [&str; 2] = ["h264", "aac"];

/// A node with the cameras `a/door` (H.264) and `h265`, from files.
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
async fn what_is_published_plays_everywhere() -> Result<()> {
    let node = MediaNode::standalone()
        .manifest("gate.yaml", publish_camera("gate", "  path: in/gate\n"))
        .start()
        .await?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    let clip = setup::clip("h264_aac.mp4").await?;
    let token = node.login().await?.access;
    let mut publisher = camera::publish_rtmp(&clip, &node.rtmp(&format!("in/gate?token={token}")))?;
    let status = node.until_ready("gate").await?;
    ensure!(
        status["codec"] == "H264" && status["size"] == "1280x720",
        "{status}"
    );
    for url in [
        node.rtmp("in/gate"),
        node.rtmp("In/Gate"),
        node.rtsp("in/gate"),
        node.http("/streams/in/gate.flv"),
    ] {
        let options: &[&str] = if url.starts_with("rtsp") {
            &["-rtsp_transport", "tcp"]
        } else {
            &[]
        };
        let seen = player::probe(&url, options, 3.0).await?;
        seen.expect(&BOTH, 3.0).with_context(|| url.clone())?;
        let complaints = player::decode(&url, options, 3.0).await?;
        ensure!(complaints.is_empty(), "{url}: {complaints}");
    }
    let hls = node.http("/streams/in/gate.m3u8");
    player::probe(&hls, &[], 6.0).await?.expect(&BOTH, 6.0)?;

    publisher.stop(secs(5)).await?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    eventually(secs(5), "the stream to end", async || {
        let played = player::probe(&node.rtmp("in/gate"), &[], 0.5).await;
        ensure!(played.is_err(), "it can still be played");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_path_may_have_one_segment_and_a_password_may_be_shown() -> Result<()> {
    let node = MediaNode::standalone().protected().start().await?;
    let clip = setup::clip("h264_aac.mp4").await?;
    let login = format!("user=admin&password={ADMIN_PASSWORD}");
    let url = node.rtmp(&format!("gate?{login}"));
    let _publisher = camera::publish_rtmp(&clip, &url)?;
    let seen = eventually(secs(20), "the stream", async || {
        player::probe(&url, &[], 2.0).await
    })
    .await?;
    seen.expect(&BOTH, 2.0)
}

#[tokio::test]
async fn a_newcomer_takes_the_path() -> Result<()> {
    let node = MediaNode::standalone()
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    let token = node.login().await?.access;
    let url = node.rtmp(&format!("gate?token={token}"));
    let mut first = camera::publish_rtmp(&setup::clip("h264_aac.mp4").await?, &url)?;
    node.until_ready("gate").await?;
    let _second = camera::publish_rtmp(&setup::clip("h264_other.mp4").await?, &url)?;
    first.ended(secs(20)).await?;
    eventually(secs(20), "the second publisher's stream", async || {
        let seen = player::probe(&node.rtmp("gate"), &[], 1.0).await?;
        ensure!(seen.size()? == (640, 480), "{:?}", seen.size());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn publishing_and_playing_want_the_right() -> Result<()> {
    let node = MediaNode::standalone()
        .protected()
        .environment("WEIR_LOG", "trace") // the most talkative level
        .file_camera("door", "h264_aac.mp4", "")
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    let tokens = node.login().await?;
    let clip = setup::clip("h264_aac.mp4").await?;
    for wrong in [
        String::new(),
        "?token=".to_owned(),
        "?token=0123456789abcdef0123456789abcdef".to_owned(),
        format!("?token={}", tokens.refresh),
        "?user=admin&password=canary-guess-7wVd".to_owned(),
        format!("?user=nobody&password={ADMIN_PASSWORD}"),
    ] {
        let mut publisher = camera::publish_rtmp(&clip, &node.rtmp(&format!("gate{wrong}")))?;
        let status = publisher.ended(secs(15)).await?;
        ensure!(!status.success(), "{wrong:?} could publish");
        let url = node.rtmp(&format!("door{wrong}"));
        ensure!(
            player::probe(&url, &[], 0.5).await.is_err(),
            "{wrong:?} could play"
        );
    }
    let token = &tokens.access;
    player::probe(&node.rtmp(&format!("door?token={token}")), &[], 2.0)
        .await?
        .expect(&BOTH, 2.0)?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    let log = node.log();
    for canary in ["canary-", token, &tokens.refresh] {
        let line = log.lines().find(|l| l.contains(canary));
        ensure!(line.is_none(), "the log tells {canary}: {line:?}");
    }
    Ok(())
}

#[tokio::test]
async fn players_begin_at_once_and_are_listed() -> Result<()> {
    let node = node().await?;
    for _ in 0..3 {
        let seen = player::probe(&node.rtmp("a/door"), &[], 0.4).await?;
        seen.expect_begin(&BOTH)?;
    }
    let refused = player::probe(&node.rtmp("a/none"), &[], 0.5).await;
    ensure!(refused.is_err(), "an unknown stream plays");
    let url = node.rtmp("a/door");
    let watching = (0..8).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { player::probe(&url, &[], 6.0).await })
    });
    let watching: Vec<_> = watching.collect();
    let token = node.login().await?.access;
    eventually(secs(20), "the viewers to be listed", async || {
        let (_, text) = node
            .text(&format!("/api/v1/streams/a/door?token={token}&c=1"))
            .await?;
        ensure!(text.matches("net=rtmp,127.0.0.1:").count() == 8, "{text}");
        Ok(())
    })
    .await?;
    for seen in watching {
        seen.await??.expect(&BOTH, 6.0)?;
    }
    Ok(())
}

#[tokio::test]
async fn gstreamer_plays() -> Result<()> {
    let node = node().await?;
    for element in ["rtmp2src", "rtmpsrc"] {
        let program = setup::sources().join("rtmp-player-gst/rtmp-player-gst");
        let mut command = Command::new(program);
        command.args([element, &node.rtmp("a/door"), "4"]);
        let counts: serde_json::Value =
            serde_json::from_str(&process::output(&mut command, secs(30)).await?)?;
        for kind in ["video", "audio", "picture"] {
            let count = counts[kind].as_u64().context("a count")?;
            ensure!(count >= 60, "{element}: {counts} in 4 s");
        }
    }
    Ok(())
}

/// What a pull can do and ffmpeg 5.1 can't: H.265.
#[tokio::test]
async fn cameras_are_pulled_from_another_node() -> Result<()> {
    let source = node().await?;
    let node = MediaNode::standalone()
        .manifest("a.yaml", rtmp_camera("h264", source.rtmp("a/door"), ""))
        .manifest("b.yaml", rtmp_camera("h265", source.rtmp("h265"), ""))
        .manifest(
            "c.yaml",
            rtmp_camera("mute", source.rtmp("a/door"), "  audio: false\n"),
        )
        .manifest("d.yaml", route("up", "/up/", source.rtmp(""), false))
        .start()
        .await?;
    for (name, codec) in [("h264", "H264"), ("h265", "H265"), ("mute", "H264")] {
        let status = node.until_ready(name).await?;
        ensure!(
            status["source"] == "RTMP" && status["codec"] == codec && status["size"] == "1280x720",
            "{status}"
        );
    }
    for (path, codecs) in [
        ("h264", &["h264", "aac"][..]),
        ("h265", &["hevc", "aac"]),
        ("mute", &["h264"]),
        ("up/a/door", &["h264", "aac"]),
    ] {
        let seen = player::probe_rtsp(&node.rtsp(path), "tcp", 3.0).await?;
        seen.expect(codecs, 3.0).context(path)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_source_that_is_not_ours_is_pulled() -> Result<()> {
    let port = camera::free_port("127.0.0.1")?;
    let url = format!("rtmp://127.0.0.1:{port}/live/door");
    let _server = camera::serve_rtmp(&setup::clip("h264_bframes.mp4").await?, &url)?;
    let node = MediaNode::standalone()
        .manifest("a.yaml", rtmp_camera("door", &url, ""))
        .start()
        .await?;
    let status = node.until_ready("door").await?;
    ensure!(
        status["codec"] == "H264" && status["size"] == "640x360",
        "{status}"
    );
    let seen = player::probe(&node.http("/streams/door.flv"), &[], 3.0).await?;
    seen.expect(&BOTH, 3.0)?;
    let reordered = seen.packets("video").iter().filter(|p| p.pts != p.dts).count();
    ensure!(reordered > 10, "{reordered} pictures out of order");
    Ok(())
}

#[tokio::test]
async fn a_source_that_cannot_be_had_says_why() -> Result<()> {
    let source = MediaNode::standalone().protected().start().await?;
    let open = MediaNode::standalone().start().await?;
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let silent = format!("rtmp://{}/live/door", silent.local_addr()?);
    let nobody = format!("rtmp://127.0.0.1:{}/live/door", camera::free_port("127.0.0.1")?);
    let no_rtmp = open.rtsp("live/door").replace("rtsp://", "rtmp://");
    let node = MediaNode::standalone()
        .manifest("1.yaml", rtmp_camera("denied", source.rtmp("live/door"), ""))
        .manifest("2.yaml", rtmp_camera("missing", open.rtmp("live/door"), ""))
        .manifest("3.yaml", rtmp_camera("nobody", nobody, ""))
        .manifest("4.yaml", rtmp_camera("no-rtmp", no_rtmp, ""))
        .manifest("5.yaml", rtmp_camera("silent", silent, ""))
        .manifest(
            "6.yaml",
            rtmp_camera("tls", open.rtmp("live/door").replace("rtmp", "rtmps"), ""),
        )
        .manifest(
            "7.yaml",
            rtmp_camera("link-local", "rtmp://169.254.1.1/live/door", ""),
        )
        .start()
        .await?;
    for (name, reason) in [
        ("denied", "AuthFailed"),
        ("missing", "NotFound"),
        ("nobody", "Unreachable"),
        ("no-rtmp", "ProtocolError"),
        ("tls", "TlsFailed"),
        ("link-local", "AddressDenied"),
        ("silent", "Unreachable"),
    ] {
        let status = node.until_reason(name, reason).await?;
        let message = status["message"].as_str().unwrap_or("");
        ensure!(message.len() > 15, "a person should be told what to do: {status}");
    }
    Ok(())
}

/// A client's bytes up to the handshake's end, and what comes then.
fn after_handshake(rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    bytes.extend_from_slice(rest);
    bytes
}

/// A chunk with a whole header, on chunk stream 3 and message stream 0.
fn chunk(kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = length.to_be_bytes();
    [&[3, 0, 0, 0, l0, l1, l2, kind, 0, 0, 0, 0][..], body].concat()
}

/// Reads until the other side closes, for `limit` at most. Tells whether it closed.
async fn closes(socket: &mut TcpStream, limit: Duration) -> bool {
    let mut rest = vec![0; 64 * 1024];
    let read = async { while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(limit, read).await.is_ok()
}

#[tokio::test]
async fn peers_that_mean_no_good() -> Result<()> {
    const MIB: u64 = 1024 * 1024;
    let mut node = node().await?;
    let (memory, files) = (node.process().resident_bytes()?, node.process().open_files()?);
    let url = node.rtmp("a/door");
    let watching = tokio::spawn(async move { player::probe(&url, &[], 12.0).await });
    let noise: Vec<u8> = (0..40_000_u32).map(|i| ((i * i) >> 7) as u8).collect();
    let connect = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0";
    let requests = [
        noise.clone(),
        b"GET /streams/a/door.flv HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        vec![6; 10_000],
        after_handshake(&noise),
        // Set Chunk Size: more than can be meant, none, and cut short.
        after_handshake(&chunk(1, 4, &[0x7f, 0xff, 0xff, 0xff])),
        after_handshake(&chunk(1, 4, &[0, 0, 0, 0])),
        after_handshake(&chunk(1, 2, &[0, 0])),
        // A command of 16 MiB, many unfinished messages, nested values.
        after_handshake(&chunk(20, 0xff_ffff, &[0; 128])),
        after_handshake(
            &(2..200)
                .flat_map(|id| {
                    let mut begun = chunk(9, 60_000, &[0; 128]);
                    begun[0] = id & 0x3f;
                    begun
                })
                .collect::<Vec<_>>(),
        ),
        after_handshake(&chunk(20, 120, &[3, 0, 1, b'a'].repeat(30))),
        // A media message before anything else, and a command of nothing but a name.
        after_handshake(&chunk(9, 100, &[0x17; 100])),
        after_handshake(&chunk(20, connect.len() as u32, connect)),
    ];
    let port = node.port("rtmp");
    let all = requests.iter().map(|bytes| async move {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        // It may be closed while we still write.
        let _ = socket.write_all(bytes).await;
        let _ = socket.shutdown().await;
        ensure!(
            closes(&mut socket, secs(20)).await,
            "{:?}… was never let go",
            &bytes[..bytes.len().min(20)]
        );
        Ok(())
    });
    for result in futures::future::join_all(all).await {
        result?;
    }
    // Half-open ones: nothing, half a handshake, a handshake and nothing, half a command.
    let mut open = Vec::new();
    for i in 0..400 {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        let begun = match i % 4 {
            0 => Vec::new(),
            1 => vec![3; 700],
            2 => after_handshake(&[]),
            _ => after_handshake(&chunk(20, 100, connect)),
        };
        socket.write_all(&begun).await?;
        open.push(socket);
    }
    let grown = node.process().resident_bytes()?.saturating_sub(memory);
    ensure!(grown < 64 * MIB, "400 connections cost {grown} bytes");
    player::probe(&node.rtmp("a/door"), &[], 1.0)
        .await?
        .expect(&BOTH, 1.0)?;
    watching.await??.expect(&BOTH, 12.0)?;
    eventually(secs(60), "the node to close them", async || {
        let now = node.process().open_files()?;
        ensure!(now < files + 20, "{now} files are open, {files} were before");
        Ok(())
    })
    .await?;
    ensure!(!node.log().contains("panicked"), "a panic:\n{}", node.log());
    Ok(())
}
