//! Section 12: what is served beside the API.

use anyhow::{Result, ensure};

use super::Place;

/// The page that this server has; 404 for what it has not.
pub async fn ipchub_static_console(place: &Place) -> Result<()> {
    for entry in place.entries() {
        for path in ["/", "/index.html"] {
            let page = place.get(entry, path).await?;
            ensure!(
                page.status == 200 && page.header("content-type") == "text/html; charset=utf-8",
                "{page:?}"
            );
            // What it names is there too.
            let script = page
                .text
                .split('"')
                .find(|word| word.rsplit('.').next() == Some("js"));
            let script = format!("/{}", script.unwrap_or("none").trim_start_matches(['.', '/']));
            let script = place.get(entry, &script).await?;
            ensure!(
                script.status == 200 && script.header("content-type").starts_with("text/javascript"),
                "{script:?}"
            );
        }
        for absent in [
            "/absent.html",
            "/console/absent",
            "/debug/pprof/",
            "/%2e%2e/Cargo.toml",
        ] {
            let reply = place.get(entry, absent).await?;
            ensure!(
                reply.status == 404 && reply.text == "404 page not found\n",
                "{reply:?}"
            );
        }
    }
    Ok(())
}

/// There is no such folder, so it is 404.
pub async fn ipchub_static_demos(place: &Place) -> Result<()> {
    for entry in place.entries() {
        for path in ["/demos", "/demos/", "/demos/index.html", "/demos/a/b"] {
            let reply = place.get(entry, path).await?;
            ensure!(
                reply.status == 404 && reply.text == "404 page not found\n",
                "{reply:?}"
            );
        }
    }
    Ok(())
}
