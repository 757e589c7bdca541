//! Weir's own pages in headless Chromium.

use std::collections::BTreeMap;

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

/// What went over one socket of a page.
#[derive(Debug, Deserialize)]
struct Talk {
    /// Commands of WSP, with the method of RTSP that they wrap.
    said: Vec<String>,
    heard: Vec<String>,
    /// How many packets came, by channel.
    packets: BTreeMap<String, u32>,
    closed: bool,
}

/// What a page with Streamedian's player showed.
#[derive(Debug, Deserialize)]
struct Heard {
    #[serde(flatten)]
    watched: Watched,
    /// Bytes of sound that were decoded.
    sound: u64,
}

impl Heard {
    /// Asserts that picture and sound went on for three seconds.
    fn expect(&self, size: (u32, u32)) -> Result<()> {
        self.watched.expect(3.0)?;
        ensure!((self.watched.width, self.watched.height) == size, "{self:?}");
        // Of 25 a second.
        ensure!(self.watched.pictures >= 45 && self.sound > 0, "{self:?}");
        Ok(())
    }
}

/// At first, and what its sockets carried.
#[derive(Debug, Deserialize)]
struct Played {
    first: Heard,
    sockets: Vec<Talk>,
    errors: Vec<String>,
}

/// The same through a pause, a seek and a teardown.
#[derive(Debug, Deserialize)]
struct Tour {
    #[serde(flatten)]
    played: Played,
    /// How far the clock went in a pause of 1.5 s.
    stood: f64,
    resumed: Heard,
    /// How far the seek went.
    leapt: f64,
    sought: Heard,
    again: Heard,
}

/// Plays `a/door` with Streamedian's player for web pages, which speaks WSP.
async fn streamedian<T: for<'a> Deserialize<'a>>(node: &MediaNode, query: &str, more: &[&str]) -> Result<T> {
    let socket = node.ws(&format!("/streams/a/door{query}"));
    let source = node.rtsp("a/door");
    let mut arguments = vec!["--socket", &socket, "--source", &source];
    arguments.extend(more);
    browser::run("wsp.mjs", &arguments).await
}

/// What it plays.
async fn door(clip: &str, protected: bool) -> Result<MediaNode> {
    let builder = MediaNode::standalone().file_camera("door", clip, "  path: a/door\n");
    let node = if protected { builder.protected() } else { builder }
        .start()
        .await?;
    node.until_ready("door").await?;
    Ok(node)
}

#[tokio::test]
async fn streamedians_player_plays_on_after_a_pause_a_seek_and_a_teardown() -> Result<()> {
    let node = door("h264_aac.mp4", true).await?;
    let query = format!("?token={}", node.login().await?.access);
    let tour: Tour = streamedian(&node, &query, &[]).await?;
    let Played {
        first,
        sockets,
        errors,
    } = &tour.played;
    ensure!(errors.is_empty(), "{tour:?}");
    for (stage, heard) in [
        ("first", first),
        ("after a pause", &tour.resumed),
        ("after a seek", &tour.sought),
        ("after a teardown", &tour.again),
    ] {
        heard.expect((1280, 720)).with_context(|| stage.to_owned())?;
    }
    // They are counted on, until there is another player.
    for (former, latter) in [(first, &tour.resumed), (&tour.resumed, &tour.sought)] {
        ensure!(
            latter.watched.pictures >= former.watched.pictures + 45 && latter.sound > former.sound,
            "{tour:?}"
        );
    }
    ensure!(tour.stood < 0.2 && tour.leapt > 0.0, "{tour:?}");

    let [control, data, next, _] = &sockets[..] else {
        ensure!(false, "{sockets:?}");
        return Ok(());
    };
    let asked = [
        "INIT",
        "WRAP OPTIONS",
        "WRAP DESCRIBE",
        "WRAP SETUP",
        "WRAP SETUP",
        "WRAP PLAY",
    ];
    ensure!(
        control.said.starts_with(&asked.map(str::to_owned))
            && next.said.starts_with(&asked.map(str::to_owned)),
        "{sockets:?}"
    );
    ensure!(
        control.said.last().is_some_and(|last| last == "WRAP TEARDOWN") && control.closed && data.closed,
        "{sockets:?}"
    );
    ensure!(
        control
            .heard
            .iter()
            .all(|text| text.starts_with("WSP/1.1 200 OK\r\n"))
            && control.heard[1..]
                .iter()
                .all(|text| text.contains("\r\n\r\nRTSP/1.0 200 OK\r\n")),
        "{control:?}"
    );
    ensure!(
        data.said == ["JOIN"] && data.packets.contains_key("0") && data.packets.contains_key("2"),
        "{data:?}"
    );
    Ok(())
}

/// A keyframe that is so small that others of its kind share a packet with it.
#[tokio::test]
async fn streamedians_player_sees_in_the_dark() -> Result<()> {
    let node = door("h264_night.mp4", false).await?;
    let dark: Played = streamedian(&node, "", &["--once", "yes"]).await?;
    ensure!(dark.errors.is_empty(), "{dark:?}");
    dark.first.expect((640, 360))
}

#[tokio::test]
async fn streamedians_player_wants_a_token_where_viewing_does() -> Result<()> {
    let node = door("h264_aac.mp4", false).await?;
    let played: Played = streamedian(&node, "", &["--once", "yes"]).await?;
    ensure!(played.errors.is_empty(), "{played:?}");
    played.first.expect((1280, 720))?;

    let node = door("h264_aac.mp4", true).await?;
    let refused: Played = streamedian(&node, "", &["--once", "yes", "--limit", "5"]).await?;
    ensure!(
        refused.first.watched.pictures == 0 && refused.sockets.iter().all(|socket| socket.said.is_empty()),
        "{refused:?}"
    );
    ensure!(
        refused
            .errors
            .iter()
            .any(|error| error.contains("Authentication failed")),
        "{refused:?}"
    );
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
