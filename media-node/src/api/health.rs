//! For probes and Prometheus: whether the process lives, whether it can serve, and its metrics.

use super::{MetricsText, error};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Whether the process can serve: when all its checks pass. Shared by those who know.
#[derive(Debug, Default)]
pub struct Readiness {
    /// The reason why a check fails, or none.
    checks: RwLock<BTreeMap<&'static str, Option<String>>>,
}

/// One thing that must be well. Dropping it leaves its last state.
#[derive(Clone, Debug)]
pub struct Check {
    readiness: Arc<Readiness>,
    name: &'static str,
}

impl Readiness {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds a check, which fails until it is said to pass.
    pub fn check(self: &Arc<Self>, name: &'static str) -> Check {
        let check = Check {
            readiness: self.clone(),
            name,
        };
        check.fail("has not started yet");
        check
    }

    /// A process without checks is not ready: it has not said yet what it needs.
    pub fn is_ready(&self) -> bool {
        let checks = self.checks.read();
        !checks.is_empty() && checks.values().all(Option::is_none)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, failure) in &*self.checks.read() {
            let _ = writeln!(text, "{name}: {}", failure.as_deref().unwrap_or("ok"));
        }
        text
    }
}

impl Check {
    pub fn pass(&self) {
        let former = self.readiness.checks.write().insert(self.name, None);
        if former.flatten().is_some() {
            tracing::debug!(check = self.name, "ready");
        }
    }

    /// `reason` is shown to whoever asks, so it holds no secret.
    pub fn fail(&self, reason: impl Into<String>) {
        self.readiness
            .checks
            .write()
            .insert(self.name, Some(reason.into()));
    }
}

pub(super) fn router(readiness: Arc<Readiness>, metrics: MetricsText) -> Router {
    let ready = async |State(readiness): State<Arc<Readiness>>| {
        error::readiness(readiness.is_ready(), readiness.text())
    };
    let metrics = async move || {
        (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            metrics(),
        )
            .into_response()
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(readiness)
}
