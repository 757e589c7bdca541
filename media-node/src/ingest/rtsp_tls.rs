//! RTSP inside of TLS, for a client that dials TCP by itself.
//!
//! retina opens its connection from the host of the URL that it asks for. So it is given a URL of this machine, where one
//! connection is taken and carried on inside of TLS. That URL holds a random word, and who doesn't know it is let go: other
//! users of the machine can't take the source's stream, or its credentials, from the port. What the source hears names the
//! source (`proto::rtsp::introduction`).

use super::Credentials;
use bytes::BytesMut;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tracing::{Instrument, debug};
use url::Url;
use weir_proto::rtsp::introduction::{self, Introduction};
use weir_proto::rtsp::{self, Message, Parser};

/// From here to the source's description; the client's own deadline is not later.
const INTRODUCTION: Duration = Duration::from_secs(15);
/// For saying good-bye to the source.
const GOODBYE: Duration = Duration::from_secs(1);
const READ: usize = 8 << 10;

/// Why a client and a source don't come together.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the connection ended")]
    Io(#[from] io::Error),
    #[error("that is no RTSP")]
    Parse(#[from] rtsp::Error),
    #[error("the client is not the one that was meant")]
    Introduction(#[from] introduction::Error),
    #[error("it took too long")]
    TooLong,
}

/// One end of a connection, and what has come of it.
struct End<S> {
    stream: S,
    parser: Parser,
    input: BytesMut,
}

/// The URL at which the source is had by whoever comes first, once. `source` is its own URL.
///
/// # Errors
/// When there is no port to be had.
pub(super) async fn open(
    stream: TlsStream<TcpStream>,
    source: &Url,
    credentials: Option<&Credentials>,
) -> io::Result<Url> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let word = hex::encode(rand::random::<[u8; 16]>());
    let inside = Url::parse(&format!("rtsp://127.0.0.1:{port}/{word}")).map_err(io::Error::other)?;
    let introduction = Introduction::new(
        inside.as_str().to_owned(),
        source.as_str().to_owned(),
        credentials.map(|c| (c.username.clone(), c.password.clone())),
        hex::encode(rand::random::<[u8; 8]>()),
    );
    let carried = async move {
        if let Err(error) = carry(listener, stream, introduction).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            debug!(%error, cause, "a source's connection with TLS is over");
        }
    };
    tokio::spawn(carried.in_current_span());
    Ok(inside)
}

async fn carry(
    listener: TcpListener,
    stream: TlsStream<TcpStream>,
    introduction: Introduction,
) -> Result<(), Error> {
    let mut server = End::new(stream);
    let meeting = async {
        let (socket, _) = listener.accept().await?;
        // There is one client, and this was its only chance.
        drop(listener);
        socket.set_nodelay(true)?;
        let mut client = End::new(socket);
        introduce(introduction, &mut client, &mut server).await?;
        Ok::<_, Error>(client)
    };
    let client = timeout(INTRODUCTION, meeting)
        .await
        .map_err(|_| Error::TooLong)??;
    let (mut client, pending_in) = (client.stream, client.input);
    let (server, pending_out) = (server.stream, server.input);
    let (mut from_server, mut to_server) = split(server);
    let (mut from_client, mut to_client) = client.split();
    let inward = async {
        to_client.write_all(&pending_out).await?;
        copy(&mut from_server, &mut to_client).await
    };
    let outward = async {
        to_server.write_all(&pending_in).await?;
        copy(&mut from_client, &mut to_server).await
    };
    // When either side is done, what the other one still says is of no use.
    let ended = tokio::select! {
        ended = inward => ended,
        ended = outward => ended,
    };
    let _ = timeout(GOODBYE, to_server.shutdown()).await;
    ended?;
    Ok(())
}

/// Until the source has described itself.
async fn introduce(
    mut introduction: Introduction,
    client: &mut End<TcpStream>,
    server: &mut End<TlsStream<TcpStream>>,
) -> Result<(), Error> {
    let mut out = BytesMut::new();
    loop {
        let Message::Request(request) = client.next().await? else {
            return Err(introduction::Error::NotDescribe.into());
        };
        introduction.request(&request, &mut out)?;
        server.stream.write_all_buf(&mut out).await?;
        server.stream.flush().await?;
        let response = loop {
            // Sources ask nothing this early, and have nothing to send.
            if let Message::Response(response) = server.next().await? {
                break response;
            }
        };
        let is_done = introduction.response(&response, &mut out);
        client.stream.write_all_buf(&mut out).await?;
        if is_done {
            return Ok(());
        }
    }
}

impl<S: AsyncRead + Unpin> End<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            parser: Parser::new(),
            input: BytesMut::new(),
        }
    }

    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.parser.parse(&mut self.input)? {
                return Ok(message);
            }
            self.input.reserve(READ);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::{Trust, secure};
    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use sha2::{Digest, Sha256};
    use std::sync::Arc;
    use tokio_rustls::{TlsAcceptor, server};

    const SOURCE: &str = "rtsps://camera.example/a?key=canary";

    /// A connection with TLS, from both ends: the client's, and the source's.
    async fn connected() -> (TlsStream<TcpStream>, server::TlsStream<TcpStream>) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["camera.example".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        let trust = Trust::Fingerprint(Sha256::digest(&certificate).into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let socket = TcpStream::connect(listener.local_addr().expect("an address"));
        let (near, far) = tokio::join!(socket, listener.accept());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let far = acceptor.accept(far.expect("a connection").0);
        let near = secure(near.expect("a connection"), "camera.example", &trust);
        let (near, far) = tokio::join!(near, far);
        (near.expect("a handshake"), far.expect("a handshake"))
    }

    /// Opens it, and connects to where the URL says.
    async fn opened() -> (Url, TcpStream, server::TlsStream<TcpStream>) {
        let (near, source) = connected().await;
        let known = Url::parse(SOURCE).expect("a URL");
        let url = open(near, &known, None).await.expect("a port");
        assert_eq!((url.scheme(), url.host_str()), ("rtsp", Some("127.0.0.1")));
        let port = url.port().expect("a port");
        let client = TcpStream::connect(("127.0.0.1", port)).await;
        (url, client.expect("it is open"), source)
    }

    async fn hears(stream: &mut (impl AsyncRead + Unpin), words: &str) -> String {
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(words) {
            let read = timeout(Duration::from_secs(5), stream.read_buf(&mut heard)).await;
            let count = read.expect("in time").expect("it is open");
            assert!(count > 0, "it ends with {:?}", String::from_utf8_lossy(&heard));
        }
        String::from_utf8(heard).expect("text")
    }

    #[tokio::test]
    async fn client_and_source_are_introduced_and_then_left_alone() {
        let (url, mut client, mut source) = opened().await;
        let asked = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        client.write_all(asked.as_bytes()).await.expect("it is open");
        let heard = hears(&mut source, "\r\n\r\n").await;
        assert_eq!(heard, format!("DESCRIBE {SOURCE} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        let described = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nv=0\r\nrest";
        source.write_all(described.as_bytes()).await.expect("it is open");
        source.flush().await.expect("it is open");
        let heard = hears(&mut client, "rest").await;
        assert!(heard.contains(&format!("Content-Base: {SOURCE}\r\n")), "{heard}");
        // Whatever comes now is no matter of ours: no RTSP, and much of it.
        let much = vec![b'x'; 1 << 20];
        let sending = async {
            source.write_all(&much).await.expect("it is open");
            source.write_all(b"end").await.expect("it is open");
            source.flush().await.expect("it is open");
        };
        let ((), heard) = tokio::join!(sending, hears(&mut client, "end"));
        assert_eq!(heard.len(), much.len() + 3);
        client.write_all(b"TEARDOWN").await.expect("it is open");
        hears(&mut source, "TEARDOWN").await;
        // The client's end is the source's.
        drop(client);
        let end = timeout(Duration::from_secs(5), source.read(&mut [0; 8])).await;
        assert!(matches!(end.expect("in time"), Ok(0)), "a good-bye");
        // There is no second chance.
        let port = url.port().expect("a port");
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }

    #[tokio::test]
    async fn who_does_not_know_the_word_gets_nothing() {
        let (url, mut client, mut source) = opened().await;
        let guess = url.as_str().replace(url.path(), "/a?key=canary");
        let asked = format!("DESCRIBE {guess} RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        client.write_all(asked.as_bytes()).await.expect("it is open");
        let mut said = Vec::new();
        let end = timeout(Duration::from_secs(5), client.read_to_end(&mut said)).await;
        assert!(end.expect("in time").is_err() || said.is_empty(), "{said:?}");
        let mut heard = Vec::new();
        let end = timeout(Duration::from_secs(5), source.read_to_end(&mut heard)).await;
        let _ = end.expect("in time");
        assert!(heard.is_empty(), "the source was asked");
    }

    #[tokio::test]
    async fn a_source_that_goes_ends_the_client() {
        let (url, mut client, source) = opened().await;
        drop(source);
        let asked = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        client.write_all(asked.as_bytes()).await.expect("it is open");
        let end = timeout(Duration::from_secs(5), client.read(&mut [0; 8])).await;
        assert!(!matches!(end.expect("in time"), Ok(1..)));
    }
}
