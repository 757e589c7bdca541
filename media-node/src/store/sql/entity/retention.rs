//! `retention`: how long the footage of a camera is kept, as its schedules said last.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "retention")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub camera_uid: String,
    /// Milliseconds; none: age deletes nothing.
    pub age_ms: Option<i64>,
    /// None: size deletes nothing.
    pub bytes: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
