//! What an ingest that dials out is told to do, and what it tells of itself.
//!
//! The supervisor makes a [`Job`] of a Camera or a Route and starts it; the ingest runs until it is
//! told to stop, redialling by itself, and keeps its [`State`] up to date for whoever watches.

use crate::dial::{Credentials, RtmpUrl, TlsFault, Trust, rtsp_port, shown};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_proto::Redacted;
use weir_proto::media::{StreamPath, Tracks};

/// One source to bring into the hub.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where the stream is published.
    pub path: StreamPath,
    /// Name of the Camera that asks for it, for logs; none for a Route's pull or a relay.
    pub camera: Option<String>,
    pub source: Source,
    /// False: audio tracks are left out.
    pub audio: bool,
    /// False: ends when the source ends or fails, without redialling.
    pub redial: bool,
}

#[derive(Clone, Debug)]
pub enum Source {
    Rtsp {
        /// Without credentials.
        url: Url,
        transport: Transport,
        credentials: Option<Credentials>,
        /// For `rtsps`.
        trust: Trust,
    },
    Rtmp {
        url: RtmpUrl,
        /// For `rtmps`.
        trust: Trust,
    },
    /// An MP4 file on this node.
    File { file: PathBuf, repeat: bool },
    /// The stream of another node of this pool.
    Relay {
        /// `host:port` of the node's HTTP port.
        address: String,
        secret: Redacted<String>,
    },
}

impl Source {
    /// The word for logs, metrics and API answers.
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::Rtsp { .. } => "rtsp",
            Self::Rtmp { .. } => "rtmp",
            Self::File { .. } => "file",
            Self::Relay { .. } => super::relay::PROTOCOL,
        }
    }

    /// Whom we dial, `host:port`, for logs.
    pub fn peer(&self) -> Option<String> {
        match self {
            Self::Rtsp { url, .. } => {
                let port = rtsp_port(url);
                url.host().map(|host| format!("{host}:{port}"))
            }
            Self::Rtmp { url, .. } => Some(url.authority()),
            Self::File { .. } => None,
            Self::Relay { address, .. } => Some(address.clone()),
        }
    }

    /// Where the media comes from, for people: without credentials, and without the query, in which
    /// some cameras take theirs.
    pub fn shown(&self) -> String {
        match self {
            Self::Rtsp { url, .. } => shown(url).into(),
            Self::Rtmp { url, .. } => url.shown().to_owned(),
            Self::File { file, .. } => {
                let name = file.file_name().unwrap_or_default();
                format!("the file {}", name.to_string_lossy())
            }
            Self::Relay { address, .. } => address.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP first; UDP if the source refuses it.
    Auto,
    Tcp,
    Udp,
}

/// How it stands with a job.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Dialling, for the first time or again.
    Connecting,
    Live {
        tracks: Tracks,
        since: SystemTime,
    },
    /// The last attempt failed; the next begins after `retry_in`, if there is one.
    Failed {
        reason: Reason,
        message: String,
        retry_in: Option<Duration>,
    },
    /// Told to stop, or over without redialling.
    Stopped,
}

/// Why a source could not be had, as the reason of a Camera's `Connected` condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No connection, or no answer.
    Unreachable,
    /// The source refused the credentials, or wants some.
    AuthFailed,
    /// The source answers, but has no such stream; or no such file.
    NotFound,
    /// Nothing in the source that can be carried.
    UnsupportedCodec,
    /// Connected, but no access unit came in time.
    NoData,
    /// The MediaPool's source policy forbids the address.
    AddressDenied,
    /// It is not, by its certificate, the source that is meant; or there is no TLS.
    Tls(TlsFault),
    /// The source broke its protocol.
    ProtocolError,
    /// The source ended the stream.
    Ended,
    /// Somebody here closed the stream, or published another in its place.
    Closed,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::AuthFailed => "AuthFailed",
            Self::NotFound => "NotFound",
            Self::UnsupportedCodec => "UnsupportedCodec",
            Self::NoData => "NoData",
            Self::AddressDenied => "AddressDenied",
            Self::Tls(fault) => fault.as_str(),
            Self::ProtocolError => "ProtocolError",
            Self::Ended => "Ended",
            Self::Closed => "Closed",
        }
    }
}

/// A job's line to whoever started it.
#[derive(Clone)]
pub struct Reporter {
    pub state: watch::Sender<State>,
    pub stop: CancellationToken,
}

/// Starts jobs; the role hands one to the supervisor, so that it knows no protocol.
pub trait Launch: Send + Sync {
    /// Spawns the job and returns at once. The job ends soon after `reporter.stop` is cancelled,
    /// with [`State::Stopped`] as its last word.
    fn launch(&self, job: Job, reporter: Reporter) -> tokio::task::JoinHandle<()>;
}
