//! Detects a worker that claims nothing although orders are due and it has room.
//!
//! River fetches jobs in one task, which waits for the database's answer without a timeout. If that
//! answer never comes, because the database's host lost its power or the network was cut in that
//! moment, the worker would claim no order again and report nothing. No other task can help it, so
//! the worker ends with an error and returns its orders; its supervisor starts it again.

use std::time::{Duration, Instant};

use super::database::Database;
use super::driver::Pool;
#[cfg(feature = "postgres")]
use super::driver::postgres;
use super::error::Error;

/// Since when one worker has claimed nothing.
#[derive(Debug)]
pub(super) struct StallDetector {
    after: Duration,
    /// The number of attempts begun, since when it has not changed, and when it was last checked.
    seen: Option<(u64, Instant, Instant)>,
}

impl StallDetector {
    pub(super) fn new(after: Duration) -> Self {
        StallDetector { after, seen: None }
    }

    /// Whether the worker is stalled: for longer than the limit each check found an overdue job
    /// that the worker `could_claim`, while the number of attempts it has `begun` stayed the same.
    /// After a gap between checks (the process was stopped, the database was away) counting starts
    /// anew. Always `false` on SQLite, where nothing waits for a network.
    pub(super) async fn check(
        &mut self,
        database: &Database,
        begun: u64,
        could_claim: bool,
    ) -> Result<bool, Error> {
        let seen = self.seen.take();
        if !could_claim || !has_overdue_job(database).await? {
            return Ok(false);
        }
        let now = Instant::now();
        let since = match seen {
            Some((before, since, last))
                if before == begun && now.duration_since(last) < self.after / 2 =>
            {
                since
            }
            _ => now,
        };
        self.seen = Some((begun, since, now));
        Ok(now.duration_since(since) > self.after)
    }
}

async fn has_overdue_job(database: &Database) -> Result<bool, Error> {
    match database.pool() {
        Pool::Sqlite(_) => Ok(false),
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => {
            let doing = "looking for jobs that no worker fetches";
            database.write(doing, |tx| Box::pin(postgres::has_overdue_job(tx))).await
        }
    }
}
