//! The handshake of a WebSocket (RFC 6455 section 4), and what the socket is for (ipchub contract,
//! section 7): its sub-protocol says, or for FLV and transport streams its path.
//!
//! What is said on a socket with a sub-protocol is `listen`'s business, because it may turn out to be
//! a publisher.

use super::http::Streams;
use super::live::Live;
use super::{Refusal, ws_live};
use crate::auth::{Action, Caller};
use crate::listen::{Connection, HttpIo};
use crate::socket::Socket;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, StatusCode, header};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tracing::debug;
use weir_proto::media::StreamPath;
use weir_proto::websocket;

/// Appended to the client's key (RFC 6455 section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubProtocol {
    Rtsp,
    /// WSP, the socket of requests.
    Control,
    /// WSP, the socket of packets.
    Data,
}

impl SubProtocol {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "rtsp" => Self::Rtsp,
            "control" => Self::Control,
            "data" => Self::Data,
            _ => return None,
        })
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Control => "control",
            Self::Data => "data",
        }
    }
}

/// An open socket.
pub struct WebSocket {
    pub socket: Arc<Socket>,
    /// What was read from it already.
    pub input: BytesMut,
    pub peer: SocketAddr,
    /// The stream that the URL names. It need not run.
    pub path: StreamPath,
    /// Whose token the URL has: may watch this path, or for [`SubProtocol::Rtsp`] publish it.
    pub caller: Caller,
}

/// Serves a socket to its end.
pub type Conversation =
    Arc<dyn Fn(SubProtocol, WebSocket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Whether a request wants to become a WebSocket. `Connection` is a list.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    lists(headers, header::CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"))
        && lists(headers, header::UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket"))
}

/// The elements of a header that is a list.
fn lists(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// The client's part of the handshake.
pub(super) struct Handshake {
    accept: String,
    /// The first of the client's list that we speak.
    sub_protocol: Option<SubProtocol>,
}

impl Handshake {
    /// None unless the request is of version 13.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
        headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .filter(|v| *v == "13")?;
        Some(Self {
            accept: STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize()),
            sub_protocol: lists(headers, header::SEC_WEBSOCKET_PROTOCOL).find_map(SubProtocol::parse),
        })
    }
}

/// Opens a socket; `rest` is the URL's path behind `/streams/` or `/ws/`. Rights come first, and whoever
/// lacks them gets a plain refusal.
pub(super) async fn open(
    streams: &Streams,
    connection: Connection,
    caller: Caller,
    rest: &str,
    request: Request,
) -> Response {
    let Some(handshake) = Handshake::read(request.headers()) else {
        let text = "a WebSocket request of version 13 is needed\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    // No other ending: a name may have dots.
    let stem = rest.strip_suffix(".flv");
    let flv = stem.map(|stem| (Live::Flv, stem));
    let live = flv.or_else(|| Some((Live::Ts, rest.strip_suffix(".ts")?)));
    if let (None, Some((live, stem))) = (handshake.sub_protocol, live) {
        return ws_live::play(
            live,
            &streams.viewing,
            connection,
            &caller,
            stem,
            handshake,
            request,
        )
        .await;
    }
    let Some(path) = StreamPath::parse(stem.unwrap_or(rest)) else {
        return Refusal::NotFound.into_response();
    };
    let auth = &streams.viewing.auth;
    let mut allowed = auth.authorize(&caller, Action::Subscribe(&path));
    if let (Err(denied), Some(SubProtocol::Rtsp)) = (allowed, handshake.sub_protocol) {
        // Who may only publish has a use for it as well; each request is asked for again.
        let publishes = auth.authorize(&caller, Action::Publish(&path));
        allowed = publishes.map_err(|_| denied);
    }
    if let Err(denied) = allowed {
        return Refusal::Denied(denied).into_response();
    }
    let Some(sub_protocol) = handshake.sub_protocol else {
        return turn_away(handshake, request);
    };
    let conversation = streams.conversation.clone();
    upgrade(handshake, request, async move |socket, input| {
        let opened = WebSocket {
            socket,
            input,
            peer: connection.peer,
            path,
            caller,
        };
        conversation(sub_protocol, opened).await;
    })
}

/// Opens and closes: what clients of the documented server get where there is nothing for them.
pub(super) fn turn_away(handshake: Handshake, request: Request) -> Response {
    upgrade(handshake, request, async |socket: Arc<Socket>, _| {
        let _ = socket.try_write(&websocket::close(1000));
    })
}

/// Answers the handshake; `serve` gets the socket when the answer is written.
pub(super) fn upgrade<F, S>(handshake: Handshake, mut request: Request, serve: S) -> Response
where
    F: Future<Output = ()> + Send + 'static,
    S: FnOnce(Arc<Socket>, BytesMut) -> F + Send + 'static,
{
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "the upgrade failed"),
        };
        // Never another type: `listen` serves nothing else.
        let Ok(parts) = upgraded.downcast::<TokioIo<HttpIo>>() else {
            return;
        };
        let (socket, mut input, _place) = parts.io.into_inner().into_parts();
        input.extend_from_slice(&parts.read_buf);
        serve(socket, input).await;
    });
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, handshake.accept),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response();
    if let Some(sub_protocol) = handshake.sub_protocol {
        let name = http::HeaderValue::from_static(sub_protocol.name());
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn connection_is_a_list() {
        // Firefox sends it so.
        for value in ["Upgrade", "keep-alive, Upgrade", "upgrade"] {
            assert!(is_upgrade(&headers(&[
                ("connection", value),
                ("upgrade", "WebSocket")
            ])));
        }
        for (connection, upgrade) in [("keep-alive", "websocket"), ("upgrade", "weir-relay/1")] {
            assert!(!is_upgrade(&headers(&[
                ("connection", connection),
                ("upgrade", upgrade)
            ])));
        }
    }

    #[test]
    fn the_first_sub_protocol_that_is_known_is_taken() {
        let handshake = |protocols: &[&'static str]| {
            let mut lines = vec![
                // The example of RFC 6455 section 1.3.
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("sec-websocket-version", "13"),
            ];
            lines.extend(protocols.iter().map(|p| ("sec-websocket-protocol", *p)));
            Handshake::read(&headers(&lines)).unwrap()
        };
        assert_eq!(handshake(&[]).accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (protocols, expected) in [
            (&[][..], None),
            (&["chat"], None),
            (&["chat, control, rtsp"], Some(SubProtocol::Control)),
            (&["chat", "data"], Some(SubProtocol::Data)),
            (&["rtsp"], Some(SubProtocol::Rtsp)),
            (&["RTSP"], None),
        ] {
            assert_eq!(handshake(protocols).sub_protocol, expected, "{protocols:?}");
        }
        assert!(Handshake::read(&headers(&[("sec-websocket-key", "x")])).is_none());
    }
}
