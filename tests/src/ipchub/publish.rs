//! Section 6, push: RTSP from publishers, over TCP and over a WebSocket.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Entry, Place, place::USERS_PASSWORD};
use crate::{
    camera, eventually, player,
    rtsp::{Connection, interleaved},
    setup,
    wait::secs,
    web_socket::{Rtsp, count},
};

const SDP: &str = "Content-Type: application/sdp";

/// Waits until an entry tells of a stream, and gives it.
async fn running(place: &Place, entry: &Entry, path: &str) -> Result<serde_json::Value> {
    let what = format!("{path} to run");
    eventually(secs(20), &what, async || {
        place.told(entry, &format!("streams{path}")).await
    })
    .await
}

/// Waits until no entry tells of a stream.
async fn gone(place: &Place, path: &str) -> Result<()> {
    eventually(secs(20), &format!("{path} to be gone"), async || {
        for entry in place.entries() {
            let reply = place
                .admin(entry, reqwest::Method::GET, &format!("streams{path}"), "")
                .await?;
            reply.is(404, "404 page not found")?;
        }
        Ok(())
    })
    .await
}

/// ANNOUNCE, SETUP, RECORD by those who may push.
pub async fn ipchub_push_rtsp(place: &Place) -> Result<()> {
    let path = "/ids/pushed";
    let user = json!({"name": "pusher", "password": USERS_PASSWORD, "push": path, "pull": path});
    place.save("users", user).await?;
    let tokens = place.user("push-viewer", "", path).await?;
    let (first_clip, second_clip) = (
        setup::clip("h264_aac.mp4").await?,
        setup::clip("h264_other.mp4").await?,
    );

    // Published at the first entry, played at both.
    let mut publisher = camera::publish(&first_clip, &place.first.rtsp_as("pusher", path), "tcp")?;
    for entry in place.entries() {
        let stream = running(place, entry, path).await?;
        let (ip, port) = stream["addr"]
            .as_str()
            .and_then(|a| a.rsplit_once(':'))
            .context("an address")?;
        ensure!(
            ip.parse::<std::net::IpAddr>().is_ok() && port.parse::<u16>().is_ok(),
            "{stream}"
        );
        let url = entry.http(&format!("/streams{path}.flv?token={}", tokens.access));
        player::probe(&url, &[], 1.0)
            .await?
            .expect(&["h264", "aac"], 1.0)?;
    }
    // A newcomer at the other entry takes the path.
    let mut newcomer = camera::publish(&second_clip, &place.second.rtsp_as("pusher", path), "tcp")?;
    eventually(secs(20), "the newcomer's stream at both entries", async || {
        for entry in place.entries() {
            let stream = place.told(entry, &format!("streams{path}")).await?;
            ensure!(stream["video"]["width"] == 640, "{stream}");
            let reply = place.get(entry, &format!("/streams{path}.flv")).await?;
            ensure!(reply.status == 401, "{reply:?}");
        }
        let url = place
            .first
            .http(&format!("/streams{path}.flv?token={}", tokens.access));
        let seen = player::probe(&url, &[], 0.5).await?;
        ensure!(seen.size()? == (640, 480), "{:?}", seen.size());
        Ok(())
    })
    .await?;
    publisher.ended(secs(20)).await?;
    // It ends with its publisher, and the former one does not get the path back.
    newcomer.stop(secs(10)).await?;
    gone(place, path).await?;

    let description = description(place).await?;
    for entry in place.entries() {
        let url = entry.rtsp(path);
        let announce = async |connection: &mut Connection, url: &str| {
            connection.send("ANNOUNCE", url, &[SDP], &description).await
        };
        let mut nobody = Connection::open_at(&entry.rtsp).await?;
        let response = announce(&mut nobody, &url).await?;
        ensure!(response.status.starts_with("401 "), "{response:?}");
        // Who may watch may not publish.
        let mut viewer = Connection::open_as(&entry.rtsp, "push-viewer", USERS_PASSWORD).await?;
        let response = announce(&mut viewer, &url).await?;
        ensure!(response.status == "403 Forbidden", "{response:?}");
        let mut pusher = Connection::open_as(&entry.rtsp, "pusher", USERS_PASSWORD).await?;
        let response = announce(&mut pusher, &entry.rtsp("/ids/elsewhere")).await?;
        ensure!(response.status == "403 Forbidden", "{response:?}");

        for (kind, body) in [
            ("Content-Type: text/plain", description.as_str()),
            (SDP, "nonsense"),
        ] {
            let response = pusher.send("ANNOUNCE", &url, &[kind], body).await?;
            ensure!(
                response.status.starts_with("400 "),
                "{kind}, {body}: {response:?}"
            );
        }
        announce(&mut pusher, &url).await?.ok()?;
        let track = format!("{url}/streamid=0");
        for (transport, status) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", "451 "),
            ("RTP/AVP;multicast;mode=record", "461 "),
        ] {
            let response = pusher
                .ask("SETUP", &track, &[&format!("Transport: {transport}")])
                .await?;
            ensure!(response.status.starts_with(status), "{transport}: {response:?}");
        }
        for (track, mode) in [(0, ";mode=\"RECORD\""), (1, ";mode=receive")] {
            let track_url = format!("{url}/streamid={track}");
            pusher
                .ask("SETUP", &track_url, &[&interleaved(track, mode)])
                .await?
                .ok()?;
        }
        let response = pusher.ask("PLAY", &url, &[]).await?;
        ensure!(response.status.starts_with("455 "), "{response:?}");
        pusher.ask("RECORD", &url, &[]).await?.ok()?;
        pusher.ask("RECORD", &url, &[]).await?.ok()?;
        let response = pusher.ask("DESCRIBE", &url, &[]).await?;
        ensure!(response.status.starts_with("455 "), "{response:?}");
        pusher.ask("TEARDOWN", &url, &[]).await?.ok()?;
        pusher.closed().await?;
    }
    place.delete("users/pusher").await?;
    place.delete("users/push-viewer").await
}

/// How a publisher describes H.264 and AAC: as the camera does.
async fn description(place: &Place) -> Result<String> {
    let (path, _) = place.stream("described").await?;
    let mut player = Connection::open_as(&place.first.rtsp, "described", USERS_PASSWORD).await?;
    let described = player
        .ask("DESCRIBE", &place.first.rtsp(&path), &[])
        .await?
        .ok()?;
    drop(player);
    place.close("described").await?;
    Ok(described.body)
}

/// The same over a WebSocket, by the token's user; the stream is that of ANNOUNCE.
pub async fn ipchub_push_ws_rtsp(place: &Place) -> Result<()> {
    let (source, viewer) = place.stream("ws-source").await?;
    let path = "/ids/ws-pushed";
    let tokens = place.user("ws-pusher", path, "").await?;
    for (entry, other) in [(&place.first, &place.second), (&place.second, &place.first)] {
        let from = entry.ws(&format!("/streams{source}?token={}", viewer.access));
        let mut player = Rtsp::open(&from).await?;
        let description = player.play(&[0, 1]).await?;
        let mut publisher = Rtsp::open(&entry.ws(&format!("/streams{path}?token={}", tokens.access))).await?;
        publisher
            .record(&format!("rtsp://placehold{path}"), &description, &[0, 1])
            .await?;
        let send = async {
            loop {
                let packet = player.packet().await?;
                publisher.socket.binary(packet.whole).await?;
            }
            #[expect(unreachable_code, reason = "says what type its errors are")]
            Ok::<(), anyhow::Error>(())
        };
        let look = async {
            let stream = running(place, other, path).await?;
            ensure!(stream["video"]["codec"] == "H264", "{stream}");
            let url = other.ws(&format!("/streams{path}?token={}", place.token));
            let mut watching = Rtsp::open(&url).await?;
            watching.play(&[0, 1]).await?;
            let counts = count(&watching.packets(60).await?)?;
            ensure!(counts[&0] > 20, "{counts:?}");
            Ok(())
        };
        tokio::select! {
            sent = send => sent?,
            looked = look => looked?,
        }
        drop(publisher);
        gone(place, path).await?;

        // Whoever may only watch, or publish elsewhere.
        let at = entry.ws(&format!("/streams{source}?token={}", viewer.access));
        let mut publisher = Rtsp::open(&at).await?;
        let response = publisher
            .ask(
                "ANNOUNCE",
                &format!("rtsp://placehold{source}"),
                &[SDP],
                &description,
            )
            .await?;
        ensure!(response.status == "403 Forbidden", "{response:?}");
        let mut publisher = Rtsp::open(&entry.ws(&format!("/streams{path}?token={}", tokens.access))).await?;
        let response = publisher
            .ask("ANNOUNCE", "rtsp://placehold/ids/elsewhere", &[SDP], &description)
            .await?;
        ensure!(response.status == "403 Forbidden", "{response:?}");
        let response = publisher.ask("DESCRIBE", Rtsp::URL, &[], "").await?;
        ensure!(
            response.status == "403 Forbidden",
            "who may publish may not watch: {response:?}"
        );
    }
    place
        .socket_needs_pull(&format!("/streams{path}"), Some("rtsp"))
        .await?;
    place.delete("users/ws-pusher").await?;
    place.close("ws-source").await
}
