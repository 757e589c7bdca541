//! Peers that mean no good: memory stays bounded, the connection ends, and the others notice nothing.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make},
    ensure, eventually,
    manifest::{publish_camera, rtsp_camera},
    media_node::{ADMIN_PASSWORD, MediaNode},
    player,
    wait::secs,
};

const MIB: u64 = 1024 * 1024;

async fn node() -> Result<(Camera, MediaNode)> {
    let source = Camera::start(Make::Go, Auth::None).await?;
    let node = MediaNode::standalone()
        .manifest("a.yaml", rtsp_camera("door", source.url("h264"), ""))
        .manifest("b.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    Ok((source, node))
}

/// Plays for `seconds` while something goes on, and asserts that nothing was missed.
fn viewer(node: &MediaNode, seconds: f64) -> tokio::task::JoinHandle<Result<()>> {
    let url = node.rtsp("door");
    tokio::spawn(async move {
        player::probe_rtsp(&url, "tcp", seconds)
            .await?
            .expect(&["h264", "aac"], seconds)
    })
}

/// Bytes that look random and are the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Reads until the other side closes, for `limit` at most. Tells whether it closed.
async fn closes(socket: &mut TcpStream, limit: Duration) -> bool {
    let mut rest = vec![0; 64 * 1024];
    let read = async { while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(limit, read).await.is_ok()
}

#[tokio::test]
async fn noise_on_every_port() -> Result<()> {
    let (_source, mut node) = node().await?;
    let watching = viewer(&node, 10.0);
    let before = node.process().resident_bytes()?;
    let mut requests: Vec<Vec<u8>> = (0..40).map(|i| noise(i, 3000)).collect();
    let long = "x".repeat(2_000_000);
    requests.extend([
        b"DESCRIBE rtsp://h/door RTSP/1.0\r\nCSeq: 99999999999999999999\r\n\r\n".to_vec(),
        b"ANNOUNCE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 4294967295\r\n\r\n"
            .to_vec(),
        b"OPTIONS rtsp://h/door RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        format!("DESCRIBE rtsp://h/{long} RTSP/1.0\r\nCSeq: 1\r\n\r\n").into_bytes(),
        format!("OPTIONS rtsp://h/door RTSP/1.0\r\nCSeq: 1\r\nX: {long}\r\n\r\n").into_bytes(),
        format!("GET /streams/{long}.flv HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(100_000)).into_bytes(),
        b"$\x00\xff\xff".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET /streams/%00%ff/..%2f..%2fetc/passwd.flv HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
    ]);
    for port in ["rtsp", "http"].map(|name| node.port(name)) {
        let all = requests.iter().map(|bytes| async move {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
            // It may be closed while we still write.
            let _ = socket.write_all(bytes).await;
            let _ = socket.shutdown().await;
            ensure!(
                closes(&mut socket, secs(20)).await,
                "{:?}… was never answered",
                &bytes[..bytes.len().min(40)]
            );
            Ok(())
        });
        for result in futures::future::join_all(all).await {
            result?;
        }
    }
    watching.await??;
    let grown = node.process().resident_bytes()?.saturating_sub(before);
    ensure!(grown < 64 * MIB, "memory grew by {grown} bytes");
    ensure!(!node.log().contains("panicked"), "a panic:\n{}", node.log());
    Ok(())
}

#[tokio::test]
async fn a_publisher_of_garbage() -> Result<()> {
    let (_source, mut node) = node().await?;
    let watching = viewer(&node, 12.0);
    let before = node.process().resident_bytes()?;
    for (seed, garbage) in [
        // Interleaved packets whose content is noise.
        (1, 1),
        // Noise where a packet should begin.
        (2, 0),
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", node.port("rtsp"))).await?;
        let ready = announce(&mut socket, &node).await?;
        ensure!(ready, "the publisher was not let in");
        for i in 0..2000_u64 {
            let body = noise(seed * 100_000 + i, 1000);
            let mut packet = Vec::new();
            if garbage == 1 {
                packet.extend_from_slice(&[b'$', (i % 2) as u8]);
                packet.extend_from_slice(&(body.len() as u16).to_be_bytes());
            }
            packet.extend_from_slice(&body);
            if socket.write_all(&packet).await.is_err() {
                break;
            }
        }
        drop(socket);
    }
    watching.await??;
    let grown = node.process().resident_bytes()?.saturating_sub(before);
    ensure!(grown < 64 * MIB, "memory grew by {grown} bytes");
    ensure!(!node.log().contains("panicked"), "a panic:\n{}", node.log());
    node.until_reason("gate", "WaitingForPublisher").await?;
    Ok(())
}

/// Publishes to `gate` up to RECORD, with Digest, by hand.
async fn announce(socket: &mut TcpStream, node: &MediaNode) -> Result<bool> {
    let url = node.rtsp("gate");
    let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n";
    let mut challenge = String::new();
    let setup = format!("{url}/trackID=0");
    let steps = [
        (
            "ANNOUNCE",
            url.as_str(),
            format!(
                "Content-Type: application/sdp\r\nContent-Length: {}\r\n",
                sdp.len()
            ),
            sdp,
        ),
        (
            "SETUP",
            &setup,
            "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n".to_owned(),
            "",
        ),
        ("RECORD", &url, "Range: npt=0-\r\n".to_owned(), ""),
    ];
    let mut number = 0;
    let mut session = String::new();
    for (method, url, headers, body) in steps {
        for attempt in 0..2 {
            number += 1;
            let authorization = digest(&challenge, method, url).await?;
            let request = format!(
                "{method} {url} RTSP/1.0\r\nCSeq: {number}\r\n{authorization}{session}{headers}\r\n{body}"
            );
            socket.write_all(request.as_bytes()).await?;
            let reply = head(socket).await?;
            if reply.starts_with("RTSP/1.0 401") && attempt == 0 {
                challenge = field(&reply, "WWW-Authenticate");
                continue;
            }
            if !reply.starts_with("RTSP/1.0 200") {
                return Ok(false);
            }
            let id = field(&reply, "Session");
            if !id.is_empty() {
                session = format!("Session: {}\r\n", id.split(';').next().unwrap_or(&id));
            }
            break;
        }
    }
    Ok(true)
}

/// The answer to a Digest challenge (RFC 2617 without qop), by the system's md5sum.
async fn digest(challenge: &str, method: &str, url: &str) -> Result<String> {
    if challenge.is_empty() {
        return Ok(String::new());
    }
    let field = |name: &str| {
        let rest = challenge.split(&format!("{name}=\"")).nth(1)?;
        rest.split('"').next().map(str::to_owned)
    };
    let (realm, nonce) = (
        field("realm").unwrap_or_default(),
        field("nonce").unwrap_or_default(),
    );
    let md5 = async |text: String| -> Result<String> {
        let script = "printf %s \"$1\" | md5sum | cut -d' ' -f1";
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", script, "sh", &text]);
        Ok(weir_tests::process::output(&mut command, secs(5))
            .await?
            .trim()
            .to_owned())
    };
    let ha1 = md5(format!("admin:{realm}:{ADMIN_PASSWORD}")).await?;
    let ha2 = md5(format!("{method}:{url}")).await?;
    let response = md5(format!("{ha1}:{nonce}:{ha2}")).await?;
    Ok(format!(
        "Authorization: Digest username=\"admin\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{url}\", response=\"{response}\"\r\n"
    ))
}

/// A header of a reply, or nothing.
fn field(reply: &str, name: &str) -> String {
    let fields = reply.lines().filter_map(|l| l.split_once(':'));
    let mut found = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .next()
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

/// Reads a reply up to its empty line.
async fn head(socket: &mut TcpStream) -> Result<String> {
    let mut text = Vec::new();
    let read = async {
        while !text.ends_with(b"\r\n\r\n") {
            text.push(socket.read_u8().await?);
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::time::timeout(secs(10), read).await??;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Connects to a port of the node, with little room for what comes.
async fn connect(node: &MediaNode, port: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    Ok(socket.connect(([127, 0, 0, 1], node.port(port)).into()).await?)
}

/// Plays `door` over the RTSP connection, by hand, up to the answer to PLAY.
async fn play(node: &MediaNode) -> Result<TcpStream> {
    let mut socket = connect(node, "rtsp").await?;
    let url = node.rtsp("door");
    let mut session = String::new();
    let describe = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n");
    socket.write_all(describe.as_bytes()).await?;
    let reply = head(&mut socket).await?;
    let length = field(&reply, "Content-Length").parse()?;
    let mut sdp = vec![0; length];
    socket.read_exact(&mut sdp).await?;
    let sdp = String::from_utf8(sdp)?;
    let control = sdp
        .lines()
        .skip_while(|l| !l.starts_with("m="))
        .find_map(|l| l.strip_prefix("a=control:"))
        .with_context(|| sdp.clone())?;
    let track = if control.starts_with("rtsp://") {
        control.to_owned()
    } else {
        format!("{url}/{control}")
    };
    for (number, method, target, headers) in [
        (
            2,
            "SETUP",
            &track,
            "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
        ),
        (3, "PLAY", &url, "Range: npt=0-\r\n"),
    ] {
        let request = format!("{method} {target} RTSP/1.0\r\nCSeq: {number}\r\n{session}{headers}\r\n");
        socket.write_all(request.as_bytes()).await?;
        let reply = head(&mut socket).await?;
        ensure!(reply.starts_with("RTSP/1.0 200"), "{method}: {reply}");
        let id = field(&reply, "Session");
        session = format!("Session: {}\r\n", id.split(';').next().unwrap_or(&id));
    }
    Ok(socket)
}

#[tokio::test]
async fn viewers_that_read_a_byte_a_second() -> Result<()> {
    const EACH: usize = 10;
    let (_source, mut node) = node().await?;
    let (status, playlist) = node.text("/streams/door.m3u8").await?;
    ensure!(status == 200, "{status} {playlist}");
    let segment = playlist
        .lines()
        .find(|l| l.starts_with('/'))
        .context("a segment")?;
    let flv = "GET /streams/door.flv HTTP/1.1\r\nHost: h\r\n\r\n".to_owned();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let web_socket = format!("GET /streams/door.flv HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n");
    let hls = format!("GET {segment} HTTP/1.1\r\nHost: h\r\n\r\n");

    let before = node.process().resident_bytes()?;
    let mut slow = Vec::new();
    for _ in 0..EACH {
        for (request, answer) in [(&flv, "200"), (&web_socket, "101"), (&hls, "200")] {
            let mut socket = connect(&node, "http").await?;
            socket.write_all(request.as_bytes()).await?;
            let reply = head(&mut socket).await?;
            ensure!(
                reply.starts_with(&format!("HTTP/1.1 {answer}")),
                "{request}{reply}"
            );
            slow.push(socket);
        }
        slow.push(play(&node).await?);
    }
    let viewers = node.camera("door").await?["viewers"].as_u64();
    ensure!(
        viewers >= Some(3 * EACH as u64),
        "{viewers:?} viewers are counted"
    );

    let watching = viewer(&node, 20.0);
    for _ in 0..20 {
        let round = slow.iter_mut().map(|socket| async {
            // The node may have ended it, which is its right.
            let _ = tokio::time::timeout(secs(1), socket.read_u8()).await;
        });
        futures::future::join_all(round).await;
        tokio::time::sleep(secs(1)).await;
    }
    watching.await??;
    // 20 s of 2 Mbit/s for 40 viewers would be 200 MB.
    let grown = node.process().resident_bytes()?.saturating_sub(before);
    ensure!(grown < 64 * MIB, "memory grew by {grown} bytes");
    // Nor was anything held up for those who come now.
    for (url, options) in [
        (node.rtsp("door"), ["-rtsp_transport", "tcp"].as_slice()),
        (node.http("/streams/door.flv"), &[]),
        (node.http("/streams/door.m3u8"), &[]),
    ] {
        player::probe(&url, options, 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_half_open_connections() -> Result<()> {
    let (_source, mut node) = node().await?;
    let (memory, files) = (node.process().resident_bytes()?, node.process().open_files()?);
    let watching = viewer(&node, 10.0);
    let mut open = Vec::new();
    for i in 0..1000 {
        let port = node.port(if i % 2 == 0 { "rtsp" } else { "http" });
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        let begun: &[u8] = match i % 4 {
            0 => b"",
            1 => b"GET /streams/door.flv HT",
            2 => b"DESCRIBE rtsp://h/door RTSP/1.0\r\nCSeq: 1\r\n",
            _ => b"GET / HTTP/1.1\r\nHost: h\r\n",
        };
        socket.write_all(begun).await?;
        open.push(socket);
    }
    let grown = node.process().resident_bytes()?.saturating_sub(memory);
    ensure!(grown < 64 * MIB, "1000 connections cost {grown} bytes");
    // Others still come in.
    player::probe_rtsp(&node.rtsp("door"), "tcp", 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    watching.await??;
    // Nobody may hold a connection for ever without saying what they want.
    eventually(secs(60), "the node to close them", async || {
        let now = node.process().open_files()?;
        ensure!(now < files + 100, "{now} files are open, {files} were before");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn viewers_who_come_and_go_leave_nothing() -> Result<()> {
    let (_source, mut node) = node().await?;
    player::probe(&node.http("/streams/door.flv"), &[], 1.0).await?;
    let files = node.process().open_files()?;
    for _ in 0..300 {
        let mut socket = TcpStream::connect(("127.0.0.1", node.port("http"))).await?;
        socket
            .write_all(b"GET /streams/door.flv HTTP/1.1\r\nHost: h\r\n\r\n")
            .await?;
        let mut some = [0; 100];
        socket.read_exact(&mut some).await?;
    }
    eventually(secs(20), "the sockets to be closed", async || {
        let now = node.process().open_files()?;
        ensure!(now <= files + 5, "{now} files are open, {files} were before");
        Ok(())
    })
    .await
}
