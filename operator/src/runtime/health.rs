//! What probes and Prometheus ask. Alive: the loop that reconciles has come round of late, or this process does not lead. Ready:
//! the watches have brought everything once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A loop that has not come round for so long hangs: no request takes longer than ten seconds, and several may follow.
const HANGS: Duration = Duration::from_mins(3);

/// How the process is.
#[derive(Debug, Default)]
pub(super) struct Health {
    synced: AtomicBool,
    beat: Mutex<Option<Instant>>,
}

impl Health {
    /// The watches have brought everything once.
    pub(super) fn synced(&self) {
        self.synced.store(true, Ordering::Relaxed);
    }

    /// The loop has come round.
    pub(super) fn beat(&self) {
        *self.beat.lock() = Some(Instant::now());
    }

    /// The loop has ended: this process does not lead any more.
    pub(super) fn rest(&self) {
        *self.beat.lock() = None;
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.beat
            .lock()
            .is_none_or(|beat| now.saturating_duration_since(beat) < HANGS)
    }
}

/// Answers until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    let upkeep = metrics.clone();
    let router = router(metrics, health);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    let upkeep = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    };
    tokio::select! {
        result = served => {
            if let Err(error) = result {
                tracing::error!(%error, "health and metrics are not served any more");
            }
        }
        () = upkeep => {}
    }
}

fn router(metrics: PrometheusHandle, health: Arc<Health>) -> Router {
    let answer = |good: bool, text: &'static str| {
        if good {
            (
                StatusCode::OK,
                "ok
",
            )
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    };
    Router::new()
        .route(
            "/healthz",
            get(move |State(h): State<Arc<Health>>| async move {
                answer(h.is_alive(Instant::now()), "the loop hangs\n")
            }),
        )
        .route(
            "/readyz",
            get(move |State(h): State<Arc<Health>>| async move {
                answer(
                    h.synced.load(Ordering::Relaxed),
                    "the watches have not brought everything yet\n",
                )
            }),
        )
        .route("/metrics", get(move || async move { metrics.render() }))
        .with_state(health)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt;

    use super::*;

    async fn status(router: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        router.clone().oneshot(request).await.expect("an answer").status()
    }

    #[tokio::test]
    async fn probes_say_how_it_is() {
        let health = Arc::new(Health::default());
        let router = router(PrometheusBuilder::new().build_recorder().handle(), health.clone());
        assert_eq!(status(&router, "/healthz").await, StatusCode::OK);
        assert_eq!(status(&router, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        health.synced();
        health.beat();
        assert_eq!(status(&router, "/readyz").await, StatusCode::OK);
        assert_eq!(status(&router, "/metrics").await, StatusCode::OK);
        assert!(health.is_alive(Instant::now()));
        assert!(!health.is_alive(Instant::now() + HANGS + HANGS));
        health.rest();
        assert!(
            health.is_alive(Instant::now() + HANGS + HANGS),
            "who does not lead has no loop to hang"
        );
    }
}
