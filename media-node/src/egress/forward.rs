//! Streams that are pushed to other servers: what is asked for, how it stands, and attempt after
//! attempt. What is spoken is `rtmp_push`'s and `rtsp_push`'s.
//!
//! The supervisor makes a [`Forward`] of each entry of `spec.forward` and starts it; it pushes whenever
//! the stream runs, redialling by itself, until it is told to stop.

use super::viewing::viewer_span;
use super::{rtmp_push, rtsp_push};
use crate::auth::source_policy::{Refused, SourcePolicy};
use crate::dial::{self, Backoff, Credentials, RtmpUrl, TlsFault, Trust, rtsp_port, shown};
use crate::hub::{Departure, Hub, Stream};
use crate::socket::Socket;
use rand::RngExt;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, warn};
use url::Url;
use weir_proto::media::StreamPath;

/// From the first SYN to the server's taking the stream.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// How long saying good-bye may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// One stream to push to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub path: StreamPath,
    pub target: Target,
}

/// Where a stream is pushed to.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    Rtmp {
        /// With the stream key.
        url: RtmpUrl,
        /// Without.
        shown: String,
        /// For `rtmps`.
        trust: Trust,
    },
    Rtsp {
        /// Without credentials.
        url: Url,
        credentials: Option<Credentials>,
        /// For `rtsps`.
        trust: Trust,
    },
}

impl Target {
    /// The word for logs and metrics.
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::Rtmp { .. } => "rtmp-push",
            Self::Rtsp { .. } => "rtsp-push",
        }
    }

    /// Whom we dial, `host:port`, for logs.
    pub fn peer(&self) -> String {
        match self {
            Self::Rtmp { url, .. } => url.authority(),
            Self::Rtsp { url, .. } => {
                let host = url.host_str().unwrap_or_default();
                format!("{host}:{}", rtsp_port(url))
            }
        }
    }

    /// For people: without credentials, stream key and query.
    pub fn shown(&self) -> String {
        match self {
            Self::Rtmp { shown, .. } => shown.clone(),
            Self::Rtsp { url, .. } => shown(url).into(),
        }
    }

    /// The path that a server of ours would publish it under.
    fn path(&self) -> Option<StreamPath> {
        StreamPath::parse(&match self {
            Self::Rtmp { url, .. } => url.parts().stream_path(),
            Self::Rtsp { url, .. } => weir_proto::rtsp::url::stream_path(url.as_str()),
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// How it stands with a forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The stream doesn't run.
    NoStream,
    /// Dialling for the first time; after a failure that stands until the server takes the stream.
    Connecting,
    /// The server takes the stream.
    Live,
    /// The last attempt failed; the next begins in a moment.
    Failed { reason: Reason, message: String },
    /// Told to stop.
    Stopped,
}

/// Why a server doesn't get the stream, as the reason of the condition `Forwarding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No connection, or no answer.
    Unreachable,
    /// The server refused the credentials, or wants some.
    AuthFailed,
    /// The server doesn't take this stream.
    Refused,
    /// The server is this process, and the path the stream's own.
    Loop,
    /// Nothing in the stream that the protocol has a place for.
    UnsupportedCodec,
    /// The source policy forbids the address.
    AddressDenied,
    /// It is not, by its certificate, the server that is meant; or there is no TLS.
    Tls(TlsFault),
    /// The server broke its protocol.
    ProtocolError,
    /// The server takes nothing.
    TooSlow,
    /// The server ended the session.
    ClosedByTarget,
    /// Somebody here ended it, as a viewer's is ended.
    Closed,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::AuthFailed => "AuthFailed",
            Self::Refused => "Refused",
            Self::Loop => "Loop",
            Self::UnsupportedCodec => "UnsupportedCodec",
            Self::AddressDenied => "AddressDenied",
            Self::Tls(fault) => fault.as_str(),
            Self::ProtocolError => "ProtocolError",
            Self::TooSlow => "TooSlow",
            Self::ClosedByTarget => "ClosedByTarget",
            Self::Closed => "Closed",
        }
    }
}

/// A forward's line to whoever started it.
#[derive(Clone)]
pub struct Reporter {
    pub state: watch::Sender<State>,
    pub stop: CancellationToken,
}

/// Starts forwards; the role hands one to the supervisor, so that it knows no protocol.
pub trait LaunchForward: Send + Sync {
    /// Spawns it and returns at once. It ends soon after `reporter.stop` is cancelled, with
    /// [`State::Stopped`] as its last word.
    fn launch(&self, forward: Forward, reporter: Reporter) -> tokio::task::JoinHandle<()>;
}

/// Pushes the streams of this process.
pub struct Forwarder {
    pub hub: Arc<Hub>,
    /// Which addresses may be dialled; follows the MediaPool.
    pub policy: watch::Receiver<Arc<SourcePolicy>>,
    /// Our own ports at which streams are published, to tell a loop.
    pub doors: Vec<u16>,
}

impl LaunchForward for Forwarder {
    fn launch(&self, forward: Forward, reporter: Reporter) -> tokio::task::JoinHandle<()> {
        let span = viewer_span(&forward.path, forward.target.protocol(), None::<SocketAddr>);
        let run = Run {
            hub: self.hub.clone(),
            policy: self.policy.clone(),
            doors: self.doors.clone(),
            forward,
            reporter,
        };
        span.record("peer", run.forward.target.peer());
        tokio::spawn(async move { run.keep().await }.instrument(span))
    }
}

/// Why an attempt ended.
pub(super) enum Over {
    /// The stream has; another may come.
    StreamEnded,
    /// The stream has other tracks than were announced: to be pushed anew at once.
    TracksChanged,
    /// Told to stop.
    Stopped,
    Failed(Failure),
}

/// Why an attempt failed, in words for a person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    reason: Reason,
    message: String,
}

impl Failure {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message }
    }
}

/// One forward, over all its attempts.
struct Run {
    hub: Arc<Hub>,
    policy: watch::Receiver<Arc<SourcePolicy>>,
    doors: Vec<u16>,
    forward: Forward,
    reporter: Reporter,
}

/// What an attempt works with.
pub(super) struct Attempt<'a> {
    pub(super) stream: &'a Arc<Stream>,
    pub(super) stop: &'a CancellationToken,
    pub(super) shown: &'a str,
    run: &'a Run,
    /// Since when the server takes the stream.
    live_since: Option<SystemTime>,
}

impl Run {
    async fn keep(self) {
        let stop = &self.reporter.stop;
        let shown = self.forward.target.shown();
        let mut backoff = Backoff::new();
        // What was last logged: a server that is set up wrongly would fill the log.
        let mut told: Option<String> = None;
        while !stop.is_cancelled() {
            if self.hub.stream(&self.forward.path).is_none() {
                self.reporter.state.send_replace(State::NoStream);
            }
            let arrival = self.hub.arrival(&self.forward.path);
            let Some(stream) = stop.run_until_cancelled(arrival).await else {
                break;
            };
            if !matches!(*self.reporter.state.borrow(), State::Failed { .. }) {
                self.reporter.state.send_replace(State::Connecting);
            }
            let mut attempt = Attempt {
                stream: &stream,
                stop,
                shown: &shown,
                run: &self,
                live_since: None,
            };
            let over = match &self.forward.target {
                Target::Rtmp { url, trust, .. } => {
                    let trust = url.tls().then_some(trust);
                    rtmp_push::push(&mut attempt, url, trust).await
                }
                Target::Rtsp {
                    url,
                    credentials,
                    trust,
                } => {
                    let trust = dial::is_rtsps(url).then_some(trust);
                    rtsp_push::push(&mut attempt, url, credentials.as_ref(), trust).await
                }
            };
            let live_since = attempt.live_since;
            let lived = live_since.and_then(|since| since.elapsed().ok());
            if lived.is_some_and(|lived| lived >= Backoff::STEADY) {
                backoff = Backoff::new();
            }
            let failure = match over {
                Over::Failed(failure) => failure,
                Over::StreamEnded | Over::TracksChanged | Over::Stopped => {
                    debug!("nothing is pushed for now");
                    continue;
                }
            };
            let wait = backoff.wait(rand::rng().random());
            let (reason, why) = (failure.reason.as_str(), &failure.message);
            metrics::counter!("weir_forward_failures_total", "reason" => reason).increment(1);
            if live_since.is_some() {
                info!(reason, why, retry_in = ?wait, "a server takes the stream no more");
            } else if told.as_ref() == Some(&failure.message) {
                debug!(reason, why, retry_in = ?wait, "a server still does not take the stream");
            } else {
                warn!(reason, why, retry_in = ?wait, "a server does not take the stream");
            }
            told = Some(failure.message.clone());
            self.reporter.state.send_replace(State::Failed {
                reason: failure.reason,
                message: failure.message,
            });
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        self.reporter.state.send_replace(State::Stopped);
    }
}

impl Attempt<'_> {
    /// The server takes the stream.
    pub(super) fn live(&mut self) {
        info!(server = self.shown, "a server takes the stream");
        self.live_since = Some(SystemTime::now());
        self.run.reporter.state.send_replace(State::Live);
    }

    /// Opens the connection, with TLS where the server is to be trusted by something.
    pub(super) async fn dial(&self, host: &str, port: u16, trust: Option<&Trust>) -> Result<Socket, Failure> {
        let policy = self.run.policy.borrow().clone();
        let shown = self.shown;
        let socket = dial::connect(&policy, host, port)
            .await
            .map_err(|error| match error {
                dial::Error::Refused(error @ Refused::AddressDenied { .. }) => Failure::new(
                    Reason::AddressDenied,
                    format!(
                        "{error}: change the address, or allow it in the MediaPool's spec.sourcePolicy.allow"
                    ),
                ),
                dial::Error::Connect(why) => {
                    Failure::new(Reason::Unreachable, format!("{shown} can't be reached: {why}"))
                }
                error => Failure::new(Reason::Unreachable, format!("{shown}: {error}")),
            })?;
        if self.is_loop(&socket) {
            let message =
                format!("{shown} is this very stream: forward it to another server, or to another path");
            return Err(Failure::new(Reason::Loop, message));
        }
        // A server that is gone without a word is noticed though nothing of ours is in its way.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(CONNECT_PATIENCE));
        let Some(trust) = trust else {
            return Ok(socket.into());
        };
        let secured = dial::secure(socket, host, trust).await.map_err(|error| {
            let message = format!("{shown} {error}: {}", error.fault.advice());
            Failure::new(Reason::Tls(error.fault), message)
        })?;
        let (socket, pump) = Socket::within(secured, |stream| stream.get_ref().0).map_err(|error| {
            Failure::new(
                Reason::Unreachable,
                format!("no room for a connection with {shown}: {error}"),
            )
        })?;
        tokio::spawn(pump.run());
        Ok(socket)
    }

    /// Whether we are about to publish the stream in its own place: there it would end.
    fn is_loop(&self, socket: &TcpStream) -> bool {
        let (Ok(local), Ok(peer)) = (socket.local_addr(), socket.peer_addr()) else {
            return false;
        };
        local.ip() == peer.ip()
            && self.run.doors.contains(&peer.port())
            && self.run.forward.target.path().as_ref() == Some(&self.run.forward.path)
    }

    pub(super) fn silence(&self) -> Failure {
        let seconds = CONNECT_PATIENCE.as_secs();
        Failure::new(
            Reason::Unreachable,
            format!("{} did not take the stream within {seconds} s", self.shown),
        )
    }

    pub(super) fn closed(&self) -> Failure {
        let message = format!("{} closed the connection", self.shown);
        Failure::new(Reason::ClosedByTarget, message)
    }

    /// What the end of a seat means.
    pub(super) fn departed(&self, departure: &Departure) -> Over {
        match departure {
            Departure::Ended => Over::StreamEnded,
            Departure::Stalled | Departure::Behind => {
                let message = format!("{} is too slow: it took nothing for too long", self.shown);
                Over::Failed(Failure::new(Reason::TooSlow, message))
            }
            Departure::Closed => {
                let message = format!("the session with {} was closed here; trying again", self.shown);
                Over::Failed(Failure::new(Reason::Closed, message))
            }
            Departure::Broken(_) => Over::Failed(self.closed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_show_no_secrets() {
        let rtmp = Target::Rtmp {
            url: RtmpUrl::parse("rtmp://h/live/canary-key?x=canary").expect("a URL"),
            shown: "rtmp://h/live".to_owned(),
            trust: Trust::Public,
        };
        let rtsp = Target::Rtsp {
            url: Url::parse("rtsp://[fd00::1]/a/Door?token=canary").expect("a URL"),
            credentials: Some(Credentials {
                username: "u".to_owned(),
                password: weir_proto::Redacted::new("canary".to_owned()),
            }),
            trust: Trust::Public,
        };
        for (target, peer, path) in [
            (&rtmp, "h:1935", "live/canary-key"),
            (&rtsp, "[fd00::1]:554", "a/door"),
        ] {
            let text = format!("{target:?} {} {}", target.shown(), target.peer());
            assert!(!text.contains("canary"), "{text}");
            assert_eq!(target.peer(), peer);
            assert_eq!(target.path(), StreamPath::parse(path));
        }
    }
}
