//! What all ways to publish have in common: the stream that a publisher, who dials us, begins.

use crate::hub::{Hub, Provenance, Publisher, Segmentation, Stream};
use std::sync::Arc;
use std::time::Duration;
use weir_proto::media::{StreamPath, Tracks};

/// Hears of streams that are published.
pub type Published = Arc<dyn Fn(&Arc<Stream>) + Send + Sync>;

/// Takes publishers.
#[derive(Clone)]
pub struct Publishing {
    pub hub: Arc<Hub>,
    /// Target length of HLS segments.
    pub segment: Duration,
    /// Told of every stream that is published; on a gateway, which brings it to its owner.
    pub published: Option<Published>,
}

impl Publishing {
    /// Starts the stream of the publisher at `address`, in the place of one that runs under this path.
    pub(super) fn begin(
        &self,
        path: &StreamPath,
        tracks: Tracks,
        protocol: &'static str,
        address: &str,
    ) -> Publisher {
        let from = Provenance {
            protocol,
            address: address.to_owned(),
            session: rand::random(),
        };
        let segmentation = Segmentation::Own(self.segment);
        let publisher = self.hub.publish(path, tracks, from, segmentation);
        if let Some(published) = &self.published {
            published(publisher.stream());
        }
        publisher
    }
}
