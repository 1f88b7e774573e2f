//! Searching and counting failure records by fingerprint, template, kind, time and order. The
//! database counts them by indexed columns; no record is parsed for that.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::Value as Json;

use super::database::Database;
use super::driver::{Row, Tx, Value, args, sql};
use super::error::Error;
use super::events::Failure;
use sitewright_failure::fingerprint;
use sitewright_failure::group::{Brief, Cause, Filter, Group};
use sitewright_failure::store;
use sitewright_model::failure::{SourceLocation, TrapRecord, top_frame};

/// Maximum number of groups that are read.
const MAX_GROUPS: i64 = 10_000;
/// Records that [`Database::fill_index`] reads at a time.
const FILL_AT_ONCE: i64 = 200;

/// An order that a cause has ended, and that can be retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderToRetry {
    pub id: String,
    /// Name of its template, as the order has it; the template may call itself otherwise.
    pub template: String,
}

/// The columns that a record is searched by, derived from its JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureIndex {
    pub(super) fingerprint: String,
    pub(super) template: Option<String>,
    pub(super) frame: Option<String>,
}

impl FailureIndex {
    /// Accepts incomplete records. A record with a fingerprint is not deserialized as a whole,
    /// since this runs inside a transaction.
    pub(super) fn of(kind: &str, message: &str, record: &Json) -> Self {
        let text = |pointer| record.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        let template = text("/template/name").filter(|name| !name.is_empty());
        let part = |name: &str| record.get(name).cloned().unwrap_or_default();
        let trap: Option<TrapRecord> = serde_json::from_value(part("trap")).unwrap_or_default();
        let location: Option<SourceLocation> =
            serde_json::from_value(part("location")).unwrap_or_default();
        let fingerprint = text("/fingerprint").unwrap_or_else(|| {
            let whole = store::parse(record.clone(), Path::new("a failure record in the database"));
            whole.map_or_else(
                |_| fingerprint::of_words(kind, message),
                |record| fingerprint::of(&record),
            )
        });
        FailureIndex { fingerprint, template, frame: top_frame(trap.as_ref(), location.as_ref()) }
    }
}

/// The same conditions in every query; [`wanted`] has their values.
macro_rules! where_wanted {
    ($begin:literal, $end:literal) => {
        concat!(
            $begin,
            " WHERE ($1 IS NULL OR template = $1) AND ($2 IS NULL OR kind = $2) AND ($3 IS NULL \
             OR created_at >= $3)
              AND ($4 IS NULL OR order_id = $4)
              AND ($5 IS NULL OR order_id IN (SELECT id FROM sitewright_orders
                WHERE tenant = $5)) ",
            $end
        )
    };
}

/// The failures with the fingerprint `$1`, of all orders or of those of the tenant `$2`.
macro_rules! of_cause {
    ($begin:literal, $end:literal) => {
        concat!(
            $begin,
            " WHERE fingerprint = $1 AND ($2 IS NULL OR order_id IN (
                SELECT id FROM sitewright_orders WHERE tenant = $2)) ",
            $end
        )
    };
}

fn wanted(filter: &Filter, tenant: Option<&str>) -> Vec<Value> {
    args![&filter.template, &filter.kind, filter.since, &filter.order, tenant]
}

impl Database {
    /// Failures counted by fingerprint and template, the newest first.
    ///
    /// # Errors
    /// If the database fails; never an empty list instead (failure catalogue B4).
    pub async fn failure_groups(&self, filter: &Filter) -> Result<Vec<Group>, Error> {
        self.failure_groups_of(filter, None).await
    }

    /// As [`Database::failure_groups`], with a tenant only of its orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failure_groups_of(
        &self,
        filter: &Filter,
        tenant: Option<&str>,
    ) -> Result<Vec<Group>, Error> {
        let doing = "counting failures";
        let sql = concat!(
            "SELECT g.fingerprint AS fingerprint, g.failures AS failures, g.orders AS orders, \
             g.first_at AS first_at,
                g.last_at AS last_at, f.id AS id, f.kind AS kind, coalesce(f.template, '') AS \
             template, f.frame AS frame,
                substr(f.message, 1, 1000) AS message
             FROM (",
            where_wanted!(
                "SELECT coalesce(fingerprint, '') AS fingerprint, count(*) AS failures, \
                 count(DISTINCT order_id) AS orders,
                    min(created_at) AS first_at, max(created_at) AS last_at, max(id) AS newest
                 FROM sitewright_failures",
                "GROUP BY fingerprint, template"
            ),
            ") AS g JOIN sitewright_failures f ON f.id = g.newest ORDER BY g.last_at DESC, f.id \
             DESC LIMIT $6"
        );
        let mut values = wanted(filter, tenant);
        values.extend(args![MAX_GROUPS]);
        let rows = self.read(doing, sql, values).await?;
        let group = |row: &Row| {
            Ok(Group {
                fingerprint: row.text("fingerprint")?,
                template: row.text("template")?,
                count: count(row, "failures")?,
                orders: count(row, "orders")?,
                first_at: row.int("first_at")?,
                last_at: row.int("last_at")?,
                newest: row.text("id")?,
                kind: row.text("kind")?,
                message: row.text("message")?,
                frame: row.opt_text("frame")?,
            })
        };
        rows.iter()
            .map(group)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// The failures of each of these fingerprints in `spans` spans of `span_ms` milliseconds since
    /// `filter.since` (since 1970 if it is `None`); what came later is in the last one. A
    /// fingerprint that no failure fits is left out. With a tenant, only of its orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failure_trends(
        &self,
        filter: &Filter,
        tenant: Option<&str>,
        fingerprints: &[&str],
        span_ms: i64,
        spans: usize,
    ) -> Result<BTreeMap<String, Vec<u64>>, Error> {
        let doing = "counting failures by time";
        let failed = |error| Error::database(doing, error);
        macro_rules! by_span {
            ($end:literal) => {
                where_wanted!(
                    "SELECT fingerprint, (created_at - $3) / $6 AS span, count(*) AS failures
                     FROM sitewright_failures",
                    $end
                )
            };
        }
        let sql = self.pool().pick(
            by_span!(
                "AND fingerprint IN (SELECT value FROM json_each($7)) GROUP BY fingerprint, span"
            ),
            by_span!(
                "AND fingerprint IN (SELECT json_array_elements_text($7::json))
                 GROUP BY fingerprint, span"
            ),
        );
        let since = Filter { since: Some(filter.since.unwrap_or_default()), ..filter.clone() };
        let mut values = wanted(&since, tenant);
        values.extend(args![span_ms.max(1), &serde_json::json!(fingerprints).to_string()]);
        let mut trends: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for row in &self.read(doing, sql, values).await? {
            let span = usize::try_from(row.int("span").map_err(failed)?).unwrap_or_default();
            let fingerprint = row.text("fingerprint").map_err(failed)?;
            let counts = trends.entry(fingerprint).or_insert_with(|| vec![0; spans]);
            // Clocks differ.
            if let Some(counted) = counts.get_mut(span.min(spans.saturating_sub(1))) {
                *counted += count(row, "failures").map_err(failed)?;
            }
        }
        Ok(trends)
    }

    /// Failures without their records, the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failures_in_brief(
        &self,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Brief>, Error> {
        self.failures_in_brief_of(filter, None, limit).await
    }

    /// As [`Database::failures_in_brief`], with a tenant only of its orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failures_in_brief_of(
        &self,
        filter: &Filter,
        tenant: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Brief>, Error> {
        let doing = "listing failures";
        macro_rules! briefs {
            ($end:literal) => {
                concat!(
                    "SELECT f.id AS id, f.order_id AS order_id, f.attempt_id AS attempt_id,
                        f.kind AS kind, coalesce(f.template, '') AS template,
                        substr(f.message, 1, 1000) AS message, f.frame AS frame,
                        coalesce(f.fingerprint, '') AS fingerprint, f.created_at AS created_at
                     FROM (",
                    where_wanted!("SELECT id FROM sitewright_failures", $end),
                    ") AS n JOIN sitewright_failures f ON f.id = n.id ORDER BY f.id DESC"
                )
            };
        }
        // `id || ''` keeps the planner from reading the rows in the order of their ids: what is
        // filtered by is in an index, and behind the record in the row.
        let sql = if *filter == Filter::default() && tenant.is_none() {
            briefs!("ORDER BY id DESC LIMIT $6")
        } else {
            briefs!("ORDER BY id || '' DESC LIMIT $6")
        };
        let mut values = wanted(filter, tenant);
        values.extend(args![i64::try_from(limit).unwrap_or(i64::MAX)]);
        let rows = self.read(doing, sql, values).await?;
        let brief = |row: &Row| {
            Ok(Brief {
                id: row.text("id")?,
                at: row.int("created_at")?,
                order: row.text("order_id")?,
                attempt: row.opt_text("attempt_id")?,
                kind: row.text("kind")?,
                template: row.text("template")?,
                message: row.text("message")?,
                frame: row.opt_text("frame")?,
                fingerprint: row.text("fingerprint")?,
                file: None,
            })
        };
        rows.iter()
            .map(brief)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// Which of these record ids are in the database.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn known_failures(&self, ids: &[String]) -> Result<HashSet<String>, Error> {
        let doing = "looking for failure records";
        let sql = self.pool().queries().known_failures.as_str();
        let rows = self.read(doing, sql, args![&serde_json::json!(ids).to_string()]).await?;
        let ids = rows.iter().map(|row| row.text("id"));
        ids.collect::<Result<_, _>>().map_err(|error| Error::database(doing, error))
    }

    /// The newest failures with a fingerprint, with their records; with a tenant, only of its
    /// orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failures_of(
        &self,
        fingerprint: &str,
        tenant: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Failure>, Error> {
        let sql = of_cause!(
            "SELECT id, order_id, attempt_id, kind, message, created_at, record
             FROM sitewright_failures WHERE id IN (SELECT id FROM sitewright_failures",
            "ORDER BY id DESC LIMIT $3) ORDER BY id DESC"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = args![fingerprint, tenant, limit];
        let rows = self.read("reading failure records", sql, values).await?;
        rows.iter().map(Failure::read).collect()
    }

    /// The orders that have failures with this fingerprint, the latest failure first; with a tenant,
    /// only its own.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn orders_of_failures(
        &self,
        fingerprint: &str,
        tenant: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let doing = "reading the orders of failures";
        let sql = of_cause!(
            "SELECT order_id, max(created_at) AS last_at FROM sitewright_failures",
            "GROUP BY order_id ORDER BY last_at DESC, order_id"
        );
        let rows = self.read(doing, sql, args![fingerprint, tenant]).await?;
        let orders = rows.iter().map(|row| row.text("order_id"));
        orders.collect::<Result<_, _>>().map_err(|error| Error::database(doing, error))
    }

    /// The failures with this fingerprint, counted over all time; with a tenant, only of its orders.
    /// `None` if there are none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cause(
        &self,
        fingerprint: &str,
        tenant: Option<&str>,
    ) -> Result<Option<Cause>, Error> {
        let doing = "counting the failures of a cause";
        let failed = |error| Error::database(doing, error);
        let sql = of_cause!(
            "SELECT g.failures AS failures, g.orders AS orders, g.first_at AS first_at,
                g.last_at AS last_at, f.id AS id, f.kind AS kind,
                coalesce(f.template, '') AS template, f.frame AS frame,
                substr(f.message, 1, 1000) AS message
             FROM (SELECT count(*) AS failures, count(DISTINCT order_id) AS orders,
                    min(created_at) AS first_at, max(created_at) AS last_at, max(id) AS newest
                FROM sitewright_failures",
            ") AS g JOIN sitewright_failures f ON f.id = g.newest"
        );
        let rows = self.read(doing, sql, args![fingerprint, tenant]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let group = || -> Result<Group, sqlx::Error> {
            Ok(Group {
                fingerprint: fingerprint.to_owned(),
                template: row.text("template")?,
                count: count(row, "failures")?,
                orders: count(row, "orders")?,
                first_at: row.int("first_at")?,
                last_at: row.int("last_at")?,
                newest: row.text("id")?,
                kind: row.text("kind")?,
                message: row.text("message")?,
                frame: row.opt_text("frame")?,
            })
        };
        let group = group().map_err(failed)?;
        let sql = of_cause!(
            "SELECT DISTINCT coalesce(template, '') AS template FROM sitewright_failures",
            "ORDER BY 1"
        );
        let rows = self.read(doing, sql, args![fingerprint, tenant]).await?;
        let templates = rows.iter().map(|row| row.text("template"));
        let templates = templates.collect::<Result<_, _>>().map_err(failed)?;
        Ok(Some(Cause { group, templates }))
    }

    /// The orders that have failed or are dead and whose last failure has this fingerprint, those
    /// first whose state changed first; only those whose state has not changed since `until`, in
    /// milliseconds since the Unix epoch. With a tenant, only its own.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn orders_to_retry(
        &self,
        fingerprint: &str,
        tenant: Option<&str>,
        until: i64,
    ) -> Result<Vec<OrderToRetry>, Error> {
        let doing = "selecting the orders of a cause";
        let sql = sql!(
            "SELECT o.id AS id, o.template AS template FROM sitewright_failures f
             JOIN sitewright_orders o ON o.id = f.order_id AND o.last_failure = f.id
             WHERE f.fingerprint = $1 AND o.state IN ({failed}, {dead})
                AND ($2 IS NULL OR o.tenant = $2) AND o.updated_at <= $3
             ORDER BY o.updated_at, o.id"
        );
        let rows = self.read(doing, sql, args![fingerprint, tenant, until]).await?;
        let order = |row: &Row| -> Result<OrderToRetry, sqlx::Error> {
            Ok(OrderToRetry { id: row.text("id")?, template: row.text("template")? })
        };
        let orders = rows.iter().map(order);
        orders.collect::<Result<_, _>>().map_err(|error| Error::database(doing, error))
    }

    /// The fingerprints with this prefix; at most 10.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn fingerprints_like(&self, beginning: &str) -> Result<Vec<String>, Error> {
        let doing = "looking for fingerprints";
        let sql = self.pool().pick(
            "SELECT DISTINCT fingerprint FROM sitewright_failures
             WHERE fingerprint >= $1 AND fingerprint < $2 LIMIT 10",
            "SELECT DISTINCT fingerprint FROM sitewright_failures
             WHERE fingerprint COLLATE \"C\" >= $1 AND fingerprint COLLATE \"C\" < $2 LIMIT 10",
        );
        let values = args![beginning, &after_those_that_begin(beginning)];
        let rows = self.read(doing, sql, values).await?;
        let found = rows.iter().map(|row| row.text("fingerprint"));
        found.collect::<Result<_, _>>().map_err(|error| Error::database(doing, error))
    }

    /// The number of ended attempts of each template, by the name that its failures have.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn attempts_by_template(
        &self,
        filter: &Filter,
    ) -> Result<BTreeMap<String, u64>, Error> {
        let doing = "counting attempts";
        // An order names a file; records have the name in the template's manifest, which may
        // differ.
        macro_rules! counted {
            ($attempts:literal, $failures:literal) => {
                concat!(
                    "SELECT coalesce(n.own, c.file) AS template,
                        CAST(sum(c.attempts) AS BIGINT) AS attempts
                     FROM (SELECT o.template AS file, count(*) AS attempts FROM ",
                    $attempts,
                    " AND a.ended_at IS NOT NULL AND ($2 IS NULL OR a.ended_at >= $2)
                            AND ($3 IS NULL OR a.order_id = $3)
                        GROUP BY o.template) AS c
                     LEFT JOIN (SELECT asked.template AS file, max(f.template) AS own FROM ",
                    $failures,
                    " AND f.template <> asked.template GROUP BY asked.template) AS n
                        ON n.file = c.file
                     WHERE ($1 IS NULL OR coalesce(n.own, c.file) = $1)
                     GROUP BY coalesce(n.own, c.file)"
                )
            };
        }
        // SQLite would begin with the orders and read the row of each failure behind its record.
        let sql = self.pool().pick(
            counted!(
                "sitewright_attempts a CROSS JOIN sitewright_orders o
                    INDEXED BY sitewright_orders_named WHERE o.id = a.order_id",
                "sitewright_failures f CROSS JOIN sitewright_orders asked
                    INDEXED BY sitewright_orders_named WHERE asked.id = f.order_id"
            ),
            counted!(
                "sitewright_attempts a, sitewright_orders o WHERE o.id = a.order_id",
                "sitewright_failures f, sitewright_orders asked WHERE asked.id = f.order_id"
            ),
        );
        let rows =
            self.read(doing, sql, args![&filter.template, filter.since, &filter.order]).await?;
        let pair = |row: &Row| Ok((row.text("template")?, count(row, "attempts")?));
        rows.iter()
            .map(pair)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// Fills the search columns of records that an earlier version stored. The number of records.
    pub(super) async fn fill_index(&self) -> Result<u64, Error> {
        let doing = "adding fingerprints to failure records";
        let sql = "SELECT id, kind, message, record FROM sitewright_failures WHERE fingerprint IS \
                   NULL ORDER BY id LIMIT $1";
        let mut filled = 0;
        loop {
            let rows = self.read(doing, sql, args![FILL_AT_ONCE]).await?;
            if rows.is_empty() {
                return Ok(filled);
            }
            filled += rows.len() as u64;
            let read = |row: &Row| -> Result<_, sqlx::Error> {
                Ok((row.text("id")?, row.text("kind")?, row.text("message")?, row.text("record")?))
            };
            let records: Vec<(String, String, String, String)> = rows
                .iter()
                .map(read)
                .collect::<Result<_, _>>()
                .map_err(|error| Error::database(doing, error))?;
            let indexed = tokio::task::spawn_blocking(move || {
                let index = |(id, kind, message, record): (String, String, String, String)| {
                    let record = serde_json::from_str(&record).unwrap_or_default();
                    let index = FailureIndex::of(&kind, &message, &record);
                    (id, index)
                };
                records.into_iter().map(index).collect::<Vec<_>>()
            });
            let indexed = indexed.await.map_err(|error| {
                Error::database(doing, sqlx::Error::Io(std::io::Error::other(error)))
            })?;
            let failed = |error| Error::database(doing, error);
            let mut tx = self.pool().begin().await.map_err(failed)?;
            for (id, index) in indexed {
                write_index(&mut tx, &id, &index).await.map_err(failed)?;
            }
            tx.commit().await.map_err(failed)?;
        }
    }
}

/// What comes after all fingerprints that begin so, in the order of bytes: they are hexadecimal.
pub(super) fn after_those_that_begin(beginning: &str) -> String {
    format!("{beginning}~")
}

async fn write_index(tx: &mut Tx, id: &str, index: &FailureIndex) -> Result<(), sqlx::Error> {
    let sql =
        "UPDATE sitewright_failures SET fingerprint = $2, template = $3, frame = $4 WHERE id = $1";
    tx.execute(sql, args![id, &index.fingerprint, &index.template, &index.frame]).await.map(drop)
}

fn count(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    row.int(column).map(|count| u64::try_from(count).unwrap_or_default())
}
