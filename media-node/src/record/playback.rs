//! Footage that is stored: found in the index, read from the bucket, shown as pictures, MP4 or HLS of any range.
//!
//! | file | answers |
//! |---|---|
//! | `span` | what there is of a range |
//! | `playlist` | HLS of a range, with its gaps, and the bytes of the segments that it lists |
//! | `footage` | a range as one MP4, of which any bytes can be read |
//! | `keyframe` | what was to be seen at a time |
//! | `head` | what is in a segment, and where; for all of these but the first |

mod footage;
mod head;
mod keyframe;
mod playlist;
mod span;

pub use footage::Footage;
pub use span::Span;

use crate::store::object::{self, Bucket};
use crate::store::sql::{self, Database};
use head::Heads;
use tokio::sync::watch;
use weir_recording::SegmentFacts;
use weir_recording::virtual_mp4;

/// Segments that one answer is made of: a week of minutes.
const MOST_SEGMENTS: u64 = 10_080;
/// Footage that is less apart plays on without a break.
const JOINED_MS: i64 = 500;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaybackError {
    #[error("no object store is configured: write spec.storage into the MediaPool")]
    NoBucket,
    #[error("the object store failed")]
    Store(#[from] object::Error),
    #[error("the index failed")]
    Index(#[from] sql::Error),
    #[error("segment {key} can't be read: {what}")]
    Damaged { key: String, what: String },
    #[error("the range has more than {MOST_SEGMENTS} segments: ask for less")]
    TooLong,
    #[error(transparent)]
    File(#[from] virtual_mp4::Error),
}

/// Reads what is stored. Cheap to clone.
#[derive(Clone)]
pub struct Playback {
    index: Database,
    bucket: watch::Receiver<Option<Bucket>>,
    heads: Heads,
}

impl Playback {
    pub fn new(index: Database, bucket: watch::Receiver<Option<Bucket>>) -> Self {
        Self {
            index,
            bucket,
            heads: Heads::default(),
        }
    }

    /// What the index has of a range.
    async fn segments(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<SegmentFacts>, PlaybackError> {
        let segments = self
            .index
            .segments(camera_uid, from_ms, to_ms, MOST_SEGMENTS + 1)
            .await?;
        if segments.len() as u64 > MOST_SEGMENTS {
            return Err(PlaybackError::TooLong);
        }
        Ok(segments)
    }

    fn bucket(&self) -> Result<Bucket, PlaybackError> {
        self.bucket.borrow().clone().ok_or(PlaybackError::NoBucket)
    }
}
