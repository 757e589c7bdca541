//! What is recorded of a room, and what a room plays of a recording.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::user_id;
use crate::rule::rules;

/// A recording of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomRecording {
    /// Id of the recording.
    #[schemars(schema_with = "record_id")]
    pub record_id: String,
    /// Whether it should run.
    #[serde(default)]
    pub desired: Desired,
    /// Records everybody, whatever `peers` says.
    #[serde(default)]
    pub all: bool,
    /// User ids of those who are recorded; without them, the owner of a live room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "recorded_ids")]
    pub peers: Vec<String>,
    /// Height of the composed picture.
    #[serde(default)]
    pub resolution: Resolution,
    /// `grid`, or the user id whose picture gets the main place.
    #[serde(default = "RoomRecording::default_layout")]
    #[schemars(schema_with = "layout", default = "RoomRecording::default_layout")]
    pub layout: String,
    /// Turns pictures of users who hold their device upright.
    #[serde(default)]
    pub fix_video_direction: bool,
}

impl RoomRecording {
    fn default_layout() -> String {
        "grid".into()
    }
}

/// Height of a composed picture, as the rooms API spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Resolution {
    /// 1920x1080
    #[serde(rename = "1080p")]
    P1080,
    /// 1280x720
    #[default]
    #[serde(rename = "720p")]
    P720,
    /// 854x480
    #[serde(rename = "480p")]
    P480,
}

/// Whether a recording should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Desired {
    /// It should run.
    #[default]
    Running,
    /// It should be ended and composed.
    Stopped,
}

/// What a room of type `Playback` plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    (
        "!has(self.endTime) || !has(self.startTime) || self.startTime < self.endTime",
        "endTime is not after startTime: write an endTime that is, or take it away to play to the end",
    ),
    (
        "!(has(self.__loop__) && self.__loop__) || has(self.endTime)",
        "endTime is missing: a room that loops needs to know when it ends; write endTime, or take loop away",
    ),
])))]
pub struct Playback {
    /// Id of the recording.
    #[schemars(schema_with = "record_id")]
    pub record_id: String,
    /// Where it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::rule::time")]
    pub start_time: Option<Time>,
    /// Where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::rule::time")]
    pub end_time: Option<Time>,
    /// Begins again at its end.
    #[serde(default, rename = "loop")]
    pub loop_: bool,
}

/// State of a room's recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomRecordingStatus {
    /// Id of the recording.
    #[schemars(length(max = 64))]
    pub record_id: String,
    /// Its state, by the number that the rooms API gives it.
    pub status: i64,
}

fn recorded_ids(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "set",
        "items": user_id(generator),
    })
}

fn layout(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 128,
        "x-kubernetes-validations": rules(&[(
            r"self.matches('^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$')",
            "not a layout: write grid, or the user id whose picture gets the main place",
        )]),
    })
}

fn record_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": rules(&[(
            "self.matches('^[A-Za-z0-9][A-Za-z0-9_-]*$')",
            "not the id of a recording: write letters, digits, '-' and '_'",
        )]),
    })
}
