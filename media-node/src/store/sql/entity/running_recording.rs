//! `running_recording`: a recording that a node is making, or has made and not told yet. Its footage is not another one's alone.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "running_recording")]
pub struct Model {
    /// The recorder's name for it, as `file_src` of the recording that it becomes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub node: String,
    pub camera_uid: String,
    /// Unix milliseconds.
    pub start_ms: i64,
    /// When its node spoke of it last: seconds since the Unix epoch, by the database's clock.
    pub told: i64,
}

impl ActiveModelBehavior for ActiveModel {}
