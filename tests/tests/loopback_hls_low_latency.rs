//! Low-latency HLS: a follower of our own that measures, and players that are not ours.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::{Client, StatusCode};
use weir_tests::{
    Context, Result, browser, ensure, eventually,
    media_node::MediaNode,
    parted_playlist::{Part, PartedPlaylist},
    player,
    wait::secs,
};

/// A node with a camera `a/Door` (H.264, AAC) and a camera `h265` (H.265, AAC), both from files.
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

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

/// Follows a stream as the standard says, and checks what it reads.
struct Follower<'a> {
    node: &'a MediaNode,
    client: Client,
    path: &'a str,
    playlist: PartedPlaylist,
}

impl<'a> Follower<'a> {
    async fn start(node: &'a MediaNode, path: &'a str) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(secs(25)).build()?;
        let mut follower = Self {
            node,
            client,
            path,
            playlist: PartedPlaylist::default(),
        };
        follower.playlist = follower.load("").await?;
        Ok(follower)
    }

    async fn get(&self, path: &str) -> Result<Bytes> {
        let reply = self.client.get(self.node.http(path)).send().await?;
        let status = reply.status();
        let bytes = reply.bytes().await?;
        ensure!(
            status == StatusCode::OK,
            "{path}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        Ok(bytes)
    }

    async fn load(&self, query: &str) -> Result<PartedPlaylist> {
        let text = self
            .get(&format!("/streams/{}.m3u8?ll{query}", self.path))
            .await?;
        PartedPlaylist::read(&String::from_utf8_lossy(&text))
    }

    /// Waits for the next part, and returns those that are new, each with when it was taken.
    async fn next(&mut self) -> Result<Vec<(Part, Option<f64>)>> {
        let (number, index) = self.playlist.next().context("a part")?;
        let playlist = self
            .load(&format!("&_HLS_msn={number}&_HLS_part={index}"))
            .await?;
        playlist.follows(&self.playlist)?;
        let mut new = Vec::new();
        for segment in playlist.segments.iter().filter(|s| s.number >= number) {
            let skip = if segment.number == number { index } else { 0 };
            let mut at = segment.time;
            for (i, part) in segment.parts.iter().enumerate() {
                if i >= skip {
                    new.push((part.clone(), at));
                }
                at = at.map(|at| at + part.duration);
            }
        }
        ensure!(!new.is_empty(), "the reload brought nothing new");
        self.playlist = playlist;
        Ok(new)
    }
}

/// The middle one and the one that 95 % are not above, in milliseconds.
fn percentiles(mut values: Vec<f64>) -> (u64, u64) {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| (1000.0 * values[values.len() * share / 100]) as u64;
    (at(50), at(95))
}

#[tokio::test]
async fn parts_come_as_the_pictures_do() -> Result<()> {
    let node = node().await?;
    for (path, codec) in [("a/door", "h264"), ("h265", "hevc")] {
        let mut follower = Follower::start(&node, path).await?;
        let init = follower.playlist.segments[0].init.clone();
        let mut film = follower.get(&init).await?.to_vec();
        // From a keyframe on.
        let mut begun = false;
        let (mut ages, mut parts, mut loads) = (Vec::new(), 0, 0);
        // Two seams of segments.
        while parts < 25 {
            loads += 1;
            for (part, taken) in follower.next().await? {
                let bytes = follower.get(&part.uri).await?;
                let age = now()? - taken.context("a time")?;
                begun |= part.independent;
                if begun {
                    film.extend(bytes);
                    parts += 1;
                    ages.push(age);
                }
            }
        }
        let (half, most) = percentiles(ages);
        println!(
            "{path}: the first picture of a part is {half} ms old when it is here, p95 {most} ms; {loads} loads"
        );
        ensure!(half < 600, "{half} ms old");
        // Not late either: no part can be here before it has been taken.
        ensure!(half > 100, "{half} ms: the times are wrong");
        let file = node.folder().join(format!("{codec}.mp4"));
        std::fs::write(&file, film)?;
        let name = file.to_string_lossy();
        player::probe(&name, &[], 20.0)
            .await?
            .expect(&[codec, "aac"], 5.0)?;
        let complaints = player::decode(&name, &[], 20.0).await?;
        ensure!(complaints.is_empty(), "{complaints}");
    }
    Ok(())
}

#[tokio::test]
async fn the_first_part_is_there_at_once() -> Result<()> {
    let node = node().await?;
    // So that there is something in the cache of pictures.
    player::probe(&node.http("/streams/a/door.flv"), &[], 1.0).await?;
    let begin = Instant::now();
    let follower = Follower::start(&node, "a/door").await?;
    let newest = follower.playlist.segments.last().context("a segment")?;
    let part = &newest.parts[0];
    let bytes = follower.get(&part.uri).await?;
    let took = begin.elapsed();
    println!("the first part is here after {took:?}");
    ensure!(took < Duration::from_millis(1500), "{took:?}");
    ensure!(part.independent && bytes[4..8] == *b"moof", "{part:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_hinted_is_waited_for() -> Result<()> {
    let node = node().await?;
    let mut follower = Follower::start(&node, "a/door").await?;
    let mut ages = Vec::new();
    for _ in 0..12 {
        let hint = follower.playlist.hint.clone();
        let early = follower.get(&hint).await?;
        let at = now()?;
        let new = follower.next().await?;
        let (part, taken) = &new[0];
        ensure!(part.uri == hint, "{hint} was hinted, {} came", part.uri);
        ensure!(early == follower.get(&hint).await?, "it has changed");
        ages.push(at - taken.context("a time")?);
    }
    let (half, most) = percentiles(ages);
    println!("by its hint: {half} ms old, p95 {most} ms");
    // The whole of a segment is its parts.
    let whole = eventually(secs(10), "a segment to be whole", async || {
        let playlist = follower.load("").await?;
        let whole = playlist
            .segments
            .into_iter()
            .rev()
            .find(|s| s.whole.is_some() && !s.gap);
        whole.context("none")
    })
    .await?;
    let (_, uri) = whole.whole.context("whole")?;
    let mut parts = Vec::new();
    for part in &whole.parts {
        parts.extend(follower.get(&part.uri).await?);
    }
    ensure!(follower.get(&uri).await? == parts, "{uri} differs from its parts");
    // Waiting for the whole of the one that is open.
    let (open, _) = follower.load("").await?.next().context("a part")?;
    let playlist = follower.load(&format!("&_HLS_msn={open}")).await?;
    ensure!(
        playlist
            .segments
            .iter()
            .any(|s| s.number == open && s.whole.is_some()),
        "{playlist:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() -> Result<()> {
    let node = node().await?;
    let follower = Follower::start(&node, "a/door").await?;
    let (number, index) = follower.playlist.next().context("a part")?;
    let playlist = "/streams/a/door.m3u8?ll";
    for query in [
        "_HLS_part=0".to_owned(),
        "_HLS_msn=".to_owned(),
        "_HLS_msn=x".to_owned(),
        "_HLS_msn=-1".to_owned(),
        "_HLS_msn=1.5".to_owned(),
        "_HLS_msn=99999999999999999999".to_owned(),
        format!("_HLS_msn={number}&_HLS_part=x"),
        format!("_HLS_msn={number}&_HLS_part=-1"),
        format!("_HLS_msn={number}&_HLS_part=4294967296"),
        format!("_HLS_msn={}", number + 5),
        format!("_HLS_msn={}&_HLS_part=0", u64::MAX),
        format!("_HLS_msn={number}&_HLS_part={}", index + 100),
    ] {
        let begin = Instant::now();
        let (status, text) = node.text(&format!("{playlist}&{query}")).await?;
        ensure!(status == 400, "{query}: {status} {text}");
        ensure!(begin.elapsed() < secs(1), "{query} is refused late");
    }
    // What has been is answered at once, and whole.
    let (status, text) = node.text(&format!("{playlist}&_HLS_msn=1&_HLS_part=77")).await?;
    ensure!(status == 200, "{status} {text}");
    PartedPlaylist::read(&text)?;
    // So is what only some servers know.
    let (status, text) = node.text(&format!("{playlist}&_HLS_skip=YES")).await?;
    ensure!(status == 200 && !text.contains("EXT-X-SKIP"), "{status} {text}");

    for (name, want) in [
        ("ll-x.m4s", 400),
        ("ll-.m4s", 400),
        ("ll-1-2-3.m4s", 400),
        ("ll-init-x.mp4", 400),
        ("ll-init-0000000a.m4s", 400),
        ("ll-1-2.mp4", 400),
        ("ll-1.m4s", 404),
        ("ll-1-0.m4s", 404),
        ("ll-init-00000000.mp4", 404),
        ("ll-18446744073709551615-0.m4s", 404),
    ] {
        let (status, text) = node.text(&format!("/streams/a/door/{name}")).await?;
        ensure!(status == want, "{name}: {status} {text}");
    }
    let far = format!("/streams/a/door/ll-{number}-{}.m4s", index + 50);
    ensure!(node.text(&far).await?.0 == 404, "{far}");
    for absent in ["/streams/none.m3u8?ll", "/streams/none/ll-1-0.m4s"] {
        let (status, text) = node.text(absent).await?;
        ensure!(
            status == 404 && text == "404 page not found\n",
            "{absent}: {status} {text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn caches_are_told_what_they_may_keep() -> Result<()> {
    let node = node().await?;
    let follower = Follower::start(&node, "a/door").await?;
    let newest = follower.playlist.segments.last().context("a segment")?;
    let part = &newest.parts[0].uri;
    for (path, content_type, cache) in [
        (
            "/streams/a/door.m3u8?ll",
            "application/vnd.apple.mpegurl",
            "no-cache",
        ),
        (part, "video/mp4", "public, max-age=60, immutable"),
        (
            &follower.playlist.segments[0].init,
            "video/mp4",
            "public, max-age=60, immutable",
        ),
        (
            &format!("{part}?token=x"),
            "video/mp4",
            "private, max-age=60, immutable",
        ),
    ] {
        for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
            let reply = follower.client.request(method, node.http(path)).send().await?;
            let headers = reply.headers();
            ensure!(reply.status() == 200, "{path}: {reply:?}");
            ensure!(
                headers["content-type"] == content_type
                    && headers["cache-control"] == cache
                    && headers["access-control-allow-origin"] == "*",
                "{path}: {headers:?}"
            );
        }
    }
    // The documented playlist is what it was.
    let (status, text) = node.text("/streams/a/door.m3u8").await?;
    ensure!(
        status == 200 && text.contains(".ts") && !text.contains("PART"),
        "{status} {text}"
    );
    Ok(())
}

#[tokio::test]
async fn who_waits_is_let_go_when_the_stream_ends() -> Result<()> {
    let node = node().await?;
    let follower = Follower::start(&node, "a/door").await?;
    let (number, index) = follower.playlist.next().context("a part")?;
    // A part that comes some time from now; its name can't be known by then.
    let query = format!("&_HLS_msn={number}&_HLS_part={}", index + 10);
    let waiting = follower.load(&query);
    let ending = async {
        node.delete("door.yaml")?;
        eventually(secs(10), "the stream to end", async || {
            let (status, _) = node.text("/streams/a/door.m3u8?ll").await?;
            ensure!(status == 404, "{status}");
            Ok(Instant::now())
        })
        .await
    };
    let waited = async { (waiting.await, Instant::now()) };
    let ((answer, answered), ended) = tokio::join!(waited, ending);
    let error = answer
        .err()
        .context("the part has come, although the camera was gone")?;
    ensure!(error.to_string().contains("503"), "{error:#}");
    let late = answered.saturating_duration_since(ended?);
    ensure!(late < secs(1), "it was let go {late:?} after the stream's end");
    Ok(())
}

#[tokio::test]
async fn players_that_know_no_parts_play_segments() -> Result<()> {
    let node = node().await?;
    for (path, codec) in [("a/door", "h264"), ("h265", "hevc")] {
        let url = node.http(&format!("/streams/{path}.m3u8?ll"));
        // At first there is no whole segment, and ffmpeg doesn't know what a gap is.
        player::probe(&url, &[], 3.0)
            .await?
            .expect(&[codec, "aac"], 3.0)?;
        let complaints = player::decode(&url, &[], 5.0).await?;
        ensure!(complaints.is_empty(), "{complaints}");
    }
    Ok(())
}

#[tokio::test]
async fn gstreamer_plays() -> Result<()> {
    let node = node().await?;
    // The version in Debian 12 plays whole segments, and loses its way where a playlist begins with a gap.
    eventually(secs(20), "three whole segments", async || {
        let (_, text) = node.text("/streams/a/door.m3u8?ll").await?;
        let segments = PartedPlaylist::read(&text)?.segments;
        let whole = segments.iter().filter(|s| s.whole.is_some() && !s.gap).count();
        ensure!(whole >= 3, "{whole}");
        Ok(())
    })
    .await?;
    let counts = player::gstreamer("hls", &node.http("/streams/a/door.m3u8?ll"), 70).await?;
    ensure!(counts["hlsdemux2"] == 1, "another element: {counts}");
    ensure!(counts["audio"].as_u64() > Some(50), "{counts}");
    Ok(())
}

#[tokio::test]
async fn a_web_page_plays_with_low_latency() -> Result<()> {
    let node = node().await?;
    let url = node.http("/streams/a/door.m3u8?ll");
    let watched = browser::play("hls-ll", &url, 6.0).await?;
    println!("{watched:?}");
    watched.expect(6.0)?;
    ensure!((watched.width, watched.height) == (1280, 720), "{watched:?}");
    ensure!(watched.errors.is_empty(), "{watched:?}");
    ensure!(watched.parts > 15, "it plays segments: {watched:?}");
    ensure!(watched.latency.is_some_and(|l| l < 3.0), "{watched:?}");
    Ok(())
}
