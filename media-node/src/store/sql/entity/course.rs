//! `course`: what the cloud recorder's API knows of a RecordSchedule and no node acts on. Rows outlive their schedule, so
//! that a recording that is closed later finds what it was of.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "course")]
pub struct Model {
    /// Of the RecordSchedule.
    #[sea_orm(primary_key, auto_increment = false)]
    pub uid: String,
    pub camera_uid: String,
    pub course_id: i64,
    pub subject_id: i64,
    pub teacher_id: i64,
    /// Unix seconds.
    pub created: i64,
    pub updated: i64,
    /// The schedule is gone.
    pub closed: bool,
}

impl ActiveModelBehavior for ActiveModel {}
