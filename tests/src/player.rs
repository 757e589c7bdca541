//! Players that are not ours, and what they saw.

use std::{
    fmt,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader},
    process::Command,
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::{eventually, process, wait::secs, web_socket};

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

/// Codec, width and height of a picture or a clip, by ffprobe.
///
/// # Errors
/// When there is no picture in it.
pub async fn shape(file: &Path) -> Result<(String, u32, u32)> {
    let mut command = Command::new("ffprobe");
    command
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_name,width,height"])
        .arg(file);
    let text = process::output(&mut command, secs(20)).await?;
    let parts: Vec<&str> = text.trim().split(',').collect();
    ensure!(parts.len() >= 3, "{text}");
    Ok((parts[0].to_owned(), parts[1].parse()?, parts[2].parse()?))
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
    Ok(collect(web_socket::open(url, None).await?, span).await)
}

/// Collects what an open WebSocket sends for `span`.
pub async fn collect<S>(mut socket: WebSocketStream<S>, span: Duration) -> Vec<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = Vec::new();
    let deadline = tokio::time::Instant::now() + span;
    while let Ok(Some(message)) = tokio::time::timeout_at(deadline, socket.next()).await {
        match message {
            Ok(Message::Binary(data)) => messages.push(data),
            Ok(Message::Close(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    messages
}

/// Has GStreamer play `url`, as `ts` or `hls`, until it has decoded `pictures`; returns how many of them (`picture`) and how
/// many buffers of `audio` there were.
///
/// # Errors
/// When it can't be played, or they have not come by then.
pub async fn gstreamer(form: &str, url: &str, pictures: u64) -> Result<Value> {
    const LIMIT: Duration = secs(35);
    let mut command = Command::new(crate::setup::sources().join("http-player-gst/http-player-gst"));
    command.args([form, url, &pictures.to_string(), &LIMIT.as_secs().to_string()]);
    let counts: Value = serde_json::from_str(&process::output(&mut command, PATIENCE).await?)?;
    ensure!(
        counts["picture"].as_u64() >= Some(pictures),
        "{counts} in {LIMIT:?}"
    );
    Ok(counts)
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

/// Of a viewer who begins again: how long they wait before.
const PAUSE: Duration = Duration::from_millis(200);

/// A viewer who stays: ffmpeg decodes the stream and is started again whenever it ends. It keeps account of when there
/// was a picture. Ends with this value.
pub struct Watching {
    url: String,
    task: JoinHandle<()>,
    account: Arc<Mutex<Account>>,
}

#[derive(Debug)]
struct Account {
    pictures: u64,
    /// When the newest of them came; before the first, the start.
    latest: Instant,
    /// The longest time between two of them.
    longest: Duration,
    starts: u32,
    /// ffmpeg's last words.
    complaints: String,
}

impl Watching {
    /// Begins to watch. `options` go before the URL; those that end a connection on which nothing comes are there already.
    pub fn start(url: &str, options: &[&str]) -> Self {
        let account = Arc::new(Mutex::new(Account {
            pictures: 0,
            latest: Instant::now(),
            longest: Duration::ZERO,
            starts: 0,
            complaints: String::new(),
        }));
        let silence = if url.starts_with("rtsp:") {
            "-timeout"
        } else {
            "-rw_timeout"
        };
        let mut words: Vec<String> = [silence, "4000000", "-analyzeduration", "1000000"]
            .map(str::to_owned)
            .into();
        words.extend(options.iter().map(|&o| o.to_owned()));
        words.extend(["-i".to_owned(), url.to_owned()]);
        let kept = account.clone();
        let task = tokio::spawn(async move {
            loop {
                lock(&kept).starts += 1;
                let complaints = match watch(&words, &kept).await {
                    Ok(complaints) => complaints,
                    Err(e) => format!("{e:#}"),
                };
                lock(&kept).complaints = complaints;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self {
            url: url.to_owned(),
            task,
            account,
        }
    }

    /// Waits for a picture that comes from now on.
    ///
    /// # Errors
    /// When none does within `limit`.
    pub async fn until_picture(&self, limit: Duration) -> Result<()> {
        let before = lock(&self.account).pictures;
        eventually(limit, &format!("a picture of {}", self.url), async || {
            ensure!(lock(&self.account).pictures > before, "{self}");
            Ok(())
        })
        .await
    }

    /// The longest time without a picture since the first.
    pub fn longest_gap(&self) -> Duration {
        let account = lock(&self.account);
        if account.pictures == 0 {
            return Duration::ZERO;
        }
        account.longest.max(account.latest.elapsed())
    }
}

impl fmt::Display for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.url, lock(&self.account))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(account: &Mutex<Account>) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs ffmpeg until it ends, and returns its complaints.
async fn watch(words: &[String], account: &Mutex<Account>) -> Result<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-threads", "1"]);
    command
        .args(["-progress", "pipe:1", "-stats_period", "0.2"])
        .args(words);
    command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().context("start ffmpeg")?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut progress = BufReader::new(out.context("its output")?).lines();
    let count = async {
        let mut seen = 0;
        while let Ok(Some(line)) = progress.next_line().await {
            let frames = line
                .strip_prefix("frame=")
                .and_then(|n| n.trim().parse::<u64>().ok());
            let Some(frames) = frames.filter(|n| *n > seen) else {
                continue;
            };
            let mut account = lock(account);
            if account.pictures > 0 {
                account.longest = account.longest.max(account.latest.elapsed());
            }
            account.latest = Instant::now();
            account.pictures += frames - seen;
            seen = frames;
        }
    };
    let mut complaints = Vec::new();
    let mut err = err.context("its complaints")?;
    let ((), read) = tokio::join!(count, err.read_to_end(&mut complaints));
    read?;
    child.wait().await?;
    Ok(String::from_utf8_lossy(&complaints).trim().to_owned())
}
