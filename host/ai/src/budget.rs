//! The AI budget of an order (failure catalogue E11).

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use super::config::{BudgetConfig, PriceConfig};
use sitewright_model::ai::{Usage, Usd};
use sitewright_model::message;
use sitewright_model::message::Message;

/// The cost of these tokens.
pub(super) fn cost_of(price: PriceConfig, usage: Usage) -> Usd {
    let part =
        |tokens: Option<u64>, per_million: f64| tokens.unwrap_or(0) as f64 * per_million / 1e6;
    Usd::from_dollars(
        part(usage.input_tokens, price.input_per_million)
            + part(usage.output_tokens, price.output_per_million),
    )
}

/// Estimates the number of tokens of a text: one per four bytes.
pub(super) fn estimated_tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

/// What an order has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Requests to providers, retries included.
    pub calls: u64,
    /// Input and output tokens. Calls in flight count with the estimate of their prompt.
    pub tokens: u64,
    /// Cost, of models that have a price.
    pub cost_usd: Usd,
}

/// The budget of one order, shared by its calls. Its lock is never held across an await.
#[derive(Debug)]
pub struct OrderBudget {
    limits: BudgetConfig,
    spent: Mutex<Spent>,
}

/// The reservation of one call. A call that is dropped in flight keeps its estimate reserved,
/// because the provider may charge for it.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: Arc<OrderBudget>,
    estimate: Spent,
}

impl OrderBudget {
    pub fn new(limits: BudgetConfig) -> Self {
        OrderBudget { limits, spent: Mutex::default() }
    }

    pub fn spent(&self) -> Spent {
        *self.lock()
    }

    /// The configured limits: name, limit and used amount.
    pub fn measures(&self) -> Vec<(&'static str, u64, u64)> {
        let spent = self.spent();
        let BudgetConfig { calls, tokens, cost_usd } = self.limits;
        let cost = cost_usd.map(|most| Usd::from_dollars(most).nanos());
        [
            ("ai_budget_calls", calls, spent.calls),
            ("ai_budget_tokens", tokens, spent.tokens),
            ("ai_budget_nano_usd", cost, spent.cost_usd.nanos()),
        ]
        .into_iter()
        .filter_map(|(name, most, used)| Some((name, most?, used)))
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock()
    }

    /// Reserves the estimated use of one request.
    ///
    /// # Errors
    /// The budget is too small. The message names the limit.
    pub(super) fn reserve(
        self: &Arc<Self>,
        tokens: u64,
        cost_usd: Usd,
    ) -> Result<Reserved, Message> {
        let estimate = Spent { calls: 1, tokens, cost_usd };
        let mut spent = self.lock();
        let after = spent.and(estimate);
        let BudgetConfig { calls, tokens: most_tokens, cost_usd: most_cost } = self.limits;
        if let Some(most) = calls.filter(|most| after.calls > *most) {
            return Err(message!(
                "the order's budget of {most} requests is used up; raise `calls` in [ai.budget], \
                 or find out why it needs that many"
            ));
        }
        if let Some(most) = most_tokens.filter(|most| after.tokens > *most) {
            let used = spent.tokens;
            return Err(message!(
                "the order's budget of {most} tokens does not hold this call: {used} are used and \
                 its prompt has about {tokens}; raise `tokens` in [ai.budget]"
            ));
        }
        // Equal is too much: the reply costs more than its prompt.
        if let Some(most) = most_cost.map(Usd::from_dollars).filter(|most| after.cost_usd >= *most)
        {
            let used = spent.cost_usd;
            return Err(message!(
                "the order's budget of {most} does not hold this call: {used} is spent and its \
                 prompt costs about {cost_usd}; raise `cost_usd` in [ai.budget]"
            ));
        }
        *spent = after;
        drop(spent);
        Ok(Reserved { budget: self.clone(), estimate })
    }
}

impl Reserved {
    /// Cancels the reservation, because nothing was sent.
    pub(super) fn release(self) {
        let mut spent = self.budget.lock();
        spent.calls = spent.calls.saturating_sub(1);
        spent.tokens = spent.tokens.saturating_sub(self.estimate.tokens);
        spent.cost_usd = spent.cost_usd.minus(self.estimate.cost_usd);
    }

    /// Replaces the estimate by the actual use.
    pub(super) fn commit(self, tokens: u64, cost_usd: Usd) {
        let mut spent = self.budget.lock();
        spent.tokens = spent.tokens.saturating_sub(self.estimate.tokens).saturating_add(tokens);
        spent.cost_usd = spent.cost_usd.minus(self.estimate.cost_usd).plus(cost_usd);
    }
}

impl Spent {
    fn and(self, other: Spent) -> Spent {
        Spent {
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens.saturating_add(other.tokens),
            cost_usd: self.cost_usd.plus(other.cost_usd),
        }
    }
}
