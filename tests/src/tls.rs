//! Certificates of an authority that nobody knows, and clients that trust it alone.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, KeyPair, SanType, SerialNumber};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    process::Command,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use crate::{process, wait::secs};

/// Names of the files, as in a Secret of type `kubernetes.io/tls`.
pub const CERTIFICATE: &str = "tls.crt";
/// See `CERTIFICATE`.
pub const KEY: &str = "tls.key";

/// Certificates that clients of this process trust. A test is a process.
static TRUSTED: Mutex<Vec<CertificateDer<'static>>> = Mutex::new(Vec::new());

fn trusted() -> Vec<CertificateDer<'static>> {
    TRUSTED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A certificate for this machine, signed by itself, and its key.
pub struct Certificate {
    der: CertificateDer<'static>,
    /// PEM.
    pub text: String,
    /// PEM.
    pub key: String,
}

impl Certificate {
    /// A new one with that serial number. It expires with the year 2050.
    ///
    /// # Errors
    /// When there can't be one.
    pub fn new(serial: u64) -> Result<Self> {
        Self::until(serial, 2051)
    }

    /// The same, but it expires when that year begins.
    ///
    /// # Errors
    /// When there can't be one.
    pub fn until(serial: u64, year: i32) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params
            .subject_alt_names
            .push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let made = params.self_signed(&key)?;
        Ok(Self {
            der: made.der().clone(),
            text: made.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Its SHA-256 fingerprint as openssl prints it, which is not our own code.
    ///
    /// # Errors
    /// When openssl can't read it.
    pub async fn fingerprint(&self) -> Result<String> {
        let folder = tempfile::TempDir::new()?;
        self.write(folder.path())?;
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]);
        let said = process::output(command.arg(folder.path().join(CERTIFICATE)), secs(20)).await?;
        let colons = said.trim().split_once('=').map(|(_, digits)| digits.to_owned());
        colons.with_context(|| format!("no fingerprint: {said}"))
    }

    /// Writes it and its key into a folder that may be there already.
    ///
    /// # Errors
    /// When it can't.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(CERTIFICATE), &self.text)?;
        Ok(fs::write(folder.join(KEY), &self.key)?)
    }

    /// A port of this machine that takes connections with this certificate, and carries what is inside to `port`, as long as
    /// the test runs.
    ///
    /// # Errors
    /// When there can't be one.
    pub async fn before(&self, port: u16) -> Result<u16> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut outside = acceptor.accept(socket).await?;
                    let mut inside = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                    tokio::io::copy_bidirectional(&mut outside, &mut inside).await
                });
            }
        });
        Ok(own)
    }

    /// Has [`client`] and [`connect`] trust it from now on.
    pub fn trust(&self) {
        let mut trusted = TRUSTED.lock().unwrap_or_else(PoisonError::into_inner);
        trusted.push(self.der.clone());
    }

    /// A client for requests.
    ///
    /// # Errors
    /// When there can't be one.
    pub fn client(&self) -> Result<reqwest::Client> {
        let own = reqwest::Certificate::from_pem(self.text.as_bytes())?;
        let client = reqwest::Client::builder().no_proxy().timeout(secs(30));
        Ok(client
            .tls_built_in_root_certs(false)
            .add_root_certificate(own)
            .build()?)
    }

    /// A connection to a port of this machine, with little room for what is not read.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect(&self, port: u16) -> Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let socket = socket.connect(([127, 0, 0, 1], port).into()).await?;
        handshake(socket, "localhost", [self.der.clone()]).await
    }
}

/// Shakes hands with a server that must show one of these certificates, or one that they signed.
async fn handshake(
    socket: TcpStream,
    host: &str,
    trusted: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket);
    Ok(tokio::time::timeout(secs(10), stream)
        .await
        .context("a handshake")??)
}

/// A connection to a server with a certificate that this process trusts.
///
/// # Errors
/// When there is none, or it shows another.
pub async fn connect(host: &str, port: u16) -> Result<TlsStream<TcpStream>> {
    let socket = tokio::time::timeout(secs(10), TcpStream::connect((host, port))).await;
    handshake(socket.context("a connection")??, host, trusted()).await
}

/// A client for requests, of servers without TLS and of those with a certificate that this process trusts.
///
/// # Errors
/// When there can't be one.
pub fn client() -> Result<reqwest::ClientBuilder> {
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .tls_built_in_root_certs(false);
    for certificate in trusted() {
        client = client.add_root_certificate(reqwest::Certificate::from_der(&certificate)?);
    }
    Ok(client)
}

/// The serial number of the certificate that `openssl s_client` is shown at an address, `host:port`, in hexadecimal.
/// `version` is a version of TLS as that program writes it.
///
/// # Errors
/// When it is shown none.
pub async fn serial(address: &str, version: &str) -> Result<String> {
    let script = format!(
        "openssl s_client -connect {address} -{version} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    let said = process::output(Command::new("sh").args(["-c", &script]), secs(20)).await?;
    let serial = said.trim().strip_prefix("serial=").map(str::to_owned);
    let serial = serial.with_context(|| format!("no certificate: {said}"))?;
    ensure!(!serial.is_empty(), "no serial number");
    Ok(serial)
}
