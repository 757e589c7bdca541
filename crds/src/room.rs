//! `Room`: people who see and hear each other, a broadcast with an audience, or a recording played to a room. The name of
//! the object is the room's id. Who is inside, and what they publish, lives in the memory of the node that owns the room.
//! What is recorded and played is in `recording`.

mod recording;

pub use recording::{Desired, Playback, Resolution, RoomRecording, RoomRecordingStatus};

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    condition::{self, Condition},
    field::{self, Duration},
    rule::rules,
};

/// What the user wants of a room.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weir.video",
    version = "v1alpha1",
    kind = "Room",
    namespaced,
    status = "RoomStatus",
    derive = "PartialEq",
    shortname = "room",
    category = "weir",
    selectable = ".status.node",
    doc = "A conversation, a live broadcast with an audience, or a recording played to a room.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Peers", type_ = "integer", json_path = ".status.peers"),
    printcolumn(name = "Merged", type_ = "integer", json_path = ".status.merged"),
    printcolumn(
        name = "Recording",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Recording")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    (
        "self.type == oldSelf.type",
        "type cannot change: delete the room and make another",
    ),
    (
        "self.type == 'Playback' || has(self.masterId)",
        "masterId is missing: write the user id of the room's owner",
    ),
    (
        "self.type == 'Playback' ? has(self.playback) : !has(self.playback)",
        "playback and type do not fit: write playback in a room of type Playback, and in no other",
    ),
    (
        "self.type == 'Conversation' || !has(self.invitedUserIds) || self.invitedUserIds.size() == 0",
        "invitedUserIds and type do not fit: only a room of type Conversation has invited users; take them away",
    ),
    (
        "self.type == 'Live' || ((!has(self.mirrors) || self.mirrors.size() == 0) && !has(self.mergeGroup))",
        "mirrors, mergeGroup and type do not fit: only a room of type Live has them; take them away",
    ),
    (
        "!has(self.minBitrate) || !has(self.maxBitrate) || self.minBitrate <= self.maxBitrate",
        "minBitrate is above maxBitrate: write a minBitrate that is at most maxBitrate",
    ),
])))]
pub struct RoomSpec {
    /// `Conversation`: invited users, who all may publish. `Live`: a host and co-hosts before an audience. `Playback`: a
    /// recording.
    #[serde(rename = "type")]
    pub type_: RoomType,
    /// User id of the owner or host, who is always admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "user_id")]
    pub master_id: Option<String>,
    /// User ids that a conversation admits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "user_ids")]
    pub invited_user_ids: Vec<String>,
    /// Most users inside at once, the owner included; 0 is no limit.
    #[serde(default = "RoomSpec::default_max_members")]
    #[schemars(schema_with = "members", default = "RoomSpec::default_max_members")]
    pub max_member_num: u32,
    /// How media reaches the clients, by the number that the rooms API gives it.
    #[serde(default)]
    #[schemars(schema_with = "protocol", default)]
    pub protocol: u32,
    /// Least bits a second that a user's media is given.
    #[serde(default = "RoomSpec::default_min_bitrate")]
    #[schemars(schema_with = "bitrate", default = "RoomSpec::default_min_bitrate")]
    pub min_bitrate: u32,
    /// Most bits a second that a user's media is given.
    #[serde(default = "RoomSpec::default_max_bitrate")]
    #[schemars(schema_with = "bitrate", default = "RoomSpec::default_max_bitrate")]
    pub max_bitrate: u32,
    /// Whether users may come in; the owner always may.
    #[serde(default = "field::yes")]
    pub joinable: bool,
    /// Pins the room to this node of the pool; without it, the operator places it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "field::node_name")]
    pub node: Option<String>,
    /// Nodes that serve the room to more audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub mirrors: Vec<Mirror>,
    /// Live rooms with the same group see each other's hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "group")]
    pub merge_group: Option<String>,
    /// The recording of the room that is wanted; without it, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RoomRecording>,
    /// What a room of type `Playback` plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playback: Option<Playback>,
    /// How long the room stays when nobody has come yet; without it, until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_timeout: Option<Duration>,
    /// How long the room stays after the last user has left; without it, until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departure_timeout: Option<Duration>,
}

impl RoomSpec {
    fn default_max_members() -> u32 {
        16
    }

    fn default_min_bitrate() -> u32 {
        600_000
    }

    fn default_max_bitrate() -> u32 {
        3_000_000
    }
}

/// What happens in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RoomType {
    /// Invited users, who all may publish.
    Conversation,
    /// A host and co-hosts before an audience.
    Live,
    /// A recording.
    Playback,
}

/// A node that serves a live room to more audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mirror {
    /// The node of the pool.
    #[schemars(schema_with = "field::node_name")]
    pub node: String,
    /// Who asked for it; without it, `Manual`. Not a default of the schema: in a list that would make a manifest differ from
    /// what is stored, each time it is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<MirrorOrigin>,
}

/// Who asked for a mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MirrorOrigin {
    /// A user or an API call.
    #[default]
    Manual,
    /// The load of the room.
    Auto,
}

/// What is true of a room. The operator writes `node`, `epoch` and the condition `Placed`; the node writes the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomStatus {
    /// The node of the pool that owns the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub node: Option<String>,
    /// Grows with every placement; a node that holds an older epoch has lost the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub epoch: Option<i64>,
    /// Where clients find the room, as the rooms API shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<RoomServer>,
    /// Code that admits users who were not invited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_code: Option<i64>,
    /// Users inside, the audience included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub peers: Option<i64>,
    /// Other rooms of the merge group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub merged: Option<i64>,
    /// Names of the other rooms of the merge group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 253)))]
    pub merged_rooms: Vec<String>,
    /// Nodes that serve the room to more audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub mirrors: Vec<MirrorStatus>,
    /// The recording that runs, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RoomRecordingStatus>,
    /// The `metadata.generation` that the node acts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Accepted`, `Placed`, `Recording`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where clients find a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomServer {
    /// The node's name in the rooms API, such as `media-node-0:cluster-1`.
    #[schemars(length(max = 128))]
    pub alias: String,
    /// WebSocket URL over IPv4.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub url: String,
    /// WebSocket URL over IPv6.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub url6: String,
    /// Host and port inside the cluster.
    #[serde(default)]
    #[schemars(length(max = 320))]
    pub address: String,
}

/// State of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorStatus {
    /// The node of the pool.
    #[schemars(length(max = 63))]
    pub node: String,
    /// Whether it serves.
    pub ready: bool,
}

impl Room {
    /// The node that owns the room.
    pub fn node(&self) -> Option<&str> {
        self.status.as_ref()?.node.as_deref()
    }

    /// The condition of that type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        condition::find(&self.status.as_ref()?.conditions, type_)
    }
}

fn user_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 128,
        "x-kubernetes-validations": rules(&[
            (
                r"self.matches('^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$')",
                "not a user id: write 1 to 128 characters without control characters and without blanks around them, such as host-ann",
            ),
            (
                "self != 'grid' && !self.matches('^(playback|relay|recorder):')",
                "not a user id: grid and the prefixes playback:, relay: and recorder: are reserved",
            ),
        ]),
    })
}

fn user_ids(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 2000,
        "x-kubernetes-list-type": "set",
        "items": user_id(generator),
    })
}

fn group(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": rules(&[(
            "self.matches('^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$')",
            "not a merge group: write letters, digits, '-', '_' and '.', such as a UUID",
        )]),
    })
}

fn members(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "x-kubernetes-validations": rules(&[(
            "self >= 0 && self <= 10000",
            "not a limit: write a number of users up to 10000, or 0 for no limit",
        )]),
    })
}

fn protocol(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "x-kubernetes-validations": rules(&[("self >= 0 && self <= 3", "not a protocol: write a number from 0 to 3")]),
    })
}

fn bitrate(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "x-kubernetes-validations": rules(&[(
            "self >= 30000 && self <= 50000000",
            "not a bit rate: write bits a second from 30000 to 50000000, such as 3000000",
        )]),
    })
}
