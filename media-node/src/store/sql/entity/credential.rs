//! `credential`: secrets by which clients of a documented API are known, each a user's. Kept as hashes.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential")]
pub struct Model {
    /// SHA-256, 64 lower-case hexadecimal digits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// Which API's.
    pub kind: String,
    /// No foreign key: a user who is gone is no user.
    pub user_name: String,
    /// Unix seconds.
    pub created: i64,
}

impl ActiveModelBehavior for ActiveModel {}
