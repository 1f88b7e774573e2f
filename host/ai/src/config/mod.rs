//! The AI part of the configuration, as the operator writes it.
//!
//! | file | what it answers |
//! |---|---|
//! | `providers`, `endpoint`, `keys` | who can answer: what each kind has, what all have, how their tables are read |
//! | `routes` | who answers for a purpose |
//! | `limits` | how often, how much, how many at once, at what price |
//! | `address` | addresses as people write them |
//!
//! ```toml
//! [ai.providers.local]
//! kind = "openai"
//! base_url = "http://127.0.0.1:18080/v1"
//! api_key_env = "LOCAL_AI_KEY"
//!
//! [ai.providers.claude]
//! kind = "anthropic"                # base_url, version, max_output_tokens and structured_output have defaults
//! api_key_env = "ANTHROPIC_API_KEY"
//!
//! [ai.providers.google]
//! kind = "gemini"                   # the API's version is a part of base_url
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
//! kind = "openai"                   # the dialect is seen from the host's name, or named
//! base_url = "https://company.openai.azure.com"
//! api_version = "2024-10-21"
//! api_key_env = "AZURE_KEY"
//!
//! [ai.routes.default]
//! try = [{ provider = "local", model = "some-model" }]
//! ```

mod address;
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
pub use endpoint::EndpointConfig;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use keys::{Kind, ProviderKeys};
pub use limits::{BreakerConfig, BudgetConfig, LimitsConfig, PriceConfig, RetryConfig};
pub use providers::{
    AnthropicConfig, AnthropicJson, CloudflareConfig, GeminiConfig, GeminiJson, OllamaConfig,
    OpenAiConfig, ProviderConfig, ScriptedConfig,
};
pub use routes::{CandidateConfig, RouteConfig};

use sitewright_model::message::Message;

/// Providers and routes. Holds no secret: only where to find them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct AiConfig {
    /// Who can answer, by a name of the operator's choice.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Who answers for a purpose. The route `default` serves purposes without one of their own.
    pub routes: BTreeMap<String, RouteConfig>,
    /// When attempts are made again, for providers and routes that do not say. Scripted providers
    /// fail once unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// What one order may use.
    pub budget: BudgetConfig,
    /// What tokens cost, by the model's name in routes.
    pub prices: BTreeMap<String, PriceConfig>,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigProblem {
    /// The key, from `ai` on: `ai.routes.copywriting.try[0].provider`.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub message: Message,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Everything that is wrong with the configuration, at once. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AI configuration cannot be used: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError {
    /// The problems, by key.
    pub problems: Vec<ConfigProblem>,
}

impl AiConfig {
    /// The route for purposes that have none of their own.
    pub const DEFAULT_ROUTE: &'static str = "default";

    /// Everything that is wrong without looking at files or the environment. Empty when all is
    /// well.
    pub fn check(&self) -> Vec<ConfigProblem> {
        let mut problems = Problems::default();
        for (name, provider) in &self.providers {
            let key = |field: &str| format!("ai.providers.{name}.{field}");
            provider.check(&key, &mut problems);
        }
        self.check_amounts(&mut problems);
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
