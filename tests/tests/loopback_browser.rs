//! Weir's own pages in headless Chromium.

use serde::Deserialize;
use serde_json::Value;
use weir_tests::{
    Context, Result,
    browser::{self, Watched},
    camera::{Auth, Camera, Make},
    ensure, eventually,
    footage::{Span, now_ms, record_for, spans},
    manifest::{recorded, rtsp_camera},
    media_node::{ADMIN_PASSWORD, MediaNode},
    wait::secs,
};

#[derive(Debug, Deserialize)]
struct Page {
    asked: bool,
    cameras: String,
    #[serde(flatten)]
    watched: Watched,
}

async fn page(node: &MediaNode, way: &str, password: Option<&str>) -> Result<Page> {
    let url = node.http("/");
    let mut arguments = vec!["--url", &url, "--path", "door", "--with", way];
    let file = node.folder().join("login");
    let name = file.to_string_lossy();
    if let Some(password) = password {
        std::fs::write(&file, password)?;
        arguments.extend(["--user", "admin", "--password-file", &name]);
    }
    browser::run("page.mjs", &arguments).await
}

async fn node(protected: bool) -> Result<MediaNode> {
    let builder = MediaNode::standalone().file_camera("door", "h264_aac.mp4", "  displayName: Front door\n");
    let node = if protected { builder.protected() } else { builder }
        .start()
        .await?;
    node.until_ready("door").await?;
    Ok(node)
}

#[derive(Debug, Deserialize)]
struct Framed {
    state: Option<String>,
    #[serde(flatten)]
    watched: Watched,
}

/// The cloud recorder's player page in a page of another site.
#[tokio::test]
async fn a_channel_plays_in_a_frame_of_another_site() -> Result<()> {
    const UNION_ID: &str = "canary-unionid-7hTq";
    let node = MediaNode::standalone()
        .protected()
        .file_camera("door", "h264_aac.mp4", "  path: a/front-door\n")
        .argument("--recorder-unionid")
        .argument(UNION_ID)
        .start()
        .await?;
    node.until_ready("door").await?;
    let json = async |path: &str| -> Result<Value> { Ok(serde_json::from_str(&node.text(path).await?.1)?) };
    let told = json(&format!("/api/v1/access_token?unionid={UNION_ID}")).await?;
    let token = told["token"].as_str().context("a token")?;
    let told = json(&format!(
        "/api/v1/play_camera/camera_id/1/width/640/height/400/token/{token}"
    ))
    .await?;
    let url = told["play_url"].as_str().context("a URL")?;
    let framed: Framed = browser::run("frame.mjs", &["--url", url]).await?;
    framed.watched.expect(3.0)?;
    ensure!(framed.state.as_deref() == Some("playing"), "{framed:?}");
    ensure!(framed.watched.errors.is_empty(), "{framed:?}");
    let told = json(&format!("/api/v1/list_camera?token={token}")).await?;
    ensure!(told["data"][0]["clicks"] == 1, "{told}");
    Ok(())
}

#[tokio::test]
async fn it_plays_every_way() -> Result<()> {
    let node = node(true).await?;
    for way in ["flv", "ws", "hls"] {
        let page = page(&node, way, Some(ADMIN_PASSWORD)).await?;
        ensure!(page.asked, "{way}: it should ask for a login");
        ensure!(page.cameras.contains("Front door"), "{way}: {page:?}");
        page.watched.expect(3.0).with_context(|| way.to_owned())?;
        ensure!(
            (page.watched.width, page.watched.height) == (1280, 720),
            "{way}: {page:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn anonymous_view_plays_without_a_login() -> Result<()> {
    let node = node(false).await?;
    let page = page(&node, "flv", None).await?;
    ensure!(!page.asked, "it asks for a login");
    page.watched.expect(3.0)
}

#[tokio::test]
async fn a_stranger_sees_the_login_alone() -> Result<()> {
    let node = node(true).await?;
    let page = page(&node, "flv", None).await?;
    ensure!(page.asked && !page.cameras.contains("door"), "{page:?}");
    Ok(())
}

/// What a picture was, by the number in it and by what the page says of its time.
#[derive(Debug, Deserialize)]
struct Stamped {
    wall: i64,
    number: i64,
}

#[derive(Debug, Deserialize)]
struct Past {
    /// Pictures at the places where the page was sent to.
    stops: Vec<Stamped>,
    /// How many pictures the two cameras were apart, look by look.
    apart: Vec<i64>,
    /// When the picture before a gap was taken that was played over, and that behind it.
    leap: (i64, i64),
    mp4: Mp4,
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Mp4 {
    /// Status and `Content-Range` of each answer.
    answers: Vec<(u16, String)>,
    duration: f64,
    advanced: f64,
    /// The number of the picture at its beginning, and of that two seconds on.
    numbers: (i64, i64),
}

/// Two cameras that show the same, because they pull the same stream: what was recorded of them plays in the page, over a gap,
/// each picture at its time and both together; and as MP4 in a plain video element.
#[tokio::test]
async fn what_was_recorded_plays() -> Result<()> {
    /// The clip's length, and how long each of its pictures is shown.
    const ROUND_MS: i64 = 12_000;
    const PICTURE_MS: i64 = 40;
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let schedules = [("gate.yaml", "gate"), ("yard.yaml", "yard")];
    let mut builder = MediaNode::standalone();
    for (_, name) in schedules {
        builder = builder.manifest(
            &format!("{name}-camera.yaml"),
            rtsp_camera(name, camera.url("stamped"), ""),
        );
    }
    let node = builder.argument("--segment-seconds=2").start().await?;
    for round in 0..2 {
        for (file, name) in schedules {
            node.apply(file, &recorded(name))?;
        }
        tokio::try_join!(record_for(&node, "gate", 4), record_for(&node, "yard", 4))?;
        if round == 1 {
            break;
        }
        for (file, _) in schedules {
            node.delete(file)?;
        }
        // While it goes on, segments of two seconds follow each other.
        eventually(secs(20), "the recording to end", async || {
            for (_, name) in schedules {
                let end_ms = spans(&node, name)
                    .await?
                    .last()
                    .map_or(i64::MAX, |span| span.end_ms);
                ensure!(now_ms() - end_ms >= 4_000, "{name} is recorded");
            }
            Ok(())
        })
        .await?;
    }
    let [first, second, ..] = spans(&node, "gate").await?[..] else {
        ensure!(false, "no gap: {:?}", spans(&node, "gate").await?);
        return Ok(());
    };
    let past: Past = browser::run(
        "recorded.mjs",
        &[
            "--url",
            &node.http("/"),
            "--token",
            &node.login().await?.access,
            "--from",
            &first.start_ms.to_string(),
            "--gap",
            &first.end_ms.to_string(),
            "--on",
            &second.start_ms.to_string(),
        ],
    )
    .await?;
    ensure!(past.errors.is_empty(), "{past:?}");

    // All pictures, before the gap and behind it, have the camera's time: what is left of it is when its clip began.
    let began = |at: &Stamped| (at.wall - at.number * PICTURE_MS).rem_euclid(ROUND_MS);
    let base = began(past.stops.first().context("a picture")?);
    for stop in &past.stops {
        let off = (began(stop) - base + ROUND_MS / 2).rem_euclid(ROUND_MS) - ROUND_MS / 2;
        ensure!(off.abs() <= 200, "{stop:?} is {off} ms off: {past:?}");
    }
    let inside = |span: Span, at: i64| (span.start_ms - 200..=span.end_ms + 200).contains(&at);
    ensure!(
        inside(first, past.leap.0) && past.leap.1 >= second.start_ms - 200,
        "{first:?} {second:?}: {past:?}"
    );
    let most = past.apart.iter().map(|pictures| pictures.abs()).max();
    ensure!(
        past.apart.len() >= 10 && most.is_some_and(|most| most * PICTURE_MS <= 200),
        "{past:?}"
    );

    let mp4 = &past.mp4;
    ensure!(
        !mp4.answers.is_empty()
            && mp4
                .answers
                .iter()
                .all(|(status, range)| *status == 206 && range.starts_with("bytes ")),
        "{past:?}"
    );
    let length = (first.end_ms - first.start_ms) as f64 / 1000.0;
    ensure!(
        (mp4.duration - length).abs() < 0.3 && mp4.advanced >= 1.0,
        "{first:?}: {past:?}"
    );
    let on = (mp4.numbers.1 - mp4.numbers.0).rem_euclid(ROUND_MS / PICTURE_MS);
    ensure!(
        (48..=52).contains(&on),
        "two seconds on is {on} pictures on: {past:?}"
    );
    Ok(())
}
