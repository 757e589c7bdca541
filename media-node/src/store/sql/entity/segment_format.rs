//! `segment_format`: what many segments have in common. Rows stay when their segments go: a camera makes few.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "segment_format")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    /// SHA-256 of the facts, in hexadecimal.
    #[sea_orm(unique)]
    pub digest: String,
    /// As JSON.
    pub facts: String,
}

impl ActiveModelBehavior for ActiveModel {}
