//! RTMP publishers, who dial us.

use super::Publishing;
use super::flv::{Error, Feed};
use weir_proto::flv::Tag;
use weir_proto::media::StreamPath;

/// What the stream's provenance says, and logs.
pub const PROTOCOL: &str = "rtmp-push";

/// One publisher's stream. RTMP does not say beforehand what is in it, so it is published with its
/// first access units.
pub struct Publication {
    publishing: Publishing,
    path: StreamPath,
    address: String,
    feed: Feed,
}

impl Publication {
    /// For the publisher at `address`, who may publish.
    pub fn new(publishing: Publishing, path: StreamPath, address: String) -> Self {
        Self {
            publishing,
            path,
            address,
            feed: Feed::new(),
        }
    }

    /// One message of audio or video.
    ///
    /// # Errors
    /// When this can't become a stream. Damaged messages are counted and left out.
    pub fn push(&mut self, tag: &Tag) -> Result<(), Error> {
        let begin = |tracks| self.publishing.begin(&self.path, tracks, PROTOCOL, &self.address);
        self.feed.push(tag, begin).map(drop)
    }

    /// Sends what came; to be called when the socket has no more at hand. False once a newcomer has
    /// the path, or somebody has closed the stream.
    pub fn flush(&mut self) -> bool {
        self.feed.flush()
    }
}
