//! The database's clock. Expiry goes by it alone, so that gateways whose clocks differ agree.

use super::{Database, Error};
use sea_orm::sea_query::{Expr, SelectStatement, SimpleExpr};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};

/// Seconds since the Unix epoch, as an SQL expression.
pub(super) fn now(backend: DbBackend) -> SimpleExpr {
    match backend {
        DbBackend::Postgres => Expr::cust("EXTRACT(EPOCH FROM clock_timestamp())::bigint"),
        _ => Expr::cust("CAST(strftime('%s', 'now') AS INTEGER)"),
    }
}

impl Database {
    /// What time it is where the database is, in seconds since the Unix epoch; none where it has our own clock.
    pub async fn clock_elsewhere(&self) -> Result<Option<i64>, Error> {
        if self.backend() != DbBackend::Postgres {
            return Ok(None);
        }
        let now = read(&self.connections).await;
        now.map(Some).map_err(|source| self.error(source))
    }
}

/// Seconds since the Unix epoch, asked now.
pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let ask = SelectStatement::new()
        .expr_as(now(connection.get_database_backend()), "now")
        .take();
    let row = connection.query_one(&ask).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the clock".into()))?
        .try_get("", "now")
}
