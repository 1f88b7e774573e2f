//! The AI budget of an order (failure catalogue E11).

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::config::{BudgetConfig, PriceConfig};
use sitewright_model::ai::{Usage, Usd};
use sitewright_model::message;
use sitewright_model::message::Message;

/// The cost of these tokens. Cached and reasoning tokens have the price of the others unless they
/// have one of their own.
pub(super) fn cost_of(price: PriceConfig, usage: Usage) -> Usd {
    let part = |tokens: u64, per_million: f64| tokens as f64 * per_million / 1e6;
    let count = |tokens: Option<u64>| tokens.unwrap_or(0);
    let input = count(usage.input_tokens);
    let read = count(usage.cache_read_tokens).min(input);
    let written = count(usage.cache_write_tokens).min(input - read);
    let output = count(usage.output_tokens);
    let reasoning = count(usage.reasoning_tokens).min(output);
    let PriceConfig { input_per_million, output_per_million, .. } = price;
    Usd::from_dollars(
        part(input - read - written, input_per_million)
            + part(read, price.cache_read_per_million.unwrap_or(input_per_million))
            + part(written, price.cache_write_per_million.unwrap_or(input_per_million))
            + part(output - reasoning, output_per_million)
            + part(reasoning, price.reasoning_per_million.unwrap_or(output_per_million)),
    )
}

/// Estimates the number of tokens of a text: one per four bytes.
pub(super) fn estimated_tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

/// Tokens that are reserved for a reply without a limit: more than most replies have.
const EXPECTED_OUTPUT: u64 = 4096;

/// The smallest limit that is set for a reply because of the budget: a shorter reply says nothing.
const MIN_OUTPUT: u32 = 16;

/// What an order has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Requests to providers, retries included.
    pub calls: u64,
    /// Input and output tokens. Calls in flight count with what they have reserved.
    pub tokens: u64,
    /// Cost, of models that have a price.
    pub cost_usd: Usd,
}

/// The budget of one order, shared by its calls. Its lock is never held across an await.
#[derive(Debug)]
pub struct OrderBudget {
    limits: BudgetConfig,
    state: Mutex<State>,
    /// Notified when a call gives back what it has not used.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Reservations included.
    spent: Spent,
    /// Calls with a reservation.
    in_flight: u64,
}

/// What one call will use, as far as that is known before it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    /// Tokens of the prompt.
    pub(super) prompt: u64,
    /// The limit of the reply's tokens, if there is one.
    pub(super) max_output: Option<u32>,
    pub(super) price: Option<PriceConfig>,
}

impl Estimate {
    /// What the call uses for certain once it is sent.
    pub(super) fn of_prompt(&self) -> Spent {
        self.with_output(0)
    }

    /// What the call may use.
    pub(super) fn expected(&self) -> Spent {
        self.with_output(self.max_output.map_or(EXPECTED_OUTPUT, u64::from))
    }

    fn with_output(&self, output: u64) -> Spent {
        let usage = Usage::of(self.prompt, output);
        let cost_usd = self.price.map(|price| cost_of(price, usage)).unwrap_or_default();
        Spent { calls: 1, tokens: self.prompt.saturating_add(output), cost_usd }
    }
}

/// The reservation of one call. A call that is dropped in flight keeps its prompt reserved, because
/// the provider may charge for it.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: Arc<OrderBudget>,
    /// What is reserved.
    amount: Spent,
    /// What is certain to be used once the request is sent.
    prompt: Spent,
    /// The number of tokens that the budget leaves for the reply, if that is less than the reply
    /// could have.
    pub(super) max_output: Option<u32>,
    done: bool,
}

/// Why a call cannot be reserved.
#[derive(Debug)]
pub(super) enum Refused {
    /// The budget is too small. The message names the limit.
    TooSmall(Message),
    /// The order's deadline passed while other calls of the order were in flight.
    Deadline,
}

impl OrderBudget {
    /// A budget of which earlier attempts of the order have used `spent`.
    pub fn new(limits: BudgetConfig, spent: Spent) -> Self {
        let state = Mutex::new(State { spent, in_flight: 0 });
        OrderBudget { limits, state, freed: Notify::new() }
    }

    pub fn spent(&self) -> Spent {
        self.lock().spent
    }

    /// The configured limits: name, limit and used amount.
    pub fn measures(&self) -> Vec<(&'static str, u64, u64)> {
        let spent = self.spent();
        let BudgetConfig { calls, tokens, cost_usd, .. } = self.limits;
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Adds what was used without a reservation.
    pub(super) fn add(&self, used: Spent) {
        let mut state = self.lock();
        state.spent = state.spent.and(used);
    }

    /// Reserves what one request may use. Waits while other calls of the order have reserved too
    /// much: most of them use less.
    ///
    /// # Errors
    /// The budget is too small, or the deadline passed.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        estimate: Estimate,
        deadline: Instant,
    ) -> Result<Box<Reserved>, Refused> {
        loop {
            // Registered before the look, so that no notice is missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.try_reserve(estimate) {
                Ok(Some(reserved)) => return Ok(reserved),
                Ok(None) => {}
                Err(message) => return Err(Refused::TooSmall(message)),
            }
            if timeout_at(deadline, freed).await.is_err() {
                return Err(Refused::Deadline);
            }
        }
    }

    /// Reserves what a request may use that was sent before: it is paid for, whatever the budget has
    /// left.
    pub(super) fn reserve_paid(self: &Arc<Self>, estimate: Estimate) -> Box<Reserved> {
        let (prompt, amount) = (estimate.of_prompt(), estimate.expected());
        let mut state = self.lock();
        state.spent = state.spent.and(amount);
        state.in_flight += 1;
        drop(state);
        let budget = self.clone();
        Box::new(Reserved { budget, amount, prompt, max_output: None, done: false })
    }

    /// Reserves what one request may use, if there is room for the whole of it at once.
    pub(super) fn reserve_if_room(self: &Arc<Self>, estimate: Estimate) -> Option<Box<Reserved>> {
        match self.try_reserve(estimate) {
            Ok(Some(reserved)) if reserved.max_output.is_none() => Some(reserved),
            Ok(Some(reserved)) => {
                reserved.release();
                None
            }
            Ok(None) | Err(_) => None,
        }
    }

    /// The reservation; `None` if it must wait for others.
    fn try_reserve(self: &Arc<Self>, estimate: Estimate) -> Result<Option<Box<Reserved>>, Message> {
        let (prompt, whole) = (estimate.of_prompt(), estimate.expected());
        let mut state = self.lock();
        let fits = self.refusal(state.spent, whole).is_none();
        if !fits && let Some(refusal) = self.refusal(state.spent, prompt) {
            // What the others give back may be enough, except for the number of calls.
            let calls = self.limits.calls.is_some_and(|most| state.spent.calls >= most);
            return if state.in_flight > 0 && !calls { Ok(None) } else { Err(refusal) };
        }
        if !fits && state.in_flight > 0 {
            return Ok(None);
        }
        let (amount, max_output) = match fits {
            true => (whole, None),
            // It is the only one, and gets what is left.
            false => {
                let left = self.output_left(state.spent, estimate).max(MIN_OUTPUT);
                (estimate.with_output(u64::from(left)), Some(left))
            }
        };
        state.spent = state.spent.and(amount);
        state.in_flight += 1;
        drop(state);
        let budget = self.clone();
        // Boxed, because it is held while the model answers.
        Ok(Some(Box::new(Reserved { budget, amount, prompt, max_output, done: false })))
    }

    /// Why this amount does not fit.
    fn refusal(&self, spent: Spent, amount: Spent) -> Option<Message> {
        let after = spent.and(amount);
        let BudgetConfig { calls, tokens: most_tokens, cost_usd: most_cost, .. } = self.limits;
        if let Some(most) = calls.filter(|most| after.calls > *most) {
            return Some(message!(
                "the order's budget of {most} requests is used up; raise `calls` in [ai.budget], \
                 or find out why it needs that many"
            ));
        }
        if let Some(most) = most_tokens.filter(|most| after.tokens > *most) {
            let (used, tokens) = (spent.tokens, amount.tokens);
            return Some(message!(
                "the order's budget of {most} tokens does not hold this call: {used} are used and \
                 its prompt has about {tokens}; raise `tokens` in [ai.budget]"
            ));
        }
        // Equal is too much: the reply costs more than its prompt.
        let most_cost = most_cost.map(Usd::from_dollars);
        if let Some(most) = most_cost.filter(|most| after.cost_usd >= *most) {
            let (used, cost) = (spent.cost_usd, amount.cost_usd);
            return Some(message!(
                "the order's budget of {most} does not hold this call: {used} is spent and its \
                 prompt costs about {cost}; raise `cost_usd` in [ai.budget]"
            ));
        }
        None
    }

    /// The number of tokens of a reply that the budget has left after the prompt.
    fn output_left(&self, spent: Spent, estimate: Estimate) -> u32 {
        let after = spent.and(estimate.with_output(0));
        let tokens = self.limits.tokens.map(|most| most.saturating_sub(after.tokens));
        let price = estimate.price.map_or(0.0, |price| price.output_per_million);
        let dollars = self.limits.cost_usd.map(|most| {
            let left = Usd::from_dollars(most).minus(after.cost_usd).dollars();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
            let tokens = (left / price * 1e6) as u64;
            if price > 0.0 { tokens } else { u64::MAX }
        });
        let left = tokens.into_iter().chain(dollars).chain(estimate.max_output.map(u64::from));
        u32::try_from(left.min().unwrap_or(u64::MAX)).unwrap_or(u32::MAX)
    }
}

impl Reserved {
    /// Cancels the reservation, because nothing was sent.
    pub(super) fn release(self) {
        self.settle(Spent::default());
    }

    /// Replaces the reservation by the actual use.
    pub(super) fn commit(self, tokens: u64, cost_usd: Usd) {
        self.settle(Spent { calls: 1, tokens, cost_usd });
    }

    fn settle(mut self, used: Spent) {
        self.replace(used);
    }

    fn replace(&mut self, used: Spent) {
        self.done = true;
        let mut state = self.budget.lock();
        state.spent = state.spent.without(self.amount).and(used);
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.budget.freed.notify_waiters();
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.done {
            self.replace(self.prompt);
        }
    }
}

impl Spent {
    pub(super) fn and(self, other: Spent) -> Spent {
        Spent {
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens.saturating_add(other.tokens),
            cost_usd: self.cost_usd.plus(other.cost_usd),
        }
    }

    pub(super) fn without(self, other: Spent) -> Spent {
        Spent {
            calls: self.calls.saturating_sub(other.calls),
            tokens: self.tokens.saturating_sub(other.tokens),
            cost_usd: self.cost_usd.minus(other.cost_usd),
        }
    }
}
