//! `users`: who has an account, and what it may do.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// In lower case.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Argon2id in PHC form, over the lower-case hexadecimal MD5 of the password.
    pub login_hash: String,
    /// RTSP Digest secret for clients that know the password as it was given.
    pub ha1_given: String,
    /// RTSP Digest secret for clients that use the MD5 of the password as the password.
    pub ha1_md5: String,
    pub admin: bool,
    /// Path masks, joined by `;`, as they were given.
    pub push: String,
    pub pull: String,
    /// Seconds since the Unix epoch, by the database's clock.
    pub created: i64,
}

impl ActiveModelBehavior for ActiveModel {}
