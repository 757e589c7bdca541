//! What was recorded, as the cloud recorder's API reads and deletes it.

use crate::api::{self, FootageError, Image, VirtualFile};
use crate::record::{Fit, Footage, Playback, Snapshots};
use crate::store::object::Bucket;
use crate::store::sql::Database;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};
use weir_recording::key::snapshot_prefix;

/// Segments that are looked up at once.
const SOME: u64 = 5000;
/// Largest snapshot that is read.
const IMAGE_BYTES: u64 = 32 << 20;
/// Thumbnails that are kept, and their bytes.
const SHELF: usize = 1000;
const SHELF_BYTES: usize = 32 << 20;

/// Stored segments, as files.
pub(super) struct StoredFootage {
    pub(super) playback: Playback,
    pub(super) snapshots: Snapshots,
    pub(super) thumbnails: Thumbnails,
    pub(super) index: Database,
    pub(super) bucket: watch::Receiver<Option<Bucket>>,
    /// Rings when something is to be deleted.
    pub(super) deleting: Arc<Notify>,
}

/// Pictures that were made smaller: a page shows many, and is looked at again.
#[derive(Default)]
pub(super) struct Thumbnails(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    by_key: HashMap<(String, Fit), Bytes>,
    bytes: usize,
}

impl Thumbnails {
    fn get(&self, key: &str, fit: Fit) -> Option<Bytes> {
        self.0.lock().by_key.get(&(key.to_owned(), fit)).cloned()
    }

    fn put(&self, key: &str, fit: Fit, small: Bytes) {
        let mut shelf = self.0.lock();
        // It is cheap to begin anew.
        if shelf.by_key.len() >= SHELF || shelf.bytes + small.len() > SHELF_BYTES {
            *shelf = Shelf::default();
        }
        shelf.bytes += small.len();
        if let Some(before) = shelf.by_key.insert((key.to_owned(), fit), small) {
            shelf.bytes -= before.len();
        }
    }
}

/// The MP4 of a range.
struct File {
    footage: Footage,
    etag: String,
}

#[async_trait]
impl VirtualFile for File {
    fn len(&self) -> u64 {
        self.footage.len()
    }

    fn etag(&self) -> String {
        self.etag.clone()
    }

    fn last_modified(&self) -> SystemTime {
        let (start_ms, duration_ms) = self.footage.extent();
        let end_ms = u64::try_from(start_ms + duration_ms).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_millis(end_ms)
    }

    async fn read(&self, range: Range<u64>) -> Result<BoxStream<'static, io::Result<Bytes>>, FootageError> {
        Ok(self.footage.read(range).map_err(io::Error::other).boxed())
    }
}

#[async_trait]
impl api::Footage for StoredFootage {
    async fn file(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Option<Arc<dyn VirtualFile>>, FootageError> {
        let footage = self
            .playback
            .mp4(camera_uid, from_ms, to_ms)
            .await
            .map_err(failed)?;
        Ok(footage.map(|footage| {
            let (start_ms, duration_ms) = footage.extent();
            let text = format!("{camera_uid} {start_ms} {duration_ms} {}", footage.len());
            let etag = hex::encode(&Sha256::digest(text)[..12]);
            Arc::new(File { footage, etag }) as Arc<dyn VirtualFile>
        }))
    }

    async fn image(&self, key: &str) -> Result<Option<Image>, FootageError> {
        let Some(bucket) = self.bucket.borrow().clone() else {
            return Ok(None);
        };
        let Some(head) = bucket.head(key).await.map_err(failed)? else {
            return Ok(None);
        };
        let bytes = bucket
            .read(key, 0..head.bytes.min(IMAGE_BYTES))
            .await
            .map_err(failed)?;
        Ok(Some(Image {
            bytes,
            // Each has a key of its own, and never changes.
            last_modified: SystemTime::UNIX_EPOCH,
        }))
    }

    async fn thumbnail(&self, key: &str, width: u16, height: u16) -> Result<Option<Image>, FootageError> {
        let Some(fit) = Fit::new(width, height) else {
            return Ok(None);
        };
        let image = |bytes| Image {
            bytes,
            last_modified: SystemTime::UNIX_EPOCH,
        };
        if let Some(known) = self.thumbnails.get(key, fit) {
            return Ok(Some(image(known)));
        }
        let Some(whole) = self.image(key).await? else {
            return Ok(None);
        };
        let small = self.snapshots.smaller(whole.bytes, fit).await?;
        self.thumbnails.put(key, fit, small.clone());
        Ok(Some(image(small)))
    }

    fn clear_away(&self) {
        self.deleting.notify_one();
    }

    async fn forget_camera(&self, camera_uid: &str) -> Result<(), FootageError> {
        // What is still on its way is thrown away when it comes: the camera is known to be deleted.
        loop {
            let found = self.index.segments(camera_uid, 0, i64::MAX, SOME).await;
            let keys: Vec<String> = found
                .map_err(failed)?
                .into_iter()
                .map(|row| row.key().to_string())
                .collect();
            if keys.is_empty() {
                break;
            }
            self.index.trash_segments(&keys).await.map_err(failed)?;
        }
        let pictures = [snapshot_prefix(camera_uid)];
        self.index.trash_objects(&pictures).await.map_err(failed)?;
        self.deleting.notify_one();
        Ok(())
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> FootageError {
    FootageError::Away(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shelf_of_thumbnails_has_an_end() {
        let thumbnails = Thumbnails::default();
        let fit = Fit::new(90, 50).expect("a box");
        thumbnails.put("a", fit, Bytes::from_static(b"small"));
        assert_eq!(thumbnails.get("a", fit).as_deref(), Some(b"small".as_slice()));
        assert_eq!(thumbnails.get("a", Fit::new(90, 51).expect("a box")), None);
        assert_eq!(thumbnails.get("b", fit), None);
        let large = Bytes::from(vec![0; SHELF_BYTES / 4]);
        for number in 0..100 {
            thumbnails.put(&number.to_string(), fit, large.clone());
            thumbnails.put(&number.to_string(), fit, large.clone());
            let shelf = thumbnails.0.lock();
            let bytes: usize = shelf.by_key.values().map(Bytes::len).sum();
            assert!(shelf.bytes == bytes && bytes <= SHELF_BYTES);
        }
        for number in 0..2 * SHELF {
            thumbnails.put(&number.to_string(), fit, Bytes::new());
            assert!(thumbnails.0.lock().by_key.len() <= SHELF);
        }
    }
}
