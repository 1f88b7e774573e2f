//! A worker that takes nothing although orders wait and it has room.
//!
//! River looks for jobs in one task, which waits for the database's answer without a limit of its
//! own. When that answer never comes, because the database's host lost its power or the network was
//! cut in that moment, this worker would take no order again and say nothing. No other task can
//! help it, so the worker ends, says why and gives its orders back; whoever watches over it starts
//! it again.

use std::time::{Duration, Instant};

use super::database::Database;
use super::error::Error;
use super::river::QUEUE;
use super::sql::args;

/// A job that is due for longer than that was left by everybody.
const LEFT_FOR_S: i64 = 10;

/// Since when one worker stands still.
#[derive(Debug)]
pub(super) struct StallDetector {
    after: Duration,
    /// How many jobs had been begun, since when that has not changed, and when it was last looked.
    seen: Option<(u64, Instant, Instant)>,
}

impl StallDetector {
    pub(super) fn new(after: Duration) -> Self {
        StallDetector { after, seen: None }
    }

    /// Whether it stands still for too long: at each look a job was left that this worker
    /// `could_take`, and the number of those it has `begun` stayed the same. A process that was
    /// stopped, or a database that was away or took no writes, kept the looks away as well:
    /// then it begins anew. Never so on SQLite, where nobody waits for a network.
    pub(super) async fn look(
        &mut self,
        database: &Database,
        begun: u64,
        could_take: bool,
    ) -> Result<bool, Error> {
        let seen = self.seen.take();
        if !could_take || database.is_embedded() || !is_left(database).await? {
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

/// Whether a job is due that nobody takes although River could: the database takes writes, and
/// neither the table nor the job is locked.
async fn is_left(database: &Database) -> Result<bool, Error> {
    let left = database.write("looking for orders that nobody takes", move |tx| {
        Box::pin(async move {
            tx.script("LOCK TABLE river_job IN ROW EXCLUSIVE MODE NOWAIT".to_owned()).await?;
            let sql = "SELECT id FROM river_job
                 WHERE state = 'available' AND queue = $1 AND kind = 'sitewright_order'
                    AND scheduled_at < now() - $2::bigint * interval '1 second'
                 LIMIT 1 FOR UPDATE SKIP LOCKED";
            Ok(tx.optional(sql, args![QUEUE, LEFT_FOR_S]).await?.is_some())
        })
    });
    left.await
}
