//! Cameras and servers that we dial with TLS: gortsplib's, ffmpeg's and another media-node, with certificates that are trusted
//! and others.

use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;
use weir_tests::{
    Context, Result,
    camera::{self, Auth, Camera, Make, PASSWORD, USER, free_port},
    ensure, eventually,
    manifest::{authority, camera as camera_of, publish_camera, route, rtmp_camera, secret},
    media_node::{ADMIN_PASSWORD, MediaNode},
    player,
    process::Process,
    setup, tls,
    wait::secs,
};

const BOTH: [&str; 2] = ["h264", "aac"];

/// A Camera that pulls from that URL. `tls` are the members of that field, if there is one.
fn rtsps_camera(name: &str, url: &str, tls: &str, more: &str) -> String {
    let tls = if tls.is_empty() {
        String::new()
    } else {
        format!(", tls: {{{tls}}}")
    };
    camera_of(
        name,
        &format!("  source:\n    rtsp: {{url: \"{url}\"{tls}}}\n{more}"),
    )
}

fn pinned(fingerprint: &str) -> String {
    format!("fingerprint: \"{fingerprint}\"")
}

/// What a message shows, of 64 digits.
fn fingerprint_in(message: &str) -> Option<&str> {
    let words = message.split(|c: char| !c.is_ascii_alphanumeric());
    let mut all = words.filter(|word| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit()));
    all.next()
}

fn message(said: &Value) -> &str {
    said["message"].as_str().unwrap_or_default()
}

/// As openssl writes it, in the way of the messages.
fn plain(fingerprint: &str) -> String {
    fingerprint.replace(':', "").to_lowercase()
}

async fn plays(node: &MediaNode, name: &str) -> Result<()> {
    node.until_ready(name).await?;
    let seen = player::probe(&node.http(&format!("/streams/{name}.flv")), &[], 3.0).await?;
    seen.expect(&BOTH, 3.0)
}

/// Until the condition `Forwarding` of the camera `door` has that reason.
async fn until_forward(node: &MediaNode, reason: &str) -> Result<Value> {
    eventually(secs(30), &format!("the forward to say {reason}"), async || {
        let said = node.camera("door").await?["forwarding"].clone();
        ensure!(said["reason"] == reason, "{said}");
        Ok(said)
    })
    .await
}

/// An entry of `spec.forward`, with its other members.
fn forward(url: &str, more: &str) -> String {
    format!("  forward:\n    - {{url: \"{url}\"{more}}}\n")
}

#[tokio::test]
async fn a_camera_that_signs_itself_is_known_by_the_fingerprint_that_is_told() -> Result<()> {
    let (first, second) = (tls::Certificate::new(1)?, tls::Certificate::new(2)?);
    let mut camera = Camera::start_with_tls(Auth::Digest, &first).await?;
    let url = camera.url("h264");
    ensure!(url.starts_with("rtsps://"), "{url}");
    let login = "  credentials: {secretName: door}\n";
    let node = MediaNode::standalone()
        .environment("WEIR_LOG", "trace") // the most talkative level
        .manifest("secret.yaml", secret("door", USER, PASSWORD))
        .manifest("door.yaml", rtsps_camera("door", &url, "", login))
        .start()
        .await?;
    let refused = node.until_reason("door", "TlsCertificateUntrusted").await?;
    let told = fingerprint_in(message(&refused)).context("a fingerprint")?;
    ensure!(told == plain(&first.fingerprint().await?), "{refused}");
    ensure!(message(&refused).contains("tls.fingerprint"), "{refused}");
    ensure!(!camera.log().contains(" plays "), "it was spoken to");

    // As somebody does who has compared it.
    node.apply("door.yaml", &rtsps_camera("door", &url, &pinned(told), login))?;
    plays(&node, "door").await?;
    // The camera is asked by its own name, and Digest is made for that.
    ensure!(
        camera
            .log()
            .contains(&format!("asks for rtsps://127.0.0.1:{}", camera.port())),
        "{}",
        camera.log()
    );

    // Another certificate is another camera, until somebody says that it is not.
    camera.renew(&second).await?;
    let refused = node.until_reason("door", "TlsFingerprintMismatch").await?;
    let told = fingerprint_in(message(&refused)).context("a fingerprint")?;
    ensure!(told == plain(&second.fingerprint().await?), "{refused}");
    let colons = second.fingerprint().await?;
    node.apply("door.yaml", &rtsps_camera("door", &url, &pinned(&colons), login))?;
    plays(&node, "door").await?;

    // A stream that runs ends when its camera is not trusted any more.
    let former = pinned(&first.fingerprint().await?);
    node.apply("door.yaml", &rtsps_camera("door", &url, &former, login))?;
    node.until_reason("door", "TlsFingerprintMismatch").await?;
    eventually(secs(10), "the camera to be left", async || {
        ensure!(camera.viewers() == 0, "{} viewers", camera.viewers());
        Ok(())
    })
    .await?;
    ensure!(!node.log().contains(PASSWORD), "the log tells the password");
    Ok(())
}

#[tokio::test]
async fn an_authority_in_a_secret_vouches_for_a_camera() -> Result<()> {
    let (certificate, other) = (tls::Certificate::new(1)?, tls::Certificate::new(2)?);
    let camera = Camera::start_with_tls(Auth::None, &certificate).await?;
    let node = MediaNode::standalone()
        .manifest("ours.yaml", authority("ours", &other))
        .manifest(
            "door.yaml",
            rtsps_camera("door", &camera.url("h264"), "caSecretName: ours", ""),
        )
        .start()
        .await?;
    let refused = node.until_reason("door", "TlsCertificateUntrusted").await?;
    ensure!(
        fingerprint_in(message(&refused)) == Some(plain(&certificate.fingerprint().await?).as_str()),
        "{refused}"
    );
    // The Secret is put right, and the camera comes.
    node.apply("ours.yaml", &authority("ours", &certificate))?;
    plays(&node, "door").await?;
    // One more authority does not break what runs.
    let both = format!("{}{}", certificate.text, other.text);
    let both = both.trim().replace('\n', "\n    ");
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: ours}}\nstringData:\n  ca.crt: |\n    {both}\n"
    );
    node.apply("ours.yaml", &text)?;
    node.stays_ready("door", secs(4)).await?;
    ensure!(camera.plays() == 1, "it was dialled {} times", camera.plays());
    // H.265, and sound in another codec, go the same way.
    for path in ["h265", "g711"] {
        let text = rtsps_camera(path, &camera.url(path), "caSecretName: ours", "");
        node.apply(&format!("{path}.yaml"), &text)?;
        node.until_ready(path).await?;
    }
    // What holds no certificate is named.
    node.apply(
        "empty.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: empty}\nstringData: {ca.crt: change-me}\n",
    )?;
    let text = rtsps_camera("empty", &camera.url("h264"), "caSecretName: empty", "");
    node.apply("empty-camera.yaml", &text)?;
    let refused = node.until_reason("empty", "InvalidSpec").await?;
    ensure!(message(&refused).contains("ca.crt"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn an_expired_certificate_is_refused_unless_it_is_the_one() -> Result<()> {
    let expired = tls::Certificate::until(1, 2020)?;
    let camera = Camera::start_with_tls(Auth::Basic, &expired).await?;
    let login = "  credentials: {secretName: door}\n";
    let url = camera.url("h264");
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("door", USER, PASSWORD))
        .manifest("ours.yaml", authority("ours", &expired))
        .manifest(
            "door.yaml",
            rtsps_camera("door", &url, "caSecretName: ours", login),
        )
        .start()
        .await?;
    let refused = node.until_reason("door", "TlsCertificateExpired").await?;
    let told = fingerprint_in(message(&refused)).context("a fingerprint")?;
    node.apply("door.yaml", &rtsps_camera("door", &url, &pinned(told), login))?;
    plays(&node, "door").await
}

#[tokio::test]
async fn what_is_not_spoken_is_told_apart() -> Result<()> {
    let open = Camera::start(Make::Go, Auth::None).await?;
    let certificate = tls::Certificate::new(1)?;
    let guarded = Camera::start_with_tls(Auth::Digest, &certificate).await?;
    let pin = pinned(&certificate.fingerprint().await?);
    let secure = open.url("h264").replace("rtsp://", "rtsps://");
    let wrong = "  credentials: {secretName: wrong}\n";
    let login = "  credentials: {secretName: right}\n";
    let node = MediaNode::standalone()
        .manifest("wrong.yaml", secret("wrong", USER, "canary-wrong-7tGh"))
        .manifest("right.yaml", secret("right", USER, PASSWORD))
        .manifest("plain.yaml", rtsps_camera("plain", &secure, "", ""))
        .manifest(
            "anonymous.yaml",
            rtsps_camera("anonymous", &guarded.url("h264"), &pin, ""),
        )
        .manifest(
            "password.yaml",
            rtsps_camera("password", &guarded.url("h264"), &pin, wrong),
        )
        .manifest(
            "nowhere.yaml",
            rtsps_camera("nowhere", &guarded.url("nowhere"), &pin, login),
        )
        .manifest(
            "jpeg.yaml",
            rtsps_camera("jpeg", &guarded.url("jpeg"), &pin, login),
        )
        .manifest(
            "denied.yaml",
            rtsps_camera("denied", "rtsps://169.254.169.254/a", "", ""),
        )
        .manifest(
            "denied-rtmp.yaml",
            rtmp_camera("denied-rtmp", "rtmps://169.254.169.254/a/b", ""),
        )
        .start()
        .await?;
    for (name, reason) in [
        ("plain", "TlsFailed"),
        ("anonymous", "AuthFailed"),
        ("password", "AuthFailed"),
        ("nowhere", "NotFound"),
        ("jpeg", "UnsupportedCodec"),
        ("denied", "AddressDenied"),
        ("denied-rtmp", "AddressDenied"),
    ] {
        node.until_reason(name, reason).await?;
    }
    ensure!(!node.log().contains("canary-wrong"), "the log tells a password");
    Ok(())
}

/// What the default policy of a pool denies stays denied with TLS: to pull from, and to push to.
#[tokio::test]
async fn the_source_policy_holds_with_tls() -> Result<()> {
    let certificate = tls::Certificate::new(1)?;
    let camera = Camera::start_with_tls(Auth::None, &certificate).await?;
    let pin = pinned(&certificate.fingerprint().await?);
    let target = forward(&camera.url("in/door"), &format!(", tls: {{{pin}}}"));
    let pool = "apiVersion: weir.video/v1alpha1\nkind: MediaPool\nmetadata: {name: pool}\nspec: {}\n";
    let node = MediaNode::standalone()
        .default_policy()
        .manifest("pool.yaml", pool)
        .file_camera("door", "h264_aac.mp4", &target)
        .manifest("a.yaml", rtsps_camera("a", &camera.url("h264"), &pin, ""))
        .start()
        .await?;
    node.until_reason("a", "AddressDenied").await?;
    until_forward(&node, "AddressDenied").await?;
    ensure!(
        !camera.log().contains("connected"),
        "it was dialled: {}",
        camera.log()
    );
    Ok(())
}

#[tokio::test]
async fn a_route_pulls_with_tls() -> Result<()> {
    let certificate = tls::Certificate::new(1)?;
    let camera = Camera::start_with_tls(Auth::Digest, &certificate).await?;
    let text = route("cams", "/cams/", camera.url(""), false);
    let trusted = format!(
        "{text}  credentials: {{secretName: cams}}\n  tls: {{{}}}\n",
        pinned(&certificate.fingerprint().await?)
    );
    let untrusted = route("others", "/others/", camera.url(""), false);
    let node = MediaNode::standalone()
        .manifest("secret.yaml", secret("cams", USER, PASSWORD))
        .manifest("cams.yaml", trusted)
        .manifest("others.yaml", untrusted)
        .start()
        .await?;
    let seen = player::probe(&node.http("/streams/cams/h264.flv"), &[], 3.0).await?;
    seen.expect(&BOTH, 3.0)?;
    let refused = player::probe(&node.http("/streams/others/h264.flv"), &[], 1.0).await;
    ensure!(refused.is_err(), "an untrusted server was pulled from");
    ensure!(node.log().contains("TlsCertificateUntrusted"), "{}", node.log());
    Ok(())
}

#[tokio::test]
async fn a_stream_is_pushed_by_rtsps_to_gortsplib() -> Result<()> {
    let (certificate, other) = (tls::Certificate::new(1)?, tls::Certificate::new(2)?);
    let server = Camera::start_with_tls(Auth::Digest, &certificate).await?;
    let url = server.url("in/door");
    let entry = |tls: &str| forward(&url, &format!(", secretName: out{tls}"));
    let clip = "h264_aac.mp4";
    let node = MediaNode::standalone()
        .environment("WEIR_LOG", "trace")
        .manifest("secret.yaml", secret("out", USER, PASSWORD))
        .file_camera("door", clip, &entry(""))
        .start()
        .await?;
    let said = until_forward(&node, "TlsCertificateUntrusted").await?;
    let told = fingerprint_in(message(&said))
        .context("a fingerprint")?
        .to_owned();
    ensure!(told == plain(&certificate.fingerprint().await?), "{said}");
    let apply = |tls: String| {
        let text = weir_tests::manifest::file_camera("door", clip, &entry(&tls));
        node.apply("door.yaml", &text)
    };
    apply(format!(", tls: {{{}}}", pinned(&other.fingerprint().await?)))?;
    until_forward(&node, "TlsFingerprintMismatch").await?;
    apply(format!(", tls: {{{}}}", pinned(&told)))?;
    until_forward(&node, "Forwarding").await?;
    let with = url.replace("rtsps://", &format!("rtsps://{USER}:{PASSWORD}@"));
    eventually(secs(20), "the stream at the server", async || {
        let seen = player::probe(&with, &["-rtsp_transport", "tcp"], 4.0).await?;
        ensure!(seen.codecs() == ["aac", "h264"], "{:?}", seen.codecs());
        ensure!(
            seen.packets("video").len() >= 60,
            "{}",
            seen.packets("video").len()
        );
        Ok(())
    })
    .await?;
    // The end of the stream is the end at the server: the good-bye goes out inside of TLS.
    node.apply(
        "door.yaml",
        &weir_tests::manifest::file_camera("door", clip, "  enabled: false\n"),
    )?;
    eventually(secs(10), "the server to be left", async || {
        ensure!(server.publishers("in/door").is_empty(), "{}", server.log());
        Ok(())
    })
    .await?;
    ensure!(!node.log().contains(PASSWORD), "the log tells the password");
    Ok(())
}

/// A node that takes what is published to it, with this certificate.
async fn other_node(folder: &Path, certificate: &tls::Certificate) -> Result<MediaNode> {
    certificate.write(folder)?;
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    MediaNode::standalone()
        .argument("--tls-cert")
        .argument(&file(tls::CERTIFICATE))
        .argument("--tls-key")
        .argument(&file(tls::KEY))
        .argument("--tls-required")
        .manifest("in.yaml", publish_camera("in", "  path: in/door\n"))
        .start()
        .await
}

#[tokio::test]
async fn a_stream_is_pushed_with_tls_to_another_node_by_either_protocol() -> Result<()> {
    let folder = TempDir::with_prefix("weir-tls-")?;
    let certificate = tls::Certificate::new(1)?;
    let other = other_node(folder.path(), &certificate).await?;
    let secure = |url: String| url.replacen("://", "s://", 1);
    let key = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: rtmp}}\nstringData: {{streamKey: \"?user=admin&password={ADMIN_PASSWORD}\"}}\n"
    );
    let node = MediaNode::standalone()
        .manifest("key.yaml", key)
        .manifest("login.yaml", secret("rtsp", "admin", ADMIN_PASSWORD))
        .manifest("ours.yaml", authority("ours", &certificate))
        .file_camera("door", "h264_aac.mp4", "")
        .start()
        .await?;
    for (url, name) in [(other.rtmp("in/door"), "rtmp"), (other.rtsp("in/door"), "rtsp")] {
        let entry = forward(
            &secure(url),
            &format!(", secretName: {name}, tls: {{caSecretName: ours}}"),
        );
        let clip = if name == "rtmp" {
            "h264_aac.mp4"
        } else {
            "h265_aac.mp4"
        };
        let codec = if name == "rtmp" { "h264" } else { "hevc" };
        std::fs::copy(setup::clip(clip).await?, node.data().join("media").join(clip))?;
        let text = weir_tests::manifest::file_camera("door", clip, &entry);
        node.apply("door.yaml", &text)?;
        until_forward(&node, "Forwarding").await?;
        let playing = secure(other.rtsp("in/door"));
        eventually(secs(20), "the stream at the other node", async || {
            let seen = player::probe(&playing, &[], 3.0).await?;
            seen.expect(&[codec, "aac"], 3.0)
        })
        .await?;
    }
    Ok(())
}

/// ffmpeg as an RTMP server that writes down what it is sent, behind a port with TLS.
#[tokio::test]
async fn a_stream_is_pushed_by_rtmps_to_ffmpeg() -> Result<()> {
    let certificate = tls::Certificate::new(1)?;
    let port = free_port("127.0.0.1")?;
    let folder = TempDir::with_prefix("weir-rtmps-")?;
    let file = folder.path().join("got.ts");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-hide_banner",
        "-loglevel",
        "warning",
        "-nostdin",
        "-y",
        "-listen",
        "1",
        "-f",
        "flv",
    ]);
    command.args(["-i", &format!("rtmp://127.0.0.1:{port}/live/canary-key")]);
    command
        .args(["-c", "copy", "-flush_packets", "1", "-f", "mpegts"])
        .arg(&file);
    let _server = Process::start("ffmpeg server", &mut command)?;
    let url = format!("rtmps://127.0.0.1:{}/live", certificate.before(port).await?);
    let pin = pinned(&certificate.fingerprint().await?);
    let entry = forward(&url, &format!(", secretName: key, tls: {{{pin}}}"));
    let node = MediaNode::standalone()
        .manifest(
            "key.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {streamKey: canary-key}\n",
        )
        .file_camera("door", "h264_aac.mp4", &entry)
        .start()
        .await?;
    until_forward(&node, "Forwarding").await?;
    eventually(secs(15), "3 s of media", async || {
        player::probe(&file.to_string_lossy(), &[], 3.0)
            .await?
            .expect(&BOTH, 3.0)
    })
    .await?;
    ensure!(!node.log().contains("canary"), "the log tells the key");
    Ok(())
}

#[tokio::test]
async fn a_source_is_pulled_by_rtmps_if_it_is_the_one() -> Result<()> {
    let certificate = tls::Certificate::new(1)?;
    let plain_port = free_port("127.0.0.1")?;
    let clip = setup::clip("h264_aac.mp4").await?;
    let _server = camera::serve_rtmp(&clip, &format!("rtmp://127.0.0.1:{plain_port}/live/door"))?;
    let url = format!(
        "rtmps://127.0.0.1:{}/live/door",
        certificate.before(plain_port).await?
    );
    let node = MediaNode::standalone()
        .manifest("door.yaml", rtmp_camera("door", &url, ""))
        .start()
        .await?;
    let refused = node.until_reason("door", "TlsCertificateUntrusted").await?;
    let told = fingerprint_in(message(&refused)).context("a fingerprint")?;
    let spec = format!(
        "  source:\n    rtmp: {{url: \"{url}\", tls: {{{}}}}}\n",
        pinned(told)
    );
    node.apply("door.yaml", &camera_of("door", &spec))?;
    plays(&node, "door").await
}
