//! Who may do what: login, tokens, passwords, and that no secret is told.

use tokio_tungstenite::tungstenite;
use weir_tests::{
    Result,
    camera::{self, Auth, Camera, Make, PASSWORD, USER},
    ensure, eventually,
    manifest::{publish_camera, rtsp_camera, secret},
    media_node::{ADMIN_PASSWORD, MediaNode, Tokens},
    player, setup,
    wait::secs,
};

async fn protected() -> Result<MediaNode> {
    let node = MediaNode::standalone()
        .protected()
        .file_camera("door", "h264_aac.mp4", "")
        .start()
        .await?;
    node.until_ready("door").await?;
    Ok(node)
}

#[tokio::test]
async fn a_token_opens_every_form() -> Result<()> {
    let node = protected().await?;
    let token = &node.login().await?.access;
    player::probe(&node.http(&format!("/streams/door.flv?token={token}")), &[], 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    player::probe(&node.http(&format!("/streams/door.ts?token={token}")), &[], 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    // The playlist hands the token on to its segments.
    player::probe(&node.http(&format!("/streams/door.m3u8?token={token}")), &[], 6.0)
        .await?
        .expect(&["h264", "aac"], 6.0)?;
    let url = node.ws(&format!("/streams/door.flv?token={token}"));
    player::probe_web_socket(&url, node.folder(), 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)?;
    for transport in ["tcp", "udp"] {
        player::probe_rtsp(&format!("{}?token={token}", node.rtsp("door")), transport, 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;
    }
    Ok(())
}

/// Changes the account store as time would: the tokens of this pair have expired.
async fn expire(node: &MediaNode, tokens: &Tokens) -> Result<()> {
    const SCRIPT: &str = r#"
import hashlib, sqlite3, sys
store = sqlite3.connect(sys.argv[1], timeout=20)
row = hashlib.sha256(sys.argv[2].encode()).hexdigest()
past = "CAST(strftime('%s', 'now') AS INTEGER) - 1"
done = store.execute(f"UPDATE tokens SET access_expires = {past}, refresh_expires = {past} WHERE access_hash = ?", [row])
store.commit()
assert done.rowcount == 1, "no such token"
"#;
    let mut command = tokio::process::Command::new("python3");
    command
        .args(["-c", SCRIPT])
        .arg(node.data().join("weir.sqlite"))
        .arg(&tokens.access);
    weir_tests::process::output(&mut command, secs(30))
        .await
        .map(drop)
}

/// The status of a request without a body.
async fn ask(client: &reqwest::Client, method: &str, url: &str) -> Result<u16> {
    let method = reqwest::Method::from_bytes(method.as_bytes())?;
    Ok(client.request(method, url).send().await?.status().as_u16())
}

/// How a WebSocket is answered: 101, or the status of the refusal.
async fn upgrade(url: &str) -> Result<u16> {
    match tokio_tungstenite::connect_async(url).await {
        Ok((_, reply)) => Ok(reply.status().as_u16()),
        Err(tungstenite::Error::Http(reply)) => Ok(reply.status().as_u16()),
        Err(error) => Err(error.into()),
    }
}

/// Adds a query parameter to a path that may have some.
fn with(path: &str, parameter: &str) -> String {
    match parameter {
        "" => path.to_owned(),
        _ if path.contains('?') => format!("{path}&{parameter}"),
        _ => format!("{path}?{parameter}"),
    }
}

/// Every door of the process, with every kind of credentials that open none.
#[tokio::test]
async fn no_door_opens_without_a_token() -> Result<()> {
    let node = MediaNode::standalone()
        .protected()
        .file_camera("door", "h264_aac.mp4", "")
        .file_camera("h265", "h265_aac.mp4", "")
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    node.until_ready("h265").await?;
    let (good, expired) = (node.login().await?, node.login().await?);
    // A token that was good a moment ago is forgotten soon.
    let used = format!("/api/v1/streams?token={}", expired.access);
    ensure!(node.text(&used).await?.0 == 200, "it should be good at first");
    expire(&node, &expired).await?;
    eventually(secs(20), "the token to expire", async || {
        let (status, _) = node.text(&used).await?;
        ensure!(status == 401, "{status}");
        Ok(())
    })
    .await?;

    // What the playlists name, without the token.
    let mut media = [
        "/streams/door.flv",
        "/streams/door.ts",
        "/streams/door.m3u8",
        "/streams/door.m3u8?ll",
        "/streams/h265.m3u8",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut segments = Vec::new();
    for playlist in [
        "/streams/door.m3u8",
        "/streams/door.m3u8?ll",
        "/streams/h265.m3u8",
    ] {
        let (status, text) = node
            .text(&with(playlist, &format!("token={}", good.access)))
            .await?;
        ensure!(status == 200, "{playlist}: {status} {text}");
        for line in text.replace(&format!("?token={}", good.access), "").lines() {
            if let Some(init) = line.strip_prefix("#EXT-X-MAP:URI=") {
                media.push(init.trim_matches('"').to_owned());
            } else if let Some((_, part)) = line.split_once("URI=\"") {
                segments.extend(part.split_once('"').map(|(uri, _)| uri.to_owned()));
            } else if line.starts_with('/') {
                segments.push(line.to_owned());
            }
        }
    }
    for form in [".ts", ".m4s", "-0.m4s"] {
        ensure!(
            segments.iter().any(|m| m.ends_with(form)),
            "no {form} in {segments:?}"
        );
    }
    for init in ["/init-", "/ll-init-"] {
        ensure!(media.iter().any(|m| m.contains(init)), "no {init} in {media:?}");
    }

    let client = reqwest::Client::builder().no_proxy().timeout(secs(30)).build()?;
    let wrong = [
        ("none", String::new()),
        ("empty", "token=".to_owned()),
        ("made up", "token=0123456789abcdef0123456789abcdef".to_owned()),
        ("no token at all", "token=%27%20OR%201=1".to_owned()),
        ("refresh", format!("token={}", good.refresh)),
        ("expired", format!("token={}", expired.access)),
    ];
    let apis = [
        "/api/v1/streams",
        "/api/v1/streams/door",
        "/api/v1/users",
        "/api/weir/v1/cameras",
    ];
    let absent = [
        "/streams/absent.flv",
        "/streams/absent.ts",
        "/streams/absent.m3u8",
        "/streams/absent.m3u8?ll&_HLS_msn=1",
        "/streams/absent/ll-1-0.m4s",
        "/streams/absent/1.ts",
        "/streams/absent/1700000000.ts",
    ];
    let sockets = [
        "/streams/door.flv",
        "/streams/door.ts",
        "/ws/door.flv",
        "/ws/door.ts",
        "/streams/absent.flv",
        "/streams/absent.ts",
    ];
    for port in ["http", "rtsp"].map(|name| node.port(name)) {
        let base = format!("127.0.0.1:{port}");
        for (kind, parameter) in &wrong {
            let media = media.iter().chain(&segments).map(String::as_str);
            let paths = media.chain(apis).chain(absent);
            for path in paths {
                let url = format!("http://{base}{}", with(path, parameter));
                for method in ["GET", "HEAD"] {
                    let status = ask(&client, method, &url).await?;
                    ensure!(status == 401, "{method} {url} with a token {kind}: {status}");
                }
            }
            for path in sockets {
                let url = format!("ws://{base}{}", with(path, parameter));
                let status = upgrade(&url).await?;
                ensure!(status == 401, "{url} with a token {kind}: {status}");
            }
        }
        // What other pods are let in by is none of these, nor a token that opens all else.
        for bearer in ["", &good.access, ADMIN_PASSWORD, "canary-relay-2bYt"] {
            let url = format!(
                "http://{base}{}",
                with("/relay/v1/door", &format!("token={}", good.access))
            );
            let request = client
                .get(&url)
                .header("upgrade", "weir-relay")
                .header("connection", "upgrade");
            let request = match bearer {
                "" => request,
                _ => request.bearer_auth(bearer),
            };
            let status = request.send().await?.status();
            ensure!(status == 401, "{url} with the bearer {bearer:?}: {status}");
        }
        for dead in [&expired.refresh, &expired.access, &good.access] {
            let url = format!("http://{base}/api/v1/refreshtoken?token={dead}");
            let status = ask(&client, "GET", &url).await?;
            ensure!(status == 401, "{url}: {status}");
        }
    }

    // The doors were doors: the right token opens them.
    let right = format!("token={}", good.access);
    for path in apis.into_iter().filter(|p| *p != "/api/v1/users") {
        let (status, text) = node.text(&with(path, &right)).await?;
        ensure!(status == 200, "{path}: {status} {text}");
    }
    for path in &media {
        let status = ask(&client, "HEAD", &node.http(&with(path, &right))).await?;
        ensure!(status == 200, "{path}: {status}");
    }
    for path in ["/streams/door.flv", "/ws/door.flv", "/ws/door.ts"] {
        let status = upgrade(&node.ws(&with(path, &right))).await?;
        ensure!(status == 101, "{path}: {status}");
    }

    let clip = setup::clip("h264_aac.mp4").await?;
    for (kind, parameter) in &wrong {
        for transport in ["tcp", "udp"] {
            for path in ["door", "absent"] {
                let refused = player::probe_rtsp(&with(&node.rtsp(path), parameter), transport, 0.5).await;
                ensure!(
                    refused.is_err_and(|e| e.to_string().contains("401")),
                    "RTSP of {path} by {transport} with a token {kind}"
                );
            }
        }
        let mut publisher = camera::publish(&clip, &with(&node.rtsp("gate"), parameter), "tcp")?;
        ensure!(
            !publisher.ended(secs(20)).await?.success() && publisher.log().contains("401"),
            "a publisher with a token {kind}:\n{}",
            publisher.log()
        );
        let refused = player::probe(&with(&node.rtmp("door"), parameter), &[], 0.5).await;
        ensure!(refused.is_err(), "RTMP with a token {kind}");
        let mut publisher = camera::publish_rtmp(&clip, &with(&node.rtmp("gate"), parameter))?;
        ensure!(
            !publisher.ended(secs(20)).await?.success(),
            "an RTMP publisher with a token {kind}"
        );
    }

    node.until_reason("gate", "WaitingForPublisher").await?;
    // The right token opens that too.
    player::probe(&with(&node.rtmp("door"), &right), &[], 0.5).await?;
    let _publisher = camera::publish(&clip, &with(&node.rtsp("gate"), &right), "tcp")?;
    node.until_ready("gate").await?;
    Ok(())
}

#[tokio::test]
async fn rtsp_takes_a_digest() -> Result<()> {
    let node = protected().await?;
    let with = |user: &str| node.rtsp("door").replace("rtsp://", &format!("rtsp://{user}@"));
    for transport in ["tcp", "udp"] {
        let url = with(&format!("admin:{ADMIN_PASSWORD}"));
        player::probe_rtsp(&url, transport, 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;
    }
    for wrong in ["admin:wrong", "nobody:nothing"] {
        let refused = player::probe_rtsp(&with(wrong), "tcp", 0.5).await;
        ensure!(
            refused.is_err_and(|e| e.to_string().contains("401")),
            "{wrong} came in"
        );
    }
    Ok(())
}

#[tokio::test]
async fn login_as_documented() -> Result<()> {
    let node = protected().await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let login = async |body: &str| -> Result<(u16, String)> {
        let reply = client
            .post(node.http("/api/v1/login"))
            .body(body.to_owned())
            .send()
            .await?;
        Ok((reply.status().as_u16(), reply.text().await?))
    };
    ensure!(
        login("no json").await? == (403, "未提供用户名或密码\n".to_owned()),
        "{:?}",
        login("no json").await?
    );
    for wrong in [
        "{}".to_owned(),
        r#"{"username":"admin","password":"wrong"}"#.to_owned(),
        r#"{"username":"nobody","password":"x"}"#.to_owned(),
        r#"{"username":"admin","password":""}"#.to_owned(),
    ] {
        let (status, text) = login(&wrong).await?;
        ensure!(
            status == 403 && text.trim_end() == "用户名或密码错误",
            "{wrong}: {status} {text}"
        );
    }
    let (status, text) = login(&format!(
        r#"{{"username":"ADMIN","password":"{ADMIN_PASSWORD}"}}"#
    ))
    .await?;
    ensure!(
        status == 200,
        "the name's case should not matter: {status} {text}"
    );
    let tokens = Tokens::of(&serde_json::from_str(&text)?)?;
    for token in [&tokens.access, &tokens.refresh] {
        ensure!(
            token.len() == 32 && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            "{token}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_works_once() -> Result<()> {
    let node = protected().await?;
    let old = node.login().await?;
    let (status, text) = node
        .text(&format!("/api/v1/refreshtoken?token={}", old.refresh))
        .await?;
    ensure!(status == 200, "{status} {text}");
    let new = Tokens::of(&serde_json::from_str(&text)?)?;
    for dead in [&old.refresh, &new.access] {
        let (status, text) = node.text(&format!("/api/v1/refreshtoken?token={dead}")).await?;
        ensure!(
            status == 401 && text.trim_end() == "Token is not valid",
            "{status} {text}"
        );
    }
    let (status, _) = node
        .text(&format!("/api/v1/streams?token={}", old.access))
        .await?;
    ensure!(status == 401, "the old access token still works: {status}");
    let (status, text) = node
        .text(&format!("/api/v1/streams?token={}", new.access))
        .await?;
    ensure!(status == 200, "{status} {text}");
    Ok(())
}

#[tokio::test]
async fn tokens_outlive_a_restart() -> Result<()> {
    let node = protected().await?;
    let tokens = node.login().await?;
    let node = MediaNode::standalone()
        .protected()
        .start_in(node.stop().await?)
        .await?;
    let (status, text) = node
        .text(&format!("/api/v1/streams?token={}", tokens.access))
        .await?;
    ensure!(status == 200, "{status} {text}");
    Ok(())
}

#[tokio::test]
async fn the_documented_server_and_streams() -> Result<()> {
    let node = protected().await?;
    let (status, text) = node.text("/api/v1/server").await?;
    ensure!(status == 200, "{status} {text}");
    let server: serde_json::Value = serde_json::from_str(&text)?;
    for key in ["vendor", "name", "version", "os", "arch", "start_on", "duration"] {
        ensure!(server[key].is_string(), "{key} in {server}");
    }
    let token = node.login().await?.access;
    let (status, text) = node.text(&format!("/api/v1/streams?token={token}")).await?;
    ensure!(status == 200, "{status} {text}");
    let list: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(list["total"] == 1 && list["next_page_token"] == "/door", "{list}");
    let stream = &list["streams"][0];
    ensure!(
        stream["path"] == "/door" && stream["video"]["codec"] == "H264",
        "{stream}"
    );
    ensure!(
        stream["video"]["width"] == 1280 && stream["video"]["height"] == 720,
        "{stream}"
    );
    ensure!(
        stream["audio"]["codec"] == "AAC" && stream["audio"]["samplerate"] == 48000,
        "{stream}"
    );
    let (status, text) = node.text(&format!("/api/v1/streams/Door?token={token}")).await?;
    ensure!(status == 200, "{status} {text}");
    let (status, text) = node
        .text(&format!("/api/v1/streams/absent?token={token}"))
        .await?;
    ensure!(status == 404, "{status} {text}");
    Ok(())
}

#[tokio::test]
async fn anonymous_view_is_for_viewing_alone() -> Result<()> {
    let clip = setup::clip("h264_aac.mp4").await?;
    let node = MediaNode::standalone()
        .file_camera("door", "h264_aac.mp4", "")
        .manifest("b.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    player::probe_rtsp(&node.rtsp("door"), "tcp", 1.0)
        .await?
        .expect(&["h264", "aac"], 1.0)?;
    let (status, text) = node.text("/api/v1/streams").await?;
    ensure!(status == 401, "the API answers anybody: {status} {text}");
    let (status, text) = node.text("/relay/v1/door").await?;
    ensure!(status == 401, "the relay answers anybody: {status} {text}");
    let mut publisher = camera::publish(&clip, &node.rtsp("gate"), "tcp")?;
    ensure!(!publisher.ended(secs(10)).await?.success(), "anybody can publish");
    Ok(())
}

/// Everything is done for which something secret is needed, with the log at its most talkative; then all that was told is
/// searched.
#[tokio::test]
async fn secrets_show_up_nowhere() -> Result<()> {
    let digest = Camera::start(Make::Go, Auth::Digest).await?;
    let basic = Camera::start(Make::Gst, Auth::Basic).await?;
    let credentials = "  credentials: {secretName: door}\n";
    let mut node = MediaNode::standalone()
        .protected()
        .environment("WEIR_LOG", "trace")
        .manifest("secret.yaml", secret("door", USER, PASSWORD))
        .manifest("a.yaml", rtsp_camera("door", digest.url("h264"), credentials))
        .manifest("b.yaml", rtsp_camera("yard", basic.url("video"), credentials))
        .manifest(
            "c.yaml",
            rtsp_camera("refused", digest.url("absent"), credentials),
        )
        .manifest("d.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    node.until_ready("door").await?;
    node.until_ready("yard").await?;
    node.until_reason("refused", "NotFound").await?;
    let old = node.login().await?;
    let (status, text) = node
        .text(&format!("/api/v1/refreshtoken?token={}", old.refresh))
        .await?;
    ensure!(status == 200, "{status} {text}");
    let tokens = Tokens::of(&serde_json::from_str(&text)?)?;
    let token = &tokens.access;

    let as_admin = |path: &str| {
        node.rtsp(path)
            .replace("rtsp://", &format!("rtsp://admin:{ADMIN_PASSWORD}@"))
    };
    player::probe_rtsp(&as_admin("door"), "tcp", 1.0).await?;
    player::probe_rtsp(&format!("{}?token={token}", node.rtsp("door")), "udp", 1.0).await?;
    player::probe(&node.http(&format!("/streams/door.flv?token={token}")), &[], 1.0).await?;
    player::probe(&node.http(&format!("/streams/door.ts?token={token}")), &[], 1.0).await?;
    player::probe(&node.http(&format!("/streams/door.m3u8?token={token}")), &[], 1.0).await?;
    player::web_socket(&node.ws(&format!("/ws/door.flv?token={token}")), secs(1)).await?;
    let clip = setup::clip("h264_aac.mp4").await?;
    let mut publisher = camera::publish(&clip, &as_admin("gate"), "tcp")?;
    node.until_ready("gate").await?;
    publisher.stop(secs(10)).await?;

    // What is wrong is as secret: it may be right elsewhere, or nearly right.
    let guess = "canary-guess-7wVd";
    player::probe_rtsp(&as_admin("door").replace(ADMIN_PASSWORD, guess), "tcp", 0.5)
        .await
        .unwrap_err();
    ensure!(node.login_as("admin", guess).await.is_err(), "a guess is right");
    for path in [
        "/streams/door.flv",
        "/api/v1/streams",
        "/api/v1/refreshtoken",
        "/no/such/page",
    ] {
        node.text(&format!("{path}?token={guess}")).await?;
    }
    let relay = reqwest::Client::builder().no_proxy().build()?;
    relay
        .get(node.http("/relay/v1/door"))
        .bearer_auth(guess)
        .send()
        .await?;

    let mut told = Vec::new();
    for path in [
        "/metrics",
        "/",
        "/healthz",
        "/readyz",
        "/api/v1/server",
        "/api/weir/v1/endpoints",
    ] {
        told.push((path, node.text(path).await?.1));
    }
    for path in ["/api/weir/v1/cameras", "/api/v1/streams"] {
        told.push((path, node.text(&format!("{path}?token={token}&c=1")).await?.1));
    }
    // The files hold hashes of passwords and tokens.
    for file in walk(&node.data())? {
        let bytes = std::fs::read(&file)?;
        for canary in [ADMIN_PASSWORD, PASSWORD, token, &tokens.refresh] {
            let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
            ensure!(!found, "{} holds {canary}", file.display());
        }
    }

    node.interrupt().await?;
    let log = node.process().whole_log().await?;
    // The log is what it should be: ours, and what the RTSP client has to say.
    for wanted in [
        " TRACE retina::",
        " DEBUG retina::",
        " media_node::api::request: ",
    ] {
        ensure!(
            log.contains(wanted),
            "no {wanted:?} in a log of {} lines",
            log.lines().count()
        );
    }
    told.push(("the log", log));
    // How a password goes to a camera by Basic.
    let mut encode = tokio::process::Command::new("sh");
    encode.args([
        "-c",
        "printf %s \"$1\" | base64",
        "sh",
        &format!("{USER}:{PASSWORD}"),
    ]);
    let encoded = weir_tests::process::output(&mut encode, secs(10)).await?;
    let secrets = [
        "canary-",
        encoded.trim(),
        &old.access,
        &old.refresh,
        &tokens.access,
        &tokens.refresh,
    ];
    let mut leaks = Vec::new();
    for (place, text) in &told {
        for line in text.lines().filter(|l| secrets.iter().any(|s| l.contains(s))) {
            leaks.push(format!("{place}: {line}"));
        }
    }
    ensure!(
        leaks.is_empty(),
        "{} lines tell secrets:\n{}",
        leaks.len(),
        leaks.join("\n")
    );
    Ok(())
}

fn walk(folder: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(walk(&path)?);
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}
