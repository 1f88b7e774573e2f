//! A backup of SQLite while workers use it.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::database::Database;
use super::driver::args;
use super::error::Error;

/// A backup that was written and read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    pub file: PathBuf,
    pub bytes: u64,
    /// Orders in it.
    pub orders: i64,
    /// The version of our tables.
    pub schema: i64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is not SQLite.
    #[error(
        "{shown} is a server, which has a tool of its own: `pg_dump --format=custom --file=FILE \
         \"$DATABASE_URL\"`; see docs/src/operate/backup.md"
    )]
    Server {
        /// The URL without its password.
        shown: String,
    },
    #[error("{} exists already: name another file, or remove it first", .file.display())]
    Exists { file: PathBuf },
    #[error("the backup {} cannot be written: {source}", .file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("the backup {} was written and is damaged: {why}; make another one", .file.display())]
    Damaged { file: PathBuf, why: String },
    #[error(transparent)]
    Database(#[from] Error),
}

impl BackupError {
    /// Whether the caller can fix it, with other arguments.
    pub fn is_usage(&self) -> bool {
        match self {
            BackupError::Server { .. } | BackupError::Exists { .. } => true,
            BackupError::File { .. } | BackupError::Damaged { .. } => false,
            BackupError::Database(error) => error.is_usage(),
        }
    }
}

impl Database {
    /// Writes a backup of an SQLite database to a new file, mode 0600, and checks it. Workers go on:
    /// the backup is the database at one moment. The file appears once it is whole.
    ///
    /// # Errors
    /// See [`BackupError`]. What was written of it is removed.
    pub async fn backup(&self, file: &Path) -> Result<Backup, BackupError> {
        if !self.is_embedded() {
            return Err(BackupError::Server { shown: self.shown().to_owned() });
        }
        let failed = |source| BackupError::File { file: file.to_owned(), source };
        if tokio::fs::try_exists(file).await.map_err(failed)? {
            return Err(BackupError::Exists { file: file.to_owned() });
        }
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        // SQLite would take the journal of one that was killed for that of this one.
        remove(&partial).await;
        let written = self.write_backup(&partial).await;
        let moved = match written {
            Ok(backup) => {
                let (from, to) = (partial.clone(), file.to_owned());
                let moved = tokio::task::spawn_blocking(move || publish(&from, &to));
                let moved = moved.await.unwrap_or_else(|error| Err(io::Error::other(error)));
                moved.map_err(failed).map(|()| Backup { file: file.to_owned(), ..backup })
            }
            Err(error) => Err(error),
        };
        if moved.is_err() {
            remove(&partial).await;
        }
        moved
    }

    async fn write_backup(&self, partial: &Path) -> Result<Backup, BackupError> {
        let failed = |source| BackupError::File { file: partial.to_owned(), source };
        // SQLite writes into an empty file, which has this mode already: orders are in it.
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        drop(options.open(partial).await.map_err(failed)?);
        let name = partial.to_str().ok_or_else(|| {
            failed(io::Error::other("SQLite takes no file name that is not UTF-8"))
        })?;
        self.read("writing the backup", "VACUUM INTO $1", args![name]).await?;
        let damaged = |why: String| BackupError::Damaged { file: partial.to_owned(), why };
        let url = name.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        let copy = Database::open_existing(&format!("sqlite://{url}")).await?;
        let checked = async {
            let rows = copy.read("checking the backup", "PRAGMA quick_check(1)", vec![]).await?;
            let answer = rows.first().map_or(Ok(String::new()), |row| row.text("quick_check"));
            let answer = answer.map_err(|error| Error::database("checking the backup", error))?;
            if answer != "ok" {
                return Err(damaged(answer));
            }
            let sql = "SELECT (SELECT count(*) FROM sitewright_orders) AS orders,
                (SELECT max(version) FROM sitewright_schema) AS schema";
            let rows = copy.read("counting the orders of the backup", sql, vec![]).await?;
            let row = rows.first().ok_or_else(|| damaged("it has no tables".to_owned()))?;
            let number = |column| {
                row.int(column).map_err(|error| Error::database("checking the backup", error))
            };
            Ok((number("orders")?, number("schema")?))
        };
        let checked = checked.await;
        copy.close().await;
        let (orders, schema) = checked?;
        let bytes = tokio::fs::metadata(partial).await.map_err(failed)?.len();
        Ok(Backup { file: partial.to_owned(), bytes, orders, schema })
    }
}

/// Removes an unfinished backup, and what SQLite has written beside it.
async fn remove(partial: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut file = partial.as_os_str().to_owned();
        file.push(suffix);
        let file = PathBuf::from(file);
        if let Err(error) = tokio::fs::remove_file(&file).await
            && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        {
            tracing::warn!(file = %file.display(), %error, "an unfinished backup was not removed");
        }
    }
}

/// Writes the file to the disk and gives it its name. Blocking.
fn publish(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::File::open(from)?.sync_all()?;
    std::fs::rename(from, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
