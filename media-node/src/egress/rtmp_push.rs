//! Pushes a stream to an RTMP server.

use super::form::rtmp::{RtmpForm, push_key};
use super::forward::{Attempt, CONNECT_PATIENCE, Failure, GOODBYE, Over, Reason};
use super::viewing::Counted;
use crate::dial::{RtmpUrl, Trust};
use crate::hub::{Form, Seat, TcpSink, Visitor};
use crate::socket::{Socket, read, write};
use bytes::BytesMut;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::timeout;
use weir_proto::rtmp::client::{Error, Event, Purpose, Session};
use weir_proto::rtmp::handshake::RANDOM_BYTES;

/// Answers of a server are short.
pub(super) const READ: usize = 4 << 10;

/// Publishes the attempt's stream until something ends it.
pub(super) async fn push(attempt: &mut Attempt<'_>, url: &RtmpUrl, trust: Option<&Trust>) -> Over {
    if !RtmpForm::carries_any(&attempt.stream.tracks()) {
        let message = "RTMP has no place for any track of the stream: H.264, H.265 and AAC go by it";
        return Over::Failed(Failure::new(Reason::UnsupportedCodec, message));
    }
    let opening = timeout(CONNECT_PATIENCE, open(attempt, url, trust));
    let opened = match attempt.stop.run_until_cancelled(opening).await {
        None => return Over::Stopped,
        Some(Err(_)) => Err(attempt.silence()),
        Some(Ok(opened)) => opened,
    };
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(failure) => return Over::Failed(failure),
    };
    let (stream, message_stream) = (attempt.stream, opened.message_stream);
    let key = push_key(message_stream);
    if !stream.has_room_for(key) {
        let message = "the stream is packaged in too many ways at once: push it to fewer servers";
        return Over::Failed(Failure::new(Reason::Refused, message));
    }
    let tracks = stream.tracks();
    let form = || Box::new(RtmpForm::for_servers(&tracks, message_stream)) as Box<dyn Form>;
    let visitor = Visitor {
        protocol: "rtmp-push",
        detail: attempt.shown.to_owned(),
    };
    let socket = opened.socket.clone();
    let seat = stream.watch(key, form, Box::new(TcpSink::new(socket.clone())), visitor);
    let _counted = Counted::new("rtmp-push").seated(&seat);
    // One and the same until the end: what it has in hand while it catches up is lost with it.
    let mut sending = pin!(seat.run());
    attempt.live();
    let over = tokio::select! {
        departure = &mut sending => attempt.departed(&departure),
        failure = opened.hear(attempt, &seat) => Over::Failed(failure),
        () = attempt.stop.cancelled() => Over::Stopped,
    };
    let mut goodbye = BytesMut::new();
    opened.client.finish(&mut goodbye);
    match over {
        Over::Stopped => {
            // Between two messages, and then until the server has heard it.
            seat.send(goodbye.freeze());
            let farewell = async {
                tokio::select! {
                    _ = &mut sending => {}
                    _ = opened.hear(attempt, &seat) => {}
                }
            };
            let _ = timeout(GOODBYE, farewell).await;
        }
        Over::StreamEnded => {
            let _ = timeout(GOODBYE, write(&socket, &mut goodbye)).await;
        }
        Over::TracksChanged | Over::Failed(_) => {}
    }
    over
}

/// A connection on which the server takes the stream.
struct Opened {
    socket: Arc<Socket>,
    client: Session,
    input: BytesMut,
    message_stream: u32,
}

async fn open(attempt: &Attempt<'_>, url: &RtmpUrl, trust: Option<&Trust>) -> Result<Opened, Failure> {
    let parts = url.parts();
    let socket = attempt.dial(parts.host(), parts.port(), trust).await?;
    let mut random = [0; RANDOM_BYTES];
    rand::fill(&mut random);
    let mut client = Session::new(Purpose::Push, parts.clone(), &random);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let broken = |_: io::Error| attempt.closed();
    loop {
        let event = client.handle_input(&mut input, &mut out);
        let event = event.map_err(|error| explain(attempt.shown, &error))?;
        write(&socket, &mut out).await.map_err(broken)?;
        match event {
            Some(Event::Publishing { message_stream, .. }) => {
                return Ok(Opened {
                    socket: Arc::new(socket),
                    client,
                    input,
                    message_stream,
                });
            }
            Some(Event::Ended) => return Err(attempt.closed()),
            Some(_) => continue,
            None => {}
        }
        if read(&socket, &mut input, READ).await.map_err(broken)? == 0 {
            let message = format!(
                "{} closed the connection instead of taking the stream; is that port RTMP, and is the stream key right?",
                attempt.shown
            );
            return Err(Failure::new(Reason::Refused, message));
        }
    }
}

impl Opened {
    /// Answers what keeps the connection going, until the server ends it.
    async fn hear(&mut self, attempt: &Attempt<'_>, seat: &Seat) -> Failure {
        let mut out = BytesMut::new();
        loop {
            loop {
                match self.client.handle_input(&mut self.input, &mut out) {
                    Err(error) => return explain(attempt.shown, &error),
                    Ok(Some(Event::Ended)) => {
                        let message = format!("{} ended the session", attempt.shown);
                        return Failure::new(Reason::ClosedByTarget, message);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                }
            }
            if !out.is_empty() && !seat.send(out.split().freeze()) {
                let message = format!("{} does not read what it asks for", attempt.shown);
                return Failure::new(Reason::TooSlow, message);
            }
            match read(&self.socket, &mut self.input, READ).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return attempt.closed(),
            }
        }
    }
}

fn explain(shown: &str, error: &Error) -> Failure {
    match error {
        Error::Refused {
            call,
            code,
            description,
        } => {
            let said = format!("{shown} refuses {call}: {code} ({description})");
            match meaning(code, description) {
                Reason::AuthFailed => Failure::new(
                    Reason::AuthFailed,
                    format!(
                        "{said}; put the stream key, or ?name=value that the server wants, into the key streamKey \
                             of a Secret, and name it in secretName"
                    ),
                ),
                reason => Failure::new(
                    reason,
                    format!(
                        "{said}; check the path in the URL, and whether somebody publishes there already"
                    ),
                ),
            }
        }
        error => {
            let cause = std::error::Error::source(error);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure::new(Reason::ProtocolError, format!("{shown}: {error}{cause}"))
        }
    }
}

/// What a server means by its refusal: there is one code for some of it, for the rest only words.
fn meaning(code: &str, description: &str) -> Reason {
    let text = format!("{code} {description}").to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let about_rights = says(&[
        "auth",
        "denied",
        "not allowed",
        "forbidden",
        "permission",
        "token",
        "credential",
        "connect.rejected",
    ]);
    if about_rights {
        Reason::AuthFailed
    } else {
        Reason::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_mean() {
        for (code, description, want) in [
            // ourselves
            ("NetStream.Publish.Denied", "not allowed", Reason::AuthFailed),
            ("NetStream.Publish.BadName", "in use", Reason::Refused),
            // nginx-rtmp, SRS
            ("NetStream.Publish.BadName", "Already publishing", Reason::Refused),
            (
                "NetConnection.Connect.Rejected",
                "code=403 need auth",
                Reason::AuthFailed,
            ),
            ("NetConnection.Connect.InvalidApp", "", Reason::Refused),
        ] {
            assert_eq!(meaning(code, description), want, "{code} {description}");
        }
    }
}
