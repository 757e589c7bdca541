//! Section 6: RTSP to players.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use md5::{Digest, Md5};
use tokio::{net::UdpSocket, time::timeout};

use super::{Entry, Place, place::USERS_PASSWORD};
use crate::{
    player,
    rtsp::{Connection, interleaved},
    wait::secs,
};

const BOTH: [&str; 2] = ["h264", "aac"];

/// Who may: by digest, of the password or of its MD5.
async fn wants_digest(place: &Place, entry: &Entry, name: &str, path: &str) -> Result<()> {
    let url = entry.rtsp(path);
    let mut nobody = Connection::open_at(&entry.rtsp).await?;
    let options = nobody.ask("OPTIONS", "*", &[]).await?.ok()?;
    let public = options.header("Public")?;
    ensure!(
        public == "DESCRIBE, SETUP, TEARDOWN, PLAY, OPTIONS, ANNOUNCE, RECORD",
        "{public}"
    );
    let challenge = options.header("WWW-Authenticate")?;
    let nonce = challenge
        .strip_prefix("Digest realm=\"ipchub\",nonce=\"")
        .and_then(|rest| rest.strip_suffix('"'));
    ensure!(nonce.is_some_and(Place::is_token), "{challenge}");
    // First the state, then who asks.
    for (method, status) in [
        ("PAUSE", "455 "),
        ("PLAY", "455 "),
        ("GET_PARAMETER", "455 "),
        ("DESCRIBE", "401 "),
        ("SETUP", "401 "),
    ] {
        let response = nobody.ask(method, &url, &[]).await?;
        ensure!(response.status.starts_with(status), "{method}: {response:?}");
        response.header("WWW-Authenticate")?;
    }
    // admin:admin
    let response = nobody
        .ask("DESCRIBE", &url, &["Authorization: Basic YWRtaW46YWRtaW4="])
        .await?;
    ensure!(response.status.starts_with("401 "), "Basic: {response:?}");

    // Wrong, and then right on the same connection.
    let mut player = Connection::open_as(&entry.rtsp, name, "canary-wrong-0Xx").await?;
    let response = player.ask("DESCRIBE", &url, &[]).await?;
    ensure!(response.status.starts_with("401 "), "{response:?}");
    player.log_in(name, USERS_PASSWORD);
    let response = player.ask("DESCRIBE", &url, &[]).await?.ok()?;
    ensure!(
        response.header("Content-Type")? == "application/sdp",
        "{response:?}"
    );
    ensure!(
        response.body.contains("H264") && response.header("WWW-Authenticate").is_ok(),
        "{response:?}"
    );
    let md5 = format!("{:x}", Md5::digest(USERS_PASSWORD));
    let mut player = Connection::open_as(&entry.rtsp, name, &md5).await?;
    player.ask("DESCRIBE", &url, &[]).await?.ok()?;

    // Who has no right is not told whether there is such a stream.
    for forbidden in ["/ids/unknown", "/ids/other"] {
        let response = player.ask("DESCRIBE", &entry.rtsp(forbidden), &[]).await?;
        ensure!(response.status == "403 Forbidden", "{response:?}");
    }
    let mut admin = Connection::open_as(&entry.rtsp, "admin", &place.admin_password).await?;
    let response = admin.ask("DESCRIBE", &entry.rtsp("/ids/unknown"), &[]).await?;
    ensure!(response.status == "404 Not Found", "{response:?}");
    Ok(())
}

/// RTP among the responses.
pub async fn ipchub_play_rtsp_tcp(place: &Place) -> Result<()> {
    let (path, _) = place.stream("rtsp-tcp").await?;
    for entry in place.entries() {
        wants_digest(place, entry, "rtsp-tcp", &path).await?;
        let seen = player::probe_rtsp(&entry.rtsp_as("rtsp-tcp", &path), "tcp", 1.5).await?;
        seen.expect(&BOTH, 1.5)?;

        let url = entry.rtsp(&path);
        let track = format!("{url}/streamid=0");
        let mut player = Connection::open_as(&entry.rtsp, "rtsp-tcp", USERS_PASSWORD).await?;
        // By the administrator, because the path of this URL goes beyond the user's.
        let mut early = Connection::open_as(&entry.rtsp, "admin", &place.admin_password).await?;
        let response = early.ask("SETUP", &track, &[&interleaved(0, "")]).await?;
        ensure!(
            response.status.starts_with("500 "),
            "before a description: {response:?}"
        );
        player.ask("DESCRIBE", &url, &[]).await?.ok()?;
        for (track, transport, status) in [
            (&track, "RTP/AVP/TCP", "451 "),
            (&track, "RTP/AVP/TCP;multicast", "451 "),
            (&track, "nonsense", "451 "),
            (
                &format!("{url}/streamid=7"),
                "RTP/AVP/TCP;unicast;interleaved=0-1",
                "500 ",
            ),
        ] {
            let response = player
                .ask("SETUP", track, &[&format!("Transport: {transport}")])
                .await?;
            ensure!(response.status.starts_with(status), "{transport}: {response:?}");
        }
        let transport = interleaved(2, "");
        let response = player.ask("SETUP", &track, &[&transport]).await?.ok()?;
        ensure!(
            format!("Transport: {}", response.header("Transport")?) == transport,
            "{response:?}"
        );
        let record = player.ask("RECORD", &url, &[]).await?;
        ensure!(!record.status.starts_with("200"), "{record:?}");
        let playing = player.ask("PLAY", &url, &["Range: npt=0.000-"]).await?.ok()?;
        ensure!(playing.header("Range")? == "npt=0.000-", "{playing:?}");
        place.only_consumer(&path, "RTP", "net=rtsp-tcp").await?;
        for (method, status) in [
            ("OPTIONS", "200 OK"),
            ("PLAY", "200 OK"),
            ("PAUSE", "455 "),
            ("DESCRIBE", "455 "),
            ("SETUP", "455 "),
            ("ANNOUNCE", "455 "),
            ("GET_PARAMETER", "455 "),
        ] {
            let response = player.ask(method, &url, &[]).await?;
            ensure!(response.status.starts_with(status), "{method}: {response:?}");
        }
        let channels = player.channels();
        ensure!(
            !channels.is_empty() && channels.iter().all(|c| [4, 5].contains(c)),
            "only what was set up: {channels:?}"
        );
        player.ask("TEARDOWN", &url, &[]).await?.ok()?;
        player.closed().await?;
        place.consumers(&place.second, &path, 0).await?;
    }
    place.close("rtsp-tcp").await
}

/// RTP to the client's ports.
pub async fn ipchub_play_rtsp_udp(place: &Place) -> Result<()> {
    let (path, _) = place.stream("rtsp-udp").await?;
    for entry in place.entries() {
        let seen = player::probe_rtsp(&entry.rtsp_as("rtsp-udp", &path), "udp", 1.5).await?;
        seen.expect(&BOTH, 1.5)?;

        let socket = UdpSocket::bind((place.machine.as_str(), 0)).await?;
        let port = socket.local_addr()?.port();
        let url = entry.rtsp(&path);
        let mut player = Connection::open_as(&entry.rtsp, "rtsp-udp", USERS_PASSWORD).await?;
        player.ask("DESCRIBE", &url, &[]).await?.ok()?;
        let asked = format!("RTP/AVP/UDP;unicast;client_port={port}-{}", port ^ 1);
        let transport = format!("Transport: {asked}");
        let response = player
            .ask("SETUP", &format!("{url}/streamid=0"), &[&transport])
            .await?
            .ok()?;
        let server = response
            .header("Transport")?
            .strip_prefix(&format!("{asked};server_port="));
        let server = server
            .and_then(|ports| ports.split_once('-'))
            .with_context(|| format!("{response:?}"))?;
        ensure!(
            server.0.parse::<u16>()? + 1 == server.1.parse::<u16>()?,
            "{response:?}"
        );
        player.ask("PLAY", &url, &[]).await?.ok()?;
        let mut packet = [0; 2048];
        let (length, from) = timeout(secs(10), socket.recv_from(&mut packet))
            .await
            .context("no packet")??;
        ensure!(
            length > 12 && packet[0] >> 6 == 2,
            "{:x?}",
            &packet[..length.min(16)]
        );
        ensure!(from.port().to_string() == server.0, "from {from}, not {server:?}");
        place.only_consumer(&path, "RTP", "net=rtsp-udp").await?;
        for (method, status) in [("OPTIONS", "200 OK"), ("PLAY", "200 OK"), ("PAUSE", "455 ")] {
            let response = player.ask(method, &url, &[]).await?;
            ensure!(response.status.starts_with(status), "{method}: {response:?}");
        }
        player.ask("TEARDOWN", &url, &[]).await?.ok()?;
        player.closed().await?;
        place.consumers(&place.second, &path, 0).await?;

        let mut nobody = Connection::open_at(&entry.rtsp).await?;
        let response = nobody
            .ask("SETUP", &format!("{url}/streamid=0"), &[&transport])
            .await?;
        ensure!(response.status.starts_with("401 "), "{response:?}");
    }
    place.close("rtsp-udp").await
}

/// One sender for all viewers of a network; where there is no such network, 461.
pub async fn ipchub_play_rtsp_multicast(place: &Place) -> Result<()> {
    let (path, _) = place.stream("rtsp-multicast").await?;
    let mut members = Vec::new();
    for entry in place.entries() {
        let url = entry.rtsp(&path);
        let mut player = Connection::open_as(&entry.rtsp, "rtsp-multicast", USERS_PASSWORD).await?;
        player.ask("DESCRIBE", &url, &[]).await?.ok()?;
        let asked = "RTP/AVP;multicast";
        let response = player
            .ask(
                "SETUP",
                &format!("{url}/streamid=0"),
                &[&format!("Transport: {asked}")],
            )
            .await?;
        if place.in_cluster {
            ensure!(response.status.starts_with("461 "), "{response:?}");
            // The session is none the worse for it.
            player
                .ask("SETUP", &format!("{url}/streamid=0"), &[&interleaved(0, "")])
                .await?
                .ok()?;
            continue;
        }
        let transport = response.ok()?;
        let transport = transport.header("Transport")?.to_owned();
        let Some(rest) = transport.strip_prefix("RTP/AVP;multicast;destination=") else {
            bail!("{transport}");
        };
        let values: Vec<_> = rest.split(';').collect();
        let [group, ports, source, "ttl=127"] = values[..] else {
            bail!("{transport}");
        };
        let (rtp, rtcp) = ports
            .strip_prefix("port=")
            .and_then(|p| p.split_once('-'))
            .context("ports")?;
        let (rtp, rtcp): (u16, u16) = (rtp.parse()?, rtcp.parse()?);
        let group: Ipv4Addr = group.parse()?;
        ensure!(
            group.octets()[0] == 235
                && (16_666..39_999).contains(&rtp)
                && rtcp == rtp + 1
                && source.starts_with("source="),
            "{transport}"
        );
        members.push((player, url, group, rtp));
    }
    if let [(first, first_url, group, port), (second, url, ..)] = &mut members[..] {
        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, *port)).await?;
        receiver.join_multicast_v4(*group, Ipv4Addr::LOCALHOST)?;
        first.ask("PLAY", first_url, &[]).await?.ok()?;
        second.ask("PLAY", url, &[]).await?.ok()?;
        let mut packet = [0; 2048];
        let length = timeout(secs(10), receiver.recv(&mut packet))
            .await
            .context("no packet")??;
        ensure!(
            length > 12 && packet[0] >> 6 == 2,
            "{:x?}",
            &packet[..length.min(16)]
        );
        let extra = format!("net = rtsp-multicast, {group}");
        place.only_consumer(&path, "RTP", &extra).await?;
        // The group outlives its first member.
        first.ask("TEARDOWN", first_url, &[]).await?.ok()?;
        first.closed().await?;
        place.only_consumer(&path, "RTP", &extra).await?;
        // Stopping the one consumer ends those who are left.
        let stream = place.consumers(&place.first, &path, 1).await?;
        place
            .delete(&format!("streams{path}:consumer?cid={}", stream["cs"][0]["id"]))
            .await?;
        second.closed().await?;
        place.consumers(&place.second, &path, 0).await?;
    }
    ensure!(
        place.in_cluster || members[0].2 == members[1].2 && members[0].3 == members[1].3,
        "two groups"
    );
    place.close("rtsp-multicast").await
}
