//! The number by which a gateway's consumers are told from those of other gateways.

use crate::store::sql::Database;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long a gateway that is gone keeps its number.
const LIFETIME: Duration = Duration::from_mins(5);
const RENEWAL: Duration = Duration::from_secs(30);

/// 0 until the first claim has succeeded.
pub(super) type Ordinal = Arc<AtomicU8>;

/// Claims an ordinal for the pod, and renews it until `stop`.
pub(super) async fn hold(store: Database, pod: String, stop: CancellationToken) -> Ordinal {
    let ordinal = Ordinal::default();
    claim(&store, &pod, &ordinal).await;
    let held = ordinal.clone();
    tokio::spawn(async move {
        while stop
            .run_until_cancelled(tokio::time::sleep(RENEWAL))
            .await
            .is_some()
        {
            claim(&store, &pod, &held).await;
        }
    });
    ordinal
}

async fn claim(store: &Database, pod: &str, ordinal: &AtomicU8) {
    match store.claim_ordinal(pod, LIFETIME).await {
        Ok(Some(claimed)) => ordinal.store(claimed, Ordering::Relaxed),
        Ok(None) => warn!("all ordinals are held: ids of consumers may not be unique"),
        Err(error) => warn!(error = %error.chain(), "no ordinal could be claimed; the last one stays"),
    }
}
