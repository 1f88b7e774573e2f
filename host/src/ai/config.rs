//! The AI part of the configuration, as the operator writes it.
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
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ProviderConfig {
    /// OpenAI's chat completions, and whoever speaks the same.
    Openai(OpenAiConfig),
    /// Anthropic's Messages.
    Anthropic(AnthropicConfig),
    /// Google's generateContent.
    Gemini(GeminiConfig),
    /// Ollama's own API; its compatible endpoint is an `openai`.
    Ollama(OllamaConfig),
    /// Cloudflare's Workers AI.
    Cloudflare(CloudflareConfig),
    /// Rules in a file instead of a model: for demos, tests and conformance.
    Scripted(ScriptedConfig),
}

/// What every endpoint that is called over HTTP has, whatever its kind. Its fields stand among those of the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointConfig {
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
            _ => self.endpoint()?.retry,
        }
    }

    /// What it can bear, and when it is left alone.
    pub(super) fn gate(&self) -> (LimitsConfig, BreakerConfig) {
        match (self, self.endpoint()) {
            (ProviderConfig::Scripted(config), _) => (config.limits, config.breaker),
            (_, Some(endpoint)) => (endpoint.limits, endpoint.breaker),
            (_, None) => Default::default(),
        }
    }

    /// What is called over HTTP.
    fn endpoint(&self) -> Option<&EndpointConfig> {
        Some(match self {
            ProviderConfig::Openai(config) => &config.endpoint,
            ProviderConfig::Anthropic(config) => &config.endpoint,
            ProviderConfig::Gemini(config) => &config.endpoint,
            ProviderConfig::Ollama(config) => &config.endpoint,
            ProviderConfig::Cloudflare(config) => &config.endpoint,
            ProviderConfig::Scripted(_) => return None,
        })
    }
}

/// An endpoint that speaks chat completions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiConfig {
    /// What stands before `/chat/completions`, with or without a slash at the end: `https://api.openai.com/v1`. For Azure the
    /// resource alone is enough, `https://NAME.openai.azure.com`: the deployment is then the model.
    pub base_url: String,
    /// Whose chat completions these are. Guessed from the address when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Azure's `api-version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Key and times.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

/// Anthropic's Messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnthropicConfig {
    /// What stands before `/messages`. A host alone stands for its `/v1`.
    #[serde(default = "anthropic_base_url")]
    pub base_url: String,
    /// The header `anthropic-version`.
    #[serde(default = "anthropic_version")]
    pub version: String,
    /// Most tokens of a reply where neither the route nor the request says: the API wants a number always.
    #[serde(default = "anthropic_max_output_tokens")]
    pub max_output_tokens: u32,
    /// How JSON after a schema is asked for.
    #[serde(default)]
    pub structured_output: AnthropicJson,
    /// Key and times.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

/// How Anthropic's models are made to write JSON after a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnthropicJson {
    /// A tool that must be used, whose input is the reply. Every model knows tools.
    #[default]
    Tool,
    /// `output_config.format`, for models that think and therefore cannot be forced to use a tool.
    Schema,
    /// Words only.
    Prompt,
}

/// Google's generateContent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeminiConfig {
    /// What stands before `/models`, with the API's version.
    #[serde(default = "gemini_base_url")]
    pub base_url: String,
    /// How JSON after a schema is asked for.
    #[serde(default)]
    pub structured_output: GeminiJson,
    /// Key and times.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

/// How Google's models are made to write JSON after a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeminiJson {
    /// `responseSchema`, with what it cannot say told in words. Every model and version knows it.
    #[default]
    ResponseSchema,
    /// `responseJsonSchema`, the schema as it is, for models that know it.
    JsonSchema,
    /// Words only.
    Prompt,
}

/// Ollama's own API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OllamaConfig {
    /// What stands before `/api/chat`.
    #[serde(default = "ollama_base_url")]
    pub base_url: String,
    /// The window to load models with, in tokens (`num_ctx`). Without it the server's own default holds, and a prompt that does
    /// not fit loses its beginning without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Key and times. A server of one's own needs no key.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

/// Cloudflare's Workers AI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudflareConfig {
    /// What stands before `/accounts`.
    #[serde(default = "cloudflare_base_url")]
    pub base_url: String,
    /// The account that pays.
    pub account_id: String,
    /// Most tokens of a reply where neither the route nor the request says: the API's own default is 256.
    #[serde(default = "cloudflare_max_output_tokens")]
    pub max_output_tokens: u32,
    /// Key and times.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
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
    /// Whether the model is told a temperature at all. Some that think refuse every request that names one.
    #[serde(default = "default_send_temperature", skip_serializing_if = "is_true")]
    pub send_temperature: bool,
}

fn default_send_temperature() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

impl AnthropicConfig {
    pub(super) const BASE_URL: &str = "https://api.anthropic.com/v1";
    const VERSION: &str = "2023-06-01";
}

impl GeminiConfig {
    pub(super) const BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";
}

impl OllamaConfig {
    pub(super) const BASE_URL: &str = "http://127.0.0.1:11434";
}

impl CloudflareConfig {
    pub(super) const BASE_URL: &str = "https://api.cloudflare.com/client/v4";
}

fn anthropic_base_url() -> String {
    AnthropicConfig::BASE_URL.to_owned()
}

fn anthropic_version() -> String {
    AnthropicConfig::VERSION.to_owned()
}

fn anthropic_max_output_tokens() -> u32 {
    8192
}

fn gemini_base_url() -> String {
    GeminiConfig::BASE_URL.to_owned()
}

fn ollama_base_url() -> String {
    OllamaConfig::BASE_URL.to_owned()
}

fn cloudflare_base_url() -> String {
    CloudflareConfig::BASE_URL.to_owned()
}

fn cloudflare_max_output_tokens() -> u32 {
    4096
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
                ProviderConfig::Openai(openai) => openai.check(&key, &mut problems),
                ProviderConfig::Anthropic(anthropic) => anthropic.check(&key, &mut problems),
                ProviderConfig::Gemini(gemini) => gemini.check(&key, &mut problems),
                ProviderConfig::Ollama(ollama) => ollama.check(&key, &mut problems),
                ProviderConfig::Cloudflare(cloudflare) => cloudflare.check(&key, &mut problems),
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
            if candidate.temperature.is_some() && !candidate.send_temperature {
                problems.add(
                    key("temperature"),
                    message!("it is never sent, because send_temperature is false; keep one of the two"),
                );
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

impl OpenAiConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = endpoint(&self.base_url, "chat/completions") {
            problems.add(key("base_url"), message);
        }
        if self.api_version.as_deref().is_some_and(is_blank) {
            problems
                .add(key("api_version"), message!("it is empty; leave it out or write it like 2024-10-21"));
        }
        self.endpoint.check(key, problems);
    }
}

impl AnthropicConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = base(&self.base_url, AnthropicConfig::BASE_URL) {
            problems.add(key("base_url"), message);
        }
        if self.version.trim().parse::<reqwest::header::HeaderValue>().is_err() || is_blank(&self.version) {
            problems.add(key("version"), message!("this is no version; write it like {}", Self::VERSION));
        }
        check_tokens(self.max_output_tokens, key, problems);
        self.endpoint.check(key, problems);
    }
}

impl GeminiConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        let example = GeminiConfig::BASE_URL;
        match base(&self.base_url, example) {
            Err(message) => problems.add(key("base_url"), message),
            Ok(url)
                if url.path() == "/"
                    && url.host_str().is_some_and(|host| host.ends_with("googleapis.com")) =>
            {
                problems
                    .add(key("base_url"), message!("the API's version is missing; write it like {example}"));
            }
            Ok(_) => {}
        }
        self.endpoint.check(key, problems);
    }
}

impl OllamaConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = base(&self.base_url, OllamaConfig::BASE_URL) {
            problems.add(key("base_url"), message);
        }
        if self.context_tokens == Some(0) {
            problems.add(key("context_tokens"), message!("it is 0; leave it out or give at least 1"));
        }
        self.endpoint.check(key, problems);
    }
}

impl CloudflareConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = base(&self.base_url, CloudflareConfig::BASE_URL) {
            problems.add(key("base_url"), message);
        }
        let id = self.account_id.trim();
        if id.is_empty()
            || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        {
            problems.add(
                key("account_id"),
                message!("this is no account id; it stands in the address of the account's dashboard"),
            );
        }
        check_tokens(self.max_output_tokens, key, problems);
        self.endpoint.check(key, problems);
    }
}

fn check_tokens(max_output_tokens: u32, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
    if max_output_tokens == 0 {
        problems.add(key("max_output_tokens"), message!("it is 0; leave it out or give at least 1"));
    }
}

impl EndpointConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
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
    let mut url = base(base_url, "https://api.openai.com/v1")?;
    let base = url.path().trim_end_matches('/');
    let base = base.strip_suffix(path).map_or(base, |base| base.trim_end_matches('/'));
    let full = format!("{base}/{path}");
    url.set_path(&full);
    Ok(url)
}

/// The address that an API's endpoints begin with.
pub(super) fn base(base_url: &str, example: &str) -> Result<Url, Message> {
    let mut url = Url::parse(base_url.trim())
        .map_err(|error| message!("the text {base_url:?} is no URL ({error}); write it like {example}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        // The text itself must not be shown: it holds the credentials.
        return Err(message!(
            "the URL holds a user name or password; give the key with api_key_env or api_key_file instead"
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(message!("the text {base_url:?} is no http or https URL; write it like {example}"));
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::AiConfig;

    /// The problems of one provider's table, or why it cannot be read at all.
    fn problems(provider: &str) -> Vec<String> {
        match toml::from_str::<AiConfig>(&format!("[providers.p]\n{provider}")) {
            Ok(config) => config.check().iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.message().to_owned()],
        }
    }

    #[test]
    fn a_provider_of_every_kind_is_read_with_its_keys_and_the_common_ones() {
        let common = "api_key_env = \"K\"\nconnect_ms = 1\nfirst_byte_ms = 2\nidle_ms = 3\ncall_ms = 4\nretry = {}\nlimits = {}\nbreaker = {}";
        for own in [
            "kind = \"openai\"\nbase_url = \"http://h/v1\"\ndialect = \"vllm\"",
            "kind = \"openai\"\nbase_url = \"https://n.openai.azure.com\"\napi_version = \"2024-10-21\"",
            "kind = \"anthropic\"",
            "kind = \"anthropic\"\nversion = \"2023-06-01\"\nmax_output_tokens = 9\nstructured_output = \"schema\"",
            "kind = \"gemini\"\nbase_url = \"http://127.0.0.1:1\"\nstructured_output = \"json-schema\"",
            "kind = \"gemini\"",
            "kind = \"ollama\"",
            "kind = \"ollama\"\nbase_url = \"http://h:1\"\ncontext_tokens = 8192",
            "kind = \"cloudflare\"\naccount_id = \"0a1b\"\nmax_output_tokens = 9",
        ] {
            let text = format!("{own}\n{common}");
            assert_eq!(problems(&text), Vec::<String>::new(), "{own}");
            let config: AiConfig = toml::from_str(&format!("[providers.p]\n{text}")).unwrap();
            let again: AiConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
            assert_eq!(again, config, "{own}");
            assert!(toml::to_string(&config).unwrap().contains("idle_ms = 3"), "{own}");
        }
    }

    #[test]
    fn a_model_that_refuses_temperatures_is_sent_none() {
        let route = |candidate: &str| {
            let text = format!(
                "[providers.p]\nkind = \"ollama\"\n[routes.default]\ntry = [{{ provider = \"p\", {candidate} }}]"
            );
            toml::from_str::<AiConfig>(&text).unwrap()
        };
        let config = route("model = \"m\", send_temperature = false");
        assert!(config.check().is_empty() && !config.routes["default"].candidates[0].send_temperature);
        let both = route("model = \"m\", send_temperature = false, temperature = 0.5").check();
        assert_eq!(both[0].key, "ai.routes.default.try[0].temperature");
        let none = route("max_output_tokens = 5").check();
        assert_eq!(none[0].key, "ai.routes.default.try[0].model");
    }

    #[test]
    fn what_is_wrong_names_its_key_and_what_would_be_right() {
        for (provider, says) in [
            ("kind = \"anthropic\"\nbase_ur = \"x\"", "unknown field `base_ur`"),
            ("kind = \"openai\"\nbase_url = \"http://h\"\nconect_ms = 1", "unknown field `conect_ms`"),
            ("kind = \"openai\"\nbase_url = \"http://h\"\naccount_id = \"x\"", "unknown field `account_id`"),
            ("kind = \"openai\"", "missing field `base_url`"),
            ("kind = \"cloudflare\"", "missing field `account_id`"),
            ("kind = \"claude\"", "unknown variant `claude`"),
            (
                "kind = \"openai\"\nbase_url = \"http://h\"\ndialect = \"klingon\"",
                "unknown variant `klingon`",
            ),
            ("kind = \"anthropic\"\nidle_ms = 0", "ai.providers.p.idle_ms: it is 0"),
            ("kind = \"anthropic\"\nmax_output_tokens = 0", "ai.providers.p.max_output_tokens: it is 0"),
            ("kind = \"anthropic\"\nversion = \" \"", "ai.providers.p.version: this is no version"),
            (
                "kind = \"anthropic\"\nbase_url = \"api.anthropic.com\"",
                "write it like https://api.anthropic.com/v1",
            ),
            (
                "kind = \"gemini\"\nbase_url = \"https://generativelanguage.googleapis.com\"",
                "ai.providers.p.base_url: the API's version is missing",
            ),
            ("kind = \"gemini\"\nbase_url = \"http://u:secret@h/\"", "the URL holds a user name or password"),
            ("kind = \"ollama\"\ncontext_tokens = 0", "ai.providers.p.context_tokens: it is 0"),
            (
                "kind = \"ollama\"\napi_key_env = \"A\"\napi_key_file = \"b\"",
                "ai.providers.p.api_key_file: both",
            ),
            (
                "kind = \"cloudflare\"\naccount_id = \"a/b\"",
                "ai.providers.p.account_id: this is no account id",
            ),
            (
                "kind = \"openai\"\nbase_url = \"http://h\"\napi_version = \"\"",
                "ai.providers.p.api_version: it is empty",
            ),
        ] {
            let problems = problems(provider);
            assert!(problems.len() == 1 && problems[0].contains(says), "{provider}: {problems:?}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }
}
