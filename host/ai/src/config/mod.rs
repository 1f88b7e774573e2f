//! The section `[ai]` of the configuration, as the operator writes it.
//!
//! | file | question |
//! |---|---|
//! | `providers` | which keys does each kind of provider have? |
//! | `endpoint` | which keys do all providers behind HTTP have? |
//! | `keys` | how is the table of a provider read? |
//! | `routes` | which candidates serve a purpose? |
//! | `cache_time` | how long is a reply used again? |
//! | `batch` | which batch API has a provider, and how large are batches? |
//! | `limits` | retries, rates, circuit breaker, budget and prices |
//! | `address` | how is a base URL completed? |
//!
//! ```toml
//! [ai.providers.local]
//! kind = "openai"
//! base_url = "http://127.0.0.1:18080/v1"
//! api_key_env = "LOCAL_AI_KEY"
//!
//! [ai.providers.claude]
//! kind = "anthropic"                # the other keys have defaults
//! api_key_env = "ANTHROPIC_API_KEY"
//!
//! [ai.providers.google]
//! kind = "gemini"                   # base_url includes the version of the API
//! api_key_env = "GEMINI_API_KEY"
//!
//! [ai.providers.own]
//! kind = "ollama"
//! context_tokens = 16384
//!
//! [ai.providers.edge]
//! kind = "cloudflare"
//! account_id = "0123456789abcdef"
//! api_key_env = "CLOUDFLARE_API_TOKEN"
//!
//! [ai.providers.company]
//! kind = "openai"                   # the dialect is guessed from the host name
//! base_url = "https://company.openai.azure.com"
//! api_version = "2024-10-21"
//! api_key_env = "AZURE_KEY"
//!
//! [ai.routes.default]
//! try = [{ provider = "local", model = "some-model" }]
//! ```

mod address;
mod batch;
mod cache_time;
mod endpoint;
mod keys;
mod limits;
mod providers;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub(super) use address::{base, endpoint};
pub use batch::{BatchApi, BatchConfig};
pub use cache_time::CacheTime;
pub(super) use endpoint::CALL_MS;
pub use endpoint::EndpointConfig;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use keys::{Kind, ProviderKeys};
pub use limits::{
    BreakerConfig, BudgetConfig, LimitsConfig, PriceConfig, RetryConfig, TenantBudgetConfig,
};
pub use providers::{
    AnthropicConfig, AnthropicJson, CloudflareConfig, GeminiConfig, GeminiJson, OllamaConfig,
    OpenAiApi, OpenAiConfig, ProviderConfig, ScriptedConfig,
};
pub use routes::{CandidateConfig, EnvSource, FileSource, Reasoning, RouteConfig, TextSource};

use sitewright_model::message::Message;

/// The section `[ai]`: providers and routes. Contains no secrets, only where they are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct AiConfig {
    /// The providers, by a name of the operator's choice. Default: none.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// The routes, by purpose. `default` serves every purpose without a route of its own. Default:
    /// none.
    pub routes: BTreeMap<String, RouteConfig>,
    /// Retries of providers and routes without a `retry` of their own. Default: 3 attempts; a
    /// scripted provider makes one attempt unless this or its own `retry` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// Limits of one order, and of all orders of a day. Default: no limits.
    pub budget: BudgetConfig,
    /// How the calls of orders nobody waits for are collected into batches.
    pub batch: BatchConfig,
    /// Prices of tokens, by the name of the model in routes. Default: none.
    pub prices: BTreeMap<String, PriceConfig>,
}

/// One problem of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigProblem {
    /// The full key: `ai.routes.copywriting.try[0].provider`.
    pub key: String,
    /// What is wrong, and how to fix it.
    pub message: Message,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// All problems of the configuration. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AI configuration cannot be used: {}", joined(.problems))]
pub struct ConfigError {
    pub problems: Vec<ConfigProblem>,
}

fn joined(problems: &[ConfigProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl AiConfig {
    /// The name of the route that serves every purpose without a route of its own.
    pub const DEFAULT_ROUTE: &'static str = "default";

    /// All problems that can be found without reading files or the environment. Empty if there are
    /// none.
    pub fn check(&self) -> Vec<ConfigProblem> {
        let mut problems = Problems::default();
        for (name, provider) in &self.providers {
            let key = |field: &str| format!("ai.providers.{name}.{field}");
            provider.check(&key, &mut problems);
        }
        self.check_amounts(&mut problems);
        self.check_batch(&mut problems);
        for (name, route) in &self.routes {
            self.check_route(&format!("ai.routes.{name}"), route, &mut problems);
        }
        problems.0
    }
}

#[derive(Default)]
struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, key: String, message: Message) {
        self.0.push(ConfigProblem { key, message });
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
