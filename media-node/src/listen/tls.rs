//! TLS on the ports that also take plain text: the first byte tells which it is.
//!
//! What is behind the handshake is sniffed and served as any other connection. It meets a local socket
//! ([`Socket::Tls`]) whose other end the [`Pump`] encrypts, so that the hub writes to all viewers alike.

mod certificate;
mod watch;

pub use certificate::Error;

use super::limits::Place;
use crate::socket::{self, Socket};
use certificate::{Current, Pair};
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The first byte of a handshake's record (RFC 8446 section 5.1). No text that we speak begins with it,
/// and no RTMP.
pub(super) const HANDSHAKE: u8 = 22;
/// A peer may take this long for the handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// The files of a certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The server's certificate first, then those of the authorities between it and the root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How the ports of a process take TLS. By default they take none.
#[derive(Clone, Default)]
pub struct Tls {
    /// By what is spoken inside; none without a certificate.
    configs: Option<Configs>,
    required: bool,
}

#[derive(Clone)]
struct Configs {
    http: Arc<ServerConfig>,
    rtmp: Arc<ServerConfig>,
}

/// What a port does with a connection before anything is read of it.
#[derive(Clone, Default)]
pub struct Entrance {
    acceptor: Option<TlsAcceptor>,
    required: bool,
}

/// A connection that is in.
pub(super) struct Entered {
    pub(super) socket: Socket,
    /// Whether it is plain where TLS is required.
    pub(super) is_bare: bool,
    /// To be run as long as the connection.
    pub(super) pump: Option<Pump>,
}

/// What carries a connection's bytes.
pub(super) struct Pump {
    bytes: socket::Pump<TlsStream<TcpStream>>,
    /// The connection lasts as long as this, not as long as what is served on it.
    _place: Place,
}

impl Pump {
    pub(super) async fn run(self) {
        self.bytes.run().await;
    }
}

impl Tls {
    /// Takes TLS with the certificate in `files`, and with what they hold later on, until `stop`.
    ///
    /// # Errors
    /// When they hold no certificate that could be served.
    pub async fn start(files: Files, required: bool, stop: CancellationToken) -> Result<Self, Error> {
        let (pair, contents) = Pair::read(&files).await?;
        let current = Arc::new(Current::new(pair));
        let config = |protocols: &[&str]| {
            let mut config = ServerConfig::builder_with_provider(certificate::provider())
                .with_safe_default_protocol_versions()
                .map_err(Error::Library)?
                .with_no_client_auth()
                .with_cert_resolver(current.clone());
            config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
            config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(Error::Library)?;
            Ok(Arc::new(config))
        };
        let configs = Configs {
            // A client that also speaks HTTP/2 must know not to.
            http: config(&["http/1.1"])?,
            rtmp: config(&[])?,
        };
        tokio::spawn(watch::follow(files, contents, current, stop));
        Ok(Self {
            configs: Some(configs),
            required,
        })
    }

    /// Whether there is a certificate.
    pub const fn is_offered(&self) -> bool {
        self.configs.is_some()
    }

    /// For a port that takes HTTP, perhaps besides RTSP.
    pub fn http(&self) -> Entrance {
        self.entrance(|configs| &configs.http)
    }

    pub fn rtmp(&self) -> Entrance {
        self.entrance(|configs| &configs.rtmp)
    }

    fn entrance(&self, config: impl Fn(&Configs) -> &Arc<ServerConfig>) -> Entrance {
        let acceptor = self.configs.as_ref().map(|c| config(c).clone().into());
        Entrance {
            acceptor,
            required: self.required,
        }
    }
}

impl Entrance {
    /// Lets a connection in, with its handshake where it begins with one. None if it doesn't come so far, by
    /// `deadline` at the latest.
    pub(super) async fn enter(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        place: &Place,
        deadline: Instant,
    ) -> Option<Entered> {
        match timeout_at(deadline, begins_with_handshake(&socket)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                return Some(Entered {
                    socket: socket.into(),
                    is_bare: self.required,
                    pump: None,
                });
            }
            Ok(Err(error)) => {
                debug!(%peer, %error, "the connection ended before it said what it speaks");
                return None;
            }
            Err(_) => {
                debug!(%peer, "the peer did not say in time what it speaks");
                return None;
            }
        }
        let Some(acceptor) = &self.acceptor else {
            info!(
                %peer,
                "closed: the peer speaks TLS, and no certificate is configured; give one with --tls-cert and \
                 --tls-key, or in a MediaPool's spec.tls"
            );
            return None;
        };
        let deadline = deadline.min(Instant::now() + HANDSHAKE_PATIENCE);
        match timeout_at(deadline, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => {
                let (socket, bytes) = match Socket::within(stream, |stream| stream.get_ref().0) {
                    Ok(pair) => pair,
                    Err(error) => {
                        // Out of file descriptors, most likely: with TLS a connection takes three.
                        count("no_room");
                        warn!(%peer, %error, "no room for a connection with TLS");
                        return None;
                    }
                };
                count("ok");
                Some(Entered {
                    socket,
                    is_bare: false,
                    pump: Some(Pump {
                        bytes,
                        _place: place.clone(),
                    }),
                })
            }
            Ok(Err(error)) => {
                count("failed");
                debug!(%peer, %error, "the TLS handshake failed");
                None
            }
            Err(_) => {
                count("slow");
                debug!(%peer, "the TLS handshake took too long");
                None
            }
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!("weir_tls_handshakes_total", "result" => result).increment(1);
}

/// Waits for the first byte, and leaves it where it is.
async fn begins_with_handshake(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match socket.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == HANDSHAKE),
    }
}

#[cfg(test)]
mod tests;
