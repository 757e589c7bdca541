//! Whether what the account store said before still holds: one small question for all who ask at
//! the same time.

use crate::store::sql::Database;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// A store that takes longer counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for the store's revision. However many ask at once, one query runs at a time, and each asker
/// gets the answer to one that began after it came: so it sees all that was done before.
#[derive(Default)]
pub(super) struct Revisions {
    /// How many have asked.
    asked: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// How many had asked when the query began.
    covers: u64,
    /// None: the store did not answer.
    revision: Option<i64>,
}

impl Revisions {
    pub(super) async fn now(&self, store: &Database) -> Option<i64> {
        let place = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.covers >= place {
            return last.revision;
        }
        let covers = self.asked.load(Ordering::SeqCst);
        let revision = match tokio::time::timeout(PATIENCE, store.account_revision()).await {
            Ok(Ok(revision)) => Some(revision),
            Ok(Err(error)) => {
                tracing::warn!(error = %error.chain(), "the account store did not answer");
                None
            }
            Err(_) => {
                tracing::warn!("the account store did not answer in time");
                None
            }
        };
        *last = Last { covers, revision };
        revision
    }
}
