//! Publishing by RTSP whose media comes by UDP: from ffmpeg, and over a network that is as bad as the test makes it.

use std::time::Duration;

use tempfile::TempDir;
use tokio::{net::UdpSocket, process::Command, time::timeout};
use weir_tests::{
    Context, Result, camera, ensure, eventually,
    manifest::publish_camera,
    media_node::{ADMIN_PASSWORD, MediaNode},
    player,
    process::Process,
    rtsp::Connection,
    setup,
    wait::secs,
};

async fn gate() -> Result<MediaNode> {
    let node = MediaNode::standalone()
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    Ok(node)
}

/// Has ffmpeg publish a clip, and plays what comes of it.
async fn published(clip: &str, codecs: &[&str]) -> Result<()> {
    let node = gate().await?;
    let url = node
        .rtsp("gate")
        .replace("rtsp://", &format!("rtsp://admin:{ADMIN_PASSWORD}@"));
    let mut publisher = camera::publish(&setup::clip(clip).await?, &url, "udp")?;
    node.until_ready("gate").await?;
    player::probe_rtsp(&node.rtsp("gate"), "tcp", 4.0)
        .await?
        .expect(codecs, 4.0)?;
    let complaints = player::decode(&node.rtsp("gate"), &["-rtsp_transport", "tcp"], 3.0).await?;
    ensure!(complaints.is_empty(), "{complaints}");
    // The stream goes with its connection, and its ports go with it.
    publisher.stop(secs(5)).await?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    Ok(())
}

#[tokio::test]
async fn ffmpeg_publishes_h264_and_aac() -> Result<()> {
    published("h264_aac.mp4", &["h264", "aac"]).await
}

#[tokio::test]
async fn ffmpeg_publishes_h265_and_aac() -> Result<()> {
    published("h265_aac.mp4", &["hevc", "aac"]).await
}

#[tokio::test]
async fn publishing_wants_the_right() -> Result<()> {
    let node = gate().await?;
    let clip = setup::clip("h264_aac.mp4").await?;
    let url = node.rtsp("gate").replace("rtsp://", "rtsp://admin:wrong@");
    let mut publisher = camera::publish(&clip, &url, "udp")?;
    let status = publisher.ended(secs(10)).await?;
    ensure!(
        !status.success() && publisher.log().contains("401"),
        "{}",
        publisher.log()
    );
    Ok(())
}

/// What the way does to the packets.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Every eighth comes three later, every fifth twice; strangers send as well.
    Disordered,
    /// Every fortieth is lost, and the sender's port is another than it knows of.
    Lossy,
}

/// A publisher whose packets pass through the test: ffmpeg sends to us, and we on to the node.
struct Publisher {
    // Held: the session ends with it.
    connection: Connection,
    url: String,
    _ffmpeg: Process,
    passing: tokio::task::JoinHandle<()>,
    /// Where reports come to.
    reports: UdpSocket,
}

impl Publisher {
    async fn start(node: &MediaNode, way: Way) -> Result<Self> {
        let folder = TempDir::with_prefix("weir-udp-")?;
        let from_ffmpeg = UdpSocket::bind("127.0.0.1:0").await?;
        let sdp_file = folder.path().join("sdp");
        let mut command = Command::new("ffmpeg");
        command.args([
            "-hide_banner",
            "-loglevel",
            "warning",
            "-nostdin",
            "-re",
            "-stream_loop",
            "-1",
            "-i",
        ]);
        command.arg(setup::clip("h264_aac.mp4").await?);
        command
            .args(["-map", "0:v", "-c", "copy", "-f", "rtp", "-sdp_file"])
            .arg(&sdp_file);
        let port = from_ffmpeg.local_addr()?.port();
        command.arg(format!("rtp://127.0.0.1:{port}?pkt_size=1200"));
        let ffmpeg = Process::start("ffmpeg", &mut command)?;
        let sdp = eventually(secs(10), "ffmpeg's description", async || {
            let text = std::fs::read_to_string(&sdp_file)?;
            ensure!(text.contains("sprop-parameter-sets"), "{text}");
            Ok(text)
        })
        .await?;
        let sdp: String = sdp
            .lines()
            .filter(|l| !l.starts_with("SDP:"))
            .fold(String::new(), |text, line| text + line + "\r\n");

        let (media, reports) = (
            UdpSocket::bind("127.0.0.1:0").await?,
            UdpSocket::bind("127.0.0.1:0").await?,
        );
        let announced = match way {
            Way::Disordered => media.local_addr()?.port(),
            // As behind address translation: nobody sends from there.
            Way::Lossy => 9,
        };
        let url = format!("{}?token={}", node.rtsp("gate"), node.login().await?.access);
        let mut connection = Connection::open(node.port("rtsp")).await?;
        connection
            .send("ANNOUNCE", &url, &["Content-Type: application/sdp"], &sdp)
            .await?
            .ok()?;
        let reported = reports.local_addr()?.port();
        let transport =
            format!("Transport: RTP/AVP/UDP;unicast;client_port={announced}-{reported};mode=Receive");
        let setup = connection.ask("SETUP", &url, &[&transport]).await?.ok()?;
        let server_port = setup
            .header("Transport")?
            .split("server_port=")
            .nth(1)
            .context("server_port")?;
        let (rtp, rtcp) = server_port.split_once('-').context("two ports")?;
        let (rtp, rtcp): (u16, u16) = (rtp.parse()?, rtcp.parse()?);
        ensure!(rtp % 2 == 0 && rtcp == rtp + 1, "{server_port}");
        connection.ask("RECORD", &url, &[]).await?.ok()?;
        let passing = tokio::spawn(pass(from_ffmpeg, media, rtp, way));
        Ok(Self {
            connection,
            url,
            _ffmpeg: ffmpeg,
            passing,
            reports,
        })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass(from: UdpSocket, media: UdpSocket, to: u16, way: Way) {
    let to = ("127.0.0.1", to);
    let strangers = [
        UdpSocket::bind("127.0.0.2:0")
            .await
            .expect("loopback has many addresses"),
        UdpSocket::bind("127.0.0.1:0").await.expect("a port"),
    ];
    let mut room = vec![0; 2048];
    let mut held: Vec<(usize, Vec<u8>)> = Vec::new();
    for number in 0.. {
        let Ok(length) = from.recv(&mut room).await else {
            return;
        };
        let packet = room[..length].to_vec();
        match way {
            Way::Disordered if number % 8 == 5 => held.push((number + 3, packet)),
            Way::Disordered => {
                let _ = media.send_to(&packet, to).await;
                if number % 5 == 0 {
                    let _ = media.send_to(&packet, to).await;
                }
                // The same packet with other content, ahead of its time: it would take the place of a good one.
                let mut forged = packet;
                forged[12..].fill(0x41);
                let ahead = u16::from_be_bytes([forged[2], forged[3]]).wrapping_add(2);
                forged[2..4].copy_from_slice(&ahead.to_be_bytes());
                for stranger in &strangers {
                    let _ = stranger.send_to(&forged, to).await;
                }
            }
            Way::Lossy if number % 40 == 20 => {}
            Way::Lossy => {
                let _ = media.send_to(&packet, to).await;
            }
        }
        let due: Vec<_> = held.extract_if(.., |(at, _)| *at <= number).collect();
        for (_, packet) in due {
            let _ = media.send_to(&packet, to).await;
        }
    }
}

#[tokio::test]
async fn packets_out_of_order_are_put_in_order_and_strangers_are_ignored() -> Result<()> {
    let node = gate().await?;
    let mut publisher = Publisher::start(&node, Way::Disordered).await?;
    node.until_ready("gate").await?;
    player::probe_rtsp(&node.rtsp("gate"), "tcp", 3.0)
        .await?
        .expect(&["h264"], 3.0)?;
    let complaints = player::decode(&node.rtsp("gate"), &["-rtsp_transport", "tcp"], 3.0).await?;
    ensure!(complaints.is_empty(), "{complaints}");
    // A publisher may ask while it sends, and ends the stream by saying so.
    let url = publisher.url.clone();
    publisher.connection.ask("OPTIONS", &url, &[]).await?.ok()?;
    publisher.connection.ask("TEARDOWN", &url, &[]).await?.ok()?;
    node.until_reason("gate", "WaitingForPublisher").await?;
    Ok(())
}

#[tokio::test]
async fn a_stream_survives_loss_and_the_sender_hears_of_it() -> Result<()> {
    let node = gate().await?;
    let publisher = Publisher::start(&node, Way::Lossy).await?;
    node.until_ready("gate").await?;
    let mut report = [0; 1500];
    // The first is due after 4 s at most, those after it after 8 s.
    let mut lost = 0;
    while lost == 0 {
        let (length, _) = timeout(secs(10), publisher.reports.recv_from(&mut report))
            .await
            .context("no receiver report")??;
        ensure!(
            length >= 32 && report[..2] == [0x81, 201],
            "{:?}",
            &report[..length]
        );
        lost = u32::from_be_bytes([0, report[13], report[14], report[15]]);
    }
    let seen = player::probe_rtsp(&node.rtsp("gate"), "tcp", 4.0).await?;
    let pictures = seen.packets("video").len();
    ensure!(pictures > 25, "{pictures} pictures in 4 s");
    drop(publisher);
    node.until_reason("gate", "WaitingForPublisher").await?;
    let counted = node.metric("weir_ingest_lost_packets_total").await?;
    ensure!(counted >= f64::from(lost), "{counted} lost, {lost} reported");
    Ok(())
}

#[tokio::test]
async fn ports_are_given_back() -> Result<()> {
    let mut node = gate().await?;
    let token = node.login().await?.access;
    let url = format!("{}?token={token}", node.rtsp("gate"));
    let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    let before = node.process().open_files()?;
    for _ in 0..20 {
        let mut connection = Connection::open(node.port("rtsp")).await?;
        connection
            .send("ANNOUNCE", &url, &["Content-Type: application/sdp"], sdp)
            .await?
            .ok()?;
        // Twice: the second takes the place of the first.
        for _ in 0..2 {
            let transport = "Transport: RTP/AVP;unicast;client_port=5000-5001;mode=record";
            connection.ask("SETUP", &url, &[transport]).await?.ok()?;
        }
        connection.ask("RECORD", &url, &[]).await?.ok()?;
    }
    eventually(Duration::from_secs(5), "the ports to be closed", async || {
        let now = node.process().open_files()?;
        ensure!(now <= before + 4, "{before} files were open, {now} are");
        Ok(())
    })
    .await
}
