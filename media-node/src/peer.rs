//! Connections to the other pods of the pool: HTTP requests with the pool's secret.
//!
//! One that is upgraded is a relay, on which flows `proto::relay`, or a channel, on which flow the frames of
//! a WSP player's data socket; who reads and who writes is the callers' business. The others are short
//! questions with a short answer.

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_proto::Redacted;
use weir_proto::media::StreamPath;
use weir_proto::wsp::ChannelId;

/// The protocol's name in the `Upgrade` header.
pub const UPGRADE: &str = "weir-relay/1";
/// Where pods take relays; the stream's path follows.
pub const PREFIX: &str = "/relay/v1/";
/// The same of channels;
pub const CHANNEL_UPGRADE: &str = "weir-wsp/1";
/// what follows is the channel's id and, after a slash, the stream's path.
pub const CHANNEL_PREFIX: &str = "/wsp/v1/";

/// Pods of a pool are near each other.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// The other pod may have to start a camera first.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// A channel is there or is not.
const CHANNEL_PATIENCE: Duration = Duration::from_secs(3);

/// Most bytes of an answer.
const ANSWER_BYTES: usize = 64 << 20;

/// Why there is no connection, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it can't be reached")]
    Connect(#[source] std::io::Error),
    #[error("it does not answer")]
    NoAnswer,
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("it does not speak HTTP")]
    Http(#[from] hyper::Error),
    #[error("the request can't be made")]
    Request(#[from] http::Error),
    #[error("the upgraded connection is of another kind")]
    Kind,
    #[error("its answer breaks off, or is too long")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Opens a connection to the pod at `address` (`host:port`) for a stream: `GET` to read it, `POST` to
/// bring it. The bytes are what came with the answer.
///
/// # Errors
/// When the pod can't be reached, refuses, or takes too long.
pub async fn open(
    address: &str,
    secret: &Redacted<String>,
    method: Method,
    path: &StreamPath,
) -> Result<(TcpStream, BytesMut), Error> {
    let socket = connect(address).await?;
    let request = Request::builder()
        .method(method)
        .uri(format!("{PREFIX}{}", encoded(path)));
    let upgrade = upgrade(socket, address, secret, request, UPGRADE);
    timeout(ANSWER_PATIENCE, upgrade)
        .await
        .map_err(|_| Error::NoAnswer)?
}

/// Joins a channel of the gateway at `address` (`host:port`) whose control socket is of that path. The
/// bytes are what came with the answer.
///
/// # Errors
/// When the gateway can't be reached, has no such channel, or takes too long.
pub async fn open_channel(
    address: &str,
    secret: &Redacted<String>,
    channel: ChannelId,
    path: &StreamPath,
) -> Result<(TcpStream, BytesMut), Error> {
    let socket = connect(address).await?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("{CHANNEL_PREFIX}{channel}/{}", encoded(path)));
    let upgrade = upgrade(socket, address, secret, request, CHANNEL_UPGRADE);
    timeout(CHANNEL_PATIENCE, upgrade)
        .await
        .map_err(|_| Error::NoAnswer)?
}

fn encoded(path: &StreamPath) -> PercentEncode<'_> {
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(path.as_str(), KEEP)
}

/// Asks the pod at `address` (`host:port`) for `target`, a path with its query, and gives the body of the
/// answer. Bounded by the caller.
///
/// # Errors
/// When the pod can't be reached, or its answer is no success.
pub async fn ask(
    address: &str,
    secret: &Redacted<String>,
    method: Method,
    target: &str,
) -> Result<Bytes, Error> {
    request(address, secret, method, target, Bytes::new()).await
}

/// Tells the pod at `address` (`host:port`) something, as JSON: `POST`. Bounded by the caller.
///
/// # Errors
/// When the pod can't be reached, or its answer is no success: it has not taken it.
pub async fn tell(address: &str, secret: &Redacted<String>, target: &str, json: Bytes) -> Result<(), Error> {
    request(address, secret, Method::POST, target, json)
        .await
        .map(drop)
}

async fn request(
    address: &str,
    secret: &Redacted<String>,
    method: Method,
    target: &str,
    body: Bytes,
) -> Result<Bytes, Error> {
    let socket = connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    // Ends with the sender.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, address)
        .header(header::AUTHORIZATION, format!("Bearer {}", secret.reveal()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(Error::Refused(response.status()));
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    Ok(body.map_err(Error::Body)?.to_bytes())
}

async fn connect(address: &str) -> Result<TcpStream, Error> {
    let socket = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
    let socket = socket.map_err(|_| Error::NoAnswer)?.map_err(Error::Connect)?;
    socket.set_nodelay(true).map_err(Error::Connect)?;
    Ok(socket)
}

async fn upgrade(
    socket: TcpStream,
    address: &str,
    secret: &Redacted<String>,
    request: http::request::Builder,
    protocol: &str,
) -> Result<(TcpStream, BytesMut), Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    // Ends with the upgrade, or with the connection.
    tokio::spawn(connection.with_upgrades());
    let request = request
        .header(header::HOST, address)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, protocol)
        .header(header::AUTHORIZATION, format!("Bearer {}", secret.reveal()))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::Refused(response.status()));
    }
    let upgraded = hyper::upgrade::on(response).await?;
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| Error::Kind)?;
    Ok((parts.io.into_inner(), BytesMut::from(&parts.read_buf[..])))
}
