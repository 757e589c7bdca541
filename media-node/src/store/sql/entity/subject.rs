//! `subject`: a register of the cloud recorder.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subject")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    /// Unix seconds.
    pub created: i64,
    pub updated: i64,
}

impl ActiveModelBehavior for ActiveModel {}
