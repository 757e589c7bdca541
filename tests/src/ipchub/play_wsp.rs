//! Section 7.1: WSP, a socket of requests and one of packets.

use anyhow::{Result, ensure};

use super::Place;
use crate::{
    rtsp::interleaved,
    web_socket::{Rtsp, Socket, Wsp, ask, count},
};

async fn control(place: &Place, name: &str, prefix: &str) -> Result<()> {
    let (path, tokens) = place.stream(name).await?;
    let at = format!("{prefix}{path}?token={}", tokens.access);
    for entry in place.entries() {
        let url = entry.ws(&at);
        // GET_INFO, INIT and JOIN are its beginning.
        let mut player = Wsp::open(&url).await?;
        ensure!(
            player.channel.bytes().all(|b| b.is_ascii_digit()),
            "{}",
            player.channel
        );
        let options = player.ask("OPTIONS", "*", &[]).await?.ok()?;
        let public = options.header("Public")?;
        ensure!(
            public == "DESCRIBE, SETUP, TEARDOWN, PLAY, OPTIONS, ANNOUNCE",
            "{public}"
        );
        // The states, as the wrapped responses tell them; the wrapping is 200.
        let track = format!("{}streamid=0", Rtsp::URL);
        let early = player.ask("SETUP", &track, &[&interleaved(0, "")]).await?;
        ensure!(early.status == "500 Invalid VControl", "{early:?}");
        for method in ["PLAY", "PAUSE", "RECORD", "ANNOUNCE"] {
            let response = player.ask(method, Rtsp::URL, &[]).await?;
            ensure!(response.status.starts_with("455 "), "{method}: {response:?}");
        }
        let description = player.ask("DESCRIBE", Rtsp::URL, &[]).await?.ok()?.body;
        ensure!(description.contains("H264"), "{description}");
        let switch = [("channel", player.channel.as_str()), ("seq", "77")];
        let (status, headers, payload) = ask(&mut player.control, "SWITCH", &switch, "h265").await?;
        ensure!(
            status == "200 OK" && headers["seq"] == "77" && payload.is_empty(),
            "{status} {headers:?}"
        );
        for (transport, status) in [
            (
                "RTP/AVP;unicast;client_port=2-3",
                "461 websocket only support tcp unicast",
            ),
            (
                "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
                "451 can't setup as record",
            ),
        ] {
            let response = player
                .ask("SETUP", &track, &[&format!("Transport: {transport}")])
                .await?;
            ensure!(response.status == status, "{response:?}");
        }
        player.ask("SETUP", &track, &[&interleaved(0, "")]).await?.ok()?;
        for method in ["PLAY", "PAUSE", "PLAY"] {
            player.ask(method, Rtsp::URL, &[]).await?.ok()?;
        }
        place.only_consumer(&path, "RTP", "wsp").await?;
        player.ask("TEARDOWN", Rtsp::URL, &[]).await?.ok()?;
        player.control.closed().await?;
        player.data.closed().await?;
        place.consumers(&place.second, &path, 0).await?;

        let unknown = format!("{prefix}/ids/unknown?token={}", place.token);
        let response = Wsp::open(&entry.ws(&unknown))
            .await?
            .ask("DESCRIBE", Rtsp::URL, &[])
            .await?;
        ensure!(response.status == "404 Not Found", "{response:?}");
        for wrong in [
            "hello",
            "WSP/1.0 INIT\r\nseq: 1\r\n\r\n",
            "WSP/1.1 JOIN\r\nseq: 1\r\n\r\n",
            "WSP/1.1 INIT\r\n\r\n",
        ] {
            let mut socket = Socket::open(&url, Some("control")).await?;
            socket.text(wrong).await?;
            ensure!(socket.next().await?.is_none(), "{wrong:?} is answered");
        }
    }
    place
        .socket_needs_pull(&format!("{prefix}{path}"), Some("control"))
        .await?;
    place.close(name).await
}

async fn data(place: &Place, name: &str, prefix: &str) -> Result<()> {
    let (path, tokens) = place.stream(name).await?;
    let at = format!("{prefix}{path}?token={}", tokens.access);
    for entry in place.entries() {
        let url = entry.ws(&at);
        let mut player = Wsp::open(&url).await?;
        player.play(&[0, 1]).await?;
        let counts = count(&player.packets(100).await?)?;
        ensure!(
            counts[&0] > 30 && counts[&2] > 3 && counts.keys().all(|c| *c < 4),
            "{counts:?}"
        );
        // A channel that there is not, or that has its socket.
        for channel in [player.channel.as_str(), "1", "x"] {
            let mut socket = Socket::open(&url, Some("data")).await?;
            let (status, headers, _) =
                ask(&mut socket, "JOIN", &[("channel", channel), ("seq", "5")], "").await?;
            ensure!(
                status == "404 NOT FOUND" && headers["seq"] == "5",
                "{status} {headers:?}"
            );
            socket.closed().await?;
        }
        // A track that was not set up is not sent. Without the control socket the other one ends.
        let mut player = Wsp::open(&url).await?;
        player.play(&[0]).await?;
        let counts = count(&player.packets(50).await?)?;
        ensure!(counts.keys().all(|c| *c < 2), "{counts:?}");
        drop(player.control);
        player.data.closed().await?;
    }
    // In a cluster both sockets belong to one gateway so far; the other one says so at once.
    if place.in_cluster {
        let player = Wsp::open(&place.first.ws(&at)).await?;
        let mut socket = Socket::open(&place.second.ws(&at), Some("data")).await?;
        let join = [("channel", player.channel.as_str()), ("seq", "9")];
        let (status, ..) = ask(&mut socket, "JOIN", &join, "").await?;
        ensure!(status == "404 NOT FOUND", "{status}");
        socket.closed().await?;
    }
    place
        .socket_needs_pull(&format!("{prefix}{path}"), Some("data"))
        .await?;
    place.close(name).await
}

/// Requests wrapped and answered.
pub async fn ipchub_play_wsp_control(place: &Place) -> Result<()> {
    control(place, "wsp-control", "/streams").await
}

/// Packets of the channel that was joined.
pub async fn ipchub_play_wsp_data(place: &Place) -> Result<()> {
    data(place, "wsp-data", "/streams").await
}

/// At the path of the documents.
pub async fn ipchub_play_wsp_control_ws(place: &Place) -> Result<()> {
    control(place, "wsp-control-ws", "/ws").await
}

/// At the path of the documents.
pub async fn ipchub_play_wsp_data_ws(place: &Place) -> Result<()> {
    data(place, "wsp-data-ws", "/ws").await
}
