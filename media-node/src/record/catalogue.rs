//! The index in SQL.

use super::note::{Catalogue, CatalogueError, Finished};
use crate::store::sql::{Database, SegmentRow};
use async_trait::async_trait;
use weir_recording::SegmentFacts;

/// Writes to a database that this process reaches itself.
pub struct SqlCatalogue {
    pub database: Database,
}

#[async_trait]
impl Catalogue for SqlCatalogue {
    async fn stored(&self, segment: &SegmentFacts, key: &str) -> Result<(), CatalogueError> {
        let row = row(segment, key)?;
        let put = self.database.put_segments(&[row]).await;
        put.map_err(|error| CatalogueError(error.chain()))
    }

    async fn finished(&self, node: &str, recording: &Finished) -> Result<(), CatalogueError> {
        let _ = (node, recording);
        Ok(())
    }
}

/// A segment as the index has it.
pub(super) fn row(segment: &SegmentFacts, key: &str) -> Result<SegmentRow, CatalogueError> {
    Ok(SegmentRow {
        key: key.to_owned(),
        camera_uid: segment.camera_uid.clone(),
        start_ms: segment.start_ms,
        end_ms: segment.end_ms,
        bytes: segment.bytes,
        facts: serde_json::to_string(segment).map_err(|error| CatalogueError(error.to_string()))?,
    })
}
