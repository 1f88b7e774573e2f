//! How often, how much, how many at once, at what price.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{AiConfig, Problems};
use sitewright_model::message;

/// When a failed attempt is made again at the same candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct RetryConfig {
    /// Most attempts, the first one included.
    pub attempts: u32,
    /// Milliseconds that the first wait is drawn below; doubles with each attempt.
    pub base_ms: u64,
    /// Milliseconds that no wait is drawn above. A provider that asks for more is waited for only
    /// when the route has nobody else.
    pub max_ms: u64,
}

impl RetryConfig {
    /// One attempt, no other.
    pub const NEVER: RetryConfig = RetryConfig { attempts: 1, base_ms: 0, max_ms: 0 };
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig { attempts: 3, base_ms: 500, max_ms: 20_000 }
    }
}

/// What one address with its key can bear: providers with the same address and key share it, and
/// must say the same. What is missing has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct LimitsConfig {
    /// Requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// Requests begun in any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens in any minute, as far as they can be foreseen; what a call used beyond is waited for
    /// by later ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// When an address with its key is left alone; shared like [`LimitsConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct BreakerConfig {
    /// Failures in a row after which nothing is sent for a while; a refused key is enough at once.
    /// 0 for never.
    pub failures: u32,
    /// How long, in milliseconds. Then one call finds out how things are.
    pub cool_down_ms: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig { failures: 5, cool_down_ms: 30_000 }
    }
}

/// What one order may use in all its AI calls, retries included. What is missing has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct BudgetConfig {
    /// Requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Tokens in and out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// US dollars. Every model of the routes needs a price then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// What a model's tokens cost, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct PriceConfig {
    /// A million tokens of prompts.
    pub input_per_million: f64,
    /// A million tokens of replies.
    pub output_per_million: f64,
}

impl AiConfig {
    /// Retries, budget and prices.
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
            for (field, value) in [
                ("input_per_million", price.input_per_million),
                ("output_per_million", price.output_per_million),
            ] {
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
        if self.budget.cost_usd.is_some() {
            let candidates = self.routes.values().flat_map(|route| &route.candidates);
            let models: BTreeSet<&str> =
                candidates.filter_map(|candidate| candidate.model.as_deref()).collect();
            for model in models.into_iter().filter(|model| !self.prices.contains_key(*model)) {
                problems.add(
                    format!("ai.prices.{model:?}"),
                    message!(
                        "there is none, but ai.budget.cost_usd cannot be held without it; add \
                         input_per_million and output_per_million"
                    ),
                );
            }
        }
    }
}
