//! Who may do what: login, tokens, passwords, and that no secret is told.

use weir_tests::{
    Result,
    camera::{self, Auth, Camera, Make, PASSWORD, USER},
    ensure,
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
async fn streams_want_a_token() -> Result<()> {
    let node = protected().await?;
    let tokens = node.login().await?;
    for wrong in [
        "",
        "?token=",
        "?token=0123456789abcdef0123456789abcdef",
        &format!("?token={}", tokens.refresh),
    ] {
        for path in [
            "/streams/door.flv",
            "/streams/door.m3u8",
            "/streams/door/1.ts",
            "/api/v1/streams",
        ] {
            let (status, text) = node.text(&format!("{path}{wrong}")).await?;
            ensure!(status == 401, "{path}{wrong}: {status} {text}");
        }
        let refused = player::web_socket(&node.ws(&format!("/streams/door.flv{wrong}")), secs(1)).await;
        ensure!(refused.is_err(), "the WebSocket let {wrong:?} in");
        let refused = player::probe_rtsp(&format!("{}{wrong}", node.rtsp("door")), "tcp", 0.5).await;
        ensure!(
            refused.is_err_and(|e| e.to_string().contains("401")),
            "RTSP let {wrong:?} in"
        );
    }
    // Who has no right is not told which streams there are.
    let (status, _) = node.text("/streams/absent.flv").await?;
    ensure!(status == 401, "an unknown stream: {status}");

    let token = &tokens.access;
    player::probe(&node.http(&format!("/streams/door.flv?token={token}")), &[], 2.0)
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
    player::probe_rtsp(&format!("{}?token={token}", node.rtsp("door")), "tcp", 2.0)
        .await?
        .expect(&["h264", "aac"], 2.0)
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
    let mut publisher = camera::publish(&clip, &node.rtsp("gate"), "tcp")?;
    ensure!(!publisher.ended(secs(10)).await?.success(), "anybody can publish");
    Ok(())
}

#[tokio::test]
async fn secrets_show_up_nowhere() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::Digest).await?;
    let node = MediaNode::standalone()
        .protected()
        .environment("RUST_LOG", "trace") // the most talkative level
        .manifest("secret.yaml", secret("door", USER, PASSWORD))
        .manifest(
            "a.yaml",
            rtsp_camera("door", source.url("h264"), "  credentials: {secretName: door}\n"),
        )
        .start()
        .await?;
    node.until_ready("door").await?;
    let tokens = node.login().await?;
    let token = &tokens.access;
    let url = node
        .rtsp("door")
        .replace("rtsp://", &format!("rtsp://admin:{ADMIN_PASSWORD}@"));
    player::probe_rtsp(&url, "tcp", 1.0).await?;
    player::probe(&node.http(&format!("/streams/door.flv?token={token}")), &[], 1.0).await?;
    player::probe_rtsp(&url.replace(ADMIN_PASSWORD, "canary-guess-7wVd"), "tcp", 0.5)
        .await
        .unwrap_err();

    let mut told = vec![("log", node.log())];
    for path in ["/metrics", "/", "/healthz", "/api/v1/server"] {
        told.push((path, node.text(path).await?.1));
    }
    for path in ["/api/weir/v1/cameras", "/api/v1/streams"] {
        told.push((path, node.text(&format!("{path}?token={token}&c=1")).await?.1));
    }
    for (place, text) in &told {
        for canary in ["canary-", token, &tokens.refresh] {
            let line = text.lines().find(|l| l.contains(canary));
            ensure!(line.is_none(), "{place} tells {canary}: {line:?}");
        }
    }
    // Nor do the files: passwords and tokens are kept as hashes.
    for file in walk(&node.data())? {
        let bytes = std::fs::read(&file)?;
        for canary in [ADMIN_PASSWORD, PASSWORD, token, &tokens.refresh] {
            let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
            ensure!(!found, "{} holds {canary}", file.display());
        }
    }
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
