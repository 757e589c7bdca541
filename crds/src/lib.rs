//! The contract of Weir: the custom resources of group `weir.video`, as types, schema and validation rules.
//!
//! | file | holds |
//! |---|---|
//! | `camera` `route` `room` `record_schedule` `media_pool` | one kind each: spec, status, columns, rules |
//! | `condition` | condition types, reasons, and the helper that sets one |
//! | `field` | field types that several kinds share, each with its own schema and rules |
//! | `schema` | the definitions as the API server gets them |
//! | `reference` | the reference pages, rendered from those definitions |
//! | `validate` | the same refusals without an API server, for a node that reads manifests from a folder; feature `validate` |
//!
//! Here is no client and no reconciling; the crate knows neither the operator nor the media node.
#![warn(missing_docs)]
// Each printer column says its type; the lint takes the columns for one attribute.
#![allow(clippy::duplicated_attributes)]

pub mod camera;
pub mod condition;
pub mod field;
pub mod media_pool;
pub mod record_schedule;
pub mod reference;
pub mod room;
pub mod route;
mod rule;
pub mod schema;
#[cfg(any(test, feature = "validate"))]
pub mod validate;

pub use camera::{Camera, CameraSpec, CameraStatus, Source};
pub use condition::Condition;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use k8s_openapi::jiff;
pub use media_pool::{MediaPool, MediaPoolSpec, MediaPoolStatus};
pub use record_schedule::{Evaluated, RecordSchedule, RecordScheduleSpec, RecordScheduleStatus};
pub use room::{Room, RoomSpec, RoomStatus};
pub use route::{Route, RouteSpec, RouteStatus};

/// The API group of every kind here.
pub const GROUP: &str = "weir.video";
/// The served and stored version of every kind here.
pub const VERSION: &str = "v1alpha1";
/// Field manager of the operator: `status.node`, `status.epoch`, the condition `Placed`, and what no node runs.
pub const OPERATOR_MANAGER: &str = "weir-operator";
/// Field manager of the nodes: everything else in the status of what they run.
pub const NODE_MANAGER: &str = "weir-node";
/// Field manager of the gateways: specs that an API call writes.
pub const GATEWAY_MANAGER: &str = "weir-gateway";
/// The label that names the pool an object belongs to.
pub const POOL_LABEL: &str = "weir.video/pool";

/// The order of objects that want one name: the oldest first, then the smaller namespace and name. An object that no API
/// server has dated goes last.
pub(crate) fn precedence(
    meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> (bool, Option<&Time>, Option<&str>, Option<&str>) {
    let created = meta.creation_timestamp.as_ref();
    (
        created.is_none(),
        created,
        meta.namespace.as_deref(),
        meta.name.as_deref(),
    )
}
