//! Section 8: FLV over HTTP and over a WebSocket.

use anyhow::{Result, ensure};
use reqwest::Method;

use super::Place;
use crate::{player, wait::secs, web_socket::Socket};

const BOTH: [&str; 2] = ["h264", "aac"];

/// Endless FLV for those who may pull it.
pub async fn ipchub_play_http_flv(place: &Place) -> Result<()> {
    let (path, tokens) = place.stream("http-flv").await?;
    let file = format!("/streams{path}.flv");
    let query = format!("?token={}", tokens.access);
    for (entry, file) in [
        (&place.first, &file),
        (
            &place.second,
            &file
                .to_uppercase()
                .replace("STREAMS", "streams")
                .replace("FLV", "flv"),
        ),
    ] {
        let url = entry.http(&format!("{file}{query}"));
        player::probe(&url, &[], 1.5).await?.expect(&BOTH, 1.5)?;
        let head = place
            .call(entry, Method::HEAD, &format!("{file}{query}"), "")
            .await?;
        ensure!(head.header("content-type") == "video/x-flv", "{head:?}");
        ensure!(head.header("access-control-allow-origin") == "*", "{head:?}");
    }
    place.consumers(&place.second, &path, 0).await?;
    let viewer = place.watch(&place.first, &path, &tokens.access).await?;
    place.only_consumer(&path, "FLV", "net=http-flv,").await?;
    drop(viewer);
    place.consumers(&place.second, &path, 0).await?;

    place.needs_pull(&file).await?;
    place.needs_pull("/streams/ids/unknown.flv").await?;
    let all = format!("?token={}", place.token);
    for entry in place.entries() {
        for unknown in [
            "/streams/ids/unknown.flv",
            "/streams/ids/http-flv.avi",
            "/streams/ids/http-flv",
        ] {
            let reply = place.get(entry, &format!("{unknown}{all}")).await?;
            reply.is(404, "404 page not found")?;
        }
        let reply = place.get(entry, &format!("/ws{path}.flv{all}")).await?;
        ensure!(reply.status == 400 && reply.text == "Bad Request\n", "{reply:?}");
    }
    place.close("http-flv").await
}

async fn web_socket(place: &Place, name: &str, prefix: &str) -> Result<()> {
    let (path, tokens) = place.stream(name).await?;
    let file = format!("{prefix}{path}.flv");
    let query = format!("?token={}", tokens.access);
    let folder = place.folder.path().join(name);
    std::fs::create_dir_all(&folder)?;
    for entry in place.entries() {
        let url = entry.ws(&format!("{file}{query}"));
        // Once there was a keyframe, viewers begin at it.
        let http = entry.http(&format!("/streams{path}.flv{query}"));
        player::probe(&http, &[], 0.5).await?;
        player::probe_web_socket(&url, &folder, 2.0)
            .await?
            .expect(&BOTH, 1.5)?;
    }
    place.consumers(&place.first, &path, 0).await?;
    let url = place.second.ws(&format!("{file}{query}"));
    let watching = tokio::spawn(async move { player::web_socket(&url, secs(60)).await });
    place.only_consumer(&path, "FLV", "net=websocket-flv,").await?;
    watching.abort();
    place.consumers(&place.first, &path, 0).await?;

    place.socket_needs_pull(&file, None).await?;
    place
        .socket_needs_pull(&format!("{prefix}/ids/unknown.flv"), None)
        .await?;
    for entry in place.entries() {
        for nothing in [format!("{prefix}/ids/unknown.flv"), format!("{prefix}{path}")] {
            let url = entry.ws(&format!("{nothing}?token={}", place.token));
            let mut socket = Socket::open(&url, None).await?;
            ensure!(socket.next().await?.is_none(), "{url} has something to say");
        }
    }
    place.close(name).await
}

/// The same bytes in binary messages.
pub async fn ipchub_play_ws_flv(place: &Place) -> Result<()> {
    web_socket(place, "ws-flv", "/streams").await
}

/// At the path of the documents.
pub async fn ipchub_play_ws_flv_ws(place: &Place) -> Result<()> {
    web_socket(place, "ws-flv-ws", "/ws").await
}
