//! What AI replies have cost, by time, purpose, model and template, or by tenant.

use serde::Serialize;

use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;
use super::reply_journal::Cost;
use super::summed_hours::{fit, gaps};

/// Rows that are read. There are as many as combinations of time, purpose, model and template.
const MAX_ROWS: i64 = 20_000;

/// AI replies of one span of time, purpose, model and template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spend {
    /// Counts the spans from `since`, from 0.
    pub span: i64,
    pub purpose: String,
    pub provider: String,
    pub model: String,
    /// The template of the order; `None` if the order was removed.
    pub template: Option<String>,
    /// The label of whoever the order is for. `None` if it has none, or if replies are not added up
    /// by it.
    pub tenant: Option<String>,
    #[serde(flatten)]
    pub cost: Cost,
    /// Replies of which the price is not known.
    pub unpriced: i64,
}

/// AI replies of the orders with a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSpend {
    /// `None` for orders without a label, and those that were removed.
    pub tenant: Option<String>,
    pub cost: Cost,
}

/// What AI replies cost together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecentCost {
    /// Billionths of a US dollar, of the replies whose price is known.
    pub nano_usd: i64,
    /// Replies of which the price is not known.
    pub unpriced: i64,
}

/// Which AI replies are added up.
pub(super) struct Period {
    /// Milliseconds since the Unix epoch, the first that counts.
    pub(super) since: i64,
    /// The first that does not.
    pub(super) until: i64,
    /// Where spans are counted from.
    pub(super) origin: i64,
    pub(super) span_ms: i64,
    /// The label of whoever the orders are for; `None` for all.
    pub(super) tenant: Option<String>,
    /// Whether they are also added up by that label.
    pub(super) by_tenant: bool,
}

/// The sums of [`Cost::read`]. A number that a provider invented is cut, so that sums of millions
/// of replies fit.
macro_rules! sums {
    () => {
        "count(*) AS calls,
                CAST(coalesce(sum(CASE WHEN c.cost_nano_usd > 1099511627776
                    THEN 1099511627776 ELSE c.cost_nano_usd END), 0) AS BIGINT) AS nano_usd,
                CAST(coalesce(sum(CASE WHEN c.input_tokens > 1099511627776
                    THEN 1099511627776 ELSE c.input_tokens END), 0) AS BIGINT) AS input_tokens,
                CAST(coalesce(sum(CASE WHEN c.output_tokens > 1099511627776
                    THEN 1099511627776 ELSE c.output_tokens END), 0) AS BIGINT) AS output_tokens"
    };
}
pub(super) use sums;

/// The same of rows that have such sums.
macro_rules! sums_of_sums {
    () => {
        "CAST(sum(calls) AS BIGINT) AS calls, CAST(sum(nano_usd) AS BIGINT) AS nano_usd,
                CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
                CAST(sum(output_tokens) AS BIGINT) AS output_tokens"
    };
}

/// The AI replies `c` between hours that are summed up, with their orders `o`, for SQLite.
macro_rules! between_on_sqlite {
    () => {
        " FROM gaps g CROSS JOIN sitewright_ai_calls c
            LEFT JOIN sitewright_orders o INDEXED BY sitewright_orders_named
                ON o.id = c.order_id
            WHERE g.begins < g.ends AND c.created_at >= g.begins AND c.created_at < g.ends "
    };
}

/// The same for PostgreSQL. It cannot know that almost all hours have sums, so it would read all
/// orders, and all replies: `OFFSET 0` has it look up those of each gap, by index.
macro_rules! between_on_postgres {
    () => {
        " FROM gaps g CROSS JOIN LATERAL (
                SELECT created_at, order_id, purpose, provider, model, cost_nano_usd,
                    input_tokens, output_tokens
                FROM sitewright_ai_calls
                WHERE created_at >= g.begins AND created_at < g.ends OFFSET 0) AS c
            LEFT JOIN LATERAL (
                SELECT template, tenant FROM sitewright_orders
                WHERE id = c.order_id OFFSET 0) AS o ON true
            WHERE g.begins < g.ends "
    };
}

/// Sums for [`Spend`]: of hours that are summed up, and of the replies between them.
macro_rules! by_hours {
    ($between:ident) => {
        concat!(
            gaps!("ai", "$3", "$4"),
            "SELECT span, purpose, provider, model, template, CAST(NULL AS TEXT) AS label, ",
            sums_of_sums!(),
            ", CAST(sum(unpriced) AS BIGINT) AS unpriced
             FROM (SELECT (hour - $1) / $2 AS span, purpose, provider, model, template, calls,
                    nano_usd, input_tokens, output_tokens, unpriced
                FROM sitewright_ai_sums WHERE hour >= $3 AND hour + 3600000 <= $4
                UNION ALL SELECT (c.created_at - $1) / $2, c.purpose, c.provider, c.model,
                    o.template, ",
            sums!(),
            ", count(*) - count(c.cost_nano_usd)",
            $between!(),
            "GROUP BY 1, 2, 3, 4, 5) AS parts
             GROUP BY span, purpose, provider, model, template LIMIT $5"
        )
    };
}

/// The same of the orders with a label, or also by label.
macro_rules! by_label {
    ($between:ident) => {
        concat!(
            gaps!("ai", "$3", "$4", "built = 1 AND labelled = 1"),
            "SELECT span, purpose, provider, model, template, label, ",
            sums_of_sums!(),
            ", CAST(sum(unpriced) AS BIGINT) AS unpriced
             FROM (SELECT (hour - $1) / $2 AS span, purpose, provider, model, template,
                    CASE WHEN CAST($7 AS BIGINT) = 1 THEN tenant END AS label, calls, nano_usd,
                    input_tokens, output_tokens, unpriced
                FROM sitewright_ai_label_sums
                WHERE hour >= $3 AND hour + 3600000 <= $4 AND ($6 IS NULL OR tenant = $6)
                UNION ALL SELECT (c.created_at - $1) / $2, c.purpose, c.provider, c.model,
                    o.template, CASE WHEN CAST($7 AS BIGINT) = 1 THEN o.tenant END, ",
            sums!(),
            ", count(*) - count(c.cost_nano_usd)",
            $between!(),
            "AND ($6 IS NULL OR o.tenant = $6) GROUP BY 1, 2, 3, 4, 5, 6) AS parts
             GROUP BY span, purpose, provider, model, template, label LIMIT $5"
        )
    };
}

/// Sums for [`Spend`], of each reply, for spans that hours do not fit.
macro_rules! by_reply {
    ($orders:literal) => {
        concat!(
            "SELECT (c.created_at - $1) / $2 AS span, c.purpose AS purpose,
                c.provider AS provider, c.model AS model, o.template AS template,
                CASE WHEN CAST($7 AS BIGINT) = 1 THEN o.tenant END AS label, ",
            sums!(),
            ", CAST(coalesce(sum(CASE WHEN c.cost_nano_usd IS NULL THEN 1 ELSE 0 END), 0)
                    AS BIGINT) AS unpriced
             FROM sitewright_ai_calls c LEFT JOIN ",
            $orders,
            " ON o.id = c.order_id
             WHERE c.created_at >= $3 AND c.created_at < $4 AND ($6 IS NULL OR o.tenant = $6)
             GROUP BY span, c.purpose, c.provider, c.model, o.template, label LIMIT $5"
        )
    };
}

impl Database {
    /// AI replies that were paid for at or after `since`, in milliseconds since the Unix epoch, by
    /// spans of `span_ms` milliseconds from there, purpose, model and template, in no order that
    /// matters; at most 20,000 combinations. A number that no reply can have counts as 2^40. With a
    /// tenant, only of its orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn spend_since(
        &self,
        since: i64,
        span_ms: i64,
        tenant: Option<&str>,
    ) -> Result<Vec<Spend>, Error> {
        let tenant = tenant.map(str::to_owned);
        let (until, by_tenant) = (i64::MAX, false);
        let period = Period { since, until, origin: since, span_ms, tenant, by_tenant };
        self.spend(period, MAX_ROWS).await
    }

    /// What AI replies cost that were paid for at or after `since`, in milliseconds since the Unix
    /// epoch. A number that no reply can have counts as 2^40.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cost_since(&self, since: i64) -> Result<RecentCost, Error> {
        let doing = "adding up AI calls";
        let sql = concat!(
            gaps!("ai", "$1", "$2"),
            "SELECT CAST(coalesce(sum(nano_usd), 0) AS BIGINT) AS nano_usd,
                CAST(coalesce(sum(unpriced), 0) AS BIGINT) AS unpriced
             FROM (SELECT nano_usd, unpriced FROM sitewright_ai_sums WHERE hour >= $1
                UNION ALL SELECT
                    CAST(coalesce(sum(CASE WHEN c.cost_nano_usd > 1099511627776
                        THEN 1099511627776 ELSE c.cost_nano_usd END), 0) AS BIGINT),
                    count(*) - count(c.cost_nano_usd)
                FROM gaps g CROSS JOIN sitewright_ai_calls c
                WHERE g.begins < g.ends AND c.created_at >= g.begins
                    AND c.created_at < g.ends) AS parts"
        );
        let rows = self.read(doing, sql, args![since, i64::MAX]).await?;
        let read = |row: &Row| -> Result<RecentCost, sqlx::Error> {
            Ok(RecentCost { nano_usd: row.int("nano_usd")?, unpriced: row.int("unpriced")? })
        };
        let cost = rows.first().map(read).transpose();
        Ok(cost.map_err(|error| Error::database(doing, error))?.unwrap_or_default())
    }

    /// AI replies that were paid for at or after `since`, in milliseconds since the Unix epoch, by
    /// the tenants of their orders, the dearest first; at most `most`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn spend_by_tenant(&self, since: i64, most: u32) -> Result<Vec<TenantSpend>, Error> {
        let doing = "adding up AI calls by tenant";
        macro_rules! by_tenant {
            ($between:ident) => {
                concat!(
                    gaps!("ai", "$1", "$3"),
                    "SELECT label, ",
                    sums_of_sums!(),
                    " FROM (SELECT tenant AS label, calls, nano_usd, input_tokens, output_tokens
                        FROM sitewright_ai_tenant_sums WHERE hour >= $1
                        UNION ALL SELECT o.tenant, ",
                    sums!(),
                    $between!(),
                    "GROUP BY 1) AS parts
                     GROUP BY label ORDER BY 3 DESC, 2 DESC, label LIMIT $2"
                )
            };
        }
        let sql = self.pool().pick(by_tenant!(between_on_sqlite), by_tenant!(between_on_postgres));
        let rows = self.read(doing, sql, args![since, i64::from(most), i64::MAX]).await?;
        let read = |row: &Row| -> Result<TenantSpend, sqlx::Error> {
            Ok(TenantSpend { tenant: row.opt_text("label")?, cost: Cost::read(row)? })
        };
        let spend = rows.iter().map(read).collect::<Result<_, _>>();
        spend.map_err(|error| Error::database(doing, error))
    }

    /// As [`Database::spend_since`], of a period, and at most `most` combinations.
    pub(super) async fn spend(&self, period: Period, most: i64) -> Result<Vec<Spend>, Error> {
        let Period { since, until, origin, span_ms, tenant, by_tenant } = period;
        let doing = "adding up AI calls";
        let span_ms = span_ms.max(1);
        let fits = fit(origin, span_ms);
        let rows = if fits && tenant.is_none() && !by_tenant {
            let sql =
                self.pool().pick(by_hours!(between_on_sqlite), by_hours!(between_on_postgres));
            self.read(doing, sql, args![origin, span_ms, since, until, most]).await?
        } else {
            let sql = match fits {
                true => {
                    self.pool().pick(by_label!(between_on_sqlite), by_label!(between_on_postgres))
                }
                false => self.pool().pick(
                    by_reply!("sitewright_orders o INDEXED BY sitewright_orders_named"),
                    by_reply!("sitewright_orders o"),
                ),
            };
            let by_tenant = i64::from(by_tenant);
            let args = args![origin, span_ms, since, until, most, &tenant, by_tenant];
            self.read(doing, sql, args).await?
        };
        let read = |row: &Row| -> Result<Spend, sqlx::Error> {
            Ok(Spend {
                span: row.int("span")?,
                purpose: row.text("purpose")?,
                provider: row.text("provider")?,
                model: row.text("model")?,
                template: row.opt_text("template")?,
                tenant: row.opt_text("label")?,
                cost: Cost::read(row)?,
                unpriced: row.int("unpriced")?,
            })
        };
        let spend = rows.iter().map(read).collect::<Result<_, _>>();
        spend.map_err(|error| Error::database(doing, error))
    }
}
