//! One at a time, over all processes that share the database: for steps that also change what is not in it.

use super::{Database, Error, writing};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, TransactionTrait};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Names share this many locks of a process.
const STRIPES: usize = 64;
/// Locks held at once: on PostgreSQL each holds a connection, and who holds one wants another for its work.
const HELD: usize = 3;
/// Longest wait for a lock. Who holds one does little.
const WAIT: Duration = Duration::from_secs(10);

/// The locks of a process.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    stripes: Arc<[Arc<tokio::sync::Mutex<()>>]>,
    held: Arc<Semaphore>,
}

impl Locks {
    pub(super) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Arc::default()).collect(),
            held: Arc::new(Semaphore::new(HELD)),
        }
    }
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// None on SQLite, which one process has to itself. It has no changes: its end only lets go.
    _shared: Option<DatabaseTransaction>,
    _permit: OwnedSemaphorePermit,
    _here: OwnedMutexGuard<()>,
}

impl Database {
    /// Waits until nobody else holds the lock of that name.
    ///
    /// # Errors
    /// When somebody holds it for too long, or the database is away.
    pub async fn lock(&self, name: &str) -> Result<Lock, Error> {
        let hash = Sha256::digest(name);
        let stripe = self.locks.stripes[usize::from(hash[0]) % STRIPES].clone();
        let wait = async {
            let here = stripe.lock_owned().await;
            let permit = self.locks.held.clone().acquire_owned().await;
            // Nobody closes it.
            let permit = permit.map_err(|closed| DbErr::Custom(closed.to_string()))?;
            let mut shared = None;
            if self.connections.get_database_backend() == DbBackend::Postgres {
                let transaction = self.connections.begin_with_options(writing()).await?;
                advisory(&transaction, name).await?;
                shared = Some(transaction);
            }
            Ok(Lock {
                _shared: shared,
                _permit: permit,
                _here: here,
            })
        };
        let late = || DbErr::Custom(format!("somebody has held the lock {name} for {WAIT:?}"));
        tokio::time::timeout(WAIT, wait)
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(|source| self.error(source))
    }
}

/// Waits, on PostgreSQL, until no other transaction has asked for the same; SQLite has one writer at a time anyway.
pub(super) async fn advisory(transaction: &DatabaseTransaction, name: &str) -> Result<(), DbErr> {
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let hash = Sha256::digest(name);
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    let number = i64::from_be_bytes(number);
    transaction
        .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({number})"))
        .await
        .map(drop)
}
