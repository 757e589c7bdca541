//! What is recorded when, and how it is shown: as MP4, as HLS, as spans, and to whom.

use std::fs;

use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use tokio::process::Command;
use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make},
    ensure, eventually,
    footage::{Clip, now_ms, record_for, spans, until_stored},
    line::Lines,
    manifest::{recorded, rtsp_camera, schedule},
    media_node::{Builder, MediaNode},
    player,
    process::output,
    s3::{Store, files},
    wait::{secs, throughout},
};

const CLIP: &str = "h264_aac.mp4";

/// Segments of two seconds.
fn node() -> Builder {
    MediaNode::standalone()
        .argument("--segment-seconds")
        .argument("2")
}

/// A node that has recorded some seconds of the camera `cam`, and goes on.
async fn some_footage(camera: &Camera, seconds: u64) -> Result<MediaNode> {
    let node = node()
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest("always.yaml", recorded("cam"))
        .start()
        .await?;
    record_for(&node, "cam", seconds).await?;
    Ok(node)
}

/// `HH:MM:SS` of that time in UTC.
fn time_of_day(ms: i64) -> String {
    let seconds = ms.div_euclid(1000).rem_euclid(86_400);
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Today in UTC, as `YYYY-MM-DD`.
async fn today() -> Result<String> {
    let text = output(Command::new("date").args(["-u", "+%F"]), secs(10)).await?;
    Ok(text.trim().to_owned())
}

#[tokio::test]
async fn a_window_opens_and_closes() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    // In whole seconds, some from now; around midnight it would be two windows.
    let opens = (now_ms() / 1000 + 12) * 1000;
    let closes = opens + 6000;
    let (from, to) = (time_of_day(opens), time_of_day(closes));
    if from > to {
        tokio::time::sleep(secs(20)).await;
        return Box::pin(a_window_opens_and_closes_after(&clip, &camera)).await;
    }
    window(&clip, &camera, opens, closes).await
}

async fn a_window_opens_and_closes_after(clip: &Clip, camera: &Camera) -> Result<()> {
    let opens = (now_ms() / 1000 + 12) * 1000;
    window(clip, camera, opens, opens + 6000).await
}

async fn window(clip: &Clip, camera: &Camera, opens: i64, closes: i64) -> Result<()> {
    let days = "[Mon, Tue, Wed, Thu, Fri, Sat, Sun]";
    let (from, to) = (time_of_day(opens), time_of_day(closes));
    let node = node()
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest(
            "window.yaml",
            schedule(
                "window",
                &format!(
                    "  cameras: {{names: [cam]}}\n  timeZone: UTC\n  windows: [{{days: {days}, start: \"{from}\", end: \"{to}\"}}]\n"
                ),
            ),
        )
        .start()
        .await?;
    node.until_ready("cam").await?;
    ensure!(now_ms() < opens, "the machine is too slow for this test");
    ensure!(
        spans(&node, "cam").await?.is_empty(),
        "it records before the window"
    );
    until_stored(&node, "cam", closes - 2500, secs(40)).await?;
    // Nothing new begins when it has closed.
    tokio::time::sleep(secs(4)).await;
    let footage = clip.recorded(&node, "cam").await?;
    footage.expect_whole()?;
    let all = spans(&node, "cam").await?;
    ensure!(all.len() == 1, "{all:?}");
    let (start, end) = (all[0].start_ms - opens, all[0].end_ms - closes);
    // It begins with a keyframe at hand, and ends with the group of pictures in which the window closes.
    ensure!(
        (-2100..2500).contains(&start),
        "it begins {start} ms after the window opens"
    );
    ensure!(
        (-500..2700).contains(&end),
        "it ends {end} ms after the window closes"
    );
    let open = files(&node.data().join("spool/open"), ".mp4")?;
    ensure!(open.is_empty(), "{open:?} is still being written");
    Ok(())
}

#[tokio::test]
async fn what_is_suspended_or_excepted_is_not_recorded() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let always = |more: &str| format!("  cameras: {{names: [cam]}}\n  timeZone: UTC\n  always: true\n{more}");
    let excepted = format!("  exceptDates: [\"{}\"]\n", today().await?);
    let node = node()
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest("one.yaml", schedule("one", &always("  suspend: true\n")))
        .manifest("two.yaml", schedule("two", &always(&excepted)))
        .start()
        .await?;
    node.until_ready("cam").await?;
    throughout(secs(4), "nothing should be recorded", async || {
        ensure!(
            files(&node.data().join("spool"), ".mp4")?.is_empty(),
            "something is in the spool"
        );
        ensure!(spans(&node, "cam").await?.is_empty(), "something is stored");
        Ok(())
    })
    .await?;
    // It goes on, and stops again.
    node.apply("one.yaml", &schedule("one", &always("")))?;
    record_for(&node, "cam", 2).await?;
    node.apply("one.yaml", &schedule("one", &always("  suspend: true\n")))?;
    eventually(secs(10), "the recording to end", async || {
        ensure!(
            files(&node.data().join("spool"), ".mp4")?.is_empty(),
            "something is in the spool"
        );
        Ok(())
    })
    .await?;
    let stored = spans(&node, "cam").await?;
    throughout(secs(3), "nothing more should be recorded", async || {
        ensure!(spans(&node, "cam").await? == stored, "it goes on");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_camera_on_demand_is_dialled_to_be_recorded() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let node = node()
        .manifest(
            "cam.yaml",
            rtsp_camera(
                "cam",
                camera.url("h264"),
                "  connect: OnDemand\n  idleTimeout: 2s\n",
            ),
        )
        .start()
        .await?;
    throughout(secs(2), "nobody asks for it", async || {
        ensure!(!camera.log().contains("plays"), "it is dialled");
        Ok(())
    })
    .await?;
    node.apply("always.yaml", &recorded("cam"))?;
    record_for(&node, "cam", 5).await?;
    clip.recorded(&node, "cam").await?.expect_whole()?;
    node.delete("always.yaml")?;
    eventually(secs(15), "the camera to be let go", async || {
        ensure!(camera.log().contains("gone"), "it is still connected");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn long_recordings_are_cut_and_overlap() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let lines = Lines::start().await?;
    let store = Store::start(&lines).await?;
    // Notes on recordings wait for their segments, so that they can be looked at.
    store.line.cut().await?;
    let node = node()
        .manifest("pool.yaml", store.pool())
        .manifest("keys.yaml", store.keys())
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest(
            "long.yaml",
            schedule(
                "long",
                "  cameras: {names: [cam]}\n  always: true\n  recordingLength: 4s\n  overlap: 1\n",
            ),
        )
        .start()
        .await?;
    let notes = eventually(secs(35), "three recordings", async || {
        let mut notes = Vec::new();
        for file in files(&node.data().join("spool/recordings"), ".json")? {
            let note: Value = serde_json::from_slice(&fs::read(file)?)?;
            let at = |key: &str| note[key].as_i64().context("a time");
            notes.push((at("startMs")?, at("endMs")?, note["closed"] == true));
        }
        notes.sort_unstable();
        ensure!(notes.iter().filter(|n| n.2).count() >= 3, "{notes:?}");
        Ok(notes)
    })
    .await?;
    for pair in notes.windows(2).take(2) {
        let ((start, end, _), (next, ..)) = (pair[0], pair[1]);
        // Its length, and up to the next keyframe.
        ensure!((3900..6200).contains(&(end - start)), "{notes:?}");
        // The next repeats one group of pictures, which has two seconds.
        ensure!((1900..2100).contains(&(end - next)), "{notes:?}");
    }
    Ok(())
}

/// What ffprobe says of a file.
async fn described(url: &str) -> Result<Value> {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-count_packets",
        "-show_format",
        "-show_streams",
        "-of",
        "json",
        url,
    ]);
    Ok(serde_json::from_str(&output(&mut command, secs(30)).await?)?)
}

fn number(value: &Value) -> Result<f64> {
    Ok(value.as_str().context("a number")?.parse()?)
}

#[tokio::test]
async fn any_range_is_one_file() -> Result<()> {
    let (clip, camera) = (Clip::of(CLIP).await?, Camera::start(Make::Go, Auth::None).await?);
    let node = some_footage(&camera, 8).await?;
    clip.recorded(&node, "cam").await?.expect_whole()?;
    let span = spans(&node, "cam").await?[0];
    // Neither end is at a keyframe, or at a segment's.
    let (from, to) = (span.start_ms + 1300, span.start_ms + 6900);
    let url = node.http(&format!("/recordings/cam.mp4?from={from}&to={to}"));
    let found = described(&url).await?;
    let duration = number(&found["format"]["duration"])?;
    ensure!((duration - 5.6).abs() < 0.1, "it lasts {duration} s");
    let streams = found["streams"].as_array().context("streams")?;
    ensure!(streams.len() == 2, "{found}");
    for stream in streams {
        // Sound before the beginning is in the file and not read; of pictures all are, for those behind need them.
        let is_sound = stream["codec_type"] == "audio";
        ensure!(
            is_sound || stream["nb_frames"] == stream["nb_read_packets"],
            "{stream}"
        );
        let seconds = number(&stream["duration"])?;
        ensure!((seconds - 5.6).abs() < 1.1, "a track lasts {seconds} s");
    }
    ensure!(
        player::decode(&url, &[], 10.0).await?.is_empty(),
        "it can't be decoded"
    );
    // The picture at a time is that of the file's beginning on.
    let whole = clip.pictures(&url).await?;
    whole.expect_whole()?;
    let second = clip
        .pictures(&node.http(&format!("/recordings/cam.mp4?from={}&to={to}", from + 3000)))
        .await?;
    let (last, other) = (whole.pictures().last(), second.pictures().last());
    ensure!(
        last.map(|p| p.number) == other.map(|p| p.number),
        "{last:?} {other:?}"
    );
    // Seeking, to anywhere.
    for at in ["0", "2.5", "5.0"] {
        let mut seek = Command::new("ffmpeg");
        seek.args(["-hide_banner", "-nostdin", "-v", "error", "-ss", at, "-i", &url]);
        seek.args(["-frames:v", "1", "-map", "0:v", "-f", "framemd5", "-"]);
        let text = output(&mut seek, secs(30)).await?;
        ensure!(
            text.lines().filter(|l| !l.starts_with('#')).count() == 1,
            "at {at}: {text}"
        );
    }
    // RFC 3339 says the same.
    let date = output(
        Command::new("date").args(["-u", "-d", &format!("@{}", to / 1000), "+%FT%TZ"]),
        secs(10),
    )
    .await?;
    let (status, _) = node
        .text(&format!("/recordings/cam.m3u8?from={from}&to={}", date.trim()))
        .await?;
    ensure!(status == StatusCode::OK, "{status} for {date}");
    Ok(())
}

#[tokio::test]
async fn byte_ranges_are_exact() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = some_footage(&camera, 6).await?;
    let span = spans(&node, "cam").await?[0];
    let client = Client::builder().no_proxy().timeout(secs(20)).build()?;
    let (from, to) = (span.start_ms + 700, span.start_ms + 5200);
    let playlist = node
        .text(&format!("/recordings/cam.m3u8?from={from}&to={to}"))
        .await?
        .1;
    let segment = playlist.lines().find(|l| l.starts_with("/recordings/segments/"));
    let segment = segment.context("a segment in the playlist")?.to_owned();
    for path in [format!("/recordings/cam.mp4?from={from}&to={to}"), segment] {
        let url = node.http(&path);
        let answer = client.get(&url).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
        let tag = answer.headers()[header::ETAG].to_str()?.to_owned();
        ensure!(answer.headers()[header::ACCEPT_RANGES] == "bytes", "no ranges");
        let whole = answer.bytes().await?;
        let length = whole.len();
        let head = client.head(&url).send().await?;
        ensure!(
            head.headers()[header::CONTENT_LENGTH] == length.to_string().as_str(),
            "{head:?}"
        );
        let mut ranges = vec![
            (0, 0),
            (0, length - 1),
            (length - 1, length - 1),
            (length / 2, length / 2 + 5000),
        ];
        // Across the places where objects and fragments meet.
        ranges.extend((0..20).map(|n| (length * n / 20, (length * n / 20 + 40_000).min(length - 1))));
        for (first, last) in ranges {
            let part = client
                .get(&url)
                .header(header::RANGE, format!("bytes={first}-{last}"))
                .header(header::IF_RANGE, &tag)
                .send()
                .await?;
            ensure!(part.status() == StatusCode::PARTIAL_CONTENT, "{}", part.status());
            let told = part.headers()[header::CONTENT_RANGE].to_str()?.to_owned();
            ensure!(told == format!("bytes {first}-{last}/{length}"), "{told}");
            ensure!(
                part.bytes().await? == whole[first..=last],
                "{path} from {first} to {last}"
            );
        }
        let status = |range: String, tag: &str| {
            let request = client
                .get(&url)
                .header(header::RANGE, range)
                .header(header::IF_RANGE, tag);
            async move { Ok::<_, anyhow::Error>(request.send().await?.status()) }
        };
        ensure!(
            status(format!("bytes={length}-"), &tag).await? == StatusCode::RANGE_NOT_SATISFIABLE,
            "behind the end"
        );
        ensure!(
            status("bytes=-7".to_owned(), &tag).await? == StatusCode::PARTIAL_CONTENT,
            "the last bytes"
        );
        ensure!(
            status("bytes=0-1,5-6".to_owned(), &tag).await? == StatusCode::OK,
            "several ranges are all of it"
        );
        // A range of another file is all of this one.
        let other = client.get(&url).header(header::RANGE, "bytes=0-1");
        let other = other.header(header::IF_RANGE, "\"another\"").send().await?;
        ensure!(other.status() == StatusCode::OK, "{}", other.status());
        ensure!(other.bytes().await? == whole, "{path} of another file");
    }
    Ok(())
}

#[tokio::test]
async fn hls_plays_over_a_gap() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let folder = some_footage(&camera, 5).await?.stop().await?;
    let node = node().start_in(folder).await?;
    record_for(&node, "cam", 5).await?;
    let all = spans(&node, "cam").await?;
    ensure!(all.len() == 2, "{all:?}");
    let to = all[1].end_ms;
    let path = format!("/recordings/cam.m3u8?from={}&to={to}", all[0].start_ms);
    let (status, text) = node.text(&path).await?;
    ensure!(status == StatusCode::OK, "{status} {text}");
    ensure!(
        text.contains("#EXT-X-ENDLIST") && text.contains("#EXT-X-PROGRAM-DATE-TIME:"),
        "{text}"
    );
    ensure!(text.matches("#EXT-X-DISCONTINUITY\n").count() == 1, "{text}");
    let told: f64 = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("#EXTINF:")?
                .strip_suffix(',')?
                .parse::<f64>()
                .ok()
        })
        .sum();
    let is: i64 = all.iter().map(|s| s.end_ms - s.start_ms).sum();
    ensure!(
        (told - is as f64 / 1000.0).abs() < 0.3,
        "{told} s of {is} ms: {text}"
    );
    // The pictures of the MP4, one after the other. A clip goes round, so that hashes alone would come again in time.
    let pictures = async |url: &str| -> Result<Vec<String>> {
        let mut command = Command::new("ffmpeg");
        command.args([
            "-hide_banner",
            "-nostdin",
            "-v",
            "error",
            "-i",
            url,
            "-map",
            "0:v",
        ]);
        command.args(["-c", "copy", "-f", "framemd5", "-"]);
        let text = output(&mut command, secs(30)).await?;
        let hashes = text.lines().filter(|l| !l.starts_with('#'));
        Ok(hashes
            .filter_map(|l| Some(l.rsplit(',').next()?.trim().to_owned()))
            .collect())
    };
    let (hls, mp4) = (
        pictures(&node.http(&path)).await?,
        pictures(&node.http(&path.replace(".m3u8", ".mp4"))).await?,
    );
    let differs = hls.iter().zip(&mp4).position(|(one, other)| one != other);
    ensure!(
        !hls.is_empty() && hls.len() == mp4.len() && differs.is_none(),
        "{} pictures by HLS, {} in the MP4; the first that differs: {differs:?}",
        hls.len(),
        mp4.len()
    );
    Ok(())
}

#[tokio::test]
async fn every_codec_is_recorded() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let all = ["h264", "h265", "bframes", "g711", "alaw"];
    let mut builder = node();
    for path in all {
        builder = builder
            .manifest(&format!("{path}.yaml"), rtsp_camera(path, camera.url(path), ""))
            .manifest(&format!("{path}-rec.yaml"), recorded(path));
    }
    let node = builder.start().await?;
    let at = now_ms() + 5000;
    for path in all {
        until_stored(&node, path, at, secs(25)).await?;
    }
    for (path, clip, codecs) in [
        ("h264", Some("h264_aac.mp4"), vec!["aac", "h264"]),
        ("h265", Some("h265_aac.mp4"), vec!["aac", "hevc"]),
        ("bframes", Some("h264_bframes.mp4"), vec!["aac", "h264"]),
        ("g711", Some("h264_other.mp4"), vec!["h264", "pcm_mulaw"]),
        ("alaw", Some("h264_other.mp4"), vec!["h264", "pcm_alaw"]),
    ] {
        // Not what is recorded while the others are looked at.
        let url = node.http(&format!("/recordings/{path}.mp4?from=0&to={at}"));
        let found = described(&url).await?;
        let mut names: Vec<&str> = found["streams"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|s| s["codec_name"].as_str())
            .collect();
        names.sort_unstable();
        ensure!(names == codecs, "{path}: {names:?}");
        ensure!(
            player::decode(&url, &[], 20.0).await?.is_empty(),
            "{path} can't be decoded"
        );
        if let Some(clip) = clip {
            let footage = Clip::of(clip).await?.pictures(&url).await?;
            footage.expect_whole().with_context(|| path.to_owned())?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn recordings_are_for_who_may_watch() -> Result<()> {
    let camera = Camera::start(Make::Go, Auth::None).await?;
    let node = node()
        .protected()
        .manifest("cam.yaml", rtsp_camera("cam", camera.url("h264"), ""))
        .manifest("always.yaml", recorded("cam"))
        .start()
        .await?;
    let admin = node.login().await?.access;
    let client = Client::builder().no_proxy().timeout(secs(20)).build()?;
    for (name, pull) in [("guest", "/cam"), ("stranger", "/elsewhere")] {
        let user = json!({"name": name, "password": "canary-user-7jPd", "push": "", "pull": pull});
        let url = node.http(&format!("/api/v1/users?token={admin}"));
        let made = client.post(url).body(user.to_string()).send().await?;
        ensure!(made.status().is_success(), "{}", made.status());
    }
    let guest = node.login_as("guest", "canary-user-7jPd").await?.access;
    let stranger = node.login_as("stranger", "canary-user-7jPd").await?.access;
    let playlist = eventually(secs(25), "some footage", async || {
        let (status, text) = node
            .text(&format!("/recordings/cam.m3u8?from=0&token={admin}"))
            .await?;
        ensure!(status == StatusCode::OK, "{status} {text}");
        Ok(text)
    })
    .await?;
    // The playlist hands the token on.
    let segment = playlist
        .lines()
        .find(|l| l.starts_with("/recordings/segments/"))
        .context("a segment")?;
    let (segment, token) = segment.split_once("?token=").context("a token")?;
    ensure!(token == admin, "another token");
    let at = |path: &str, token: &str| {
        let glue = if path.contains('?') { '&' } else { '?' };
        format!("{path}{glue}token={token}")
    };
    for path in [
        "/api/weir/v1/recordings?path=cam&from=0",
        "/recordings/cam.mp4?from=0",
        "/recordings/cam.m3u8?from=0",
        segment,
    ] {
        for (who, expected) in [
            (path.to_owned(), 401),
            (at(path, "wrong"), 401),
            (at(path, &stranger), 403),
            (at(path, &guest), 200),
            (at(path, &admin), 200),
        ] {
            let status = client.head(node.http(&who)).send().await?.status();
            ensure!(status == expected, "{who}: {status}, not {expected}");
        }
    }
    // What is not there.
    let start = spans_of(&node, &admin).await?;
    for path in [
        "/recordings/absent.mp4?from=0".to_owned(),
        "/recordings/absent.m3u8?from=0".to_owned(),
        "/api/weir/v1/recordings?path=absent".to_owned(),
        "/recordings/cam.avi?from=0".to_owned(),
        "/recordings/cam".to_owned(),
        format!("/recordings/cam.mp4?from=1000&to={}", start - 60_000),
        "/recordings/segments/cam/1.mp4".to_owned(),
        "/recordings/segments/..%2f..%2fweir/weir.sqlite".to_owned(),
        "/recordings/segments/00000000-0000-0000-0000-000000000000/0-0-0000000000000000-0.mp4".to_owned(),
        format!("{}0.mp4", segment.trim_end_matches(".mp4")),
    ] {
        let (status, _) = node.text(&at(&path, &admin)).await?;
        ensure!(status == StatusCode::NOT_FOUND, "{path}: {status}");
    }
    Ok(())
}

async fn spans_of(node: &MediaNode, token: &str) -> Result<i64> {
    let (_, text) = node
        .text(&format!("/api/weir/v1/recordings?path=cam&from=0&token={token}"))
        .await?;
    let told: Value = serde_json::from_str(&text)?;
    told["spans"][0]["startMs"].as_i64().context("a span")
}

#[tokio::test]
async fn bad_parameters_are_named() -> Result<()> {
    let node = node().file_camera("cam", CLIP, "").start().await?;
    let bases = [
        "/recordings/cam.mp4",
        "/recordings/cam.m3u8",
        "/api/weir/v1/recordings",
    ];
    for base in bases {
        for (query, field) in [
            ("from=yesterday", "from"),
            ("to=soon", "to"),
            ("from=2026-02-30T00:00:00Z", "from"),
            ("from=2026-01-01", "from"),
            ("from=99999999999999999999999", "from"),
            ("from=1e3", "from"),
            ("to=%00", "to"),
            ("from=5&to=5", "from"),
            ("from=6&to=5", "from"),
        ] {
            let url = format!("{base}?path=cam&{query}");
            let (status, text) = node.text(&url).await?;
            ensure!(status == StatusCode::BAD_REQUEST, "{url}: {status} {text}");
            ensure!(text.contains(field), "{url} does not name {field}: {text}");
        }
        // The ends of time are times.
        for query in [
            "from=-9223372036854775808&to=9223372036854775807",
            "from=-5&to=-4",
        ] {
            let url = format!("{base}?path=cam&{query}");
            let (status, text) = node.text(&url).await?;
            ensure!(
                status == StatusCode::OK || status == StatusCode::NOT_FOUND,
                "{url}: {status} {text}"
            );
        }
    }
    Ok(())
}
