//! Queries on users and tokens. Takes and gives plain values; tokens come here already hashed.

use super::entity::{account_revision, token, user};
use super::{Database, Error, clock, writing};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, TransactionTrait,
};
use std::time::Duration;

/// A user as stored. The hashes are secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// In lower case.
    pub name: String,
    pub secrets: Secrets,
    pub admin: bool,
    /// Path masks, joined by `;`.
    pub push: String,
    pub pull: String,
}

/// What is kept instead of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Argon2id in PHC form.
    pub login_hash: String,
    /// RTSP Digest secrets, for the password as given and for its MD5.
    pub ha1_given: String,
    pub ha1_md5: String,
}

/// What a user may do: all of it but the name and the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    pub admin: bool,
    pub push: String,
    pub pull: String,
}

/// Some users in the order of their names, and how many there are in all.
pub struct UserPage {
    pub users: Vec<User>,
    pub total: u64,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Made by a login: all that its user may do.
    Session,
    /// Made for printed URLs: watching only.
    View,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::View => "view",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Session, Self::View]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A token that is to be stored. Hashes are SHA-256, in lower-case hexadecimal.
pub struct NewToken {
    pub access_hash: String,
    pub access_lifetime: Duration,
    pub refresh: Option<NewRefresh>,
    pub kind: Kind,
}

pub struct NewRefresh {
    pub hash: String,
    pub lifetime: Duration,
}

/// Whom a valid access token belongs to. `user` is none when the user has been deleted since.
pub struct Holder {
    pub name: String,
    pub kind: Kind,
    pub user: Option<User>,
}

/// A token pair that has just been exchanged for a new one.
pub struct Exchanged {
    /// The hash of the access token that died with its refresh token.
    pub former_access_hash: String,
}

impl Database {
    pub async fn user(&self, name: &str) -> Result<Option<User>, Error> {
        let found = user::Entity::find_by_id(name).one(&self.connections).await;
        Ok(found.map_err(|source| self.error(source))?.map(User::from))
    }

    /// The first `limit` users whose names come after `after`, by the bytes of their names.
    pub async fn users(&self, after: &str, limit: u64) -> Result<UserPage, Error> {
        let read = async {
            let transaction = self.connections.begin().await?;
            let total = user::Entity::find().count(&transaction).await?;
            let users = user::Entity::find()
                .filter(user::Column::Name.gt(after))
                .order_by_asc(user::Column::Name)
                .limit(limit)
                .all(&transaction)
                .await?;
            transaction.commit().await?;
            let users = users.into_iter().map(User::from).collect();
            Ok(UserPage { users, total })
        };
        read.await.map_err(|source| self.error(source))
    }

    /// Whether any administrator exists.
    pub async fn has_admin(&self) -> Result<bool, Error> {
        let count = user::Entity::find()
            .filter(user::Column::Admin.eq(true))
            .count(&self.connections)
            .await;
        Ok(count.map_err(|source| self.error(source))? > 0)
    }

    /// Creates the user, or replaces all but the time of creation.
    pub async fn save_user(&self, user: &User) -> Result<(), Error> {
        let replaced = [
            user::Column::LoginHash,
            user::Column::Ha1Given,
            user::Column::Ha1Md5,
            user::Column::Admin,
            user::Column::Push,
            user::Column::Pull,
        ];
        let replace = OnConflict::column(user::Column::Name)
            .update_columns(replaced)
            .to_owned();
        self.insert_user(user, replace).await.map(drop)
    }

    /// Creates the user. False, and nothing happens, when there is one of that name.
    pub async fn create_user(&self, user: &User) -> Result<bool, Error> {
        let leave = OnConflict::column(user::Column::Name).do_nothing().to_owned();
        self.insert_user(user, leave).await
    }

    /// False if no row has changed.
    async fn insert_user(&self, user: &User, on_conflict: OnConflict) -> Result<bool, Error> {
        let inserted = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let row = user::ActiveModel {
                name: Set(user.name.clone()),
                login_hash: Set(user.secrets.login_hash.clone()),
                ha1_given: Set(user.secrets.ha1_given.clone()),
                ha1_md5: Set(user.secrets.ha1_md5.clone()),
                admin: Set(user.admin),
                push: Set(user.push.clone()),
                pull: Set(user.pull.clone()),
                created: Set(clock::read(&transaction).await?),
            };
            let inserted = user::Entity::insert(row)
                .on_conflict(on_conflict)
                .exec_without_returning(&transaction)
                .await;
            let rows = match inserted {
                Ok(rows) => rows,
                // How the library says that the conflict was left alone.
                Err(DbErr::RecordNotInserted) => 0,
                Err(error) => return Err(error),
            };
            if rows > 0 {
                grow_revision(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(rows > 0)
        };
        inserted.await.map_err(|source| self.error(source))
    }

    /// Replaces the user's rights, and its secrets if there are new ones. False, and nothing happens,
    /// when there is no such user.
    pub async fn update_user(
        &self,
        name: &str,
        rights: &Rights,
        secrets: Option<&Secrets>,
    ) -> Result<bool, Error> {
        let updated = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let mut row = user::ActiveModel {
                admin: Set(rights.admin),
                push: Set(rights.push.clone()),
                pull: Set(rights.pull.clone()),
                ..Default::default()
            };
            if let Some(secrets) = secrets {
                row.login_hash = Set(secrets.login_hash.clone());
                row.ha1_given = Set(secrets.ha1_given.clone());
                row.ha1_md5 = Set(secrets.ha1_md5.clone());
            }
            let updated = user::Entity::update_many()
                .set(row)
                .filter(user::Column::Name.eq(name))
                .exec(&transaction)
                .await?;
            if updated.rows_affected > 0 {
                grow_revision(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(updated.rows_affected > 0)
        };
        updated.await.map_err(|source| self.error(source))
    }

    /// Deletes the user; its tokens stay until they expire. Tells whether there was one.
    pub async fn delete_user(&self, name: &str) -> Result<bool, Error> {
        let deleted = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let deleted = user::Entity::delete_by_id(name).exec(&transaction).await?;
            if deleted.rows_affected > 0 {
                grow_revision(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(deleted.rows_affected > 0)
        };
        deleted.await.map_err(|source| self.error(source))
    }

    /// Grows whenever something that was said of a user or a token may not be so any more: what was
    /// asked at the same revision still holds.
    pub async fn account_revision(&self) -> Result<i64, Error> {
        let found = account_revision::Entity::find().one(&self.connections).await;
        let row = found.map_err(|source| self.error(source))?;
        Ok(row.map_or(0, |row| row.revision))
    }

    /// Stores a new token of the user.
    pub async fn add_token(&self, user_name: &str, token: NewToken) -> Result<(), Error> {
        let added = async {
            let now = clock::read(&self.connections).await?;
            insert_token(&self.connections, user_name, token, now).await
        };
        added.await.map_err(|source| self.error(source))
    }

    /// Whom the access token with this hash belongs to, if it exists and has not expired.
    pub async fn token_holder(&self, access_hash: &str) -> Result<Option<Holder>, Error> {
        let now = clock::now(self.connections.get_database_backend());
        let found = token::Entity::find_by_id(access_hash)
            .filter(Expr::col((token::Entity, token::Column::AccessExpires)).gt(now))
            .find_also_related(user::Entity)
            .one(&self.connections)
            .await
            .map_err(|source| self.error(source))?;
        Ok(found.and_then(|(token, user)| {
            Some(Holder {
                name: token.user_name,
                kind: Kind::parse(&token.kind)?,
                user: user.map(User::from),
            })
        }))
    }

    /// Replaces the pair that this refresh token belongs to. None, and nothing happens, when it
    /// is unknown, used, expired, or its user is gone.
    pub async fn exchange_token(
        &self,
        refresh_hash: &str,
        new: NewToken,
    ) -> Result<Option<Exchanged>, Error> {
        self.exchange(refresh_hash, new)
            .await
            .map_err(|source| self.error(source))
    }

    async fn exchange(&self, refresh_hash: &str, new: NewToken) -> Result<Option<Exchanged>, DbErr> {
        let transaction = self.connections.begin_with_options(writing()).await?;
        let now = clock::read(&transaction).await?;
        let found = token::Entity::find()
            .filter(token::Column::RefreshHash.eq(refresh_hash))
            .filter(token::Column::RefreshExpires.gt(now))
            .find_also_related(user::Entity)
            .one(&transaction)
            .await?;
        let Some((former, Some(user))) = found else {
            return Ok(None);
        };
        let deleted = token::Entity::delete_by_id(&*former.access_hash)
            .exec(&transaction)
            .await?;
        if deleted.rows_affected == 0 {
            // Somebody else has used the refresh token since we looked.
            return Ok(None);
        }
        insert_token(&transaction, &user.name, new, now).await?;
        grow_revision(&transaction).await?;
        transaction.commit().await?;
        Ok(Some(Exchanged {
            former_access_hash: former.access_hash,
        }))
    }

    /// Deletes the tokens that nothing can be done with any more, and tells how many.
    pub async fn sweep_tokens(&self) -> Result<u64, Error> {
        let now = clock::now(self.connections.get_database_backend());
        let swept = token::Entity::delete_many()
            .filter(Expr::col(token::Column::AccessExpires).lte(now.clone()))
            .filter(
                Expr::col(token::Column::RefreshExpires)
                    .is_null()
                    .or(Expr::col(token::Column::RefreshExpires).lte(now)),
            )
            .exec(&self.connections)
            .await;
        Ok(swept.map_err(|source| self.error(source))?.rows_affected)
    }
}

/// The last thing that a transaction does: it waits for others that do the same.
async fn grow_revision(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let revision = account_revision::Column::Revision;
    account_revision::Entity::update_many()
        .col_expr(revision, Expr::col(revision).add(1))
        .exec(connection)
        .await
        .map(drop)
}

async fn insert_token(
    connection: &impl ConnectionTrait,
    user_name: &str,
    token: NewToken,
    now: i64,
) -> Result<(), DbErr> {
    let expiry =
        |lifetime: Duration| now.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
    let (refresh_hash, refresh_expires) = match token.refresh {
        Some(refresh) => (Some(refresh.hash), Some(expiry(refresh.lifetime))),
        None => (None, None),
    };
    let row = token::ActiveModel {
        access_hash: Set(token.access_hash),
        access_expires: Set(expiry(token.access_lifetime)),
        refresh_hash: Set(refresh_hash),
        refresh_expires: Set(refresh_expires),
        user_name: Set(user_name.to_owned()),
        kind: Set(token.kind.name().to_owned()),
    };
    token::Entity::insert(row)
        .exec_without_returning(connection)
        .await
        .map(drop)
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            name: row.name,
            secrets: Secrets {
                login_hash: row.login_hash,
                ha1_given: row.ha1_given,
                ha1_md5: row.ha1_md5,
            },
            admin: row.admin,
            push: row.push,
            pull: row.pull,
        }
    }
}
