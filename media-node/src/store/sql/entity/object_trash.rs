//! `object_trash`: objects that are to go from the bucket, and are in no index any more.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "object_trash")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Seconds since the Unix epoch, by the database's clock.
    pub since: i64,
}

impl ActiveModelBehavior for ActiveModel {}
