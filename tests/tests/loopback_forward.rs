//! Streams that are pushed to other servers: gortsplib's and ffmpeg's, which are not ours, and another media-node.

use serde_json::Value;
use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make, PASSWORD, USER, free_port},
    ensure, eventually,
    manifest::{file_camera, publish_camera, rtsp_camera, secret},
    media_node::{ADMIN_PASSWORD, MediaNode},
    player,
    process::Process,
    wait::secs,
};

const BOTH: [&str; 2] = ["h264", "aac"];

/// Lines of a spec that push to these servers, each with the name of its Secret if it wants one.
fn forward(servers: &[(&str, &str)]) -> String {
    let entries = servers.iter().map(|(url, secret)| match *secret {
        "" => format!("    - {{url: \"{url}\"}}\n"),
        secret => format!("    - {{url: \"{url}\", secretName: {secret}}}\n"),
    });
    format!("  forward:\n{}", entries.collect::<String>())
}

/// A Secret with a stream key.
fn key(name: &str, key: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{streamKey: \"{key}\"}}\n"
    )
}

/// A node that takes what is published to it.
async fn other_node() -> Result<MediaNode> {
    MediaNode::standalone()
        .manifest("in.yaml", publish_camera("in", "  path: in/door\n"))
        .start()
        .await
}

/// Waits until the camera's condition `Forwarding` has that reason, and returns it.
async fn until(node: &MediaNode, camera: &str, reason: &str) -> Result<Value> {
    eventually(secs(25), &format!("{camera} to say {reason}"), async || {
        let said = node.camera(camera).await?["forwarding"].clone();
        ensure!(said["reason"] == reason, "{said}");
        ensure!((said["ready"] == true) == (reason == "Forwarding"), "{said}");
        Ok(said)
    })
    .await
}

fn message(said: &Value) -> &str {
    said["message"].as_str().unwrap_or_default()
}

/// Plays what has arrived.
async fn arrives(url: &str, codecs: &[&str]) -> Result<()> {
    let options: &[&str] = if url.starts_with("rtsp") {
        &["-rtsp_transport", "tcp"]
    } else {
        &[]
    };
    eventually(secs(20), &format!("{url} to play"), async || {
        player::probe(url, options, 1.0).await.map(drop)
    })
    .await?;
    player::probe(url, options, 3.0).await?.expect(codecs, 3.0)?;
    let complaints = player::decode(url, options, 2.0).await?;
    ensure!(complaints.is_empty(), "{url}: {complaints}");
    Ok(())
}

/// The same at gortsplib's server, which lets players begin wherever the stream is.
async fn arrives_at_gortsplib(url: &str, codecs: &[&str]) -> Result<()> {
    eventually(secs(20), &format!("{url} to play"), async || {
        let seen = player::probe(url, &["-rtsp_transport", "tcp"], 4.0).await?;
        ensure!(seen.codecs() == codecs_sorted(codecs), "{:?}", seen.codecs());
        let pictures = seen.packets("video");
        let first = pictures.iter().position(|p| p.keyframe).context("a keyframe")?;
        ensure!(
            pictures.len() - first >= 40,
            "{} pictures, {first} before a keyframe",
            pictures.len()
        );
        ensure!(
            seen.packets("audio").len() >= 100,
            "{} sounds",
            seen.packets("audio").len()
        );
        Ok(())
    })
    .await
}

fn codecs_sorted<'a>(codecs: &[&'a str]) -> Vec<&'a str> {
    let mut codecs = codecs.to_vec();
    codecs.sort_unstable();
    codecs
}

/// By RTSP to gortsplib's server, which asks for credentials in that way.
async fn to_gortsplib(auth: Auth, clip: &str, codecs: &[&str]) -> Result<()> {
    let server = Camera::start(Make::Go, auth).await?;
    let url = server.url("in/door");
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("out", USER, PASSWORD))
        .file_camera("door", clip, &forward(&[(&url, "out")]))
        .start()
        .await?;
    let said = until(&node, "door", "Forwarding").await?;
    ensure!(message(&said).contains(&url), "{said}");
    let credentials = format!("rtsp://{USER}:{PASSWORD}@");
    arrives_at_gortsplib(&url.replace("rtsp://", &credentials), codecs).await?;
    ensure!(!node.log().contains(PASSWORD), "the log tells the password");
    Ok(())
}

#[tokio::test]
async fn h264_by_rtsp_with_digest() -> Result<()> {
    to_gortsplib(Auth::Digest, "h264_aac.mp4", &BOTH).await
}

#[tokio::test]
async fn h265_by_rtsp_with_basic() -> Result<()> {
    to_gortsplib(Auth::Basic, "h265_aac.mp4", &["hevc", "aac"]).await
}

/// ffmpeg as an RTMP server that writes down what it is sent.
fn ffmpeg_listens(url: &str, file: &std::path::Path) -> Result<Process> {
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args([
        "-hide_banner",
        "-loglevel",
        "warning",
        "-nostdin",
        "-y",
        "-listen",
        "1",
        "-f",
        "flv",
        "-i",
        url,
    ]);
    command
        .args(["-c", "copy", "-flush_packets", "1", "-f", "mpegts"])
        .arg(file);
    Process::start("ffmpeg server", &mut command)
}

#[tokio::test]
async fn by_rtmp_to_ffmpeg_which_comes_later_and_goes() -> Result<()> {
    let url = format!("rtmp://127.0.0.1:{}/live", free_port("127.0.0.1")?);
    let whole = format!("{url}/canary-key");
    let node = MediaNode::standalone()
        .manifest("key.yaml", key("key", "canary-key"))
        .file_camera("door", "h264_aac.mp4", &forward(&[(&url, "key")]))
        .start()
        .await?;
    let said = until(&node, "door", "Unreachable").await?;
    ensure!(message(&said).contains(&url), "{said}");
    // A server that restarts gets the stream again, each time from a keyframe.
    for round in 0..2 {
        let file = node.folder().join(format!("{round}.ts"));
        let mut server = ffmpeg_listens(&whole, &file)?;
        until(&node, "door", "Forwarding").await?;
        eventually(secs(15), "3 s of media", async || {
            let path = file.to_string_lossy().into_owned();
            player::probe(&path, &[], 3.0).await?.expect(&BOTH, 3.0)
        })
        .await?;
        server.kill().await?;
        until(
            &node,
            "door",
            if round == 0 {
                "ClosedByTarget"
            } else {
                "Unreachable"
            },
        )
        .await
        .or_else(|error| {
            // It may have been tried again by now.
            let log = node.log();
            ensure!(log.contains("a server takes the stream no more"), "{error:#}");
            Ok(Value::Null)
        })?;
    }
    ensure!(!node.log().contains("canary"), "the log tells the key");
    ensure!(
        node.camera("door").await?["ready"] == true,
        "the camera itself is well"
    );
    Ok(())
}

/// To another node, and played from there in every form.
async fn to_another_node(scheme: &str, clip: &str, codecs: &[&str]) -> Result<()> {
    let other = other_node().await?;
    let (url, text) = match scheme {
        "rtmp" => (
            other.rtmp("in/door"),
            key("out", &format!("?user=admin&password={ADMIN_PASSWORD}")),
        ),
        _ => (other.rtsp("in/door"), secret("out", "admin", ADMIN_PASSWORD)),
    };
    let node = MediaNode::standalone()
        .environment("WEIR_LOG", "trace") // the most talkative level
        .manifest("secret.yaml", text)
        .file_camera("door", clip, &forward(&[(&url, "out")]))
        .start()
        .await?;
    until(&node, "door", "Forwarding").await?;
    other.until_ready("in").await?;
    arrives(&other.rtsp("in/door"), codecs).await?;
    ensure!(!node.log().contains(ADMIN_PASSWORD), "the log tells the password");
    // The camera's end is the stream's there.
    node.apply("door.yaml", &file_camera("door", clip, "  enabled: false\n"))?;
    other.until_reason("in", "WaitingForPublisher").await?;
    Ok(())
}

#[tokio::test]
async fn h264_by_rtmp_to_another_node() -> Result<()> {
    to_another_node("rtmp", "h264_aac.mp4", &BOTH).await
}

#[tokio::test]
async fn h265_by_rtmp_to_another_node() -> Result<()> {
    to_another_node("rtmp", "h265_aac.mp4", &["hevc", "aac"]).await
}

#[tokio::test]
async fn h265_by_rtsp_to_another_node() -> Result<()> {
    to_another_node("rtsp", "h265_aac.mp4", &["hevc", "aac"]).await
}

#[tokio::test]
async fn who_does_not_take_it_is_named_and_why() -> Result<()> {
    let guarded = Camera::start(Make::Go, Auth::Digest).await?;
    let taken = Camera::start(Make::Go, Auth::None).await?;
    let other = other_node().await?;
    let nobody = format!("rtsp://127.0.0.1:{}/x", free_port("127.0.0.1")?);
    let node = MediaNode::standalone()
        .manifest("wrong.yaml", secret("wrong", USER, "canary-wrong-2mLp"))
        .manifest(
            "key.yaml",
            key("wrong-key", "?user=admin&password=canary-wrong-2mLp"),
        )
        .file_camera(
            "password",
            "h264_aac.mp4",
            &forward(&[(&guarded.url("a"), "wrong")]),
        )
        .file_camera("anonymous", "h264_aac.mp4", &forward(&[(&guarded.url("b"), "")]))
        .file_camera("taken", "h264_aac.mp4", &forward(&[(&taken.url("h264"), "")]))
        .file_camera("nobody", "h264_aac.mp4", &forward(&[(&nobody, "")]))
        .file_camera(
            "denied",
            "h264_aac.mp4",
            &forward(&[("rtmp://169.254.169.254/live/a", "")]),
        )
        .file_camera("secretless", "h264_aac.mp4", &forward(&[(&nobody, "absent")]))
        .file_camera(
            "keyless",
            "h264_aac.mp4",
            &forward(&[(&other.rtmp("in/door"), "wrong-key")]),
        )
        .start()
        .await?;
    for (camera, reason, words) in [
        ("password", "AuthFailed", "refuses the credentials"),
        ("anonymous", "AuthFailed", "wants credentials"),
        ("taken", "Refused", "whether somebody publishes there already"),
        ("nobody", "Unreachable", "can't be reached"),
        ("denied", "AddressDenied", "169.254.169.254"),
        ("secretless", "SecretNotFound", "absent"),
        ("keyless", "AuthFailed", "streamKey"),
    ] {
        let said = until(&node, camera, reason).await?;
        ensure!(message(&said).contains(words), "{camera}: {said}");
        ensure!(
            node.camera(camera).await?["ready"] == true,
            "{camera} itself is well"
        );
    }
    // A wrong password is not tried again and again at once.
    let tries = guarded.log().matches("connected").count();
    ensure!(tries < 12, "{tries} connections in a few seconds");
    for log in [node.log(), node.text("/metrics").await?.1] {
        ensure!(!log.contains("canary-wrong"), "a password is told");
    }
    ensure!(
        node.metric("weir_forward_failures_total").await? > 5.0,
        "failures are counted"
    );
    Ok(())
}

#[tokio::test]
async fn a_list_is_changed_while_it_runs() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let (one, two) = (Camera::start(Make::Go, Auth::None).await?, other_node().await?);
    let (first, second) = (one.url("in/door"), two.rtmp("in/door"));
    let node = MediaNode::standalone()
        .manifest(
            "key.yaml",
            key("out", &format!("?user=admin&password={ADMIN_PASSWORD}")),
        )
        // On demand, and dialled all the same.
        .manifest(
            "door.yaml",
            rtsp_camera(
                "door",
                source.url("h264"),
                &format!("  connect: OnDemand\n{}", forward(&[(&first, "")])),
            ),
        )
        .start()
        .await?;
    until(&node, "door", "Forwarding").await?;
    let watching = player::Watching::start(&first, &["-rtsp_transport", "tcp"]);
    watching.until_picture(secs(10)).await?;

    node.apply(
        "door.yaml",
        &rtsp_camera(
            "door",
            source.url("h264"),
            &forward(&[(&first, ""), (&second, "out")]),
        ),
    )?;
    eventually(secs(15), "the second server", async || {
        ensure!(
            message(&until(&node, "door", "Forwarding").await?).contains(&second),
            "not yet"
        );
        Ok(())
    })
    .await?;
    two.until_ready("in").await?;
    watching.until_picture(secs(5)).await?;
    let times = one.log().matches("connected").count();

    node.apply(
        "door.yaml",
        &rtsp_camera("door", source.url("h264"), &forward(&[(&first, "")])),
    )?;
    two.until_reason("in", "WaitingForPublisher").await?;
    watching.until_picture(secs(5)).await?;
    ensure!(
        one.log().matches("connected").count() == times,
        "the first server was dialled again"
    );
    let plays = source.log().matches(" plays ").count();
    ensure!(plays == 1, "the camera was dialled {plays} times");

    node.apply("door.yaml", &rtsp_camera("door", source.url("h264"), ""))?;
    eventually(secs(10), "the condition to go", async || {
        let camera = node.camera("door").await?;
        ensure!(camera["forwarding"].is_null(), "{camera}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_is_not_published_onto_itself() -> Result<()> {
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("me", "admin", ADMIN_PASSWORD))
        .file_camera("door", "h264_aac.mp4", "  path: a/Door\n")
        .start()
        .await?;
    node.until_ready("door").await?;
    let here = node.rtsp("A/door");
    let more = format!("  path: a/Door\n{}", forward(&[(&here, "me")]));
    node.apply("door.yaml", &file_camera("door", "h264_aac.mp4", &more))?;
    let said = until(&node, "door", "Loop").await?;
    ensure!(message(&said).contains("another path"), "{said}");
    node.stays_ready("door", secs(3)).await?;
    // Under another path it is another stream.
    let copy = node.rtsp("copy");
    let more = format!("  path: a/Door\n{}", forward(&[(&copy, "me")]));
    node.apply("door.yaml", &file_camera("door", "h264_aac.mp4", &more))?;
    until(&node, "door", "Forwarding").await?;
    arrives(&copy, &BOTH).await
}

#[tokio::test]
async fn what_a_route_starts_is_pushed() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let server = Camera::start(Make::Go, Auth::None).await?;
    let (from, to) = (source.url(""), server.url("in"));
    let node = MediaNode::standalone()
        .manifest(
            "route.yaml",
            format!(
                "apiVersion: weir.video/v1alpha1\nkind: Route\nmetadata: {{name: r}}\nspec:\n  pattern: /hr/\n  url: \
                 \"{from}\"\n{}",
                forward(&[(&to, "")])
            ),
        )
        .start()
        .await?;
    player::probe_rtsp(&node.rtsp("hr/h264"), "tcp", 1.0)
        .await?
        .expect_begin(&BOTH)?;
    arrives_at_gortsplib(&server.url("in/h264"), &BOTH).await
}
