//! An object store that is not ours: versitygw, whose objects are plain files, behind a line that can be spoiled.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::{net::TcpStream, process::Command};

use crate::{
    camera::free_port,
    eventually,
    line::{Line, Lines},
    manifest,
    process::Process,
    setup,
    wait::secs,
};

/// Its only bucket.
pub const BUCKET: &str = "footage";
/// Names of the MediaPool and the Secret that name it.
const POOL: &str = "media";
const SECRET: &str = "store";

/// A store that runs.
pub struct Server {
    _process: Process,
    folder: TempDir,
    id: String,
    secret: String,
    port: u16,
}

impl Server {
    /// Starts one at that address, with an empty bucket and keys of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(address: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("weir-s3-")?;
        fs::create_dir_all(folder.path().join("objects").join(BUCKET))?;
        let (id, secret) = (random()?, random()?);
        let port = free_port(address)?;
        let mut command = Command::new(setup::part("s3").await?.join("versitygw"));
        command
            .env("ROOT_ACCESS_KEY", &id)
            .env("ROOT_SECRET_KEY", &secret)
            .args(["--port", &format!("{address}:{port}"), "posix"])
            .arg(folder.path().join("objects"));
        let process = Process::start("versitygw", &mut command)?;
        eventually(secs(10), "the object store to listen", async || {
            Ok(TcpStream::connect((address, port)).await.map(drop)?)
        })
        .await?;
        Ok(Self {
            _process: process,
            folder,
            id,
            secret,
            port,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the bucket's objects.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join("objects").join(BUCKET)
    }

    /// A Secret of that name with its keys.
    pub fn keys(&self, name: &str) -> String {
        manifest::store_secret(name, &self.id, &self.secret)
    }
}

/// A store on this machine, and a line to it.
pub struct Store {
    server: Server,
    /// Between it and whoever uses [`Store::pool`].
    pub line: Line,
}

impl Store {
    /// Starts one with an empty bucket and keys of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(lines: &Lines) -> Result<Self> {
        let server = Server::start("127.0.0.1").await?;
        let line = lines.to("s3", server.port).await?;
        Ok(Self { server, line })
    }

    /// Where it listens itself.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// A MediaPool that stores here, by the line.
    pub fn pool(&self) -> String {
        let endpoint = format!("http://127.0.0.1:{}", self.line.port());
        manifest::pool_that_stores(POOL, endpoint, BUCKET, SECRET)
    }

    /// The Secret that the pool names.
    pub fn keys(&self) -> String {
        self.server.keys(SECRET)
    }

    /// The same with another password.
    pub fn wrong_keys(&self) -> String {
        manifest::store_secret(SECRET, &self.server.id, WRONG)
    }

    /// What must be in no log.
    pub fn secret(&self) -> &str {
        &self.server.secret
    }

    /// The folder of the bucket's objects.
    pub fn bucket(&self) -> PathBuf {
        self.server.bucket()
    }

    /// The folder of uploads that were begun.
    pub fn uploads(&self) -> PathBuf {
        self.bucket().join(".sgwtmp").join("multipart")
    }
}

/// A password that opens nothing, and must be in no log.
pub const WRONG: &str = "canary-store-4vBw0000000000000000000000";

/// The files below a folder that have that ending, sorted.
///
/// # Errors
/// When a folder can't be read. One that is not there has none.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let entry = entry?;
            // What is there while the folder is read may be gone a moment later.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if entry.path().to_string_lossy().ends_with(ending) => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

fn random() -> Result<String> {
    let mut bytes = [0_u8; 16];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}
