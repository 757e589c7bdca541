//! TLS on every port, with players, publishers and clients that are not ours.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use futures::StreamExt;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use weir_tests::{
    Context, Result, camera, ensure, eventually,
    manifest::{publish_camera, rtmp_camera},
    media_node::{ADMIN_PASSWORD, Builder, MediaNode, command},
    player,
    process::{Process, outcome},
    rtsp, setup, tls,
    wait::secs,
};

const MIB: u64 = 1024 * 1024;

/// A node that shows what the folder holds. A file of this machine is played as `door`.
fn builder(folder: &Path) -> Builder {
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    MediaNode::standalone()
        .argument("--tls-cert")
        .argument(&file(tls::CERTIFICATE))
        .argument("--tls-key")
        .argument(&file(tls::KEY))
        .file_camera("door", "h264_aac.mp4", "")
}

/// A node, its certificate, and the folder of that.
async fn node() -> Result<(MediaNode, tls::Certificate, TempDir)> {
    let folder = TempDir::with_prefix("weir-tls-")?;
    let certificate = tls::Certificate::new(1)?;
    certificate.write(folder.path())?;
    let node = builder(folder.path())
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    Ok((node, certificate, folder))
}

/// The same URL with TLS.
fn secure(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    format!("{scheme}s://{rest}")
}

/// The line of the ipchub contract: the same set by https, wss and RTSP over TLS.
#[tokio::test]
async fn ipchub_tls() -> Result<()> {
    let (node, certificate, folder) = node().await?;
    let authority = folder.path().join(tls::CERTIFICATE);
    let verified = ["-tls_verify", "1", "-ca_file", &authority.to_string_lossy()];
    let on_rtsp_port = format!("http://127.0.0.1:{}/streams/door.flv", node.port("rtsp"));
    let plays = async |url: String, options: &[&str]| {
        let seen = player::probe(&url, options, 3.0).await?;
        seen.expect(&["h264", "aac"], 3.0).with_context(|| url.clone())
    };
    tokio::try_join!(
        plays(node.rtsp("door"), &["-rtsp_transport", "tcp"]),
        plays(node.rtsp("door"), &["-rtsp_transport", "udp"]),
        plays(secure(&node.rtsp("door")), &[]),
        plays(node.rtmp("door"), &[]),
        plays(secure(&node.rtmp("door")), &[]),
        plays(node.http("/streams/door.flv"), &[]),
        plays(secure(&node.http("/streams/door.flv")), &verified),
        plays(secure(&on_rtsp_port), &verified),
        plays(secure(&node.http("/streams/door.m3u8")), &verified),
    )?;

    // A WebSocket, on a client's own connection.
    let connection = certificate.connect(node.port("http")).await?;
    let url = secure(&node.ws("/streams/door.flv"));
    let (socket, _) = tokio_tungstenite::client_async(url, connection).await?;
    let messages = player::collect(socket, secs(3)).await;
    let file = folder.path().join("web-socket.flv");
    fs::write(&file, messages.concat())?;
    let seen = player::probe(&file.to_string_lossy(), &[], 9.0).await?;
    seen.expect(&["h264", "aac"], 2.0)?;
    Ok(())
}

#[tokio::test]
async fn media_does_not_leave_the_encrypted_connection() -> Result<()> {
    let (node, certificate, _folder) = node().await?;
    let connection = certificate.connect(node.port("rtsp")).await?;
    let mut connection = rtsp::Connection::over(connection);
    let url = secure(&node.rtsp("door"));
    let described = connection
        .ask("DESCRIBE", &url, &["Accept: application/sdp"])
        .await?
        .ok()?;
    let mut control = described.body.lines().skip_while(|l| !l.starts_with("m="));
    let control = control.find_map(|l| l.strip_prefix("a=control:"));
    let track = format!("{url}/{}", control.context("a track")?);
    for transport in ["RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP;multicast"] {
        let setup = connection
            .ask("SETUP", &track, &[&format!("Transport: {transport}")])
            .await?;
        ensure!(setup.status.starts_with("461"), "{transport}: {setup:?}");
    }
    // As players do then.
    let setup = connection
        .ask("SETUP", &track, &[&rtsp::interleaved(0, "")])
        .await?
        .ok()?;
    let session = setup
        .header("Session")?
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    connection
        .ask("PLAY", &url, &[&format!("Session: {session}")])
        .await?
        .ok()?;
    Ok(())
}

#[tokio::test]
async fn what_is_published_with_tls_plays_without() -> Result<()> {
    let (node, _, _folder) = node().await?;
    let token = node.login().await?.access;
    let clip = setup::clip("h264_aac.mp4").await?;
    let urls = [node.rtmp("gate"), node.rtsp("gate")].map(|url| format!("{}?token={token}", secure(&url)));
    let publishers: [fn(&Path, &str) -> Result<Process>; 2] = [camera::publish_rtmp, |clip, url| {
        camera::publish(clip, url, "tcp")
    }];
    for (url, publish) in urls.iter().zip(publishers) {
        let mut publisher = publish(&clip, url)?;
        node.until_ready("gate").await?;
        let seen = player::probe_rtsp(&node.rtsp("gate"), "tcp", 2.0).await?;
        seen.expect(&["h264", "aac"], 2.0)?;
        publisher.stop(secs(5)).await?;
        node.until_reason("gate", "WaitingForPublisher").await?;
    }
    Ok(())
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// As Kubernetes has a Secret in a folder: links to a link, which is replaced.
fn show(folder: &Path, version: &str) -> Result<()> {
    let part = folder.join("..data.part");
    symlink(version, &part)?;
    Ok(fs::rename(part, folder.join("..data"))?)
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart() -> Result<()> {
    let folder = TempDir::with_prefix("weir-tls-")?;
    for serial in [1, 2] {
        let certificate = tls::Certificate::new(serial)?;
        certificate.write(&folder.path().join(format!("..v{serial}")))?;
    }
    let broken = folder.path().join("..broken");
    fs::create_dir(&broken)?;
    fs::copy(folder.path().join("..v1/tls.crt"), broken.join(tls::CERTIFICATE))?;
    fs::copy(folder.path().join("..v2/tls.key"), broken.join(tls::KEY))?;
    for name in [tls::CERTIFICATE, tls::KEY] {
        symlink(Path::new("..data").join(name), folder.path().join(name))?;
    }
    show(folder.path(), "..v1")?;
    let node = builder(folder.path()).start().await?;
    node.until_ready("door").await?;
    for port in ["rtsp", "http", "rtmp"] {
        for version in ["tls1_2", "tls1_3"] {
            ensure!(
                tls::serial(&at(node.port(port)), version).await? == "01",
                "{port} {version}"
            );
        }
    }
    let expiry = node
        .metric("weir_tls_certificate_expiry_timestamp_seconds")
        .await?;
    ensure!((expiry - 2_556_144_000.0).abs() < 1.0, "{expiry}");

    let url = secure(&node.rtsp("door"));
    let watching = tokio::spawn(async move { player::probe(&url, &[], 8.0).await });
    eventually(secs(10), "the viewer", async || {
        let viewers = node.camera("door").await?["viewers"].as_u64();
        ensure!(viewers == Some(1), "{viewers:?}");
        Ok(())
    })
    .await?;
    let words = "the new certificate can't be served";
    show(folder.path(), "..broken")?;
    eventually(secs(10), "a warning", async || {
        ensure!(node.log().contains(words), "no warning");
        Ok(())
    })
    .await?;
    ensure!(tls::serial(&at(node.port("http")), "tls1_3").await? == "01");
    show(folder.path(), "..v2")?;
    for port in ["rtmp", "http", "rtsp"] {
        eventually(secs(10), "the new certificate", async || {
            let serial = tls::serial(&at(node.port(port)), "tls1_3").await?;
            ensure!(serial == "02", "{serial}");
            Ok(())
        })
        .await?;
    }
    let log = node.log();
    ensure!(log.matches(words).count() == 1, "{log}");
    ensure!(log.contains("does not belong to the certificate in"), "{log}");
    // Nobody who was there noticed.
    watching.await??.expect(&["h264", "aac"], 8.0)
}

#[tokio::test]
async fn a_pair_that_is_none_is_named_at_the_start() -> Result<()> {
    let folder = TempDir::with_prefix("weir-tls-")?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    tls::Certificate::new(1)?.write(folder.path())?;
    fs::write(path(tls::KEY), tls::Certificate::new(2)?.key)?;
    let refused = async |arguments: &[&str]| {
        let mut command = command()?;
        command.args([
            "standalone",
            "--port=0",
            "--http-port=0",
            "--rtmp-port=0",
            "--webrtc-port=0",
        ]);
        command.args(["--data", &path("data")]).args(arguments);
        let (_, said, status) = outcome(&mut command, secs(20)).await?;
        ensure!(!status.success(), "{arguments:?} is taken");
        Ok(said)
    };
    let (certificate, key) = (path(tls::CERTIFICATE), path(tls::KEY));
    let said = refused(&["--tls-cert", &certificate, "--tls-key", &key]).await?;
    let words = format!("the private key in {key} does not belong to the certificate in {certificate}");
    ensure!(said.contains(&words), "{said}");
    let said = refused(&["--tls-cert", &path("none"), "--tls-key", &key]).await?;
    ensure!(
        said.contains(&format!("{} can't be read", path("none"))),
        "{said}"
    );
    let said = refused(&["--tls-required"]).await?;
    ensure!(said.contains("give --tls-cert and --tls-key"), "{said}");
    let said = refused(&["--tls-cert", &certificate]).await?;
    ensure!(said.contains("--tls-key"), "{said}");
    Ok(())
}

#[tokio::test]
async fn where_tls_is_required_plain_text_is_for_probes() -> Result<()> {
    let folder = TempDir::with_prefix("weir-tls-")?;
    let certificate = tls::Certificate::new(1)?;
    certificate.write(folder.path())?;
    let node = builder(folder.path()).argument("--tls-required").start().await?;
    for (path, want) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 403),
        ("/streams/door.flv", 403),
        ("/streams/door.m3u8", 403),
        ("/api/weir/v1/endpoints", 403),
        ("//healthz//", 403),
        ("//healthz", 200),
        // They mean another path than they begin with.
        ("/relay/v1/x%2f..%2f..%2f..%2fapi/weir/v1/endpoints", 403),
        ("/pool/v1/x%2f..%2f..%2f..%2fstreams/door.m3u8", 403),
        // These are pods' own, and want their secret.
        ("/relay/v1/door", 401),
    ] {
        let (status, body) = node.text(path).await?;
        ensure!(status == want, "{path}: {status} {body}");
    }
    let login = format!(r#"{{"username":"admin","password":"{ADMIN_PASSWORD}"}}"#);
    let (status, _) = node.call(reqwest::Method::POST, "/api/v1/login", &login).await?;
    ensure!(status == 403, "a password was taken in clear text: {status}");
    for url in [node.rtsp("door"), node.rtmp("door"), node.ws("/streams/door.flv")] {
        ensure!(
            player::probe(&url, &[], 1.0).await.is_err(),
            "{url} plays in clear text"
        );
    }
    let client = certificate.client()?;
    let reply = client
        .post(secure(&node.http("/api/v1/login")))
        .body(login)
        .send()
        .await?;
    ensure!(reply.status() == 200, "{}", reply.status());
    let endpoints = client
        .get(secure(&node.http("/api/weir/v1/endpoints")))
        .send()
        .await?;
    let endpoints: serde_json::Value = endpoints.json().await?;
    ensure!(endpoints["tls"] == true, "{endpoints}");
    for url in [
        node.rtsp("door"),
        node.rtmp("door"),
        node.http("/streams/door.flv"),
    ] {
        let seen = player::probe(&secure(&url), &[], 2.0).await?;
        seen.expect(&["h264", "aac"], 2.0).with_context(|| url)?;
    }
    let log = node.log();
    for scheme in ["https", "rtsps", "rtmps"] {
        ensure!(log.contains(&format!(" {scheme}://127.0.0.1:")), "{log}");
    }
    // Our own probe takes the server's certificate and no other.
    fs::write(folder.path().join("other.crt"), tls::Certificate::new(2)?.text)?;
    let url = secure(&node.http("/streams/door.flv"));
    for (file, plays) in [(tls::CERTIFICATE, true), ("other.crt", false)] {
        let mut command = command()?;
        command.args(["probe", "--url", &url, "--patience=4"]);
        command.arg("--tls-cert").arg(folder.path().join(file));
        let (_, said, status) = outcome(&mut command, secs(20)).await?;
        ensure!(status.success() == plays, "{file}: {said}");
        ensure!(plays || said.contains("the TLS handshake failed"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_source_is_pulled_by_rtmps_if_its_certificate_is_known() -> Result<()> {
    let folder = TempDir::with_prefix("weir-tls-")?;
    let certificate = tls::Certificate::new(1)?;
    certificate.write(folder.path())?;
    let plain = camera::free_port("127.0.0.1")?;
    let clip = setup::clip("h264_aac.mp4").await?;
    let _server = camera::serve_rtmp(&clip, &format!("rtmp://127.0.0.1:{plain}/live/door"))?;
    let url = format!("rtmps://127.0.0.1:{}/live/door", certificate.before(plain).await?);
    let stranger = MediaNode::standalone()
        .manifest("a.yaml", rtmp_camera("door", &url, ""))
        .start()
        .await?;
    let status = stranger.until_reason("door", "TlsCertificateUntrusted").await?;
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(message.contains("authority"), "{status}");

    let authority = folder.path().join(tls::CERTIFICATE);
    let node = MediaNode::standalone()
        .environment("SSL_CERT_FILE", &authority.to_string_lossy())
        .manifest("a.yaml", rtmp_camera("door", &url, ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    let seen = player::probe(&node.http("/streams/door.flv"), &[], 2.0).await?;
    seen.expect(&["h264", "aac"], 2.0)?;
    Ok(())
}

/// Whether the node closes the connection within `limit`, whatever it says before.
async fn closes(socket: &mut TcpStream, limit: Duration) -> bool {
    let mut rest = [0; 4096];
    let read = async { while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
    timeout(limit, read).await.is_ok()
}

#[tokio::test]
async fn handshakes_that_lead_nowhere_end() -> Result<()> {
    let (node, certificate, _folder) = node().await?;
    // As openssl begins: a record of 512 bytes, a ClientHello of 508, TLS 1.2.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let garbage: Vec<u8> = hello.iter().copied().chain([0xa5; 4000]).collect();
    let mut waits = Vec::new();
    for port in ["rtsp", "http", "rtmp"].map(|name| node.port(name)) {
        for (words, limit) in [(&garbage[..], 3), (hello, 14), (b"\x16", 14)] {
            waits.push(async move {
                let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
                socket.write_all(words).await?;
                ensure!(
                    closes(&mut socket, secs(limit)).await,
                    "a handshake of {} bytes goes on after {limit} s",
                    words.len()
                );
                Ok(())
            });
        }
    }
    futures::future::try_join_all(waits).await?;
    // A handshake and then not a word of what is spoken inside.
    let mut silent = certificate.connect(node.port("http")).await?;
    silent.write_all(b"\x01\x02\x03\x04").await?;
    let read = timeout(secs(5), silent.read(&mut [0; 16])).await;
    ensure!(
        matches!(read, Ok(Ok(0))),
        "what is no protocol is not let go: {read:?}"
    );
    Ok(())
}

#[tokio::test]
async fn viewers_that_do_not_read_cost_only_themselves() -> Result<()> {
    const VIEWERS: usize = 50;
    let (mut node, certificate, _folder) = node().await?;
    let (before, open_before) = (node.process().resident_bytes()?, node.process().open_files()?);
    let mut stalled = Vec::new();
    for _ in 0..VIEWERS {
        let mut socket = certificate.connect(node.port("http")).await?;
        socket
            .write_all(b"GET /streams/door.flv HTTP/1.1\r\nHost: h\r\n\r\n")
            .await?;
        let mut head = [0; 15];
        socket.read_exact(&mut head).await?;
        ensure!(head == *b"HTTP/1.1 200 OK", "{head:?}");
        stalled.push(socket);
    }
    let url = secure(&node.rtsp("door"));
    let seen = player::probe(&url, &[], 10.0).await?;
    seen.expect(&["h264", "aac"], 10.0)?;
    let grown = node.process().resident_bytes()?.saturating_sub(before);
    // 10 s of 2 Mbit/s for so many would be 125 MB.
    ensure!(grown < 32 * MIB, "memory grew by {grown} bytes");
    drop(stalled);
    eventually(secs(10), "the viewers to be forgotten", async || {
        let viewers = node.camera("door").await?["viewers"].as_u64();
        ensure!(viewers == Some(0), "{viewers:?}");
        // Both ends of their pairs, and their connections.
        let open = node.process().open_files()?;
        ensure!(
            open <= open_before + 4,
            "{open} files are open, {open_before} were before"
        );
        Ok(())
    })
    .await?;
    // On shutdown, who watches hears a good-bye.
    let connection = certificate.connect(node.port("http")).await?;
    let url = secure(&node.ws("/streams/door.flv"));
    let (mut socket, _) = tokio_tungstenite::client_async(url, connection).await?;
    socket.next().await.context("media")??;
    let began = Instant::now();
    ensure!(node.interrupt().await?.success());
    ensure!(began.elapsed() < secs(5), "it took {:?}", began.elapsed());
    Ok(())
}
