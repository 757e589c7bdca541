//! Recordings that go: each with its picture, and with the footage that no other one has.

use super::Recording;
use crate::store::sql::entity::{recording, running_recording};
use crate::store::sql::segments::{LONGEST_MS, listed, reaching_into};
use crate::store::sql::{Database, Error, Listed, lock, trash, writing};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    TransactionTrait,
};
use std::ops::Range;
use tracing::debug;
use weir_recording::SegmentFacts;

/// Segments that are looked at in one go.
const SOME: usize = 500;

impl Database {
    /// The row goes, and in the same step it is noted that its picture and its segments are to go: all that it reaches into, but for
    /// those that another recording of the camera reaches into as well, be it whole or still being made. Answers with what went; none
    /// if there is none of that number.
    pub async fn remove_recording(&self, id: i64) -> Result<Option<Recording>, Error> {
        let removed = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let found = recording::Entity::find_by_id(id).one(&transaction).await?;
            let Some(row) = found else { return Ok(None) };
            // Of two that share footage and go at once, each would leave it to the other.
            lock::advisory(&transaction, &format!("footage {}", row.camera_uid)).await?;
            let deleted = recording::Entity::delete_by_id(id).exec(&transaction).await?;
            if deleted.rows_affected == 0 {
                return Ok(None);
            }
            // It may have been told of once more before it was whole.
            running_recording::Entity::delete_by_id(row.file_src.as_str())
                .exec(&transaction)
                .await?;
            trash_picture(&transaction, &row).await?;
            let kept = others(&transaction, &row).await?;
            let mut last: Option<Listed> = None;
            loop {
                let pieces = within(&transaction, &row, last.as_ref(), SOME).await?;
                let gone: Vec<String> = pieces
                    .iter()
                    .filter(|piece| !reaches(&kept, piece.key.start_ms..piece.end_ms))
                    .map(|piece| piece.key.to_string())
                    .collect();
                trash::expire(&transaction, &gone).await?;
                let is_last = pieces.len() < SOME;
                last = pieces.into_iter().last();
                if is_last {
                    break;
                }
            }
            transaction.commit().await?;
            Ok(Some(row))
        };
        removed.await.map_err(|source: DbErr| self.error(source))
    }
}

impl Database {
    /// Segments of a camera go because their time is over, and in the same step the recordings of which nothing is left: they would be
    /// listed, and not be there.
    pub async fn expire_segments(&self, camera_uid: &str, segments: &[SegmentFacts]) -> Result<(), Error> {
        let expired = async {
            for some in segments.chunks(SOME) {
                let transaction = self.connections.begin_with_options(writing()).await?;
                let keys: Vec<String> = some.iter().map(|segment| segment.key().to_string()).collect();
                trash::expire(&transaction, &keys).await?;
                let from_ms = some.iter().map(|segment| segment.start_ms).min().unwrap_or(0);
                let to_ms = some.iter().map(|segment| segment.end_ms).max().unwrap_or(0);
                let touched = Condition::all()
                    .add(recording::Column::StartMs.lt(to_ms))
                    .add(recording::Column::EndMs.gt(from_ms));
                forget_empty(&transaction, camera_uid, touched).await?;
                transaction.commit().await?;
            }
            Ok(())
        };
        expired.await.map_err(|source: DbErr| self.error(source))
    }

    /// Recordings that ended before a time that footage is kept until, and of which nothing is left: of footage that was lost another
    /// way. Those that are newer stay, for the index may be about to be made again.
    pub async fn forget_empty_recordings(&self, camera_uid: &str, before_ms: i64) -> Result<(), Error> {
        let forgotten = async {
            let old = Condition::all()
                .add(recording::Column::StartMs.lt(before_ms))
                .add(recording::Column::EndMs.lte(before_ms));
            // Mostly there is none, and nobody is kept waiting.
            let any = recording::Entity::find()
                .filter(recording::Column::CameraUid.eq(camera_uid))
                .filter(old.clone())
                .limit(1)
                .one(&self.connections)
                .await?;
            if any.is_none() {
                return Ok(());
            }
            let transaction = self.connections.begin_with_options(writing()).await?;
            forget_empty(&transaction, camera_uid, old).await?;
            transaction.commit().await
        };
        forgotten.await.map_err(|source: DbErr| self.error(source))
    }
}

/// Of those recordings of a camera, the ones without any footage go, with their pictures.
async fn forget_empty(
    transaction: &DatabaseTransaction,
    camera_uid: &str,
    which: Condition,
) -> Result<(), DbErr> {
    use recording::Column::{CameraUid, StartMs};
    let rows = recording::Entity::find()
        .filter(CameraUid.eq(camera_uid))
        .filter(which)
        .order_by_asc(StartMs)
        .limit(SOME as u64)
        .all(transaction)
        .await?;
    for row in rows {
        if within(transaction, &row, None, 1).await?.is_empty() {
            trash_picture(transaction, &row).await?;
            recording::Entity::delete_by_id(row.id).exec(transaction).await?;
            debug!(
                recording = row.id,
                "a recording went with the last of its footage"
            );
        }
    }
    Ok(())
}

/// Some of the segments that a recording reaches into, behind `last`.
async fn within(
    transaction: &DatabaseTransaction,
    row: &Recording,
    last: Option<&Listed>,
    limit: usize,
) -> Result<Vec<Listed>, DbErr> {
    let inside = reaching_into(row.start_ms, row.end_ms);
    listed(transaction, &row.camera_uid, inside, last, limit as u64).await
}

/// It is noted that the picture of a recording is to go.
async fn trash_picture(transaction: &DatabaseTransaction, row: &Recording) -> Result<(), DbErr> {
    match &row.image_key {
        Some(key) => trash::note(transaction, std::slice::from_ref(key)).await,
        None => Ok(()),
    }
}

/// The spans of the camera's other recordings that may share a segment with this one, which is no row any more: apart, in their order.
async fn others(transaction: &DatabaseTransaction, row: &Recording) -> Result<Vec<Range<i64>>, DbErr> {
    use recording::Column::{CameraUid, EndMs, StartMs};
    let (from_ms, to_ms) = (
        row.start_ms.saturating_sub(LONGEST_MS),
        row.end_ms.saturating_add(LONGEST_MS),
    );
    let whole = recording::Entity::find()
        .select_only()
        .columns([StartMs, EndMs])
        .filter(CameraUid.eq(row.camera_uid.as_str()))
        .filter(StartMs.lt(to_ms))
        .filter(EndMs.gt(from_ms))
        .into_tuple::<(i64, i64)>()
        .all(transaction)
        .await?;
    let running = running_recording::Entity::find()
        .select_only()
        .column(running_recording::Column::StartMs)
        .filter(running_recording::Column::CameraUid.eq(row.camera_uid.as_str()))
        .filter(running_recording::Column::StartMs.lt(to_ms))
        .filter(running_recording::Column::Name.ne(row.file_src.as_str()))
        .into_tuple::<i64>()
        .all(transaction)
        .await?;
    let endless = running.into_iter().map(|start_ms| (start_ms, i64::MAX));
    Ok(apart(whole.into_iter().chain(endless).collect()))
}

/// Spans that overlap or touch, as one.
fn apart(mut spans: Vec<(i64, i64)>) -> Vec<Range<i64>> {
    spans.sort_unstable();
    let mut apart: Vec<Range<i64>> = Vec::new();
    for (start, end) in spans {
        match apart.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => apart.push(start..end),
        }
    }
    apart
}

/// Whether one of the spans, which are apart and in their order, reaches into another.
fn reaches(apart: &[Range<i64>], into: Range<i64>) -> bool {
    let first = apart.partition_point(|span| span.end <= into.start);
    apart.get(first).is_some_and(|span| span.start < into.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::Location;
    use crate::store::sql::recorder::{NewRecording, Running};

    async fn open(folder: &tempfile::TempDir) -> Database {
        Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
            .await
            .expect("a database")
    }

    /// So many segments of a second, of one camera.
    async fn filmed(database: &Database, seconds: i64) {
        let rows: Vec<SegmentFacts> = (0..seconds).map(segment).collect();
        database.put_segments(&rows).await.expect("listed");
    }

    fn segment(number: i64) -> SegmentFacts {
        SegmentFacts {
            camera_uid: "a".into(),
            start_ms: number * 1000,
            end_ms: number * 1000 + 1000,
            bytes: 1,
            ..SegmentFacts::default()
        }
    }

    fn key(number: i64) -> String {
        segment(number).key().to_string()
    }

    async fn recorded(database: &Database, schedule: &str, start_ms: i64, end_ms: i64) -> i64 {
        let new = NewRecording {
            file_src: format!("{schedule}/{start_ms}"),
            camera_uid: "a".into(),
            node: "n".into(),
            schedule_uid: schedule.into(),
            start_ms,
            end_ms,
            bytes: 1,
        };
        database
            .store_recording(&new)
            .await
            .expect("stored")
            .expect("a number")
    }

    /// The seconds of which there is footage.
    async fn left(database: &Database) -> Vec<i64> {
        let rows = database.segments("a", 0, i64::MAX, 10_000).await.expect("a list");
        rows.iter().map(|row| row.start_ms / 1000).collect()
    }

    fn running(schedule: &str, start_ms: i64) -> Running {
        Running {
            name: format!("{schedule}/{start_ms}"),
            start_ms,
        }
    }

    #[tokio::test]
    async fn what_another_recording_reaches_into_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = open(&folder).await;
        filmed(&database, 12).await;
        // Both ends are within segments.
        let one = recorded(&database, "lesson", 2_500, 6_500).await;
        let two = recorded(&database, "hours", 5_500, 9_500).await;
        let gone = database.remove_recording(one).await.expect("removed");
        assert_eq!(gone.map(|row| row.id), Some(one));
        assert_eq!(left(&database).await, [0, 1, 5, 6, 7, 8, 9, 10, 11]);
        let mut trash = database.trash(10).await.expect("a list");
        trash.sort();
        assert_eq!(trash, [key(2), key(3), key(4)]);
        assert_eq!(database.remove_recording(one).await.expect("asked"), None);
        database.remove_recording(two).await.expect("removed");
        assert_eq!(left(&database).await, [0, 1, 10, 11]);
    }

    #[tokio::test]
    async fn what_a_running_recording_has_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = open(&folder).await;
        filmed(&database, 10).await;
        let lesson = recorded(&database, "lesson", 2_000, 8_000).await;
        let always = [running("always", 4_000)];
        database.set_running("n", "a", &always).await.expect("told");
        // Another camera's is no reason, and neither is itself, which was told of before it was whole.
        database
            .set_running("n", "b", &[running("b", 0)])
            .await
            .expect("told");
        database
            .set_running("m", "a", &[running("lesson", 2_000)])
            .await
            .expect("told");
        database.remove_recording(lesson).await.expect("removed");
        assert_eq!(left(&database).await, [0, 1, 4, 5, 6, 7, 8, 9]);
        // Once it is whole it is one of the recordings, and runs no more.
        let whole = recorded(&database, "always", 4_000, 8_000).await;
        let late = recorded(&database, "late", 8_000, 10_000).await;
        database.remove_recording(late).await.expect("removed");
        assert_eq!(left(&database).await, [0, 1, 4, 5, 6, 7]);
        database.remove_recording(whole).await.expect("removed");
        assert_eq!(left(&database).await, [0, 1]);
    }

    #[tokio::test]
    async fn what_a_node_no_longer_makes_keeps_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = open(&folder).await;
        filmed(&database, 4).await;
        let lesson = recorded(&database, "lesson", 0, 4_000).await;
        for made in [vec![running("x", 0), running("y", 0)], vec![running("y", 3_000)]] {
            database.set_running("n", "a", &made).await.expect("told");
        }
        database.remove_recording(lesson).await.expect("removed");
        assert_eq!(left(&database).await, [3]);
        database.set_running("n", "a", &[]).await.expect("told");
        database.forget_silent_running().await.expect("forgotten");
    }

    #[tokio::test]
    async fn a_recording_goes_with_the_last_of_its_footage() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = open(&folder).await;
        filmed(&database, 10).await;
        let (first, long) = (
            recorded(&database, "lesson", 500, 3_500).await,
            recorded(&database, "always", 0, 8_000).await,
        );
        let mut row = database.recording(first).await.expect("read").expect("a row");
        row.image_key = Some("one.jpg".into());
        assert!(database.measure_recording(&row).await.expect("stored"));
        let expire = async |to_ms: i64| {
            let oldest = database.oldest_segments("a", to_ms + 1, 100).await;
            let oldest = oldest.expect("a list");
            database.expire_segments("a", &oldest).await.expect("expired");
        };
        let listed = async || {
            let cut = crate::store::sql::recorder::Cut { skip: 0, take: 9 };
            let page = database.recordings(cut).await.expect("a list");
            page.rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        // Half a second of it is left, in its last segment.
        expire(3_000).await;
        assert_eq!(listed().await, [long, first]);
        expire(4_000).await;
        assert_eq!(listed().await, [long]);
        assert!(database.is_trash("one.jpg").await.expect("asked"));
        expire(10_000).await;
        assert_eq!(listed().await, [0; 0]);
        // Of footage that was lost another way, those go whose time is over.
        let lost = recorded(&database, "lost", 20_000, 30_000).await;
        database
            .forget_empty_recordings("a", 29_999)
            .await
            .expect("asked");
        assert_eq!(listed().await, [lost]);
        database
            .forget_empty_recordings("a", 30_000)
            .await
            .expect("asked");
        assert_eq!(listed().await, [0; 0]);
    }

    #[tokio::test]
    async fn long_recordings_go_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = open(&folder).await;
        let seconds = 2 * SOME as i64 + 7;
        filmed(&database, seconds).await;
        let long = recorded(&database, "long", 0, seconds * 1000).await;
        // Kept ones in between are stepped over.
        recorded(&database, "short", 100_000, 102_000).await;
        database.remove_recording(long).await.expect("removed");
        assert_eq!(left(&database).await, [100, 101]);
    }

    #[test]
    fn spans_are_put_together() {
        let spans = apart(vec![(5, 7), (0, 2), (2, 3), (6, i64::MAX)]);
        assert_eq!(spans, [0..3, 5..i64::MAX]);
        for (into, is_reached) in [(3..5, false), (2..3, true), (4..6, true), (100..101, true)] {
            assert_eq!(reaches(&spans, into.clone()), is_reached, "{into:?}");
        }
        assert!(!reaches(&[], 0..1));
    }
}
