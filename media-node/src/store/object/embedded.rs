//! An S3 server over a folder, for one machine without an object store: objects are plain files.

use super::{Bucket, Keys, Location};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use weir_proto::Redacted;

/// The name of its bucket, and so of the folder that the objects' files are in.
const BUCKET: &str = "weir";

/// A server that listens on this machine alone, with keys that nobody else knows.
pub struct Embedded {
    pub(super) address: SocketAddr,
    keys: Keys,
    folder: PathBuf,
}

impl Embedded {
    /// Serves `folder` until `stop`.
    ///
    /// # Errors
    /// When the folder can't be made or no port is free.
    pub async fn start(folder: &Path, stop: CancellationToken) -> io::Result<Self> {
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let files = FileSystem::new(folder).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let (id, secret) = (random(), random());
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(id.clone(), secret.clone()));
        let service = service.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            // The library renews the date when its time has come: when our clock is set back, it stays ahead. Clients
            // sign by the difference to it, and would be refused until our clock is there again.
            server.http1().auto_date_header(false);
            server.http2().auto_date_header(false);
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let socket = match accepted {
                    Ok((socket, _)) => socket,
                    Err(error) => {
                        warn!(%error, "the object store can't take a connection");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let serving = server
                    .serve_connection(TokioIo::new(socket), service.clone())
                    .into_owned();
                let stop = stop.clone();
                tokio::spawn(async move {
                    if let Some(Err(error)) = stop.run_until_cancelled(serving).await {
                        debug!(%error, "a connection to the object store ended");
                    }
                });
            }
        });
        Ok(Self {
            address,
            keys: Keys::Given {
                id,
                secret: Redacted::new(secret),
            },
            folder: folder.to_owned(),
        })
    }

    /// Its only bucket.
    pub fn bucket(&self) -> Bucket {
        let location = Location {
            bucket: BUCKET.to_owned(),
            endpoint: Some(format!("http://{}", self.address)),
            region: "us-east-1".to_owned(),
            path_style: true,
        };
        Bucket::new(&location, self.keys.clone())
    }

    /// Where its objects are: what is written there must reach the disk before it may be forgotten.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn random() -> String {
    hex::encode(rand::random::<[u8; 20]>())
}
