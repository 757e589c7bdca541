//! Why the database did not do what was asked.

use sea_orm::{DbErr, RuntimeErr};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the database URL is wrong: {0}")]
    Location(String),
    #[error("can't create or protect the database file {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The environment's fault; trying again later may help.
    #[error("the database at {place} is away")]
    Unreachable {
        place: String,
        #[source]
        source: DbErr,
    },
    #[error("the schema of the database at {place} can't be brought up to date")]
    Migration {
        place: String,
        #[source]
        source: DbErr,
    },
    #[error("another process has been migrating the database at {place} for {waited:?}")]
    MigrationLocked { place: String, waited: Duration },
    #[error("the database at {place} refused a query")]
    Query {
        place: String,
        #[source]
        source: DbErr,
    },
}

impl Error {
    pub(super) fn query(place: &str, source: DbErr) -> Self {
        let place = place.to_owned();
        if is_away(&source) {
            Self::Unreachable { place, source }
        } else {
            Self::Query { place, source }
        }
    }

    /// The message with its causes, for a log line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let message = error.to_string();
            // Some causes repeat what the error above them has said.
            if !text.contains(&message) {
                text = format!("{text}: {message}");
            }
            cause = error.source();
        }
        text
    }
}

/// Whether another connection to a SQLite file is in the way.
pub(super) fn is_locked(error: &DbErr) -> bool {
    /// Of a result code, the primary one is in the lowest byte.
    const BUSY: u32 = 5;
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let sea_orm::sqlx::Error::Database(error) = error.as_ref() else {
        return false;
    };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == BUSY)
}

fn is_away(error: &DbErr) -> bool {
    use sea_orm::sqlx;
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            match error.as_ref() {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                // Class 57P: the server is shutting down or starting up.
                sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
                _ => false,
            }
        }
        _ => false,
    }
}
