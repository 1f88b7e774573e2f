//! The kinds of providers: their keys, the defaults, and the checks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::openai::Dialect;
use super::endpoint::CALL_MS;
use super::keys::{Kind, KindName, ProviderKeys, StructuredOutput};
use super::{
    BatchApi, BreakerConfig, EndpointConfig, LimitsConfig, Problems, RetryConfig, base, endpoint,
    is_blank,
};
use sitewright_model::message;

/// One provider: `[ai.providers.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", try_from = "ProviderKeys")]
pub enum ProviderConfig {
    /// OpenAI's chat completions, and compatible endpoints.
    Openai(OpenAiConfig),
    /// Anthropic's Messages.
    Anthropic(AnthropicConfig),
    /// Google's generateContent.
    Gemini(GeminiConfig),
    /// Ollama's own API. Its compatible endpoint is of the kind `openai`.
    Ollama(OllamaConfig),
    /// Cloudflare's Workers AI.
    Cloudflare(CloudflareConfig),
    /// Rules in a file instead of a model: for demos, tests and conformance.
    Scripted(ScriptedConfig),
}

/// The schema of the table as it is written: the keys of all kinds.
impl schemars::JsonSchema for ProviderConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        ProviderKeys::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ProviderKeys::json_schema(generator)
    }
}

impl TryFrom<ProviderKeys> for ProviderConfig {
    type Error = String;

    fn try_from(keys: ProviderKeys) -> Result<Self, String> {
        let Some(kind) = keys.kind else {
            return Err("`kind` is missing: openai, anthropic, gemini, ollama, cloudflare or \
                        scripted"
                .into());
        };
        Ok(match kind {
            KindName::Openai => ProviderConfig::Openai(keys.of(kind)?),
            KindName::Anthropic => ProviderConfig::Anthropic(keys.of(kind)?),
            KindName::Gemini => ProviderConfig::Gemini(keys.of(kind)?),
            KindName::Ollama => ProviderConfig::Ollama(keys.of(kind)?),
            KindName::Cloudflare => ProviderConfig::Cloudflare(keys.of(kind)?),
            KindName::Scripted => ProviderConfig::Scripted(keys.of(kind)?),
        })
    }
}

impl ProviderConfig {
    /// The provider's own retries, if configured.
    pub(crate) fn retry(&self) -> Option<RetryConfig> {
        match self {
            ProviderConfig::Scripted(config) => config.retry,
            _ => self.endpoint()?.retry,
        }
    }

    /// The settings of the limiter and of the circuit breaker.
    pub(crate) fn limiter(&self) -> (LimitsConfig, BreakerConfig) {
        match (self, self.endpoint()) {
            (ProviderConfig::Scripted(config), _) => (config.limits, config.breaker),
            (_, Some(endpoint)) => (endpoint.limits, endpoint.breaker),
            (_, None) => Default::default(),
        }
    }

    /// The keys of a provider behind HTTP; `None` for a scripted one.
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

    pub(super) fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        match self {
            ProviderConfig::Openai(openai) => openai.check(key, problems),
            ProviderConfig::Anthropic(anthropic) => anthropic.check(key, problems),
            ProviderConfig::Gemini(gemini) => gemini.check(key, problems),
            ProviderConfig::Ollama(ollama) => ollama.check(key, problems),
            ProviderConfig::Cloudflare(cloudflare) => cloudflare.check(key, problems),
            ProviderConfig::Scripted(scripted) => scripted.check(key, problems),
        }
        if let Some(endpoint) = self.endpoint() {
            endpoint.check(key, problems);
            let fits = match endpoint.batch {
                BatchApi::Auto | BatchApi::None => true,
                BatchApi::Openai => matches!(self, ProviderConfig::Openai(_)),
                BatchApi::Anthropic => matches!(self, ProviderConfig::Anthropic(_)),
            };
            if !fits {
                problems.add(
                    key("batch"),
                    message!(
                        "this batch API takes the requests of another kind of provider; leave it \
                         out, or set `none`"
                    ),
                );
            }
        }
    }
}

/// An endpoint for chat completions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenAiConfig {
    /// The URL before `/chat/completions`, with or without a slash at the end:
    /// `https://api.openai.com/v1`. For Azure the resource is sufficient,
    /// `https://NAME.openai.azure.com`; the model is then the deployment. No user name or password.
    /// Required.
    pub base_url: String,
    /// The API. Default: chat completions.
    #[serde(skip_serializing_if = "OpenAiApi::is_chat")]
    pub api: OpenAiApi,
    /// The provider's variant of the protocol. Default: guessed from the host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Azure's query parameter `api-version`, such as `2024-10-21`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// API key, timeouts, limits and retries.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

/// The API of a provider that OpenAI's clients can talk to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(schemars::JsonSchema)]
pub enum OpenAiApi {
    /// Chat completions, which all compatible endpoints have.
    #[default]
    Chat,
    /// Responses, which some of OpenAI's models have only.
    Responses,
}

impl OpenAiApi {
    fn is_chat(&self) -> bool {
        *self == OpenAiApi::Chat
    }
}

impl Kind for OpenAiConfig {
    fn take(keys: &mut ProviderKeys) -> Result<Self, String> {
        Ok(OpenAiConfig {
            base_url: keys.base_url.take().ok_or(
                "`base_url` is missing: the URL before `/chat/completions`, such as \
                 https://api.openai.com/v1",
            )?,
            api: keys.api.take().unwrap_or_default(),
            dialect: keys.dialect.take(),
            api_version: keys.api_version.take(),
            endpoint: EndpointConfig::take(keys),
        })
    }
}

impl OpenAiConfig {
    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = endpoint(&self.base_url, "chat/completions") {
            problems.add(key("base_url"), message);
        }
        if self.api_version.as_deref().is_some_and(is_blank) {
            problems.add(
                key("api_version"),
                message!("it is empty; leave it out or write it like 2024-10-21"),
            );
        }
    }
}

/// Anthropic's Messages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnthropicConfig {
    /// The URL before `/messages`. `/v1` is appended to a host without a path. Default:
    /// `https://api.anthropic.com/v1`.
    pub base_url: String,
    /// The header `anthropic-version`. Default: `2023-06-01`.
    pub version: String,
    /// Maximum number of tokens of a reply if neither route nor request sets one; the API requires
    /// it. Default: 8192. At least 1.
    pub max_output_tokens: u32,
    /// How JSON that matches a schema is requested. Default: `tool`.
    pub structured_output: AnthropicJson,
    /// API key, timeouts, limits and retries.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

/// How Anthropic's models are made to write JSON that matches a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnthropicJson {
    /// A forced tool call whose input is the reply. Every model supports tools.
    #[default]
    Tool,
    /// `output_config.format`, for reasoning models, which do not support forced tool calls.
    Schema,
    /// An instruction in the prompt only.
    Prompt,
}

impl Kind for AnthropicConfig {
    fn take(keys: &mut ProviderKeys) -> Result<Self, String> {
        Ok(AnthropicConfig {
            base_url: keys.base_url.take().unwrap_or_else(|| Self::BASE_URL.to_owned()),
            version: keys.version.take().unwrap_or_else(|| Self::VERSION.to_owned()),
            max_output_tokens: keys.max_output_tokens.take().unwrap_or(8192),
            structured_output: match keys.structured_output.take() {
                None | Some(StructuredOutput::Tool) => AnthropicJson::Tool,
                Some(StructuredOutput::Schema) => AnthropicJson::Schema,
                Some(StructuredOutput::Prompt) => AnthropicJson::Prompt,
                Some(StructuredOutput::ResponseSchema | StructuredOutput::JsonSchema) => {
                    return Err("`structured_output` of the kind `anthropic` is tool, schema or \
                                prompt"
                        .into());
                }
            },
            endpoint: EndpointConfig::take(keys),
        })
    }
}

impl AnthropicConfig {
    pub(crate) const BASE_URL: &str = "https://api.anthropic.com/v1";
    const VERSION: &str = "2023-06-01";

    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = base(&self.base_url, AnthropicConfig::BASE_URL) {
            problems.add(key("base_url"), message);
        }
        if self.version.trim().parse::<reqwest::header::HeaderValue>().is_err()
            || is_blank(&self.version)
        {
            problems.add(
                key("version"),
                message!("this is not a version; write it like {}", Self::VERSION),
            );
        }
        check_tokens(self.max_output_tokens, key, problems);
    }
}

/// Google's generateContent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GeminiConfig {
    /// The URL before `/models`, including the version of the API. Default:
    /// `https://generativelanguage.googleapis.com/v1beta`.
    pub base_url: String,
    /// How JSON that matches a schema is requested. Default: `response-schema`.
    pub structured_output: GeminiJson,
    /// API key, timeouts, limits and retries.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

/// How Google's models are made to write JSON that matches a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeminiJson {
    /// `responseSchema`, with an instruction for what it cannot express. Every model and version
    /// supports it.
    #[default]
    ResponseSchema,
    /// `responseJsonSchema` with the unchanged schema, for models that support it.
    JsonSchema,
    /// An instruction in the prompt only.
    Prompt,
}

impl Kind for GeminiConfig {
    fn take(keys: &mut ProviderKeys) -> Result<Self, String> {
        Ok(GeminiConfig {
            base_url: keys.base_url.take().unwrap_or_else(|| Self::BASE_URL.to_owned()),
            structured_output: match keys.structured_output.take() {
                None | Some(StructuredOutput::ResponseSchema) => GeminiJson::ResponseSchema,
                Some(StructuredOutput::JsonSchema) => GeminiJson::JsonSchema,
                Some(StructuredOutput::Prompt) => GeminiJson::Prompt,
                Some(StructuredOutput::Tool | StructuredOutput::Schema) => {
                    return Err("`structured_output` of the kind `gemini` is response-schema, \
                                json-schema or prompt"
                        .into());
                }
            },
            endpoint: EndpointConfig::take(keys),
        })
    }
}

impl GeminiConfig {
    pub(crate) const BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        let example = GeminiConfig::BASE_URL;
        match base(&self.base_url, example) {
            Err(message) => problems.add(key("base_url"), message),
            Ok(url)
                if url.path() == "/"
                    && url.host_str().is_some_and(|host| host.ends_with("googleapis.com")) =>
            {
                problems.add(
                    key("base_url"),
                    message!("the API's version is missing; write it like {example}"),
                );
            }
            Ok(_) => {}
        }
    }
}

/// Ollama's own API.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OllamaConfig {
    /// The URL before `/api/chat`. Default: `http://127.0.0.1:11434`.
    pub base_url: String,
    /// Size of the context window that models are loaded with, in tokens (`num_ctx`). The server
    /// removes the beginning of a longer prompt without an error. Default: the server's. At least
    /// 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// API key (usually none), timeouts, limits and retries.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

impl Kind for OllamaConfig {
    fn take(keys: &mut ProviderKeys) -> Result<Self, String> {
        Ok(OllamaConfig {
            base_url: keys.base_url.take().unwrap_or_else(|| Self::BASE_URL.to_owned()),
            context_tokens: keys.context_tokens.take(),
            endpoint: EndpointConfig::take(keys),
        })
    }
}

impl OllamaConfig {
    pub(crate) const BASE_URL: &str = "http://127.0.0.1:11434";

    fn check(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if let Err(message) = base(&self.base_url, OllamaConfig::BASE_URL) {
            problems.add(key("base_url"), message);
        }
        if self.context_tokens == Some(0) {
            problems
                .add(key("context_tokens"), message!("it is 0; leave it out or give at least 1"));
        }
    }
}

/// Cloudflare's Workers AI.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CloudflareConfig {
    /// The URL before `/accounts`. Default: `https://api.cloudflare.com/client/v4`.
    pub base_url: String,
    /// The account that is billed: letters, digits, `-` and `_`. Required.
    pub account_id: String,
    /// Maximum number of tokens of a reply if neither route nor request sets one; the API's own
    /// default is 256. Default: 4096. At least 1.
    pub max_output_tokens: u32,
    /// API key, timeouts, limits and retries.
    #[serde(flatten)]
    pub endpoint: EndpointConfig,
}

impl Kind for CloudflareConfig {
    fn take(keys: &mut ProviderKeys) -> Result<Self, String> {
        Ok(CloudflareConfig {
            base_url: keys.base_url.take().unwrap_or_else(|| Self::BASE_URL.to_owned()),
            account_id: keys
                .account_id
                .take()
                .ok_or("`account_id` is missing: it is in the URL of the account's dashboard")?,
            max_output_tokens: keys.max_output_tokens.take().unwrap_or(4096),
            endpoint: EndpointConfig::take(keys),
        })
    }
}

impl CloudflareConfig {
    pub(crate) const BASE_URL: &str = "https://api.cloudflare.com/client/v4";

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
                message!("this is not an account id; it is in the URL of the account's dashboard"),
            );
        }
        check_tokens(self.max_output_tokens, key, problems);
    }
}

fn check_tokens(max_output_tokens: u32, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
    if max_output_tokens == 0 {
        problems
            .add(key("max_output_tokens"), message!("it is 0; leave it out or give at least 1"));
    }
}

/// A script instead of a model. Exactly one of `rules` and `rules_inline` is required.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScriptedConfig {
    /// Path of the script, relative to the folder of the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<PathBuf>,
    /// The text of the script, in TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_inline: Option<String>,
    /// Timeout of one whole attempt, in milliseconds; it ends a rule that hangs. Default: 300,000
    /// (5 min). At least 1.
    pub call_ms: u64,
    /// Rate limits. Default: no limits.
    pub limits: LimitsConfig,
    /// The circuit breaker. Default: disabled.
    pub breaker: BreakerConfig,
    /// Retries. Default: `[ai.retry]`; one attempt if that is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
}

impl Kind for ScriptedConfig {
    fn take(keys: &mut ProviderKeys) -> Result<Self, String> {
        let never = BreakerConfig { failures: 0, ..BreakerConfig::default() };
        Ok(ScriptedConfig {
            rules: keys.rules.take(),
            rules_inline: keys.rules_inline.take(),
            call_ms: keys.call_ms.take().unwrap_or(CALL_MS),
            limits: keys.limits.take().unwrap_or_default(),
            breaker: keys.breaker.take().unwrap_or(never),
            retry: keys.retry.take(),
        })
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
            problems.add(
                key("call_ms"),
                message!("it is 0, so every call would fail; give at least 1"),
            );
        }
    }
}
