//! A worker that takes nothing although orders wait and it has room.
//!
//! River looks for jobs in one task, which waits for the database's answer without a limit of its own. When that answer never comes,
//! because the database's host lost its power or the network was cut in that moment, this worker would take no order again and say
//! nothing. No other task can help it, so the worker ends, says why and gives its orders back; whoever watches over it starts it again.

use std::time::{Duration, Instant};

use super::database::Database;
use super::error::Error;
use super::river::QUEUE;
use super::sql::args;

/// A job that is due for longer than that was left by everybody.
const LEFT_FOR_S: i64 = 10;

/// Since when one worker stands still.
#[derive(Debug)]
pub(super) struct Standstill {
    after: Duration,
    /// How many jobs had been begun, since when that has not changed, and when it was last looked.
    seen: Option<(u64, Instant, Instant)>,
}

impl Standstill {
    pub(super) fn new(after: Duration) -> Self {
        Standstill { after, seen: None }
    }

    /// Whether it stands still for too long: at each look a job was left that this worker `could_take`, and the number of those it has
    /// `begun` stayed the same. A process that was stopped, or a database that was away, kept the looks away as well: then it begins
    /// anew.
    pub(super) async fn look(
        &mut self,
        database: &Database,
        begun: u64,
        could_take: bool,
    ) -> Result<bool, Error> {
        let now = Instant::now();
        if !could_take || !is_left(database).await? {
            self.seen = None;
            return Ok(false);
        }
        match &mut self.seen {
            Some((before, since, last)) if *before == begun && now.duration_since(*last) < self.after / 2 => {
                *last = now;
                Ok(now.duration_since(*since) > self.after)
            }
            seen => {
                *seen = Some((begun, now, now));
                Ok(false)
            }
        }
    }
}

/// Whether a job is due that nobody takes.
async fn is_left(database: &Database) -> Result<bool, Error> {
    let sql = database.pool().pick(
        "SELECT id FROM river_job
         WHERE state = 'available' AND queue = $1 AND kind = 'sitewright_order'
            AND scheduled_at < strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || $2 || ' seconds') LIMIT 1",
        "SELECT id FROM river_job
         WHERE state = 'available' AND queue = $1 AND kind = 'sitewright_order'
            AND scheduled_at < now() - $2::bigint * interval '1 second' LIMIT 1",
    );
    let rows = database.read("looking for orders that nobody takes", sql, args![QUEUE, LEFT_FOR_S]).await?;
    Ok(!rows.is_empty())
}
