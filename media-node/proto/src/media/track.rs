//! Elementary streams and the set of them that makes a stream.

use super::{Codec, CodecParameters};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    Video,
    Audio,
}

/// One elementary stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub codec: CodecParameters,
    /// Hz of the track's timestamps: 90000 for video, the sampling rate for AAC, 8000 for G.711.
    pub clock_rate: u32,
}

impl Track {
    pub const fn kind(&self) -> TrackKind {
        self.codec.codec().kind()
    }
}

/// The tracks of a stream; an access unit names its track by index. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracks(Arc<[Track]>);

impl Tracks {
    pub fn new(tracks: impl IntoIterator<Item = Track>) -> Self {
        Self(tracks.into_iter().collect())
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Track> {
        self.0.iter()
    }

    pub fn get(&self, index: u8) -> Option<&Track> {
        self.0.get(usize::from(index))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first track of a kind, with its index.
    pub fn first(&self, kind: TrackKind) -> Option<(u8, &Track)> {
        self.0
            .iter()
            .enumerate()
            .find(|(_, t)| t.kind() == kind)
            .map(|(i, t)| (i as u8, t))
    }

    pub fn video(&self) -> Option<(u8, &Track)> {
        self.first(TrackKind::Video)
    }

    pub fn audio(&self) -> Option<(u8, &Track)> {
        self.first(TrackKind::Audio)
    }

    pub fn has(&self, codec: Codec) -> bool {
        self.0.iter().any(|t| t.codec.codec() == codec)
    }
}

impl<'a> IntoIterator for &'a Tracks {
    type Item = &'a Track;
    type IntoIter = std::slice::Iter<'a, Track>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
