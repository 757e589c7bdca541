//! TLS towards servers that we dial: by what they are known, and why one is not taken for what it says it is.
//!
//! There is no way to take just any certificate. Who has a server whose certificate nobody vouches for is told the fingerprint
//! of it, and may write that down after comparing it.

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

/// A server may take this long for the handshake. One that speaks no TLS may wait for ever for us to say something that it
/// understands; the callers' own patience, which says nothing of TLS, is longer.
const HANDSHAKE: Duration = Duration::from_secs(8);
/// Most authorities of one Secret.
const MOST_AUTHORITIES: usize = 256;
/// Names of a certificate that are told.
const NAMES_TOLD: usize = 4;

/// By what a server is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// An authority that this machine knows, or one in the file that `SSL_CERT_FILE` names, has signed its certificate for the
    /// name or address by which we dial it.
    #[default]
    Public,
    /// One of these has.
    Authorities(Authorities),
    /// Its certificate is the one with this SHA-256 hash, whatever is in it.
    Fingerprint([u8; 32]),
}

/// Certificates of authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities(Arc<Vec<CertificateDer<'static>>>);

/// Why a text has no authorities in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritiesError {
    #[error("it is no PEM file")]
    NotPem,
    #[error("it holds no certificate")]
    Empty,
    #[error("it holds more than {MOST_AUTHORITIES} certificates")]
    TooMany,
    #[error("the certificate with the number {0} in it can't be used")]
    Unreadable(usize),
}

impl Authorities {
    /// Out of PEM.
    ///
    /// # Errors
    /// When there are none, or one of them is of no use.
    pub fn parse(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        let mut all = Vec::new();
        for found in CertificateDer::pem_slice_iter(pem) {
            let certificate = found.map_err(|_| AuthoritiesError::NotPem)?;
            if all.len() == MOST_AUTHORITIES {
                return Err(AuthoritiesError::TooMany);
            }
            let usable = roots.add(certificate.clone());
            usable.map_err(|_| AuthoritiesError::Unreadable(all.len() + 1))?;
            all.push(certificate);
        }
        if all.is_empty() {
            return Err(AuthoritiesError::Empty);
        }
        Ok(Self(Arc::new(all)))
    }
}

/// What is wrong, as the reason of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// Nobody who is trusted has signed the certificate.
    Untrusted,
    /// It has expired, or is not valid yet.
    Expired,
    /// It is for another host.
    OtherName,
    /// It is not the one that was expected.
    OtherFingerprint,
    /// There was no handshake.
    Failed,
}

impl TlsFault {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "TlsCertificateUntrusted",
            Self::Expired => "TlsCertificateExpired",
            Self::OtherName => "TlsNameMismatch",
            Self::OtherFingerprint => "TlsFingerprintMismatch",
            Self::Failed => "TlsFailed",
        }
    }

    /// What a person may do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Untrusted => {
                "if that is the device's own fingerprint, write it into tls.fingerprint beside the url; or name a Secret with \
                 the authority's certificate in tls.caSecretName"
            }
            Self::Expired => {
                "renew it there and look at the clocks; or, if that is the device's own fingerprint, write it into \
                 tls.fingerprint beside the url"
            }
            Self::OtherName => {
                "write one of its names into the url; or, if that is the device's own fingerprint, write it into \
                 tls.fingerprint beside the url"
            }
            Self::OtherFingerprint => {
                "somebody may be in between; if the device has a new certificate, compare its fingerprint there and write it \
                 into tls.fingerprint"
            }
            Self::Failed => "is that port one with TLS?",
        }
    }

    /// Whether nothing will change without a person.
    pub const fn is_for_user(self) -> bool {
        !matches!(self, Self::Failed)
    }
}

/// Why a server is not spoken to. Reads on behind its name.
#[derive(Debug)]
pub struct TlsError {
    pub fault: TlsFault,
    text: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TlsError {}

/// Shakes hands with the server that we know by `host`.
///
/// # Errors
/// When it is not the one that is trusted, or doesn't speak TLS as we do, or not within eight seconds.
pub async fn secure(socket: TcpStream, host: &str, trust: &Trust) -> Result<TlsStream<TcpStream>, TlsError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = match (
        ServerName::try_from(bare.unwrap_or(host).to_owned()),
        socket.peer_addr(),
    ) {
        (Ok(name), _) => name,
        // What no certificate can name may still be known by its fingerprint.
        (Err(_), Ok(peer)) => peer.ip().into(),
        (Err(_), Err(error)) => return Err(failed(&error)),
    };
    let judge = Arc::new(Judge::new(trust).map_err(|error| failed(&io::Error::other(error)))?);
    // One for each connection: what was judged before is not taken on trust, as a resumed session would be.
    let config = ClientConfig::builder_with_provider(judge.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&io::Error::other(error)))?
        .dangerous()
        .with_custom_certificate_verifier(judge.clone())
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    match timeout(HANDSHAKE, connector.connect(name, socket)).await {
        Ok(connected) => connected.map_err(|error| judge.explain(&error)),
        Err(_) => Err(failed(&io::ErrorKind::TimedOut.into())),
    }
}

fn failed(error: &io::Error) -> TlsError {
    TlsError {
        fault: TlsFault::Failed,
        text: format!("did not shake hands by TLS ({error})"),
    }
}

/// Judges one server's certificate, and remembers which it was.
#[derive(Debug)]
struct Judge {
    by: By,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<[u8; 32]>>,
}

#[derive(Debug)]
enum By {
    Chain(Arc<WebPkiServerVerifier>),
    /// There is no authority.
    Nobody,
    Fingerprint([u8; 32]),
}

impl Judge {
    fn new(trust: &Trust) -> Result<Self, rustls::client::VerifierBuilderError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let by = match trust {
            Trust::Fingerprint(wanted) => By::Fingerprint(*wanted),
            Trust::Public => By::of(public(), &provider)?,
            Trust::Authorities(authorities) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(authorities.0.iter().cloned());
                By::of(Arc::new(roots), &provider)?
            }
        };
        Ok(Self {
            by,
            provider,
            seen: Mutex::default(),
        })
    }

    fn explain(&self, error: &io::Error) -> TlsError {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let (Some(rustls::Error::InvalidCertificate(why)), Some(seen)) = (inner, *self.seen.lock()) else {
            return failed(error);
        };
        let fingerprint = hex::encode(seen);
        let (fault, what) = match (why, &self.by) {
            (CertificateError::ApplicationVerificationFailure, By::Fingerprint(_)) => (
                TlsFault::OtherFingerprint,
                "is not the one whose fingerprint is expected".to_owned(),
            ),
            // The certificate was the right one, but not the handshake.
            (_, By::Fingerprint(_)) => return failed(error),
            (CertificateError::Expired | CertificateError::ExpiredContext { .. }, _) => {
                (TlsFault::Expired, "has expired".to_owned())
            }
            (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, _) => {
                (TlsFault::Expired, "is not valid yet".to_owned())
            }
            (CertificateError::NotValidForNameContext { presented, .. }, _) => {
                (TlsFault::OtherName, format!("is for {}", names(presented)))
            }
            (CertificateError::NotValidForName, _) => (TlsFault::OtherName, "is for another host".to_owned()),
            // An authority's own, shown by a server, is one that signs itself.
            (CertificateError::UnknownIssuer | CertificateError::Other(_), _) => {
                (TlsFault::Untrusted, "is signed by nobody who is known".to_owned())
            }
            (other, _) => (TlsFault::Untrusted, format!("can't be trusted ({other})")),
        };
        TlsError {
            fault,
            text: format!("shows a certificate with the SHA-256 fingerprint {fingerprint}, which {what}"),
        }
    }
}

impl By {
    fn of(
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::client::VerifierBuilderError> {
        if roots.is_empty() {
            return Ok(Self::Nobody);
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build()?;
        Ok(Self::Chain(verifier))
    }
}

/// What a certificate is for, as the library writes it: `DnsName("a")`, `IpAddress(::1)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        let inner = inner.unwrap_or(name).trim_matches('"');
        inner
            .chars()
            .filter(|c| !c.is_control())
            .take(80)
            .collect::<String>()
    };
    match presented {
        [] => "no host at all".to_owned(),
        some => some
            .iter()
            .take(NAMES_TOLD)
            .map(bare)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint: [u8; 32] = Sha256::digest(end_entity).into();
        *self.seen.lock() = Some(fingerprint);
        match &self.by {
            By::Chain(verifier) => verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            By::Nobody => Err(CertificateError::UnknownIssuer.into()),
            By::Fingerprint(wanted) if *wanted == fingerprint => Ok(ServerCertVerified::assertion()),
            By::Fingerprint(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Those of the machine. Read once: they are many, and seldom others.
fn public() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        if taken == 0 {
            warn!(
                errors = ?found.errors,
                "no authority is known here: a server with TLS is known by tls.fingerprint or tls.caSecretName alone; name a \
                 file with authorities in SSL_CERT_FILE"
            );
        }
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}

#[cfg(test)]
mod tests;
