//! `segment`: what is stored in the bucket. A cache: it can be made again from there.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "segment")]
pub struct Model {
    /// The object's key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub camera_uid: String,
    /// Milliseconds since 1970.
    pub start_ms: i64,
    pub end_ms: i64,
    /// The object's size.
    pub bytes: i64,
    /// All that is said of it, as JSON.
    pub facts: String,
}

impl ActiveModelBehavior for ActiveModel {}
