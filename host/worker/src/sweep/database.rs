//! Removing rows that have expired.

use sitewright_jobs::{Database, Error, ExpiredRows, OrderState, SweepCursor};
use sitewright_model::time::now_ms;
use tokio::time::Instant;

use super::{BATCH, LEFT_AFTER_MS, SweepMode, Swept, rest};
use crate::retention::{Keep, RetentionConfig};

/// Removes from the database what has expired.
///
/// # Errors
/// If the database fails; what was removed until then stays removed.
pub async fn sweep_database(
    database: &Database,
    retention: &RetentionConfig,
    mode: SweepMode,
) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    for (state, keep) in retention.orders.states(Keep::Forever) {
        let Some(before) = keep.before() else { continue };
        let count = if mode == SweepMode::DryRun {
            database.count_expired(state, before).await?
        } else {
            let mut count = 0;
            loop {
                let begun = Instant::now();
                let (orders, _) = database.expire_orders(state, before, BATCH).await?;
                if orders.is_empty() {
                    break count;
                }
                count += orders.len() as u64;
                rest(begun).await;
            }
        };
        if count > 0 {
            swept.orders.insert(state, count);
        }
    }
    for what in [ExpiredRows::Events, ExpiredRows::Replies, ExpiredRows::Failures] {
        for (state, keep) in retention.of(what) {
            let Some(before) = keep.before() else { continue };
            let rows = expire_rows(database, what, state, before, mode).await?;
            match what {
                ExpiredRows::Events => swept.events += rows,
                ExpiredRows::Replies => swept.replies += rows,
                ExpiredRows::Failures => swept.failures += rows,
            }
        }
    }
    let dry_run = mode == SweepMode::DryRun;
    swept.deliveries += in_batches(retention.deliveries, dry_run, |before| {
        database.expire_deliveries(before, BATCH, dry_run)
    })
    .await?;
    swept.hook_deliveries += in_batches(retention.hook_deliveries, dry_run, |before| {
        database.expire_hook_deliveries(before, BATCH, dry_run)
    })
    .await?;
    swept.audit += in_batches(retention.audit, dry_run, |before| {
        database.expire_audit(before, BATCH, dry_run)
    })
    .await?;
    loop {
        let begun = Instant::now();
        let removed = database.expire_cached_replies(BATCH, dry_run).await?;
        swept.cached_replies += removed;
        if dry_run || removed < u64::from(BATCH) {
            break;
        }
        rest(begun).await;
    }
    if mode != SweepMode::DryRun {
        let (before, mut after) = (now_ms().saturating_sub(LEFT_AFTER_MS), Some(0));
        while let Some(from) = after {
            let begun = Instant::now();
            let (jobs, next) = database.remove_leftover_jobs(before, from).await?;
            swept.jobs += jobs;
            after = next;
            if after.is_some() {
                rest(begun).await;
            }
        }
    }
    Ok(swept)
}

/// Removes in batches what is kept for a time; the number of rows. With `dry_run` one step counts
/// all of them.
async fn in_batches<F>(keep: Keep, dry_run: bool, remove: impl Fn(i64) -> F) -> Result<u64, Error>
where
    F: Future<Output = Result<u64, Error>>,
{
    let Some(before) = keep.before() else { return Ok(0) };
    let mut rows = 0;
    loop {
        let begun = Instant::now();
        let removed = remove(before).await?;
        rows += removed;
        if dry_run || removed < u64::from(BATCH) {
            return Ok(rows);
        }
        rest(begun).await;
    }
}

async fn expire_rows(
    database: &Database,
    what: ExpiredRows,
    state: OrderState,
    before: i64,
    mode: SweepMode,
) -> Result<u64, Error> {
    let mut rows = 0;
    let mut next = Some(match mode {
        SweepMode::Continue => database.sweep_cursor(what, state).await?,
        SweepMode::Whole | SweepMode::DryRun => SweepCursor::default(),
    });
    while let Some(from) = next {
        let begun = Instant::now();
        let dry_run = mode == SweepMode::DryRun;
        let step = database.expire_rows(what, state, before, &from, BATCH, dry_run).await?;
        rows += step.rows;
        next = step.next;
        if next.is_some() && !dry_run {
            rest(begun).await;
        }
    }
    Ok(rows)
}
