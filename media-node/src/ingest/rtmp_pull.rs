//! RTMP servers that we dial to play a stream of theirs.

use super::flv::{Error as FlvError, Feed};
use super::retry::{Attempt, Failure, Session};
use super::{Job, Reason, RtmpUrl, Trust};
use crate::auth::source_policy::{Refused, SourcePolicy};
use crate::dial;
use crate::hub::{Hub, Provenance, Segmentation};
use bytes::BytesMut;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tracing::info;
use weir_proto::flv::{Tag, TagKind};
use weir_proto::rtmp::client::{self, Event, Purpose};
use weir_proto::rtmp::handshake::RANDOM_BYTES;

/// A connection to a source.
type Line = Either<TcpStream, TlsStream<TcpStream>>;

/// From the first SYN to the answer to play.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// A source that plays but sends nothing for this long is taken for dead.
const DATA_PATIENCE: Duration = Duration::from_secs(10);
const READ: usize = 64 << 10;

/// One source, over all its attempts.
pub(super) struct RtmpPull<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) policy: watch::Receiver<Arc<SourcePolicy>>,
    pub(super) job: &'a Job,
    pub(super) url: &'a RtmpUrl,
    pub(super) trust: &'a Trust,
    pub(super) segment: Duration,
}

impl Attempt for RtmpPull<'_> {
    async fn attempt(&self, session: &mut Session<'_>) -> Failure {
        match self.run(session).await {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }
}

impl RtmpPull<'_> {
    /// Connects, plays, and publishes until something ends it.
    async fn run(&self, session: &mut Session<'_>) -> Result<Infallible, Failure> {
        let mut until = Instant::now() + CONNECT_PATIENCE;
        let mut plays = false;
        let mut socket = timeout_at(until, self.dial())
            .await
            .map_err(|_| self.silence(false))??;
        let mut random = [0; RANDOM_BYTES];
        rand::fill(&mut random);
        let mut client = client::Session::new(Purpose::Pull, self.url.parts().clone(), &random);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        let mut feed = Feed::new();
        loop {
            loop {
                let event = client.handle_input(&mut input, &mut out);
                match event.map_err(|error| self.explain(&error))? {
                    // Some servers send media before they say that the stream plays.
                    Some(Event::Playing) => plays = true,
                    Some(Event::Media(tag)) => {
                        plays = true;
                        if !self.take(&tag, &mut feed, session)? {
                            continue;
                        }
                    }
                    Some(Event::Ended) => {
                        let message = format!("{} ended the stream", self.shown());
                        return Err(Failure::new(Reason::Ended, message));
                    }
                    // What metadata say is often wrong.
                    Some(_) => continue,
                    None => break,
                }
                until = Instant::now() + DATA_PATIENCE;
            }
            if !feed.flush() {
                return Err(Failure::new(
                    Reason::Closed,
                    "another publisher took the path, or the stream was closed",
                ));
            }
            let traffic = async {
                socket.write_all_buf(&mut out).await?;
                input.reserve(READ);
                socket.read_buf(&mut input).await
            };
            let read = timeout_at(until, traffic).await;
            match read.map_err(|_| self.silence(plays))? {
                Ok(0) | Err(_) if plays => {
                    let message = format!("the connection to {} broke", self.shown());
                    return Err(Failure::new(Reason::Ended, message));
                }
                Ok(0) | Err(_) => {
                    let message = format!(
                        "{} closed the connection instead of playing; is that port RTMP, and does it want a token?",
                        self.shown()
                    );
                    return Err(Failure::new(Reason::ProtocolError, message));
                }
                Ok(_) => {}
            }
        }
    }

    async fn dial(&self) -> Result<Line, Failure> {
        let (host, port) = (self.url.parts().host(), self.url.parts().port());
        let policy = self.policy.borrow().clone();
        let socket = dial::connect(&policy, host, port)
            .await
            .map_err(|error| match error {
                dial::Error::Refused(Refused::AddressDenied { .. }) => {
                    Failure::new(Reason::AddressDenied, error.to_string())
                }
                dial::Error::Connect(why) => Failure::new(
                    Reason::Unreachable,
                    format!("{} can't be reached: {why}", self.shown()),
                ),
                error => Failure::new(Reason::Unreachable, error.to_string()),
            })?;
        if !self.url.tls() {
            return Ok(Either::Left(socket));
        }
        let secured = dial::secure(socket, host, self.trust).await;
        let secured = secured.map_err(|error| Failure::tls(self.shown(), &error))?;
        Ok(Either::Right(secured))
    }

    /// One message of audio or video. False if it is left out.
    fn take(&self, tag: &Tag, feed: &mut Feed, session: &mut Session<'_>) -> Result<bool, Failure> {
        if tag.kind == TagKind::Audio && !self.job.audio {
            return Ok(false);
        }
        let begin = |tracks| {
            info!(stream = %self.job.path, source = %self.shown(), "the source is live");
            let from = Provenance {
                protocol: "rtmp",
                address: self.shown().to_owned(),
                session: rand::random(),
            };
            let segmentation = Segmentation::Own(self.segment);
            self.hub.publish(&self.job.path, tracks, from, segmentation)
        };
        let news = feed.push(tag, begin).map_err(|error| {
            let reason = match error {
                FlvError::NothingCarried(_) => Reason::UnsupportedCodec,
                FlvError::NoParameters | FlvError::Unreadable(_) => Reason::ProtocolError,
            };
            Failure::new(reason, format!("{}: {error}", self.shown()))
        })?;
        if let Some(tracks) = news {
            session.live(&tracks);
        }
        Ok(true)
    }

    fn shown(&self) -> &str {
        self.url.shown()
    }

    fn silence(&self, plays: bool) -> Failure {
        let url = self.shown();
        if plays {
            let seconds = DATA_PATIENCE.as_secs();
            let message = format!("{url} sent nothing for {seconds} s; does anybody publish there?");
            Failure::new(Reason::NoData, message)
        } else {
            let seconds = CONNECT_PATIENCE.as_secs();
            Failure::new(
                Reason::Unreachable,
                format!("{url} did not answer within {seconds} s"),
            )
        }
    }

    fn explain(&self, error: &client::Error) -> Failure {
        let url = self.shown();
        match error {
            client::Error::Refused {
                call,
                code,
                description,
            } => {
                let said = format!("{url} refuses {call}: {code} ({description})");
                match meaning(code, description) {
                    Reason::NotFound => Failure::new(
                        Reason::NotFound,
                        format!("{said}; check the path in the source's url"),
                    ),
                    Reason::AuthFailed => Failure::new(
                        Reason::AuthFailed,
                        format!("{said}; write the token or key that it wants into the source's url"),
                    ),
                    reason => Failure::new(reason, said),
                }
            }
            error => {
                let cause = std::error::Error::source(error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                Failure::new(Reason::ProtocolError, format!("{url}: {error}{cause}"))
            }
        }
    }
}

/// What a server means by its refusal. There are codes for some of it; for rights, servers only have
/// words.
fn meaning(code: &str, description: &str) -> Reason {
    let text = format!("{code} {description}").to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&[
        "streamnotfound",
        "invalidapp",
        "not found",
        "no such",
        "no stream",
    ]) {
        Reason::NotFound
    } else if says(&[
        "auth",
        "denied",
        "not allowed",
        "forbidden",
        "permission",
        "token",
        "credential",
        "connect.rejected",
    ]) {
        Reason::AuthFailed
    } else {
        Reason::ProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_mean() {
        for (code, description, want) in [
            (
                "NetStream.Play.StreamNotFound",
                "no such stream",
                Reason::NotFound,
            ),
            // Adobe Media Server, nginx-rtmp
            (
                "NetConnection.Connect.InvalidApp",
                "Application not found",
                Reason::NotFound,
            ),
            (
                "NetConnection.Connect.Rejected",
                "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ]",
                Reason::AuthFailed,
            ),
            // ourselves
            ("NetStream.Play.Failed", "not allowed", Reason::AuthFailed),
            ("NetStream.Play.Failed", "not possible", Reason::ProtocolError),
            ("", "", Reason::ProtocolError),
        ] {
            assert_eq!(meaning(code, description), want, "{code} {description}");
        }
    }
}
