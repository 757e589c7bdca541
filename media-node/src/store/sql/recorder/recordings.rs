//! What was recorded.

use super::{API, Cut, Page, Recording};
use crate::store::sql::entity::{course, gather, recording, running_recording};
use crate::store::sql::resource_ids::Named;
use crate::store::sql::{Database, Error, clock, writing};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};

/// Of a recording of a course that nobody knows anything of.
pub const UNKNOWN_SUBJECT: i64 = 1;
pub const UNKNOWN_TEACHER: i64 = 1;

/// A recording that has been closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecording {
    /// The recorder's name for it: told again, it makes no second row.
    pub file_src: String,
    pub camera_uid: String,
    pub node: String,
    /// Of the RecordSchedule; empty without one.
    pub schedule_uid: String,
    /// Unix milliseconds.
    pub start_ms: i64,
    pub end_ms: i64,
    /// Of its MP4, as far as that can be said before it is measured.
    pub bytes: i64,
}

impl Database {
    /// Takes note of a closed recording, with the subject and teacher that its course has now. Told again, it changes what
    /// the recorder may have learnt since: the end and the length, which are measured again. Gives its number; none, and nothing is
    /// stored, when an API call has deleted the camera since it began, which threw all its recordings away.
    pub async fn store_recording(&self, new: &NewRecording) -> Result<Option<i64>, Error> {
        if self.is_thrown_away(&new.camera_uid, new.start_ms).await? {
            return Ok(None);
        }
        let camera = Named {
            uid: new.camera_uid.clone(),
            name: String::new(),
        };
        let ids = self.resource_ids(API, "camera", &[camera]).await?;
        let camera_id = ids.get(&new.camera_uid).copied().unwrap_or(0);
        let stored = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let now = clock::read(&transaction).await?;
            let course = course::Entity::find_by_id(new.schedule_uid.as_str())
                .one(&transaction)
                .await?;
            let gather = gather::Entity::find()
                .filter(gather::Column::Node.eq(new.node.as_str()))
                .one(&transaction)
                .await?;
            let (course_id, subject_id, teacher_id) = match course {
                Some(course) => (course.course_id, course.subject_id, course.teacher_id),
                None => (0, UNKNOWN_SUBJECT, UNKNOWN_TEACHER),
            };
            let row = recording::ActiveModel {
                id: NotSet,
                uniq: Set(hex::encode(rand::random::<[u8; 8]>())),
                file_src: Set(new.file_src.clone()),
                camera_uid: Set(new.camera_uid.clone()),
                camera_id: Set(camera_id),
                node: Set(new.node.clone()),
                gather_id: Set(gather.map_or(0, |gather| gather.id)),
                schedule_uid: Set(new.schedule_uid.clone()),
                course_id: Set(course_id),
                subject_id: Set(subject_id),
                teacher_id: Set(teacher_id),
                start_ms: Set(new.start_ms),
                end_ms: Set(new.end_ms),
                bytes: Set(new.bytes),
                image_key: Set(None),
                measured: Set(false),
                clicks: Set(0),
                created: Set(now),
                updated: Set(now),
            };
            let leave = OnConflict::column(recording::Column::FileSrc)
                .do_nothing()
                .to_owned();
            let inserted = recording::Entity::insert(row)
                .on_conflict(leave)
                .exec_without_returning(&transaction)
                .await;
            match inserted {
                Ok(_) | Err(DbErr::RecordNotInserted) => {}
                Err(error) => return Err(error),
            }
            let found = recording::Entity::find()
                .filter(recording::Column::FileSrc.eq(new.file_src.as_str()))
                .one(&transaction)
                .await?;
            let row = found.ok_or_else(|| DbErr::RecordNotFound("the recording just stored".into()))?;
            let is_same = row.end_ms == new.end_ms && (row.measured || row.bytes == new.bytes);
            if !is_same {
                let change = recording::ActiveModel {
                    id: Set(row.id),
                    end_ms: Set(new.end_ms),
                    bytes: Set(new.bytes),
                    measured: Set(false),
                    updated: Set(now),
                    ..Default::default()
                };
                recording::Entity::update(change).exec(&transaction).await?;
            }
            running_recording::Entity::delete_by_id(new.file_src.as_str())
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(Some(row.id))
        };
        stored.await.map_err(|source| self.error(source))
    }

    /// Those whose MP4 nobody has measured yet, the newest first.
    pub async fn unmeasured_recordings(&self, limit: u64) -> Result<Vec<Recording>, Error> {
        let found = recording::Entity::find()
            .filter(recording::Column::Measured.eq(false))
            .order_by_desc(recording::Column::Id)
            .limit(limit)
            .all(&self.connections)
            .await;
        found.map_err(|source| self.error(source))
    }

    /// Says how long a recording's MP4 is, and which snapshot it has. False, and nothing is stored, if it is gone, or is another
    /// than was measured.
    pub async fn measure_recording(&self, measured: &Recording) -> Result<bool, Error> {
        use recording::Column;
        let stored = recording::Entity::update_many()
            .col_expr(Column::Bytes, Expr::value(measured.bytes))
            .col_expr(Column::ImageKey, Expr::value(measured.image_key.clone()))
            .col_expr(Column::Measured, Expr::value(true))
            .filter(Column::Id.eq(measured.id))
            .filter(Column::EndMs.eq(measured.end_ms))
            .exec(&self.connections)
            .await;
        let stored = stored.map_err(|source| self.error(source))?;
        Ok(stored.rows_affected > 0)
    }

    /// Whether an API call has deleted the camera since this time, in Unix milliseconds: what it had recorded went with it.
    pub async fn is_thrown_away(&self, camera_uid: &str, since_ms: i64) -> Result<bool, Error> {
        let closed = self.resource_closed_at(API, "camera", camera_uid).await?;
        Ok(closed.is_some_and(|at| since_ms < at.saturating_mul(1000)))
    }

    /// The newest first.
    pub async fn recordings(&self, cut: Cut) -> Result<Page<Recording>, Error> {
        let read = async {
            let transaction = self.connections.begin().await?;
            let total = recording::Entity::find().count(&transaction).await?;
            let rows = recording::Entity::find()
                .order_by_desc(recording::Column::Id)
                .offset(cut.skip)
                .limit(cut.take)
                .all(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(Page { rows, total })
        };
        read.await.map_err(|source| self.error(source))
    }

    pub async fn recording(&self, id: i64) -> Result<Option<Recording>, Error> {
        let found = recording::Entity::find_by_id(id).one(&self.connections).await;
        found.map_err(|source| self.error(source))
    }

    /// The one whose files have this name.
    pub async fn recording_by_uniq(&self, uniq: &str) -> Result<Option<Recording>, Error> {
        let found = recording::Entity::find()
            .filter(recording::Column::Uniq.eq(uniq))
            .one(&self.connections)
            .await;
        found.map_err(|source| self.error(source))
    }

    /// Counts one viewer, and gives the count; none when there is no such recording.
    pub async fn click_recording(&self, id: i64) -> Result<Option<i64>, Error> {
        use recording::Column::{Clicks, Id};
        let clicked = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            recording::Entity::update_many()
                .col_expr(Clicks, Expr::col(Clicks).add(1))
                .filter(Id.eq(id))
                .exec(&transaction)
                .await?;
            let row = recording::Entity::find_by_id(id).one(&transaction).await?;
            transaction.commit().await?;
            Ok(row.map(|row| row.clicks))
        };
        clicked.await.map_err(|source| self.error(source))
    }

    /// All rows of the camera go.
    pub async fn delete_recordings_of(&self, camera_uid: &str) -> Result<(), Error> {
        let deleted = async {
            recording::Entity::delete_many()
                .filter(recording::Column::CameraUid.eq(camera_uid))
                .exec(&self.connections)
                .await?;
            running_recording::Entity::delete_many()
                .filter(running_recording::Column::CameraUid.eq(camera_uid))
                .exec(&self.connections)
                .await
        };
        deleted.await.map(drop).map_err(|source| self.error(source))
    }
}
