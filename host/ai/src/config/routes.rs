//! The routes: which candidates serve a purpose.

use serde::{Deserialize, Serialize};

use super::{AiConfig, Problems, ProviderConfig, RetryConfig, is_blank};
use sitewright_model::message;

/// One route: `[ai.routes.PURPOSE]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct RouteConfig {
    /// The candidates in the order in which they are tried; the next one is tried if one fails.
    /// Key: `try`. Required, not empty.
    #[serde(rename = "try")]
    pub candidates: Vec<CandidateConfig>,
    /// Retries at each candidate. Default: the provider's `retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
}

/// One provider and model of a route: an entry of `try`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct CandidateConfig {
    /// Name of a provider in `[ai.providers]`. Required.
    pub provider: String,
    /// Name of the model, as the provider calls it. Required, except for a scripted provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Maximum number of tokens of a reply; a request may set a lower one. Default: no limit. At
    /// least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Temperature of requests that do not set one, from 0.0 to 2.0. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Whether a temperature is sent at all. Some reasoning models reject requests that have one.
    /// Default: true.
    #[serde(default = "default_send_temperature", skip_serializing_if = "is_true")]
    pub send_temperature: bool,
}

fn default_send_temperature() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

impl AiConfig {
    pub(super) fn check_route(&self, key: &str, route: &RouteConfig, problems: &mut Problems) {
        if route.candidates.is_empty() {
            problems.add(
                format!("{key}.try"),
                message!("the list is empty; name at least one {{ provider, model }}"),
            );
        }
        for (index, candidate) in route.candidates.iter().enumerate() {
            let key = |field: &str| format!("{key}.try[{index}].{field}");
            let provider = &candidate.provider;
            match self.providers.get(provider) {
                None if self.providers.is_empty() => problems.add(
                    key("provider"),
                    message!(
                        "there is no provider `{provider}`; describe it in \
                         [ai.providers.{provider}]"
                    ),
                ),
                None => {
                    let known =
                        self.providers.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
                    problems.add(
                        key("provider"),
                        message!("there is no provider `{provider}`; there is `{known}`"),
                    );
                }
                Some(config)
                    if !matches!(config, ProviderConfig::Scripted(_))
                        && candidate.model.as_deref().is_none_or(is_blank) =>
                {
                    problems.add(
                        key("model"),
                        message!("the model is missing; name one that `{provider}` offers"),
                    )
                }
                Some(_) => {}
            }
            if candidate.max_output_tokens == Some(0) {
                problems.add(
                    key("max_output_tokens"),
                    message!("it is 0; leave it out or give at least 1"),
                );
            }
            if candidate.temperature.is_some() && !candidate.send_temperature {
                problems.add(
                    key("temperature"),
                    message!(
                        "it is never sent, because send_temperature is false; keep one of the two"
                    ),
                );
            }
            if let Some(value) = candidate.temperature.filter(|value| !(0.0..=2.0).contains(value))
            {
                problems.add(
                    key("temperature"),
                    message!("it is {value}; it must be between 0.0 and 2.0"),
                );
            }
        }
    }
}
