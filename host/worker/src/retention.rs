//! What is removed of orders that ended long ago, and of those that were erased: `[retention]`, and
//! the sweeps that follow it.
//!
//! One worker sweeps the database; each sweeps its own sites folder, because no other one may reach
//! it. Both go in small batches, with pauses.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use sitewright_control::{remove_failures, remove_order_files};
use sitewright_jobs::{
    Database, Error, ExpiredRows, KeptFiles, OrderState, RemovalCause, RemovedOrder, SweepCursor,
};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::{millis, now_ms};
use sitewright_site::{OrderDir, SiteStore, SitesRoot};

/// Orders in one step of a sweep.
const BATCH: u32 = 100;
/// Pause between two steps, in which orders have the database.
const PAUSE: Duration = Duration::from_millis(50);
/// Time between two looks whether a sweep is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A release that never counted, and a job that no order has, are left overs after this time.
const LEFT_AFTER_MS: i64 = 3_600_000;
/// How long the files of an expired order are looked for.
const EXPIRED_FOR_MS: i64 = 2 * 24 * 3_600_000;
/// A worker may still write of an order for this time after it has expired and its files were
/// removed. What comes later is found by the next look at all of them.
const LATE_MS: i64 = 120_000;
/// Time between two looks at the files of all expired orders, after those of the last ones only.
const WHOLE_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// How long a slow worker may write something of an erased order.
const ERASED_FOR_MS: i64 = 30 * 24 * 3_600_000;

/// A time that something is kept: `30m`, `12h`, `90d`, `2w`, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Keep {
    Forever,
    For(Duration),
}

impl Keep {
    const fn days(days: u64) -> Self {
        Keep::For(Duration::from_secs(days * 24 * 3_600))
    }

    /// Whether it is a shorter time than the other one.
    pub fn is_shorter_than(self, other: Keep) -> bool {
        match (self, other) {
            (Keep::Forever, _) => false,
            (Keep::For(_), Keep::Forever) => true,
            (Keep::For(one), Keep::For(other)) => one < other,
        }
    }

    /// What ended before this time has expired; `None` if nothing expires.
    fn before(self) -> Option<i64> {
        match self {
            Keep::Forever => None,
            Keep::For(time) => {
                let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Some(now_ms().saturating_sub(time))
            }
        }
    }
}

/// The units of a [`Keep`], the largest first.
const UNITS: [(&str, u64); 5] =
    [("w", 7 * 24 * 3_600), ("d", 24 * 3_600), ("h", 3_600), ("m", 60), ("s", 1)];

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Keep::Forever);
        }
        let parsed = UNITS.iter().find_map(|(unit, seconds)| {
            let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
            Some(Keep::For(Duration::from_secs(u64::from(number) * seconds)))
        });
        parsed.ok_or_else(|| {
            format!("{text:?} is not a time to keep something; write `90d`, `12h` or `forever`")
        })
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> String {
        match keep {
            Keep::Forever => "forever".to_owned(),
            Keep::For(time) => {
                let seconds = time.as_secs();
                let whole = |unit: &&(&str, u64)| seconds.is_multiple_of(unit.1);
                let (unit, of) = UNITS.iter().find(whole).unwrap_or(&("s", 1));
                format!("{}{unit}", seconds / of)
            }
        }
    }
}

/// A time for each state in which an order ends.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, default)]
pub struct KeepByState {
    /// Of orders that have a release.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub succeeded: Option<Keep>,
    /// Of orders that failed for good.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub failed: Option<Keep>,
    /// Of orders that were given up.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub dead: Option<Keep>,
    /// Of orders that somebody cancelled.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`", "x-default" = "see above"))]
    pub cancelled: Option<Keep>,
}

impl KeepByState {
    /// Each state with its time.
    fn states(&self, default: Keep) -> [(OrderState, Keep); 4] {
        [
            (OrderState::Succeeded, self.succeeded),
            (OrderState::Failed, self.failed),
            (OrderState::Dead, self.dead),
            (OrderState::Cancelled, self.cancelled),
        ]
        .map(|(state, keep)| (state, keep.unwrap_or(default)))
    }
}

/// What is removed of orders that have ended, and when. The times begin with the end of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Time between two sweeps, `forever` for none. Default: `1h`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub every: Keep,
    /// Orders with all that belongs to them, in the database and in the sites folder. The site that
    /// visitors see stays: only `sitewright order erase` takes it off. Default: `forever`.
    pub orders: KeepByState,
    /// Progress events. Default: `90d`.
    pub events: KeepByState,
    /// AI replies, and recordings for replays. Their tokens and cost stay; a retry pays again.
    /// Default: `forever`.
    pub replies: KeepByState,
    /// Failure records and core dumps. Default: `forever`.
    pub failures: KeepByState,
    /// Deliveries of webhooks, after they were delivered or given up. Default: `30d`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub deliveries: Keep,
    /// What webhooks of others brought (`[hooks.NAME]`), after it became an order or was refused.
    /// At least `1d`: an event that its sender, or somebody else, sends again is known for this time
    /// only. Default: `30d`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub hook_deliveries: Keep,
    /// Entries of the audit log. Default: `forever`.
    #[schemars(with = "String", extend("x-type" = "time, or `forever`"))]
    pub audit: Keep,
}

/// How long progress events are kept by default.
const KEEP_EVENTS: Keep = Keep::days(90);

/// How long deliveries are kept by default.
const KEEP_DELIVERIES: Keep = Keep::days(30);

impl Default for RetentionConfig {
    fn default() -> Self {
        RetentionConfig {
            every: Keep::For(Duration::from_secs(3_600)),
            orders: KeepByState::default(),
            events: KeepByState::default(),
            replies: KeepByState::default(),
            failures: KeepByState::default(),
            deliveries: KEEP_DELIVERIES,
            hook_deliveries: KEEP_DELIVERIES,
            audit: Keep::Forever,
        }
    }
}

impl RetentionConfig {
    /// Least time that [`RetentionConfig::hook_deliveries`] can have: a sender repeats an event for
    /// hours, and whoever has an old body of `github` or `bearer` could make an order of it again.
    pub const LEAST_HOOK_DELIVERIES: Keep = Keep::days(1);

    fn of(&self, what: ExpiredRows) -> [(OrderState, Keep); 4] {
        match what {
            ExpiredRows::Events => self.events.states(KEEP_EVENTS),
            ExpiredRows::Replies => self.replies.states(Keep::Forever),
            ExpiredRows::Failures => self.failures.states(Keep::Forever),
        }
    }

    /// The same, with the default wherever nothing is said.
    #[must_use]
    pub fn in_force(&self) -> Self {
        let said = |keep: KeepByState, default: Keep| KeepByState {
            succeeded: keep.succeeded.or(Some(default)),
            failed: keep.failed.or(Some(default)),
            dead: keep.dead.or(Some(default)),
            cancelled: keep.cancelled.or(Some(default)),
        };
        RetentionConfig {
            orders: said(self.orders, Keep::Forever),
            events: said(self.events, KEEP_EVENTS),
            replies: said(self.replies, Keep::Forever),
            failures: said(self.failures, Keep::Forever),
            ..*self
        }
    }

    /// Whether something of an order in this state, which ended then, has expired.
    fn has_expired(&self, what: ExpiredRows, state: OrderState, ended_at: i64) -> bool {
        let keep = self.of(what).into_iter().find(|(known, _)| *known == state);
        keep.and_then(|(_, keep)| keep.before()).is_some_and(|before| ended_at < before)
    }
}

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
                let (orders, _) = database.expire_orders(state, before, BATCH).await?;
                if orders.is_empty() {
                    break count;
                }
                count += orders.len() as u64;
                tokio::time::sleep(PAUSE).await;
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
        let removed = database.expire_cached_replies(BATCH, dry_run).await?;
        swept.cached_replies += removed;
        if dry_run || removed < u64::from(BATCH) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    if mode != SweepMode::DryRun {
        let (before, mut after) = (now_ms().saturating_sub(LEFT_AFTER_MS), Some(0));
        while let Some(from) = after {
            let (jobs, next) = database.remove_leftover_jobs(before, from).await?;
            swept.jobs += jobs;
            after = next;
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
        let removed = remove(before).await?;
        rows += removed;
        if dry_run || removed < u64::from(BATCH) {
            return Ok(rows);
        }
        tokio::time::sleep(PAUSE).await;
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
        let dry_run = mode == SweepMode::DryRun;
        let step = database.expire_rows(what, state, before, &from, BATCH, dry_run).await?;
        rows += step.rows;
        next = step.next;
        if next.is_some() && !dry_run {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(rows)
}

/// Removes from the sites folder, and from the object store, what has expired, what was erased, and
/// what workers left that died. Adds to `swept`. A folder that cannot be removed is logged, and
/// tried again by the next sweep. Files of orders that expired before `expired_since`, in
/// milliseconds since the Unix epoch, are known to be removed; 0 looks at all.
///
/// Whether everything could be removed.
///
/// # Errors
/// If the database fails, or the sites folder cannot be read.
pub async fn sweep_files(
    database: &Database,
    sites: &SitesRoot,
    store: &SiteStore,
    retention: &RetentionConfig,
    mode: SweepMode,
    expired_since: i64,
    swept: &mut Swept,
) -> Result<bool, Message> {
    let failed = |error: Error| message!("the sites folder cannot be swept: {error}");
    let dry_run = mode == SweepMode::DryRun;
    let now = now_ms();
    let mut removed = database.removed_orders(now - ERASED_FOR_MS).await.map_err(failed)?;
    removed.retain(|order| order.cause == RemovalCause::Erased || order.at >= expired_since);
    let mut all = true;
    for chunk in removed.chunks(BATCH as usize) {
        let (folders, whole) = remove_files(sites, store, chunk, dry_run).await;
        swept.folders += folders;
        all &= whole;
        if !dry_run {
            let ids: Vec<String> = chunk.iter().map(|removed| removed.order.clone()).collect();
            let late = database.remove_late_rows(&ids, now - EXPIRED_FOR_MS).await;
            let late = late.map_err(failed)?;
            if late > 0 {
                tracing::info!(
                    rows = late,
                    "rows that were written late of removed orders are removed"
                );
            }
        }
    }
    let root = sites.clone();
    let names = blocking(move || {
        root.order_names().map_err(|error| message!("the orders cannot be listed: {error}"))
    })
    .await?;
    for chunk in names.chunks(BATCH as usize) {
        let ids: Vec<String> = chunk.iter().map(|name| name.as_str().to_owned()).collect();
        let kept = database.kept_files(&ids).await.map_err(failed)?;
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
    }
    Ok(all)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Message> + Send + 'static,
) -> Result<T, Message> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(message!("sweeping the sites folder did not end: {error}")))
}

/// Removes the files of removed orders. The number of orders that had some, and whether all could be
/// removed.
async fn remove_files(
    sites: &SitesRoot,
    store: &SiteStore,
    removed: &[RemovedOrder],
    dry_run: bool,
) -> (u64, bool) {
    let (mut count, mut all) = (0, true);
    for order in removed {
        // Any other id never had a folder.
        let Ok(folder) = OrderDir::new(&order.order) else { continue };
        let (root, name) = (sites.clone(), folder.clone());
        let cause = order.cause;
        let result = blocking(move || {
            if dry_run {
                return root
                    .open_order(&name)
                    .map(|dir| dir.is_some())
                    .map_err(|error| message!("its folder cannot be opened: {error}"));
            }
            remove_order_files(&root, &name, cause)
        });
        let result = match result.await {
            // Somebody may have stored a release meanwhile; asking costs requests each time.
            Ok(true) if order.cause == RemovalCause::Erased && !dry_run => store
                .remove_order(&folder)
                .await
                .map(|()| true)
                .map_err(|error| message!("the site store failed: {error}")),
            result => result,
        };
        match result {
            Ok(had) => count += u64::from(had),
            Err(error) => {
                all = false;
                tracing::warn!(
                    order = order.order,
                    %error,
                    "the files of a removed order could not be removed; the next sweep tries again"
                );
            }
        }
    }
    (count, all)
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

/// Sweeps the database and the sites folder of this worker, again and again.
pub(super) async fn sweep_regularly(
    database: Database,
    sites: SitesRoot,
    store: SiteStore,
    retention: RetentionConfig,
) {
    let Keep::For(every) = retention.every else { return };
    let every_ms = i64::try_from(millis(every)).unwrap_or(i64::MAX);
    let look_every = LOOK_EVERY.min(every.max(Duration::from_secs(1)));
    // Not at once: a worker that starts has orders to make.
    let first = tokio::time::Instant::now() + look_every;
    let mut ticks = tokio::time::interval_at(first, look_every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut files_at: Option<tokio::time::Instant> = None;
    let mut whole_at: Option<tokio::time::Instant> = None;
    let mut expired_until = 0;
    loop {
        ticks.tick().await;
        let mut swept = Swept::default();
        match database.claim_sweep(every_ms).await {
            Ok(true) => match sweep_database(&database, &retention, SweepMode::Continue).await {
                Ok(removed) => swept = removed,
                Err(error) => tracing::warn!(
                    %error,
                    "what has expired could not be removed from the database; the next sweep tries \
                     again"
                ),
            },
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "cannot claim the sweep of what has expired"),
        }
        if files_at.is_none_or(|at| at.elapsed() >= every) {
            files_at = Some(tokio::time::Instant::now());
            let mode = SweepMode::Continue;
            let whole = whole_at.is_none_or(|at| at.elapsed() >= WHOLE_EVERY);
            let since = if whole { 0 } else { expired_until };
            let begin = now_ms();
            let files = sweep_files(&database, &sites, &store, &retention, mode, since, &mut swept);
            match files.await {
                Ok(true) => {
                    expired_until = begin.saturating_sub(LATE_MS);
                    if whole {
                        whole_at = files_at;
                    }
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the next sweep tries again"),
            }
        }
        if !swept.is_empty() {
            tracing::info!(
                orders = swept.orders.values().sum::<u64>(),
                events = swept.events,
                replies = swept.replies,
                failures = swept.failures,
                cached_replies = swept.cached_replies,
                deliveries = swept.deliveries,
                hook_deliveries = swept.hook_deliveries,
                audit = swept.audit,
                jobs = swept.jobs,
                folders = swept.folders,
                releases = swept.releases,
                "removed what has expired"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_keep_is_written_as_it_is_read() {
        for text in ["forever", "90d", "2w", "12h", "30m", "45s", "0s"] {
            let keep = Keep::try_from(text.to_owned()).unwrap();
            let written = String::from(keep);
            assert_eq!(Keep::try_from(written.clone()), Ok(keep), "{text} as {written}");
        }
        assert_eq!(Keep::try_from("90d".to_owned()), Ok(Keep::days(90)));
        for text in ["", "90", "d", "-1d", "1.5h", "never", "90 d", "99999999999d", "1y"] {
            let error = Keep::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("write `90d`"), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_of_a_customer_is_removed_by_default() {
        let config: RetentionConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, RetentionConfig::default());
        let all = |keep| move |(_, found)| found == keep;
        let forever = all(Keep::Forever);
        assert!(config.orders.states(Keep::Forever).into_iter().all(forever));
        assert!(config.of(ExpiredRows::Replies).into_iter().all(forever));
        assert!(config.of(ExpiredRows::Failures).into_iter().all(forever));
        assert!(config.of(ExpiredRows::Events).into_iter().all(all(Keep::days(90))));
        let config: RetentionConfig =
            serde_json::from_str(r#"{ "events": { "cancelled": "30d" } }"#).unwrap();
        assert!(!config.has_expired(ExpiredRows::Events, OrderState::Failed, now_ms() - 1));
        let times = config.of(ExpiredRows::Events).map(|(_, keep)| String::from(keep));
        assert_eq!(times, ["90d", "90d", "90d", "30d"], "other states keep the default");
    }
}
