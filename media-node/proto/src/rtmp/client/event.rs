//! What a session tells its driver.

use crate::flv::Tag;
use crate::rtmp;
use crate::rtmp::amf0::Value;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To play the server's stream.
    Pull,
    /// To publish one there.
    Push,
}

impl Purpose {
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Pull => "play",
            Self::Push => "publish",
        }
    }
}

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server takes the stream: write what [`crate::rtmp::Muxer::for_server`] makes of it.
    Publishing {
        message_stream: u32,
        /// Whether the server said that it takes H.265 as Enhanced RTMP marks it.
        takes_hvc1: bool,
    },
    /// The stream is there. Media may have come before.
    Playing,
    /// Audio or video, for [`crate::flv::Unpacker`].
    Media(Tag),
    /// What the server says of the stream, which is often wrong.
    Metadata(Value),
    /// The stream has ended, or the server wants no more of it; nothing comes after.
    Ended,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the server breaks the protocol")]
    Protocol(#[from] rtmp::Error),
    #[error("the server breaks the protocol: createStream without a stream's number")]
    NoStream,
    /// What we ask for is wrong, or the server can't give it now. The texts are the server's,
    /// without what is secret in our URL.
    #[error("the server refuses {call}: {code} ({description})")]
    Refused {
        call: &'static str,
        code: String,
        description: String,
    },
}
