//! Brings a stream that was published at this gateway to its owner, as long as it lasts.

use super::form::relay::{KEY, RelayForm};
use super::relay::keepalive;
use super::viewing::{Counted, viewer_span};
use crate::hub::{Departure, Form, Hub, Stream, TcpSink, Visitor};
use crate::peer;
use crate::socket::Socket;
use bytes::BytesMut;
use http::Method;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tracing::{Instrument, info, warn};
use weir_proto::Redacted;
use weir_proto::media::StreamPath;
use weir_proto::relay::{Decoder, EndReason, Message};

/// Between attempts: the owner may have gone, and another taken its place.
const AGAIN: Duration = Duration::from_secs(1);

/// How often it is asked whether the owner is still the same.
const LOOK: Duration = Duration::from_secs(1);

/// Why a stream goes to an owner no more.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("another publisher took the path")]
    Replaced,
    #[error("the path has another owner now")]
    Moved,
    #[error(transparent)]
    Gone(#[from] Departure),
}

/// Starts bringing `stream` to wherever `owner` (`host:port`) says it belongs at the time. When the owner
/// has got the path from another publisher, the stream is closed.
pub fn start(
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    owner: impl Fn(&StreamPath) -> Option<String> + Send + Sync + 'static,
    secret: Redacted<String>,
) {
    let span = viewer_span(stream.path(), "relay-push", None);
    let pushing = async move {
        let path = stream.path();
        while !stream.has_ended() {
            match owner(path) {
                None => warn!("no node is there to bring a published stream to"),
                Some(address) => match peer::open(&address, &secret, Method::POST, path).await {
                    Err(error) => {
                        warn!(node = address, %error, "a published stream could not be brought to its owner");
                    }
                    // Who took the path here brings its own stream, which this one must not replace.
                    Ok(_) if stream.has_ended() => return,
                    Ok((socket, input)) => {
                        info!(node = address, "a published stream goes to its owner");
                        let over = tokio::select! {
                            over = push(&stream, Arc::new(socket.into()), input) => over,
                            () = moved(&owner, path, &address) => Over::Moved,
                        };
                        info!(node = address, reason = %over, "a published stream goes to its owner no more");
                        match over {
                            Over::Replaced => return hub.end(&stream),
                            Over::Moved => continue,
                            Over::Gone(_) => {}
                        }
                    }
                },
            }
            sleep(AGAIN).await;
        }
    };
    tokio::spawn(pushing.instrument(span));
}

/// Completes when the path belongs to another node. While it belongs to none, the one that has it keeps it.
async fn moved(owner: impl Fn(&StreamPath) -> Option<String>, path: &StreamPath, address: &str) {
    loop {
        sleep(LOOK).await;
        if owner(path).is_some_and(|now| now != address) {
            return;
        }
    }
}

async fn push(stream: &Arc<Stream>, socket: Arc<Socket>, input: BytesMut) -> Over {
    let from = stream.provenance();
    let (session, name) = (from.session, from.address.clone());
    let form = || Box::new(RelayForm { session, name }) as Box<dyn Form>;
    let visitor = Visitor {
        protocol: "relay",
        detail: String::new(),
    };
    let seat = stream.watch(KEY, form, Box::new(TcpSink::new(socket.clone())), visitor);
    let _counted = Counted::new("relay-push").seated(&seat);
    tokio::select! {
        departure = seat.run() => departure.into(),
        departure = keepalive(&seat) => departure.into(),
        over = last_words(&socket, input) => over,
    }
}

/// The owner says nothing but why it lets go, if that.
async fn last_words(socket: &Socket, mut input: BytesMut) -> Over {
    let mut decoder = Decoder::new();
    loop {
        match decoder.decode(&mut input) {
            Ok(Some(Message::End(EndReason::Replaced))) => return Over::Replaced,
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(error) => return Departure::Broken(io::Error::other(error)).into(),
        }
        if let Err(error) = socket.readable().await {
            return Departure::Broken(error).into();
        }
        match socket.try_read_buf(&mut input) {
            Ok(0) => return Departure::Closed.into(),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Departure::Broken(e).into(),
        }
    }
}
