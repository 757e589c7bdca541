//! `resource_id`: numbers by which a documented API names objects. A row is closed and not removed, so that its number
//! never comes again.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "resource_id")]
pub struct Model {
    /// Whose number it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub api: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// From 1, growing per kind.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Of the object; empty while it is being made.
    pub uid: String,
    pub name: String,
    /// The object is gone.
    pub closed: bool,
    /// Since when, in Unix seconds by the database's clock; 0 while it is there.
    pub closed_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
