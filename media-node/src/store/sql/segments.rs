//! Queries on stored segments.

use super::entity::segment;
use super::{Database, Error, writing};
use sea_orm::sea_query::{Expr, ExprTrait, Func, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, TransactionTrait,
};
use std::collections::HashMap;

/// No segment is longer: a day.
pub(super) const LONGEST_MS: i64 = 86_400_000;
/// Rows of one statement, within what SQLite takes.
const ROWS: usize = 500;

/// A segment as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// The object's key.
    pub key: String,
    pub camera_uid: String,
    /// Milliseconds since 1970.
    pub start_ms: i64,
    pub end_ms: i64,
    /// The object's size.
    pub bytes: u64,
    /// All that is said of it, as JSON.
    pub facts: String,
}

/// A segment as far as it is compared with what is stored.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Listed {
    pub key: String,
    /// Milliseconds since 1970.
    pub start_ms: i64,
    pub end_ms: i64,
}

/// How much there is of one camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub struct Stored {
    pub segments: i64,
    pub bytes: i64,
}

impl Database {
    /// Adds segments, or takes what is said of those that are there already.
    pub async fn put_segments(&self, rows: &[SegmentRow]) -> Result<(), Error> {
        let put = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            for some in rows.chunks(ROWS) {
                let models = some.iter().map(|row| segment::ActiveModel {
                    key: Set(row.key.clone()),
                    camera_uid: Set(row.camera_uid.clone()),
                    start_ms: Set(row.start_ms),
                    end_ms: Set(row.end_ms),
                    bytes: Set(row.bytes as i64),
                    facts: Set(row.facts.clone()),
                });
                let again = OnConflict::column(segment::Column::Key)
                    .update_columns([
                        segment::Column::StartMs,
                        segment::Column::EndMs,
                        segment::Column::Bytes,
                        segment::Column::Facts,
                    ])
                    .to_owned();
                segment::Entity::insert_many(models)
                    .on_conflict(again)
                    .exec_without_returning(&transaction)
                    .await?;
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
    ) -> Result<Vec<SegmentRow>, Error> {
        use segment::Column::{CameraUid, EndMs, Key, StartMs};
        let found = segment::Entity::find()
            .filter(CameraUid.eq(camera_uid))
            .filter(EndMs.gt(from_ms))
            .filter(EndMs.lte(to_ms.saturating_add(LONGEST_MS)))
            .filter(StartMs.lt(to_ms))
            .order_by_asc(StartMs)
            .order_by_asc(Key)
            .limit(limit)
            .all(&self.connections)
            .await;
        Ok(found
            .map_err(|source| self.error(source))?
            .into_iter()
            .map(SegmentRow::from)
            .collect())
    }

    /// The oldest segments of a camera that ended before `before_ms`; at most `limit`.
    pub async fn oldest_segments(
        &self,
        camera_uid: &str,
        before_ms: i64,
        limit: u64,
    ) -> Result<Vec<SegmentRow>, Error> {
        use segment::Column::{CameraUid, EndMs};
        let found = segment::Entity::find()
            .filter(CameraUid.eq(camera_uid))
            .filter(EndMs.lt(before_ms))
            .order_by_asc(EndMs)
            .limit(limit)
            .all(&self.connections)
            .await;
        Ok(found
            .map_err(|source| self.error(source))?
            .into_iter()
            .map(SegmentRow::from)
            .collect())
    }

    /// The segment of a camera that ends last.
    pub async fn newest_segment(&self, camera_uid: &str) -> Result<Option<SegmentRow>, Error> {
        use segment::Column::{CameraUid, EndMs};
        let found = segment::Entity::find()
            .filter(CameraUid.eq(camera_uid))
            .order_by_desc(EndMs)
            .limit(1)
            .one(&self.connections)
            .await;
        Ok(found.map_err(|source| self.error(source))?.map(SegmentRow::from))
    }

    /// When the newest footage ended that had ended before `before_ms`, of whatever camera. Of several that reach beyond `enough_ms`, one.
    pub async fn newest_footage(&self, before_ms: i64, enough_ms: i64) -> Result<Option<i64>, Error> {
        use segment::Column::{CameraUid, EndMs};
        let mut newest: Option<i64> = None;
        for uid in self.recorded_cameras().await? {
            let found = segment::Entity::find()
                .select_only()
                .column(EndMs)
                .filter(CameraUid.eq(uid))
                .filter(EndMs.lte(before_ms))
                .order_by_desc(EndMs)
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
        use segment::Column::CameraUid;
        let mut uids: Vec<String> = Vec::new();
        loop {
            // From one to the next by the index: a year of a camera is half a million rows.
            let mut next = segment::Entity::find()
                .select_only()
                .column_as(Expr::col(CameraUid).min(), "uid");
            if let Some(last) = uids.last() {
                next = next.filter(CameraUid.gt(last));
            }
            let found = next.into_tuple::<Option<String>>().one(&self.connections).await;
            match found.map_err(|source| self.error(source))?.flatten() {
                Some(uid) => uids.push(uid),
                None => return Ok(uids),
            }
        }
    }

    /// How much there is of a camera. Takes a millisecond for each few thousand segments.
    pub async fn stored(&self, camera_uid: &str) -> Result<Stored, Error> {
        use segment::Column::{Bytes, CameraUid};
        let sum = ExprTrait::cast_as(Expr::col(Bytes).sum(), "bigint");
        let found = segment::Entity::find()
            .select_only()
            .column_as(Expr::col(Bytes).count(), "segments")
            .column_as(Expr::expr(Func::coalesce([sum, Expr::value(0_i64)])), "bytes")
            .filter(CameraUid.eq(camera_uid))
            .into_model::<Stored>()
            .one(&self.connections)
            .await;
        Ok(found.map_err(|source| self.error(source))?.unwrap_or_default())
    }

    /// Forgets segments.
    pub async fn forget_segments(&self, keys: &[String]) -> Result<(), Error> {
        for some in keys.chunks(ROWS) {
            let deleted = segment::Entity::delete_many()
                .filter(segment::Column::Key.is_in(some))
                .exec(&self.connections)
                .await;
            deleted.map_err(|source| self.error(source))?;
        }
        Ok(())
    }

    /// Some segments of a camera in the order of their ends, behind `last`; at most `limit`.
    pub async fn next_segments(
        &self,
        camera_uid: &str,
        last: Option<&Listed>,
        limit: u64,
    ) -> Result<Vec<Listed>, Error> {
        use segment::Column::{CameraUid, EndMs, Key, StartMs};
        let mut asked = segment::Entity::find()
            .select_only()
            .columns([Key, StartMs, EndMs])
            .filter(CameraUid.eq(camera_uid));
        if let Some(last) = last {
            // The first half is what an index can follow.
            asked = asked.filter(EndMs.gte(last.end_ms)).filter(
                Condition::any()
                    .add(EndMs.gt(last.end_ms))
                    .add(Key.gt(last.key.as_str())),
            );
        }
        let found = asked
            .order_by_asc(EndMs)
            .order_by_asc(Key)
            .limit(limit)
            .into_model::<Listed>()
            .all(&self.connections)
            .await;
        found.map_err(|source| self.error(source))
    }

    /// Of these segments those that are listed, with their sizes.
    pub async fn segment_sizes(&self, keys: &[String]) -> Result<HashMap<String, u64>, Error> {
        use segment::Column::{Bytes, Key};
        let mut sizes = HashMap::new();
        for some in keys.chunks(ROWS) {
            let rows = segment::Entity::find()
                .select_only()
                .columns([Key, Bytes])
                .filter(Key.is_in(some))
                .into_tuple::<(String, i64)>()
                .all(&self.connections)
                .await;
            let rows = rows.map_err(|source| self.error(source))?.into_iter();
            sizes.extend(rows.map(|(key, bytes)| (key, u64::try_from(bytes).unwrap_or(0))));
        }
        Ok(sizes)
    }
}

impl From<segment::Model> for SegmentRow {
    fn from(row: segment::Model) -> Self {
        Self {
            key: row.key,
            camera_uid: row.camera_uid,
            start_ms: row.start_ms,
            end_ms: row.end_ms,
            bytes: u64::try_from(row.bytes).unwrap_or(0),
            facts: row.facts,
        }
    }
}
