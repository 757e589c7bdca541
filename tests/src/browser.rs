//! Players in headless Chromium, by the programs in `tests/browser/`.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::{process, setup, wait::secs};

/// What a video element showed.
#[derive(Debug, Deserialize)]
pub struct Watched {
    /// How far its clock went, in seconds.
    pub advanced: f64,
    /// Width of the picture.
    #[serde(default)]
    pub width: u32,
    /// Height of the picture.
    #[serde(default)]
    pub height: u32,
    /// How many pictures were decoded.
    #[serde(default)]
    pub pictures: u32,
    /// How far hls.js says the picture is behind, in seconds, and how many parts it loaded; of low-latency HLS.
    pub latency: Option<f64>,
    /// See `latency`.
    #[serde(default)]
    pub parts: u32,
    /// Errors of the player, of the page, and in the browser's console.
    #[serde(default)]
    pub errors: Vec<String>,
}

impl Watched {
    /// Asserts that the picture moved for `seconds`.
    ///
    /// # Errors
    /// When it did not.
    pub fn expect(&self, seconds: f64) -> Result<()> {
        ensure!(
            self.advanced >= seconds,
            "the clock went on by {} s, want {seconds}: {self:?}",
            self.advanced
        );
        ensure!(self.pictures > 10, "few pictures: {self:?}");
        Ok(())
    }
}

/// Plays a URL with hls.js (`hls`, `hls-ll`) or mpegts.js (`flv`, `mpegts`, over HTTP or WebSocket) on a page of another origin.
///
/// # Errors
/// When the browser does not run.
pub async fn play(engine: &str, url: &str, seconds: f64) -> Result<Watched> {
    run(
        "play.mjs",
        &[
            "--engine",
            engine,
            "--url",
            url,
            "--seconds",
            &seconds.to_string(),
        ],
    )
    .await
}

/// Runs a program of `tests/browser/` and reads the line of JSON that it prints.
///
/// # Errors
/// When it fails.
pub async fn run<T: for<'a> Deserialize<'a>>(program: &str, arguments: &[&str]) -> Result<T> {
    const LIMIT: Duration = secs(90);
    let mut command = Command::new("node");
    command
        .arg(setup::sources().join("browser").join(program))
        .args(arguments);
    command.env("WEIR_TEST_BROWSER", setup::part("browser").await?);
    let out = process::output(&mut command, LIMIT).await?;
    Ok(serde_json::from_str(out.trim())?)
}
