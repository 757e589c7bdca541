//! `teacher`: a register of the cloud recorder.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "teacher")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    pub sex: String,
    pub title: String,
    pub title_id: i64,
    pub detail: String,
    /// Unix seconds.
    pub created: i64,
    pub updated: i64,
}

impl ActiveModelBehavior for ActiveModel {}
