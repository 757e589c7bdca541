//! The cameras as plain values, for those who list them. Taken from the resources, so that every
//! pod lists the same, however few of them it runs.

use super::job_of;
use super::resource::World;
use crate::hub::Hub;
use std::sync::Arc;
use weir_crds::Condition;
use weir_crds::camera::TrackStatus;
use weir_crds::condition::kind;

/// One camera. Texts that nobody knows are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraEntry {
    pub name: String,
    pub namespace: String,
    /// Stream path as it was written.
    pub path: String,
    pub display_name: String,
    /// Kind of source, such as `RTSP`.
    pub source: String,
    /// The node that it is placed on.
    pub node: String,
    pub ready: bool,
    /// Of the condition `Ready`; of `Placed`, while no node has said anything.
    pub reason: String,
    pub message: String,
    pub codec: String,
    /// Such as `1280x720`.
    pub size: String,
    pub tracks: Vec<TrackStatus>,
    /// Viewers in this process.
    pub viewers: usize,
    /// The condition `Forwarding`, where the stream is pushed to other servers.
    pub forwarding: Option<Condition>,
}

/// All cameras, by namespace and name.
pub fn cameras(world: &World, hub: &Arc<Hub>) -> Vec<CameraEntry> {
    let mut all: Vec<CameraEntry> = world
        .cameras
        .state()
        .iter()
        .filter(|c| c.metadata.deletion_timestamp.is_none())
        .map(|camera| {
            let status = camera.status.clone().unwrap_or_default();
            let ready = camera.condition(kind::READY);
            let why = ready.or_else(|| camera.condition(kind::PLACED));
            let stream = job_of::path_of(camera).ok().and_then(|path| hub.stream(&path));
            CameraEntry {
                name: camera.metadata.name.clone().unwrap_or_default(),
                namespace: camera.metadata.namespace.clone().unwrap_or_default(),
                path: camera.path().into_owned(),
                display_name: camera.spec.display_name.clone().unwrap_or_default(),
                source: camera.spec.source.kind().to_owned(),
                node: status.node.unwrap_or_default(),
                ready: ready.is_some_and(weir_crds::Condition::is_true),
                reason: why.map(|c| c.reason.clone()).unwrap_or_default(),
                message: why.map(|c| c.message.clone()).unwrap_or_default(),
                codec: status.codec.unwrap_or_default(),
                size: status.size.unwrap_or_default(),
                tracks: status.tracks,
                viewers: stream.map_or(0, |s| s.viewers_but_servers()),
                forwarding: camera.condition(kind::FORWARDING).cloned(),
            }
        })
        .collect();
    all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::MadeUp;
    use serde_json::json;

    #[tokio::test]
    async fn servers_that_a_stream_is_pushed_to_are_no_viewers() {
        use crate::cluster::fixtures::{path, tracks};
        use crate::hub::{Form, FormKey, Packed, Provenance, Segmentation, Sink, Visitor};
        use weir_proto::media::{AccessUnit, Tracks};

        struct Nothing;
        impl Form for Nothing {
            fn start(&mut self, _: &Tracks, _: &mut Packed) {}
            fn unit(&mut self, _: &Tracks, _: &AccessUnit, _: &mut Packed) {}
            fn tracks_changed(&mut self, _: &Tracks, _: &mut Packed) {}
            fn end(&mut self, _: &mut Packed) {}
        }
        impl Sink for Nothing {
            fn try_write(&self, round: &[u8], _: &[crate::hub::Piece]) -> std::io::Result<usize> {
                Ok(round.len())
            }
            fn poll_writable(&self, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }
        }

        let (world, hub) = (MadeUp::new(), Hub::new());
        world.rtsp("a");
        let from = Provenance {
            protocol: "rtsp",
            address: String::new(),
            session: 1,
        };
        let own = Segmentation::Own(std::time::Duration::from_secs(2));
        let publisher = hub.publish(&path("a"), tracks(), from, own);
        let seat = |protocol| {
            let visitor = Visitor {
                protocol,
                detail: String::new(),
            };
            let key = FormKey {
                name: "nothing",
                layout: 0,
            };
            publisher
                .stream()
                .watch(key, || Box::new(Nothing), Box::new(Nothing), visitor)
        };
        let mut seats = vec![seat("rtmp-push"), seat("rtsp"), seat("rtsp-push")];
        let viewers = || cameras(&world.world, &hub)[0].viewers;
        assert_eq!(viewers(), 1);
        seats.remove(1);
        assert_eq!(viewers(), 0);
    }

    #[test]
    fn a_camera_in_plain_values() {
        let world = MadeUp::new();
        world.rtsp("b");
        world.camera(
            "a",
            json!({"spec": {"path": "Hall/Door", "displayName": "Door", "source": {"publish": {}}},
                "status": {"node": "n-1", "codec": "H265", "size": "1920x1080",
                    "tracks": [{"kind": "Video", "codec": "H265"}],
                    "conditions": [{"type": "Ready", "status": "True", "reason": "Live", "message": "media arrives",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}),
        );
        let all = cameras(&world.world, &Hub::new());
        let names: Vec<_> = all.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let a = &all[0];
        assert_eq!(
            (a.path.as_str(), a.source.as_str(), a.node.as_str()),
            ("Hall/Door", "Publish", "n-1")
        );
        assert_eq!(
            (a.ready, a.reason.as_str(), a.message.as_str()),
            (true, "Live", "media arrives")
        );
        assert_eq!(
            (a.codec.as_str(), a.size.as_str(), a.tracks.len()),
            ("H265", "1920x1080", 1)
        );
        assert_eq!(
            (all[1].ready, all[1].reason.as_str(), all[1].path.as_str()),
            (false, "", "b")
        );
    }
}
