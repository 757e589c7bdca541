//! Names of the metrics and what their labels may be. All labels come from small fixed sets; what is particular to one
//! object is in logs and events.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Reconciliations of a namespace, by `result` (`ok`, `error`).
pub const RECONCILES: &str = "weir_operator_reconciles_total";
/// How long they took.
pub const RECONCILE_SECONDS: &str = "weir_operator_reconcile_seconds";
/// How long the plan alone took.
pub const PLAN_SECONDS: &str = "weir_operator_plan_seconds";
/// Failures, by `kind` of the object and `category`.
pub const ERRORS: &str = "weir_operator_errors_total";
/// Statuses written, by `kind`.
pub const STATUS_WRITES: &str = "weir_operator_status_writes_total";
/// Placements, by `cause` (`new`, or why the former node was left).
pub const PLACEMENTS: &str = "weir_operator_placements_total";
/// Cameras by `state` (`placed`, `moving`, `stranded`, `unplaced`, `path_taken`, `disabled`).
pub const CAMERAS: &str = "weir_operator_cameras";
/// Nodes by `state` (`usable`, `unready`, `lost`, `leaving`).
pub const NODES: &str = "weir_operator_nodes";
/// Pods deleted so that a new version replaces them.
pub const PODS_REPLACED: &str = "weir_operator_pods_replaced_total";
/// 1 while this process leads.
pub const LEADER: &str = "weir_operator_leader";
/// Failures of watches, by `kind`.
pub const WATCH_ERRORS: &str = "weir_operator_watch_errors_total";
/// Objects that a watch brought and that no type fits, by `kind`.
pub const UNREADABLE: &str = "weir_operator_unreadable_objects_total";
/// Events, by `result` (`sent`, `failed`, `suppressed`, `dropped`).
pub const EVENTS: &str = "weir_operator_events_total";

/// Begins to collect metrics in this process.
///
/// # Errors
/// When something else collects them already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let seconds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?
        .install_recorder()?;
    describe_counter!(RECONCILES, "Reconciliations of a namespace");
    describe_histogram!(
        RECONCILE_SECONDS,
        Unit::Seconds,
        "Time that a reconciliation took"
    );
    describe_histogram!(PLAN_SECONDS, Unit::Seconds, "Time that a plan took");
    describe_counter!(ERRORS, "Failures towards the API server");
    describe_counter!(STATUS_WRITES, "Statuses written");
    describe_counter!(PLACEMENTS, "Cameras given a node");
    describe_gauge!(CAMERAS, "Cameras by how they are placed");
    describe_gauge!(NODES, "Nodes by how they stand");
    describe_counter!(PODS_REPLACED, "Pods deleted so that a new version replaces them");
    describe_gauge!(LEADER, "1 while this process leads");
    describe_counter!(WATCH_ERRORS, "Failures of watches");
    describe_counter!(UNREADABLE, "Objects from a watch that no type fits");
    describe_counter!(EVENTS, "Kubernetes Events");
    Ok(handle)
}
