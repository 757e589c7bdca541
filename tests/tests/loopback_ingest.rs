//! Every way in: pulled from two makes of camera, published by ffmpeg, and from a file. What went in comes out over RTSP.

use weir_tests::{
    Result,
    camera::{self, Auth, Camera, Make, PASSWORD, USER},
    ensure, eventually,
    manifest::{publish_camera, rtsp_camera_by, secret},
    media_node::MediaNode,
    player, setup,
    wait::secs,
};

/// Pulls `path` from a camera and plays it from the node; the status tells what it is.
async fn pull(
    make: Make,
    auth: Auth,
    path: &str,
    transport: &str,
    codecs: &[&str],
    says: (&str, &str),
) -> Result<()> {
    let camera = Camera::start(make, auth).await?;
    let credentials = if auth == Auth::None {
        ""
    } else {
        "  credentials: {secretName: door}\n"
    };
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("door", USER, PASSWORD))
        .manifest(
            "door.yaml",
            rtsp_camera_by("door", camera.url(path), transport, credentials),
        )
        .start()
        .await?;
    let status = node.until_ready("door").await?;
    ensure!(status["source"] == "RTSP", "{status}");
    ensure!(status["codec"] == says.0 && status["size"] == says.1, "{status}");
    player::probe_rtsp(&node.rtsp("door"), "tcp", 3.0)
        .await?
        .expect(codecs, 3.0)
}

macro_rules! pulls {
    ($($name:ident: $make:ident $auth:ident $path:literal $transport:ident $codecs:expr, $says:expr;)*) => {$(
        #[tokio::test]
        async fn $name() -> Result<()> {
            pull(Make::$make, Auth::$auth, $path, stringify!($transport), &$codecs, $says).await
        }
    )*};
}

pulls! {
    go_h264_tcp: Go None "h264" Tcp ["h264", "aac"], ("H264", "1280x720");
    go_h264_udp: Go None "h264" Udp ["h264", "aac"], ("H264", "1280x720");
    go_h264_auto: Go None "h264" Auto ["h264", "aac"], ("H264", "1280x720");
    go_h265_tcp: Go None "h265" Tcp ["hevc", "aac"], ("H265", "1280x720");
    go_h265_udp: Go None "h265" Udp ["hevc", "aac"], ("H265", "1280x720");
    go_pcmu: Go None "g711" Tcp ["h264", "pcm_mulaw"], ("H264", "640x480");
    go_pcma: Go None "alaw" Tcp ["h264", "pcm_alaw"], ("H264", "640x480");
    go_basic: Go Basic "h264" Tcp ["h264", "aac"], ("H264", "1280x720");
    go_digest: Go Digest "h264" Tcp ["h264", "aac"], ("H264", "1280x720");
    gst_h264_tcp: Gst None "h264" Tcp ["h264", "aac"], ("H264", "640x360");
    gst_h264_udp: Gst None "h264" Udp ["h264", "aac"], ("H264", "640x360");
    gst_h265_tcp: Gst None "h265" Tcp ["hevc", "aac"], ("H265", "640x360");
    gst_h265_udp: Gst None "h265" Udp ["hevc", "aac"], ("H265", "640x360");
    gst_pcma: Gst None "g711" Tcp ["h264", "pcm_alaw"], ("H264", "640x360");
    gst_video_alone: Gst None "video" Tcp ["h264"], ("H264", "640x360");
    gst_basic: Gst Basic "h264" Tcp ["h264", "aac"], ("H264", "640x360");
    gst_digest_udp: Gst Digest "h264" Udp ["h264", "aac"], ("H264", "640x360");
}

#[tokio::test]
async fn a_camera_with_udp_alone() -> Result<()> {
    let camera = Camera::start(Make::GoUdp, Auth::Digest).await?;
    let credentials = "  credentials: {secretName: door}\n";
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("door", USER, PASSWORD))
        .manifest(
            "a.yaml",
            rtsp_camera_by("auto", camera.url("h264"), "Auto", credentials),
        )
        .manifest(
            "b.yaml",
            rtsp_camera_by("tcp", camera.url("h264"), "Tcp", credentials),
        )
        .start()
        .await?;
    node.until_ready("auto").await?;
    ensure!(camera.log().contains("over UDP"), "{}", camera.log());
    player::probe_rtsp(&node.rtsp("auto"), "tcp", 3.0)
        .await?
        .expect(&["h264", "aac"], 3.0)?;
    // Who asks for TCP alone is told.
    let status = node.until_reason("tcp", "ProtocolError").await?;
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(message.contains("transport"), "{status}");
    Ok(())
}

#[tokio::test]
async fn pictures_out_of_order_keep_their_times() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("b.yaml", rtsp_camera_by("b", camera.url("bframes"), "Tcp", ""))
        .start()
        .await?;
    node.until_ready("b").await?;
    // FLV carries both times, so that it shows whether the node found out the decode times that RTP lacks.
    let seen = player::probe(&node.http("/streams/b.flv"), &[], 3.0).await?;
    seen.expect(&["h264", "aac"], 3.0)?;
    let reordered = seen.packets("video").iter().filter(|p| p.pts != p.dts).count();
    ensure!(
        reordered > 10,
        "{reordered} pictures with a presentation time of their own"
    );
    for p in seen.packets("video") {
        ensure!(p.pts >= p.dts, "{p:?}");
    }
    let complaints = player::decode(&node.http("/streams/b.flv"), &[], 3.0).await?;
    ensure!(complaints.is_empty(), "{complaints}");
    Ok(())
}

#[tokio::test]
async fn sound_can_be_left_out() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest(
            "mute.yaml",
            rtsp_camera_by("mute", camera.url("h264"), "Tcp", "  audio: false\n"),
        )
        .start()
        .await?;
    node.until_ready("mute").await?;
    player::probe_rtsp(&node.rtsp("mute"), "tcp", 2.0)
        .await?
        .expect(&["h264"], 2.0)
}

/// The camera's loop of a file must look like an endless stream, also where the file ends.
async fn file(clip: &str, codecs: &[&str], says: (&str, &str)) -> Result<()> {
    let node = MediaNode::standalone()
        .file_camera("file", clip, "")
        .start()
        .await?;
    let status = node.until_ready("file").await?;
    ensure!(
        status["source"] == "File" && status["codec"] == says.0 && status["size"] == says.1,
        "{status}"
    );
    // The clips have 12 s.
    player::probe_rtsp(&node.rtsp("file"), "tcp", 14.0)
        .await?
        .expect(codecs, 14.0)
}

#[tokio::test]
async fn file_h264_loops() -> Result<()> {
    file("h264_aac.mp4", &["h264", "aac"], ("H264", "1280x720")).await
}

#[tokio::test]
async fn file_h265_loops() -> Result<()> {
    file("h265_aac.mp4", &["hevc", "aac"], ("H265", "1280x720")).await
}

#[tokio::test]
async fn file_with_b_frames_loops() -> Result<()> {
    file("h264_bframes.mp4", &["h264", "aac"], ("H264", "640x360")).await
}

/// Has ffmpeg publish a clip to a declared camera, as `admin`.
async fn published(clip: &str, codecs: &[&str]) -> Result<()> {
    let node = MediaNode::standalone()
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    let url = node.rtsp("gate").replace(
        "rtsp://",
        &format!("rtsp://admin:{}@", weir_tests::media_node::ADMIN_PASSWORD),
    );
    let mut publisher = camera::publish(&setup::clip(clip).await?, &url, "tcp")?;
    node.until_ready("gate").await?;
    player::probe_rtsp(&node.rtsp("gate"), "tcp", 3.0)
        .await?
        .expect(codecs, 3.0)?;

    publisher.stop(secs(5)).await?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    eventually(secs(5), "the stream to end", async || {
        ensure!(
            player::probe_rtsp(&node.rtsp("gate"), "tcp", 0.5).await.is_err(),
            "it can still be played"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn publish_h264_aac() -> Result<()> {
    published("h264_aac.mp4", &["h264", "aac"]).await
}

#[tokio::test]
async fn publish_h265_aac() -> Result<()> {
    published("h265_aac.mp4", &["hevc", "aac"]).await
}

#[tokio::test]
async fn publish_h264_g711() -> Result<()> {
    published("h264_g711.mov", &["h264", "pcm_mulaw"]).await
}

#[tokio::test]
async fn publishing_wants_the_right() -> Result<()> {
    let node = MediaNode::standalone()
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    let clip = setup::clip("h264_aac.mp4").await?;
    for user in ["", "admin:wrong@", "nobody:nothing@"] {
        let url = node.rtsp("gate").replace("rtsp://", &format!("rtsp://{user}"));
        let mut publisher = camera::publish(&clip, &url, "tcp")?;
        let status = publisher.ended(secs(10)).await?;
        ensure!(!status.success(), "{user:?} could publish");
        ensure!(publisher.log().contains("401"), "{user:?}: {}", publisher.log());
    }
    Ok(())
}
