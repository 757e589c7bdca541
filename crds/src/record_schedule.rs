//! `RecordSchedule`: which cameras are recorded when, and how long the recordings are kept.

mod evaluate;

pub use evaluate::Evaluated;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, ResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Camera,
    condition::{self, Condition},
    field::{self, Date, Day, Duration, LabelSelector, Retention, TimeOfDay, TimeZone},
    rule::rules,
};

/// What the user wants to be recorded.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weir.video",
    version = "v1alpha1",
    kind = "RecordSchedule",
    namespaced,
    status = "RecordScheduleStatus",
    derive = "PartialEq",
    shortname = "rec",
    category = "weir",
    doc = "Which cameras are recorded when, and how long the recordings are kept.",
    printcolumn(name = "Active", type_ = "boolean", json_path = ".status.active"),
    printcolumn(name = "Cameras", type_ = "integer", json_path = ".status.cameras"),
    printcolumn(name = "Next-Start", type_ = "string", json_path = ".status.nextStart"),
    printcolumn(name = "Last-Segment", type_ = "date", json_path = ".status.lastSegmentTime"),
    printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
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
        "!((has(self.always) && self.always) && has(self.windows) && self.windows.size() > 0)",
        "windows and always: true exclude each other: write windows, or always: true for round the clock",
    ),
    (
        "(has(self.always) && self.always) || (has(self.windows) && self.windows.size() > 0)",
        "the schedule never records: write windows, or always: true for round the clock",
    ),
])))]
pub struct RecordScheduleSpec {
    /// The cameras that are recorded.
    pub cameras: CameraChoice,
    /// Time zone of the windows and dates; without it, the pool's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// When is recorded, by day of the week.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub windows: Vec<Window>,
    /// Records round the clock.
    #[serde(default)]
    pub always: bool,
    /// Dates on which nothing is recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 366), extend("x-kubernetes-list-type" = "set"))]
    pub except_dates: Vec<Date>,
    /// Records nothing for now.
    #[serde(default)]
    pub suspend: bool,
    /// A long window is cut into recordings of this length.
    #[serde(default = "RecordScheduleSpec::default_recording_length")]
    pub recording_length: Duration,
    /// Number of groups of pictures that a recording repeats of the one before it.
    #[serde(default)]
    #[schemars(schema_with = "overlap", default)]
    pub overlap: u32,
    /// How often a snapshot is taken of a camera that is recorded; without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_interval: Option<Duration>,
    /// How long recordings are kept; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

impl RecordScheduleSpec {
    fn default_recording_length() -> Duration {
        Duration::from_secs(1_800)
    }
}

/// Cameras by name, by label, or both: what either names is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules(&[(
    "(has(self.names) && self.names.size() > 0) || has(self.selector)",
    "no cameras are chosen: write names, a selector, or both; selector: {} chooses all cameras of the namespace",
)])))]
pub struct CameraChoice {
    /// Names of Cameras of this namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "camera_names")]
    pub names: Vec<String>,
    /// Chooses Cameras of this namespace by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A span of time on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules(&[(
    "self.start < self.end",
    "the window ends before it starts: write an end after the start; for one across midnight, two windows, the first with end: \"24:00:00\"",
)])))]
pub struct Window {
    /// Days of the week on which it opens.
    #[schemars(schema_with = "days")]
    pub days: Vec<Day>,
    /// Local time at which it opens.
    pub start: TimeOfDay,
    /// Local time at which it closes.
    pub end: TimeOfDay,
}

/// What is true of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordScheduleStatus {
    /// Whether a window is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// When the next window opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::rule::time")]
    pub next_start: Option<Time>,
    /// When the window that is open closes, or else the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::rule::time")]
    pub next_end: Option<Time>,
    /// Number of Cameras that the schedule chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cameras: Option<i64>,
    /// Where the newest recorded segment of those Cameras ends. It may be some minutes behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::rule::time")]
    pub last_segment_time: Option<Time>,
    /// The `metadata.generation` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Accepted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl RecordSchedule {
    /// Whether the schedule chooses this camera; both must be of one namespace.
    pub fn chooses(&self, camera: &Camera) -> bool {
        let choice = &self.spec.cameras;
        self.metadata.namespace == camera.metadata.namespace
            && (camera
                .metadata
                .name
                .as_ref()
                .is_some_and(|name| choice.names.contains(name))
                || choice
                    .selector
                    .as_ref()
                    .is_some_and(|s| s.matches(camera.labels())))
    }

    /// The condition of that type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        condition::find(&self.status.as_ref()?.conditions, type_)
    }
}

fn overlap(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "x-kubernetes-validations": rules(&[(
            "self >= 0 && self <= 100",
            "not a number of groups of pictures: write a number from 0 to 100",
        )]),
    })
}

fn camera_names(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 256,
        "x-kubernetes-list-type": "set",
        "items": field::object_name(generator),
    })
}

fn days(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 7,
        "x-kubernetes-list-type": "set",
        "items": generator.subschema_for::<Day>(),
        "x-kubernetes-validations": rules(&[(
            "self.size() > 0",
            "the window opens on no day: write some of Mon, Tue, Wed, Thu, Fri, Sat and Sun",
        )]),
    })
}
