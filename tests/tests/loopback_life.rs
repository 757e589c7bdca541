//! What becomes of a camera over time: it is wrong, it goes away and comes back, its manifest changes, nobody watches it.

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make, PASSWORD, USER, free_port},
    ensure, eventually,
    manifest::{camera, file_camera, pool_that_allows, route, rtsp_camera, rtsp_camera_by, secret},
    media_node::MediaNode,
    player,
    wait::{secs, throughout},
};

/// The camera is not ready for that reason, and a person is told what to do.
async fn says(node: &MediaNode, name: &str, reason: &str) -> Result<()> {
    let status = node.until_reason(name, reason).await?;
    let message = status["message"].as_str().unwrap_or("");
    ensure!(message.len() > 15, "a person should be told what to do: {status}");
    Ok(())
}

#[tokio::test]
async fn each_failure_has_its_reason() -> Result<()> {
    let guarded = Camera::start(Make::Go, Auth::Digest).await?;
    let open = Camera::start(Make::Gst, Auth::None).await?;
    let nobody = format!("rtsp://127.0.0.1:{}/x", free_port("127.0.0.1")?);
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("wrong", USER, "canary-wrong-2mLp"))
        .manifest(
            "1.yaml",
            rtsp_camera(
                "wrong-password",
                guarded.url("h264"),
                "  credentials: {secretName: wrong}\n",
            ),
        )
        .manifest("2.yaml", rtsp_camera("no-password", guarded.url("h264"), ""))
        .manifest(
            "3.yaml",
            rtsp_camera(
                "no-secret",
                guarded.url("h264"),
                "  credentials: {secretName: absent}\n",
            ),
        )
        .manifest("4.yaml", rtsp_camera("no-stream", open.url("absent"), ""))
        .manifest("5.yaml", rtsp_camera("nobody", nobody, ""))
        .manifest("6.yaml", rtsp_camera("no-name", "rtsp://camera.invalid/x", ""))
        .manifest(
            "7.yaml",
            rtsp_camera("off", open.url("h264"), "  enabled: false\n"),
        )
        .manifest(
            "8.yaml",
            camera(
                "later",
                "  source:\n    gb28181: {id: \"34020000001320000001\"}\n",
            ),
        )
        .start()
        .await?;
    for (name, reason) in [
        ("wrong-password", "AuthFailed"),
        ("no-password", "AuthFailed"),
        ("no-secret", "SecretNotFound"),
        ("no-stream", "NotFound"),
        ("nobody", "Unreachable"),
        ("no-name", "Unreachable"),
        ("off", "Disabled"),
        ("later", "UnsupportedSource"),
    ] {
        says(&node, name, reason).await?;
    }
    // A wrong password is not tried again and again at once: cameras lock the account.
    let tries = guarded.log().matches("connected").count();
    ensure!(tries < 12, "{tries} connections to the camera in a few seconds");
    ensure!(
        !node.log().contains("canary-wrong-2mLp"),
        "the password is in the log"
    );
    Ok(())
}

const NOISE: &[u8] = b"\x00\xffno protocol at all\r\n\r\n\x80\x81\r\n\r\n";
const WEB_SERVER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

/// A server that answers whatever it is asked with the same bytes, for as long as the test runs. Gives its URL.
async fn babbler(answer: &'static [u8]) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("rtsp://{}/x", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                while let Ok(1..) = socket.read(&mut request).await {
                    if socket.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(url)
}

#[tokio::test]
async fn a_camera_that_is_not_well_has_its_reason() -> Result<()> {
    let unwell = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("1.yaml", rtsp_camera("jpeg", unwell.url("jpeg"), ""))
        .manifest("2.yaml", rtsp_camera("silent", unwell.url("silent"), ""))
        .manifest("3.yaml", rtsp_camera("reports", unwell.url("reports"), ""))
        .manifest("4.yaml", rtsp_camera("noise", babbler(NOISE).await?, ""))
        .manifest("5.yaml", rtsp_camera("web", babbler(WEB_SERVER).await?, ""))
        .start()
        .await?;
    for (name, reason) in [
        ("jpeg", "UnsupportedCodec"),
        ("noise", "ProtocolError"),
        ("web", "ProtocolError"),
        ("silent", "NoData"),
        ("reports", "NoData"),
    ] {
        says(&node, name, reason).await?;
    }
    Ok(())
}

#[tokio::test]
async fn addresses_are_judged_before_they_are_dialled() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let by_name = source.url("h264").replace("127.0.0.1", "localhost");
    let cameras = || {
        MediaNode::standalone()
            .default_policy()
            .manifest("1.yaml", rtsp_camera("address", source.url("h264"), ""))
            .manifest("2.yaml", rtsp_camera("name", &by_name, ""))
            .manifest(
                "3.yaml",
                rtsp_camera("link-local", "rtsp://169.254.169.254/latest", ""),
            )
    };
    // The policy of a pool, as a cluster has it.
    let node = cameras()
        .manifest("pool.yaml", pool_that_allows("media", &[]))
        .start()
        .await?;
    for name in ["address", "name", "link-local"] {
        node.until_reason(name, "AddressDenied").await?;
    }
    ensure!(
        !source.log().contains("connected"),
        "it was dialled all the same:\n{}",
        source.log()
    );

    // On one machine alone, cameras may well be on it (docs/adr/0008).
    let node = cameras().start().await?;
    node.until_ready("address").await?;
    node.until_ready("name").await?;
    node.until_reason("link-local", "AddressDenied").await?;
    Ok(())
}

#[tokio::test]
async fn unplugged_and_back() -> Result<()> {
    let mut source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("a.yaml", rtsp_camera("door", source.url("h264"), ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    for _ in 0..2 {
        source.unplug().await?;
        let camera = eventually(secs(20), "the loss to be seen", async || {
            let camera = node.camera("door").await?;
            ensure!(camera["ready"] != true, "{camera}");
            Ok(camera)
        })
        .await?;
        ensure!(camera["reason"] != "Ok", "{camera}");
        node.until_reason("door", "Unreachable").await?;
        source.plug_in().await?;
        let begin = Instant::now();
        eventually(secs(40), "the camera to be live again by itself", async || {
            let camera = node.camera("door").await?;
            ensure!(camera["ready"] == true, "{camera}");
            Ok(())
        })
        .await?;
        println!("live again after {:?}", begin.elapsed());
        player::probe_rtsp(&node.rtsp("door"), "tcp", 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_camera_that_falls_silent_is_noticed() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("tcp.yaml", rtsp_camera_by("tcp", source.url("h264"), "Tcp", ""))
        .manifest("udp.yaml", rtsp_camera_by("udp", source.url("h264"), "Udp", ""))
        .start()
        .await?;
    node.until_ready("tcp").await?;
    node.until_ready("udp").await?;
    // No connection is closed: nothing tells that the camera is gone but that nothing comes.
    source.freeze()?;
    for name in ["tcp", "udp"] {
        eventually(secs(45), "the silence to be noticed", async || {
            let camera = node.camera(name).await?;
            ensure!(camera["ready"] != true, "{camera}");
            Ok(())
        })
        .await?;
    }
    source.thaw()?;
    for name in ["tcp", "udp"] {
        eventually(secs(45), "the camera to be live again by itself", async || {
            let camera = node.camera(name).await?;
            ensure!(camera["ready"] == true, "{camera}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn manifests_are_read_again() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone().start().await?;

    node.apply("a.yaml", &rtsp_camera("door", source.url("h264"), ""))?;
    let camera = node.until_ready("door").await?;
    ensure!(camera["size"] == "1280x720", "{camera}");

    // Another source under the same name: what is watched changes too.
    node.apply("a.yaml", &rtsp_camera("door", source.url("other"), ""))?;
    eventually(secs(20), "the new source", async || {
        let camera = node.camera("door").await?;
        ensure!(camera["ready"] == true && camera["size"] == "640x480", "{camera}");
        let seen = player::probe_rtsp(&node.rtsp("door"), "tcp", 1.0).await?;
        ensure!(seen.size()? == (640, 480), "{:?}", seen.size());
        Ok(())
    })
    .await?;

    // A change that is none for the stream must not cut it.
    let url = node.http("/streams/door.flv");
    let viewer = tokio::spawn(async move { player::probe(&url, &[], 8.0).await });
    tokio::time::sleep(secs(2)).await;
    node.apply(
        "a.yaml",
        &rtsp_camera("door", source.url("other"), "  displayName: The front door\n"),
    )?;
    eventually(secs(10), "the new name", async || {
        let camera = node.camera("door").await?;
        ensure!(camera["displayName"] == "The front door", "{camera}");
        Ok(())
    })
    .await?;
    viewer.await??.expect(&["h264", "aac"], 8.0)?;

    // Several in one file, and one of them wrong: the others work, and the log names the file.
    let two = format!(
        "{}---\n{}",
        rtsp_camera("one", source.url("h264"), ""),
        "kind: Camera\nspec: ["
    );
    node.apply("two.yaml", &two)?;
    node.apply("three.yaml", &rtsp_camera("three", source.url("h265"), ""))?;
    node.until_ready("three").await?;
    ensure!(
        node.log().contains("two.yaml"),
        "the log does not name the file that is wrong"
    );
    node.apply("two.yaml", &rtsp_camera("one", source.url("h264"), ""))?;
    node.until_ready("one").await?;

    node.delete("a.yaml")?;
    eventually(secs(10), "the camera to end", async || {
        ensure!(node.camera("door").await.is_err(), "it is still listed");
        ensure!(
            player::probe_rtsp(&node.rtsp("door"), "tcp", 0.5).await.is_err(),
            "it can still be played"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_two_with_one_path_one_serves() -> Result<()> {
    let node = MediaNode::standalone()
        .file_camera("first", "h264_other.mp4", "  path: gate\n")
        .start()
        .await?;
    node.until_ready("first").await?;
    node.apply(
        "second.yaml",
        &file_camera("second", "h264_other.mp4", "  path: Gate\n"),
    )?;
    node.until_reason("second", "PathTaken").await?;
    node.stays_ready("first", secs(2)).await?;
    node.delete("first.yaml")?;
    node.until_ready("second").await?;
    Ok(())
}

#[tokio::test]
async fn on_demand_runs_while_somebody_watches() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let more = "  connect: OnDemand\n  idleTimeout: 3s\n";
    let node = MediaNode::standalone()
        .manifest("a.yaml", rtsp_camera("door", source.url("h264"), more))
        .start()
        .await?;
    throughout(
        secs(3),
        "nobody watches, so it should not be dialled",
        async || {
            ensure!(!source.log().contains("plays"), "it is dialled");
            Ok(())
        },
    )
    .await?;

    // Several at once start it once.
    let url = node.rtsp("door");
    let all = futures::future::join_all((0..4).map(|_| player::probe_rtsp(&url, "tcp", 5.0))).await;
    for seen in all {
        seen?.expect(&["h264", "aac"], 5.0)?;
    }
    let dialled = source.log().matches("plays").count();
    ensure!(dialled == 1, "it was dialled {dialled} times");

    let gone = source.log().matches("gone").count();
    eventually(
        secs(15),
        "the camera to be left when nobody watches",
        async || {
            ensure!(
                source.log().matches("gone").count() > gone,
                "it is still connected"
            );
            Ok(())
        },
    )
    .await?;
    // And again, by another form.
    player::probe(&node.http("/streams/door.flv"), &[], 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)
}

#[tokio::test]
async fn a_route_pulls_what_is_asked_for() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("dir.yaml", route("dir", "/hr/", source.url(""), false))
        .manifest(
            "exact.yaml",
            route("exact", "/gate/a1", source.url("other"), true),
        )
        .start()
        .await?;
    player::probe_rtsp(&node.rtsp("hr/h264"), "tcp", 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    player::probe(&node.http("/streams/HR/BFrames.flv"), &[], 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    let seen = player::probe_rtsp(&node.rtsp("Gate/A1"), "tcp", 2.0).await?;
    ensure!(seen.size()? == (640, 480), "{:?}", seen.size());
    for path in [
        "/streams/hr.flv",
        "/streams/gate/a1/x.flv",
        "/streams/hr/absent.flv",
    ] {
        let (status, text) = node.text(path).await?;
        ensure!(status == 404, "{path}: {status} {text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_route_is_read_again() -> Result<()> {
    let mut old = Camera::start(Make::Go, Auth::None).await?;
    let new = Camera::start(Make::Gst, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("hr.yaml", route("hr", "/hr/", old.url(""), false))
        .start()
        .await?;
    let size = async |path: &str| player::probe_rtsp(&node.rtsp(path), "tcp", 1.0).await?.size();
    ensure!(size("hr/h264").await? == (1280, 720), "the first source");

    node.apply("hr.yaml", &route("hr", "/hr/", new.url(""), false))?;
    // The old source has no such path.
    eventually(secs(20), "the new source", async || {
        ensure!(size("hr/video").await? == (640, 360), "another picture");
        Ok(())
    })
    .await?;
    // What it has started already goes on as it was, until that ends.
    ensure!(
        size("hr/h264").await? == (1280, 720),
        "a running stream was changed"
    );
    old.unplug().await?;
    eventually(secs(30), "the new source under the old path", async || {
        ensure!(size("hr/h264").await? == (640, 360), "another picture");
        Ok(())
    })
    .await?;

    // With it in one file is a camera, which tells when the file has been read.
    let witness = rtsp_camera("witness", new.url("h264"), "");
    node.apply(
        "hr.yaml",
        &format!("{}---\n{witness}", route("hr", "/hr/", new.url(""), false)),
    )?;
    node.until_ready("witness").await?;
    node.delete("hr.yaml")?;
    eventually(secs(20), "the file to be gone", async || {
        let (status, text) = node.text("/streams/witness.m3u8").await?;
        ensure!(status == 404, "{status} {text}");
        Ok(())
    })
    .await?;
    let (status, text) = node.text("/streams/hr/g711.m3u8").await?;
    ensure!(status == 404, "{status} {text}");
    Ok(())
}

#[tokio::test]
async fn a_secret_is_read_again() -> Result<()> {
    let mut source = Camera::start(Make::Go, Auth::Digest).await?;
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("door", USER, "canary-old-4kRx"))
        .manifest(
            "door.yaml",
            rtsp_camera("door", source.url("h264"), "  credentials: {secretName: door}\n"),
        )
        .start()
        .await?;
    node.until_reason("door", "AuthFailed").await?;
    node.apply("secret.yaml", &secret("door", USER, PASSWORD))?;
    node.until_ready("door").await?;

    // A wrong one does not end what runs, and counts when it is dialled again.
    node.apply("secret.yaml", &secret("door", USER, "canary-new-8sVm"))?;
    node.stays_ready("door", secs(3)).await?;
    source.unplug().await?;
    node.until_reason("door", "Unreachable").await?;
    source.plug_in().await?;
    node.until_reason("door", "AuthFailed").await?;
    node.delete("secret.yaml")?;
    node.until_reason("door", "SecretNotFound").await?;
    node.apply("secret.yaml", &secret("door", USER, PASSWORD))?;
    node.until_ready("door").await?;
    Ok(())
}

#[tokio::test]
async fn a_source_policy_is_read_again() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .default_policy()
        .manifest("pool.yaml", pool_that_allows("media", &[]))
        .manifest("first.yaml", rtsp_camera("first", source.url("h264"), ""))
        .start()
        .await?;
    node.until_reason("first", "AddressDenied").await?;
    node.apply("pool.yaml", &pool_that_allows("media", &["127.0.0.0/8"]))?;
    eventually(secs(40), "the address to be dialled", async || {
        let camera = node.camera("first").await?;
        ensure!(camera["ready"] == true, "{camera}");
        Ok(())
    })
    .await?;

    node.apply("pool.yaml", &pool_that_allows("media", &["127.0.0.2/32"]))?;
    // When the manifest counts is not told; each camera that comes later is dialled by what counts then.
    let mut number = 0;
    eventually(secs(30), "the address to be denied again", async || {
        number += 1;
        let name = format!("later-{number}");
        node.apply(
            &format!("{name}.yaml"),
            &rtsp_camera(&name, source.url("other"), ""),
        )?;
        let camera = eventually(secs(10), "the camera to be dialled", async || {
            let camera = node.camera(&name).await?;
            ensure!(
                camera["ready"] == true || camera["reason"] == "AddressDenied",
                "{camera}"
            );
            Ok(camera)
        })
        .await?;
        ensure!(camera["ready"] != true, "{camera}");
        Ok(())
    })
    .await?;

    // Without a pool the rules of one machine hold again (docs/adr/0008).
    node.delete("pool.yaml")?;
    let name = format!("later-{number}");
    eventually(secs(40), "the address to be dialled again", async || {
        let camera = node.camera(&name).await?;
        ensure!(camera["ready"] == true, "{camera}");
        Ok(())
    })
    .await
}

/// What a playlist lists, if there is one.
async fn segments(node: &MediaNode, playlist: &str) -> Result<Vec<String>> {
    let (status, text) = node.text(playlist).await?;
    ensure!(status == 200, "{status} {text}");
    Ok(text
        .lines()
        .filter(|l| l.starts_with('/'))
        .map(str::to_owned)
        .collect())
}

#[tokio::test]
async fn a_camera_that_is_deleted_ends_in_hls_too() -> Result<()> {
    let node = MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "")
        .start()
        .await?;
    node.until_ready("door").await?;
    let listed = segments(&node, "/streams/door.m3u8").await?;
    let segment = listed.last().context("a segment")?;
    node.delete("door.yaml")?;
    let begin = Instant::now();
    // A player goes on asking.
    for (what, path) in [("the playlist", "/streams/door.m3u8"), ("the segment", segment)] {
        eventually(secs(30), &format!("{what} to be gone"), async || {
            let (status, _) = node.text(path).await?;
            ensure!(status == 404, "{status}");
            Ok(())
        })
        .await?;
        println!("{what} is gone after {:?}", begin.elapsed());
    }
    // And comes back with the camera.
    node.apply("door.yaml", &file_camera("door", "h264_aac.mp4", ""))?;
    node.until_ready("door").await?;
    segments(&node, "/streams/door.m3u8").await?;
    Ok(())
}

#[tokio::test]
async fn on_demand_runs_while_somebody_watches_by_hls() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let more = "  connect: OnDemand\n  idleTimeout: 2s\n";
    let node = MediaNode::standalone()
        .manifest("a.yaml", rtsp_camera("door", source.url("h264"), more))
        .start()
        .await?;
    eventually(secs(30), "a playlist", async || {
        segments(&node, "/streams/door.m3u8").await
    })
    .await?;
    // Several times the idle time. Between two requests nobody is connected.
    throughout(secs(10), "it should stay up for its viewer", async || {
        let listed = segments(&node, "/streams/door.m3u8").await?;
        let (status, _) = node.text(listed.last().context("a segment")?).await?;
        ensure!(status == 200, "{status}");
        ensure!(
            !source.log().contains("gone"),
            "the camera was left:\n{}",
            source.log()
        );
        tokio::time::sleep(secs(1)).await;
        Ok(())
    })
    .await?;
    let dialled = source.log().matches("plays").count();
    ensure!(dialled == 1, "it was dialled {dialled} times");

    // An HLS viewer is taken for gone 30 s after the last request.
    let begin = Instant::now();
    eventually(secs(60), "the camera to be left", async || {
        ensure!(source.log().contains("gone"), "it is still connected");
        Ok(())
    })
    .await?;
    println!("left {:?} after the last request", begin.elapsed());
    Ok(())
}
