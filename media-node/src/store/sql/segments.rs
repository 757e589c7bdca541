//! Queries on stored segments.
//!
//! Those of a camera lie beside each other in the order of time, in the table itself (SQLite) or in its primary key's index, which
//! has all columns (PostgreSQL): a day of a camera is some pages to read, however many cameras write at once and whatever the
//! index grows to.

use super::entity::{recorded_camera, segment, segment_format};
use super::{Database, Error, writing};
use sea_orm::sea_query::{Expr, ExprTrait, Func, OnConflict, Query};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use weir_recording::facts::TrackFacts;
use weir_recording::{SegmentFacts, SegmentKey};

/// No segment is longer: a day.
pub(super) const LONGEST_MS: i64 = 86_400_000;
/// Rows of one statement, within what SQLite takes.
const ROWS: usize = 500;
/// Rows of one statement that names each of them by its key.
const NAMED: usize = 100;

/// A segment as far as it is compared with what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: SegmentKey,
    /// Milliseconds since 1970.
    pub end_ms: i64,
}

/// How much there is of one camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub struct Stored {
    pub segments: i64,
    pub bytes: i64,
}

/// What many segments have in common, as JSON in the table of formats.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format {
    camera: String,
    path: String,
    init_bytes: u64,
    tracks: Vec<TrackFacts>,
}

impl Database {
    /// Adds segments, or takes what is said of those that are there already.
    pub async fn put_segments(&self, segments: &[SegmentFacts]) -> Result<(), Error> {
        let put = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            for some in segments.chunks(ROWS) {
                put(&transaction, some).await?;
            }
            transaction.commit().await
        };
        put.await.map_err(|source| self.error(source))
    }

    /// The segments of a camera that reach into a range, by their beginning; at most `limit`.
    pub async fn segments(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
        limit: u64,
    ) -> Result<Vec<SegmentFacts>, Error> {
        self.found(camera_uid, reaching_into(from_ms, to_ms), limit).await
    }

    /// The oldest segments of a camera that ended before `before_ms`; at most `limit`.
    pub async fn oldest_segments(
        &self,
        camera_uid: &str,
        before_ms: i64,
        limit: u64,
    ) -> Result<Vec<SegmentFacts>, Error> {
        use segment::Column::{EndMs, StartMs};
        let ended = Condition::all()
            .add(StartMs.lt(before_ms))
            .add(EndMs.lt(before_ms));
        self.found(camera_uid, ended, limit).await
    }

    /// The segment of a camera that begins last.
    pub async fn newest_segment(&self, camera_uid: &str) -> Result<Option<SegmentFacts>, Error> {
        let newest = async {
            let Some(camera) = camera(&self.connections, camera_uid).await? else {
                return Ok(None);
            };
            let row = segment::Entity::find()
                .filter(segment::Column::Camera.eq(camera))
                .order_by_desc(segment::Column::StartMs)
                .limit(1)
                .one(&self.connections)
                .await?;
            let mut told = facts(&self.connections, camera_uid, row.into_iter().collect()).await?;
            Ok(told.pop())
        };
        newest.await.map_err(|source: DbErr| self.error(source))
    }

    /// When the newest footage ended that had ended before `before_ms`, of whatever camera. Of several that reach beyond `enough_ms`, one.
    pub async fn newest_footage(&self, before_ms: i64, enough_ms: i64) -> Result<Option<i64>, Error> {
        use segment::Column::{Camera, EndMs, StartMs};
        let mut newest: Option<i64> = None;
        let cameras = recorded_camera::Entity::find()
            .select_only()
            .column(recorded_camera::Column::Id)
            .into_tuple::<i32>()
            .all(&self.connections)
            .await;
        for camera in cameras.map_err(|source| self.error(source))? {
            let found = segment::Entity::find()
                .select_only()
                .column(EndMs)
                .filter(Camera.eq(camera))
                .filter(StartMs.lt(before_ms))
                .filter(EndMs.lte(before_ms))
                .order_by_desc(StartMs)
                .limit(1)
                .into_tuple::<i64>()
                .one(&self.connections)
                .await;
            newest = Ord::max(newest, found.map_err(|source| self.error(source))?);
            if newest.is_some_and(|newest| newest >= enough_ms) {
                break;
            }
        }
        Ok(newest)
    }

    /// The cameras of which there is anything, by uid.
    pub async fn recorded_cameras(&self) -> Result<Vec<String>, Error> {
        let any = Query::select()
            .expr(Expr::value(1))
            .from(segment::Entity)
            .and_where(
                Expr::col((segment::Entity, segment::Column::Camera))
                    .equals((recorded_camera::Entity, recorded_camera::Column::Id)),
            )
            .take();
        let uids = recorded_camera::Entity::find()
            .select_only()
            .column(recorded_camera::Column::Uid)
            .filter(Expr::exists(any))
            .order_by_asc(recorded_camera::Column::Uid)
            .into_tuple::<String>()
            .all(&self.connections)
            .await;
        uids.map_err(|source| self.error(source))
    }

    /// How much there is of a camera. Takes a millisecond for each few thousand segments.
    pub async fn stored(&self, camera_uid: &str) -> Result<Stored, Error> {
        use segment::Column::{Bytes, Camera};
        let stored = async {
            let Some(camera) = camera(&self.connections, camera_uid).await? else {
                return Ok(None);
            };
            let sum = ExprTrait::cast_as(Expr::col(Bytes).sum(), "bigint");
            segment::Entity::find()
                .select_only()
                .column_as(Expr::col(Bytes).count(), "segments")
                .column_as(Expr::expr(Func::coalesce([sum, Expr::value(0_i64)])), "bytes")
                .filter(Camera.eq(camera))
                .into_model::<Stored>()
                .one(&self.connections)
                .await
        };
        let stored = stored.await.map_err(|source| self.error(source))?;
        Ok(stored.unwrap_or_default())
    }

    /// Forgets segments.
    pub async fn forget_segments(&self, keys: &[String]) -> Result<(), Error> {
        forget(&self.connections, keys)
            .await
            .map_err(|source| self.error(source))
    }

    /// Some segments of a camera in the order of their beginnings, behind `last`; at most `limit`.
    pub async fn next_segments(
        &self,
        camera_uid: &str,
        last: Option<&Listed>,
        limit: u64,
    ) -> Result<Vec<Listed>, Error> {
        listed(&self.connections, camera_uid, Condition::all(), last, limit)
            .await
            .map_err(|source| self.error(source))
    }

    /// Of these segments those that are listed, with their sizes.
    pub async fn segment_sizes(&self, keys: &[String]) -> Result<HashMap<String, u64>, Error> {
        use segment::Column::{Bytes, Camera, Epoch, Sequence, Session, StartMs};
        let asked = async {
            let mut sizes = HashMap::new();
            let keys: Vec<SegmentKey> = keys.iter().filter_map(|key| key.parse().ok()).collect();
            for some in keys.chunks(NAMED) {
                let (which, cameras) = named(&self.connections, some).await?;
                let uids: HashMap<i32, String> = cameras.into_iter().map(|(uid, id)| (id, uid)).collect();
                let Some(which) = which else { continue };
                let rows = segment::Entity::find()
                    .select_only()
                    .columns([Camera, StartMs, Session, Sequence, Epoch, Bytes])
                    .filter(which)
                    .into_tuple::<(i32, i64, i64, i32, i64, i64)>()
                    .all(&self.connections)
                    .await?;
                for (camera, start_ms, session, sequence, epoch, bytes) in rows {
                    let camera_uid = uids.get(&camera).cloned().unwrap_or_default();
                    let key = key(camera_uid, start_ms, session, sequence, epoch);
                    sizes.insert(key.to_string(), bytes as u64);
                }
            }
            Ok(sizes)
        };
        asked.await.map_err(|source: DbErr| self.error(source))
    }

    async fn found(
        &self,
        camera_uid: &str,
        which: Condition,
        limit: u64,
    ) -> Result<Vec<SegmentFacts>, Error> {
        use segment::Column::{Camera, Sequence, Session, StartMs};
        let found = async {
            let Some(camera) = camera(&self.connections, camera_uid).await? else {
                return Ok(Vec::new());
            };
            let rows = segment::Entity::find()
                .filter(Camera.eq(camera))
                .filter(which)
                .order_by_asc(StartMs)
                .order_by_asc(Session)
                .order_by_asc(Sequence)
                .limit(limit)
                .all(&self.connections)
                .await?;
            facts(&self.connections, camera_uid, rows).await
        };
        found.await.map_err(|source| self.error(source))
    }
}

/// Takes segments out of the index. A key that names none has no row.
pub(super) async fn forget(connection: &impl ConnectionTrait, keys: &[String]) -> Result<(), DbErr> {
    let keys: Vec<SegmentKey> = keys.iter().filter_map(|key| key.parse().ok()).collect();
    for some in keys.chunks(NAMED) {
        if let (Some(which), _) = named(connection, some).await? {
            segment::Entity::delete_many()
                .filter(which)
                .exec(connection)
                .await?;
        }
    }
    Ok(())
}

/// Those segments of a camera that fulfil a condition, in the order of their beginnings, behind `last`; at most `limit`.
pub(super) async fn listed(
    connection: &impl ConnectionTrait,
    camera_uid: &str,
    which: Condition,
    last: Option<&Listed>,
    limit: u64,
) -> Result<Vec<Listed>, DbErr> {
    use segment::Column::{Camera, EndMs, Epoch, Sequence, Session, StartMs};
    let Some(camera) = camera(connection, camera_uid).await? else {
        return Ok(Vec::new());
    };
    let mut asked = segment::Entity::find()
        .select_only()
        .columns([StartMs, Session, Sequence, Epoch, EndMs])
        .filter(Camera.eq(camera))
        .filter(which);
    if let Some(Listed { key, .. }) = last {
        let (session, sequence) = (key.session as i64, key.sequence as i32);
        let later = Condition::any()
            .add(StartMs.gt(key.start_ms))
            .add(Session.gt(session))
            .add(
                Condition::all()
                    .add(Session.eq(session))
                    .add(Sequence.gt(sequence)),
            );
        // The first half is what the key can follow.
        asked = asked.filter(StartMs.gte(key.start_ms)).filter(later);
    }
    let rows = asked
        .order_by_asc(StartMs)
        .order_by_asc(Session)
        .order_by_asc(Sequence)
        .limit(limit)
        .into_tuple::<(i64, i64, i32, i64, i64)>()
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(start_ms, session, sequence, epoch, end_ms)| Listed {
            key: key(camera_uid.to_owned(), start_ms, session, sequence, epoch),
            end_ms,
        })
        .collect())
}

/// Of the segments that reach into a range.
pub(super) fn reaching_into(from_ms: i64, to_ms: i64) -> Condition {
    use segment::Column::{EndMs, StartMs};
    Condition::all()
        .add(StartMs.gt(from_ms.saturating_sub(LONGEST_MS)))
        .add(StartMs.lt(to_ms))
        .add(EndMs.gt(from_ms))
}

/// The condition of being one of these segments, none if none of them can be there; and their cameras.
async fn named(
    connection: &impl ConnectionTrait,
    keys: &[SegmentKey],
) -> Result<(Option<Condition>, HashMap<String, i32>), DbErr> {
    use segment::Column::{Camera, Epoch, Sequence, Session, StartMs};
    let uids = keys.iter().map(|key| key.camera_uid.as_str());
    let cameras = cameras(connection, uids.collect()).await?;
    let mut which = Condition::any();
    for key in keys {
        if let Some(camera) = cameras.get(&key.camera_uid) {
            let this = Condition::all()
                .add(Camera.eq(*camera))
                .add(StartMs.eq(key.start_ms))
                .add(Session.eq(key.session as i64))
                .add(Sequence.eq(key.sequence as i32))
                .add(Epoch.eq(key.epoch as i64));
            which = which.add(this);
        }
    }
    // An empty one would be true of all.
    Ok(((!which.is_empty()).then_some(which), cameras))
}

fn key(camera_uid: String, start_ms: i64, session: i64, sequence: i32, epoch: i64) -> SegmentKey {
    SegmentKey {
        camera_uid,
        start_ms,
        epoch: epoch as u64,
        session: session as u64,
        sequence: sequence as u32,
    }
}

async fn put(transaction: &DatabaseTransaction, segments: &[SegmentFacts]) -> Result<(), DbErr> {
    use segment::Column::{
        Bytes, Camera, EndMs, Epoch, Format as Kind, Frames, Keyframes, Sequence, Session, StartMs,
        TableOffset,
    };
    let cameras = numbered_cameras(transaction, segments).await?;
    let formats = segments
        .iter()
        .map(Format::digested)
        .collect::<Result<Vec<_>, _>>();
    let formats = formats.map_err(|error| DbErr::Json(error.to_string()))?;
    let numbers = numbered_formats(transaction, &formats).await?;
    let missing = || DbErr::RecordNotFound("a camera or format that was just written".into());
    let mut rows = Vec::with_capacity(segments.len());
    for (segment, (digest, _)) in segments.iter().zip(&formats) {
        rows.push(segment::ActiveModel {
            camera: Set(*cameras.get(&segment.camera_uid).ok_or_else(missing)?),
            start_ms: Set(segment.start_ms),
            session: Set(segment.session as i64),
            sequence: Set(segment.sequence as i32),
            epoch: Set(segment.epoch as i64),
            end_ms: Set(segment.end_ms),
            bytes: Set(segment.bytes as i64),
            table_offset: Set(segment.table_offset as i64),
            frames: Set(segment.frames as i32),
            keyframes: Set(segment.keyframes as i32),
            format: Set(*numbers.get(digest).ok_or_else(missing)?),
        });
    }
    let again = OnConflict::columns([Camera, StartMs, Session, Sequence])
        .update_columns([Epoch, EndMs, Bytes, TableOffset, Frames, Keyframes, Kind])
        .to_owned();
    segment::Entity::insert_many(rows)
        .on_conflict(again)
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// The numbers of the segments' cameras. New ones get one.
async fn numbered_cameras(
    transaction: &DatabaseTransaction,
    segments: &[SegmentFacts],
) -> Result<HashMap<String, i32>, DbErr> {
    let uids: HashSet<&str> = segments
        .iter()
        .map(|segment| segment.camera_uid.as_str())
        .collect();
    let known = cameras(transaction, uids.clone()).await?;
    let new: Vec<_> = uids.iter().filter(|uid| !known.contains_key(**uid)).collect();
    if new.is_empty() {
        return Ok(known);
    }
    let rows = new.into_iter().map(|uid| recorded_camera::ActiveModel {
        id: NotSet,
        uid: Set((*uid).to_owned()),
    });
    let leave = OnConflict::column(recorded_camera::Column::Uid)
        .do_nothing()
        .to_owned();
    let inserted = recorded_camera::Entity::insert_many(rows)
        .on_conflict(leave)
        .exec_without_returning(transaction)
        .await;
    unless_there(inserted)?;
    cameras(transaction, uids).await
}

/// The numbers of formats by their digests. New ones get one.
async fn numbered_formats(
    transaction: &DatabaseTransaction,
    formats: &[(String, String)],
) -> Result<HashMap<String, i32>, DbErr> {
    let wanted: HashMap<&str, &str> = formats
        .iter()
        .map(|(digest, facts)| (digest.as_str(), facts.as_str()))
        .collect();
    let known = async || {
        let rows = segment_format::Entity::find()
            .select_only()
            .columns([segment_format::Column::Digest, segment_format::Column::Id])
            .filter(segment_format::Column::Digest.is_in(wanted.keys().copied()))
            .into_tuple::<(String, i32)>()
            .all(transaction)
            .await?;
        Ok::<HashMap<String, i32>, DbErr>(rows.into_iter().collect())
    };
    let there = known().await?;
    let new: Vec<_> = wanted
        .iter()
        .filter(|(digest, _)| !there.contains_key(**digest))
        .collect();
    if new.is_empty() {
        return Ok(there);
    }
    let rows = new
        .into_iter()
        .map(|(digest, facts)| segment_format::ActiveModel {
            id: NotSet,
            digest: Set((*digest).to_owned()),
            facts: Set((*facts).to_owned()),
        });
    let leave = OnConflict::column(segment_format::Column::Digest)
        .do_nothing()
        .to_owned();
    let inserted = segment_format::Entity::insert_many(rows)
        .on_conflict(leave)
        .exec_without_returning(transaction)
        .await;
    unless_there(inserted)?;
    known().await
}

/// Somebody else has written all of them meanwhile.
fn unless_there<T>(inserted: Result<T, DbErr>) -> Result<(), DbErr> {
    match inserted {
        Ok(_) | Err(DbErr::RecordNotInserted) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn camera(connection: &impl ConnectionTrait, uid: &str) -> Result<Option<i32>, DbErr> {
    Ok(cameras(connection, HashSet::from([uid])).await?.remove(uid))
}

async fn cameras(
    connection: &impl ConnectionTrait,
    uids: HashSet<&str>,
) -> Result<HashMap<String, i32>, DbErr> {
    let rows = recorded_camera::Entity::find()
        .filter(recorded_camera::Column::Uid.is_in(uids))
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.uid, row.id)).collect())
}

/// What rows of one camera say.
async fn facts(
    connection: &impl ConnectionTrait,
    camera_uid: &str,
    rows: Vec<segment::Model>,
) -> Result<Vec<SegmentFacts>, DbErr> {
    let wanted: HashSet<i32> = rows.iter().map(|row| row.format).collect();
    let mut formats = HashMap::new();
    let wanted: Vec<i32> = wanted.into_iter().collect();
    for some in wanted.chunks(ROWS) {
        let found = segment_format::Entity::find()
            .filter(segment_format::Column::Id.is_in(some.iter().copied()))
            .all(connection)
            .await?;
        for row in found {
            let format: Format =
                serde_json::from_str(&row.facts).map_err(|error| DbErr::Json(error.to_string()))?;
            formats.insert(row.id, format);
        }
    }
    rows.into_iter()
        .map(|row| {
            let format = formats.get(&row.format).ok_or_else(|| {
                DbErr::RecordNotFound(format!(
                    "the format {} of a segment: run index rebuild",
                    row.format
                ))
            })?;
            Ok(SegmentFacts {
                camera_uid: camera_uid.to_owned(),
                camera: format.camera.clone(),
                path: format.path.clone(),
                start_ms: row.start_ms,
                end_ms: row.end_ms,
                epoch: row.epoch as u64,
                session: row.session as u64,
                sequence: row.sequence as u32,
                bytes: row.bytes as u64,
                init_bytes: format.init_bytes,
                table_offset: row.table_offset as u64,
                frames: row.frames as u32,
                keyframes: row.keyframes as u32,
                tracks: format.tracks.clone(),
            })
        })
        .collect()
}

impl Format {
    /// That of a segment: its digest, and what it says.
    fn digested(segment: &SegmentFacts) -> Result<(String, String), serde_json::Error> {
        let facts = serde_json::to_string(&Self {
            camera: segment.camera.clone(),
            path: segment.path.clone(),
            init_bytes: segment.init_bytes,
            tracks: segment.tracks.clone(),
        })?;
        Ok((hex::encode(Sha256::digest(&facts)), facts))
    }
}
