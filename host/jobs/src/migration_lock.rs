//! The right to migrate a database: one process has it at a time, and the others say who that is.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::database::Database;
#[cfg(feature = "postgres")]
use super::driver::Pool;
#[cfg(feature = "postgres")]
use super::driver::postgres::{MigrationSession, Session};
use super::error::Error;
use super::locks::try_lock_file;

/// Time between two attempts to get the right.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// Time after which a wait is logged for the first time, and between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The right to migrate. Ends when the process does, however it ends.
pub(super) enum MigrationLock {
    File(File),
    #[cfg(feature = "postgres")]
    Session(MigrationSession),
}

/// How far a process came in getting the right.
enum Attempt {
    File(PathBuf),
    #[cfg(feature = "postgres")]
    Session(MigrationSession),
}

impl MigrationLock {
    /// Waits for the right, at most the database's `migration_wait`. `None` if there is nothing to
    /// migrate any more: another process has done it.
    ///
    /// # Errors
    /// [`Error::MigrationLocked`] if another process has it for longer; or the database fails.
    pub(super) async fn acquire(database: &Database) -> Result<Option<Self>, Error> {
        let mut attempt = Attempt::begin(database).await?;
        let (begin, wait) = (Instant::now(), database.migration_wait());
        let mut log_at = begin + Duration::from_secs(1).min(wait / 2);
        loop {
            match attempt.try_lock().await? {
                Ok(lock) => return Ok(Some(lock)),
                Err(waiting) => attempt = waiting,
            }
            if database.migrated().await?.is_some() {
                attempt.end().await;
                return Ok(None);
            }
            let now = Instant::now();
            if now >= begin + wait {
                let holder = attempt.holder().await;
                attempt.end().await;
                let shown = database.shown().to_owned();
                return Err(Error::MigrationLocked { shown, waited: wait, holder });
            }
            if now >= log_at {
                log_at = now + LOG_EVERY;
                let holder = attempt.holder().await;
                tracing::warn!("waiting for another process that migrates the database: {holder}");
            }
            tokio::time::sleep(RETRY_EVERY.min(wait)).await;
        }
    }

    pub(super) async fn release(self) {
        match self {
            MigrationLock::File(file) => drop(file),
            #[cfg(feature = "postgres")]
            MigrationLock::Session(session) => session.close().await,
        }
    }
}

impl Attempt {
    async fn begin(database: &Database) -> Result<Self, Error> {
        match database.pool() {
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => {
                let session = MigrationSession::open(pool).await;
                Ok(Attempt::Session(session.map_err(failed)?))
            }
            _ => Ok(Attempt::File(database.file_beside("migrating").unwrap_or_default())),
        }
    }

    async fn try_lock(self) -> Result<Result<MigrationLock, Self>, Error> {
        Ok(match self {
            Attempt::File(path) => match try_lock_file(path.clone()).await? {
                Some(file) => Ok(MigrationLock::File(file)),
                None => Err(Attempt::File(path)),
            },
            #[cfg(feature = "postgres")]
            Attempt::Session(mut session) => {
                if session.try_lock().await.map_err(failed)? {
                    Ok(MigrationLock::Session(session))
                } else {
                    Err(Attempt::Session(session))
                }
            }
        })
    }

    /// Who has the right, for people.
    async fn holder(&mut self) -> String {
        match self {
            Attempt::File(path) => {
                let path = path.clone();
                let found = tokio::task::spawn_blocking(move || {
                    let holder = process_that_locks(&path);
                    (path, holder)
                });
                match found.await {
                    Ok((path, Some((pid, program)))) => {
                        format!("process {pid} ({program}) has locked {}", path.display())
                    }
                    Ok((path, None)) => {
                        format!("`fuser {}` names it", path.display())
                    }
                    Err(error) => format!("it is not known which ({error})"),
                }
            }
            #[cfg(feature = "postgres")]
            Attempt::Session(session) => match session.holder().await {
                Ok(Some(holder)) => described(&holder),
                Ok(None) => "it has just ended, or this role may not see it".to_owned(),
                Err(error) => format!("it is not known which ({error})"),
            },
        }
    }

    async fn end(self) {
        match self {
            Attempt::File(_) => {}
            #[cfg(feature = "postgres")]
            Attempt::Session(session) => session.close().await,
        }
    }
}

#[cfg(feature = "postgres")]
fn failed(error: sqlx::Error) -> Error {
    Error::database("waiting for the right to migrate", error)
}

/// A session on the server: how to find it, and how to end it.
#[cfg(feature = "postgres")]
fn described(session: &Session) -> String {
    let Session { pid, program, role, address, for_s } = session;
    let program = if program.is_empty() { "a program without a name" } else { program };
    let from = if address.is_empty() { "a socket of the server" } else { address };
    format!(
        "{program:?} of the role {role:?}, connected from {from} for {for_s} s, holds the lock; \
         `SELECT pg_terminate_backend({pid})` ends it"
    )
}

/// The process that has locked a file of this machine, and the name of its program.
fn process_that_locks(path: &Path) -> Option<(u32, String)> {
    let file = std::fs::metadata(path).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = lock_holder(&locks, file.ino())?;
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, program.trim().to_owned()))
}

/// Reads `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 4242 08:01:393222 0 EOF`. The numbers of devices
/// differ from those of `stat` on some file systems, so only the file's own number is compared.
fn lock_holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = fields.as_slice() else { return None };
        let of_file = place.rsplit(':').next()?.parse() == Ok(inode);
        if of_file { pid.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::lock_holder;

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_list_of_the_kernel() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 08:01:5 0 EOF\n2: FLOCK  ADVISORY  READ 8 08:01:5 \
                     0 EOF\n3: FLOCK  ADVISORY  WRITE 4242 08:01:5 0 EOF\n3: -> FLOCK  ADVISORY  \
                     WRITE 9 08:01:5 0 EOF\n";
        assert_eq!(lock_holder(locks, 5), Some(4242));
        assert_eq!(lock_holder(locks, 6), None);
    }
}
