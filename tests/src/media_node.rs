//! `media-node standalone` in a folder of its own, and its API as a client sees it.

use std::{ffi::OsString, fs, path::Path, process::ExitStatus, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    eventually, manifest,
    process::Process,
    setup,
    wait::{secs, throughout},
};

/// The password of `admin` in nodes that tests start. Nothing that Weir prints or answers may contain it.
pub const ADMIN_PASSWORD: &str = "canary-admin-5rTk";

/// The folder below `--data` that `spec.source.file.path` is relative to.
const MEDIA: &str = "media";

/// What a node is started with.
pub struct Builder {
    anonymous: bool,
    password: bool,
    by_environment: bool,
    port: u16,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    clips: Vec<String>,
    manifests: Vec<(String, String)>,
}

/// A node that runs.
pub struct MediaNode {
    process: Process,
    folder: TempDir,
    /// The line that it printed when it was ready.
    pub ready: Value,
    client: Client,
}

/// A pair of tokens as the login answers it.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For `?token=`.
    pub access: String,
    /// For a new pair.
    pub refresh: String,
}

impl MediaNode {
    /// A node that lets anybody view, knows `ADMIN_PASSWORD`, and may dial cameras on loopback.
    pub fn standalone() -> Builder {
        Builder {
            anonymous: true,
            password: true,
            by_environment: false,
            port: 0,
            arguments: Vec::new(),
            environment: Vec::new(),
            clips: Vec::new(),
            manifests: vec![(
                "pool.yaml".to_owned(),
                manifest::pool_that_allows("media", &["127.0.0.0/8"]),
            )],
        }
    }

    /// The port that it said when it was ready: `rtsp` (which takes HTTP too), `http`, `rtmp`, `webrtc`.
    ///
    /// # Panics
    /// When it said none of that name.
    pub fn port(&self, name: &str) -> u16 {
        self.ready[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {}", self.ready)) as u16
    }

    /// URL of a stream over RTSP.
    pub fn rtsp(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{path}", self.port("rtsp"))
    }

    /// URL of a stream over RTMP.
    pub fn rtmp(&self, path: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{path}", self.port("rtmp"))
    }

    /// URL on the HTTP port; `path` begins with a slash.
    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port("http"))
    }

    /// URL of a WebSocket; `path` begins with a slash.
    pub fn ws(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port("http"))
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The folder of everything it keeps.
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for the test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a manifest into the folder that the node watches, in one step as editors do, or replaces it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn apply(&self, file: &str, text: &str) -> Result<()> {
        write_manifest(&self.folder.path().join("manifests"), file, text)
    }

    /// Takes a manifest out of the folder.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete(&self, file: &str) -> Result<()> {
        Ok(fs::remove_file(self.folder.path().join("manifests").join(file))?)
    }

    /// Logs in as `admin`.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn login(&self) -> Result<Tokens> {
        self.login_as("admin", ADMIN_PASSWORD).await
    }

    /// Logs in.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn login_as(&self, user: &str, password: &str) -> Result<Tokens> {
        let body = json!({"username": user, "password": password});
        let reply = self
            .client
            .post(self.http("/api/v1/login"))
            .json(&body)
            .send()
            .await?;
        ensure!(reply.status() == StatusCode::OK, "login: {}", reply.status());
        Tokens::of(&reply.json().await?)
    }

    /// `GET` of a path that begins with a slash.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Response> {
        Ok(self.client.get(self.http(path)).send().await?)
    }

    /// Status and body of a request with a body, which may be empty.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn call(&self, method: Method, path: &str, body: &str) -> Result<(StatusCode, String)> {
        let request = self.client.request(method, self.http(path)).body(body.to_owned());
        let reply = request.send().await?;
        Ok((reply.status(), reply.text().await?))
    }

    /// Status and body of a `GET`.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn text(&self, path: &str) -> Result<(StatusCode, String)> {
        let reply = self.get(path).await?;
        Ok((reply.status(), reply.text().await?))
    }

    /// A camera as `GET /api/weir/v1/cameras` lists it.
    ///
    /// # Errors
    /// When it is not listed.
    pub async fn camera(&self, name: &str) -> Result<Value> {
        let tokens = self.login().await?;
        let path = format!("/api/weir/v1/cameras?token={}", tokens.access);
        let (status, body) = self.text(&path).await?;
        ensure!(status == StatusCode::OK, "cameras: {status} {body}");
        let list: Value = serde_json::from_str(&body)?;
        let cameras = list["cameras"].as_array().context("a list of cameras")?;
        let found = cameras.iter().find(|c| c["name"] == name);
        found
            .cloned()
            .with_context(|| format!("no camera {name} in {body}"))
    }

    /// Waits until the camera is ready, and returns it.
    ///
    /// # Errors
    /// When it is not by then.
    pub async fn until_ready(&self, name: &str) -> Result<Value> {
        eventually(secs(20), &format!("camera {name} to be ready"), async || {
            let camera = self.camera(name).await?;
            ensure!(camera["ready"] == true, "{camera}");
            Ok(camera)
        })
        .await
    }

    /// Waits until the camera is not ready for that reason, and returns it.
    ///
    /// # Errors
    /// When it is not by then.
    pub async fn until_reason(&self, name: &str, reason: &str) -> Result<Value> {
        eventually(secs(40), &format!("camera {name} to say {reason}"), async || {
            let camera = self.camera(name).await?;
            ensure!(camera["ready"] != true && camera["reason"] == reason, "{camera}");
            Ok(camera)
        })
        .await
    }

    /// Asserts that the camera stays ready for `span`.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stays_ready(&self, name: &str, span: Duration) -> Result<()> {
        throughout(span, &format!("camera {name} should stay ready"), async || {
            let camera = self.camera(name).await?;
            ensure!(camera["ready"] == true, "{camera}");
            Ok(())
        })
        .await
    }

    /// The value of a metric, all its label sets added up.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = self.text("/metrics").await?;
        let values = text.lines().filter(|l| !l.starts_with('#')).filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        });
        let values: Vec<f64> = values.collect();
        ensure!(!values.is_empty(), "no metric {name}");
        Ok(values.iter().sum())
    }

    /// Ends it as Ctrl-C does, and returns how it ended.
    ///
    /// # Errors
    /// When it does not end within 30 s.
    pub async fn interrupt(&mut self) -> Result<ExitStatus> {
        self.process.signal(rustix::process::Signal::INT)?;
        self.process.ended(secs(30)).await
    }
}

impl Builder {
    /// Puts a manifest into the folder before the start.
    #[must_use]
    pub fn manifest(mut self, file: &str, text: impl Into<String>) -> Self {
        self.manifests.push((file.to_owned(), text.into()));
        self
    }

    /// Puts a clip into the node's media folder, and a Camera that plays it in a loop into the manifests.
    #[must_use]
    pub fn file_camera(mut self, name: &str, clip: &str, more: &str) -> Self {
        self.clips.push(clip.to_owned());
        self.manifest(&format!("{name}.yaml"), manifest::file_camera(name, clip, more))
    }

    /// Leaves the MediaPool out that lets the node dial cameras on loopback.
    #[must_use]
    pub fn default_policy(mut self) -> Self {
        self.manifests.retain(|(file, _)| file != "pool.yaml");
        self
    }

    /// Wants a token or a password for every stream.
    #[must_use]
    pub fn protected(mut self) -> Self {
        self.anonymous = false;
        self
    }

    /// Names no password, so that the node makes one.
    #[must_use]
    pub fn without_password(mut self) -> Self {
        self.password = false;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Says by variables of the environment what other nodes are told by arguments.
    #[must_use]
    pub fn by_environment(mut self) -> Self {
        self.by_environment = true;
        self
    }

    /// Asks for this RTSP port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts the node in a new folder and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start(self) -> Result<MediaNode> {
        self.start_in(TempDir::with_prefix("weir-")?).await
    }

    /// Starts the node in a folder, which may be that of an earlier one.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_in(self, folder: TempDir) -> Result<MediaNode> {
        let manifests = folder.path().join("manifests");
        fs::create_dir_all(&manifests)?;
        for (file, text) in &self.manifests {
            write_manifest(&manifests, file, text)?;
        }
        let media = folder.path().join("data").join(MEDIA);
        fs::create_dir_all(&media)?;
        for clip in &self.clips {
            fs::copy(setup::clip(clip).await?, media.join(clip))?;
        }
        let mut settings: Vec<(&str, OsString)> = vec![
            ("data", folder.path().join("data").into()),
            ("manifests", manifests.into()),
            ("bind", "127.0.0.1".into()),
            ("port", self.port.to_string().into()),
            ("http-port", "0".into()),
            ("rtmp-port", "0".into()),
            ("webrtc-port", "0".into()),
        ];
        if self.password {
            let file = folder.path().join("password");
            fs::write(&file, format!("{ADMIN_PASSWORD}\n"))?;
            settings.push(("admin-password-file", file.into()));
        }
        let mut command = command()?;
        command.arg("standalone");
        for (name, value) in settings {
            if self.by_environment {
                let variable = name.to_uppercase().replace('-', "_");
                command.env(format!("WEIR_{variable}"), value);
            } else {
                command.arg(format!("--{name}")).arg(value);
            }
        }
        if self.anonymous && self.by_environment {
            command.env("WEIR_ANONYMOUS_VIEW", "1");
        } else if self.anonymous {
            command.arg("--anonymous-view");
        }
        command.args(&self.arguments).envs(self.environment);
        let mut process = Process::start("media-node", &mut command)?;
        let ready = process.ready(secs(30)).await?;
        let client = Client::builder().no_proxy().timeout(secs(50)).build()?;
        Ok(MediaNode {
            process,
            folder,
            ready,
            client,
        })
    }
}

impl MediaNode {
    /// Ends the node and hands its folder over, for a start in the same folder.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn stop(mut self) -> Result<TempDir> {
        let status = self.interrupt().await?;
        ensure!(status.success(), "media-node ended with {status}");
        Ok(self.folder)
    }

    /// Ends the node as an init system does (SIGTERM), and hands its folder over.
    ///
    /// # Errors
    /// When it does not end well within 30 s.
    pub async fn terminate(mut self) -> Result<TempDir> {
        let status = self.process.stop(secs(30)).await?;
        ensure!(status.success(), "media-node ended with {status}");
        Ok(self.folder)
    }

    /// Kills the node, as a power cut does, and hands its folder over.
    ///
    /// # Errors
    /// When it can't be ended.
    pub async fn crash(mut self) -> Result<TempDir> {
        self.process.kill().await?;
        Ok(self.folder)
    }
}

impl Tokens {
    /// Reads the answer of login and refresh.
    ///
    /// # Errors
    /// When a token is missing.
    pub fn of(answer: &Value) -> Result<Self> {
        let token = |name: &str| Ok::<_, anyhow::Error>(answer[name].as_str().context("a token")?.to_owned());
        Ok(Self {
            access: token("access_token")?,
            refresh: token("refresh_token")?,
        })
    }
}

/// The program, free of what this machine's environment says of Weir.
///
/// # Errors
/// When it has not been built.
pub fn command() -> Result<Command> {
    let mut command = Command::new(setup::program("media-node")?);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
    Ok(command)
}

/// Writes beside and renames, so that the node never reads half a file.
fn write_manifest(folder: &Path, file: &str, text: &str) -> Result<()> {
    let part = folder.join(format!(".{file}.part"));
    fs::write(&part, text)?;
    Ok(fs::rename(part, folder.join(file))?)
}
