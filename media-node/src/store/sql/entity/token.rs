//! `tokens`: who is logged in. The tokens themselves are not stored, only their hashes.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tokens")]
pub struct Model {
    /// SHA-256 of the access token, 64 lower-case hexadecimal digits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub access_hash: String,
    /// Seconds since the Unix epoch, by the database's clock, as all times here.
    pub access_expires: i64,
    /// Like `access_hash`; none for a token that can't be refreshed.
    #[sea_orm(unique)]
    pub refresh_hash: Option<String>,
    pub refresh_expires: Option<i64>,
    /// No foreign key: a deleted user's token is still known until it expires.
    pub user_name: String,
    /// `session` or `view`.
    pub kind: String,
    #[sea_orm(belongs_to, from = "user_name", to = "name", skip_fk)]
    pub user: BelongsTo<super::user::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
