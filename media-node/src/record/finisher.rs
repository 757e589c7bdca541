//! What a recording gets once it is whole: the exact length of its MP4, and a picture. Neither is waited for where recordings
//! are listed or told: what is missing is found in the index.

use super::playback::{Playback, PlaybackError};
use super::snapshots::{SnapshotError, Snapshots};
use crate::store::object::Bucket;
use crate::store::sql::Database;
use crate::store::sql::recorder::Recording;
use crate::worker;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use weir_recording::key::recording_snapshot_key;

/// How often is looked for recordings that lack something, without anybody ringing.
const ROUND: Duration = Duration::from_mins(1);
/// Recordings that one round takes care of.
const MOST: u64 = 100;
/// How long one may take: its segments' heads are read, and one picture.
const PATIENCE: Duration = Duration::from_mins(1);
/// The picture is of the first half of so much of the recording.
const BEGINNING_MS: i64 = 120_000;
/// The picture of a shorter one is its first.
const SHORT_MS: i64 = 5_000;

/// What a finisher works with.
pub struct Finisher {
    pub database: Database,
    pub playback: Playback,
    pub snapshots: Snapshots,
    pub bucket: watch::Receiver<Option<Bucket>>,
    /// Rings when a recording is whole.
    pub bell: Arc<Notify>,
    /// Rings when something has been put into the journal of what is to be deleted.
    pub deleting: Arc<Notify>,
}

impl Finisher {
    /// Goes on until `stop`. Several may run at once: they come to the same.
    pub async fn run(self, stop: CancellationToken) {
        let mut is_failing = false;
        loop {
            let Some(worked) = stop.run_until_cancelled(Box::pin(self.round())).await else {
                return;
            };
            match worked {
                Ok(()) if std::mem::take(&mut is_failing) => info!("recordings get their pictures again"),
                Ok(()) => {}
                Err(error) if is_failing => tracing::debug!(error, "recordings can't be read yet"),
                Err(error) => {
                    is_failing = true;
                    warn!(
                        error,
                        "recordings can't be read: their exact size and their pictures come later"
                    );
                }
            }
            let rung = timeout(ROUND, self.bell.notified());
            if stop.run_until_cancelled(rung).await.is_none() {
                return;
            }
        }
    }

    async fn round(&self) -> Result<(), String> {
        let rows = self.database.unmeasured_recordings(MOST).await;
        let mut outcome = Ok(());
        for row in rows.map_err(|error| error.chain())? {
            let id = row.id;
            let done = timeout(PATIENCE, self.finish(row)).await;
            // One that can't be read now keeps no other.
            if let Err(error) = done.unwrap_or_else(|_| Err("the object store is too slow".to_owned())) {
                outcome = Err(format!("recording {id}: {error}"));
            }
        }
        outcome
    }

    /// An error where it is worth to come back.
    async fn finish(&self, mut row: Recording) -> Result<(), String> {
        match self.playback.mp4(&row.camera_uid, row.start_ms, row.end_ms).await {
            Ok(footage) => {
                let bytes = footage.map_or(0, |footage| footage.len());
                row.bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            }
            Err(error) if is_passing(&error) => return Err(error.to_string()),
            // It can't be downloaded as one either.
            Err(error) => warn!(recording = row.id, %error, "a recording can't be measured"),
        }
        if row.image_key.is_none() && row.bytes > 0 {
            row.image_key = self.picture(&row).await?;
        }
        let is_kept = self.database.measure_recording(&row).await;
        if is_kept.map_err(|error| error.chain())? {
            return Ok(());
        }
        // It was deleted meanwhile, or has become longer and is taken up again.
        if let Some(key) = row.image_key {
            self.database
                .trash_objects(&[key])
                .await
                .map_err(|error| error.chain())?;
            self.deleting.notify_one();
        }
        Ok(())
    }

    /// The key of its picture, which is stored then; none where it can't have one.
    async fn picture(&self, row: &Recording) -> Result<Option<String>, String> {
        // That there is no ffmpeg was said when the process began.
        if self.snapshots.check().is_err() {
            return Ok(None);
        }
        let moments = [moment(row), row.start_ms];
        for at_ms in moments {
            let made = self
                .snapshots
                .stored(&row.camera_uid, at_ms, &self.playback, None)
                .await;
            match made {
                Ok(Some(jpeg)) => {
                    let bucket = self
                        .bucket
                        .borrow()
                        .clone()
                        .ok_or("no object store is configured")?;
                    let key = recording_snapshot_key(&row.camera_uid, at_ms, &row.uniq);
                    bucket
                        .put(&key, jpeg, "image/jpeg")
                        .await
                        .map_err(|error| error.to_string())?;
                    return Ok(Some(key));
                }
                Ok(None) => {}
                Err(SnapshotError::Stored(error)) if is_passing(&error) => return Err(error.to_string()),
                Err(SnapshotError::Worker(error @ worker::Error::Busy)) => return Err(error.to_string()),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(recording = row.id, %error, cause, "a recording has no picture of this moment");
                }
            }
        }
        Ok(None)
    }
}

/// When the picture is taken: anywhere at the beginning, and for the same recording at the same time whoever takes it.
fn moment(row: &Recording) -> i64 {
    let length_ms = row.end_ms - row.start_ms;
    if length_ms <= SHORT_MS {
        return row.start_ms;
    }
    let within = length_ms.min(BEGINNING_MS) / 2;
    // Digits of hexadecimal that were drawn at random.
    let drawn = row
        .uniq
        .get(..8)
        .and_then(|digits| i64::from_str_radix(digits, 16).ok());
    row.start_ms + drawn.unwrap_or(0) % within
}

/// Whether it may be different the next time.
const fn is_passing(error: &PlaybackError) -> bool {
    matches!(
        error,
        PlaybackError::NoBucket | PlaybackError::Store(_) | PlaybackError::Index(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Hub;
    use crate::store::sql::Location;
    use crate::store::sql::recorder::NewRecording;
    use crate::worker::Workers;

    async fn recorded(database: &Database, end_ms: i64) -> Recording {
        let new = NewRecording {
            file_src: "one".into(),
            camera_uid: "a".into(),
            node: "n".into(),
            schedule_uid: String::new(),
            start_ms: 1_000,
            end_ms,
            bytes: 77,
        };
        let id = database
            .store_recording(&new)
            .await
            .expect("stored")
            .expect("a number");
        database.recording(id).await.expect("read").expect("a row")
    }

    #[tokio::test]
    async fn a_recording_is_measured_once_and_again_when_it_is_longer() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let row = recorded(&database, 9_000).await;
        assert!(!row.measured && row.bytes == 77);
        let measured = Recording {
            bytes: 80,
            image_key: Some("k".into()),
            ..row.clone()
        };
        assert!(database.measure_recording(&measured).await.expect("stored"));
        // Told again by its node, it keeps what was found out.
        let row = recorded(&database, 9_000).await;
        assert_eq!(
            (row.measured, row.bytes, row.image_key.as_deref()),
            (true, 80, Some("k"))
        );
        assert!(
            database
                .unmeasured_recordings(9)
                .await
                .expect("a list")
                .is_empty()
        );
        let longer = recorded(&database, 10_000).await;
        assert_eq!(
            (longer.measured, longer.bytes, longer.image_key.as_deref()),
            (false, 77, Some("k"))
        );
        // What was found out of the shorter one is not taken.
        assert!(!database.measure_recording(&measured).await.expect("asked"));
        database.remove_recording(longer.id).await.expect("removed");
        assert!(!database.measure_recording(&longer).await.expect("asked"));

        // Without a bucket it waits, and lasts.
        let row = recorded(&database, 9_000).await;
        let segment = weir_recording::SegmentFacts {
            camera_uid: "a".into(),
            end_ms: 9_000,
            bytes: 1,
            ..Default::default()
        };
        database
            .put_segments(std::slice::from_ref(&segment))
            .await
            .expect("listed");
        let (_away, bucket) = watch::channel(None);
        let finisher = Finisher {
            database: database.clone(),
            playback: Playback::new(database.clone(), bucket.clone()),
            snapshots: Snapshots::new(Hub::new(), Workers::new(None)),
            bucket,
            bell: Arc::default(),
            deleting: Arc::default(),
        };
        assert!(finisher.round().await.is_err());
        assert_eq!(database.unmeasured_recordings(9).await.expect("a list"), [row]);
        // Of footage that is gone nothing is left to wait for.
        database
            .trash_segments(&[segment.key().to_string()])
            .await
            .expect("gone");
        finisher.round().await.expect("measured");
        assert!(
            database
                .unmeasured_recordings(9)
                .await
                .expect("a list")
                .is_empty()
        );
    }

    #[tokio::test]
    async fn pictures_are_of_the_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let row = recorded(&database, 9_000).await;
        for (uniq, length_ms, after) in [
            ("ffffffffffffffff", 5_000, 0),
            ("0000000000000000", 60_000, 0),
            ("00007531ffffffff", 60_000, 1),
            ("00007531ffffffff", 600_000, 30_001),
            ("0000ea5f00000000", 600_000, 59_999),
            ("0000ea6000000000", 600_000, 0),
        ] {
            let row = Recording {
                uniq: uniq.into(),
                end_ms: row.start_ms + length_ms,
                ..row.clone()
            };
            assert_eq!(moment(&row) - row.start_ms, after, "{uniq} of {length_ms}");
        }
    }
}
