//! The AI part of the configuration, as the operator writes it.
//!
//! ```toml
//! [ai.providers.local]
//! kind = "openai"
//! base_url = "http://127.0.0.1:18080/v1"
//! api_key_env = "LOCAL_AI_KEY"
//!
//! [ai.routes.default]
//! try = [{ provider = "local", model = "some-model" }]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::openai::Dialect;
use crate::message;
use crate::message::Message;

/// Providers and routes. Holds no secret: only where to find them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AiConfig {
    /// Who can answer, by a name of the operator's choice.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Who answers for a purpose. The route `default` serves purposes without one of their own.
    pub routes: BTreeMap<String, RouteConfig>,
    /// When attempts are made again, for providers and routes that do not say. Scripted providers fail once unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// What one order may use.
    pub budget: BudgetConfig,
    /// What tokens cost, by the model's name in routes.
    pub prices: BTreeMap<String, PriceConfig>,
}

/// When a failed attempt is made again at the same candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Most attempts, the first one included.
    pub attempts: u32,
    /// Milliseconds that the first wait is drawn below; doubles with each attempt.
    pub base_ms: u64,
    /// Milliseconds that no wait is drawn above. A provider that asks for more is waited for only when the route has nobody else.
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

/// What one provider with its key can bear. What is missing has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// Requests begun in any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens in any minute, as far as they can be foreseen; what a call used beyond is waited for by later ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// When a provider is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures in a row after which nothing is sent for a while; a refused key is enough at once. 0 for never.
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
pub struct PriceConfig {
    /// A million tokens of prompts.
    pub input_per_million: f64,
    /// A million tokens of replies.
    pub output_per_million: f64,
}

/// One provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", try_from = "ProviderKeys")]
pub enum ProviderConfig {
    /// OpenAI's chat completions, and whoever speaks the same.
    Openai(EndpointConfig),
    /// Rules in a file instead of a model: for demos, tests and conformance.
    Scripted(ScriptedConfig),
}

/// The keys of all kinds. A tagged enum would lose the name of a key whose value is wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderKeys {
    kind: ProviderKind,
    base_url: Option<String>,
    api_key_env: Option<String>,
    api_key_file: Option<PathBuf>,
    dialect: Option<Dialect>,
    connect_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    idle_ms: Option<u64>,
    call_ms: Option<u64>,
    limits: Option<LimitsConfig>,
    breaker: Option<BreakerConfig>,
    retry: Option<RetryConfig>,
    rules: Option<PathBuf>,
    rules_inline: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProviderKind {
    Openai,
    Scripted,
}

impl TryFrom<ProviderKeys> for ProviderConfig {
    type Error = String;

    fn try_from(keys: ProviderKeys) -> Result<Self, String> {
        let refuse = |kind: &str, foreign: &[(&str, bool)]| match foreign.iter().find(|(_, set)| *set) {
            Some((key, _)) => Err(format!("a provider of the kind `{kind}` has no key `{key}`")),
            None => Ok(()),
        };
        let limits = keys.limits.unwrap_or_default();
        let call_ms = keys.call_ms.unwrap_or_else(default_call_ms);
        match keys.kind {
            ProviderKind::Openai => {
                refuse(
                    "openai",
                    &[("rules", keys.rules.is_some()), ("rules_inline", keys.rules_inline.is_some())],
                )?;
                Ok(ProviderConfig::Openai(EndpointConfig {
                    base_url: keys.base_url.ok_or(
                        "`base_url` is missing: what stands before `/chat/completions`, like https://api.openai.com/v1",
                    )?,
                    api_key_env: keys.api_key_env,
                    api_key_file: keys.api_key_file,
                    dialect: keys.dialect,
                    connect_ms: keys.connect_ms.unwrap_or_else(default_connect_ms),
                    first_byte_ms: keys.first_byte_ms.unwrap_or_else(default_first_byte_ms),
                    idle_ms: keys.idle_ms.unwrap_or_else(default_idle_ms),
                    call_ms,
                    limits,
                    breaker: keys.breaker.unwrap_or_default(),
                    retry: keys.retry,
                }))
            }
            ProviderKind::Scripted => {
                refuse(
                    "scripted",
                    &[
                        ("base_url", keys.base_url.is_some()),
                        ("api_key_env", keys.api_key_env.is_some()),
                        ("api_key_file", keys.api_key_file.is_some()),
                        ("dialect", keys.dialect.is_some()),
                        ("connect_ms", keys.connect_ms.is_some()),
                        ("first_byte_ms", keys.first_byte_ms.is_some()),
                        ("idle_ms", keys.idle_ms.is_some()),
                    ],
                )?;
                let (rules, rules_inline) = (keys.rules, keys.rules_inline);
                let breaker = keys.breaker.unwrap_or_else(no_breaker);
                let retry = keys.retry;
                Ok(ProviderConfig::Scripted(ScriptedConfig {
                    rules,
                    rules_inline,
                    call_ms,
                    limits,
                    breaker,
                    retry,
                }))
            }
        }
    }
}

/// An endpoint that is called over HTTP, whatever its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// What stands before the API's own path, with or without a slash at the end: `https://api.openai.com/v1`.
    pub base_url: String,
    /// For `openai` only: whose chat completions these are. Guessed from the address when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// The environment variable that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds the key, seen from the configuration file's folder. Blanks and line ends around it do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Milliseconds for name look-up, TCP and TLS together.
    #[serde(default = "default_connect_ms")]
    pub connect_ms: u64,
    /// Milliseconds from the connection to the first byte of the answer.
    #[serde(default = "default_first_byte_ms")]
    pub first_byte_ms: u64,
    /// Milliseconds from one piece of the answer to the next.
    #[serde(default = "default_idle_ms")]
    pub idle_ms: u64,
    /// Milliseconds for one whole attempt, connecting included.
    #[serde(default = "default_call_ms")]
    pub call_ms: u64,
    /// What it can bear.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// When it is left alone.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// When attempts are made again; the value of `[ai.retry]` when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
}

impl ProviderConfig {
    /// Its own rule for retries.
    pub(super) fn retry(&self) -> Option<RetryConfig> {
        match self {
            ProviderConfig::Scripted(config) => config.retry,
            ProviderConfig::Openai(config) => config.retry,
        }
    }

    /// What it can bear, and when it is left alone.
    pub(super) fn gate(&self) -> (LimitsConfig, BreakerConfig) {
        match self {
            ProviderConfig::Scripted(config) => (config.limits, config.breaker),
            ProviderConfig::Openai(config) => (config.limits, config.breaker),
        }
    }
}

/// A script in place of a model: exactly one of the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedConfig {
    /// The script's file, seen from the configuration file's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<PathBuf>,
    /// The script itself, as TOML text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_inline: Option<String>,
    /// Milliseconds for one whole attempt; ends a rule that hangs.
    #[serde(default = "default_call_ms")]
    pub call_ms: u64,
    /// What it can bear.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// When it is left alone.
    #[serde(default = "no_breaker")]
    pub breaker: BreakerConfig,
    /// When attempts are made again; the value of `[ai.retry]` when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
}

/// Who answers for a purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// The candidates, best first. The next one is asked when one fails.
    #[serde(rename = "try")]
    pub candidates: Vec<CandidateConfig>,
    /// When attempts are made again; the provider's value when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
}

/// One provider and model of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateConfig {
    /// Name of the provider.
    pub provider: String,
    /// Name of the model, as the provider knows it. A scripted provider needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Most tokens of a reply; a request may ask for fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// 0.0 to 2.0, for requests that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

fn default_connect_ms() -> u64 {
    10_000
}

fn no_breaker() -> BreakerConfig {
    BreakerConfig { failures: 0, ..BreakerConfig::default() }
}

fn default_first_byte_ms() -> u64 {
    60_000
}

fn default_idle_ms() -> u64 {
    30_000
}

fn default_call_ms() -> u64 {
    300_000
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

    /// Everything that is wrong without looking at files or the environment. Empty when all is well.
    pub fn check(&self) -> Vec<ConfigProblem> {
        let mut problems = Problems::default();
        for (name, provider) in &self.providers {
            let key = |field: &str| format!("ai.providers.{name}.{field}");
            match provider {
                ProviderConfig::Openai(openai) => openai.check("chat/completions", &key, &mut problems),
                ProviderConfig::Scripted(scripted) => scripted.check(&key, &mut problems),
            }
        }
        self.check_amounts(&mut problems);
        for (name, route) in &self.routes {
            self.check_route(&format!("ai.routes.{name}"), route, &mut problems);
        }
        problems.0
    }

    /// Retries, budget and prices.
    fn check_amounts(&self, problems: &mut Problems) {
        let providers =
            self.providers.iter().map(|(name, config)| (format!("ai.providers.{name}"), config.retry()));
        let routes = self.routes.iter().map(|(name, route)| (format!("ai.routes.{name}"), route.retry));
        for (key, retry) in providers.chain(routes).chain([("ai".to_owned(), self.retry)]) {
            if retry.is_some_and(|retry| retry.attempts == 0) {
                let key = format!("{key}.retry.attempts");
                problems.add(key, message!("it is 0, so nothing would ever be sent; give at least 1"));
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
                    problems.add(key, message!("it is {value}; give the dollars for a million tokens"));
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
                    message!("there is none, but ai.budget.cost_usd cannot be held without it; add input_per_million and output_per_million"),
                );
            }
        }
    }

    fn check_route(&self, key: &str, route: &RouteConfig, problems: &mut Problems) {
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
                    message!("there is no provider `{provider}`; describe it in [ai.providers.{provider}]"),
                ),
                None => {
                    let known = self.providers.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
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
                problems.add(key("max_output_tokens"), message!("it is 0; leave it out or give at least 1"));
            }
            if let Some(value) = candidate.temperature.filter(|value| !(0.0..=2.0).contains(value)) {
                problems.add(key("temperature"), message!("it is {value}; it must be between 0.0 and 2.0"));
            }
        }
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

impl EndpointConfig {
    /// `path` is what stands after the base URL, should people paste it too.
    fn check(&self, path: &str, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = endpoint(&self.base_url, path) {
            problems.add(key("base_url"), message);
        }
        if self.api_key_env.is_some() && self.api_key_file.is_some() {
            problems.add(
                key("api_key_file"),
                message!("both api_key_env and api_key_file are set; keep the one that holds the key"),
            );
        }
        if self.api_key_env.as_deref().is_some_and(|name| is_blank(name) || name.contains(['=', '\0'])) {
            problems.add(key("api_key_env"), message!("this is no name of an environment variable"));
        }
        for (field, value) in [
            ("connect_ms", self.connect_ms),
            ("first_byte_ms", self.first_byte_ms),
            ("idle_ms", self.idle_ms),
            ("call_ms", self.call_ms),
        ] {
            if value == 0 {
                problems.add(key(field), message!("it is 0, so every call would fail; give at least 1"));
            }
        }
    }
}

impl ScriptedConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if self.rules.is_some() == self.rules_inline.is_some() {
            problems.add(
                key("rules"),
                message!("exactly one of `rules` (a file) and `rules_inline` (its text) is needed"),
            );
        }
        if self.call_ms == 0 {
            problems.add(key("call_ms"), message!("it is 0, so every call would fail; give at least 1"));
        }
    }
}

/// The address of one of an API's endpoints. The base may end with a slash or not, and may already end with the path, as people
/// paste it; a query (Azure's `api-version`) is kept.
pub(super) fn endpoint(base_url: &str, path: &str) -> Result<Url, Message> {
    let mut url = Url::parse(base_url.trim()).map_err(|error| {
        message!("the text {base_url:?} is no URL ({error}); write it like https://api.openai.com/v1")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        // The text itself must not be shown: it holds the credentials.
        return Err(message!(
            "the URL holds a user name or password; give the key with api_key_env or api_key_file instead"
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(message!(
            "the text {base_url:?} is no http or https URL; write it like https://api.openai.com/v1"
        ));
    }
    url.set_fragment(None);
    let base = url.path().trim_end_matches('/');
    let base = base.strip_suffix(path).map_or(base, |base| base.trim_end_matches('/'));
    let full = format!("{base}/{path}");
    url.set_path(&full);
    Ok(url)
}
