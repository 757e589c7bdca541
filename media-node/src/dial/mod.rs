//! Connections that we open to addresses which users name: cameras that are pulled, servers that are
//! pushed to. What is spoken there is `ingest`'s and `egress`'s; here is what both need before:
//! whether the address may be dialled, with what credentials, whether it is the server that is meant, and how long to wait
//! between attempts.

mod backoff;
mod rtmp_url;
mod tls;

pub use backoff::Backoff;
pub use rtmp_url::{RtmpUrl, RtmpUrlError};
pub use tls::{Authorities, AuthoritiesError, TlsError, TlsFault, Trust, secure};

use crate::auth::source_policy::{Refused, SourcePolicy};
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use url::Url;
use weir_proto::Redacted;

/// User name and password.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub username: String,
    pub password: Redacted<String>,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.username == other.username && self.password.reveal() == other.password.reveal()
    }
}

impl Eq for Credentials {}

/// The URL as people may see it: without credentials, and without the query, in which some servers
/// take theirs.
pub fn shown(url: &Url) -> Url {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Whether an RTSP URL asks for TLS.
pub fn is_rtsps(url: &Url) -> bool {
    url.scheme() == "rtsps"
}

/// The port of an RTSP URL, also where it names none.
pub fn rtsp_port(url: &Url) -> u16 {
    url.port().unwrap_or(if is_rtsps(url) { 322 } else { 554 })
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is denied, or unknown.
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the name {0} has no address")]
    NoAddress(String),
    #[error("it can't be reached")]
    Connect(#[source] io::Error),
}

/// The address to dial for `host`: a name is resolved once, and judged, so that it can't become another
/// one in between.
///
/// # Errors
/// When there is none, or none that the policy allows.
pub async fn resolve(policy: &SourcePolicy, host: &str, port: u16) -> Result<SocketAddr, Error> {
    let addresses = policy.resolve(host, port).await?;
    addresses
        .first()
        .copied()
        .ok_or_else(|| Error::NoAddress(host.to_owned()))
}

/// Connects to where [`resolve`] says. Bounded by the caller.
///
/// # Errors
/// As [`resolve`], and when nobody answers.
pub async fn connect(policy: &SourcePolicy, host: &str, port: u16) -> Result<TcpStream, Error> {
    let address = resolve(policy, host, port).await?;
    let socket = TcpStream::connect(address).await.map_err(Error::Connect)?;
    socket.set_nodelay(true).map_err(Error::Connect)?;
    Ok(socket)
}
