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
        ("weir_status_writes_total", "Statuses written, by result"),
        ("weir_events_total", "Kubernetes events, by what became of them"),
        (
            "weir_watch_failures_total",
            "Watches of the API server that broke, by kind",
        ),
    ] {
        describe_counter!(name, text);
    }
    describe_histogram!(
        "weir_reconcile_seconds",
        "Time to go over all objects after a change, by kind"
    );
}
