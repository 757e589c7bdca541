//! The README's first command: one process, from its first line to Ctrl-C.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use weir_tests::{
    Context, Result, ensure, eventually, media_node::MediaNode, player, process::Process, wait::secs,
};

#[tokio::test]
async fn the_demo_plays_at_once() -> Result<()> {
    let mut node = MediaNode::standalone()
        .default_policy()
        .argument("--demo")
        .start()
        .await?;
    for port in ["rtsp", "http", "rtmp", "webrtc"] {
        ensure!(node.port(port) > 0, "{}", node.ready);
    }
    // It prints URLs that play.
    let log = node.log();
    let urls: Vec<&str> = log
        .split(|c: char| c.is_whitespace() || c == '"' || c == '\'')
        .filter(|w| w.starts_with("rtsp://") || w.starts_with("http://"))
        .collect();
    let rtsp = urls
        .iter()
        .find(|u| u.starts_with("rtsp://"))
        .with_context(|| format!("no RTSP URL in\n{log}"))?;
    eventually(secs(20), "the demo over RTSP", async || {
        ensure!(
            player::probe_rtsp(rtsp, "tcp", 2.0)
                .await?
                .stream("video")
                .is_ok(),
            "no picture"
        );
        Ok(())
    })
    .await?;
    for form in [".flv", ".m3u8"] {
        let url = urls
            .iter()
            .find(|u| u.contains(form))
            .with_context(|| format!("no {form} URL in\n{log}"))?;
        player::probe(url, &[], 3.0).await?.stream("video")?;
    }
    let page = urls
        .iter()
        .find(|u| u.ends_with("/?play=demo"))
        .with_context(|| format!("no page in\n{log}"))?;
    let reply = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(*page)
        .send()
        .await?;
    ensure!(
        reply.status() == 200 && reply.text().await?.contains("<title>Weir"),
        "{page} is not the page"
    );

    let status = node.interrupt().await?;
    ensure!(status.success(), "Ctrl-C ended it with {status}");
    Ok(())
}

#[tokio::test]
async fn it_ends_while_all_kinds_of_viewers_watch() -> Result<()> {
    let mut node = MediaNode::standalone().argument("--demo").start().await?;
    node.until_ready("demo").await?;
    let mut viewers = Vec::new();
    for (url, options) in [
        (node.rtsp("demo"), ["-rtsp_transport", "tcp"].as_slice()),
        (node.rtsp("demo"), &["-rtsp_transport", "udp"]),
        (node.http("/streams/demo.flv"), &[]),
        (node.http("/streams/demo.m3u8"), &[]),
    ] {
        let mut command = tokio::process::Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin"]).args(options);
        command.args(["-i", &url, "-f", "null", "-"]);
        viewers.push(Process::start("viewer", &mut command)?);
    }
    let socket = tokio::spawn({
        let url = node.ws("/streams/demo.flv");
        async move { player::web_socket(&url, secs(60)).await }
    });
    // One that does not read what it gets, and one that has not asked for anything.
    let mut deaf = TcpStream::connect(("127.0.0.1", node.port("http"))).await?;
    deaf.write_all(b"GET /streams/demo.flv HTTP/1.1\r\nHost: h\r\n\r\n")
        .await?;
    let mut mute = TcpStream::connect(("127.0.0.1", node.port("rtsp"))).await?;
    for viewer in &viewers {
        eventually(secs(30), "a viewer to play", async || {
            let log = viewer.log();
            ensure!(log.contains("Output #0"), "{log}");
            Ok(())
        })
        .await?;
    }
    let viewing = node.camera("demo").await?["viewers"].as_u64();
    ensure!(viewing >= Some(5), "{viewing:?} viewers are counted");

    node.process().signal(rustix::process::Signal::INT)?;
    let status = node.process().ended(secs(5)).await?;
    ensure!(status.success(), "Ctrl-C ended it with {status}");
    let log = node.log();
    ensure!(
        !log.contains("connections are cut"),
        "some did not end by themselves:\n{log}"
    );
    // All were told: what they had open is closed.
    ensure!(!socket.await??.is_empty(), "the WebSocket got nothing");
    let mut rest = Vec::new();
    tokio::time::timeout(secs(5), deaf.read_to_end(&mut rest))
        .await
        .ok();
    ensure!(mute.read(&mut [0]).await.unwrap_or(0) == 0, "it is still there");
    Ok(())
}

#[tokio::test]
async fn the_first_start_makes_a_password() -> Result<()> {
    let node = MediaNode::standalone().without_password().start().await?;
    // It is one of the words of a line that speaks of a password.
    let log = node.log();
    let lines = log.lines().filter(|l| l.to_lowercase().contains("password"));
    let words = lines.flat_map(|l| l.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)));
    let mut password = None;
    for word in words.filter(|w| w.len() >= 16) {
        if node.login_as("admin", word).await.is_ok() {
            password = Some(word.to_owned());
        }
    }
    let password = password.with_context(|| format!("no line tells a password that works:\n{log}"))?;

    // The second start keeps it, and does not print it again.
    let node = MediaNode::standalone()
        .without_password()
        .start_in(node.stop().await?)
        .await?;
    ensure!(!node.log().contains(&password), "printed again");
    node.login_as("admin", &password).await?;
    for known in ["admin", "password", "123456", ""] {
        ensure!(
            node.login_as("admin", known).await.is_err(),
            "{known:?} is a password"
        );
    }
    Ok(())
}

#[tokio::test]
async fn it_tells_how_it_is() -> Result<()> {
    let mut node = MediaNode::standalone().argument("--demo").start().await?;
    for path in ["/healthz", "/readyz"] {
        let (status, text) = node.text(path).await?;
        ensure!(status == 200, "{path}: {status} {text}");
    }
    let (status, text) = node.text("/metrics").await?;
    ensure!(status == 200, "{status}");
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (_, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        value.parse::<f64>().with_context(|| line.to_owned())?;
    }
    let helped = text.lines().filter(|l| l.starts_with("# TYPE weir_")).count();
    ensure!(helped >= 5, "few metrics:\n{text}");
    // Labels are bounded: a stream's name, which anybody may make up, is none.
    node.text("/streams/made-up-by-a-stranger.flv").await?;
    ensure!(
        !node.text("/metrics").await?.1.contains("made-up-by-a-stranger"),
        "a label that strangers choose"
    );
    ensure!(node.process().is_running(), "it ended");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_its_arguments_is_said() -> Result<()> {
    for (arguments, word) in [
        (["standalone", "--port", "99999"].as_slice(), "port"),
        (&["standalone", "--bind", "nowhere"], "bind"),
        (
            &["standalone", "--admin-password-file", "/does/not/exist"],
            "/does/not/exist",
        ),
        (&["no-such-role"], "no-such-role"),
    ] {
        let folder = tempfile::TempDir::new()?;
        let mut command = tokio::process::Command::new(weir_tests::setup::program("media-node")?);
        command.args(arguments).current_dir(folder.path());
        let (_, stderr, status) = weir_tests::process::outcome(&mut command, secs(10)).await?;
        ensure!(
            !status.success() && stderr.contains(word),
            "{arguments:?}: {status}\n{stderr}"
        );
        ensure!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() -> Result<()> {
    let first = MediaNode::standalone().start().await?;
    let taken = first.port("rtsp");
    let second = MediaNode::standalone().port(taken).start().await;
    let error = format!("{:#}", second.err().context("two listen on one port")?);
    ensure!(error.contains(&taken.to_string()), "{error}");
    Ok(())
}
