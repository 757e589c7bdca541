//! The picture that the cloud recorder's API shows of each of its channels: one at a time, a new one every few minutes while the
//! camera runs, whether it is recorded or not.

use super::snapshots::{SnapshotError, Snapshots};
use crate::store::object::Bucket;
use crate::store::sql::Database;
use crate::store::sql::recorder::GatherSettings;
use crate::worker::Error;
use futures::StreamExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use weir_proto::media::StreamPath;
use weir_recording::key::live_snapshot_key;

/// How often is looked whose turn it is. Settings of gathers are in force as soon.
const ROUND: Duration = Duration::from_secs(5);
/// How long one picture may take, until it is stored.
const PATIENCE: Duration = Duration::from_secs(45);
/// Streams that are brought here at once.
const AT_ONCE: usize = 4;

/// A camera whose stream runs.
#[derive(Clone, Debug)]
pub struct Sitter {
    pub camera_uid: String,
    pub path: StreamPath,
    /// Where it runs: how often it is pictured is the node's setting.
    pub node: Option<String>,
    /// Since when, in Unix seconds.
    pub since: i64,
}

/// What it takes to keep them.
#[derive(Clone)]
pub struct Portraits {
    pub database: Database,
    pub snapshots: Snapshots,
    pub bucket: watch::Receiver<Option<Bucket>>,
    /// Cameras whose streams run now.
    pub sitters: Arc<dyn Fn() -> Vec<Sitter> + Send + Sync>,
    /// Rings when something has been put into the journal of what is to be deleted.
    pub deleting: Arc<Notify>,
}

impl Portraits {
    /// Goes on until `stop`. Several may run at once: each picture is taken by one.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.round()).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => debug!(error, "no pictures of channels are taken now"),
            }
            if stop.run_until_cancelled(sleep(ROUND)).await.is_none() {
                return;
            }
        }
    }

    async fn round(&self) -> Result<(), String> {
        // Neither is news: both are said where the process begins to need them.
        self.snapshots.check().map_err(|error| error.to_string())?;
        if self.bucket.borrow().is_none() {
            return Err("no object store is configured".to_owned());
        }
        // Channels that nobody has ever asked this API for have no row, and cost nothing.
        let tried = self.database.camera_images_tried().await;
        let tried = tried.map_err(|error| error.chain())?;
        if tried.is_empty() {
            return Ok(());
        }
        let gathers = self.database.all_gathers().await.map_err(|error| error.chain())?;
        let minutes: HashMap<&str, u32> = gathers
            .iter()
            .map(|row| (row.node.as_str(), GatherSettings::from(row).snapshot_minutes))
            .collect();
        let now = unix_now();
        let due = (self.sitters)().into_iter().filter_map(|sitter| {
            let before = *tried.get(&sitter.camera_uid)?;
            let minutes = sitter.node.as_deref().and_then(|node| minutes.get(node).copied());
            let minutes = minutes.unwrap_or_else(|| GatherSettings::default().snapshot_minutes);
            is_due(before, sitter.since, minutes, now).then_some((sitter, before))
        });
        let taking = due.map(|(sitter, before)| async move {
            match self
                .database
                .claim_camera_image(&sitter.camera_uid, before, now)
                .await
            {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    debug!(error = %error.chain(), "a picture of a channel is left to the next round");
                    return;
                }
            }
            let taken = timeout(PATIENCE, self.take(&sitter)).await;
            if let Err(error) = taken.unwrap_or_else(|_| Err("it took too long".to_owned())) {
                // The next one is tried when it is due.
                warn!(stream = %sitter.path, error, "a channel has no new picture");
            }
        });
        // Pinned to one list, for what they borrow lives as long as this round.
        let taking: Vec<_> = taking.collect();
        futures::stream::iter(taking)
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
        Ok(())
    }

    async fn take(&self, sitter: &Sitter) -> Result<(), String> {
        let uid = &sitter.camera_uid;
        let taken =
            self.snapshots
                .live(&sitter.path)
                .await
                .map_err(|error| match error {
                    SnapshotError::Worker(error @ Error::Missing) => error.to_string(),
                    error => std::error::Error::source(&error)
                        .map_or_else(|| error.to_string(), ToString::to_string),
                })?;
        let Some((jpeg, at_ms)) = taken else {
            return Err("its stream shows nothing".to_owned());
        };
        let bucket = self.bucket.borrow().clone();
        let bucket = bucket.ok_or("no object store is configured")?;
        let key = live_snapshot_key(uid, at_ms);
        bucket
            .put(&key, jpeg, "image/jpeg")
            .await
            .map_err(|error| error.to_string())?;
        let outdated = self.database.set_camera_image(uid, &key, at_ms / 1000).await;
        if let Some(outdated) = outdated.map_err(|error| error.chain())? {
            self.database
                .trash_objects(&[outdated])
                .await
                .map_err(|error| error.chain())?;
            self.deleting.notify_one();
        }
        Ok(())
    }
}

/// So many minutes after the stream began, and after the last one.
fn is_due(tried: i64, since: i64, minutes: u32, now: i64) -> bool {
    now - tried.max(since) >= i64::from(minutes) * 60
}

fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::Location;

    #[test]
    fn the_first_is_due_some_minutes_after_the_start() {
        for (tried, since, minutes, now, due) in [
            (0, 1_000, 2, 1_119, false),
            (0, 1_000, 2, 1_120, true),
            (1_120, 1_000, 2, 1_239, false),
            (1_120, 1_000, 2, 1_240, true),
            // It ran before, and runs again.
            (1_000, 5_000, 1, 5_059, false),
            (1_000, 5_000, 1, 5_060, true),
        ] {
            assert_eq!(is_due(tried, since, minutes, now), due, "{tried} {since} {now}");
        }
    }

    #[tokio::test]
    async fn one_takes_the_picture_and_none_of_what_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let claim = async |before| {
            database
                .claim_camera_image("a", before, 100)
                .await
                .expect("asked")
        };
        assert!(!claim(0).await, "nobody knows it");
        database
            .camera_facts(&[("a".to_owned(), None)])
            .await
            .expect("known");
        assert!(claim(0).await);
        assert!(!claim(0).await, "somebody else has");
        assert_eq!(database.camera_images_tried().await.expect("a list")["a"], 100);
        let set = async |key| database.set_camera_image("a", key, 1).await.expect("said");
        assert_eq!(set("k1").await, None);
        database.delete_camera_fact("a").await.expect("gone");
        assert_eq!(set("k2").await.as_deref(), Some("k2"));
    }
}
