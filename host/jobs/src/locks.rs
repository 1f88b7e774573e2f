//! Locks between processes: advisory locks on PostgreSQL, locked files beside SQLite's database.
//! The server or the system releases them when a process ends, however it ends.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::database::Database;
use super::driver::Tx;
#[cfg(feature = "postgres")]
use super::driver::postgres;
use super::error::Error;

/// Lets one of several workers on PostgreSQL rescue or rebalance at a time, until the transaction
/// ends. Always `true` on SQLite, which has one writer.
pub(super) async fn try_rescue_lock(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    match tx {
        Tx::Sqlite(_) => Ok(true),
        #[cfg(feature = "postgres")]
        Tx::Postgres(_) => postgres::try_rescue_lock(tx).await,
    }
}

/// Lets one of several servers on PostgreSQL claim a bulk action at a time, until the transaction
/// ends: what it counts stays so until it has claimed. Always `true` on SQLite, which has one
/// writer.
pub(super) async fn try_bulk_lock(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    match tx {
        Tx::Sqlite(_) => Ok(true),
        #[cfg(feature = "postgres")]
        Tx::Postgres(_) => postgres::try_bulk_lock(tx).await,
    }
}

/// Lets one of several transactions add a bulk action at a time: what it counts stays so until it
/// has added one. The others wait for milliseconds.
pub(super) async fn bulk_lock(tx: &mut Tx) -> Result<(), sqlx::Error> {
    match tx {
        Tx::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        Tx::Postgres(_) => postgres::bulk_lock(tx).await,
    }
}

/// How a file that is only locked is opened. Nobody else has a reason to lock it.
fn options() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}

/// Creates a file and takes the exclusive lock on it, which ends when the file is dropped; `None` if
/// another process has it.
pub(super) async fn try_lock_file(path: PathBuf) -> Result<Option<File>, Error> {
    let shown = path.display().to_string();
    let failed =
        |source: std::io::Error| Error::LockFile { path: shown.clone(), source: Arc::new(source) };
    let locked = tokio::task::spawn_blocking(move || -> std::io::Result<Option<File>> {
        let file = options().open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    });
    locked.await.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
}

/// The shared lock that every worker process on SQLite holds on a file beside the database.
#[derive(Debug)]
pub(super) struct Presence {
    _file: Option<File>,
    /// Whether no other worker process held the lock when this one started: then no owner of an
    /// order is alive.
    pub(super) alone: bool,
}

impl Presence {
    pub(super) async fn enter(database: &Database) -> Result<Self, Error> {
        let Some(path) = database.file_beside("workers") else {
            return Ok(Presence { _file: None, alone: false });
        };
        let shown = path.display().to_string();
        let failed = |source| Error::LockFile { path: shown.clone(), source: Arc::new(source) };
        let entered = tokio::task::spawn_blocking(move || -> std::io::Result<Presence> {
            let file = options().open(path)?;
            let alone = match file.try_lock() {
                Ok(()) => true,
                Err(std::fs::TryLockError::WouldBlock) => false,
                Err(std::fs::TryLockError::Error(error))
                    if error.kind() == std::io::ErrorKind::Unsupported =>
                {
                    return Ok(Presence { _file: None, alone: false });
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
            };
            // Shared from here on, so that the next process is not alone. Two may have been alone
            // one after the other, but neither has claimed an order yet.
            file.lock_shared()?;
            Ok(Presence { _file: Some(file), alone })
        });
        entered.await.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
    }
}
