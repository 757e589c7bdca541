//! Metrics: whatever strangers and users make up, the series stay the same (docs/guide/operations.md).

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, Version};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use weir_tests::{
    Context, Result,
    camera::{self, Auth, Camera, Make, free_port},
    ensure, eventually,
    manifest::{file_camera, publish_camera, route, rtsp_camera, rtsp_camera_by},
    media_node::{ADMIN_PASSWORD, MediaNode},
    player, setup,
    wait::secs,
};

/// The samples of `/metrics` without their values.
async fn series(node: &MediaNode) -> Result<BTreeSet<String>> {
    let (status, text) = node.text("/metrics").await?;
    ensure!(status == 200, "{status}");
    let samples = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    samples
        .map(|l| Ok(l.rsplit_once(' ').with_context(|| l.to_owned())?.0.to_owned()))
        .collect()
}

/// How many watch by a protocol.
async fn viewers(node: &MediaNode, protocol: &str) -> Result<f64> {
    let (_, text) = node.text("/metrics").await?;
    let key = format!("weir_viewers{{protocol=\"{protocol}\"}} ");
    let value = text.lines().find_map(|l| l.strip_prefix(&key));
    Ok(value.with_context(|| format!("no {key}"))?.parse()?)
}

/// Does something of each kind, under names with `number` in them.
async fn everything(node: &MediaNode, source: &Camera, number: usize) -> Result<()> {
    let (name, made_up) = (format!("cam{number}"), format!("made-up-{number}"));
    // Cameras: of a file, pulled, one that nobody answers for, one that has no such stream, and one to publish to.
    let nobody = format!("rtsp://127.0.0.1:{}/x", free_port("127.0.0.1")?);
    for (file, text) in [
        ("a", file_camera(&name, "h264_other.mp4", "")),
        (
            "b",
            rtsp_camera_by(&format!("{name}-pulled"), source.url("other"), "Tcp", ""),
        ),
        ("c", rtsp_camera(&format!("{name}-nobody"), nobody, "")),
        (
            "d",
            rtsp_camera(&format!("{name}-absent"), source.url(&made_up), ""),
        ),
        ("e", publish_camera(&format!("{name}-gate"), "")),
        (
            "f",
            file_camera(&format!("{name}-off"), "h264_other.mp4", "  enabled: false\n"),
        ),
        ("g", "kind: Camera\nspec: [".to_owned()),
    ] {
        node.apply(&format!("{number}{file}.yaml"), &text)?;
    }
    let client = reqwest::Client::builder().no_proxy().timeout(secs(40)).build()?;
    eventually(secs(40), "the cameras", async || {
        let list: Value = serde_json::from_str(&node.text("/api/weir/v1/cameras").await?.1)?;
        let find = |name: &str| {
            list["cameras"]
                .as_array()?
                .iter()
                .find(|c| c["name"] == name)
                .cloned()
        };
        for (camera, key, value) in [
            (name.clone(), "ready", Value::Bool(true)),
            (format!("{name}-pulled"), "ready", Value::Bool(true)),
            (format!("{name}-nobody"), "reason", "Unreachable".into()),
            (format!("{name}-absent"), "reason", "NotFound".into()),
            (format!("{name}-off"), "reason", "Disabled".into()),
        ] {
            let found = find(&camera).with_context(|| format!("no {camera}"))?;
            ensure!(found[key] == value, "{found}");
        }
        Ok(())
    })
    .await?;

    // Viewers in all forms, and a publisher.
    let (rtsp, path) = (node.rtsp(&name), format!("/streams/{name}"));
    player::probe_rtsp(&rtsp, "tcp", 0.2).await?;
    player::probe_rtsp(&rtsp, "udp", 0.2).await?;
    first_bytes(&client, &node.http(&format!("{path}.flv"))).await?;
    let (mut socket, _) = tokio_tungstenite::connect_async(node.ws(&format!("/ws/{name}.flv"))).await?;
    socket.next().await.context("a message")??;
    drop(socket);
    let (status, playlist) = node.text(&format!("{path}.m3u8")).await?;
    ensure!(status == 200, "{status} {playlist}");
    let segment = playlist
        .lines()
        .find(|l| l.starts_with('/'))
        .context("a segment")?;
    ensure!(node.text(segment).await?.0 == 200, "{segment}");
    let gate = format!("admin:{ADMIN_PASSWORD}@");
    let gate = node
        .rtsp(&format!("{name}-gate"))
        .replace("rtsp://", &format!("rtsp://{gate}"));
    let mut publisher = camera::publish(&setup::clip("h264_other.mp4").await?, &gate, "tcp")?;
    eventually(secs(20), "the published stream", async || {
        first_bytes(&client, &node.http(&format!("{path}-gate.flv"))).await
    })
    .await?;
    publisher.stop(secs(10)).await?;

    // Paths that a Route serves, once with something behind them and once without.
    first_bytes(&client, &node.http("/streams/routed/other.flv")).await?;
    node.text(&format!("/streams/routed/{made_up}.flv")).await?;

    // Paths, methods and query parameters that nobody knows.
    let unheard = format!("BREW{}", char::from(b'A' + number as u8));
    let brew = Method::from_bytes(unheard.as_bytes())?;
    for path in [
        format!("/streams/{made_up}.flv"),
        format!("/streams/{made_up}.m3u8"),
        format!("/streams/{made_up}/1.ts"),
        format!("/streams/{made_up}.{made_up}"),
        format!("/ws/{made_up}.flv"),
        format!("/relay/v1/{made_up}"),
        format!("/api/v1/{made_up}"),
        format!("/api/v1/streams/{made_up}"),
        format!("/api/weir/v1/{made_up}"),
        "/api/weir/v1/cameras".to_owned(),
        "/api/weir/v1/endpoints".to_owned(),
        "/api/v1/server".to_owned(),
        "/healthz".to_owned(),
        "/".to_owned(),
        format!("/{made_up}"),
    ] {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::OPTIONS,
            brew.clone(),
        ] {
            let url = node.http(&format!("{path}?token={made_up}&{made_up}={made_up}"));
            client
                .request(method, url)
                .header("x-forwarded-for", &made_up)
                .send()
                .await?;
        }
    }
    client
        .get(node.http("/"))
        .header("if-none-match", "*")
        .send()
        .await?;
    tokio_tungstenite::connect_async(node.ws(&format!("/streams/{made_up}.flv")))
        .await
        .ok();
    // A connection is taken for RTSP by its first request alone.
    let mut odd = TcpStream::connect(("127.0.0.1", node.port("rtsp"))).await?;
    for method in ["OPTIONS", "DESCRIBE", unheard.as_str()] {
        let request =
            format!("{method} rtsp://h/{made_up} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: {made_up}\r\n\r\n");
        odd.write_all(request.as_bytes()).await?;
        ensure!(odd.read(&mut [0; 4096]).await? > 0, "no answer to {method}");
    }
    Ok(())
}

/// Begins to watch, and leaves.
async fn first_bytes(client: &reqwest::Client, url: &str) -> Result<()> {
    for version in [Version::HTTP_11, Version::HTTP_10] {
        let mut reply = client.get(url).version(version).send().await?;
        let status = reply.status();
        ensure!(status == 200 && reply.chunk().await?.is_some(), "{url}: {status}");
    }
    Ok(())
}

/// A user that there isn't. Last, because the node soon stops listening to who guesses so much.
async fn stranger(node: &MediaNode, number: usize) -> Result<()> {
    let user = format!("made-up-{number}");
    ensure!(node.login_as(&user, &user).await.is_err(), "{user} came in");
    let url = node
        .rtsp(&user)
        .replace("rtsp://", &format!("rtsp://{user}:{user}@"));
    ensure!(
        player::probe_rtsp(&url, "tcp", 0.2).await.is_err(),
        "{user} saw something"
    );
    Ok(())
}

/// Waits until those who watched are counted as gone.
async fn left(node: &MediaNode) -> Result<()> {
    eventually(secs(30), "the viewers to be gone", async || {
        for protocol in ["rtsp", "http-flv", "ws-flv"] {
            let now = viewers(node, protocol).await?;
            ensure!(now == 0.0, "{now} {protocol}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_number_of_series_does_not_grow() -> Result<()> {
    const MORE: usize = 20;
    let source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .file_camera("first", "h264_other.mp4", "")
        .manifest("route.yaml", route("routed", "/routed/", source.url(""), false))
        .start()
        .await?;
    everything(&node, &source, 0).await?;
    stranger(&node, 0).await?;
    left(&node).await?;
    let before = series(&node).await?;
    ensure!(before.len() > 30, "few series: {before:#?}");

    stream::iter(1..=MORE)
        .map(|number| everything(&node, &source, number))
        .buffer_unordered(6)
        .try_collect::<()>()
        .await?;
    stream::iter(1..=MORE)
        .map(|number| stranger(&node, number))
        .buffer_unordered(6)
        .try_collect::<()>()
        .await?;
    left(&node).await?;
    let after = series(&node).await?;
    ensure!(
        before == after,
        "more: {:#?}\nfewer: {:#?}",
        after.difference(&before).collect::<Vec<_>>(),
        before.difference(&after).collect::<Vec<_>>()
    );
    Ok(())
}
