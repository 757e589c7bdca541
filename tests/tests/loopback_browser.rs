//! Weir's own pages in headless Chromium.

use serde::Deserialize;
use serde_json::Value;
use weir_tests::{
    Context, Result,
    browser::{self, Watched},
    ensure,
    media_node::{ADMIN_PASSWORD, MediaNode},
};

#[derive(Debug, Deserialize)]
struct Page {
    asked: bool,
    cameras: String,
    #[serde(flatten)]
    watched: Watched,
}

async fn page(node: &MediaNode, way: &str, password: Option<&str>) -> Result<Page> {
    let url = node.http("/");
    let mut arguments = vec!["--url", &url, "--path", "door", "--with", way];
    let file = node.folder().join("login");
    let name = file.to_string_lossy();
    if let Some(password) = password {
        std::fs::write(&file, password)?;
        arguments.extend(["--user", "admin", "--password-file", &name]);
    }
    browser::run("page.mjs", &arguments).await
}

async fn node(protected: bool) -> Result<MediaNode> {
    let builder = MediaNode::standalone().file_camera("door", "h264_aac.mp4", "  displayName: Front door\n");
    let node = if protected { builder.protected() } else { builder }
        .start()
        .await?;
    node.until_ready("door").await?;
    Ok(node)
}

#[derive(Debug, Deserialize)]
struct Framed {
    state: Option<String>,
    #[serde(flatten)]
    watched: Watched,
}

/// The cloud recorder's player page in a page of another site.
#[tokio::test]
async fn a_channel_plays_in_a_frame_of_another_site() -> Result<()> {
    const UNION_ID: &str = "canary-unionid-7hTq";
    let node = MediaNode::standalone()
        .protected()
        .file_camera("door", "h264_aac.mp4", "  path: a/front-door\n")
        .argument("--recorder-unionid")
        .argument(UNION_ID)
        .start()
        .await?;
    node.until_ready("door").await?;
    let json = async |path: &str| -> Result<Value> { Ok(serde_json::from_str(&node.text(path).await?.1)?) };
    let told = json(&format!("/api/v1/access_token?unionid={UNION_ID}")).await?;
    let token = told["token"].as_str().context("a token")?;
    let told = json(&format!(
        "/api/v1/play_camera/camera_id/1/width/640/height/400/token/{token}"
    ))
    .await?;
    let url = told["play_url"].as_str().context("a URL")?;
    let framed: Framed = browser::run("frame.mjs", &["--url", url]).await?;
    framed.watched.expect(3.0)?;
    ensure!(framed.state.as_deref() == Some("playing"), "{framed:?}");
    ensure!(framed.watched.errors.is_empty(), "{framed:?}");
    let told = json(&format!("/api/v1/list_camera?token={token}")).await?;
    ensure!(told["data"][0]["clicks"] == 1, "{told}");
    Ok(())
}

#[tokio::test]
async fn it_plays_every_way() -> Result<()> {
    let node = node(true).await?;
    for way in ["flv", "ws", "hls"] {
        let page = page(&node, way, Some(ADMIN_PASSWORD)).await?;
        ensure!(page.asked, "{way}: it should ask for a login");
        ensure!(page.cameras.contains("Front door"), "{way}: {page:?}");
        page.watched.expect(3.0).with_context(|| way.to_owned())?;
        ensure!(
            (page.watched.width, page.watched.height) == (1280, 720),
            "{way}: {page:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn anonymous_view_plays_without_a_login() -> Result<()> {
    let node = node(false).await?;
    let page = page(&node, "flv", None).await?;
    ensure!(!page.asked, "it asks for a login");
    page.watched.expect(3.0)
}

#[tokio::test]
async fn a_stranger_sees_the_login_alone() -> Result<()> {
    let node = node(true).await?;
    let page = page(&node, "flv", None).await?;
    ensure!(page.asked && !page.cameras.contains("door"), "{page:?}");
    Ok(())
}
