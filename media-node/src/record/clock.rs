//! Whether our clock can be believed so far that footage is deleted by it. One that is wrong would have all footage be too old.
//!
//! What is compared with it: itself a while ago; the clocks of other machines, where there are some; and where there are none, what
//! was recorded.

use crate::store::object::Bucket;
use crate::store::sql::{self, Database};
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;
use tracing::{info, warn};

/// A clock that has been set by more is not believed until it has been right for so long. Others may be as far from ours.
const STEP: Duration = Duration::from_mins(10);
const TRUST: Duration = Duration::from_hours(1);
/// How long the object store may take to say what time it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// Without another clock, one that goes on from what was recorded is believed, or one that has gone for so long in one process.
const LONG: Duration = Duration::from_hours(24);

/// Our clock, and what speaks against it.
#[derive(Debug)]
pub(super) struct Clock {
    last: (Instant, SystemTime),
    /// Since when it goes as it does now.
    since: Instant,
    was_set: bool,
    doubt: Option<Doubt>,
}

/// Why it is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doubt {
    Set,
    /// The object store can't be asked, and nothing can be deleted there either.
    Unasked,
    Other {
        whose: &'static str,
        says_ms: i64,
    },
    /// The newest footage that is more than a day old is much older.
    Gap {
        newest_ms: i64,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
        match self {
            Self::Set => write!(
                f,
                "the clock was set; it is believed when it has gone on for an hour"
            ),
            Self::Unasked => write!(f, "the object store can't be asked what time it is"),
            Self::Other { whose, says_ms } => write!(
                f,
                "{whose} says that it is {}: set the clock of the machine that is wrong",
                time(*says_ms)
            ),
            Self::Gap { newest_ms } => write!(
                f,
                "the newest footage that is more than a day old is of {}, and no other clock is there to compare with: \
                 set this machine's clock if it is wrong; if it is right, it is believed when this process has run for a day",
                time(*newest_ms)
            ),
        }
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        Self::at(Instant::now(), SystemTime::now())
    }

    fn at(now: Instant, wall: SystemTime) -> Self {
        Self {
            last: (now, wall),
            since: now,
            was_set: false,
            doubt: None,
        }
    }

    /// Milliseconds since 1970; none while the clock is in doubt, which is said then.
    pub(super) async fn believed_ms(
        &mut self,
        bucket: Option<&Bucket>,
        database: &Database,
    ) -> Result<Option<i64>, sql::Error> {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let now_ms = millis(wall);
        let doubt = match self.doubt_itself(now, wall) {
            Some(doubt) => Some(doubt),
            None => self.doubt_beside(now, now_ms, bucket, database).await?,
        };
        metrics::gauge!("weir_retention_clock_doubted").set(f64::from(u8::from(doubt.is_some())));
        match &doubt {
            // A bucket that is away is said elsewhere, and comes and goes.
            Some(Doubt::Unasked) => {}
            Some(why) if !same(self.doubt.as_ref(), why) => {
                warn!(now = %jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default(), %why,
                    "the clock is in doubt: nothing is deleted by age");
            }
            None if self.doubt.as_ref().is_some_and(|doubt| *doubt != Doubt::Unasked) => {
                info!("the clock is believed: footage is deleted by age again");
            }
            _ => {}
        }
        self.doubt = doubt;
        Ok(self.doubt.is_none().then_some(now_ms))
    }

    /// Whether it has been set.
    fn doubt_itself(&mut self, now: Instant, wall: SystemTime) -> Option<Doubt> {
        let (instant, time) = self.last;
        let expected = time + (now - instant);
        self.last = (now, wall);
        if apart(wall, expected) > STEP {
            self.since = now;
            self.was_set = true;
        }
        (self.was_set && now - self.since < TRUST).then_some(Doubt::Set)
    }

    async fn doubt_beside(
        &self,
        now: Instant,
        now_ms: i64,
        bucket: Option<&Bucket>,
        database: &Database,
    ) -> Result<Option<Doubt>, sql::Error> {
        let mut others = Vec::new();
        if let Some(bucket) = bucket {
            match timeout(PATIENCE, bucket.date()).await {
                Ok(Ok(Some(date))) => others.push(("the object store", millis(date))),
                Ok(Ok(None)) => {}
                Ok(Err(_)) | Err(_) => return Ok(Some(Doubt::Unasked)),
            }
        }
        if let Some(at) = database.clock_elsewhere().await? {
            others.push(("the database", at.saturating_mul(1000)));
        }
        if !others.is_empty() {
            return Ok(doubt_by(now_ms, &others));
        }
        if now - self.since >= LONG {
            return Ok(None);
        }
        let day_ms = LONG.as_millis() as i64;
        let newest_ms = database
            .newest_footage(now_ms - day_ms, now_ms - 2 * day_ms)
            .await?;
        Ok(newest_ms
            .filter(|newest_ms| *newest_ms < now_ms - 2 * day_ms)
            .map(|newest_ms| Doubt::Gap { newest_ms }))
    }
}

/// Whether one of the others says something else.
fn doubt_by(now_ms: i64, others: &[(&'static str, i64)]) -> Option<Doubt> {
    let step_ms = STEP.as_millis() as u64;
    let other = others
        .iter()
        .find(|(_, says_ms)| now_ms.abs_diff(*says_ms) > step_ms);
    other.map(|&(whose, says_ms)| Doubt::Other { whose, says_ms })
}

/// Whether a doubt has been said.
fn same(said: Option<&Doubt>, now: &Doubt) -> bool {
    said.is_some_and(|said| std::mem::discriminant(said) == std::mem::discriminant(now))
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

fn millis(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::Location;
    use weir_recording::SegmentFacts;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut clock = Clock::at(now, wall);
        let minute = Duration::from_mins(1);
        assert_eq!(clock.doubt_itself(now + minute, wall + minute), None);
        let year = Duration::from_hours(24 * 365);
        assert_eq!(
            clock.doubt_itself(now + 2 * minute, wall + year),
            Some(Doubt::Set)
        );
        assert_eq!(
            clock.doubt_itself(now + 3 * minute, wall + year + minute),
            Some(Doubt::Set),
            "nor a minute later"
        );
        let later = now + 4 * minute + TRUST;
        assert_eq!(clock.doubt_itself(later, wall + year + 2 * minute + TRUST), None);
        // What else speaks against it has as long as at the start.
        assert!(later - clock.since < LONG);
    }

    #[test]
    fn other_clocks_agree_or_not() {
        let now_ms = 1_767_603_600_000;
        assert_eq!(
            doubt_by(now_ms, &[("a", now_ms + 300_000), ("b", now_ms - 300_000)]),
            None
        );
        for says_ms in [now_ms - 601_000, now_ms + 601_000] {
            let doubt = doubt_by(now_ms, &[("a", now_ms), ("b", says_ms)]);
            assert_eq!(doubt, Some(Doubt::Other { whose: "b", says_ms }));
        }
    }

    #[tokio::test]
    async fn the_stores_clock_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let bucket = crate::store::object::saying("Mon, 05 Jan 2026 09:00:00 GMT").await;
        let mut clock = Clock::new();
        let believed = clock.believed_ms(Some(&bucket), &database).await.expect("asked");
        assert_eq!(believed, None);
        let doubt = clock.doubt.expect("a doubt").to_string();
        assert!(
            doubt.contains("the object store says that it is 2026-01-05T09:00:00Z"),
            "{doubt}"
        );
        // With none to ask, and nothing to lose, it is believed.
        let mut clock = Clock::new();
        let believed = clock.believed_ms(None, &database).await.expect("asked");
        assert!(believed.is_some());
    }

    #[tokio::test]
    async fn without_another_clock_it_goes_on_from_what_was_recorded() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database");
        let now = Instant::now();
        let clock = Clock::at(now, SystemTime::now());
        let doubt = async |at: Instant, now_ms: i64| {
            clock
                .doubt_beside(at, now_ms, None, &database)
                .await
                .expect("asked")
        };
        let put = async |camera: &str, at_ms: i64| {
            let segment = SegmentFacts {
                camera_uid: camera.into(),
                start_ms: at_ms - 1000,
                end_ms: at_ms,
                bytes: 1,
                ..SegmentFacts::default()
            };
            database.put_segments(&[segment]).await.expect("listed");
        };
        let real_ms = 1_767_603_600_000;
        assert_eq!(doubt(now, real_ms).await, None, "nothing is there to be lost");
        for day in 0..30 {
            put("a", real_ms - day * DAY_MS).await;
        }
        put("b", real_ms - 20 * DAY_MS).await;
        assert_eq!(doubt(now, real_ms).await, None);
        // Years ahead, what this process has recorded since is no proof.
        let wrong_ms = real_ms + 3_000 * DAY_MS;
        put("a", wrong_ms - 60_000).await;
        let gap = Some(Doubt::Gap { newest_ms: real_ms });
        assert_eq!(doubt(now, wrong_ms).await, gap);
        // A machine that was off for so long is believed a day later, and so is one that has recorded for a day.
        assert_eq!(doubt(now + LONG, wrong_ms).await, None);
        put("b", wrong_ms - DAY_MS - 60_000).await;
        assert_eq!(doubt(now, wrong_ms).await, None);
    }
}
