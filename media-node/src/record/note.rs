//! A recording, from its beginning until the index has it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is kept of a recording in the spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Note {
    pub(super) camera_uid: String,
    pub(super) schedule_uid: String,
    /// Milliseconds since 1970.
    pub(super) start_ms: i64,
    /// How far it has come on the disk; the end of the recording once it is `closed`.
    pub(super) end_ms: i64,
    pub(super) closed: bool,
}

impl Note {
    /// Names the recording, here and in the index: the same for the same recording, so that it is told once however often
    /// it is told.
    pub(super) fn name(&self) -> String {
        let text = format!("{}/{}/{}", self.camera_uid, self.schedule_uid, self.start_ms);
        hex::encode(&Sha256::digest(text)[..12])
    }

    pub(super) fn begun(&self) -> Begun {
        Begun {
            name: self.name(),
            start_ms: self.start_ms,
        }
    }

    pub(super) fn finished(&self) -> Finished {
        Finished {
            name: self.name(),
            camera_uid: self.camera_uid.clone(),
            schedule_uid: self.schedule_uid.clone(),
            start_ms: self.start_ms,
            end_ms: self.end_ms,
        }
    }
}

/// A recording all of whose segments are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// Unique; letters and digits.
    pub name: String,
    pub camera_uid: String,
    pub schedule_uid: String,
    /// Milliseconds since 1970.
    pub start_ms: i64,
    pub end_ms: i64,
}

/// A recording that has begun. It has what is stored of its camera from then on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begun {
    /// Milliseconds since 1970. Comes first, so that they are in the order of time.
    pub start_ms: i64,
    /// As [`Finished::name`].
    pub name: String,
}

/// Who keeps the index of what is stored. Implementations take care of deadlines.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// A segment is in the bucket. The same may be told again.
    async fn stored(&self, segment: &weir_recording::SegmentFacts, key: &str) -> Result<(), CatalogueError>;

    /// Which recordings of a camera this node has begun, and not told to be whole: all of them, in place of those that were told
    /// before. Told before the segments that they have, so that nobody takes these for another recording's alone.
    async fn running(&self, node: &str, camera_uid: &str, begun: &[Begun]) -> Result<(), CatalogueError>;

    /// A recording that this node has made is whole. The same may be told again.
    async fn finished(&self, node: &str, recording: &Finished) -> Result<(), CatalogueError>;
}

/// The index did not take it; it is told again later.
#[derive(Debug, thiserror::Error)]
#[error("the index can't be written to: {0}")]
pub struct CatalogueError(pub String);
