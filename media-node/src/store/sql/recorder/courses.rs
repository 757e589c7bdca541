//! Facts about `RecordSchedule`s that are courses.

use super::CourseFact;
use crate::store::sql::entity::course;
use crate::store::sql::{Database, Error, clock};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use std::collections::HashMap;

/// What is told of a course besides its schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CourseFacts {
    /// Of the RecordSchedule.
    pub uid: String,
    pub camera_uid: String,
    pub course_id: i64,
    pub subject_id: i64,
    pub teacher_id: i64,
}

impl Database {
    /// The facts of the courses that are there, by uid.
    pub async fn courses(&self) -> Result<HashMap<String, CourseFact>, Error> {
        let found = course::Entity::find()
            .filter(course::Column::Closed.eq(false))
            .all(&self.connections)
            .await;
        let rows = found.map_err(|source| self.error(source))?;
        Ok(rows.into_iter().map(|row| (row.uid.clone(), row)).collect())
    }

    /// Makes or changes a course's facts, and opens them if they were closed.
    pub async fn save_course(&self, facts: &CourseFacts) -> Result<(), Error> {
        use course::Column;
        let saved = async {
            let now = clock::read(&self.connections).await?;
            let row = course::ActiveModel {
                uid: Set(facts.uid.clone()),
                camera_uid: Set(facts.camera_uid.clone()),
                course_id: Set(facts.course_id),
                subject_id: Set(facts.subject_id),
                teacher_id: Set(facts.teacher_id),
                created: Set(now),
                updated: Set(now),
                closed: Set(false),
            };
            let again = OnConflict::column(Column::Uid)
                .update_columns([
                    Column::CameraUid,
                    Column::CourseId,
                    Column::SubjectId,
                    Column::TeacherId,
                    Column::Updated,
                    Column::Closed,
                ])
                .to_owned();
            course::Entity::insert(row)
                .on_conflict(again)
                .exec_without_returning(&self.connections)
                .await
        };
        saved.await.map(drop).map_err(|source| self.error(source))
    }

    /// The schedule is gone; a recording that is closed later still finds these facts.
    pub async fn close_course(&self, uid: &str) -> Result<(), Error> {
        let closed = course::Entity::update_many()
            .col_expr(course::Column::Closed, Expr::value(true))
            .filter(course::Column::Uid.eq(uid))
            .exec(&self.connections)
            .await;
        closed.map(drop).map_err(|source| self.error(source))
    }
}
