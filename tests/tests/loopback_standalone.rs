//! The README's first command: one process, from its first line to Ctrl-C.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use weir_tests::{
    Context, Result,
    browser::{self, Watched},
    ensure, eventually,
    media_node::{self, MediaNode},
    player,
    process::Process,
    setup,
    wait::secs,
};

/// The variables of the ports.
const PORTS: [&str; 4] = [
    "WEIR_PORT",
    "WEIR_HTTP_PORT",
    "WEIR_RTMP_PORT",
    "WEIR_WEBRTC_PORT",
];

/// The URLs that a node has printed.
fn printed_urls(log: &str) -> Vec<String> {
    log.split(|c: char| c.is_whitespace() || c == '"' || c == '\'')
        .filter(|w| w.starts_with("rtsp://") || w.starts_with("http://"))
        .map(str::to_owned)
        .collect()
}

/// Plays what a node has printed for the demo, to the letter: RTSP, HTTP-FLV, HLS, and the page in a browser.
async fn plays_what_it_prints(log: &str) -> Result<()> {
    let urls = printed_urls(log);
    let find = |what: &str| {
        let found = urls.iter().find(|u| u.contains(what));
        found.with_context(|| format!("no {what} in\n{log}"))
    };
    player::probe_rtsp(find("rtsp://")?, "tcp", 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    for form in ["/streams/demo.flv", "/streams/demo.m3u8"] {
        player::probe(find(form)?, &[], 3.0)
            .await?
            .expect(&["h264", "aac"], 3.0)?;
    }
    let link = find("/?play=demo")?;
    let page: Linked = browser::run("page.mjs", &["--link", link]).await?;
    ensure!(!page.asked, "the link asks for a login");
    page.watched.expect(3.0)
}

#[derive(Debug, Deserialize)]
struct Linked {
    asked: bool,
    #[serde(flatten)]
    watched: Watched,
}

/// The README's first command, in an empty folder and on free ports.
#[tokio::test]
async fn the_command_of_the_readme() -> Result<()> {
    let readme = std::fs::read_to_string(setup::root().join("README.md"))?;
    let words = readme
        .lines()
        .find_map(|l| l.trim().strip_prefix("cargo run --release -p media-node -- "))
        .context("the README starts it by cargo run")?;
    let folder = tempfile::TempDir::with_prefix("weir-")?;
    let mut command = media_node::command()?;
    command.args(words.split(' ')).current_dir(folder.path());
    command.env("WEIR_BIND", "127.0.0.1");
    for port in PORTS {
        command.env(port, "0");
    }
    let mut node = Process::start("media-node", &mut command)?;
    node.ready(secs(30)).await?;
    let log = eventually(secs(10), "the password to be printed", async || {
        let log = node.log();
        ensure!(log.contains("admin has the password"), "{log}");
        Ok(log)
    })
    .await?;
    let flv = printed_urls(&log).into_iter().find(|u| u.contains(".flv?token="));
    let flv = flv.with_context(|| format!("no token in\n{log}"))?;
    // It is the token that opens the stream.
    let (bare, _) = flv.split_once('?').context("a query")?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let status = client.get(bare).send().await?.status();
    ensure!(status == 401, "without the token: {status}");

    plays_what_it_prints(&log).await?;
    ensure!(
        folder.path().join("weir-data/weir.sqlite").exists(),
        "the README names the folder weir-data"
    );

    node.signal(Signal::INT)?;
    let status = node.ended(secs(30)).await?;
    ensure!(status.success(), "Ctrl-C ended it with {status}");
    Ok(())
}

#[tokio::test]
async fn the_demo_plays_for_everybody() -> Result<()> {
    let node = MediaNode::standalone()
        .default_policy()
        .argument("--demo")
        .start()
        .await?;
    node.until_ready("demo").await?;
    let log = node.log();
    ensure!(!log.contains("token="), "a token where none is needed:\n{log}");
    plays_what_it_prints(&log).await
}

#[tokio::test]
async fn every_setting_by_the_environment() -> Result<()> {
    let node = MediaNode::standalone()
        .by_environment()
        .environment("WEIR_DEMO", "yes")
        .start()
        .await?;
    ensure!(node.data().join("weir.sqlite").exists(), "WEIR_DATA is not heard");
    node.until_ready("demo").await?;
    for port in ["rtsp", "http", "rtmp", "webrtc"] {
        ensure!(
            ![0, 1554, 8080, 1935, 8189].contains(&node.port(port)),
            "{}",
            node.ready
        );
    }
    player::probe_rtsp(&node.rtsp("demo"), "tcp", 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    player::probe(&node.http("/streams/demo.flv"), &[], 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    drop(node);

    // What people write for yes and no.
    for (value, open) in [
        ("true", true),
        ("yes", true),
        ("0", false),
        ("false", false),
        ("no", false),
    ] {
        let node = MediaNode::standalone()
            .protected()
            .by_environment()
            .environment("WEIR_ANONYMOUS_VIEW", value)
            .start()
            .await?;
        let (status, _) = node.text("/streams/absent.flv").await?;
        let want = if open { 404 } else { 401 };
        ensure!(status == want, "WEIR_ANONYMOUS_VIEW={value}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn programs_read_one_line() -> Result<()> {
    let folder = tempfile::TempDir::with_prefix("weir-")?;
    let mut command = media_node::command()?;
    command.args(["standalone", "--demo", "--bind", "127.0.0.1", "--data"]);
    command.arg(folder.path());
    for port in PORTS {
        command.env(port, "0");
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(id as i32))
        .context("a process number")?;
    let mut stdout = BufReader::new(child.stdout.take().context("its output")?);
    let mut line = String::new();
    tokio::time::timeout(secs(30), stdout.read_line(&mut line)).await??;
    let ready: serde_json::Map<String, Value> =
        serde_json::from_str(&line).with_context(|| format!("not a line of JSON: {line:?}"))?;
    let mut keys: Vec<&str> = ready.keys().map(String::as_str).collect();
    keys.sort_unstable();
    ensure!(keys == ["http", "ready", "rtmp", "rtsp", "webrtc"], "{line}");
    ensure!(ready["ready"] == true, "{line}");
    for port in ["http", "rtmp", "rtsp", "webrtc"] {
        ensure!(
            ready[port].as_u64().is_some_and(|p| (1..=65535).contains(&p)),
            "{line}"
        );
    }

    // And nothing else, to its end.
    kill_process(pid, Signal::INT)?;
    let mut rest = String::new();
    tokio::time::timeout(secs(30), stdout.read_to_string(&mut rest)).await??;
    ensure!(rest.is_empty(), "more on stdout: {rest:?}");
    let status = tokio::time::timeout(secs(30), child.wait()).await??;
    ensure!(status.success(), "it ended with {status}");
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

    node.process().signal(Signal::INT)?;
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
        let mut command = media_node::command()?;
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
