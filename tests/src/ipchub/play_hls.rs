//! Section 9: HLS.

use anyhow::{Context, Result, ensure};
use reqwest::Method;

use super::{Entry, Place};
use crate::{eventually, hls, player, tls, wait::secs};

/// The playlist with somebody's token.
async fn playlist(place: &Place, entry: &Entry, path: &str, query: &str) -> Result<String> {
    let reply = place.get(entry, &format!("/streams{path}.m3u8{query}")).await?;
    ensure!(
        reply.status == 200
            && reply.header("content-type") == "application/x-mpegURL"
            && reply.header("cache-control") == "no-cache"
            && reply.header("access-control-allow-origin") == "*",
        "{reply:?}"
    );
    Ok(reply.text)
}

/// Three segments, whose addresses hand the token on.
pub async fn ipchub_play_hls(place: &Place) -> Result<()> {
    let (path, tokens) = place.stream("hls").await?;
    let query = format!("?token={}", tokens.access);
    for entry in place.entries() {
        let what = "three segments to be listed";
        let text = eventually(secs(20), what, async || {
            let text = playlist(place, entry, &path.to_uppercase().replace("/IDS", "/ids"), &query).await?;
            ensure!(hls::listed(&text)?.len() == 3, "{text}");
            Ok(text)
        })
        .await?;
        let numbers: Vec<_> = hls::listed(&text)?.iter().map(|s| s.number).collect();
        ensure!(numbers[0] + 2 == numbers[2], "{text}");
        let head = format!("#EXT-X-MEDIA-SEQUENCE:{}\n", numbers[0]);
        ensure!(
            text.starts_with("#EXTM3U\n#EXT-X-VERSION:3\n")
                && text.contains(&head)
                && text.contains("#EXTINF:"),
            "{text}"
        );
        let longest = text.lines().filter_map(|l| {
            l.strip_prefix("#EXTINF:")?
                .trim_end_matches(',')
                .parse::<f64>()
                .ok()
        });
        let longest = longest.fold(0.0, f64::max);
        let target = format!("#EXT-X-TARGETDURATION:{}\n", (longest + 1.0) as u64);
        ensure!(text.contains(&target), "not {target}: {text}");
        for number in &numbers {
            let uri = format!("/streams{path}/{number}.ts{query}\n");
            ensure!(text.contains(&uri), "not {uri}: {text}");
        }
        let head = place
            .call(entry, Method::HEAD, &format!("/streams{path}.m3u8{query}"), "")
            .await?;
        ensure!(head.status == 200 && head.text.is_empty(), "{head:?}");
        let missing = format!("/streams/ids/unknown.m3u8?token={}", place.token);
        place.get(entry, &missing).await?.is(404, "404 page not found")?;
    }
    let url = place.second.http(&format!("/streams{path}.m3u8{query}"));
    player::probe(&url, &[], 3.0)
        .await?
        .expect(&["h264", "aac"], 3.0)?;
    // Readers of HLS are no consumers.
    place.consumers(&place.first, &path, 0).await?;
    place.needs_pull(&format!("/streams{path}.m3u8")).await?;
    place.needs_pull("/streams/ids/unknown.m3u8").await?;
    place.close("hls").await
}

/// What one entry's playlist lists is to be had at the other.
pub async fn ipchub_play_hls_segment(place: &Place) -> Result<()> {
    // The right to the stream is that to its segments.
    let (path, tokens) = place.stream("hls-segment").await?;
    let query = format!("?token={}", tokens.access);
    // A gateway has segments from when it was first asked for some.
    playlist(place, &place.second, &path, &query).await?;
    for (listing, serving) in [(&place.first, &place.second), (&place.second, &place.first)] {
        let text = playlist(place, listing, &path, &query).await?;
        let newest = hls::listed(&text)?.last().context("an empty playlist")?.number;
        let uri = text
            .lines()
            .rfind(|line| line.starts_with('/'))
            .context("a segment")?;
        for method in [Method::GET, Method::HEAD] {
            let segment = tls::client()?.timeout(secs(20)).build()?;
            let reply = segment.request(method.clone(), serving.http(uri)).send().await?;
            ensure!(reply.status() == 200, "{method} {uri}: {reply:?}");
            let headers = reply.headers().clone();
            ensure!(
                headers["content-type"] == "video/mp2ts" && headers["access-control-allow-origin"] == "*",
                "{headers:?}"
            );
            let length: usize = headers["content-length"].to_str()?.parse()?;
            let bytes = reply.bytes().await?;
            ensure!(length > 188 && length.is_multiple_of(188), "{length} bytes");
            if method == Method::GET {
                ensure!(
                    bytes.len() == length && bytes.chunks(188).all(|p| p[0] == 0x47),
                    "no transport stream"
                );
            } else {
                ensure!(bytes.is_empty(), "a HEAD with a body");
            }
        }
        let absent = format!("/streams{path}/{}.ts{query}", newest + 1000);
        place.get(serving, &absent).await?.is(404, "404 page not found")?;
        // What has no segment's number is another stream by HTTP-TS, to which this user has no right.
        for other in [
            format!("/streams{path}/x.ts{query}"),
            format!("/streams/1.ts{query}"),
        ] {
            place.get(serving, &other).await?.is(403, "Forbidden")?;
        }
    }
    place.needs_pull(&format!("/streams{path}/1.ts")).await?;
    place.needs_pull("/streams/ids/unknown/1.ts").await?;
    let missing = format!("/streams/ids/unknown/1.ts?token={}", place.token);
    place
        .get(&place.second, &missing)
        .await?
        .is(404, "404 page not found")?;
    place.close("hls-segment").await
}
