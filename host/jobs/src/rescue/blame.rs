//! Which orders may have ended a process.
//!
//! Whatever ends a process (an operator, the out-of-memory killer, a deploy, the machine) ends all
//! attempts in it, and almost all of them only wait. So the end of a process is no order's fault
//! unless the order's code ran in that moment. That is a suspicion, not a proof: where several ran,
//! or when somebody sent SIGKILL, all but one or all are innocent. A suspected order is tried
//! alone: no other order's code runs beside its own. Only what ends its process then is counted as
//! the order's crash.
//!
//! | the order | what becomes of it |
//! |---|---|
//! | waited, for AI, a slot, the disk | queued again, nothing is counted |
//! | its code ran, or code of the host for it, a few milliseconds ago at most | queued again as suspected, nothing is counted |
//! | suspected, and its code alone ran | a crash is counted; the last one makes it dead |
//!
//! Whoever sends SIGKILL again and again hits an innocent order on trial too, sooner or later. So
//! the ends of processes are remembered ([`other_ends`]): each of the last minutes that the order
//! had no part in allows it one more crash.
//!
//! If the marks of a process cannot be read (another machine, a machine that was started again, a
//! container whose folder is gone), nobody is suspected.

use std::time::Duration;

use crate::driver::{Tx, args};
use crate::marks::Inside;

/// Maximum number of crashes that an order is allowed beside [`AttemptLimits::crashes`].
///
/// [`AttemptLimits::crashes`]: crate::model::AttemptLimits::crashes
const MAX_MORE: i64 = 10;

/// How long the end of a process says that somebody ends processes. Older ones are forgotten.
const RECENT: Duration = Duration::from_mins(10);

/// What the end of a process says about an order that it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// None of its code ran.
    Innocent,
    /// Its code ran. It is tried alone.
    Suspected,
    /// It was tried, and its code alone ran; or the attempt ended without its process.
    Crashed,
}

impl Blame {
    /// `suspected`: whether the order was suspected before. `inside`: the code that ran, if known.
    pub(super) fn of(attempt: &str, suspected: bool, inside: Option<&Inside>) -> Self {
        match inside.and_then(|inside| inside.alone(attempt)) {
            None => Blame::Innocent,
            Some(true) if suspected => Blame::Crashed,
            Some(_) => Blame::Suspected,
        }
    }
}

/// Remembers that the process of a worker ended. May be called for each part of the worker's
/// orders.
pub(super) async fn remember_end(tx: &mut Tx, worker: &str, now: i64) -> Result<(), sqlx::Error> {
    let sql = "DELETE FROM sitewright_worker_ends WHERE ended_at <= $1";
    tx.execute(sql, args![recent(now)]).await?;
    tx.execute(
        "INSERT INTO sitewright_worker_ends (worker, ended_at) VALUES ($1, $2)
         ON CONFLICT (worker) DO NOTHING",
        args![worker, now],
    )
    .await?;
    Ok(())
}

/// The processes that ended in the last ten minutes beside that of `worker`, without those that
/// ended while the order was on trial, and the one for which it was suspected; at most
/// [`MAX_MORE`].
pub(super) async fn other_ends(
    tx: &mut Tx,
    worker: &str,
    crashes_before: i64,
    now: i64,
) -> Result<i64, sqlx::Error> {
    let row = tx
        .optional(
            "SELECT count(*) AS ends FROM sitewright_worker_ends
             WHERE ended_at > $1 AND worker <> $2",
            args![recent(now), worker],
        )
        .await?;
    let ends = row.map(|row| row.int("ends")).transpose()?.unwrap_or_default();
    Ok(ends.saturating_sub(crashes_before.saturating_add(1)).clamp(0, MAX_MORE))
}

/// Where the last minutes begin, in milliseconds since the Unix epoch.
fn recent(now: i64) -> i64 {
    now.saturating_sub_unsigned(RECENT.as_secs() * 1_000)
}
