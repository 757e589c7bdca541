//! `Camera`: a source of media, whether we dial it or it sends to us. The kinds of source are in `source`; which node runs
//! it is the operator's plan, running it is the node's.

mod source;

pub use source::{
    DeviceSource, FileSource, Gb28181Source, HttpSource, OnvifSource, PublishSource, RtmpSource, RtspSource,
    Source, Transport,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    condition::{self, Condition},
    field::{self, Duration, Forward, SecretRef, StreamPath},
    rule::rules,
};

/// What the user wants of a camera.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weir.video",
    version = "v1alpha1",
    kind = "Camera",
    namespaced,
    status = "CameraStatus",
    derive = "PartialEq",
    shortname = "cam",
    category = "weir",
    selectable = ".status.node",
    doc = "A source of media: a camera, a recorder, a file, or a device that sends to us.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Source", type_ = "string", json_path = ".status.source"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Codec", type_ = "string", json_path = ".status.codec"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.size"),
    printcolumn(
        name = "Recording",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Recording")].status"#,
        priority = 1
    ),
    printcolumn(name = "Path", type_ = "string", json_path = ".status.path", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(
        name = "Last-Segment",
        type_ = "date",
        json_path = ".status.lastSegmentTime",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[(
    "!(has(self.source.publish) && has(self.connect) && self.connect == 'OnDemand')",
    "connect: a published stream cannot be dialled on demand: take connect away, or write connect: Always",
)])))]
pub struct CameraSpec {
    /// Name of the stream in every URL that plays it; without it, the object's name. Case is kept and means nothing in
    /// comparisons. Of two Cameras with one path the older serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<StreamPath>,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "field::display_name")]
    pub display_name: Option<String>,
    /// Whether the camera runs. When it does not, nothing is dialled, taken or recorded.
    #[serde(default = "field::yes")]
    pub enabled: bool,
    /// When the source is dialled: `Always`, or `OnDemand` for the first viewer. With a `forward` it is always.
    #[serde(default)]
    pub connect: Connect,
    /// How long a stream on demand goes on without a viewer.
    #[serde(default = "CameraSpec::default_idle_timeout")]
    pub idle_timeout: Duration,
    /// Whether the source's audio is taken.
    #[serde(default = "field::yes")]
    pub audio: bool,
    /// Where the media comes from; exactly one kind.
    pub source: Source,
    /// Secret with the keys `username` and `password`, or `userinfo` as it would stand in a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretRef>,
    /// Servers that the stream is pushed to while it runs. A camera with any is dialled at once, also with `connect:
    /// OnDemand`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "field::forwards")]
    pub forward: Vec<Forward>,
    /// Pins the camera to this node of the pool; without it, the operator places it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "field::node_name")]
    pub node: Option<String>,
    /// Labels that the Kubernetes node must have on which the camera runs, for cameras that only some nodes can reach.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "field::labels")]
    pub node_selector: BTreeMap<String, String>,
}

/// When a source is dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Connect {
    /// At once, and again whenever it is lost.
    #[default]
    Always,
    /// For the first viewer; dropped after `idleTimeout` without one.
    OnDemand,
}

impl CameraSpec {
    /// A camera with that source and the defaults.
    pub fn new(source: Source) -> Self {
        Self {
            path: None,
            display_name: None,
            enabled: true,
            connect: Connect::Always,
            idle_timeout: Self::default_idle_timeout(),
            audio: true,
            source,
            credentials: None,
            forward: Vec::new(),
            node: None,
            node_selector: BTreeMap::new(),
        }
    }

    fn default_idle_timeout() -> Duration {
        Duration::from_secs(300)
    }
}

/// What is true of a camera. The operator writes `node`, `epoch` and the condition `Placed`; the node that `node` names
/// writes the rest, and the operator in its place while no node runs the camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CameraStatus {
    /// The node of the pool that runs the camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub node: Option<String>,
    /// Grows with every placement; a node that holds an older epoch has lost the camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub epoch: Option<i64>,
    /// The `epoch` for which the node's part of this status was written: while it is not `epoch`, `Connected` and the rest
    /// are what the former node said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_epoch: Option<i64>,
    /// The stream's path, whether the spec names one or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub path: Option<String>,
    /// The kind of source, such as `RTSP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub source: Option<String>,
    /// Codec of the first video track, or of the first audio track where there is no video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub codec: Option<String>,
    /// Width and height of the first video track, such as `1280x720`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,
    /// Since when media arrives without a gap; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::rule::time")]
    pub live_since: Option<Time>,
    /// The stream's tracks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tracks: Vec<TrackStatus>,
    /// Channels of a device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["number"]))]
    pub channels: Vec<ChannelStatus>,
    /// End of the last segment that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::rule::time")]
    pub last_segment_time: Option<Time>,
    /// The `metadata.generation` that the node acts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Accepted`, `Placed`, `Connected`, `Forwarding`, `Recording`, `Uploaded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One track of a stream. Which fields stand depends on `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackStatus {
    /// What the track carries.
    pub kind: TrackKind,
    /// Name of the codec, such as `H264` or `AAC`.
    #[schemars(length(max = 32))]
    pub codec: String,
    /// Width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Ticks of the track's time stamps in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_rate: Option<u32>,
    /// Audio samples in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Audio channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
}

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else that has time stamps.
    Data,
}

/// One channel of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStatus {
    /// The device's number for it, from 1.
    pub number: u32,
    /// Its stream path.
    #[schemars(length(max = 272))]
    pub path: String,
    /// The device's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub name: Option<String>,
    /// Whether media arrives or could be fetched at once.
    pub connected: bool,
}

impl Camera {
    /// Whether the source is dialled for viewers alone.
    pub fn is_on_demand(&self) -> bool {
        // Who forwards a stream wants it at the other server whether anybody watches here or not.
        self.spec.connect == Connect::OnDemand && self.spec.forward.is_empty()
    }

    /// The stream's path as it is written in URLs: `spec.path`, or the object's name.
    pub fn path(&self) -> Cow<'_, str> {
        match &self.spec.path {
            Some(path) => Cow::Borrowed(path.as_str()),
            None => Cow::Borrowed(self.meta().name.as_deref().unwrap_or_default()),
        }
    }

    /// The key of the stream, by which Cameras, Routes and viewers find it: [`field::canonical_path`] of the path.
    pub fn canonical_path(&self) -> String {
        field::canonical_path(&self.path())
    }

    /// Whether a request for `path` means this camera.
    pub fn serves(&self, path: &str) -> bool {
        self.canonical_path() == field::canonical_path(path)
    }

    /// Whether this camera goes before `other` where both want one path: the older, then the smaller name.
    pub fn goes_before(&self, other: &Self) -> bool {
        crate::precedence(&self.metadata) < crate::precedence(&other.metadata)
    }

    /// The node that runs the camera.
    pub fn node(&self) -> Option<&str> {
        self.status.as_ref()?.node.as_deref()
    }

    /// Whether what the status says of the media was written by the node that `status.node` names now, and not by a former
    /// one.
    pub fn reported_by_owner(&self) -> bool {
        self.status
            .as_ref()
            .is_some_and(|s| s.node.is_some() && s.epoch.is_some() && s.epoch == s.observed_epoch)
    }

    /// The condition of that type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        condition::find(&self.status.as_ref()?.conditions, type_)
    }
}
