//! The index against the bucket, which is the truth: made again from it, or compared with it.

use crate::store::object::{self, Bucket, Found};
use crate::store::sql::{self, Database, Listed};
use futures::stream::{self, StreamExt};
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use weir_proto::fmp4::{self, Scanner};
use weir_recording::key::ALL_SEGMENTS;
use weir_recording::{SegmentFacts, SegmentKey, facts};

/// Objects that are looked at at once.
const AT_ONCE: usize = 32;
/// Rows that are read at once.
const PAGE: u64 = if cfg!(test) { 100 } else { 1000 };
/// Problems that are told one by one.
const MOST_PROBLEMS: usize = 10_000;
/// A segment that has been stored and is not listed yet is not missing: it is about to be.
const FRESH: Duration = Duration::from_mins(10);
/// How often a request that failed is made again, and the first pause before that.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CensusError {
    #[error("the object store failed")]
    Store(#[from] object::Error),
    #[error("the index failed")]
    Index(#[from] sql::Error),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Census {
    /// Segments in the bucket.
    pub segments: u64,
    pub bytes: u64,
    /// Of a rebuild: rows that were written. Of a verification: rows that are right.
    pub listed: u64,
    /// Of a rebuild: rows that were taken out, as their objects are not there.
    pub forgotten: u64,
    /// Objects whose metadata was lost, and that were read instead.
    pub read: u64,
    /// Objects among the segments that are none of ours; they are left alone.
    pub foreign: Vec<String>,
    /// How many segments are not as they should be.
    pub wrong: u64,
    /// What is wrong with them; of many, the first ten thousand.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    pub key: String,
    pub what: String,
}

/// How thorough a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Objects are there, and as large as the index says.
    Sizes,
    /// Each is read, and its table compared with what is in it.
    Contents,
}

/// Makes the index say what is in the bucket. Retention may delete meanwhile, and nodes may store.
///
/// # Errors
/// When the bucket or the database fails for longer than some tries. What was done until then is right.
pub async fn rebuild(bucket: &Bucket, database: &Database) -> Result<Census, CensusError> {
    rebuild_while(bucket, database, async || {}).await
}

/// `meanwhile` is what others do after objects have been looked at, and before their rows are written.
async fn rebuild_while(
    bucket: &Bucket,
    database: &Database,
    meanwhile: impl AsyncFn(),
) -> Result<Census, CensusError> {
    let mut census = Census::default();
    let mut rows = Vec::new();
    let mut from = None;
    loop {
        let page = tried(|| bucket.list(ALL_SEGMENTS, from.as_deref())).await?;
        let looks: Vec<_> = page
            .objects
            .into_iter()
            .map(|found| look(bucket.clone(), found))
            .collect();
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some((found, looked)) = looks.next().await {
            match looked? {
                Looked::Foreign => census.foreign.push(found.key),
                Looked::Gone => {}
                Looked::Bad(what) => {
                    census.count(&found);
                    census.problem(found.key, what);
                }
                Looked::Good { facts, read } => {
                    census.count(&found);
                    census.read += u64::from(read);
                    rows.push(facts);
                }
            }
        }
        meanwhile().await;
        database.put_segments(&rows).await?;
        census.listed += rows.len() as u64;
        rows.clear();
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    // Nothing that is on its way out comes back: what was taken from the index between the look and the writing is either in the
    // journal still, or its object is gone before the bucket is listed once more. In this order.
    let trash = database.trash(u64::from(u32::MAX)).await?;
    database.forget_segments(&trash).await?;
    let mut forgotten = 0;
    each_lost(bucket, database, async |lost: Vec<String>| {
        forgotten += lost.len() as u64;
        database.forget_segments(&lost).await
    })
    .await?;
    census.forgotten = forgotten;
    Ok(census)
}

/// Compares the index with the bucket, and changes neither. Holds a few pages of either, however much there is.
///
/// # Errors
/// As [`rebuild`].
pub async fn verify(bucket: &Bucket, database: &Database, depth: Depth) -> Result<Census, CensusError> {
    let mut census = Census::default();
    let mut from = None;
    let fresh_ms = now_ms() - FRESH.as_millis() as i64;
    loop {
        let page = tried(|| bucket.list(ALL_SEGMENTS, from.as_deref())).await?;
        let looks: Vec<_> = page
            .objects
            .into_iter()
            .map(|found| inspect(bucket.clone(), found, depth))
            .collect();
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        let mut good = Vec::new();
        while let Some((found, looked)) = looks.next().await {
            match looked? {
                Looked::Foreign => census.foreign.push(found.key),
                Looked::Gone => {}
                Looked::Bad(what) => {
                    census.count(&found);
                    census.problem(found.key, what);
                }
                Looked::Good { .. } => {
                    census.count(&found);
                    good.push(found);
                }
            }
        }
        let keys: Vec<String> = good.iter().map(|found| found.key.clone()).collect();
        let listed = database.segment_sizes(&keys).await?;
        for found in good {
            let what = match listed.get(&found.key) {
                Some(bytes) if *bytes == found.bytes => None,
                Some(bytes) => Some(format!("it has {} bytes, and {bytes} in the index", found.bytes)),
                None if is_expected(bucket, database, &found.key, fresh_ms).await? => None,
                None => Some("it is in the bucket and not in the index: run index rebuild".to_owned()),
            };
            match what {
                Some(what) => census.problem(found.key, what),
                None => census.listed += 1,
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    each_lost(bucket, database, async |lost: Vec<String>| {
        // They may have been deleted meanwhile.
        let listed = database.segment_sizes(&lost).await?;
        for key in lost.into_iter().filter(|key| listed.contains_key(key)) {
            let what = "it is in the index and not in the bucket: its footage is lost";
            census.problem(key, what.to_owned());
        }
        Ok(())
    })
    .await?;
    Ok(census)
}

/// Whether a segment that is not listed needn't be: it may have been stored a moment ago, be on its way out, or be gone.
async fn is_expected(
    bucket: &Bucket,
    database: &Database,
    key: &str,
    fresh_ms: i64,
) -> Result<bool, CensusError> {
    let is_fresh = key.parse().is_ok_and(|key: SegmentKey| key.start_ms > fresh_ms);
    Ok(is_fresh || database.is_trash(key).await? || tried(|| bucket.head(key)).await?.is_none())
}

/// Tells of the segments that the index lists and the bucket hasn't, some at a time. Of each camera both are read beside each other, in
/// the order of their beginnings, so that only some pages of them are held. Nodes may store meanwhile: what seems to be missing is asked
/// for before it counts.
async fn each_lost(
    bucket: &Bucket,
    database: &Database,
    mut tell: impl AsyncFnMut(Vec<String>) -> Result<(), sql::Error>,
) -> Result<(), CensusError> {
    for uid in database.recorded_cameras().await? {
        let mut objects = Objects::of(&uid);
        let mut last: Option<Listed> = None;
        loop {
            let rows = database.next_segments(&uid, last.as_ref(), PAGE).await?;
            let Some(newest) = rows.last().cloned() else { break };
            objects.read_until(bucket, newest.key.start_ms).await?;
            let asks: Vec<_> = rows
                .into_iter()
                .map(|row| row.key.to_string())
                .filter(|key| !objects.take(key))
                .map(|key| async move {
                    let head = tried(|| bucket.head(&key)).await?;
                    Ok::<_, CensusError>(head.is_none().then_some(key))
                })
                .collect();
            let mut asks = stream::iter(asks).buffer_unordered(AT_ONCE);
            let mut lost = Vec::new();
            while let Some(asked) = asks.next().await {
                lost.extend(asked?);
            }
            if !lost.is_empty() {
                tell(lost).await?;
            }
            objects.forget_before(newest.key.start_ms);
            last = Some(newest);
        }
    }
    Ok(())
}

/// The objects of a camera's segments, read as far as they are needed.
struct Objects {
    prefix: String,
    from: Option<String>,
    is_all: bool,
    /// Beginning of the last one that was read.
    reached_ms: i64,
    /// Those that nobody has asked for yet, with their beginnings.
    read: HashMap<String, i64>,
}

impl Objects {
    fn of(camera_uid: &str) -> Self {
        Self {
            prefix: SegmentKey::camera_prefix(camera_uid),
            from: None,
            is_all: false,
            reached_ms: i64::MIN,
            read: HashMap::new(),
        }
    }

    async fn read_until(&mut self, bucket: &Bucket, until_ms: i64) -> Result<(), CensusError> {
        while !self.is_all && self.reached_ms <= until_ms {
            let page = tried(|| bucket.list(&self.prefix, self.from.as_deref())).await?;
            for found in page.objects {
                if let Ok(key) = found.key.parse::<SegmentKey>() {
                    self.reached_ms = key.start_ms;
                    self.read.insert(found.key, key.start_ms);
                }
            }
            self.is_all = page.next.is_none();
            self.from = page.next;
        }
        Ok(())
    }

    fn take(&mut self, key: &str) -> bool {
        self.read.remove(key).is_some()
    }

    fn forget_before(&mut self, before_ms: i64) {
        self.read.retain(|_, start_ms| *start_ms >= before_ms);
    }
}

impl Census {
    fn count(&mut self, found: &Found) {
        self.segments += 1;
        self.bytes += found.bytes;
    }

    fn problem(&mut self, key: String, what: String) {
        self.wrong += 1;
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(Problem { key, what });
        }
    }
}

enum Looked {
    Good {
        facts: SegmentFacts,
        read: bool,
    },
    Bad(String),
    Foreign,
    /// It was deleted while it was looked at.
    Gone,
}

/// What an object says of itself.
async fn look(bucket: Bucket, found: Found) -> (Found, Result<Looked, CensusError>) {
    let Ok(key) = found.key.parse::<SegmentKey>() else {
        return (found, Ok(Looked::Foreign));
    };
    let looked = async {
        let Some(head) = tried(|| bucket.head(&found.key)).await? else {
            return Ok(Looked::Gone);
        };
        match SegmentFacts::from_metadata(&key, head.bytes, &head.metadata) {
            Ok(facts) => Ok(Looked::Good { facts, read: false }),
            Err(error) if error.is_of_another() => Ok(Looked::Bad(
                "it is another segment's, copied here: delete it, or copy it to where it belongs".to_owned(),
            )),
            Err(_) => read(&bucket, &key, head.bytes).await,
        }
    };
    let looked = unless_gone(looked.await);
    (found, looked)
}

/// From the object's content, where its metadata is lost or not to be trusted.
async fn read(bucket: &Bucket, key: &SegmentKey, bytes: u64) -> Result<Looked, CensusError> {
    let name = key.to_string();
    let mut scanner = Scanner::new(bytes);
    while let Some(wanted) = scanner.wanted() {
        scanner.push(&tried(|| bucket.read(&name, wanted.clone())).await?);
    }
    let scanned = match scanner.finish() {
        Ok(scanned) => scanned,
        Err(error) => return Ok(Looked::Bad(format!("it can't be read: {error}"))),
    };
    let Some(table) = scanned.table.clone() else {
        let why = scanned
            .tail
            .map_or_else(|| "it has no table".to_owned(), |error| error.to_string());
        return Ok(Looked::Bad(format!("it is cut short or damaged: {why}")));
    };
    let told = fmp4::table::parse(&tried(|| bucket.read(&name, table.clone())).await?);
    if told.as_ref() != Ok(&scanned.fragments) {
        return Ok(Looked::Bad("its table is not that of its content".to_owned()));
    }
    let length = facts::extent(&scanned.tracks, &scanned.fragments).as_millis() as i64;
    let facts = SegmentFacts::of(key, &scanned, "", "", key.start_ms + length.max(1), bytes);
    Ok(Looked::Good { facts, read: true })
}

async fn inspect(bucket: Bucket, found: Found, depth: Depth) -> (Found, Result<Looked, CensusError>) {
    if depth == Depth::Sizes {
        return look(bucket, found).await;
    }
    let Ok(key) = found.key.parse::<SegmentKey>() else {
        return (found, Ok(Looked::Foreign));
    };
    let looked = unless_gone(read(&bucket, &key, found.bytes).await);
    (found, looked)
}

fn unless_gone(looked: Result<Looked, CensusError>) -> Result<Looked, CensusError> {
    match looked {
        Err(CensusError::Store(object::Error::NotFound)) => Ok(Looked::Gone),
        looked => looked,
    }
}

async fn tried<T, F: Future<Output = Result<T, object::Error>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, object::Error> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match ask().await {
            Err(object::Error::Unreachable(_) | object::Error::Busy { .. } | object::Error::Broken(_)) => {}
            answered => return answered,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    ask().await
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as i64
}

#[cfg(test)]
mod tests;
