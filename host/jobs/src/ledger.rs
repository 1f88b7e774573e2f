//! What AI calls cost over time, from the replies that were paid for: those of orders that were
//! erased or have expired are gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sitewright_model::time::rfc3339;

use super::database::Database;
use super::error::Error;
use super::reply_journal::Cost;
use super::spend::{Period, Spend};

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
    /// Labels of whoever the orders are for.
    Tenant,
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
    /// Label of whoever the order is for; empty if it has none, or was removed.
    pub tenant: Option<String>,
    pub cost: Cost,
}

/// In the sequence of their columns, so that rows are sorted by day first.
type Key = [Option<String>; 6];

impl Database {
    /// What the AI calls from `since` to before `until` (milliseconds since the Unix epoch) cost,
    /// added up by these things: sorted by day, provider, model, purpose, template and tenant. The
    /// second value is the total. With a tenant, only of its orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn costs(
        &self,
        since: i64,
        until: i64,
        by: &[CostBy],
        tenant: Option<&str>,
    ) -> Result<(Vec<CostRow>, Cost), Error> {
        let tenant = tenant.map(str::to_owned);
        let by_tenant = by.contains(&CostBy::Tenant);
        let period = Period { since, until, origin: 0, span_ms: DAY_MS, tenant, by_tenant };
        let mut costs: BTreeMap<Key, Cost> = BTreeMap::new();
        let mut total = Cost::default();
        for spend in self.spend(period, i64::MAX).await? {
            let cost = spend.cost;
            add(costs.entry(key(spend, by)).or_default(), cost);
            add(&mut total, cost);
        }
        let row = |([day, provider, model, purpose, template, tenant], cost): (Key, Cost)| {
            CostRow { day, provider, model, purpose, template, tenant, cost }
        };
        Ok((costs.into_iter().map(row).collect(), total))
    }
}

/// What a sum is of, of what was asked for.
fn key(spend: Spend, by: &[CostBy]) -> Key {
    let only = |wanted: CostBy, text: String| by.contains(&wanted).then_some(text);
    let day = rfc3339(spend.span.saturating_mul(DAY_MS));
    [
        only(CostBy::Day, day.split('T').next().unwrap_or_default().to_owned()),
        only(CostBy::Provider, spend.provider),
        only(CostBy::Model, spend.model),
        only(CostBy::Purpose, spend.purpose),
        only(CostBy::Template, spend.template.unwrap_or_default()),
        only(CostBy::Tenant, spend.tenant.unwrap_or_default()),
    ]
}

fn add(sum: &mut Cost, cost: Cost) {
    sum.calls = sum.calls.saturating_add(cost.calls);
    sum.nano_usd = sum.nano_usd.saturating_add(cost.nano_usd);
    sum.input_tokens = sum.input_tokens.saturating_add(cost.input_tokens);
    sum.output_tokens = sum.output_tokens.saturating_add(cost.output_tokens);
}
