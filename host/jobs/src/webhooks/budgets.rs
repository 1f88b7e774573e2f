//! The budgets of a day that workers have used up. Each worker counts for itself, so several may
//! find the same: the first one that stores it is the event.

use sitewright_model::time::now_ms;

use crate::database::Database;
use crate::driver::args;
use crate::error::Error;

/// What a budget limits.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    serde::Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BudgetLimit {
    /// Input and output tokens together.
    Tokens,
    /// US dollars.
    Usd,
}

/// A budget of a day that a worker has used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedBudget {
    /// Days since the Unix epoch; they begin at midnight UTC.
    pub day: i64,
    /// The label of the orders that it is for; `None` if it is for all orders of a worker.
    pub tenant: Option<String>,
    pub limit: BudgetLimit,
}

impl Database {
    /// Stores that a budget of a day is used up: webhooks are told of it. Forgets those of earlier
    /// days. Returns whether nobody has stored it before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn budget_reached(&self, reached: ReachedBudget) -> Result<bool, Error> {
        self.write("storing that a budget is used up", move |tx| {
            let ReachedBudget { day, tenant, limit } = reached.clone();
            Box::pin(async move {
                // Clocks of workers differ, so that yesterday's may still be stored.
                let earlier = "DELETE FROM sitewright_used_budgets WHERE day < $1";
                tx.execute(earlier, args![day.saturating_sub(1)]).await?;
                let sql = "INSERT INTO sitewright_used_budgets (day, tenant, cause, at)
                     VALUES ($1, $2, $3, $4) ON CONFLICT (day, tenant) DO NOTHING";
                // No label is empty.
                let (tenant, limit) = (tenant.unwrap_or_default(), <&str>::from(limit));
                Ok(tx.execute(sql, args![day, &tenant, limit, now_ms()]).await? > 0)
            })
        })
        .await
    }
}
