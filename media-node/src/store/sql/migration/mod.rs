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
mod m0010_stored_segments;

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
            Box::new(m0010_stored_segments::Migration),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::{Database, Location};

    #[tokio::test]
    async fn segments_of_a_former_release_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("index.sqlite");
        let before = sea_orm::Database::connect(format!("sqlite://{}?mode=rwc", file.display()))
            .await
            .expect("a database");
        Migrator::up(&before, Some(9)).await.expect("the former schema");
        let facts = |sequence: u32| {
            format!(
                r#"{{"cameraUid":"0a","camera":"hall","path":"school/hall","startMs":1767603600123,"endMs":1767603660123,"epoch":7,"session":18446744073709551615,"sequence":{sequence},"bytes":99,"initBytes":11,"tableOffset":88,"frames":1500,"keyframes":30,"tracks":[{{"codec":"H264","clockRate":90000,"width":1280,"height":720}}]}}"#
            )
        };
        let rows: Vec<String> = (0..1_001)
            .map(|n| {
                format!(
                    "('segments/0a/{n}', '0a', 1767603600123, 1767603660123, 99, '{}')",
                    facts(n)
                )
            })
            .collect();
        let insert = format!(
            "INSERT INTO segment (key, camera_uid, start_ms, end_ms, bytes, facts) VALUES {}, ('x', '0a', 1, 2, 3, 'no JSON')",
            rows.join(",")
        );
        before.execute_unprepared(&insert).await.expect("rows");
        before.close().await.expect("closed");

        let database = Database::open(&Location::Sqlite(file)).await.expect("migrated");
        let found = database.segments("0a", 0, i64::MAX, 2_000).await.expect("a list");
        assert_eq!(found.len(), 1_001);
        let text = serde_json::to_string(&found[12]).expect("JSON");
        assert_eq!(text, facts(12));
    }
}
