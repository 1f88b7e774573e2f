//! The sweeps that remove what `[retention]` has expired, and what was erased.
//!
//! One worker sweeps the database; each sweeps its own sites folder, because no other one may reach
//! it. The parts run beside each other, so that none waits for another that has much to do. All go
//! in small steps, and rest after each for as long as it took: a sweep has at most half of a disk or
//! of a database, and keeps pace with whatever that half can remove.
//!
//! | file | what it answers |
//! |---|---|
//! | `database` | which rows go, and in which order? |
//! | `files` | which files of removed orders go, and which of orders that stay? |

mod database;
mod files;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sitewright_jobs::{Database, OrderState};
use sitewright_model::time::millis;
use sitewright_site::{SiteStore, SitesRoot};
use tokio::time::{Instant, Interval, MissedTickBehavior};

pub use self::database::sweep_database;
pub use self::files::sweep_files;
use super::retention::{Keep, RetentionConfig};

/// Orders in one step of a sweep.
const BATCH: u32 = 100;
/// Least and longest rest after a step, in which orders have the database and the disk.
const REST: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// Time between two looks whether a sweep of the database is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A release that never counted, and a job that no order has, are left overs after this time.
const LEFT_AFTER_MS: i64 = 3_600_000;

/// What a sweep removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Orders that were removed from the database, by state.
    pub orders: BTreeMap<OrderState, u64>,
    /// Progress events.
    pub events: u64,
    /// AI replies.
    pub replies: u64,
    /// Failure records in the database.
    pub failures: u64,
    /// AI replies that were kept for equal requests of other orders.
    pub cached_replies: u64,
    /// Deliveries of webhooks.
    pub deliveries: u64,
    /// What webhooks of others brought.
    pub hook_deliveries: u64,
    /// Entries of the audit log.
    pub audit: u64,
    /// Jobs that no order has any more.
    pub jobs: u64,
    /// Orders with files in the sites folder that were removed.
    pub folders: u64,
    /// Releases that never counted: their workers died before they were completed.
    pub releases: u64,
}

impl Swept {
    /// Whether nothing was removed.
    pub fn is_empty(&self) -> bool {
        *self == Swept::default()
    }

    /// What was removed, in words, with its number; without those that are 0.
    pub fn rows(&self) -> Vec<(String, u64)> {
        let orders = self.orders.iter().map(|(state, number)| (format!("{state} orders"), *number));
        let others = [
            (self.events, "progress events"),
            (self.replies, "AI replies"),
            (self.failures, "failure records in the database"),
            (self.cached_replies, "AI replies that were kept for other orders"),
            (self.deliveries, "deliveries of webhooks"),
            (self.hook_deliveries, "deliveries of webhooks of others"),
            (self.audit, "entries of the audit log"),
            (self.jobs, "jobs that no order has any more"),
            (self.folders, "orders with files in the sites folder"),
            (self.releases, "releases that never counted"),
        ];
        let others = others.into_iter().map(|(number, what)| (what.to_owned(), number));
        orders.chain(others).filter(|(_, number)| *number > 0).collect()
    }

    /// Says in the log what was removed, if anything was.
    fn log(&self) {
        if self.is_empty() {
            return;
        }
        tracing::info!(
            orders = self.orders.values().sum::<u64>(),
            events = self.events,
            replies = self.replies,
            failures = self.failures,
            cached_replies = self.cached_replies,
            deliveries = self.deliveries,
            hook_deliveries = self.hook_deliveries,
            audit = self.audit,
            jobs = self.jobs,
            folders = self.folders,
            releases = self.releases,
            "removed what has expired"
        );
    }
}

/// How thorough a sweep is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepMode {
    /// From where the last one ended.
    Continue,
    /// All orders.
    Whole,
    /// All orders, and nothing is removed.
    DryRun,
}

/// Sweeps the database and the sites folder of this worker, again and again.
pub(super) async fn sweep_regularly(
    database: Database,
    sites: SitesRoot,
    store: SiteStore,
    retention: RetentionConfig,
) {
    let Keep::For(every) = retention.every else { return };
    tokio::join!(
        sweep_database_regularly(&database, &retention, every),
        files::sweep_removed_regularly(&database, &sites, &store, every),
        files::sweep_kept_regularly(&database, &sites, &retention, every),
    );
}

async fn sweep_database_regularly(
    database: &Database,
    retention: &RetentionConfig,
    every: Duration,
) {
    let every_ms = i64::try_from(millis(every)).unwrap_or(i64::MAX);
    let mut looks = regularly(every);
    loop {
        looks.tick().await;
        match database.claim_sweep(every_ms).await {
            Ok(true) => match sweep_database(database, retention, SweepMode::Continue).await {
                Ok(swept) => swept.log(),
                Err(error) => tracing::warn!(
                    %error,
                    "what has expired could not be removed from the database; the next sweep tries \
                     again"
                ),
            },
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "cannot claim the sweep of what has expired"),
        }
    }
}

/// Looks whether a sweep is due. Not at once: a worker that starts has orders to make.
fn regularly(every: Duration) -> Interval {
    let look_every = LOOK_EVERY.min(every.max(Duration::from_secs(1)));
    let mut looks = tokio::time::interval_at(Instant::now() + look_every, look_every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Rests after a step that began then.
async fn rest(begun: Instant) {
    tokio::time::sleep(begun.elapsed().clamp(REST.0, REST.1)).await;
}
