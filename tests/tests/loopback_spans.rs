//! The spans of the logs: who reads one line knows which camera, which stream, which peer it is about.

use reqwest::Method;
use serde_json::Value;
use weir_tests::{
    Context, Result,
    camera::{self, Auth, Camera, Make},
    ensure, eventually,
    manifest::{publish_camera, rtsp_camera},
    media_node::{ADMIN_PASSWORD, MediaNode},
    player, setup,
    wait::secs,
};

/// The spans of that name in the log, each with its fields.
fn spans(log: &str, name: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    // A line that is written after the span was left has it as its own alone.
    let of_line = |line: Value| {
        let mut all = line["spans"].as_array().cloned().unwrap_or_default();
        all.push(line["span"].clone());
        all
    };
    lines
        .flat_map(of_line)
        .filter(|span| span["name"] == name)
        .collect()
}

/// Asserts that the log has a span of that name with these fields and values, and the other fields with any value.
fn has_span(log: &str, name: &str, values: &[(&str, &str)], others: &[&str]) -> Result<()> {
    let all = spans(log, name);
    let fits = |span: &Value| {
        values.iter().all(|(field, value)| span[field] == *value)
            && others
                .iter()
                .all(|field| !span[field].is_null() && span[field] != "")
    };
    ensure!(
        all.iter().any(fits),
        "no span {name} with {values:?} and {others:?} in {all:?}"
    );
    Ok(())
}

#[tokio::test]
async fn lines_say_what_they_are_about() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .environment("WEIR_LOG_FORMAT", "json")
        .environment("WEIR_LOG", "media_node=debug")
        .file_camera("film", "h264_aac.mp4", "")
        .manifest("a.yaml", rtsp_camera("door", source.url("h264"), ""))
        .manifest("b.yaml", publish_camera("gate", "  path: yard/gate\n"))
        .manifest("c.yaml", publish_camera("roof", ""))
        .start()
        .await?;
    let token = node.login().await?.access;
    let clip = setup::clip("h264_aac.mp4").await?;
    let publishers = [
        camera::publish(&clip, &format!("{}?token={token}", node.rtsp("yard/gate")), "tcp")?,
        camera::publish_rtmp(&clip, &format!("{}?token={token}", node.rtmp("roof")))?,
    ];
    for name in ["film", "door", "gate", "roof"] {
        node.until_ready(name).await?;
    }
    player::probe_rtsp(&node.rtsp("film"), "tcp", 1.0).await?;
    player::probe(&node.rtmp("film"), &[], 1.0).await?;
    player::probe(&node.http("/streams/yard/gate.flv"), &[], 1.0).await?;
    player::web_socket(&node.ws("/streams/film.flv"), secs(1)).await?;
    player::probe(&node.http("/streams/film.m3u8"), &[], 1.0).await?;
    let (status, _) = node
        .call(
            Method::POST,
            "/api/v1/login",
            &format!("{{\"username\": \"admin\", \"password\": \"{ADMIN_PASSWORD}\"}}"),
        )
        .await?;
    ensure!(status == 200, "{status}");
    drop(publishers);

    eventually(secs(10), "the spans", async || {
        let log = node.log();
        let host = format!("127.0.0.1:{}", source.port());
        // What is pulled or played knows its camera; a connection's peer is whoever publishes.
        has_span(
            &log,
            "ingest",
            &[("camera", "film"), ("stream", "film"), ("protocol", "file")],
            &[],
        )?;
        has_span(
            &log,
            "ingest",
            &[("camera", "door"), ("protocol", "rtsp"), ("peer", &host)],
            &["stream"],
        )?;
        for (stream, protocol) in [("yard/gate", "rtsp-push"), ("roof", "rtmp-push")] {
            let values = [("stream", stream), ("protocol", protocol)];
            has_span(&log, "ingest", &values, &["peer"])?;
        }
        for (stream, protocol) in [
            ("film", "rtsp"),
            ("film", "rtmp"),
            ("yard/gate", "http-flv"),
            ("film", "ws-flv"),
        ] {
            let values = [("stream", stream), ("protocol", protocol)];
            has_span(&log, "egress", &values, &["peer", "session"])?;
        }
        has_span(&log, "api", &[("surface", "ipchub")], &["request_id"])
    })
    .await?;
    // One id a request.
    let log = node.log();
    let ids: Vec<_> = spans(&log, "api")
        .iter()
        .map(|s| s["request_id"].as_str().context("an id").map(str::to_owned))
        .collect::<Result<_>>()?;
    ensure!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    ensure!(!log.contains(&token) && !log.contains(ADMIN_PASSWORD), "a secret");
    Ok(())
}
