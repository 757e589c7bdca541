//! Section 7: RTSP directly over a WebSocket.

use anyhow::{Result, ensure};

use super::Place;
use crate::{
    rtsp::interleaved,
    web_socket::{Rtsp, count},
};

async fn rtsp(place: &Place, name: &str, prefix: &str) -> Result<()> {
    let (path, tokens) = place.stream(name).await?;
    let at = format!("{prefix}{path}");
    let query = format!("?token={}", tokens.access);
    for entry in place.entries() {
        for ending in ["", ".flv"] {
            let mut player = Rtsp::open(&entry.ws(&format!("{at}{ending}{query}"))).await?;
            let description = player.play(&[0, 1]).await?;
            ensure!(description.contains("H264"), "{description}");
            let counts = count(&player.packets(100).await?)?;
            ensure!(
                counts[&0] > 30 && counts[&2] > 3 && counts.keys().all(|c| *c < 4),
                "{counts:?}"
            );
            if ending.is_empty() {
                place.only_consumer(&path, "RTP", "net=rtsp-tcp").await?;
            }
            for (method, status) in [
                ("OPTIONS", "200 OK"),
                ("PLAY", "200 OK"),
                ("PAUSE", "455 "),
                ("DESCRIBE", "455 "),
            ] {
                let response = player.ask(method, Rtsp::URL, &[], "").await?;
                ensure!(response.status.starts_with(status), "{method}: {response:?}");
            }
            player.ask("TEARDOWN", Rtsp::URL, &[], "").await?.ok()?;
            player.socket.closed().await?;
            place.consumers(&place.second, &path, 0).await?;
        }
        let mut player = Rtsp::open(&entry.ws(&format!("{at}{query}"))).await?;
        let track = format!("{}streamid=0", Rtsp::URL);
        let early = player.ask("SETUP", &track, &[&interleaved(0, "")], "").await?;
        ensure!(early.status.starts_with("500 "), "{early:?}");
        player.ask("DESCRIBE", Rtsp::URL, &[], "").await?.ok()?;
        for (transport, status) in [
            ("RTP/AVP;unicast;client_port=5000-5001", "461 "),
            ("RTP/AVP/TCP", "451 "),
            ("RTP/AVP/TCP;multicast", "451 "),
        ] {
            let response = player
                .ask("SETUP", &track, &[&format!("Transport: {transport}")], "")
                .await?;
            ensure!(response.status.starts_with(status), "{transport}: {response:?}");
        }
        let mut player =
            Rtsp::open(&entry.ws(&format!("{prefix}/ids/unknown?token={}", place.token))).await?;
        let response = player.ask("DESCRIBE", Rtsp::URL, &[], "").await?;
        ensure!(response.status == "404 Not Found", "{response:?}");
    }
    place.socket_needs_pull(&at, Some("rtsp")).await?;
    place
        .socket_needs_pull(&format!("{prefix}/ids/unknown"), Some("rtsp"))
        .await?;
    place.close(name).await
}

/// The stream is that of the socket's path.
pub async fn ipchub_play_ws_rtsp(place: &Place) -> Result<()> {
    rtsp(place, "ws-rtsp", "/streams").await
}

/// At the older path.
pub async fn ipchub_play_ws_rtsp_ws(place: &Place) -> Result<()> {
    rtsp(place, "ws-rtsp-ws", "/ws").await
}
