//! RTSP by the documented letter: what players don't look at.

use std::net::Ipv4Addr;

use tokio::{net::UdpSocket, time::timeout};
use weir_tests::{
    Context, Result, ensure, eventually,
    media_node::MediaNode,
    rtsp::{Connection, interleaved},
    wait::secs,
};

const URL: &str = "rtsp://127.0.0.1/door";

async fn node() -> Result<MediaNode> {
    let node = MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "")
        .start()
        .await?;
    node.until_ready("door").await?;
    Ok(node)
}

/// A session that has had its description.
async fn described(node: &MediaNode) -> Result<Connection> {
    let mut session = Connection::open(node.port("rtsp")).await?;
    session.ask("DESCRIBE", URL, &[]).await?.ok()?;
    Ok(session)
}

async fn extras(node: &MediaNode) -> Result<Vec<String>> {
    let token = node.login().await?.access;
    let (status, text) = node
        .text(&format!("/api/v1/streams/door?c=1&token={token}"))
        .await?;
    ensure!(status == 200, "{status} {text}");
    let stream: serde_json::Value = serde_json::from_str(&text)?;
    let list = stream["cs"].as_array().context("cs")?;
    Ok(list
        .iter()
        .filter_map(|c| c["extra"].as_str())
        .map(str::to_owned)
        .collect())
}

async fn extras_are(node: &MediaNode, expected: &[&str]) -> Result<()> {
    eventually(secs(10), "the consumers", async || {
        let found = extras(node).await?;
        ensure!(found == expected, "{found:?}, want {expected:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn requests_are_answered_while_playing() -> Result<()> {
    let node = node().await?;
    let udp = "Transport: RTP/AVP;unicast;client_port=40000-40001".to_owned();
    for (transport, extra) in [(interleaved(0, ""), "net=rtsp-tcp"), (udp, "net=rtsp-udp")] {
        let mut session = described(&node).await?;
        let response = session
            .ask("SETUP", &format!("{URL}/streamid=0"), &[&transport])
            .await?
            .ok()?;
        let asked = transport.strip_prefix("Transport: ").context("a value")?;
        ensure!(response.header("Transport")?.starts_with(asked), "{response:?}");
        session.ask("PLAY", URL, &["Range: npt=0.000-"]).await?.ok()?;
        extras_are(&node, &[extra]).await?;
        for (method, status) in [
            ("OPTIONS", "200 OK"),
            ("PLAY", "200 OK"),
            ("PAUSE", "455 Method Not Valid In This State"),
            ("GET_PARAMETER", "455 Method Not Valid In This State"),
        ] {
            let response = session.ask(method, URL, &[]).await?;
            ensure!(
                response.status == status,
                "{method} with {transport}: {response:?}"
            );
        }
        session.ask("TEARDOWN", URL, &[]).await?.ok()?;
        session.closed().await?;
        extras_are(&node, &[]).await?;
    }
    Ok(())
}

/// Where the `Transport` header says that a track's packets go.
fn place(transport: &str) -> Result<(Ipv4Addr, u16)> {
    let value = |name: &str| {
        let found = transport
            .split(';')
            .find_map(|parameter| parameter.strip_prefix(name));
        found.with_context(|| format!("no {name} in {transport}"))
    };
    ensure!(
        value("ttl=")? == "127" && value("source=")? == "127.0.0.1",
        "{transport}"
    );
    let ports = value("port=")?;
    let (rtp, rtcp) = ports.split_once('-').with_context(|| ports.to_owned())?;
    let rtp: u16 = rtp.parse()?;
    ensure!(rtcp.parse() == Ok(rtp + 1), "{ports}");
    Ok((value("destination=")?.parse()?, rtp))
}

#[tokio::test]
async fn viewers_by_multicast_share_one_sender() -> Result<()> {
    let node = node().await?;
    let mut sessions = Vec::new();
    let mut places = Vec::new();
    for _ in 0..2 {
        let mut session = described(&node).await?;
        let mut tracks = Vec::new();
        for track in 0..2 {
            let transport = "Transport: RTP/AVP;multicast";
            let response = session
                .ask("SETUP", &format!("{URL}/streamid={track}"), &[transport])
                .await?
                .ok()?;
            let transport = response.header("Transport")?;
            ensure!(
                transport.starts_with("RTP/AVP;multicast;destination=235."),
                "{response:?}"
            );
            tracks.push(place(transport)?);
        }
        ensure!(
            tracks[0].0 == tracks[1].0 && tracks[0].1 + 2 == tracks[1].1,
            "{tracks:?}"
        );
        sessions.push(session);
        places.push(tracks);
    }
    ensure!(places[0] == places[1], "{places:?}");
    let group = places[0][0].0;
    for (first_byte, port) in [
        (0x80, places[0][0].1),
        (0x80, places[0][1].1),
        (0x80, places[0][0].1 + 1),
    ] {
        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        receiver.join_multicast_v4(group, Ipv4Addr::LOCALHOST)?;
        if extras(&node).await?.is_empty() {
            for session in &mut sessions {
                session.ask("PLAY", URL, &[]).await?.ok()?;
            }
        }
        let mut packet = [0; 2048];
        let length = timeout(secs(20), receiver.recv(&mut packet))
            .await
            .context("no packet")??;
        ensure!(
            length > 8 && packet[0] & 0xc0 == first_byte,
            "{:x?}",
            &packet[..length.min(16)]
        );
    }
    let extra = format!("net = rtsp-multicast, {group}");
    extras_are(&node, &[&extra]).await?;
    // The group outlives the first member, and not the last.
    let (mut first, mut second) = (sessions.remove(0), sessions.remove(0));
    first.ask("TEARDOWN", URL, &[]).await?.ok()?;
    first.closed().await?;
    second.ask("OPTIONS", URL, &[]).await?.ok()?;
    extras_are(&node, &[&extra]).await?;
    second.ask("TEARDOWN", URL, &[]).await?.ok()?;
    extras_are(&node, &[]).await
}
