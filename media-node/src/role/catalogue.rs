//! The index of recordings as a node has it: at whichever gateway answers.

use crate::api::INDEX;
use crate::cluster::Peers;
use crate::cluster::resource::World;
use crate::peer;
use crate::record::{Begun, Catalogue, CatalogueError, Finished, Report};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::timeout;
use weir_proto::Redacted;
use weir_recording::SegmentFacts;

/// A gateway may wait for its database.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells the gateways of the pool, one of them.
pub(super) struct GatewayCatalogue {
    pub(super) world: World,
    pub(super) http_port: u16,
    pub(super) secret: Redacted<String>,
}

impl GatewayCatalogue {
    async fn tell(&self, report: &Report) -> Result<(), CatalogueError> {
        let json = serde_json::to_vec(report).map_err(|error| CatalogueError(error.to_string()))?;
        let gateways = Peers::of(&self.world.gateways, self.http_port);
        let mut last = CatalogueError("no gateway is ready".to_owned());
        for (name, address) in gateways.addresses() {
            let told = peer::tell(address, &self.secret, INDEX, json.clone().into());
            match timeout(PATIENCE, told).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => last = CatalogueError(format!("gateway {name}: {error}")),
                Err(_) => last = CatalogueError(format!("gateway {name} does not answer")),
            }
        }
        Err(last)
    }
}

#[async_trait]
impl Catalogue for GatewayCatalogue {
    async fn stored(&self, segment: &SegmentFacts, key: &str) -> Result<(), CatalogueError> {
        let report = Report::Segment {
            key: key.to_owned(),
            facts: segment.clone(),
        };
        self.tell(&report).await
    }

    async fn running(&self, node: &str, camera_uid: &str, begun: &[Begun]) -> Result<(), CatalogueError> {
        let report = Report::Running {
            node: node.to_owned(),
            camera_uid: camera_uid.to_owned(),
            begun: begun.to_vec(),
        };
        self.tell(&report).await
    }

    async fn finished(&self, node: &str, recording: &Finished) -> Result<(), CatalogueError> {
        let report = Report::Recording {
            node: node.to_owned(),
            recording: recording.clone(),
        };
        self.tell(&report).await
    }
}
