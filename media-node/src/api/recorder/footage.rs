//! What was recorded, as files that can be read in parts. Which segments make one up is the recorder's.

use crate::record::SnapshotError;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

/// Reads and deletes footage and snapshots. Made by the role.
#[async_trait]
pub trait Footage: Send + Sync + 'static {
    /// The MP4 of what a camera recorded from one time to another, in Unix milliseconds; none if nothing is left of it.
    async fn file(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Option<Arc<dyn VirtualFile>>, FootageError>;

    /// A snapshot, a JPEG; none if there is none of that key.
    async fn image(&self, key: &str) -> Result<Option<Image>, FootageError>;

    /// The same, made to fit a box of so many pixels, each of 1 to 1920.
    async fn thumbnail(&self, key: &str, width: u16, height: u16) -> Result<Option<Image>, FootageError>;

    /// Something has been put into the journal of what is to be deleted: stored objects follow soon.
    fn clear_away(&self);

    /// Deletes all that a camera has recorded until now, its snapshots too. It has taken note of that for good when it
    /// returns; stored objects follow. What it is recording is thrown away.
    async fn forget_camera(&self, camera_uid: &str) -> Result<(), FootageError>;
}

/// A file that may be put together as it is read. Its bytes never change.
#[async_trait]
pub trait VirtualFile: Send + Sync {
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Another for another content; without quotes.
    fn etag(&self) -> String;

    fn last_modified(&self) -> SystemTime;

    /// The bytes from one offset to another, in pieces. A failure ends the stream.
    async fn read(&self, range: Range<u64>) -> Result<BoxStream<'static, io::Result<Bytes>>, FootageError>;
}

/// A JPEG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub bytes: Bytes,
    pub last_modified: SystemTime,
}

/// Why there is nothing.
#[derive(Debug, thiserror::Error)]
pub enum FootageError {
    /// The store of footage did not answer.
    #[error("the footage can't be read or deleted now")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What makes pictures is missing, or has failed.
    #[error("a picture can't be made")]
    Picture(#[from] SnapshotError),
}

impl FootageError {
    pub fn cause(&self) -> String {
        std::error::Error::source(self).map_or_else(String::new, ToString::to_string)
    }
}
