//! `stored_segment`: what is stored in the bucket. A cache: it can be made again from there. A city has half a billion rows for each
//! year, so that a row says only what is its own.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stored_segment")]
pub struct Model {
    /// A row of `recorded_camera`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub camera: i32,
    /// Milliseconds since 1970.
    #[sea_orm(primary_key, auto_increment = false)]
    pub start_ms: i64,
    /// 64 bits without a sign, as are all of the numbers below.
    #[sea_orm(primary_key, auto_increment = false)]
    pub session: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i32,
    pub epoch: i64,
    pub end_ms: i64,
    /// The object's size.
    pub bytes: i64,
    pub table_offset: i64,
    pub frames: i32,
    pub keyframes: i32,
    /// A row of `segment_format`.
    pub format: i32,
}

impl ActiveModelBehavior for ActiveModel {}
