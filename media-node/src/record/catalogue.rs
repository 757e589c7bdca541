//! The index in SQL.

use super::note::{Begun, Catalogue, CatalogueError, Finished};
use crate::store::sql::recorder::{NewRecording, Running};
use crate::store::sql::{self, Database};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::Notify;
use weir_recording::SegmentFacts;

/// Segments of one recording that are looked at for its size.
const SEGMENTS: u64 = 20_000;

/// Writes to a database that this process reaches itself.
pub struct SqlCatalogue {
    pub database: Database,
    /// Is rung when a recording is whole.
    pub finishing: Arc<Notify>,
}

#[async_trait]
impl Catalogue for SqlCatalogue {
    async fn stored(&self, segment: &SegmentFacts, key: &str) -> Result<(), CatalogueError> {
        let put = async {
            // What a deleted camera had on its way goes as well.
            if self
                .database
                .is_thrown_away(&segment.camera_uid, segment.start_ms)
                .await?
            {
                return self.database.trash_objects(&[key.to_owned()]).await;
            }
            // It was told before, and deleted since: listed again, it would be shown as long as it takes its object to go, and
            // be missing after that.
            if self.database.is_trash(key).await? {
                return Ok(());
            }
            self.database.put_segments(std::slice::from_ref(segment)).await
        };
        put.await
            .map_err(|error: sql::Error| CatalogueError(error.chain()))
    }

    async fn running(&self, node: &str, camera_uid: &str, begun: &[Begun]) -> Result<(), CatalogueError> {
        let running: Vec<Running> = begun
            .iter()
            .map(|begun| Running {
                name: begun.name.clone(),
                start_ms: begun.start_ms,
            })
            .collect();
        let set = self.database.set_running(node, camera_uid, &running).await;
        set.map_err(|error| CatalogueError(error.chain()))
    }

    async fn finished(&self, node: &str, recording: &Finished) -> Result<(), CatalogueError> {
        let stored = self.store(node, recording).await;
        stored.map_err(|error| CatalogueError(error.chain()))
    }
}

impl SqlCatalogue {
    async fn store(&self, node: &str, recording: &Finished) -> Result<(), sql::Error> {
        let (start_ms, end_ms) = (recording.start_ms, recording.end_ms);
        let segments = self
            .database
            .segments(&recording.camera_uid, start_ms, end_ms, SEGMENTS)
            .await?;
        // Until its MP4 is measured: of those that are cut, the part that is inside.
        let bytes: i64 = segments
            .iter()
            .map(|segment| {
                let inside = segment.end_ms.min(end_ms) - segment.start_ms.max(start_ms);
                let whole = (segment.end_ms - segment.start_ms).max(1);
                i128::from(segment.bytes) * i128::from(inside.max(0)) / i128::from(whole)
            })
            .map(|bytes| i64::try_from(bytes).unwrap_or(0))
            .sum();
        let new = NewRecording {
            file_src: recording.name.clone(),
            camera_uid: recording.camera_uid.clone(),
            node: node.to_owned(),
            schedule_uid: recording.schedule_uid.clone(),
            start_ms,
            end_ms,
            bytes,
        };
        self.database.store_recording(&new).await?;
        self.finishing.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::Location;

    #[tokio::test]
    async fn what_is_told_again_when_it_was_deleted_is_not_listed_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let catalogue = SqlCatalogue {
            database: database.clone(),
            finishing: Arc::default(),
        };
        let facts = SegmentFacts {
            camera_uid: "0a1b".to_owned(),
            start_ms: 1000,
            end_ms: 2000,
            ..SegmentFacts::default()
        };
        let key = facts.key().to_string();
        catalogue.stored(&facts, &key).await.expect("told");
        database
            .trash_segments(std::slice::from_ref(&key))
            .await
            .expect("deleted");
        catalogue.stored(&facts, &key).await.expect("told again");
        let listed = async || {
            database
                .segments("0a1b", 0, 10_000, 10)
                .await
                .expect("a list")
                .len()
        };
        assert_eq!(listed().await, 0);
        assert_eq!(
            database.trash(10).await.expect("a list"),
            std::slice::from_ref(&key)
        );
        database
            .empty_trash(std::slice::from_ref(&key))
            .await
            .expect("gone");
        catalogue
            .stored(&facts, &key)
            .await
            .expect("another of that name");
        assert_eq!(listed().await, 1);
    }
}
