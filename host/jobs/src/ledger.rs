//! What AI calls cost over time, from the replies that were paid for: those of orders that were
//! erased or have expired are gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sitewright_model::time::rfc3339;

use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;
use super::reply_journal::Cost;

/// Milliseconds of a day in UTC.
const DAY_MS: i64 = 24 * 3_600_000;

/// What costs can be added up by.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CostBy {
    /// Days in UTC.
    Day,
    Provider,
    Model,
    /// Purposes of templates: `copywriting`.
    Purpose,
    Template,
}

/// What the calls cost that have these things in common. What was not asked for is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct CostRow {
    /// `2026-11-29`, in UTC.
    pub day: Option<String>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub purpose: Option<String>,
    /// Template that the order has now.
    pub template: Option<String>,
    pub cost: Cost,
}

/// In the sequence of their columns, so that rows are sorted by day first.
type Key = [Option<String>; 5];

impl Database {
    /// What the AI calls from `since` to before `until` (milliseconds since the Unix epoch) cost,
    /// added up by these things: sorted by day, provider, model, purpose and template. The second
    /// value is the total.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn costs(
        &self,
        since: i64,
        until: i64,
        by: &[CostBy],
    ) -> Result<(Vec<CostRow>, Cost), Error> {
        let doing = "adding up what AI calls cost";
        // As of one order, a number that a provider invented is cut, so that sums fit: 2^43 for
        // each reply are 8,796 dollars.
        let sql = "SELECT c.created_at / 86400000 AS day, c.provider AS provider,
                c.model AS model, c.purpose AS purpose, coalesce(o.template, '') AS template,
                count(*) AS calls,
                CAST(coalesce(sum(CASE WHEN c.cost_nano_usd > 8796093022208
                    THEN 8796093022208 ELSE c.cost_nano_usd END), 0) AS BIGINT) AS nano_usd,
                CAST(coalesce(sum(CASE WHEN c.input_tokens > 8796093022208
                    THEN 8796093022208 ELSE c.input_tokens END), 0) AS BIGINT) AS input_tokens,
                CAST(coalesce(sum(CASE WHEN c.output_tokens > 8796093022208
                    THEN 8796093022208 ELSE c.output_tokens END), 0) AS BIGINT) AS output_tokens
             FROM sitewright_ai_calls c LEFT JOIN sitewright_orders o ON o.id = c.order_id
             WHERE c.created_at >= $1 AND c.created_at < $2
             GROUP BY c.created_at / 86400000, c.provider, c.model, c.purpose,
                coalesce(o.template, '')";
        let rows = self.read(doing, sql, args![since, until]).await?;
        let failed = |error| Error::database(doing, error);
        let mut costs: BTreeMap<Key, Cost> = BTreeMap::new();
        let mut total = Cost::default();
        for row in &rows {
            let (key, cost) = read(row, by).map_err(failed)?;
            add(costs.entry(key).or_default(), cost);
            add(&mut total, cost);
        }
        let row = |([day, provider, model, purpose, template], cost): (Key, Cost)| CostRow {
            day,
            provider,
            model,
            purpose,
            template,
            cost,
        };
        Ok((costs.into_iter().map(row).collect(), total))
    }
}

fn read(row: &Row, by: &[CostBy]) -> Result<(Key, Cost), sqlx::Error> {
    let only = |wanted: CostBy, text: String| by.contains(&wanted).then_some(text);
    let day = rfc3339(row.int("day")?.saturating_mul(DAY_MS));
    let key = [
        only(CostBy::Day, day.split('T').next().unwrap_or_default().to_owned()),
        only(CostBy::Provider, row.text("provider")?),
        only(CostBy::Model, row.text("model")?),
        only(CostBy::Purpose, row.text("purpose")?),
        only(CostBy::Template, row.text("template")?),
    ];
    Ok((key, Cost::read(row)?))
}

fn add(sum: &mut Cost, cost: Cost) {
    sum.calls = sum.calls.saturating_add(cost.calls);
    sum.nano_usd = sum.nano_usd.saturating_add(cost.nano_usd);
    sum.input_tokens = sum.input_tokens.saturating_add(cost.input_tokens);
    sum.output_tokens = sum.output_tokens.saturating_add(cost.output_tokens);
}
