//! Numbers by which documented APIs name objects: handed out on first sight, growing per kind, never handed out again.

use super::entity::resource_id::{ActiveModel, Column, Entity, Model};
use super::lock::advisory;
use super::{Database, Error, clock, writing};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, TransactionTrait,
};
use std::collections::HashMap;

/// An object that has a number or is to get one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub uid: String,
    pub name: String,
}

impl Database {
    /// The numbers of these objects by uid. Those that have none get one, in this order; an object whose name ends in a
    /// number that [`Self::reserve_resource_id`] gave gets that one.
    pub async fn resource_ids(
        &self,
        api: &str,
        kind: &str,
        objects: &[Named],
    ) -> Result<HashMap<String, i64>, Error> {
        let work = async {
            let mut known = open(&self.connections, api, kind).await?;
            if objects.iter().all(|object| known.contains_key(&object.uid)) {
                return Ok(known);
            }
            let transaction = self.begin_numbering(api, kind).await?;
            // Somebody else may have been quicker.
            known = open(&transaction, api, kind).await?;
            for object in objects {
                if !known.contains_key(&object.uid) {
                    let id = number(&transaction, api, kind, object).await?;
                    known.insert(object.uid.clone(), id);
                }
            }
            transaction.commit().await?;
            Ok(known)
        };
        work.await.map_err(|source| self.error(source))
    }

    /// A number for an object that is about to be made under a name that ends in it, `kind-number`. If it is not made, the
    /// number is lost.
    pub async fn reserve_resource_id(&self, api: &str, kind: &str) -> Result<i64, Error> {
        let work = async {
            let transaction = self.begin_numbering(api, kind).await?;
            let id = next(&transaction, api, kind).await?;
            insert(&transaction, api, kind, id, "", "", true).await?;
            transaction.commit().await?;
            Ok(id)
        };
        work.await.map_err(|source| self.error(source))
    }

    /// When an API call took the object away, in Unix seconds; none if it has not, or if one of this uid has come since.
    pub async fn resource_closed_at(&self, api: &str, kind: &str, uid: &str) -> Result<Option<i64>, Error> {
        let found = Entity::find()
            .filter(Column::Api.eq(api))
            .filter(Column::Kind.eq(kind))
            .filter(Column::Uid.eq(uid))
            .order_by_desc(Column::Id)
            .one(&self.connections)
            .await;
        let row = found.map_err(|source| self.error(source))?;
        Ok(row.filter(|row| row.closed).map(|row| row.closed_at))
    }

    /// The uid of the object that has this number, if it is there still.
    pub async fn resource_of(&self, api: &str, kind: &str, id: i64) -> Result<Option<String>, Error> {
        let found = Entity::find_by_id((api.to_owned(), kind.to_owned(), id))
            .filter(Column::Closed.eq(false))
            .one(&self.connections)
            .await;
        let row: Option<Model> = found.map_err(|source| self.error(source))?;
        Ok(row.map(|row| row.uid))
    }

    /// Says that the object is gone: one that has the same uid later gets another number.
    pub async fn close_resource_id(&self, api: &str, kind: &str, uid: &str) -> Result<(), Error> {
        let closed = Entity::update_many()
            .col_expr(Column::Closed, Expr::value(true))
            .col_expr(Column::ClosedAt, clock::now(self.backend()))
            .filter(Column::Api.eq(api))
            .filter(Column::Kind.eq(kind))
            .filter(Column::Uid.eq(uid))
            .filter(Column::Closed.eq(false))
            .exec(&self.connections)
            .await;
        closed.map(drop).map_err(|source| self.error(source))
    }

    async fn begin_numbering(&self, api: &str, kind: &str) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.connections.begin_with_options(writing()).await?;
        advisory(&transaction, &format!("resource_id/{api}/{kind}")).await?;
        Ok(transaction)
    }
}

/// The numbers of objects that are there.
async fn open(
    connection: &impl ConnectionTrait,
    api: &str,
    kind: &str,
) -> Result<HashMap<String, i64>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Api.eq(api))
        .filter(Column::Kind.eq(kind))
        .filter(Column::Closed.eq(false))
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.uid, row.id)).collect())
}

/// Nobody else numbers this kind meanwhile.
async fn number(
    transaction: &DatabaseTransaction,
    api: &str,
    kind: &str,
    object: &Named,
) -> Result<i64, DbErr> {
    let reserved = object
        .name
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('-'));
    if let Some(id) = reserved.and_then(|digits| digits.parse::<i64>().ok()) {
        let taken = Entity::update_many()
            .col_expr(Column::Uid, Expr::value(object.uid.as_str()))
            .col_expr(Column::Name, Expr::value(object.name.as_str()))
            .col_expr(Column::Closed, Expr::value(false))
            .filter(Column::Api.eq(api))
            .filter(Column::Kind.eq(kind))
            .filter(Column::Id.eq(id))
            .filter(Column::Uid.eq(""))
            .exec(transaction)
            .await?;
        if taken.rows_affected > 0 {
            return Ok(id);
        }
    }
    let id = next(transaction, api, kind).await?;
    insert(transaction, api, kind, id, &object.uid, &object.name, false).await?;
    Ok(id)
}

async fn next(transaction: &DatabaseTransaction, api: &str, kind: &str) -> Result<i64, DbErr> {
    let last: Option<i64> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Api.eq(api))
        .filter(Column::Kind.eq(kind))
        .order_by_desc(Column::Id)
        .into_tuple()
        .one(transaction)
        .await?;
    Ok(last.unwrap_or(0) + 1)
}

async fn insert(
    transaction: &DatabaseTransaction,
    api: &str,
    kind: &str,
    id: i64,
    uid: &str,
    name: &str,
    closed: bool,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        api: Set(api.to_owned()),
        kind: Set(kind.to_owned()),
        id: Set(id),
        uid: Set(uid.to_owned()),
        name: Set(name.to_owned()),
        closed: Set(closed),
        closed_at: Set(0),
    };
    Entity::insert(row)
        .exec_without_returning(transaction)
        .await
        .map(drop)
}
