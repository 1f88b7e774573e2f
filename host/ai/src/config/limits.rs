//! Retries, rate limits, circuit breaker, budget and prices.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{AiConfig, Problems};
use sitewright_model::message;

/// Retries at the same candidate: `[ai.retry]`, and `retry` of a provider or route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct RetryConfig {
    /// Maximum number of attempts, the first one included. Default: 3. At least 1.
    pub attempts: u32,
    /// Upper bound of the random wait before the second attempt, in milliseconds; it doubles with
    /// each further attempt. Default: 500. 0 for no wait.
    pub base_ms: u64,
    /// Maximum of that bound, in milliseconds. A provider that requests a longer wait is waited for
    /// only if the route has no further candidate. Default: 20,000 (20 s).
    pub max_ms: u64,
}

impl RetryConfig {
    /// One attempt, no retries.
    pub const NEVER: RetryConfig = RetryConfig { attempts: 1, base_ms: 0, max_ms: 0 };
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig { attempts: 3, base_ms: 500, max_ms: 20_000 }
    }
}

/// Limits of one endpoint with its key: `limits` of a provider. Providers with the same endpoint
/// and key share them and must have equal values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct LimitsConfig {
    /// Maximum number of requests in flight. Default: no limit. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// Maximum number of requests that begin in a minute, evenly: a burst may use all of them, so
    /// that twice as many begin in a first minute. Set half of what a provider counts strictly.
    /// Default: no limit. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Maximum number of tokens per minute, evenly like the requests, as estimated before each call;
    /// tokens that a call uses beyond its estimate delay later calls. Default: no limit. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// The circuit breaker of one endpoint with its key: `breaker` of a provider. Shared like
/// [`LimitsConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct BreakerConfig {
    /// Number of consecutive failures that opens the breaker; a rejected key opens it at once. 0
    /// disables it. Default: 5; 0 for a scripted provider.
    pub failures: u32,
    /// Time until the open breaker lets one call through as a probe, in milliseconds. Other calls
    /// of the same order wait for its end. Default: 30,000 (30 s).
    pub cool_down_ms: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig { failures: 5, cool_down_ms: 30_000 }
    }
}

/// Limits of all AI calls of one order, retries included, and of a day: `[ai.budget]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct BudgetConfig {
    /// Maximum number of requests. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Maximum number of tokens, input and output together. A call reserves the tokens that it may
    /// use, and waits while others of the order have reserved too many; the last one gets what is
    /// left as its limit. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Maximum cost in US dollars, at least 0. Requires a price of every model in the routes.
    /// Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Maximum number of tokens of all orders of a process in a day, which begins at midnight UTC;
    /// counted from 0 when the process starts. Then calls are not made, and orders wait for the
    /// next day without using an attempt. Exceeded by one call at most, or by the calls of one
    /// batch. Default: no limit. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_tokens: Option<u64>,
    /// The same in US dollars, more than 0. Requires a price of every model in the routes. Default:
    /// no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_usd: Option<f64>,
    /// As `day_tokens`, for the orders of each tenant: those with the same label (`order add
    /// --tenant`). Orders without a label have none. Default: no limit. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_day_tokens: Option<u64>,
    /// The same in US dollars, more than 0. Requires a price of every model in the routes. Default:
    /// no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_day_usd: Option<f64>,
    /// Tenants with a budget of their own, by their label: `[ai.budget.tenants.NAME]`. Default:
    /// none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, TenantBudgetConfig>,
}

/// The budget of a day of one tenant, instead of that of every tenant:
/// `[ai.budget.tenants.NAME]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct TenantBudgetConfig {
    /// Maximum number of tokens of the tenant's orders in a day, instead of `tenant_day_tokens`.
    /// Default: `tenant_day_tokens`. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_tokens: Option<u64>,
    /// The same in US dollars, instead of `tenant_day_usd`, more than 0. Requires a price of every
    /// model in the routes. Default: `tenant_day_usd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_usd: Option<f64>,
}

/// The price of a model's tokens: `[ai.prices."MODEL"]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct PriceConfig {
    /// US dollars per million input tokens, at least 0. Required.
    pub input_per_million: f64,
    /// US dollars per million output tokens, at least 0. Required.
    pub output_per_million: f64,
    /// US dollars per million input tokens that the provider reads from its prompt cache, at least 0.
    /// Default: `input_per_million`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_per_million: Option<f64>,
    /// US dollars per million input tokens that the provider writes to its prompt cache, at least 0.
    /// Default: `input_per_million`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<f64>,
    /// US dollars per million tokens that the model thinks, at least 0. Default:
    /// `output_per_million`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_per_million: Option<f64>,
}

impl PriceConfig {
    /// The prices of a million tokens: key and value, without those that are not set.
    fn all(&self) -> impl Iterator<Item = (&'static str, f64)> {
        [
            ("input_per_million", Some(self.input_per_million)),
            ("output_per_million", Some(self.output_per_million)),
            ("cache_read_per_million", self.cache_read_per_million),
            ("cache_write_per_million", self.cache_write_per_million),
            ("reasoning_per_million", self.reasoning_per_million),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
    }
}

impl AiConfig {
    /// Checks retries, budget and prices.
    pub(super) fn check_amounts(&self, problems: &mut Problems) {
        let providers = self
            .providers
            .iter()
            .map(|(name, config)| (format!("ai.providers.{name}"), config.retry()));
        let routes =
            self.routes.iter().map(|(name, route)| (format!("ai.routes.{name}"), route.retry));
        for (key, retry) in providers.chain(routes).chain([("ai".to_owned(), self.retry)]) {
            if retry.is_some_and(|retry| retry.attempts == 0) {
                let key = format!("{key}.retry.attempts");
                problems
                    .add(key, message!("it is 0, so nothing would ever be sent; give at least 1"));
            }
        }
        let amount = |value: f64| value.is_finite() && value >= 0.0;
        for (model, price) in &self.prices {
            for (field, value) in price.all() {
                if !amount(value) {
                    let key = format!("ai.prices.{model:?}.{field}");
                    problems
                        .add(key, message!("it is {value}; give the dollars for a million tokens"));
                }
            }
        }
        if let Some(value) = self.budget.cost_usd.filter(|value| !amount(*value)) {
            problems.add(
                "ai.budget.cost_usd".to_owned(),
                message!("it is {value}; give the dollars of one order"),
            );
        }
        let BudgetConfig { day_tokens, day_usd, tenant_day_tokens, tenant_day_usd, .. } =
            self.budget;
        let tenants = || self.budget.tenants.iter();
        let general = [("day_tokens", day_tokens), ("tenant_day_tokens", tenant_day_tokens)]
            .map(|(field, tokens)| (field.to_owned(), tokens));
        let named = tenants()
            .map(|(name, tenant)| (format!("tenants.{name:?}.day_tokens"), tenant.day_tokens));
        for (field, tokens) in general.into_iter().chain(named) {
            if tokens == Some(0) {
                problems.add(
                    format!("ai.budget.{field}"),
                    message!("it is 0, so nothing would ever be sent; give at least 1"),
                );
            }
        }
        let general = [("day_usd", day_usd), ("tenant_day_usd", tenant_day_usd)]
            .map(|(field, dollars)| (field.to_owned(), dollars));
        let named =
            tenants().map(|(name, tenant)| (format!("tenants.{name:?}.day_usd"), tenant.day_usd));
        let dollars: Vec<(String, Option<f64>)> = general.into_iter().chain(named).collect();
        for (field, dollars) in &dollars {
            if let Some(value) = dollars.filter(|value| !amount(*value) || *value == 0.0) {
                problems.add(
                    format!("ai.budget.{field}"),
                    message!("it is {value}; give the dollars of one day"),
                );
            }
        }
        let mut limits = std::iter::once(("cost_usd", self.budget.cost_usd))
            .chain(dollars.iter().map(|(field, dollars)| (field.as_str(), *dollars)));
        if let Some((limit, _)) = limits.find(|(_, value)| value.is_some()) {
            let candidates = self.routes.values().flat_map(|route| &route.candidates);
            let models: BTreeSet<&str> =
                candidates.filter_map(|candidate| candidate.model.as_deref()).collect();
            for model in models.into_iter().filter(|model| !self.prices.contains_key(*model)) {
                problems.add(
                    format!("ai.prices.{model:?}"),
                    message!(
                        "there is none, but ai.budget.{limit} cannot be held without it; add \
                         input_per_million and output_per_million"
                    ),
                );
            }
        }
    }
}
