//! The index against the bucket, which is the truth: made again from it, or compared with it.

use crate::store::object::{self, Bucket, Found};
use crate::store::sql::{self, Database};
use futures::stream::{self, StreamExt};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use weir_proto::fmp4::{self, Scanner};
use weir_recording::key::ALL_SEGMENTS;
use weir_recording::{SegmentFacts, SegmentKey, facts};

/// Objects that are looked at at once.
const AT_ONCE: usize = 32;
/// Rows that are written at once.
const BATCH: usize = 500;
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
    /// What is wrong.
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

/// Makes the index say what is in the bucket.
///
/// # Errors
/// When the bucket or the database fails for longer than some tries. What was done until then is right.
pub async fn rebuild(bucket: &Bucket, database: &Database) -> Result<Census, CensusError> {
    let mut census = Census::default();
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
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
                Looked::Bad(what) => {
                    census.segments += 1;
                    census.bytes += found.bytes;
                    census.problems.push(Problem { key: found.key, what });
                }
                Looked::Good { facts, read } => {
                    census.segments += 1;
                    census.bytes += found.bytes;
                    census.read += u64::from(read);
                    rows.push(facts);
                    seen.insert(found.key);
                }
            }
        }
        while rows.len() >= BATCH {
            let some: Vec<SegmentFacts> = rows.drain(..BATCH).collect();
            database.put_segments(&some).await?;
            census.listed += some.len() as u64;
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    database.put_segments(&rows).await?;
    census.listed += rows.len() as u64;
    // Rows of objects that are not there. What was stored while this ran is not among what was seen, so each is asked for.
    for uid in database.recorded_cameras().await? {
        let listed = database.segment_sizes(&uid).await?;
        let mut lost = Vec::new();
        for key in listed.keys().filter(|key| !seen.contains(*key)) {
            if tried(|| bucket.head(key)).await?.is_none() {
                lost.push(key.clone());
            }
        }
        census.forgotten += lost.len() as u64;
        database.forget_segments(&lost).await?;
    }
    // Nothing that is on its way out comes back.
    let trash = database.trash(u64::from(u32::MAX)).await?;
    database.forget_segments(&trash).await?;
    Ok(census)
}

/// Compares the index with the bucket, and changes neither.
///
/// # Errors
/// As [`rebuild`].
pub async fn verify(bucket: &Bucket, database: &Database, depth: Depth) -> Result<Census, CensusError> {
    let mut census = Census::default();
    let trash: HashSet<String> = database.trash(u64::from(u32::MAX)).await?.into_iter().collect();
    let mut listed = HashMap::new();
    for uid in database.recorded_cameras().await? {
        listed.extend(database.segment_sizes(&uid).await?);
    }
    let mut seen = HashSet::new();
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
        while let Some((found, looked)) = looks.next().await {
            let Ok(key) = found.key.parse::<SegmentKey>() else {
                census.foreign.push(found.key);
                continue;
            };
            census.segments += 1;
            census.bytes += found.bytes;
            let what = match looked? {
                Looked::Bad(what) => Some(what),
                _ => match listed.get(&found.key) {
                    Some(bytes) if *bytes == found.bytes => None,
                    Some(bytes) => Some(format!("it has {} bytes, and {bytes} in the index", found.bytes)),
                    // It may have been stored a moment ago, or be on its way out.
                    None if trash.contains(&found.key) || key.start_ms > fresh_ms => None,
                    None => Some("it is in the bucket and not in the index: run index rebuild".to_owned()),
                },
            };
            seen.insert(found.key.clone());
            match what {
                Some(what) => census.problems.push(Problem { key: found.key, what }),
                None => census.listed += 1,
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    for key in listed.keys().filter(|key| !seen.contains(*key)) {
        // It may have been deleted meanwhile.
        let is_listed = match key.parse::<SegmentKey>() {
            Ok(parsed) => database
                .segment_sizes(&parsed.camera_uid)
                .await?
                .contains_key(key),
            Err(_) => true,
        };
        if is_listed && tried(|| bucket.head(key)).await?.is_none() {
            census.problems.push(Problem {
                key: key.clone(),
                what: "it is in the index and not in the bucket: its footage is lost".to_owned(),
            });
        }
    }
    Ok(census)
}

enum Looked {
    Good { facts: SegmentFacts, read: bool },
    Bad(String),
    Foreign,
}

/// What an object says of itself.
async fn look(bucket: Bucket, found: Found) -> (Found, Result<Looked, CensusError>) {
    let Ok(key) = found.key.parse::<SegmentKey>() else {
        return (found, Ok(Looked::Foreign));
    };
    let looked = async {
        let Some(head) = tried(|| bucket.head(&found.key)).await? else {
            return Ok(Looked::Bad("it went away while it was looked at".to_owned()));
        };
        match SegmentFacts::from_metadata(&key, head.bytes, &head.metadata) {
            Ok(facts) => Ok(Looked::Good { facts, read: false }),
            Err(error) if error.is_of_another() => Ok(Looked::Bad(
                "it is another segment's, copied here: delete it, or copy it to where it belongs".to_owned(),
            )),
            Err(_) => read(&bucket, &key, head.bytes).await,
        }
    };
    let looked = looked.await;
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
    let looked = read(&bucket, &key, found.bytes).await;
    (found, looked)
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
