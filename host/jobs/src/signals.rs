//! Hears from PostgreSQL that orders or events have changed, so that nobody has to look for that
//! all the time. Its triggers tell only while somebody watches: a transaction that tells waits for
//! others that do when it commits.

use super::database::Database;
#[cfg(feature = "postgres")]
use super::driver::{Pool, postgres};
use super::error::Error;

/// What is heard, on a connection of its own.
#[derive(Debug)]
pub struct Signals {
    #[cfg(feature = "postgres")]
    changes: postgres::Changes,
    #[cfg(not(feature = "postgres"))]
    never: std::convert::Infallible,
}

impl Database {
    /// Begins to hear of changes. `None` on SQLite, and behind a pooler that gives each transaction
    /// another session: such a pooler loses what is told.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn signals(&self) -> Result<Option<Signals>, Error> {
        #[cfg(feature = "postgres")]
        if let Pool::Postgres(pool) = self.pool() {
            let failed = |error| Error::database("listening for changes", error);
            if postgres::is_transaction_pooled(pool).await.map_err(failed)? {
                return Ok(None);
            }
            let changes = postgres::Changes::listen(pool).await.map_err(failed)?;
            return Ok(Some(Signals { changes }));
        }
        Ok(None)
    }
}

impl Signals {
    /// Waits until something may have changed: at once if it has since the last time, or if the
    /// connection was lost meanwhile.
    ///
    /// # Errors
    /// If the connection is lost and cannot be made again.
    pub async fn changed(&mut self) -> Result<(), Error> {
        #[cfg(feature = "postgres")]
        {
            let heard = self.changes.next().await;
            heard.map_err(|error| Error::database("listening for changes", error))
        }
        #[cfg(not(feature = "postgres"))]
        match self.never {}
    }

    /// Says that somebody still watches. Must be called at least every 20 s.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn keep(&mut self) -> Result<(), Error> {
        #[cfg(feature = "postgres")]
        {
            let kept = self.changes.keep().await;
            kept.map_err(|error| Error::database("listening for changes", error))
        }
        #[cfg(not(feature = "postgres"))]
        match self.never {}
    }
}
