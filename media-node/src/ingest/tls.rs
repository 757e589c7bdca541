//! TLS towards sources that we dial.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

/// Shakes hands with the source that has this name or address in its certificate. An authority of this
/// machine must have signed that, or one in the file that `SSL_CERT_FILE` names.
///
/// # Errors
/// When the certificate, or something else of the handshake, is not as it should be.
pub(super) async fn connect(host: &str, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let config = config().map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, socket).await
}

/// Made once: the authorities of a machine are many, and seldom others.
fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        warn!(errors = ?found.errors, "no authority is known here: no source can be pulled by TLS; name a file in SSL_CERT_FILE");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
