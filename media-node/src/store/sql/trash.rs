//! Deleting for good: first the index forgets, in one transaction with the journal; then the objects go, however often that
//! has to be tried.

use super::entity::{object_trash, retention};
use super::{Database, Error, clock, segments, writing};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};
use std::collections::HashMap;

/// Rows of one statement, within what SQLite takes.
const ROWS: usize = 500;
/// How long objects may still come below a prefix that is to go, in seconds.
const LATECOMERS: i64 = 60;

/// How long the footage of a camera is kept. None is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    pub age_ms: Option<i64>,
    pub bytes: Option<i64>,
}

impl Database {
    /// Takes segments out of the index and notes that their objects are to go.
    pub async fn trash_segments(&self, keys: &[String]) -> Result<(), Error> {
        let trashed = async {
            for some in keys.chunks(ROWS) {
                let transaction = self.connections.begin_with_options(writing()).await?;
                expire(&transaction, some).await?;
                transaction.commit().await?;
            }
            Ok(())
        };
        trashed.await.map_err(|source: DbErr| self.error(source))
    }

    /// Notes that objects are to go that no index lists.
    pub async fn trash_objects(&self, keys: &[String]) -> Result<(), Error> {
        for some in keys.chunks(ROWS) {
            note(&self.connections, some)
                .await
                .map_err(|source| self.error(source))?;
        }
        Ok(())
    }

    /// Whether an object is to go.
    pub async fn is_trash(&self, key: &str) -> Result<bool, Error> {
        let found = object_trash::Entity::find()
            .filter(object_trash::Column::Key.eq(key))
            .count(&self.connections)
            .await;
        Ok(found.map_err(|source| self.error(source))? > 0)
    }

    /// Objects that are to go, the oldest first; at most `limit`.
    pub async fn trash(&self, limit: u64) -> Result<Vec<String>, Error> {
        let keys = object_trash::Entity::find()
            .select_only()
            .column(object_trash::Column::Key)
            .order_by_asc(object_trash::Column::Since)
            .order_by_asc(object_trash::Column::Key)
            .limit(limit)
            .into_tuple::<String>()
            .all(&self.connections)
            .await;
        keys.map_err(|source| self.error(source))
    }

    /// All below a prefix is gone. Who was storing something there when it was noted may not have noticed yet, so that it is
    /// looked at again for a minute.
    pub async fn empty_trash_below(&self, prefix: &str) -> Result<(), Error> {
        let emptied = async {
            let now = clock::read(&self.connections).await?;
            object_trash::Entity::delete_many()
                .filter(object_trash::Column::Key.eq(prefix))
                .filter(object_trash::Column::Since.lte(now - LATECOMERS))
                .exec(&self.connections)
                .await
        };
        emptied.await.map(drop).map_err(|source| self.error(source))
    }

    /// Those objects are gone.
    pub async fn empty_trash(&self, keys: &[String]) -> Result<(), Error> {
        for some in keys.chunks(ROWS) {
            let emptied = object_trash::Entity::delete_many()
                .filter(object_trash::Column::Key.is_in(some))
                .exec(&self.connections)
                .await;
            emptied.map_err(|source| self.error(source))?;
        }
        Ok(())
    }

    /// How long the footage of each camera is kept, as it was said last.
    pub async fn keepings(&self) -> Result<HashMap<String, Keeping>, Error> {
        let rows = retention::Entity::find().all(&self.connections).await;
        let rows = rows.map_err(|source| self.error(source))?.into_iter();
        Ok(rows
            .map(|row| {
                let keeping = Keeping {
                    age_ms: row.age_ms,
                    bytes: row.bytes,
                };
                (row.camera_uid, keeping)
            })
            .collect())
    }

    /// Says how long the footage of a camera is kept.
    pub async fn keep(&self, camera_uid: &str, keeping: Keeping) -> Result<(), Error> {
        let row = retention::ActiveModel {
            camera_uid: Set(camera_uid.to_owned()),
            age_ms: Set(keeping.age_ms),
            bytes: Set(keeping.bytes),
        };
        let again = OnConflict::column(retention::Column::CameraUid)
            .update_columns([retention::Column::AgeMs, retention::Column::Bytes])
            .to_owned();
        let said = retention::Entity::insert(row)
            .on_conflict(again)
            .exec_without_returning(&self.connections)
            .await;
        said.map(drop).map_err(|source| self.error(source))
    }
}

/// Takes segments out of the index and notes that their objects are to go; at most as many as one statement takes.
pub(super) async fn expire(transaction: &DatabaseTransaction, keys: &[String]) -> Result<(), DbErr> {
    segments::forget(transaction, keys).await?;
    note(transaction, keys).await
}

/// Notes that objects are to go; at most as many as one statement takes.
pub(super) async fn note(connection: &impl ConnectionTrait, keys: &[String]) -> Result<(), DbErr> {
    if keys.is_empty() {
        return Ok(());
    }
    let since = clock::read(connection).await?;
    let rows = keys.iter().map(|key| object_trash::ActiveModel {
        key: Set(key.clone()),
        since: Set(since),
    });
    let leave = OnConflict::column(object_trash::Column::Key)
        .do_nothing()
        .to_owned();
    let noted = object_trash::Entity::insert_many(rows)
        .on_conflict(leave)
        .exec_without_returning(connection)
        .await;
    match noted {
        Ok(_) | Err(DbErr::RecordNotInserted) => Ok(()),
        Err(error) => Err(error),
    }
}
