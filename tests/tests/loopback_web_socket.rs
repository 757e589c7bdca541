//! RTSP over WebSocket and WSP, spoken by a client of the tests' own; what it got is published again, and then seen by
//! players that are not ours.

use tokio::time::timeout;
use weir_tests::{
    Context, Result, ensure, eventually,
    manifest::publish_camera,
    media_node::MediaNode,
    player,
    rtsp::interleaved,
    wait::secs,
    web_socket::{Packet, Rtsp, Socket, Wsp, ask, count},
};

/// A node with a camera `a/Door` (H.264, AAC), and `gate` to publish to.
fn node() -> weir_tests::media_node::Builder {
    MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "  path: a/Door\n")
        .manifest("gate.yaml", publish_camera("gate", ""))
}

async fn started() -> Result<MediaNode> {
    let node = node().start().await?;
    node.until_ready("door").await?;
    Ok(node)
}

/// URL of a WebSocket that may publish.
async fn with_token(node: &MediaNode, path: &str) -> Result<String> {
    let token = node.login().await?.access;
    Ok(format!("{}?token={token}", node.ws(path)))
}

/// The `extra` of everybody who watches the door.
async fn consumers(node: &MediaNode) -> Result<Vec<String>> {
    let token = node.login().await?.access;
    let (status, text) = node
        .text(&format!("/api/v1/streams/a/door?c=1&token={token}"))
        .await?;
    ensure!(status == 200, "{status} {text}");
    let stream: serde_json::Value = serde_json::from_str(&text)?;
    let list = stream["cs"].as_array().context("cs")?;
    ensure!(stream["cc"] == list.len(), "{stream}");
    ensure!(list.iter().all(|c| c["packet_type"] == "RTP"), "{stream}");
    Ok(list
        .iter()
        .filter_map(|c| c["extra"].as_str())
        .map(str::to_owned)
        .collect())
}

async fn consumers_are(node: &MediaNode, expected: &[&str]) -> Result<()> {
    eventually(secs(10), "the consumers", async || {
        let found = consumers(node).await?;
        ensure!(found == expected, "{found:?}, want {expected:?}");
        Ok(())
    })
    .await
}

/// Plays with `next` and publishes to `gate` until a player has seen enough of it.
async fn goes_round(
    node: &MediaNode,
    description: &str,
    mut next: impl AsyncFnMut() -> Result<Vec<Packet>>,
) -> Result<()> {
    let mut publisher = Rtsp::open(&with_token(node, "/streams/any").await?).await?;
    publisher
        .record("rtsp://placehold/Gate", description, &[0, 1])
        .await?;
    let send = async {
        loop {
            for packet in next().await? {
                publisher.socket.binary(packet.whole).await?;
            }
        }
    };
    let look = async {
        node.until_ready("gate").await?;
        let seen = player::probe_rtsp(&node.rtsp("gate"), "tcp", 3.0).await?;
        ensure!(seen.size()? == (1280, 720), "{:?}", seen.size());
        seen.expect(&["h264", "aac"], 3.0)
    };
    tokio::select! {
        sent = send => sent,
        looked = look => looked,
    }
}

#[tokio::test]
async fn rtsp_plays_and_publishes() -> Result<()> {
    let node = started().await?;
    for prefix in ["/streams", "/ws"] {
        for ending in ["", ".flv"] {
            let mut player = Rtsp::open(&node.ws(&format!("{prefix}/a/Door{ending}"))).await?;
            let description = player.play(&[0, 1]).await?;
            ensure!(
                description.contains("H264") && !description.contains("placehold"),
                "{description}"
            );
            let counts = count(&player.packets(300).await?)?;
            ensure!(counts[&0] > 100 && counts[&2] > 10, "{counts:?}");
            ensure!(counts.keys().all(|channel| *channel < 4), "{counts:?}");
        }
    }
    let mut player = Rtsp::open(&node.ws("/streams/a/door")).await?;
    let description = player.play(&[0, 1]).await?;
    goes_round(&node, &description, async || player.packets(1).await).await
}

#[tokio::test]
async fn rtsp_goes_on_while_it_plays() -> Result<()> {
    let node = started().await?;
    let mut player = Rtsp::open(&node.ws("/streams/a/door")).await?;
    // A track that was not set up is not sent.
    player.play(&[1]).await?;
    let mut packets = player.packets(5).await?;
    consumers_are(&node, &["net=rtsp-tcp"]).await?;
    for (method, status) in [
        ("OPTIONS", "200 OK"),
        ("PLAY", "200 OK"),
        ("PAUSE", "455 Method Not Valid In This State"),
        ("DESCRIBE", "455 Method Not Valid In This State"),
    ] {
        for _ in 0..5 {
            let response = player.ask(method, Rtsp::URL, &[], "").await?;
            ensure!(response.status == status, "{method}: {response:?}");
            packets.extend(player.packets(2).await?);
        }
    }
    let counts = count(&packets)?;
    ensure!(
        counts.keys().all(|channel| [2, 3].contains(channel)),
        "{counts:?}"
    );
    let response = player.ask("TEARDOWN", Rtsp::URL, &[], "").await?.ok()?;
    ensure!(!response.headers.contains("WWW-Authenticate"), "{response:?}");
    player.socket.closed().await?;
    consumers_are(&node, &[]).await
}

#[tokio::test]
async fn rtsp_refuses_datagrams_and_missing_streams() -> Result<()> {
    let node = started().await?;
    let mut player = Rtsp::open(&node.ws("/streams/a/door")).await?;
    player.ask("DESCRIBE", Rtsp::URL, &[], "").await?.ok()?;
    let udp = "Transport: RTP/AVP;unicast;client_port=5000-5001";
    let response = player
        .ask("SETUP", "rtsp://placehold/streamid=0", &[udp], "")
        .await?;
    ensure!(response.status.starts_with("461 "), "{response:?}");
    let mut player = Rtsp::open(&node.ws("/streams/none")).await?;
    let response = player.ask("DESCRIBE", Rtsp::URL, &[], "").await?;
    ensure!(response.status == "404 Not Found", "{response:?}");
    Ok(())
}

#[tokio::test]
async fn wsp_plays() -> Result<()> {
    let node = started().await?;
    for prefix in ["/streams", "/ws"] {
        let mut player = Wsp::open(&node.ws(&format!("{prefix}/a/Door"))).await?;
        player.play(&[0, 1]).await?;
        let counts = count(&player.packets(300).await?)?;
        ensure!(counts[&0] > 100 && counts[&2] > 10, "{counts:?}");
        consumers_are(&node, &["wsp"]).await?;
        // What a player says every 30 s.
        player.ask("OPTIONS", "*", &[]).await?.ok()?;
        player.ask("TEARDOWN", Rtsp::URL, &[]).await?.ok()?;
        player.control.closed().await?;
        player.data.closed().await?;
        consumers_are(&node, &[]).await?;
    }
    let mut player = Wsp::open(&node.ws("/streams/a/door")).await?;
    let description = player.play(&[0, 1]).await?;
    goes_round(&node, &description, async || player.packets(1).await).await
}

#[tokio::test]
async fn wsp_pauses_and_goes_on_at_a_keyframe() -> Result<()> {
    let node = started().await?;
    let mut player = Wsp::open(&node.ws("/streams/a/door")).await?;
    player.play(&[0]).await?;
    player.packets(50).await?;
    player.ask("PAUSE", Rtsp::URL, &[]).await?.ok()?;
    // What was on its way comes still; then nothing does.
    let silence = async { while timeout(secs(1), player.packets(1)).await.is_ok() {} };
    timeout(secs(10), silence).await.context("packets go on coming")?;
    player.ask("PLAY", Rtsp::URL, &[]).await?.ok()?;
    let packets = player.packets(50).await?;
    count(&packets)?;
    // Parameter sets stand in front of a keyframe, each in a packet of its own.
    let first = packets
        .iter()
        .find(|packet| packet.channel == 0)
        .context("a packet")?;
    let kind = first.whole[16] & 0x1f;
    ensure!(kind == 7, "the first NAL unit is of type {kind}");
    // It is the same consumer.
    consumers_are(&node, &["wsp"]).await
}

#[tokio::test]
async fn wsp_control_ends_data_and_the_other_way_round_it_waits() -> Result<()> {
    let node = started().await?;
    let url = node.ws("/streams/a/door");
    let mut player = Wsp::open(&url).await?;
    player.play(&[0]).await?;
    player.packets(10).await?;
    // Without its data socket there is no consumer, and another one may join.
    drop(std::mem::replace(
        &mut player.data,
        Socket::open(&url, Some("data")).await?,
    ));
    consumers_are(&node, &[]).await?;
    let join = [("channel", player.channel.as_str()), ("seq", "9")];
    let (status, ..) = ask(&mut player.data, "JOIN", &join, "").await?;
    ensure!(status == "200 OK", "{status}");
    count(&player.packets(10).await?)?;
    consumers_are(&node, &["wsp"]).await?;
    drop(player.control);
    player.data.closed().await?;
    consumers_are(&node, &[]).await
}

#[tokio::test]
async fn wsp_packets_wait_for_the_data_socket() -> Result<()> {
    let node = started().await?;
    let url = node.ws("/streams/a/door");
    let mut player = Wsp::open(&url).await?;
    // A channel has one data socket; only of its own path; and there must be one.
    let other = node.ws("/streams/a/window");
    for (url, channel) in [
        (&url, player.channel.as_str()),
        (&other, &player.channel),
        (&url, "1"),
        (&url, "x"),
    ] {
        let mut socket = Socket::open(url, Some("data")).await?;
        let (status, headers, _) =
            ask(&mut socket, "JOIN", &[("channel", channel), ("seq", "5")], "").await?;
        ensure!(
            status == "404 NOT FOUND" && headers["seq"] == "5",
            "{status} {headers:?}"
        );
        socket.closed().await?;
    }
    // The first one is none the worse for it.
    player.play(&[0, 1]).await?;
    count(&player.packets(20).await?)?;
    Ok(())
}

#[tokio::test]
async fn wsp_says_what_it_refuses() -> Result<()> {
    let node = started().await?;
    let mut player = Wsp::open(&node.ws("/streams/a/door")).await?;
    let track = "rtsp://placehold/streamid=0";
    let response = player.ask("SETUP", track, &[&interleaved(0, "")]).await?;
    ensure!(response.status == "500 Invalid VControl", "{response:?}");
    let response = player.ask("PLAY", Rtsp::URL, &[]).await?;
    ensure!(response.status.starts_with("455 "), "{response:?}");
    let response = player.ask("DESCRIBE", Rtsp::URL, &[]).await?.ok()?;
    ensure!(response.body.contains("H264"), "{response:?}");
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
            .ask("SETUP", track, &[&format!("Transport: {transport}")])
            .await?;
        ensure!(response.status == status, "{response:?}");
    }
    let response = player.ask("ANNOUNCE", Rtsp::URL, &[]).await?;
    ensure!(response.status.starts_with("455 "), "{response:?}");

    let mut player = Wsp::open(&node.ws("/streams/none")).await?;
    let response = player.ask("DESCRIBE", Rtsp::URL, &[]).await?;
    ensure!(response.status == "404 Not Found", "{response:?}");
    Ok(())
}

#[tokio::test]
async fn wsp_closes_on_what_breaks_the_rules() -> Result<()> {
    let node = started().await?;
    for message in [
        "hello",
        "WSP/1.0 INIT\r\nseq: 1\r\n\r\n",
        "WSP/1.1 FLY\r\nseq: 1\r\n\r\n",
        "WSP/1.1 INIT\r\n\r\n",
        "WSP/1.1 INIT\nseq: 1\n\n",
        "WSP/1.1 WRAP\r\nseq: 1\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        &format!("WSP/1.1 INIT\r\nseq: 1\r\n\r\n{}", "x".repeat(65 * 1024)),
    ] {
        for sub_protocol in ["control", "data"] {
            let mut socket = Socket::open(&node.ws("/streams/a/door"), Some(sub_protocol)).await?;
            // It may be closed while we still write.
            let _ = socket.text(message).await;
            let answer = socket.next().await?;
            ensure!(answer.is_none(), "{sub_protocol} answers {message:?}: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_socket_without_a_purpose_is_closed() -> Result<()> {
    let node = started().await?;
    for path in ["/streams/a/door", "/ws/a/door", "/streams/none.flv"] {
        let mut socket = Socket::open(&node.ws(path), None).await?;
        ensure!(socket.next().await?.is_none(), "{path} has something to say");
    }
    let (status, text) = node.text("/ws/a/door.flv").await?;
    ensure!(
        (status.as_u16(), text.as_str()) == (400, "Bad Request\n"),
        "{status} {text}"
    );
    Ok(())
}

#[tokio::test]
async fn sockets_want_a_token() -> Result<()> {
    let node = node().protected().start().await?;
    node.until_ready("door").await?;
    let tokens = node.login().await?;
    for wrong in [
        "",
        "?token=",
        "?token=0123456789abcdef0123456789abcdef",
        &format!("?token={}", tokens.refresh),
    ] {
        for prefix in ["/streams", "/ws"] {
            for sub_protocol in [Some("rtsp"), Some("control"), Some("data"), None] {
                // Who has no right is not told which streams there are.
                for path in ["a/door", "absent"] {
                    let url = node.ws(&format!("{prefix}/{path}{wrong}"));
                    let refused = Socket::open(&url, sub_protocol)
                        .await
                        .err()
                        .context("it was let in")?;
                    ensure!(
                        format!("{refused:#}").contains("401"),
                        "{url} {sub_protocol:?}: {refused:#}"
                    );
                }
            }
        }
    }
    let url = with_token(&node, "/streams/a/door").await?;
    let mut player = Rtsp::open(&url).await?;
    player.play(&[0, 1]).await?;
    count(&player.packets(20).await?)?;
    let mut player = Wsp::open(&url).await?;
    player.play(&[0, 1]).await?;
    count(&player.packets(20).await?)?;
    Ok(())
}

#[tokio::test]
async fn publishing_wants_the_right_to_publish() -> Result<()> {
    // Viewing is free here, publishing is not.
    let node = started().await?;
    let mut publisher = Rtsp::open(&node.ws("/streams/a/door")).await?;
    let description = publisher.ask("DESCRIBE", Rtsp::URL, &[], "").await?.ok()?.body;
    let mut publisher = Rtsp::open(&node.ws("/streams/gate")).await?;
    let sdp = ["Content-Type: application/sdp"];
    let response = publisher
        .ask("ANNOUNCE", "rtsp://placehold/gate", &sdp, &description)
        .await?;
    ensure!(response.status == "403 Forbidden", "{response:?}");
    let mut publisher = Rtsp::open(&with_token(&node, "/streams/any").await?).await?;
    publisher
        .record("rtsp://placehold/gate", &description, &[0, 1])
        .await?;
    // A publisher without media is let go only after a while; a broken one at once.
    publisher.socket.text("hello\r\n\r\n").await?;
    publisher.socket.closed().await?;
    Ok(())
}

#[tokio::test]
async fn open_sockets_count_as_connections() -> Result<()> {
    let node = node()
        .argument("--most-connections=12")
        .argument("--most-connections-per-peer=12")
        .start()
        .await?;
    node.until_ready("door").await?;
    let mut open = Vec::new();
    let refused = loop {
        match Socket::open(&node.ws("/streams/a/door"), Some("control")).await {
            Ok(socket) => open.push(socket),
            Err(refused) => break refused,
        }
        ensure!(open.len() <= 12, "{} sockets are open", open.len());
    };
    // Those that the test's other requests keep open are among the twelve.
    ensure!(open.len() >= 6, "{} sockets, then {refused:#}", open.len());
    drop(open);
    eventually(secs(10), "room for a viewer", async || {
        Wsp::open(&node.ws("/streams/a/door")).await.map(drop)
    })
    .await
}
