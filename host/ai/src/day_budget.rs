//! The AI budgets of a day, shared by all orders of the process, or by those of a tenant. Days begin
//! at midnight UTC.
//!
//! A budget that is reached is nobody's fault: calls are put off like those that a provider's rate
//! limit refuses, so that their orders wait and use no attempt.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::budget::{Estimate, Spent};
use super::config::BudgetConfig;
use super::failure::{AttemptFailure, Unsent};
use sitewright_model::ai::{AiErrorKind, Usd};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of tenants whose use is counted. With one more, those without a call today are
/// forgotten.
const MAX_TENANTS: usize = 10_000;

/// The budgets of the current day.
#[derive(Debug)]
pub(super) struct DayBudgets {
    /// Of all orders.
    all: Option<Arc<DayBudget>>,
    limits: BudgetConfig,
    /// Of each tenant, by its label.
    tenants: Mutex<BTreeMap<String, Arc<DayBudget>>>,
}

impl DayBudgets {
    pub(super) fn new(limits: BudgetConfig) -> Self {
        let of_day = |key: &str| format!("{key} in [ai.budget]");
        let all = DayBudget::new(
            Limited::new(limits.day_tokens, of_day("day_tokens")),
            Limited::new(limits.day_usd, of_day("day_usd")),
            "the day's budget",
        );
        DayBudgets { all, limits, tenants: Mutex::default() }
    }

    /// The budgets of a call for this tenant.
    pub(super) fn of(&self, tenant: Option<&str>) -> Vec<Arc<DayBudget>> {
        let of_tenant = tenant.and_then(|tenant| self.of_tenant(tenant));
        self.all.iter().cloned().chain(of_tenant).collect()
    }

    /// Those that are used up today: that of all orders first, then those of tenants by label.
    pub(super) fn used_up(&self) -> Vec<UsedBudget> {
        let (day, _) = day_of(SystemTime::now());
        let used = |tenant: Option<&String>, budget: &DayBudget| {
            let unit = budget.used_up(day)?;
            Some(UsedBudget { tenant: tenant.cloned(), day, unit })
        };
        let mut found: Vec<UsedBudget> =
            self.all.iter().filter_map(|budget| used(None, budget)).collect();
        let tenants = self.tenants.lock();
        found.extend(tenants.iter().filter_map(|(tenant, budget)| used(Some(tenant), budget)));
        found
    }

    fn of_tenant(&self, tenant: &str) -> Option<Arc<DayBudget>> {
        let named = self.limits.tenants.get(tenant).copied().unwrap_or_default();
        let BudgetConfig { tenant_day_tokens, tenant_day_usd, .. } = self.limits;
        let has_tokens = named.day_tokens.or(tenant_day_tokens).is_some();
        if !has_tokens && named.day_usd.or(tenant_day_usd).is_none() {
            return None;
        }
        let mut tenants = self.tenants.lock();
        if let Some(known) = tenants.get(tenant) {
            return Some(known.clone());
        }
        if tenants.len() >= MAX_TENANTS {
            let (today, _) = day_of(SystemTime::now());
            tenants.retain(|_, budget| budget.is_in_use(today));
        }
        let whose = format!("the budget of the tenant `{tenant}` for a day");
        let of_tenant = |key: &str| format!("{key} in [ai.budget.tenants.{tenant:?}]");
        let of_all = |key: &str| format!("{key} in [ai.budget]");
        let tokens = Limited::new(named.day_tokens, of_tenant("day_tokens"))
            .or_else(|| Limited::new(tenant_day_tokens, of_all("tenant_day_tokens")));
        let dollars = Limited::new(named.day_usd, of_tenant("day_usd"))
            .or_else(|| Limited::new(tenant_day_usd, of_all("tenant_day_usd")));
        let budget = DayBudget::new(tokens, dollars, whose)?;
        tenants.insert(tenant.to_owned(), budget.clone());
        Some(budget)
    }
}

/// What a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetUnit {
    /// Input and output tokens together.
    Tokens,
    /// US dollars.
    Usd,
}

/// A budget of the day that is used up: calls are put off until the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedBudget {
    /// The label of the orders that it is for; `None` if it is for all orders of the process.
    pub tenant: Option<String>,
    /// Days since the Unix epoch; they begin at midnight UTC.
    pub day: u64,
    /// What of it is used up; tokens if both are.
    pub unit: BudgetUnit,
}

/// A limit, with its key in the configuration.
#[derive(Debug, Clone)]
struct Limited<T> {
    most: T,
    /// As in a message.
    key: String,
}

impl<T> Limited<T> {
    fn new(most: Option<T>, key: String) -> Option<Self> {
        most.map(|most| Limited { most, key })
    }
}

/// The budget of the current day. Its lock is never held across an await.
#[derive(Debug)]
pub(super) struct DayBudget {
    /// As in a message.
    whose: String,
    tokens: Option<Limited<u64>>,
    cost: Option<Limited<Usd>>,
    state: Mutex<State>,
    /// Notified when a call gives back what it has reserved.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Days since the Unix epoch.
    day: u64,
    /// Used since that day began.
    spent: Spent,
    /// What calls in flight may use.
    reserved: Spent,
    /// Number of calls with a reservation.
    in_flight: u64,
}

/// The reservation of one call. A call that is dropped in flight has used its prompt, because the
/// provider may charge for it.
#[derive(Debug)]
pub(super) struct DayReserved {
    budget: Arc<DayBudget>,
    amount: Spent,
    prompt: Spent,
    done: bool,
}

/// Why a call is not made today.
#[derive(Debug)]
pub(super) enum PutOff {
    /// The budget is used up.
    Reached(Box<AttemptFailure>),
    /// The order's deadline passed while other calls had reserved what is left.
    Deadline,
}

impl DayBudget {
    /// `None` if a day has no budget.
    fn new(
        tokens: Option<Limited<u64>>,
        dollars: Option<Limited<f64>>,
        whose: impl Into<String>,
    ) -> Option<Arc<Self>> {
        let whose = whose.into();
        let cost =
            dollars.map(|Limited { most, key }| Limited { most: Usd::from_dollars(most), key });
        (tokens.is_some() || cost.is_some()).then(|| {
            let (state, freed) = (Mutex::default(), Notify::new());
            Arc::new(DayBudget { whose, tokens, cost, state, freed })
        })
    }

    /// Whether it has to be remembered: something was used on this day, or is in flight.
    fn is_in_use(&self, today: u64) -> bool {
        let state = self.state.lock();
        state.in_flight > 0 || (state.day == today && state.spent != Spent::default())
    }

    /// Reserves what one request may use. Waits while other calls have reserved what is left: most
    /// of them use less. A call without others in flight is made as long as anything is left, so a
    /// day's use exceeds its budget by one call at most.
    ///
    /// # Errors
    /// The budget is used up, or the deadline passed.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        estimate: Estimate,
        deadline: Instant,
    ) -> Result<Box<DayReserved>, PutOff> {
        loop {
            // Registered before the look, so that no notice is missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.try_reserve(estimate, SystemTime::now()) {
                Ok(Some(reserved)) => return Ok(reserved),
                Ok(None) => {}
                Err(reached) => return Err(PutOff::Reached(reached)),
            }
            if timeout_at(deadline, freed).await.is_err() {
                return Err(PutOff::Deadline);
            }
        }
    }

    /// Reserves what one request may use, if there is room for it at once.
    pub(super) fn reserve_if_room(
        self: &Arc<Self>,
        estimate: Estimate,
    ) -> Option<Box<DayReserved>> {
        self.try_reserve(estimate, SystemTime::now()).ok().flatten()
    }

    /// Adds what was used without a reservation.
    pub(super) fn add(&self, used: Spent) {
        let (day, _) = day_of(SystemTime::now());
        let mut state = self.state.lock();
        state.begin(day);
        state.spent = state.spent.and(used);
    }

    /// The reservation; `None` if it must wait for others.
    fn try_reserve(
        self: &Arc<Self>,
        estimate: Estimate,
        now: SystemTime,
    ) -> Result<Option<Box<DayReserved>>, Box<AttemptFailure>> {
        let (day, left) = day_of(now);
        let amount = estimate.expected();
        let mut state = self.state.lock();
        state.begin(day);
        if let Some(why) = self.reached(state.spent) {
            return Err(Box::new(put_off(&self.whose, &why, left)));
        }
        if state.in_flight > 0 && self.is_exceeded(state.spent.and(state.reserved).and(amount)) {
            return Ok(None);
        }
        state.reserved = state.reserved.and(amount);
        state.in_flight += 1;
        drop(state);
        let (budget, prompt) = (self.clone(), estimate.of_prompt());
        Ok(Some(Box::new(DayReserved { budget, amount, prompt, done: false })))
    }

    /// What of it is used up on this day.
    fn used_up(&self, day: u64) -> Option<BudgetUnit> {
        let spent = {
            let state = self.state.lock();
            (state.day == day).then_some(state.spent)?
        };
        if self.tokens.as_ref().is_some_and(|limit| spent.tokens >= limit.most) {
            return Some(BudgetUnit::Tokens);
        }
        let usd = self.cost.as_ref().is_some_and(|limit| spent.cost_usd >= limit.most);
        usd.then_some(BudgetUnit::Usd)
    }

    /// Which limit is used up, as a message says it.
    fn reached(&self, spent: Spent) -> Option<String> {
        let tokens = self.tokens.as_ref().filter(|limit| spent.tokens >= limit.most);
        if let Some(Limited { most, key }) = tokens {
            return Some(format!("of {most} tokens is used up ({}; {key})", spent.tokens));
        }
        let cost = self.cost.as_ref().filter(|limit| spent.cost_usd >= limit.most);
        let Limited { most, key } = cost?;
        Some(format!("of {most} is used up ({}; {key})", spent.cost_usd))
    }

    fn is_exceeded(&self, spent: Spent) -> bool {
        self.tokens.as_ref().is_some_and(|limit| spent.tokens > limit.most)
            || self.cost.as_ref().is_some_and(|limit| spent.cost_usd > limit.most)
    }
}

impl State {
    fn begin(&mut self, day: u64) {
        if self.day != day {
            (self.day, self.spent) = (day, Spent::default());
        }
    }
}

impl DayReserved {
    /// Cancels the reservation, because nothing was sent.
    pub(super) fn release(mut self) {
        self.settle(Spent::default());
    }

    /// Replaces the reservation by the actual use.
    pub(super) fn commit(mut self, tokens: u64, cost_usd: Usd) {
        self.settle(Spent { calls: 1, tokens, cost_usd });
    }

    fn settle(&mut self, used: Spent) {
        self.done = true;
        let (day, _) = day_of(SystemTime::now());
        let mut state = self.budget.state.lock();
        state.begin(day);
        state.spent = state.spent.and(used);
        state.reserved = state.reserved.without(self.amount);
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.budget.freed.notify_waiters();
    }
}

impl Drop for DayReserved {
    fn drop(&mut self) {
        if !self.done {
            self.settle(self.prompt);
        }
    }
}

/// The day of this time, and how much of it is left.
fn day_of(now: SystemTime) -> (u64, Duration) {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let day = since_epoch.as_secs() / DAY.as_secs();
    let of_day = Duration::from_secs(since_epoch.as_secs() % DAY.as_secs());
    (day, DAY.saturating_sub(of_day))
}

fn put_off(whose: &str, why: &str, left: Duration) -> AttemptFailure {
    let detail = format!("{whose} {why}");
    AttemptFailure {
        asked: false,
        unsent: Some(Unsent::DayBudget),
        closed_for_ms: NonZeroU32::new(u32::try_from(left.as_millis()).unwrap_or(u32::MAX)),
        ..AttemptFailure::new(AiErrorKind::RateLimited, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::TenantBudgetConfig;
    use super::*;

    fn budget(tokens: u64) -> Arc<DayBudget> {
        let tokens = Limited::new(Some(tokens), "day_tokens in [ai.budget]".to_owned());
        DayBudget::new(tokens, None, "the day's budget").unwrap()
    }

    fn estimate(prompt: u64, output: u32) -> Estimate {
        Estimate { prompt, max_output: Some(output), price: None }
    }

    /// A time of today, so that what is committed counts for the same day.
    fn at(seconds_before_midnight: u64) -> SystemTime {
        let (day, _) = day_of(SystemTime::now());
        let midnight = DAY * u32::try_from(day + 1).unwrap();
        SystemTime::UNIX_EPOCH + midnight - Duration::from_secs(seconds_before_midnight)
    }

    #[test]
    fn a_day_that_is_used_up_ends_at_midnight() {
        let budget = budget(1000);
        let first = budget.try_reserve(estimate(100, 200), at(60)).unwrap().unwrap();
        first.commit(999, Usd::default());
        let last = budget.try_reserve(estimate(100, 200), at(60)).unwrap().unwrap();
        assert!(matches!(budget.try_reserve(estimate(1, 1), at(60)), Ok(None)), "it waits");
        last.commit(300, Usd::default());
        let refused = budget.try_reserve(estimate(1, 1), at(60)).unwrap_err();
        assert_eq!((refused.kind, refused.retryable), (AiErrorKind::RateLimited, true));
        assert_eq!(refused.closed_for_ms.map(NonZeroU32::get), Some(60_000));
        assert!(refused.detail.contains("1000 tokens is used up (1299; day_tokens"), "{refused:?}");
        assert!(budget.try_reserve(estimate(1, 1), at(1)).is_err());
        let tomorrow = at(0);
        assert!(budget.try_reserve(estimate(1, 1), tomorrow).unwrap().is_some(), "the next day");
    }

    #[test]
    fn calls_in_flight_reserve_what_they_may_use() {
        let budget = budget(1000);
        let one = budget.try_reserve(estimate(100, 400), at(60)).unwrap().unwrap();
        let two = budget.try_reserve(estimate(100, 400), at(60)).unwrap().unwrap();
        assert!(budget.try_reserve(estimate(1, 0), at(60)).unwrap().is_none());
        one.release();
        let three = budget.try_reserve(estimate(100, 400), at(60)).unwrap().unwrap();
        drop(two);
        three.commit(500, Usd::default());
        // 100 of the prompt of the call that was dropped, and 500.
        assert_eq!(budget.state.lock().spent.tokens, 600);
        assert_eq!(budget.state.lock().reserved, Spent::default());
    }

    #[test]
    fn a_limit_of_dollars_counts_models_with_a_price() {
        let budget = DayBudget::new(
            None,
            Limited::new(Some(0.5), "day_usd in [ai.budget]".to_owned()),
            "the day's budget",
        )
        .unwrap();
        for dollars in [0.3, 0.3] {
            let call = budget.try_reserve(estimate(1, 1), at(60)).unwrap().unwrap();
            call.commit(1_000_000, Usd::from_dollars(dollars));
        }
        let refused = budget.try_reserve(estimate(1, 1), at(60)).unwrap_err();
        assert!(refused.detail.contains("day_usd"), "{refused:?}");
        let (today, _) = day_of(SystemTime::now());
        assert_eq!(budget.used_up(today), Some(BudgetUnit::Usd));
        assert_eq!(budget.used_up(today + 1), None, "the next day");
        assert!(DayBudget::new(None, None, "").is_none());
    }

    #[test]
    fn each_tenant_has_a_budget_of_its_own() {
        let limits = BudgetConfig {
            day_tokens: Some(5_000),
            tenant_day_tokens: Some(1_000),
            ..BudgetConfig::default()
        };
        let budgets = DayBudgets::new(limits);
        assert_eq!(budgets.of(None).len(), 1, "an order without a tenant has the day's only");
        let of = |tenant: &str| budgets.of(Some(tenant)).pop().unwrap();
        let call = of("acme").try_reserve(estimate(1, 1), at(60)).unwrap().unwrap();
        call.commit(1_000, Usd::default());
        let refused = of("acme").try_reserve(estimate(1, 1), at(60)).unwrap_err();
        let says = "the budget of the tenant `acme` for a day of 1000 tokens is used up (1000; \
                    tenant_day_tokens in [ai.budget])";
        assert!(refused.detail.contains(says), "{refused:?}");
        assert!(of("other").try_reserve(estimate(1, 1), at(60)).unwrap().is_some());
        let used = budgets.used_up();
        let (today, _) = day_of(SystemTime::now());
        let (tenant, unit) = (Some("acme".to_owned()), BudgetUnit::Tokens);
        assert_eq!(used, [UsedBudget { tenant, day: today, unit }]);
        // Tenants without a call are forgotten before one too many is known.
        for number in 0..2 * MAX_TENANTS {
            let _budgets = budgets.of(Some(&format!("t{number}")));
        }
        assert!(budgets.tenants.lock().len() <= MAX_TENANTS);
        assert!(of("acme").try_reserve(estimate(1, 1), at(60)).is_err(), "its use is remembered");
        let none = DayBudgets::new(BudgetConfig::default());
        assert!(none.of(Some("acme")).is_empty());
    }

    #[test]
    fn a_named_tenant_has_limits_of_its_own_and_the_general_ones_where_it_has_none() {
        let config = |general: (Option<u64>, Option<f64>), named: TenantBudgetConfig| {
            DayBudgets::new(BudgetConfig {
                tenant_day_tokens: general.0,
                tenant_day_usd: general.1,
                tenants: BTreeMap::from([("big".to_owned(), named)]),
                ..BudgetConfig::default()
            })
        };
        let named = |day_tokens, day_usd| TenantBudgetConfig { day_tokens, day_usd };
        let all = (Some(1_000), Some(1.0));
        for (general, of, tenant, tokens, dollars, says) in [
            (
                all,
                named(Some(9_000), None),
                "small",
                1_000,
                0.0,
                Some("tenant_day_tokens in [ai.b"),
            ),
            (all, named(Some(9_000), None), "big", 1_000, 0.0, None),
            (
                all,
                named(Some(9_000), None),
                "big",
                9_000,
                0.0,
                Some("9000 tokens is used up (9000; day_tokens in [ai.budget.tenants.\"big\"])"),
            ),
            (all, named(Some(9_000), None), "big", 1, 1.0, Some("tenant_day_usd in [ai.budget]")),
            (all, named(None, Some(5.0)), "big", 1, 4.9, None),
            (all, named(None, Some(5.0)), "big", 1, 5.0, Some("day_usd in [ai.budget.tenants.")),
            (all, named(None, None), "big", 1_000, 0.0, Some("tenant_day_tokens in [ai.budget]")),
            ((None, None), named(Some(10), None), "big", 10, 0.0, Some("[ai.budget.tenants.")),
            ((None, None), named(Some(10), None), "small", 10, 0.0, None),
        ] {
            let budgets = config(general, of);
            let budget = || budgets.of(Some(tenant)).pop();
            if let Some(budget) = budget() {
                let call = budget.try_reserve(estimate(1, 1), at(60)).unwrap().unwrap();
                call.commit(tokens, Usd::from_dollars(dollars));
            }
            let refused = budget().and_then(|one| one.try_reserve(estimate(1, 1), at(60)).err());
            let detail = refused.map(|refused| refused.detail);
            match says {
                None => assert_eq!(detail, None, "{general:?} {of:?} {tenant}"),
                Some(says) => {
                    let detail = detail.unwrap_or_default();
                    assert!(detail.contains(says), "{general:?} {of:?} {tenant}: {detail}");
                }
            }
        }
    }
}
