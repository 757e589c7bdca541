//! Channels as the API sees them: Cameras with their numbers, facts and gathers.

use super::super::Api;
use super::gathers::{self, Known};
use super::wire::{Code, Delivery, Fault};
use crate::cluster::resource::{Kind, Target};
use crate::store::sql::Named;
use crate::store::sql::recorder::{API, CameraFact};
use std::sync::Arc;
use weir_crds::Camera;
use weir_crds::condition::{Status, kind, reason};

/// All channels, as they are now.
pub(super) struct Scene {
    /// By number.
    pub(super) channels: Vec<Channel>,
}

/// One channel.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) id: i64,
    pub(super) camera: Camera,
    pub(super) fact: CameraFact,
    pub(super) gather: Option<Arc<Known>>,
}

impl Scene {
    pub(super) async fn load(api: &Api) -> Result<Self, Fault> {
        let database = &api.recorder.database;
        let mut cameras = api.specs.cameras().await?;
        cameras.retain(|camera| camera.metadata.deletion_timestamp.is_none());
        cameras.sort_by_key(|camera| {
            let meta = &camera.metadata;
            (made(camera), meta.namespace.clone(), meta.name.clone())
        });
        let named: Vec<_> = cameras
            .iter()
            .map(|camera| Named {
                uid: uid(camera).to_owned(),
                name: camera.metadata.name.clone().unwrap_or_default(),
            })
            .collect();
        let ids = database.resource_ids(API, "camera", &named).await?;
        // A folder dates no objects: what is seen first today is of today.
        let seen: Vec<_> = cameras
            .iter()
            .map(|camera| {
                (
                    uid(camera).to_owned(),
                    made(camera).filter(|seconds| *seconds > 0),
                )
            })
            .collect();
        let mut facts = database.camera_facts(&seen).await?;
        let gathers: Vec<_> = gathers::known(api).await?.into_iter().map(Arc::new).collect();
        let mut channels: Vec<_> = cameras
            .into_iter()
            .filter_map(|camera| {
                let node = api.recorder.nodes.node_of(&camera);
                let gather = gathers
                    .iter()
                    .find(|gather| Some(&gather.row.node) == node.as_ref());
                Some(Channel {
                    id: *ids.get(uid(&camera))?,
                    fact: facts.remove(uid(&camera))?,
                    gather: gather.cloned(),
                    camera,
                })
            })
            .collect();
        channels.sort_by_key(|channel| channel.id);
        Ok(Self { channels })
    }

    pub(super) fn channel(&self, id: i64) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == id)
    }

    /// The channel that a call names.
    pub(super) fn named(&self, id: i64) -> Result<&Channel, Fault> {
        self.channel(id).ok_or_else(|| Code::NoId.into())
    }
}

impl Channel {
    pub(super) fn uid(&self) -> &str {
        uid(&self.camera)
    }

    pub(super) fn target(&self) -> Target {
        Target::of(Kind::Camera, &self.camera)
    }

    /// -1 not known since its node came up, 0 offline, 1 online.
    pub(super) fn status(&self) -> i64 {
        if !self.gather.as_ref().is_some_and(|gather| gather.is_online()) {
            return 0;
        }
        let status = self.camera.status.as_ref();
        // Where a node is named, what is said of the media must be from this life of it.
        let is_old =
            status.is_some_and(|s| s.node.is_some() && s.epoch.is_some() && s.epoch != s.observed_epoch);
        if is_old {
            return -1;
        }
        // One that is dialled for viewers alone waits for them.
        let connected = self.camera.condition(kind::CONNECTED);
        let is_there =
            connected.is_some_and(|condition| condition.is_true() || condition.reason == reason::IDLE);
        i64::from(self.camera.spec.enabled && is_there)
    }

    /// How a command to its gather fares.
    pub(super) fn delivery(&self) -> Delivery {
        let gather = self.gather.as_ref();
        gather.map_or(Delivery::UnknownGather, |gather| gather.delivery())
    }

    /// Number and text of its last failure; 0 while nothing is wrong.
    pub(super) fn failure(&self) -> (i64, String) {
        if self.status() != 0 || !self.camera.spec.enabled {
            return (0, String::new());
        }
        let accepted = self.camera.condition(kind::ACCEPTED);
        if let Some(refused) = accepted.filter(|condition| condition.status == Status::False) {
            return (9, refused.message.clone());
        }
        let Some(connected) = self.camera.condition(kind::CONNECTED) else {
            return (0, String::new());
        };
        let number = match connected.reason.as_str() {
            reason::CONNECTING | reason::IDLE | reason::WAITING_FOR_PUBLISHER | reason::DISABLED => 0,
            reason::UNREACHABLE => 1,
            reason::AUTH_FAILED => 2,
            reason::NOT_FOUND => 3,
            reason::UNSUPPORTED_CODEC => 4,
            reason::NO_DATA => 5,
            reason::PROTOCOL_ERROR => 6,
            reason::CLOSED_BY_SOURCE => 7,
            reason::ADDRESS_DENIED => 8,
            _ => 10,
        };
        let text = if number == 0 {
            String::new()
        } else {
            connected.message.clone()
        };
        (number, text)
    }
}

fn uid(camera: &Camera) -> &str {
    camera.metadata.uid.as_deref().unwrap_or_default()
}

/// Unix seconds.
fn made(camera: &Camera) -> Option<i64> {
    let stamp = camera.metadata.creation_timestamp.as_ref();
    stamp.map(|time| time.0.as_second())
}
