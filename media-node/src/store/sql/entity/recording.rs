//! `recording`: one closed recording. Its media is a range of segments, which is not stored here.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recording")]
pub struct Model {
    /// Never comes again.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Names its files, so that nobody can guess them.
    #[sea_orm(unique)]
    pub uniq: String,
    /// The recorder's name for it: telling it twice makes one row.
    #[sea_orm(unique)]
    pub file_src: String,
    pub camera_uid: String,
    pub camera_id: i64,
    pub node: String,
    /// 0: the node is none that the API has seen.
    pub gather_id: i64,
    /// Empty: recorded without a schedule.
    pub schedule_uid: String,
    /// 0: of no course.
    pub course_id: i64,
    /// Of the course when the recording was closed, as `teacher_id`.
    pub subject_id: i64,
    pub teacher_id: i64,
    /// Unix milliseconds, as `end_ms`.
    pub start_ms: i64,
    pub end_ms: i64,
    /// Of its MP4: exact if it is `measured`, and else an estimate.
    pub bytes: i64,
    pub image_key: Option<String>,
    /// Whether its MP4 and its snapshot have been looked after.
    pub measured: bool,
    pub clicks: i64,
    /// When it was stored, in Unix seconds.
    pub created: i64,
    pub updated: i64,
}

impl ActiveModelBehavior for ActiveModel {}
