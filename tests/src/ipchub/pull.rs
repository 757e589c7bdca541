//! Sections 6 and 10.2: what is pulled, and from where.

use anyhow::{Result, ensure};
use serde_json::json;

use super::Place;
use crate::{
    camera::{Auth, Camera, Make, PASSWORD, USER},
    player,
};

/// The route whose pattern fits best says where; the camera's challenge is answered; what fails is 404.
pub async fn ipchub_pull_rtsp(place: &Place) -> Result<()> {
    let basic = Camera::start_at(Make::Go, Auth::Basic, &place.machine, 0).await?;
    let of_basic = basic
        .url("")
        .replace("rtsp://", &format!("rtsp://{USER}:{PASSWORD}@"));
    let nobody = crate::camera::free_port(&place.machine)?;
    for (pattern, url) in [
        ("/pulled/", of_basic.trim_end_matches('/').to_owned()),
        ("/pulled/slash/", of_basic.clone()),
        ("/pulled/H265", place.upstream("other")),
        (
            "/pulled/wrong",
            place
                .camera
                .url("h264")
                .replace("rtsp://", "rtsp://viewer:canary-wrong@"),
        ),
        ("/pulled/open", place.camera.url("h264")),
        ("/pulled/away", format!("rtsp://{}:{nobody}/h264", place.machine)),
        ("/pulled/no-rtsp", "http://192.0.2.1/h264".to_owned()),
    ] {
        place
            .save("routes", json!({"pattern": pattern, "url": url}))
            .await?;
    }
    // Two viewers at once, one at each entry, have it pulled once.
    place.runs("/pulled/other").await?;
    place.delete("streams/pulled/other").await?;
    let dialled = |path: &str| basic.log().matches(&format!(" plays {path} ")).count();
    let before = dialled("/other");
    let file = format!("/streams/pulled/other.flv?token={}", place.token);
    let (first, second) = (place.first.http(&file), place.second.http(&file));
    let (first, second) = tokio::join!(player::probe(&first, &[], 1.0), player::probe(&second, &[], 1.0));
    for seen in [first?, second?] {
        ensure!(seen.size()? == (640, 480), "{:?}", seen.size());
    }
    ensure!(
        dialled("/other") == before + 1,
        "dialled {} times",
        dialled("/other") - before
    );

    for (path, upstream) in [
        // Directories, the longest that fits, with the rest in lower case.
        ("/pulled/H264", basic.url("h264")),
        ("/pulled/slash/bframes", basic.url("bframes")),
        // The exact pattern before them.
        ("/pulled/h265", place.camera.url("other")),
    ] {
        place.runs(path).await?;
        for entry in place.entries() {
            let stream = place.told(entry, &format!("streams{path}")).await?;
            ensure!(
                stream["addr"] == upstream && stream["path"] == path.to_lowercase(),
                "{stream}"
            );
            ensure!(stream["video"]["codec"] == "H264", "{stream}");
        }
    }
    for (path, why) in [
        ("/pulled", "the directory itself"),
        ("/pulled/none", "nothing there"),
        ("/pulled/wrong", "a wrong password"),
        ("/pulled/open", "no password"),
        ("/pulled/away", "nobody listens"),
        ("/pulled/no-rtsp", "another protocol"),
        ("/elsewhere/h264", "no pattern"),
    ] {
        let reply = place
            .get(
                &place.second,
                &format!("/streams{path}.flv?token={}", place.token),
            )
            .await?;
        ensure!(reply.status == 404, "{why}: {reply:?}");
    }
    for pattern in ["", "slash/", "h265", "wrong", "open", "away", "no-rtsp"] {
        place.delete(&format!("routes/pulled/{pattern}")).await?;
    }
    for path in ["other", "h264", "slash/bframes", "h265"] {
        place.delete(&format!("streams/pulled/{path}")).await?;
    }
    Ok(())
}
