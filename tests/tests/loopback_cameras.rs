//! The cameras by themselves, so that a failure elsewhere is known to be ours.

use weir_tests::{
    Result,
    camera::{Auth, Camera, Make, PASSWORD, USER},
    ensure, player, setup,
    wait::secs,
};

async fn plays(camera: &Camera, path: &str, codecs: &[&str]) -> Result<()> {
    for transport in ["tcp", "udp"] {
        let seen = player::probe_rtsp(&camera.url(path), transport, 2.0).await?;
        ensure!(
            seen.codecs() == codecs,
            "{path} over {transport}: {:?}",
            seen.codecs()
        );
        ensure!(
            seen.packets("video").len() >= 40,
            "{path} over {transport}: {} pictures",
            seen.packets("video").len()
        );
    }
    Ok(())
}

#[tokio::test]
async fn gortsplib_serves_clips() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    plays(&camera, "h264", &["aac", "h264"]).await?;
    plays(&camera, "h265", &["aac", "hevc"]).await?;
    plays(&camera, "g711", &["h264", "pcm_mulaw"]).await
}

#[tokio::test]
async fn gstreamer_encodes() -> Result<()> {
    let camera = Camera::start(Make::Gst, Auth::None).await?;
    plays(&camera, "h264", &["aac", "h264"]).await?;
    plays(&camera, "h265", &["aac", "hevc"]).await?;
    plays(&camera, "g711", &["h264", "pcm_alaw"]).await
}

#[tokio::test]
async fn they_want_the_right_password() -> Result<()> {
    for make in [Make::Go, Make::Gst] {
        for auth in [Auth::Basic, Auth::Digest] {
            let camera = Camera::start(make, auth).await?;
            let with = |user: &str| camera.url("h264").replace("rtsp://", &format!("rtsp://{user}@"));
            player::probe_rtsp(&with(&format!("{USER}:{PASSWORD}")), "tcp", 0.5).await?;
            for wrong in [camera.url("h264"), with("viewer:wrong")] {
                let refused = player::probe_rtsp(&wrong, "tcp", 0.5).await;
                ensure!(
                    refused.is_err_and(|e| e.to_string().contains("401")),
                    "{make:?} {auth:?} let {wrong} in"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_loop_has_no_seam() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    // The clip has 12 s.
    let seen = player::probe_rtsp(&camera.url("h264"), "tcp", 15.0).await?;
    let times: Vec<f64> = seen.packets("video").iter().filter_map(|p| p.pts).collect();
    for pair in times.windows(2) {
        ensure!(
            (pair[1] - pair[0] - 0.04).abs() < 0.005,
            "from {} to {}",
            pair[0],
            pair[1]
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_camera_can_be_unplugged() -> Result<()> {
    let mut camera = Camera::start(Make::Go, Auth::None).await?;
    camera.unplug().await?;
    ensure!(
        player::probe_rtsp(&camera.url("h264"), "tcp", 0.5).await.is_err(),
        "it still answers"
    );
    camera.plug_in().await?;
    player::probe_rtsp(&camera.url("h264"), "tcp", 0.5).await?;
    Ok(())
}

#[tokio::test]
async fn ffmpeg_can_publish() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let url = camera.url("pushed");
    let mut publisher = weir_tests::camera::publish(&setup::clip("h264_g711.mov").await?, &url, "tcp")?;
    let seen = weir_tests::eventually(secs(10), "the published stream", async || {
        player::probe_rtsp(&url, "tcp", 1.0).await
    })
    .await?;
    ensure!(seen.codecs() == ["h264", "pcm_mulaw"], "{:?}", seen.codecs());
    publisher.stop(secs(5)).await?;
    Ok(())
}
