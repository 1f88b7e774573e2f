//! How orders ended with each version of a template.
//!
//! The version is the digest of the file that the last attempt ran. Ends are counted in memory and
//! added up by hour: a column of the attempts would cost an index on the table that is written
//! most.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;
use super::model::OrderState;

const HOUR_MS: i64 = 3_600_000;
/// How long counts are kept: 32 days.
const ENDS_KEPT_MS: i64 = 32 * 24 * HOUR_MS;
/// How long it is known since when a version is there, after its last order: 366 days.
const VERSIONS_KEPT_MS: i64 = 366 * 24 * HOUR_MS;
/// Maximum number of versions that are read.
const MAX_VERSIONS: i64 = 10_000;

/// Orders that ended with one version of a template. An order that was made again counts each time.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct TemplateVersion {
    /// SHA-256 of the template's file.
    pub digest: String,
    /// When the first order ended with it, in milliseconds since the Unix epoch; `None` if none
    /// has. Known for versions whose last order ended within 366 days.
    pub since: Option<i64>,
    /// When the last order ended with it, in milliseconds since the Unix epoch.
    pub last_at: Option<i64>,
    /// Orders that succeeded or failed with it. Those that were cancelled do not count.
    pub ended: i64,
    /// Those of them that failed for good or are dead, also for AI calls that failed.
    pub failed: i64,
    /// `failed` divided by `ended`: from 0 to 1; `None` if no order has ended.
    pub failed_share: Option<f64>,
}

impl TemplateVersion {
    /// A version with which no order has ended.
    pub fn unused(digest: String) -> Self {
        TemplateVersion {
            digest,
            since: None,
            last_at: None,
            ended: 0,
            failed: 0,
            failed_share: None,
        }
    }
}

/// Orders of one version that this process has ended and not stored.
#[derive(Debug, Clone, Copy)]
struct Ends {
    succeeded: u64,
    failed: u64,
    first_at: i64,
    last_at: i64,
}

impl Ends {
    fn with(self, other: Ends) -> Ends {
        Ends {
            succeeded: self.succeeded.saturating_add(other.succeeded),
            failed: self.failed.saturating_add(other.failed),
            first_at: self.first_at.min(other.first_at),
            last_at: self.last_at.max(other.last_at),
        }
    }
}

/// By template and digest. Bounded by the templates that a worker has and their versions.
type ByVersion = BTreeMap<(String, String), Ends>;

/// Ends of orders that are not in the database yet.
#[derive(Debug, Default)]
pub(super) struct UnstoredEnds(Mutex<ByVersion>);

impl UnstoredEnds {
    fn add(&self, ends: ByVersion) {
        let mut unstored = self.0.lock();
        for (version, new) in ends {
            unstored.entry(version).and_modify(|known| *known = known.with(new)).or_insert(new);
        }
    }

    fn take(&self) -> ByVersion {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Database {
    /// Counts an order that ended in this state, after an attempt with the version `digest` of its
    /// template. A state that is no end, and a cancellation, count for nothing.
    pub fn count_end(&self, template: &str, digest: &str, state: OrderState) {
        let (succeeded, failed) = match state {
            OrderState::Succeeded => (1, 0),
            OrderState::Failed | OrderState::Dead => (0, 1),
            OrderState::Queued
            | OrderState::Running
            | OrderState::Waiting
            | OrderState::Cancelled => return,
        };
        let now = now_ms();
        let ends = Ends { succeeded, failed, first_at: now, last_at: now };
        let version = (template.to_owned(), digest.to_owned());
        self.unstored_ends().add(ByVersion::from([(version, ends)]));
    }

    /// Adds the orders that this process has counted since the last time, and removes counts that
    /// are older than 32 days.
    ///
    /// # Errors
    /// If the database fails; then they are added the next time. If only its answer was lost, they
    /// count twice.
    pub async fn store_ends(&self) -> Result<(), Error> {
        let unstored = self.unstored_ends().take();
        if unstored.is_empty() {
            return Ok(());
        }
        let rows = unstored.iter().map(|((template, digest), ends)| {
            vec![
                json!(template),
                json!(digest),
                json!(ends.succeeded),
                json!(ends.failed),
                json!(ends.first_at),
                json!(ends.last_at),
            ]
        });
        let (list, now) = (json_rows(rows), now_ms());
        let stored = self.write("counting the orders of templates by version", move |tx| {
            let list = list.clone();
            Box::pin(async move {
                // `WHERE true`: SQLite would take `ON CONFLICT` for a join otherwise.
                let ends = over_json!(
                    tx,
                    "INSERT INTO sitewright_template_ends
                        (hour, template, digest, succeeded, failed)
                     SELECT CAST($2 AS BIGINT), t.value ->> 0, t.value ->> 1,
                        CAST(t.value ->> 2 AS BIGINT), CAST(t.value ->> 3 AS BIGINT) FROM ",
                    " WHERE true ON CONFLICT (hour, template, digest) DO UPDATE
                     SET succeeded = sitewright_template_ends.succeeded + excluded.succeeded,
                        failed = sitewright_template_ends.failed + excluded.failed"
                );
                tx.execute(ends, args![&list, hour_of(now)]).await?;
                let versions = over_json!(
                    tx,
                    "INSERT INTO sitewright_template_versions (template, digest, first_at, last_at)
                     SELECT t.value ->> 0, t.value ->> 1, CAST(t.value ->> 4 AS BIGINT),
                        CAST(t.value ->> 5 AS BIGINT) FROM ",
                    " WHERE true ON CONFLICT (template, digest) DO UPDATE
                     SET first_at = CASE
                            WHEN excluded.first_at < sitewright_template_versions.first_at
                            THEN excluded.first_at
                            ELSE sitewright_template_versions.first_at END,
                        last_at = CASE
                            WHEN excluded.last_at > sitewright_template_versions.last_at
                            THEN excluded.last_at
                            ELSE sitewright_template_versions.last_at END"
                );
                tx.execute(versions, args![&list]).await?;
                let old = "DELETE FROM sitewright_template_ends WHERE hour < $1";
                tx.execute(old, args![now.saturating_sub(ENDS_KEPT_MS)]).await?;
                let old = "DELETE FROM sitewright_template_versions WHERE last_at < $1";
                tx.execute(old, args![now.saturating_sub(VERSIONS_KEPT_MS)]).await.map(drop)
            })
        });
        let stored = stored.await;
        if stored.is_err() {
            self.unstored_ends().add(unstored);
        }
        stored
    }

    /// The versions of each template with which orders have ended since the beginning of the hour
    /// of `since` (milliseconds since the Unix epoch, at most 32 days ago), the last used first.
    /// Workers store them with a delay of seconds. It is not known of which tenants the orders
    /// were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn template_versions(
        &self,
        since: i64,
    ) -> Result<BTreeMap<String, Vec<TemplateVersion>>, Error> {
        let doing = "reading the versions of templates";
        let failed = |error| Error::database(doing, error);
        let sql = "SELECT v.template AS template, v.digest AS digest, v.first_at AS first_at,
                v.last_at AS last_at, e.succeeded AS succeeded, e.failed AS failed
             FROM (SELECT template, digest, CAST(sum(succeeded) AS BIGINT) AS succeeded,
                    CAST(sum(failed) AS BIGINT) AS failed
                FROM sitewright_template_ends WHERE hour >= $1 GROUP BY template, digest) AS e
             JOIN sitewright_template_versions v
                ON v.template = e.template AND v.digest = e.digest
             ORDER BY v.template, v.last_at DESC, v.first_at DESC, v.digest LIMIT $2";
        let rows = self.read(doing, sql, args![hour_of(since), MAX_VERSIONS]).await?;
        let mut versions: BTreeMap<String, Vec<TemplateVersion>> = BTreeMap::new();
        for row in &rows {
            let template = row.text("template").map_err(failed)?;
            versions.entry(template).or_default().push(version(row).map_err(failed)?);
        }
        Ok(versions)
    }
}

fn version(row: &Row) -> Result<TemplateVersion, sqlx::Error> {
    let failed = row.int("failed")?;
    let ended = row.int("succeeded")?.saturating_add(failed);
    Ok(TemplateVersion {
        digest: row.text("digest")?,
        since: Some(row.int("first_at")?),
        last_at: Some(row.int("last_at")?),
        ended,
        failed,
        failed_share: (ended > 0).then(|| failed as f64 / ended as f64),
    })
}

/// When the hour of a time began.
fn hour_of(at: i64) -> i64 {
    at.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}
