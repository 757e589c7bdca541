use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A certificate, and the key that belongs to it.
struct Made {
    der: CertificateDer<'static>,
    pem: String,
    key: Vec<u8>,
}

impl Made {
    /// Signed by itself, for `localhost`, with what `change` makes of it.
    fn own(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        change(&mut params);
        let made = params.self_signed(&key).expect("a certificate");
        Self {
            der: made.der().clone(),
            pem: made.pem(),
            key: key.serialize_der(),
        }
    }

    /// Signed by an authority, whose certificate comes with it.
    fn signed() -> (Self, String) {
        let mut params = CertificateParams::new(Vec::new()).expect("no name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        let issuer = issuer.expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let made = params.signed_by(&key, &issuer).expect("a certificate");
        let made = Self {
            der: made.der().clone(),
            pem: made.pem(),
            key: key.serialize_der(),
        };
        (made, issuer.pem())
    }

    fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    fn authority(&self) -> Trust {
        Trust::Authorities(Authorities::parse(self.pem.as_bytes()).expect("one"))
    }

    /// What comes of a handshake with a server that has it.
    async fn meets(&self, host: &str, trust: &Trust) -> Result<(), TlsError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .expect("a pair");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.expect("a connection");
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(socket).await?;
            stream.write_all(b"x").await?;
            stream.read_u8().await
        });
        let socket = TcpStream::connect(address).await.expect("a connection");
        let met = secure(socket, host, trust).await;
        let outcome = match met {
            Ok(mut stream) => {
                assert_eq!(stream.read_u8().await.expect("a byte"), b'x');
                Ok(())
            }
            Err(error) => {
                // No word of ours has gone out.
                assert!(!matches!(serving.await, Ok(Ok(_))), "the server was spoken to");
                return Err(error);
            }
        };
        serving.abort();
        outcome
    }

    async fn fault(&self, host: &str, trust: &Trust) -> TlsFault {
        let error = self.meets(host, trust).await.expect_err("it is refused");
        let shows = error.to_string().contains(&hex::encode(self.fingerprint()));
        assert_eq!(shows, error.fault != TlsFault::Failed, "{error}");
        error.fault
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_is_refused_with_its_fingerprint() {
    let own = Made::own(|_| {});
    assert_eq!(own.fault("localhost", &Trust::Public).await, TlsFault::Untrusted);
    let other = Made::own(|_| {}).authority();
    assert_eq!(own.fault("localhost", &other).await, TlsFault::Untrusted);
    let nobody = Trust::Authorities(Authorities::default());
    assert_eq!(own.fault("localhost", &nobody).await, TlsFault::Untrusted);
    // As openssl makes them, and so most devices: an authority that signs itself.
    let authority = Made::own(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(
        authority.fault("localhost", &Trust::Public).await,
        TlsFault::Untrusted
    );
}

#[tokio::test]
async fn an_authority_vouches_for_a_name() {
    let own = Made::own(|_| {});
    own.meets("localhost", &own.authority())
        .await
        .expect("it is known");
    let (signed, issuer) = Made::signed();
    let issuer = Trust::Authorities(Authorities::parse(issuer.as_bytes()).expect("one"));
    signed.meets("localhost", &issuer).await.expect("it is signed");
    for host in ["127.0.0.1", "[::1]", "camera.example", "not a name"] {
        assert_eq!(signed.fault(host, &issuer).await, TlsFault::OtherName, "{host}");
    }
    let error = signed
        .meets("127.0.0.1", &issuer)
        .await
        .expect_err("another name");
    assert!(error.to_string().ends_with("which is for localhost"), "{error}");
}

#[tokio::test]
async fn dates_are_looked_at() {
    let old = Made::own(|params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    assert_eq!(old.fault("localhost", &old.authority()).await, TlsFault::Expired);
    let early = Made::own(|params| params.not_before = rcgen::date_time_ymd(2100, 1, 1));
    assert_eq!(
        early.fault("localhost", &early.authority()).await,
        TlsFault::Expired
    );
}

#[tokio::test]
async fn a_fingerprint_is_that_of_one_certificate_whatever_is_in_it() {
    let old = Made::own(|params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let pinned = Trust::Fingerprint(old.fingerprint());
    for host in ["localhost", "10.1.2.3", "not a name"] {
        old.meets(host, &pinned).await.expect("it is the one");
    }
    let other = Made::own(|_| {});
    assert_eq!(
        other.fault("localhost", &pinned).await,
        TlsFault::OtherFingerprint
    );
}

/// The certificate is public: to have it is not to be its owner.
#[tokio::test]
async fn a_fingerprint_does_not_help_who_lacks_the_key() {
    let own = Made::own(|_| {});
    let thief = rustls::crypto::ring::sign::any_ecdsa_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        Made::own(|_| {}).key,
    )))
    .expect("a key");
    let certified = Arc::new(rustls::sign::CertifiedKey::new(vec![own.der.clone()], thief));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a connection");
        TlsAcceptor::from(Arc::new(config)).accept(socket).await.map(drop)
    });
    let socket = TcpStream::connect(address).await.expect("a connection");
    let trust = Trust::Fingerprint(own.fingerprint());
    let error = secure(socket, "localhost", &trust).await.expect_err("no owner");
    assert_eq!(error.fault, TlsFault::Failed, "{error}");
    assert!(serving.await.expect("it ends").is_err());
}

#[tokio::test]
async fn what_is_no_tls_is_told_from_what_is_not_trusted() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        socket.write_all(b"RTSP/1.0 400 Bad Request\r\n\r\n").await
    });
    let socket = TcpStream::connect(address).await.expect("a connection");
    let error = secure(socket, "localhost", &Trust::Public)
        .await
        .expect_err("no TLS");
    assert_eq!(error.fault, TlsFault::Failed);
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let socket = TcpStream::connect(address).await.expect("a connection");
    let (_silent, _) = listener.accept().await.expect("a connection");
    let began = tokio::time::Instant::now();
    let error = secure(socket, "localhost", &Trust::Public)
        .await
        .expect_err("no TLS");
    assert_eq!(error.fault, TlsFault::Failed);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn authorities_are_read_whole_or_not_at_all() {
    let (one, two) = (Made::own(|_| {}).pem, Made::own(|_| {}).pem);
    let both = Authorities::parse(format!("{one}\n{two}").as_bytes()).expect("two");
    assert_eq!(both.0.len(), 2);
    let text = |pem: &str| {
        Authorities::parse(pem.as_bytes())
            .expect_err("refused")
            .to_string()
    };
    assert!(text("").contains("no certificate"));
    assert!(text("change-me").contains("no certificate"));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(text(&format!("{one}{broken}")).contains("the number 2"));
    assert!(text("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").contains("no PEM"));
}

#[test]
fn names_are_told_as_people_write_them() {
    let all = ["DnsName(\"a.example\")", "IpAddress(10.1.2.3)", "odd", "d", "e"].map(str::to_owned);
    assert_eq!(names(&all), "a.example, 10.1.2.3, odd, d");
    assert_eq!(names(&[]), "no host at all");
}
