//! What a session asks of its driver.

use crate::Redacted;
use crate::flv::Tag;
use crate::rtmp::amf0::Value;
use crate::rtmp::url::Query;

/// What to do next. [`super::Session::accept`] or [`super::Session::refuse`] answer the first two;
/// until then, nothing else is read.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody wants to be the stream's publisher: find out whether they may, and nobody else is.
    Publish(Request),
    /// Somebody wants to watch: find out whether they may, and find or start the stream.
    Play(Request),
    /// Audio or video of the publisher, for [`crate::flv::Unpacker`].
    Media(Tag),
    /// What the publisher says of the stream, which is often wrong.
    Metadata(Value),
    /// Who plays wants no media for now (true), or media again, from a keyframe on.
    Pause(bool),
    /// Who published or played has ended it. The connection may go on with another request.
    Closed,
}

/// Somebody wants something.
#[derive(Clone, Debug)]
pub struct Request {
    /// Canonical, see [`crate::rtsp::url::canonical_path`]; just `/` if the client named nothing.
    pub path: String,
    /// Of app and name together.
    pub query: Query,
    /// What the client says it is, for people; may be empty.
    pub encoder: String,
    /// Whether it said that it takes H.265 as Enhanced RTMP marks it. Many that do don't say so.
    pub takes_hvc1: bool,
}

impl Request {
    /// The parameter `token` of the URL.
    pub fn token(&self) -> Option<Redacted<String>> {
        self.query.token()
    }
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not with this token, or without one.
    Denied,
    /// There is no such stream, or no stream can have this name.
    NotFound,
    /// Somebody else publishes, or there are too many already.
    Busy,
    /// The stream has nothing that RTMP carries, or can't be started.
    Failed,
}

impl Refusal {
    pub(super) const fn publish_code(self) -> &'static str {
        match self {
            Self::Denied => "NetStream.Publish.Denied",
            Self::NotFound | Self::Busy | Self::Failed => "NetStream.Publish.BadName",
        }
    }

    pub(super) const fn play_code(self) -> &'static str {
        match self {
            Self::NotFound => "NetStream.Play.StreamNotFound",
            Self::Denied | Self::Busy | Self::Failed => "NetStream.Play.Failed",
        }
    }

    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Denied => "not allowed",
            Self::NotFound => "no such stream",
            Self::Busy => "in use",
            Self::Failed => "not possible",
        }
    }
}
