//! Removing files: those of orders that expired or were erased, what has expired of orders that
//! stay, and what workers left that died.

use std::time::Duration;

use sitewright_control::{remove_failures, remove_order_files};
use sitewright_jobs::{
    Database, Error, ExpiredRows, KeptFiles, RemovalCause, RemovedOrder, SweepCursor,
};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;
use sitewright_site::{OrderDir, SiteStore, SitesRoot};
use tokio::time::Instant;

use super::{BATCH, LEFT_AFTER_MS, SweepMode, Swept, regularly, rest};
use crate::retention::RetentionConfig;

/// How long the files of an expired order are looked for.
const EXPIRED_FOR_MS: i64 = 2 * 24 * 3_600_000;
/// A worker may still write of an order for this time after it has expired and its files were
/// removed. They are looked at again after it; what comes later is found by the next look at all.
const LATE_MS: i64 = 120_000;
/// Time between two looks at the files of all expired orders, after those of the last ones only.
const WHOLE_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// How long a slow worker may write something of an erased order.
const ERASED_FOR_MS: i64 = 30 * 24 * 3_600_000;
/// Removed orders whose files could not be removed that a worker remembers, to try again with each
/// sweep. Those above are found by the next look at all.
const MOST_STUCK: usize = 10_000;
/// A look at all orders that stay takes at most this part of the time, as 1 / n: it reads a folder
/// of each, and hardly ever finds something.
const KEPT_SHARE: u32 = 10;

/// Removes from the sites folder, and from the object store, what has expired, what was erased, and
/// what workers left that died. Adds to `swept`. A folder that cannot be removed is logged, and
/// tried again by the next sweep.
///
/// # Errors
/// If the database fails, or the sites folder cannot be read.
pub async fn sweep_files(
    database: &Database,
    sites: &SitesRoot,
    store: &SiteStore,
    retention: &RetentionConfig,
    mode: SweepMode,
    swept: &mut Swept,
) -> Result<(), Message> {
    let removed = Removed { database, sites, store, dry_run: mode == SweepMode::DryRun };
    for cause in [RemovalCause::Erased, RemovalCause::Expired] {
        removed.sweep(cause, Rows::Late, 0, i64::MAX, swept).await?;
    }
    sweep_kept(database, sites, retention, mode, swept).await
}

/// Sweeps the files of removed orders of this worker, again and again.
pub(super) async fn sweep_removed_regularly(
    database: &Database,
    sites: &SitesRoot,
    store: &SiteStore,
    every: Duration,
) {
    let removed = Removed { database, sites, store, dry_run: false };
    let mut looks = regularly(every);
    let mut due = Instant::now();
    let mut seen = Seen::default();
    loop {
        looks.tick().await;
        if due > Instant::now() {
            continue;
        }
        due = Instant::now() + every;
        let mut swept = Swept::default();
        if let Err(error) = removed.sweep_new(&mut seen, &mut swept).await {
            tracing::warn!(%error, "the next sweep tries again");
        }
        swept.log();
    }
}

/// Sweeps the files of orders that stay, again and again.
pub(super) async fn sweep_kept_regularly(
    database: &Database,
    sites: &SitesRoot,
    retention: &RetentionConfig,
    every: Duration,
) {
    let mut looks = regularly(every);
    let mut due = Instant::now();
    loop {
        looks.tick().await;
        if due > Instant::now() {
            continue;
        }
        let begun = Instant::now();
        let mut swept = Swept::default();
        let mode = SweepMode::Continue;
        if let Err(error) = sweep_kept(database, sites, retention, mode, &mut swept).await {
            tracing::warn!(%error, "the next sweep tries again");
        }
        swept.log();
        due = begun + every.max(begun.elapsed() * KEPT_SHARE);
    }
}

/// What a worker knows of the removed orders whose files it has removed.
#[derive(Default)]
struct Seen {
    /// The files of those that expired before this time, in milliseconds since the Unix epoch, are
    /// removed.
    expired_until: i64,
    /// They were looked at again after [`LATE_MS`], before this time.
    late_until: i64,
    /// When all were looked at.
    whole_at: Option<Instant>,
    /// Those whose files could not be removed.
    stuck: Vec<RemovedOrder>,
}

/// What is removed from the database with the files of an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Nothing: they went with the order, a moment ago.
    Gone,
    /// Those that a slow worker wrote meanwhile.
    Late,
}

/// Sweeps the files of orders that were removed from the database.
struct Removed<'a> {
    database: &'a Database,
    sites: &'a SitesRoot,
    store: &'a SiteStore,
    dry_run: bool,
}

impl Removed<'_> {
    /// Of the orders that were removed since the last time, those that a slow worker may have
    /// written of meanwhile, and, once a day, all.
    async fn sweep_new(&self, seen: &mut Seen, swept: &mut Swept) -> Result<(), Message> {
        let begun = now_ms();
        let mut stuck = Vec::new();
        for chunk in seen.stuck.chunks(BATCH as usize) {
            let step = Instant::now();
            let removed = self.still_removed(chunk).await?;
            stuck.extend(self.remove_files(&removed, swept).await?);
            rest(step).await;
        }
        seen.stuck = stuck;
        // Few, and whoever asked for it must be able to rely on it.
        let since = begun.saturating_sub(ERASED_FOR_MS);
        self.sweep(RemovalCause::Erased, Rows::Late, since, i64::MAX, swept).await?;
        let whole = seen.whole_at.is_none_or(|at| at.elapsed() >= WHOLE_EVERY);
        let parts = if whole {
            vec![(Rows::Late, 0, begun)]
        } else {
            let late = begun.saturating_sub(LATE_MS);
            vec![(Rows::Gone, seen.expired_until, begun), (Rows::Late, seen.late_until, late)]
        };
        for (rows, since, until) in parts {
            seen.keep_stuck(self.sweep(RemovalCause::Expired, rows, since, until, swept).await?);
        }
        seen.expired_until = begun;
        seen.late_until = begun.saturating_sub(LATE_MS).max(seen.late_until);
        if whole {
            seen.whole_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Of the orders that were removed for this cause in this time, in milliseconds since the Unix
    /// epoch. Those whose files could not be removed.
    async fn sweep(
        &self,
        cause: RemovalCause,
        rows: Rows,
        since: i64,
        until: i64,
        swept: &mut Swept,
    ) -> Result<Vec<RemovedOrder>, Message> {
        let mut stuck = Vec::new();
        let mut next = Some(SweepCursor::at(since));
        while let Some(from) = next {
            let step = Instant::now();
            let found = self.database.removed_orders(cause, &from, until, BATCH).await;
            let (removed, after) = found.map_err(|error| not_swept(&error))?;
            next = after;
            if removed.is_empty() {
                break;
            }
            stuck.extend(self.remove_files(&removed, swept).await?);
            stuck.truncate(MOST_STUCK);
            if rows == Rows::Late && !self.dry_run {
                let forget = match (cause, &next) {
                    (RemovalCause::Erased, _) => 0,
                    (RemovalCause::Expired, None) => i64::MAX,
                    // The files of those that come after it are not removed yet.
                    (RemovalCause::Expired, Some(_)) => removed.last().map_or(0, |last| last.at),
                };
                // If the sweep ends with an error, the next one must find these again.
                let first_stuck = stuck.first().map_or(i64::MAX, |first| first.at);
                self.remove_late_rows(&removed, forget.min(first_stuck)).await?;
            }
            if !self.dry_run && next.is_some() {
                rest(step).await;
            }
        }
        Ok(stuck)
    }

    /// Those that were not added again since they were removed.
    async fn still_removed(&self, removed: &[RemovedOrder]) -> Result<Vec<RemovedOrder>, Message> {
        let kept =
            self.database.kept_files(&ids_of(removed)).await.map_err(|error| not_swept(&error))?;
        let is_removed = |one: &&RemovedOrder| kept.iter().all(|kept| kept.order != one.order);
        Ok(removed.iter().filter(is_removed).cloned().collect())
    }

    /// Removes what was written late of removed orders, and forgets expired ones that are old and
    /// were removed before `forget`, in milliseconds since the Unix epoch.
    async fn remove_late_rows(&self, removed: &[RemovedOrder], forget: i64) -> Result<(), Message> {
        let forget = forget.min(now_ms().saturating_sub(EXPIRED_FOR_MS));
        let late = self.database.remove_late_rows(&ids_of(removed), forget).await;
        let late = late.map_err(|error| not_swept(&error))?;
        if late > 0 {
            tracing::info!(
                rows = late,
                "rows that were written late of removed orders are removed"
            );
        }
        Ok(())
    }

    /// Those whose files could not be removed.
    async fn remove_files(
        &self,
        removed: &[RemovedOrder],
        swept: &mut Swept,
    ) -> Result<Vec<RemovedOrder>, Message> {
        let (sites, dry_run) = (self.sites.clone(), self.dry_run);
        // Any other id never had a folder.
        let folders: Vec<(RemovedOrder, OrderDir)> = removed
            .iter()
            .filter_map(|removed| Some((removed.clone(), OrderDir::new(&removed.order).ok()?)))
            .collect();
        let results = blocking(move || {
            let remove = |(removed, folder): (RemovedOrder, OrderDir)| {
                let result = if dry_run {
                    sites
                        .open_order(&folder)
                        .map(|dir| dir.is_some())
                        .map_err(|error| message!("its folder cannot be opened: {error}"))
                } else {
                    remove_order_files(&sites, &folder, removed.cause)
                };
                (removed, folder, result)
            };
            Ok(folders.into_iter().map(remove).collect::<Vec<_>>())
        })
        .await?;
        let mut stuck = Vec::new();
        for (removed, folder, result) in results {
            let result = match result {
                // Somebody may have stored a release meanwhile; asking costs requests each time.
                Ok(true) if removed.cause == RemovalCause::Erased && !dry_run => self
                    .store
                    .remove_order(&folder)
                    .await
                    .map(|()| true)
                    .map_err(|error| message!("the site store failed: {error}")),
                result => result,
            };
            match result {
                Ok(had) => swept.folders += u64::from(had),
                Err(error) => {
                    tracing::warn!(
                        order = removed.order,
                        %error,
                        "the files of a removed order could not be removed; the next sweep tries \
                         again"
                    );
                    stuck.push(removed);
                }
            }
        }
        Ok(stuck)
    }
}

impl Seen {
    /// A look at all, and one after [`LATE_MS`], find again those that are known.
    fn keep_stuck(&mut self, stuck: Vec<RemovedOrder>) {
        self.stuck.extend(stuck);
        self.stuck.sort_by(|one, other| one.order.cmp(&other.order));
        self.stuck.dedup_by(|one, other| one.order == other.order);
        self.stuck.truncate(MOST_STUCK);
    }
}

/// Sweeps the folders of orders that stay.
async fn sweep_kept(
    database: &Database,
    sites: &SitesRoot,
    retention: &RetentionConfig,
    mode: SweepMode,
    swept: &mut Swept,
) -> Result<(), Message> {
    let dry_run = mode == SweepMode::DryRun;
    let root = sites.clone();
    let names = blocking(move || {
        root.order_names().map_err(|error| message!("the orders cannot be listed: {error}"))
    })
    .await?;
    for chunk in names.chunks(BATCH as usize) {
        let step = Instant::now();
        let ids: Vec<String> = chunk.iter().map(|name| name.as_str().to_owned()).collect();
        let kept = database.kept_files(&ids).await.map_err(|error| not_swept(&error))?;
        let (root, retention) = (sites.clone(), *retention);
        let (folders, releases) = blocking(move || {
            let mut sums = (0, 0);
            for kept in &kept {
                let (folders, releases) = sweep_order(&root, kept, &retention, dry_run);
                sums = (sums.0 + folders, sums.1 + releases);
            }
            Ok(sums)
        })
        .await?;
        swept.folders += folders;
        swept.releases += releases;
        if mode == SweepMode::Continue {
            rest(step).await;
        }
    }
    Ok(())
}

/// Sweeps the folder of one order of the queue. The number of orders (0 or 1) of which something has
/// expired, and of releases that never counted.
fn sweep_order(
    sites: &SitesRoot,
    kept: &KeptFiles,
    retention: &RetentionConfig,
    dry_run: bool,
) -> (u64, u64) {
    let Ok(order) = OrderDir::new(&kept.order) else { return (0, 0) };
    let swept = || -> Result<(u64, u64), Message> {
        let mut expired = Vec::new();
        let is_due = |what| retention.has_expired(what, kept.state, kept.changed_at);
        if is_due(ExpiredRows::Failures) {
            expired.push("failures");
        }
        if is_due(ExpiredRows::Replies) {
            expired.extend(["journal", "documents", "attempts"]);
        }
        let path = sites.order_path(&order);
        expired.retain(|folder| path.join(folder).exists());
        if !expired.is_empty() && !dry_run {
            if expired.contains(&"failures") {
                remove_failures(sites.path(), &order)?;
            }
            sites
                .remove_private(&order, &expired)
                .map_err(|error| message!("what has expired cannot be removed: {error}"))?;
        }
        // Only of orders that rest: a release counts a moment after it is placed.
        let before = now_ms().saturating_sub(LEFT_AFTER_MS);
        let rests = kept.state.has_ended() && kept.changed_at < before;
        let releases = if rests {
            let removed = sites.remove_leftovers(&order, &kept.releases, before, dry_run);
            removed.map_err(|error| message!("its releases cannot be swept: {error}"))?.len()
        } else {
            0
        };
        Ok((u64::from(!expired.is_empty()), releases as u64))
    };
    swept().unwrap_or_else(|error| {
        tracing::warn!(
            order = kept.order,
            %error,
            "the folder of an order could not be swept; the next sweep tries again"
        );
        (0, 0)
    })
}

fn ids_of(removed: &[RemovedOrder]) -> Vec<String> {
    removed.iter().map(|removed| removed.order.clone()).collect()
}

fn not_swept(error: &Error) -> Message {
    message!("the sites folder cannot be swept: {error}")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Message> + Send + 'static,
) -> Result<T, Message> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(message!("sweeping the sites folder did not end: {error}")))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]
mod tests {
    use sitewright_jobs::NewOrder;

    use super::*;

    #[tokio::test]
    async fn files_that_were_stuck_stay_if_their_order_was_added_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/orders.db", folder.path().display());
        let database = Database::open(&url).await.unwrap();
        database.migrate().await.unwrap();
        database.enqueue(NewOrder::new("again", "flora", "{}".to_owned())).await.unwrap();
        let sites = SitesRoot::open(&folder.path().join("sites")).unwrap();
        let store = SiteStore::folder(&sites);
        let journal =
            |order: &str| sites.order_path(&OrderDir::new(order).unwrap()).join("journal");
        let mut seen = Seen::default();
        for order in ["again", "gone"] {
            std::fs::create_dir_all(journal(order)).unwrap();
            let cause = RemovalCause::Expired;
            // Two looks found it.
            let stuck = RemovedOrder { order: order.to_owned(), cause, at: 0 };
            seen.keep_stuck(vec![stuck.clone()]);
            seen.keep_stuck(vec![stuck]);
        }
        assert_eq!(seen.stuck.len(), 2);

        let removed = Removed { database: &database, sites: &sites, store: &store, dry_run: false };
        let mut swept = Swept::default();
        removed.sweep_new(&mut seen, &mut swept).await.unwrap();
        assert!(journal("again").exists() && !journal("gone").exists());
        assert_eq!((swept.folders, seen.stuck), (1, Vec::new()));
    }
}
