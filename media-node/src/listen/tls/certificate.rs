//! A certificate with its key, and the one that is served at the moment.

use super::Files;
use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Larger files hold something else.
const MOST_BYTES: u64 = 1 << 20;

/// Why a certificate can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{} can't be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} is no PEM file", .0.display())]
    NotPem(PathBuf, #[source] pem::Error),
    #[error("{} holds no certificate; give a PEM file that begins with the server's own", .0.display())]
    NoCertificate(PathBuf),
    #[error("the certificate in {} can't be read", .0.display())]
    BadCertificate(PathBuf, #[source] rustls::Error),
    #[error("{} holds no private key; give a PEM file with an unencrypted one", .0.display())]
    NoKey(PathBuf),
    #[error("the private key in {} is of a kind that can't be used", .0.display())]
    BadKey(PathBuf, #[source] rustls::Error),
    #[error("the private key in {} does not belong to the certificate in {}", .key.display(), .certificate.display())]
    OtherKey { key: PathBuf, certificate: PathBuf },
    #[error("TLS can't be set up")]
    Library(#[source] rustls::Error),
}

/// Tells contents of the two files from others.
pub(super) type Contents = [u8; 32];

/// What the two files hold, not judged yet.
pub(super) struct Held {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Held {
    pub(super) async fn read(files: &Files) -> Result<Self, Error> {
        Ok(Self {
            certificate: bytes(&files.certificate).await?,
            key: bytes(&files.key).await?,
        })
    }

    pub(super) fn contents(&self) -> Contents {
        let length = (self.certificate.len() as u64).to_be_bytes();
        let hash = Sha256::new().chain_update(length);
        hash.chain_update(&self.certificate)
            .chain_update(&self.key)
            .finalize()
            .into()
    }

    /// Judges it.
    pub(super) fn pair(&self, files: &Files) -> Result<Pair, Error> {
        Pair::parse(files, &self.certificate, &self.key)
    }
}

/// A certificate with its key.
pub(super) struct Pair {
    key: Arc<CertifiedKey>,
    /// Seconds since 1970 after which clients refuse it.
    pub(super) expires: i64,
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Pair {
    /// Reads the files.
    pub(super) async fn read(files: &Files) -> Result<(Self, Contents), Error> {
        let held = Held::read(files).await?;
        Ok((held.pair(files)?, held.contents()))
    }

    fn parse(files: &Files, certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::NotPem(files.certificate.clone(), error))?;
        let Some(own) = chain.first() else {
            return Err(Error::NoCertificate(files.certificate.clone()));
        };
        let expires = X509Certificate::from_der(own).map(|(_, c)| c.validity().not_after.timestamp());
        let bad = |error| Error::BadCertificate(files.certificate.clone(), error);
        let expires = expires.map_err(|_| bad(rustls::CertificateError::BadEncoding.into()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => Error::NoKey(files.key.clone()),
            error => Error::NotPem(files.key.clone(), error),
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| Error::BadKey(files.key.clone(), error))?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // Some kinds of keys can't be compared.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(Error::OtherKey {
                    key: files.key.clone(),
                    certificate: files.certificate.clone(),
                });
            }
            Err(error) => return Err(bad(error)),
        }
        Ok(Self {
            key: Arc::new(key),
            expires,
        })
    }
}

async fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    let length = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
    if length > MOST_BYTES {
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it has more than 1 MiB",
        )));
    }
    tokio::fs::read(path).await.map_err(unreadable)
}

/// The certificate that new handshakes get.
#[derive(Debug)]
pub(super) struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    pub(super) fn new(pair: Pair) -> Self {
        tell_expiry(&pair);
        Self(RwLock::new(pair.key))
    }

    pub(super) fn served(&self) -> Arc<CertifiedKey> {
        self.0.read().clone()
    }

    pub(super) fn replace(&self, pair: Pair) {
        tell_expiry(&pair);
        *self.0.write() = pair.key;
    }
}

fn tell_expiry(pair: &Pair) {
    metrics::gauge!("weir_tls_certificate_expiry_timestamp_seconds").set(pair.expires as f64);
}

impl ResolvesServerCert for Current {
    /// The same for every name that a client may ask for.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served())
    }
}
