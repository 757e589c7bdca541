//! Brings a stream that was published at this gateway to its owner, as long as it lasts.

use super::form::relay::{KEY, RelayForm};
use super::relay::{keepalive, until_closed};
use super::viewing::{Counted, viewer_span};
use crate::hub::{Departure, Form, Stream, TcpSink, Visitor};
use crate::peer;
use http::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::{Instrument, info, warn};
use weir_proto::Redacted;
use weir_proto::media::StreamPath;

/// Between attempts: the owner may have gone, and another taken its place.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts bringing `stream` to wherever `owner` (`host:port`) says it belongs at the time.
pub fn start(
    stream: Arc<Stream>,
    owner: impl Fn(&StreamPath) -> Option<String> + Send + 'static,
    secret: Redacted<String>,
) {
    let span = viewer_span(stream.path(), "relay-push", None);
    let pushing = async move {
        while !stream.has_ended() {
            match owner(stream.path()) {
                None => warn!("no node is there to bring a published stream to"),
                Some(address) => match peer::open(&address, &secret, Method::POST, stream.path()).await {
                    Err(error) => {
                        warn!(node = address, %error, "a published stream could not be brought to its owner");
                    }
                    Ok((socket, _)) => {
                        info!(node = address, "a published stream goes to its owner");
                        let reason = push(&stream, &Arc::new(socket)).await;
                        info!(node = address, %reason, "a published stream goes to its owner no more");
                    }
                },
            }
            sleep(AGAIN).await;
        }
    };
    tokio::spawn(pushing.instrument(span));
}

async fn push(stream: &Arc<Stream>, socket: &Arc<TcpStream>) -> Departure {
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
        departure = seat.run() => departure,
        departure = keepalive(&seat) => departure,
        departure = until_closed(socket) => departure,
    }
}
