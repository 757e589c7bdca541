//! The SQL database: opening it, bringing its schema up to date, asking whether it answers.
//!
//! One schema for SQLite (one process) and PostgreSQL (any number of gateways). Queries live in
//! one file per subject ([`accounts`], [`recorder`], `gateways`); entities and migrations stay inside this module.

pub mod accounts;
mod clock;
mod credentials;
mod entity;
mod error;
mod gateways;
mod location;
mod lock;
mod migration;
pub mod recorder;
mod resource_ids;
mod segments;
mod trash;

pub use error::Error;
pub use location::Location;
pub use lock::Lock;
pub use resource_ids::Named;
pub use segments::{Listed, Stored};
pub use trash::Keeping;

use sea_orm::{
    ConnectOptions, DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions,
};
use std::time::Duration;

/// Longest wait for a connection, which is also how long a request waits while the database is away.
const ACQUIRE: Duration = Duration::from_secs(3);
/// Longest run of one statement on PostgreSQL.
const STATEMENT: Duration = Duration::from_secs(10);
/// Longest wait for another process that migrates the same database.
const MIGRATION: Duration = Duration::from_mins(1);
/// How long SQLite waits for another connection's write.
const SQLITE_BUSY: Duration = Duration::from_secs(5);
/// Between two attempts to open a file that others are opening.
const SQLITE_PAUSE: Duration = Duration::from_millis(20);
const CONNECTIONS: u32 = 8;

/// A pool of connections to a database whose schema is up to date. Cheap to clone. A lost
/// connection is replaced by the next query that needs one.
#[derive(Clone, Debug)]
pub struct Database {
    connections: DatabaseConnection,
    place: String,
    locks: lock::Locks,
}

impl Database {
    /// Connects and applies the migrations that are missing. Safe while other processes do the same.
    ///
    /// # Errors
    /// [`Error::Unreachable`] while the database is away; [`Error::Migration`] when the schema
    /// can't be brought up to date, for example because a newer release has changed it.
    pub async fn open(location: &Location) -> Result<Self, Error> {
        let place = location.to_string();
        let unreachable = |source| Error::Unreachable {
            place: place.clone(),
            source,
        };
        let connections = connect(location).await?.map_err(unreachable)?;
        let migrated = tokio::time::timeout(MIGRATION, migration::apply(&connections)).await;
        match migrated {
            Ok(Ok(())) => {}
            Ok(Err(source)) => return Err(Error::Migration { place, source }),
            Err(_) => {
                return Err(Error::MigrationLocked {
                    place,
                    waited: MIGRATION,
                });
            }
        }
        Ok(Self {
            connections,
            place,
            locks: lock::Locks::new(),
        })
    }

    /// Like [`Self::open`], but tries again, with growing pauses, while the database is away and
    /// `patience` lasts: in a cluster a gateway may well start before its database.
    pub async fn open_patiently(location: &Location, patience: Duration) -> Result<Self, Error> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut pause = Duration::from_millis(200);
        loop {
            match Self::open(location).await {
                Err(error @ Error::Unreachable { .. }) if tokio::time::Instant::now() + pause < deadline => {
                    tracing::warn!(error = %error.chain(), "database is away, trying again");
                }
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.connections.ping().await.map_err(|source| self.error(source))
    }

    /// Ends all connections. Later queries fail.
    pub async fn close(&self) {
        if let Err(error) = self.connections.clone().close().await {
            tracing::debug!(%error, "closing the database failed");
        }
    }

    fn backend(&self) -> DbBackend {
        self.connections.get_database_backend()
    }

    fn error(&self, source: sea_orm::DbErr) -> Error {
        Error::query(&self.place, source)
    }
}

/// SQLite turns a new file to its write-ahead log with the first connection, and when several come at once,
/// says at once to all but one that it is locked, however long they would wait.
async fn connect(location: &Location) -> Result<Result<DatabaseConnection, DbErr>, Error> {
    let is_sqlite = matches!(location, Location::Sqlite(_));
    let deadline = tokio::time::Instant::now() + SQLITE_BUSY;
    loop {
        match sea_orm::Database::connect(options(location)?).await {
            Err(error) if is_sqlite && error::is_locked(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(SQLITE_PAUSE).await;
            }
            connected => return Ok(connected),
        }
    }
}

/// A transaction that will write. SQLite takes the write lock at its start, because a
/// transaction that turns from reading to writing later fails at once when another one writes.
fn writing() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

fn options(location: &Location) -> Result<ConnectOptions, Error> {
    let (url, password) = location.url()?;
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .set_application_name("weir")
        .statement_timeout(STATEMENT);
    match location {
        Location::Sqlite(file) => {
            location::make_private(file).map_err(|source| Error::File {
                path: file.clone(),
                source,
            })?;
            let file = file.clone();
            options.map_sqlx_sqlite_opts(move |sqlite| {
                use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
                sqlite
                    .filename(&file)
                    .journal_mode(SqliteJournalMode::Wal)
                    // A reply of success means that the change survives a power cut.
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(SQLITE_BUSY)
            });
        }
        Location::Postgres(_) => {
            if let Some(password) = password {
                // Not in the URL, which the driver shows in trace logs.
                options.map_sqlx_postgres_opts(move |postgres| postgres.password(&password));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests;
