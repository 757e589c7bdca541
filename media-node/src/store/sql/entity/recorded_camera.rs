//! `recorded_camera`: short numbers for the cameras of which something is or was stored.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recorded_camera")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    /// `metadata.uid` of the Camera.
    #[sea_orm(unique)]
    pub uid: String,
}

impl ActiveModelBehavior for ActiveModel {}
