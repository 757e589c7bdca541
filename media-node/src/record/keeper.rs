//! Deletes footage whose time is over, and what users want deleted: journaled, so that what is begun is done, and nothing is
//! listed that is half gone. Only objects that the index or the journal names are touched; rules of the bucket are left alone.

use super::clock::Clock;
use crate::store::object::Bucket;
use crate::store::sql::{self, Database, Keeping, Stored};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use weir_recording::SegmentFacts;
use weir_recording::key::{is_snapshot_prefix, snapshot_prefix, snapshot_time};

/// How often is looked for what is too old.
const ROUND: Duration = Duration::from_mins(1);
/// Segments of a camera that one round deletes at most: a clock or a rule that is wrong for a moment costs so much.
const MOST_SEGMENTS: u64 = 500;
/// How much there is of a camera is summed up every round while it has so few segments (a millisecond for each few thousand), and
/// else so seldom.
const FEW_SEGMENTS: i64 = 10_000;
const SUMS: Duration = Duration::from_mins(10);
/// Objects that are deleted in one go.
const MOST_OBJECTS: u64 = 1_000;
/// How often snapshots that are too old are looked for: the bucket is asked for them, since no index lists them.
const SNAPSHOTS: Duration = Duration::from_hours(1);

/// From a camera's uid to how long its footage is kept, for cameras that schedules choose now.
pub type Rules = Arc<dyn Fn() -> HashMap<String, Keeping> + Send + Sync>;

/// What a keeper works with.
pub struct Keeper {
    pub database: Database,
    pub bucket: watch::Receiver<Option<Bucket>>,
    pub rules: Rules,
    /// Rings when something has been put into the journal.
    pub bell: Arc<Notify>,
}

/// How much there was of each camera whose footage is bounded by its size, and when that was.
type Sums = HashMap<String, (Stored, Instant)>;

impl Keeper {
    /// Goes on until `stop`. Several may run at once.
    pub async fn run(self, stop: CancellationToken) {
        let mut clock = Clock::new();
        let mut snapshots_at = Instant::now();
        let mut sums = Sums::new();
        loop {
            let worked = async {
                let bucket = self.bucket.borrow().clone();
                let now_ms = clock.believed_ms(bucket.as_ref(), &self.database).await;
                let now_ms = now_ms.map_err(|error| error.chain())?;
                self.forget_old(now_ms, &mut sums).await?;
                if now_ms.is_some() && snapshots_at <= Instant::now() {
                    self.forget_snapshots(now_ms).await?;
                    snapshots_at = Instant::now() + SNAPSHOTS;
                }
                self.empty().await
            };
            match stop.run_until_cancelled(worked).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    metrics::counter!("weir_retention_failures_total").increment(1);
                    warn!(error, "old footage can't be deleted now");
                }
            }
            let rung = tokio::time::timeout(ROUND, self.bell.notified());
            if stop.run_until_cancelled(rung).await.is_none() {
                return;
            }
        }
    }

    /// Takes what is too old or too much out of the index. `now_ms` is none while the clock is not believed: nothing is too old then.
    async fn forget_old(&self, now_ms: Option<i64>, sums: &mut Sums) -> Result<(), String> {
        let told = |error: sql::Error| error.chain();
        let mut keepings = self.database.keepings().await.map_err(told)?;
        for (uid, keeping) in (self.rules)() {
            if keepings.get(&uid) != Some(&keeping) {
                self.database.keep(&uid, keeping).await.map_err(told)?;
                keepings.insert(uid, keeping);
            }
        }
        for (uid, keeping) in keepings {
            let too_old = match (keeping.age_ms, now_ms) {
                (Some(age_ms), Some(now_ms)) => now_ms.saturating_sub(age_ms),
                _ => i64::MIN,
            };
            let most = keeping.bytes.unwrap_or(i64::MAX);
            let mut too_much = 0;
            let mut alone = None;
            if keeping.bytes.is_some() && self.stored(&uid, sums).await.map_err(told)? > most {
                // Another gateway may be deleting it just now: two that free the same bytes would free twice as many.
                alone = Some(self.database.lock(&format!("keep {uid}")).await.map_err(told)?);
                too_much = self
                    .database
                    .stored(&uid)
                    .await
                    .map_err(told)?
                    .bytes
                    .saturating_sub(most)
                    .max(0);
                sums.remove(&uid);
            }
            let before_ms = match (too_old, too_much) {
                (i64::MIN, 0) => continue,
                (too_old, 0) => too_old.saturating_add(1),
                _ => i64::MAX,
            };
            let oldest = self
                .database
                .oldest_segments(&uid, before_ms, MOST_SEGMENTS)
                .await
                .map_err(told)?;
            let gone = over(&oldest, too_old, too_much as u64);
            if !gone.is_empty() {
                info!(
                    camera = uid,
                    segments = gone.len(),
                    "footage is deleted: it has been kept as long as its schedules say"
                );
                metrics::counter!("weir_retention_segments_total").increment(gone.len() as u64);
                self.database.expire_segments(&uid, gone).await.map_err(told)?;
            }
            drop(alone);
            if too_old > i64::MIN {
                self.database
                    .forget_empty_recordings(&uid, too_old)
                    .await
                    .map_err(told)?;
            }
        }
        self.database.forget_silent_running().await.map_err(told)?;
        Ok(())
    }

    /// Bytes of a camera's footage, as of now or of a while ago.
    async fn stored(&self, uid: &str, sums: &mut Sums) -> Result<i64, sql::Error> {
        if let Some((stored, at)) = sums.get(uid)
            && stored.segments > FEW_SEGMENTS
            && at.elapsed() < SUMS
        {
            return Ok(stored.bytes);
        }
        let stored = self.database.stored(uid).await?;
        sums.insert(uid.to_owned(), (stored, Instant::now()));
        Ok(stored.bytes)
    }

    /// Puts snapshots that are older than their camera's footage may be into the journal.
    async fn forget_snapshots(&self, now_ms: Option<i64>) -> Result<(), String> {
        let Some(now_ms) = now_ms else {
            return Ok(());
        };
        let Some(bucket) = self.bucket.borrow().clone() else {
            return Ok(());
        };
        let keepings = self.database.keepings().await.map_err(|error| error.chain())?;
        for (uid, keeping) in keepings {
            let Some(age_ms) = keeping.age_ms else { continue };
            let too_old = now_ms.saturating_sub(age_ms);
            let (prefix, mut from) = (snapshot_prefix(&uid), None);
            loop {
                let page = bucket
                    .list(&prefix, from.as_deref())
                    .await
                    .map_err(|error| error.to_string())?;
                let old = |key: &String| snapshot_time(key).is_some_and(|at_ms| at_ms < too_old);
                let keys: Vec<String> = page
                    .objects
                    .into_iter()
                    .map(|found| found.key)
                    .filter(old)
                    .collect();
                self.database
                    .trash_objects(&keys)
                    .await
                    .map_err(|error| error.chain())?;
                // They are listed in the order of time.
                match page.next {
                    Some(next) if !keys.is_empty() => from = Some(next),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// Deletes the objects that the journal names. A prefix of snapshots stands for all that are below it.
    async fn empty(&self) -> Result<(), String> {
        loop {
            let keys = self
                .database
                .trash(MOST_OBJECTS)
                .await
                .map_err(|error| error.chain())?;
            if keys.is_empty() {
                return Ok(());
            }
            let bucket = self
                .bucket
                .borrow()
                .clone()
                .ok_or("no object store is configured")?;
            let (prefixes, keys): (Vec<String>, Vec<String>) =
                keys.into_iter().partition(|key| is_snapshot_prefix(key));
            if keys.is_empty() {
                for prefix in &prefixes {
                    self.empty_below(&bucket, prefix).await?;
                }
                return Ok(());
            }
            let left = bucket.delete(&keys).await.map_err(|error| error.to_string())?;
            let failed: HashMap<&str, &str> = left
                .iter()
                .map(|(key, why)| (key.as_str(), why.as_str()))
                .collect();
            let gone: Vec<String> = keys
                .iter()
                .filter(|key| !failed.contains_key(key.as_str()))
                .cloned()
                .collect();
            self.database
                .empty_trash(&gone)
                .await
                .map_err(|error| error.chain())?;
            if let Some((key, why)) = left.first() {
                return Err(format!("{} objects are left, {key} for one: {why}", left.len()));
            }
        }
    }

    /// Deletes all snapshots below a prefix.
    async fn empty_below(&self, bucket: &Bucket, prefix: &str) -> Result<(), String> {
        loop {
            // What was listed is gone, so that the first page is the next one.
            let page = bucket
                .list(prefix, None)
                .await
                .map_err(|error| error.to_string())?;
            let keys: Vec<String> = page.objects.into_iter().map(|found| found.key).collect();
            if keys.is_empty() {
                break;
            }
            let left = bucket.delete(&keys).await.map_err(|error| error.to_string())?;
            if let Some((key, why)) = left.first() {
                return Err(format!("{} snapshots are left, {key} for one: {why}", left.len()));
            }
        }
        self.database
            .empty_trash_below(prefix)
            .await
            .map_err(|error| error.chain())
    }
}

/// Of the oldest segments those that end before `too_old`, and as many more as make up `too_much` bytes.
fn over(oldest: &[SegmentFacts], too_old: i64, too_much: u64) -> &[SegmentFacts] {
    let mut freed = 0;
    let count = oldest.iter().take_while(|segment| {
        let goes = segment.end_ms <= too_old || freed < too_much;
        freed += segment.bytes;
        goes
    });
    &oldest[..count.count()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::object::Embedded;
    use crate::store::sql::Location;
    use bytes::Bytes;

    fn segment(number: i64) -> SegmentFacts {
        SegmentFacts {
            camera_uid: "a".to_owned(),
            start_ms: number * 1000,
            end_ms: number * 1000 + 1000,
            bytes: 100,
            ..SegmentFacts::default()
        }
    }

    #[test]
    fn age_and_size() {
        let segments: Vec<SegmentFacts> = (0..10).map(segment).collect();
        assert_eq!(
            over(&segments, 3000, 0).len(),
            3,
            "those that end at 1, 2 and 3 s"
        );
        assert_eq!(over(&segments, i64::MIN, 250).len(), 3);
        assert_eq!(over(&segments, 1000, 500).len(), 5);
        assert_eq!(over(&segments, i64::MIN, 0).len(), 0);
        assert_eq!(over(&segments, i64::MAX, 0).len(), 10);
    }

    #[tokio::test]
    async fn what_is_deleted_goes_from_index_and_bucket() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let stop = CancellationToken::new();
        let embedded = Embedded::start(&folder.path().join("objects"), stop.clone())
            .await
            .expect("a store");
        let bucket = embedded.bucket();
        let segments: Vec<SegmentFacts> = (0..5).map(segment).collect();
        for segment in &segments {
            bucket
                .put(&segment.key().to_string(), Bytes::from_static(b"x"), "video/mp4")
                .await
                .expect("put");
        }
        bucket
            .put("somebody/else", Bytes::from_static(b"x"), "text/plain")
            .await
            .expect("put");
        database.put_segments(&segments).await.expect("listed");
        let rules = HashMap::from([(
            "a".to_owned(),
            Keeping {
                age_ms: None,
                bytes: Some(200),
            },
        )]);
        let (away, receiver) = watch::channel(None);
        let keeper = Keeper {
            database: database.clone(),
            bucket: receiver,
            rules: Arc::new(move || rules.clone()),
            bell: Arc::default(),
        };
        let now_ms = Some(1_767_603_600_000);
        // Without the bucket it is begun, and lasts. Of two that look at once, one deletes.
        let (mut sums, mut others) = (Sums::new(), Sums::new());
        let (one, two) = tokio::join!(
            keeper.forget_old(now_ms, &mut sums),
            keeper.forget_old(now_ms, &mut others)
        );
        one.and(two).expect("forgotten");
        assert!(keeper.empty().await.is_err());
        let listed = database.segments("a", 0, 1_000_000, 100).await.expect("a list");
        assert_eq!(listed, segments[3..]);
        assert_eq!(database.trash(100).await.expect("a list").len(), 3);
        away.send_replace(Some(bucket.clone()));
        keeper.empty().await.expect("deleted");
        assert_eq!(database.trash(100).await.expect("a list").len(), 0);
        let left = bucket.list("", None).await.expect("a list");
        let left: Vec<&str> = left.objects.iter().map(|o| o.key.as_str()).collect();
        let (three, four) = (segments[3].key().to_string(), segments[4].key().to_string());
        assert_eq!(left, [three.as_str(), four.as_str(), "somebody/else"]);
        // Snapshots go by age alone.
        for at_ms in [1000, 2_000_000_000_000_000] {
            let key = weir_recording::key::snapshot_key("a", at_ms);
            bucket
                .put(&key, Bytes::from_static(b"x"), "image/jpeg")
                .await
                .expect("put");
        }
        let keeping = Keeping {
            age_ms: Some(60_000),
            bytes: None,
        };
        database.keep("a", keeping).await.expect("said");
        keeper.forget_snapshots(now_ms).await.expect("forgotten");
        keeper.empty().await.expect("deleted");
        let left = bucket.list("snapshots/", None).await.expect("a list");
        assert_eq!(left.objects.len(), 1, "{left:?}");
        // All of a camera's go when it is deleted, and nobody else's.
        for key in ["snapshots/a/live/7.jpg", "snapshots/ab/live/7.jpg"] {
            bucket
                .put(key, Bytes::from_static(b"x"), "image/jpeg")
                .await
                .expect("put");
        }
        database
            .trash_objects(&["snapshots/a/".to_owned()])
            .await
            .expect("noted");
        keeper.empty().await.expect("deleted");
        let left = bucket.list("snapshots/", None).await.expect("a list");
        let left: Vec<&str> = left.objects.iter().map(|o| o.key.as_str()).collect();
        assert_eq!(left, ["snapshots/ab/live/7.jpg"]);
        // One that was on its way then goes too.
        bucket
            .put("snapshots/a/live/8.jpg", Bytes::from_static(b"x"), "image/jpeg")
            .await
            .expect("put");
        keeper.empty().await.expect("deleted");
        let left = bucket.list("snapshots/a/", None).await.expect("a list");
        assert_eq!(left.objects.len(), 0, "{left:?}");
        // A camera that is gone is remembered.
        let keepings = database.keepings().await.expect("a list");
        assert_eq!(keepings["a"].age_ms, Some(60_000));
        stop.cancel();
    }

    #[tokio::test]
    async fn footage_of_cameras_that_are_gone_goes_when_its_time_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let rows = |camera: &'static str| {
            let of_camera = move |number| SegmentFacts {
                camera_uid: camera.to_owned(),
                ..segment(number)
            };
            (0..5).map(of_camera).collect::<Vec<_>>()
        };
        for camera in ["aged", "sized", "unruled"] {
            database.put_segments(&rows(camera)).await.expect("listed");
        }
        let keeping = |age_ms, bytes| Keeping { age_ms, bytes };
        let there = HashMap::from([
            ("aged".to_owned(), keeping(Some(10_000), None)),
            ("sized".to_owned(), keeping(None, Some(700))),
        ]);
        let (rules, known) = watch::channel(there);
        let keeper = Keeper {
            database: database.clone(),
            bucket: watch::channel(None).1,
            rules: Arc::new(move || known.borrow().clone()),
            bell: Arc::default(),
        };
        let left = async || {
            let mut left = Vec::new();
            for camera in ["aged", "sized", "unruled"] {
                left.push(database.stored(camera).await.expect("a sum").segments);
            }
            left
        };
        keeper
            .forget_old(Some(10_500), &mut Sums::new())
            .await
            .expect("a round");
        assert_eq!(left().await, [5, 5, 5], "nothing's time is over");
        // The Cameras are deleted, and their footage is not.
        rules.send_replace(HashMap::new());
        keeper
            .forget_old(Some(10_500), &mut Sums::new())
            .await
            .expect("a round");
        assert_eq!(left().await, [5, 5, 5]);
        keeper
            .forget_old(Some(13_000), &mut Sums::new())
            .await
            .expect("a round");
        assert_eq!(left().await, [2, 5, 5]);
        // What was on its way when its camera was deleted counts as well.
        let mut late = rows("sized");
        for row in &mut late {
            row.sequence = 1;
        }
        database.put_segments(&late).await.expect("listed");
        // None is too old while the clock is not believed; sizes hold.
        keeper.forget_old(None, &mut Sums::new()).await.expect("a round");
        assert_eq!(left().await, [2, 7, 5]);
    }
}
