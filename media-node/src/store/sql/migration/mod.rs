//! The schema's history, oldest first. A migration that has been released never changes.

mod m0001_accounts;
mod m0002_account_revision;
mod m0003_gateways;
mod m0004_recorder;
mod m0005_segments;
mod m0006_retention;
mod m0007_segment_bytes;
mod m0008_pictures;
mod m0009_running_recordings;

use super::writing;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, TransactionTrait};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// Names the advisory lock that PostgreSQL processes take while they migrate. Any number will do
/// that nobody else in the same database uses.
const LOCK: i64 = 0x0077_6569_7264_6200;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_accounts::Migration),
            Box::new(m0002_account_revision::Migration),
            Box::new(m0003_gateways::Migration),
            Box::new(m0004_recorder::Migration),
            Box::new(m0005_segments::Migration),
            Box::new(m0006_retention::Migration),
            Box::new(m0007_segment_bytes::Migration),
            Box::new(m0008_pictures::Migration),
            Box::new(m0009_running_recordings::Migration),
        ]
    }
}

/// Applies what is missing, in one transaction that only one process can be in.
pub(super) async fn apply(connections: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = connections.begin_with_options(writing()).await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        // The wait for the lock is bounded by the caller, not by the limit for queries.
        transaction
            .execute_unprepared("SET LOCAL statement_timeout = 0")
            .await?;
        transaction
            .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})"))
            .await?;
    }
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}
