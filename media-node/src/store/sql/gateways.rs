//! Small numbers for gateways, whose pods have none: each holds one for a while and renews it.

use super::entity::gateway;
use super::{Database, Error, clock, writing};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, TransactionTrait,
};
use std::collections::HashMap;
use std::time::Duration;

impl Database {
    /// The ordinal that `holder` has from now on for `lifetime`: the one that it has already, or else the
    /// smallest that is free. None while all are held.
    pub async fn claim_ordinal(&self, holder: &str, lifetime: Duration) -> Result<Option<u8>, Error> {
        let claimed = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let now = clock::read(&transaction).await?;
            let expires = now.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
            let held = gateway::Entity::find().all(&transaction).await?;
            let own = held
                .iter()
                .find(|row| row.holder == holder)
                .map(|row| row.ordinal);
            let until: HashMap<i32, i64> = held.into_iter().map(|row| (row.ordinal, row.expires)).collect();
            let free = (0..=i32::from(u8::MAX)).filter(|n| until.get(n).is_none_or(|at| *at <= now));
            for ordinal in own.into_iter().chain(free) {
                // Another may be as quick, so that each step says what it takes for granted.
                if take(&transaction, ordinal, holder, now, expires).await? {
                    transaction.commit().await?;
                    return Ok(u8::try_from(ordinal).ok());
                }
            }
            Ok(None)
        };
        claimed.await.map_err(|source| self.error(source))
    }

    /// Gives the ordinal back.
    pub async fn release_ordinal(&self, holder: &str) -> Result<(), Error> {
        let released = gateway::Entity::delete_many()
            .filter(gateway::Column::Holder.eq(holder))
            .exec(&self.connections)
            .await;
        released.map(drop).map_err(|source| self.error(source))
    }
}

/// False if somebody else has it.
async fn take(
    connection: &impl ConnectionTrait,
    ordinal: i32,
    holder: &str,
    now: i64,
    expires: i64,
) -> Result<bool, DbErr> {
    use gateway::Column::{Expires, Holder, Ordinal};
    let updated = gateway::Entity::update_many()
        .col_expr(Holder, Expr::value(holder))
        .col_expr(Expires, Expr::value(expires))
        .filter(Ordinal.eq(ordinal))
        .filter(Holder.eq(holder).or(Expires.lte(now)))
        .exec(connection)
        .await?;
    if updated.rows_affected > 0 {
        return Ok(true);
    }
    let row = gateway::ActiveModel {
        ordinal: Set(ordinal),
        holder: Set(holder.to_owned()),
        expires: Set(expires),
    };
    let leave = OnConflict::column(Ordinal).do_nothing().to_owned();
    let inserted = gateway::Entity::insert(row)
        .on_conflict(leave)
        .exec_without_returning(connection)
        .await;
    match inserted {
        Ok(rows) => Ok(rows > 0),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error),
    }
}
