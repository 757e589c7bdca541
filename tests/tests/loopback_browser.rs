//! Weir's own page in headless Chromium.

use serde::Deserialize;
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
