//! Players that are not ours, and what they saw.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::{process, wait::secs};

/// How long a player may take beyond the time that it plays.
const PATIENCE: Duration = secs(45);

/// What ffprobe found in a stream.
#[derive(Debug)]
pub struct Seen {
    /// The streams as ffprobe describes them: `codec_name`, `width`, `sample_rate`, …
    pub streams: Vec<Value>,
    /// The packets in the order in which they came.
    pub packets: Vec<Packet>,
    /// What ffprobe complained about.
    pub complaints: String,
    /// How long it took in all.
    pub elapsed: Duration,
}

/// One packet as ffprobe saw it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Which stream it belongs to.
    pub stream: usize,
    /// Presentation and decode time in seconds, if it has them.
    pub pts: Option<f64>,
    /// See `pts`.
    pub dts: Option<f64>,
    /// Whether one can begin here.
    pub keyframe: bool,
    /// Its size.
    pub bytes: u64,
}

impl Seen {
    /// The first stream of that kind, `video` or `audio`.
    ///
    /// # Errors
    /// When there is none.
    pub fn stream(&self, kind: &str) -> Result<&Value> {
        let found = self.streams.iter().find(|s| s["codec_type"] == kind);
        found.with_context(|| format!("no {kind} in {:?}, {}", self.codecs(), self.complaints))
    }

    /// The packets of the first stream of that kind.
    pub fn packets(&self, kind: &str) -> Vec<&Packet> {
        let index = self.streams.iter().position(|s| s["codec_type"] == kind);
        self.packets.iter().filter(|p| Some(p.stream) == index).collect()
    }

    /// The names of the codecs, sorted.
    pub fn codecs(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .streams
            .iter()
            .filter_map(|s| s["codec_name"].as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// Width and height of the picture.
    ///
    /// # Errors
    /// When there is no video.
    pub fn size(&self) -> Result<(u64, u64)> {
        let video = self.stream("video")?;
        Ok((
            video["width"].as_u64().unwrap_or(0),
            video["height"].as_u64().unwrap_or(0),
        ))
    }

    /// Asserts these codecs, and a keyframe first.
    ///
    /// # Errors
    /// Which of these does not hold.
    pub fn expect_begin(&self, codecs: &[&str]) -> Result<()> {
        let mut want = codecs.to_vec();
        want.sort_unstable();
        ensure!(
            self.codecs() == want,
            "codecs {:?}, want {want:?}; {}",
            self.codecs(),
            self.complaints
        );
        let video = self.packets("video");
        let first = video.first().context("no pictures")?;
        ensure!(first.keyframe, "the first picture is no keyframe");
        Ok(())
    }

    /// Asserts what every form owes a viewer: these codecs, a keyframe first, decode times that grow and have no gap, and
    /// as many pictures as the time holds.
    ///
    /// # Errors
    /// Which of these does not hold.
    pub fn expect(&self, codecs: &[&str], seconds: f64) -> Result<()> {
        self.expect_begin(codecs)?;
        let video = self.packets("video");
        for kind in ["video", "audio"] {
            // ffprobe works the decode times out itself where a protocol has none; at the start it may not know them.
            let times: Vec<f64> = self.packets(kind).iter().filter_map(|p| p.dts).collect();
            for pair in times.windows(2) {
                ensure!(
                    pair[1] > pair[0],
                    "{kind}: decode time {} after {}",
                    pair[1],
                    pair[0]
                );
                ensure!(
                    pair[1] - pair[0] < 0.5,
                    "{kind}: gap from {} to {}",
                    pair[0],
                    pair[1]
                );
            }
        }
        // 25 pictures a second; the last may not be complete, and a player may give up a little early.
        let enough = (seconds * 25.0 * 0.8) as usize;
        ensure!(
            video.len() >= enough,
            "{} pictures in {seconds} s, want {enough}; {}",
            video.len(),
            self.complaints
        );
        if codecs.len() > 1 {
            ensure!(!self.packets("audio").is_empty(), "no sound");
        }
        Ok(())
    }
}

/// Has ffprobe play `url` for `seconds` of its time. `options` go before the URL, such as `-rtsp_transport tcp`.
///
/// # Errors
/// When nothing comes, or it is refused: with ffprobe's words.
pub async fn probe(url: &str, options: &[&str], seconds: f64) -> Result<Seen> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_streams", "-show_packets"]);
    command.args(["-read_intervals", &format!("%+{seconds}")]);
    command.args(options).arg(url);
    let begin = Instant::now();
    let limit = Duration::from_secs_f64(seconds) + PATIENCE;
    let (stdout, complaints, status) = process::outcome(&mut command, limit).await?;
    ensure!(status.success(), "ffprobe: {}", complaints.trim());
    let found: Value = serde_json::from_str(&stdout)?;
    let time = |v: &Value| v.as_str().and_then(|t| t.parse().ok());
    let packets = found["packets"].as_array().into_iter().flatten().map(|p| Packet {
        stream: p["stream_index"].as_u64().unwrap_or(0) as usize,
        pts: time(&p["pts_time"]),
        dts: time(&p["dts_time"]),
        keyframe: p["flags"].as_str().is_some_and(|f| f.starts_with('K')),
        bytes: p["size"].as_str().and_then(|s| s.parse().ok()).unwrap_or(0),
    });
    let streams = found["streams"].as_array().cloned().unwrap_or_default();
    Ok(Seen {
        packets: packets.collect(),
        streams,
        complaints,
        elapsed: begin.elapsed(),
    })
}

/// `probe` over RTSP by `tcp` or `udp`.
///
/// # Errors
/// As `probe`.
pub async fn probe_rtsp(url: &str, transport: &str, seconds: f64) -> Result<Seen> {
    probe(url, &["-rtsp_transport", transport], seconds).await
}

/// Has ffmpeg decode `seconds` of `url` and returns what it complained about: nothing, when all is well.
///
/// # Errors
/// When it can't be played at all.
pub async fn decode(url: &str, options: &[&str], seconds: f64) -> Result<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error"]);
    command
        .args(options)
        .args(["-i", url, "-t", &seconds.to_string(), "-f", "null", "-"]);
    let limit = Duration::from_secs_f64(seconds) + PATIENCE;
    let (_, complaints, status) = process::outcome(&mut command, limit).await?;
    ensure!(status.success(), "ffmpeg: {}", complaints.trim());
    Ok(complaints)
}

/// How long ffmpeg takes, its own start included, until it has decoded one picture.
///
/// # Errors
/// When it gets none.
pub async fn first_picture(url: &str, options: &[&str]) -> Result<Duration> {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-hide_banner",
        "-nostdin",
        "-v",
        "error",
        "-probesize",
        "32",
        "-analyzeduration",
        "0",
    ]);
    command
        .args(options)
        .args(["-i", url, "-frames:v", "1", "-f", "null", "-"]);
    let begin = Instant::now();
    process::output(&mut command, PATIENCE).await?;
    Ok(begin.elapsed())
}

/// Collects what a WebSocket sends for `span`.
///
/// # Errors
/// When the server refuses the upgrade.
pub async fn web_socket(url: &str, span: Duration) -> Result<Vec<Bytes>> {
    let request = url.into_client_request()?;
    let (mut socket, _) = tokio_tungstenite::connect_async(request)
        .await
        .with_context(|| format!("open {url}"))?;
    let mut messages = Vec::new();
    let deadline = tokio::time::Instant::now() + span;
    while let Ok(Some(message)) = tokio::time::timeout_at(deadline, socket.next()).await {
        match message {
            Ok(Message::Binary(data)) => messages.push(data),
            Ok(Message::Close(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(messages)
}

/// `probe` of a WebSocket's messages, put together in `folder`.
///
/// # Errors
/// As `web_socket` and `probe`.
pub async fn probe_web_socket(url: &str, folder: &Path, seconds: f64) -> Result<Seen> {
    let messages = web_socket(url, Duration::from_secs_f64(seconds)).await?;
    let file = folder.join("web-socket.flv");
    std::fs::write(&file, messages.concat())?;
    probe(&file.to_string_lossy(), &[], seconds + 10.0).await
}
