//! What a node tells of what it has stored, on its way to who keeps the index.

use super::note::{Begun, Catalogue, CatalogueError, Finished};
use serde::{Deserialize, Serialize};
use weir_recording::SegmentFacts;

/// One piece of it, as JSON between the pods of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Report {
    Segment {
        key: String,
        facts: SegmentFacts,
    },
    Running {
        node: String,
        camera_uid: String,
        begun: Vec<Begun>,
    },
    Recording {
        node: String,
        recording: Finished,
    },
}

impl Report {
    /// Tells it to whom it is for.
    ///
    /// # Errors
    /// When that one did not take it.
    pub async fn tell(&self, catalogue: &dyn Catalogue) -> Result<(), CatalogueError> {
        match self {
            Self::Segment { key, facts } => catalogue.stored(facts, key).await,
            Self::Running {
                node,
                camera_uid,
                begun,
            } => catalogue.running(node, camera_uid, begun).await,
            Self::Recording { node, recording } => catalogue.finished(node, recording).await,
        }
    }
}
