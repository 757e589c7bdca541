//! Cameras that are not ours: two RTSP servers, and ffmpeg as a publisher.

use std::{collections::HashSet, net::TcpListener, path::Path, sync::Arc};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{process::Process, setup, tls, wait::secs};

/// The user that a camera with authentication knows.
pub const USER: &str = "viewer";
/// Their password. Nothing that Weir prints, stores in a status or logs may contain it.
pub const PASSWORD: &str = "canary-camera-8fQz";

/// Which server the camera runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// gortsplib, playing clips. Paths: `h264`, `h265` (1280x720 with AAC), `bframes` (with AAC), `fat` (24 Mbit/s), `g711` (PCMU), `alaw`
    /// (PCMA), `other` (640x480), `stamped` (the number of each picture in it); and with nothing to be had, `jpeg` (M-JPEG alone), `silent` (no packets), `reports`
    /// (RTCP alone).
    Go,
    /// The same, and RTP over UDP alone.
    GoUdp,
    /// GStreamer's RTSP server, encoding. Paths: `h264`, `h265` (640x360 with AAC), `g711` (PCMA), `video`.
    Gst,
}

/// How the camera authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// By the password in clear text.
    Basic,
    /// By a digest of it.
    Digest,
}

/// A camera that runs.
pub struct Camera {
    make: Make,
    auth: Auth,
    bind: String,
    port: u16,
    /// Where its certificate and key are, if it speaks TLS.
    pair: Option<Arc<TempDir>>,
    process: Process,
}

impl Camera {
    /// Starts a camera on loopback.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(make: Make, auth: Auth) -> Result<Self> {
        Self::start_at(make, auth, "127.0.0.1", 0).await
    }

    /// Starts a camera at an address of this machine; port 0 takes a free one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_at(make: Make, auth: Auth, bind: &str, port: u16) -> Result<Self> {
        Self::run(make, auth, bind, port, None).await
    }

    /// Starts gortsplib's server on loopback, speaking TLS with this certificate and nothing else.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_with_tls(auth: Auth, certificate: &tls::Certificate) -> Result<Self> {
        let pair = Some(Arc::new(written(certificate)?));
        Self::run(Make::Go, auth, "127.0.0.1", 0, pair).await
    }

    async fn run(make: Make, auth: Auth, bind: &str, port: u16, pair: Option<Arc<TempDir>>) -> Result<Self> {
        let word = match auth {
            Auth::None => "none",
            Auth::Basic => "basic",
            Auth::Digest => "digest",
        };
        // GStreamer's server names the port it was asked for, so it is asked for one that is free.
        let asked = if port == 0 && make == Make::Gst {
            free_port(bind)?
        } else {
            port
        };
        let mut command;
        match make {
            Make::Go | Make::GoUdp => {
                let clips = setup::part("media").await?;
                let clip = |name: &str| clips.join(name).display().to_string();
                command = Command::new(setup::part("cameras").await?.join("rtsp-server-go"));
                command.args(["-bind", bind, "-port", &asked.to_string(), "-auth", word]);
                command.args(["-user", USER, "-password", PASSWORD]);
                if make == Make::GoUdp {
                    command.arg("-tcp=false");
                }
                if let Some(folder) = &pair {
                    command.arg("-tls-cert").arg(folder.path().join(tls::CERTIFICATE));
                    command.arg("-tls-key").arg(folder.path().join(tls::KEY));
                }
                for (path, files) in [
                    ("h264", clip("h264_aac.ts")),
                    ("h265", clip("h265_aac.ts")),
                    ("bframes", clip("h264_bframes.ts")),
                    ("fat", clip("h264_fat.ts")),
                    (
                        "g711",
                        format!("{}+{}", clip("h264_other.ts"), clip("tone.mulaw")),
                    ),
                    ("alaw", format!("{}+{}", clip("h264_other.ts"), clip("tone.alaw"))),
                    ("other", clip("h264_other.ts")),
                    ("stamped", clip("h264_stamped.ts")),
                ] {
                    command.arg("-serve").arg(format!("{path}={files}"));
                }
            }
            Make::Gst => {
                command = Command::new(setup::sources().join("rtsp-server-gst/rtsp-server-gst"));
                command.args(["--bind", bind, "--port", &asked.to_string(), "--auth", word]);
                command.args(["--user", USER, "--password", PASSWORD]);
            }
        }
        let mut process = Process::start(&format!("camera {make:?}"), &mut command)?;
        let ready = process.ready(secs(20)).await?;
        let port = ready["rtsp"].as_u64().context("the camera's port")? as u16;
        Ok(Self {
            make,
            auth,
            bind: bind.to_owned(),
            port,
            pair,
            process,
        })
    }

    /// Its URL for a path, without credentials.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.pair.is_some() { "rtsps" } else { "rtsp" };
        format!("{scheme}://{}:{}/{path}", self.bind, self.port)
    }

    /// Its RTSP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// How many viewers came to it until now.
    pub fn plays(&self) -> usize {
        self.log().matches(" plays ").count()
    }

    /// How many of them it has just now.
    pub fn viewers(&self) -> usize {
        let (log, mut there) = (self.log(), HashSet::new());
        for line in log.lines() {
            // Connections that only looked (a check of the address, say) go, and never play.
            let Some(peer) = line.split_whitespace().nth(1) else {
                continue;
            };
            if line.contains(" plays ") {
                there.insert(peer);
            } else if line.contains(" gone") {
                there.remove(peer);
            }
        }
        there.len()
    }

    /// Who publishes to a path of gortsplib's server just now: addresses as the server sees them, without the port.
    pub fn publishers(&self, path: &str) -> Vec<String> {
        let mut there = Vec::new();
        for line in self.log().lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                [_, from, "publishes", at] if at == path => there.push(from.to_owned()),
                [_, from, "has", "published", at] if at == path => there.retain(|known| known != from),
                _ => {}
            }
        }
        let host = |from: String| from.rsplit_once(':').map(|(host, _)| host.to_owned());
        there.into_iter().filter_map(host).collect()
    }

    /// Cuts its power: it is gone without a word.
    ///
    /// # Errors
    /// When it can't be ended.
    pub async fn unplug(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Lets it fall silent: its connections stay open and nothing comes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Plugs it in again, at the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn plug_in(&mut self) -> Result<()> {
        *self = Self::run(self.make, self.auth, &self.bind, self.port, self.pair.clone()).await?;
        Ok(())
    }

    /// Unplugs it, and plugs it in again with another certificate.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn renew(&mut self, certificate: &tls::Certificate) -> Result<()> {
        self.unplug().await?;
        self.pair = Some(Arc::new(written(certificate)?));
        self.plug_in().await
    }
}

fn written(certificate: &tls::Certificate) -> Result<TempDir> {
    let folder = TempDir::with_prefix("weir-camera-")?;
    certificate.write(folder.path())?;
    Ok(folder)
}

/// A TCP port of that address which is free just now.
///
/// # Errors
/// When there is none.
pub fn free_port(bind: &str) -> Result<u16> {
    let listener = TcpListener::bind((bind, 0)).with_context(|| format!("listen on {bind}"))?;
    Ok(listener.local_addr()?.port())
}

/// Has ffmpeg publish a clip to an RTSP URL, in a loop and in real time.
///
/// # Errors
/// When ffmpeg can't be started.
pub fn publish(clip: &Path, url: &str, transport: &str) -> Result<Process> {
    send(clip, &["-f", "rtsp", "-rtsp_transport", transport, url])
}

/// Has ffmpeg publish a clip to an RTMP URL likewise.
///
/// # Errors
/// When ffmpeg can't be started.
pub fn publish_rtmp(clip: &Path, url: &str) -> Result<Process> {
    send(clip, &["-f", "flv", url])
}

/// Has ffmpeg be an RTMP server that plays a clip to the first who comes.
///
/// # Errors
/// When ffmpeg can't be started.
pub fn serve_rtmp(clip: &Path, url: &str) -> Result<Process> {
    send(clip, &["-f", "flv", "-listen", "1", url])
}

fn send(clip: &Path, output: &[&str]) -> Result<Process> {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-hide_banner",
        "-loglevel",
        "warning",
        "-nostdin",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
    ]);
    command.arg(clip).args(["-c", "copy"]).args(output);
    Process::start("ffmpeg publisher", &mut command)
}
