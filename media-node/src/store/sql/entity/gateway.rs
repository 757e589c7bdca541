//! `gateways`: which gateway has which ordinal, and for how long.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gateways")]
pub struct Model {
    /// 0 to 255.
    #[sea_orm(primary_key, auto_increment = false)]
    pub ordinal: i32,
    /// Name of the pod.
    pub holder: String,
    /// Seconds since the Unix epoch, by the database's clock.
    pub expires: i64,
}

impl ActiveModelBehavior for ActiveModel {}
