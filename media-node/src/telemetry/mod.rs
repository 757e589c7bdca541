//! Logs to standard error, the recorder behind `/metrics`, and the count of sessions.

pub mod sessions;

use crate::args::LogFormat;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Starts logging. `WEIR_LOG` filters as `tracing_subscriber::EnvFilter` describes; by default
/// `info`, and warnings only of libraries that are chatty.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,sqlx=warn,sea_orm_migration=warn,retina=warn,hyper=warn,kube=warn")
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
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(handle)
}
