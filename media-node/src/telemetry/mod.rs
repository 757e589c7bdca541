//! Logs to standard error, the recorder behind `/metrics`, and the count of sessions.

mod error_chain;
pub mod sessions;

pub use error_chain::error_chain;

use crate::args::LogFormat;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Starts logging. `WEIR_LOG` filters as `tracing_subscriber::EnvFilter` describes; by default
/// `info`, and warnings only of libraries that are chatty.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,sqlx=warn,sea_orm_migration=warn,retina=error,hyper=warn,kube=warn")
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Fails only when a test has started logging before.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Between two clean-ups of the recorder.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder of the process; its handle renders the Prometheus text. Needs a runtime,
/// on which the recorder is kept small also when nobody reads it.
///
/// # Errors
/// When there is one already.
pub fn metrics() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe();
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(handle)
}

/// The help text of each metric; docs/guide/operations.md has more about them.
fn describe() {
    for (name, text) in [
        ("weir_cameras", "Cameras of this node, by state"),
        ("weir_route_streams", "Streams that Routes have started here"),
        ("weir_relays", "Streams that this gateway relays, by state"),
        ("weir_viewers", "Viewers now, by protocol"),
        (
            "weir_tls_certificate_expiry_timestamp_seconds",
            "When the served certificate expires, in seconds since 1970",
        ),
        (
            "weir_recorded_cameras",
            "Cameras of this node that schedules want recorded now, by state",
        ),
        (
            "weir_recorders",
            "Cameras that are being recorded or finished here",
        ),
        ("weir_spool_segments", "Segments that wait to be stored"),
        ("weir_spool_bytes", "Bytes of the segments that wait to be stored"),
        (
            "weir_spool_limit_bytes",
            "Bytes that segments may take until they are stored",
        ),
        (
            "weir_spool_oldest_seconds",
            "Seconds since the beginning of the oldest segment that waits to be stored",
        ),
        (
            "weir_spool_refused_bytes",
            "Bytes of the segments in the spool in which nothing could be read",
        ),
        (
            "weir_retention_clock_doubted",
            "1 while nothing is deleted by age because the clock is in doubt",
        ),
        (
            "weir_manifest_problems",
            "Documents in the folder of manifests that are wrong",
        ),
    ] {
        describe_gauge!(name, text);
    }
    for (name, text) in [
        ("weir_viewers_total", "Viewers that ever came, by protocol"),
        ("weir_received_bytes_total", "Media that came in, by protocol"),
        ("weir_sent_bytes_total", "Bytes sent to viewers, by form"),
        (
            "weir_skipped_pieces_total",
            "Access units that viewers missed who were too slow",
        ),
        (
            "weir_ingest_failures_total",
            "Attempts at a source that failed or ended, by reason",
        ),
        (
            "weir_ingest_lost_packets_total",
            "RTP packets of pulled cameras that never came",
        ),
        (
            "weir_ingest_bad_packets_total",
            "Packets of publishers that could not be read",
        ),
        ("weir_jobs_started_total", "Ingests started by the supervisor"),
        (
            "weir_connections_refused_total",
            "Connections turned away because too many are open",
        ),
        ("weir_tls_handshakes_total", "TLS handshakes, by result"),
        (
            "weir_api_requests_total",
            "Requests to the APIs, by surface and class of status",
        ),
        (
            "weir_record_segments_total",
            "Segments that are whole on the disk",
        ),
        (
            "weir_record_bytes_total",
            "Bytes of the segments that are whole on the disk",
        ),
        (
            "weir_record_missed_units_total",
            "Access units that recorders missed because the disk was too slow",
        ),
        (
            "weir_record_lost_fragments_total",
            "Fragments that could not be written to the disk",
        ),
        (
            "weir_record_dropped_segments_total",
            "Segments that were dropped before they were stored, because the spool was full",
        ),
        (
            "weir_record_errors_total",
            "Failures of the disk that recordings are written to",
        ),
        (
            "weir_record_recovered_segments_total",
            "Segments of a killed process that were finished at the start",
        ),
        (
            "weir_record_refused_segments_total",
            "Segments of a killed process in which nothing could be read",
        ),
        (
            "weir_spool_refused_removed_total",
            "Segments in which nothing could be read and that were removed from the spool",
        ),
        ("weir_uploaded_bytes_total", "Bytes of segments that were stored"),
        (
            "weir_upload_failures_total",
            "Attempts to store or to list segments that failed, by reason",
        ),
        (
            "weir_retention_segments_total",
            "Segments that were deleted because their time was over",
        ),
        (
            "weir_retention_failures_total",
            "Rounds of deleting old footage that failed",
        ),
        (
            "weir_playback_missing_segments_total",
            "Segments that the index lists and that could not be shown",
        ),
        (
            "weir_snapshots_total",
            "Snapshots that schedules wanted, by result",
        ),
        ("weir_worker_runs_total", "Runs of ffmpeg, by result"),
        ("weir_status_writes_total", "Statuses written, by result"),
        ("weir_events_total", "Kubernetes events, by what became of them"),
        (
            "weir_watch_failures_total",
            "Watches of the API server that broke, by kind",
        ),
    ] {
        describe_counter!(name, text);
    }
    for (name, text) in [
        (
            "weir_reconcile_seconds",
            "Time to go over all objects after a change, by kind",
        ),
        ("weir_upload_seconds", "Time to store a segment"),
        ("weir_worker_seconds", "Time that a run of ffmpeg took"),
    ] {
        describe_histogram!(name, text);
    }
}

#[cfg(test)]
mod tests;
