use super::*;
use crate::listen::{ENTRY_PATIENCE, Limits, Offer, serve};
use axum::Router;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

/// A certificate of its own authority, and the files that hold it.
struct Made {
    certificate: CertificateDer<'static>,
    pem: String,
    key_pem: String,
}

impl Made {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(2050, 1, 2);
        let made = params.self_signed(&key).expect("a certificate");
        Self {
            certificate: made.der().clone(),
            pem: made.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    fn write(&self, files: &Files) {
        std::fs::write(&files.certificate, &self.pem).expect("written");
        std::fs::write(&files.key, &self.key_pem).expect("written");
    }

    /// Trusts this one alone.
    fn client(&self, protocols: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        let mut config = ClientConfig::builder_with_provider(certificate::provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        self.client(protocols).connect(name, socket).await
    }
}

fn files(folder: &Path) -> Files {
    Files {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
    }
}

/// A port that says `all` to who has the right to ask, and `bare` where TLS is required.
async fn port(tls: &Tls, limits: Limits, stop: &CancellationToken) -> (SocketAddr, TaskTracker) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let offer = Offer {
        bare: Router::new().fallback(async || "bare"),
        ..Offer::of(Router::new().fallback(async || "all"))
    };
    let tasks = TaskTracker::new();
    tokio::spawn(serve(
        listener,
        tls.http(),
        offer,
        limits,
        tasks.clone(),
        stop.clone(),
    ));
    (address, tasks)
}

async fn ask<S: AsyncReadExt + AsyncWriteExt + Unpin>(socket: &mut S) -> io::Result<String> {
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

async fn start(files: &Files, required: bool, stop: &CancellationToken) -> Result<Tls, String> {
    let started = Tls::start(files.clone(), required, stop.clone()).await;
    started.map_err(|error| crate::telemetry::error_chain(&error))
}

#[tokio::test]
async fn what_is_wrong_with_the_files_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, stop) = (files(folder.path()), CancellationToken::new());
    let (made, other) = (Made::new(), Made::new());
    let refused = async |certificate: Option<&str>, key: &str| {
        let _ = std::fs::remove_file(&files.certificate);
        if let Some(text) = certificate {
            std::fs::write(&files.certificate, text).expect("written");
        }
        std::fs::write(&files.key, key).expect("written");
        start(&files, false, &stop).await.err().expect("an error")
    };
    let named = |text: &str| text.replace(&*folder.path().to_string_lossy(), "");
    for (certificate, key, said) in [
        (None, &*made.key_pem, "/tls.crt can't be read: No such file"),
        (Some(""), &made.key_pem, "/tls.crt holds no certificate"),
        (
            Some(&*made.key_pem),
            &made.key_pem,
            "/tls.crt holds no certificate",
        ),
        (
            Some("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
            &made.key_pem,
            "the certificate in /tls.crt can't be read",
        ),
        (
            Some("-----BEGIN CERTIFICATE-----\n"),
            &made.key_pem,
            "/tls.crt is no PEM file",
        ),
        (Some(&made.pem), "", "/tls.key holds no private key"),
        (
            Some(&made.pem),
            "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n",
            "the private key in /tls.key is of a kind that can't be used",
        ),
        (
            Some(&made.pem),
            &other.key_pem,
            "the private key in /tls.key does not belong to the certificate in /tls.crt",
        ),
    ] {
        let error = named(&refused(certificate, key).await);
        assert!(error.starts_with(said), "{error}, not {said}");
    }
    made.write(&files);
    assert!(start(&files, false, &stop).await.is_ok());
    let (pair, _) = Pair::read(&files).await.expect("a pair");
    assert_eq!(pair.expires, 2_524_694_400);
}

#[tokio::test]
async fn plain_and_encrypted_on_one_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, stop) = (files(folder.path()), CancellationToken::new());
    let made = Made::new();
    made.write(&files);
    for (required, plain) in [(false, "all"), (true, "bare")] {
        let tls = start(&files, required, &stop).await.expect("TLS");
        let (address, tasks) = port(&tls, Limits::new(9, None), &stop).await;
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        assert_eq!(ask(&mut socket).await.expect("an answer"), plain);
        for protocols in [&[][..], &["h2", "http/1.1"]] {
            let mut socket = made.connect(address, protocols).await.expect("a handshake");
            assert_eq!(ask(&mut socket).await.expect("an answer, and a good-bye"), "all");
            let agreed = socket.get_ref().1.alpn_protocol();
            assert_eq!(agreed, (!protocols.is_empty()).then_some(&b"http/1.1"[..]));
        }
        assert!(made.connect(address, &["h2"]).await.is_err(), "we have no HTTP/2");
        assert!(
            Made::new().connect(address, &[]).await.is_err(),
            "it trusts another one"
        );
        tasks.close();
        let over = timeout(Duration::from_secs(10), tasks.wait()).await;
        over.expect("connections are over with their peers");
    }
}

/// A connection as a client made it, and as it came in.
async fn pair(made: &Made, entrance: &Entrance, place: &Place) -> (TlsStream<TcpStream>, Entered) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let come = async {
        let (socket, peer) = listener.accept().await.expect("a connection");
        let deadline = Instant::now() + ENTRY_PATIENCE;
        entrance
            .enter(socket, peer, place, deadline)
            .await
            .expect("it is in")
    };
    let (client, entered) = tokio::join!(made.connect(address, &[]), come);
    (client.expect("a handshake"), entered)
}

async fn read(socket: &Socket, room: usize) -> io::Result<Vec<u8>> {
    let mut input = bytes::BytesMut::new();
    crate::socket::read(socket, &mut input, room).await?;
    Ok(input.to_vec())
}

#[tokio::test]
async fn each_side_hears_that_the_other_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, stop) = (files(folder.path()), CancellationToken::new());
    let made = Made::new();
    made.write(&files);
    let tls = start(&files, false, &stop).await.expect("TLS");
    let limits = Limits::new(1, Some(1));
    let local = "127.0.0.1".parse().expect("an address");

    // The peer is done first, and still hears an answer.
    let place = limits.take(local).expect("a place");
    let (mut client, entered) = pair(&made, &tls.rtmp(), &place).await;
    drop(place);
    let pumping = tokio::spawn(entered.pump.expect("a pump").run());
    client.write_all(b"question").await.expect("it is open");
    client.shutdown().await.expect("it is open");
    assert_eq!(read(&entered.socket, 64).await.expect("bytes"), b"question");
    assert_eq!(read(&entered.socket, 64).await.expect("an end"), b"");
    assert!(entered.socket.is_tls() && entered.socket.local_addr().is_none());
    entered.socket.writable().await.expect("room");
    entered.socket.try_write(b"answer").expect("room");
    assert!(limits.take(local).is_none(), "the connection has its place still");
    drop(entered.socket);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("a good-bye");
    assert_eq!(answer, "answer");
    timeout(Duration::from_secs(5), pumping)
        .await
        .expect("it ends")
        .expect("no panic");

    // We leave first; a peer that says something without listening does not lose our last words.
    let place = limits.take(local).expect("it is free again");
    let (mut client, entered) = pair(&made, &tls.rtmp(), &place).await;
    let pumping = tokio::spawn(entered.pump.expect("a pump").run());
    entered.socket.writable().await.expect("room");
    entered.socket.try_write(b"answer").expect("room");
    drop(entered.socket);
    for _ in 0..20 {
        client.write_all(&[0; 10_000]).await.expect("it is read");
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("a good-bye");
    assert_eq!(answer, "answer");
    drop(client);
    timeout(Duration::from_secs(4), pumping)
        .await
        .expect("it ends")
        .expect("no panic");
}

#[tokio::test]
async fn a_peer_that_goes_without_a_word_ends_the_other_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, stop) = (files(folder.path()), CancellationToken::new());
    let made = Made::new();
    made.write(&files);
    let tls = start(&files, false, &stop).await.expect("TLS");
    let limits = Limits::new(9, None);
    let place = limits
        .take("127.0.0.1".parse().expect("an address"))
        .expect("a place");
    for reset in [false, true] {
        let (client, entered) = pair(&made, &tls.rtmp(), &place).await;
        let pumping = tokio::spawn(entered.pump.expect("a pump").run());
        let (socket, _) = client.into_inner();
        if reset {
            let linger = Some(Duration::ZERO);
            socket2::SockRef::from(&socket)
                .set_linger(linger)
                .expect("it is open");
        }
        drop(socket);
        let heard = timeout(Duration::from_secs(5), read(&entered.socket, 64)).await;
        assert_eq!(heard.expect("it hears").expect("an end"), b"", "reset: {reset}");
        drop(entered.socket);
        timeout(Duration::from_secs(4), pumping)
            .await
            .expect("it ends")
            .expect("no panic");
    }
}

/// The clock stands still while there is something to do, and jumps once there is nothing.
#[tokio::test(start_paused = true)]
async fn a_slow_or_senseless_handshake_is_cut_and_has_a_place_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, stop) = (files(folder.path()), CancellationToken::new());
    Made::new().write(&files);
    let tls = start(&files, false, &stop).await.expect("TLS");
    let (address, tasks) = port(&tls, Limits::new(1, Some(1)), &stop).await;
    tasks.close();
    for (words, most) in [
        // Nothing, and half a record.
        (&b""[..], ENTRY_PATIENCE),
        (b"\x16\x03\x01\x02\x00\x01\x00", HANDSHAKE_PATIENCE),
        // A record that isn't one.
        (b"\x16\x03\x01\xff\xff\x01\x00", Duration::ZERO),
        (b"\x16GET / HTTP/1.1\r\n\r\n", Duration::ZERO),
    ] {
        let mut slow = TcpStream::connect(address).await.expect("a connection");
        slow.write_all(words).await.expect("it is open");
        if !most.is_zero() {
            while tasks.is_empty() {
                tokio::task::yield_now().await;
            }
            let mut other = TcpStream::connect(address).await.expect("a connection");
            let nothing = other.read_to_end(&mut Vec::new()).await;
            assert_eq!(nothing.unwrap_or_default(), 0, "there was no room");
        }
        let began = tokio::time::Instant::now();
        let _ = slow.read_to_end(&mut Vec::new()).await;
        tasks.wait().await;
        assert!(
            began.elapsed() <= most + Duration::from_secs(1),
            "{words:?}: {:?}",
            began.elapsed()
        );
    }
}

/// What a peer may take for one thing it can't add to what it may take for the next.
#[tokio::test(start_paused = true)]
async fn a_peer_has_so_long_in_all_to_say_what_it_wants() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, stop) = (files(folder.path()), CancellationToken::new());
    let made = Made::new();
    made.write(&files);
    let tls = start(&files, false, &stop).await.expect("TLS");
    let (address, _) = port(&tls, Limits::new(9, None), &stop).await;
    let late = ENTRY_PATIENCE.mul_f64(0.9);
    let most = ENTRY_PATIENCE + Duration::from_secs(1);
    let began = Instant::now();
    let mut slow = TcpStream::connect(address).await.expect("a connection");
    tokio::time::sleep(late).await;
    slow.write_all(b"\x16\x03\x01\x02\x00\x01\x00")
        .await
        .expect("it is open");
    let _ = slow.read_to_end(&mut Vec::new()).await;
    assert!(began.elapsed() <= most, "{:?}", began.elapsed());

    let began = Instant::now();
    let socket = TcpStream::connect(address).await.expect("a connection");
    tokio::time::sleep(late).await;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut mute = made.client(&[]).connect(name, socket).await.expect("a handshake");
    let _ = mute.read_to_end(&mut Vec::new()).await;
    assert!(began.elapsed() <= most, "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_a_certificate_a_handshake_is_the_end() {
    let stop = CancellationToken::new();
    let (address, _) = port(&Tls::default(), Limits::new(9, None), &stop).await;
    let made = Made::new();
    assert!(made.connect(address, &[]).await.is_err());
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    assert_eq!(ask(&mut socket).await.expect("an answer"), "all");
}

#[tokio::test]
async fn files_are_judged_only_when_they_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, made) = (files(folder.path()), Made::new());
    made.write(&files);
    let (pair, _) = Pair::read(&files).await.expect("a pair");
    let current = Current::new(pair);
    // To take these for what is served shows that nobody looks into them.
    std::fs::write(&files.certificate, "no certificate").expect("written");
    let contents = certificate::Held::read(&files).await.expect("bytes").contents();
    for known in [
        watch::Found::Served(contents),
        watch::Found::Broken(Some(contents), watch::Told::Yes),
    ] {
        assert_eq!(watch::again(&files, known, &current).await, known);
    }
}

#[tokio::test]
async fn a_new_pair_is_served_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let (first, second) = (Made::new(), Made::new());
    first.write(&files);
    let (pair, contents) = Pair::read(&files).await.expect("a pair");
    let current = Current::new(pair);
    let serves = |made: &Made| current.served().cert[0] == made.certificate;
    let mut found = watch::Found::Served(contents);
    for (change, told) in [
        (None, None),
        (Some((&*second.pem, &*first.key_pem)), Some(false)),
        (None, Some(true)),
        (None, Some(true)),
        (Some(("", "")), Some(false)),
        (None, Some(true)),
        (Some((&*first.pem, &*first.key_pem)), None),
        // First the one file, then the other: nobody is told.
        (Some((&*second.pem, &*first.key_pem)), Some(false)),
    ] {
        if let Some((certificate, key)) = change {
            std::fs::write(&files.certificate, certificate).expect("written");
            std::fs::write(&files.key, key).expect("written");
        }
        found = watch::again(&files, found, &current).await;
        let is_told = match found {
            watch::Found::Served(_) => None,
            watch::Found::Broken(_, told) => Some(told == watch::Told::Yes),
        };
        assert_eq!(is_told, told, "{change:?}");
        assert!(serves(&first));
    }
    second.write(&files);
    found = watch::again(&files, found, &current).await;
    assert!(matches!(found, watch::Found::Served(_)) && serves(&second));
    std::fs::remove_file(&files.key).expect("removed");
    found = watch::again(&files, found, &current).await;
    assert!(matches!(found, watch::Found::Broken(None, watch::Told::No)) && serves(&second));
    found = watch::again(&files, found, &current).await;
    assert!(matches!(found, watch::Found::Broken(None, watch::Told::Yes)));
}
