//! The routes: which candidates serve a purpose.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AiConfig, CacheTime, Problems, ProviderConfig, RetryConfig, is_blank};
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
    /// How long a reply also answers equal requests of other orders: `30m`, `24h` or `7d`, at most
    /// `30d`. Equal are route, candidates, messages, schema and all parameters. Replies are shared by
    /// all orders of a queue with the same tenant label; `sitewright generate` shares none. Default: none is used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("x-type" = "time"))]
    pub cache: Option<CacheTime>,
    /// Milliseconds that a candidate may take to begin its reply, or to think. Then the next one is
    /// asked beside it, once a call: who begins first is read to the end, and the other request is
    /// cancelled. Providers may charge for both; a budget without room for both allows no second
    /// one. Default: none, candidates are asked in turn. 1 to 600,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge_ms: Option<u64>,
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
    /// The share of calls that this candidate is asked first, beside the other candidates with a
    /// weight: 3 and 1 are three calls of four and one of four. The others follow in their order if
    /// it fails. Default: none, the first candidate of the route is asked first. 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Maximum number of tokens of a reply; a request may set a lower one. Default: no limit. At
    /// least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Temperature of requests that do not set one, from 0.0 to 2.0. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Whether a temperature is sent at all. A model that refuses it is asked again without it, and
    /// that is remembered until the program ends; `false` saves the refused request. Default: true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    #[schemars(extend("x-default" = "true"))]
    pub send_temperature: bool,
    /// How much the model thinks, for models that can: in the provider's own notation. Default: the
    /// model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// `anthropic`, `gemini`, OpenRouter: maximum number of tokens that the model thinks, instead of
    /// the one that `reasoning` stands for. Default: 512 to 24,576, by `reasoning`. At least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u32>,
    /// `openai`, `anthropic`: the class of service, as the provider calls it, such as `flex`.
    /// Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// `anthropic`: whether the beginning of a prompt is marked for the provider's cache, so that
    /// further calls of an order that begin alike cost less. Default: true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    #[schemars(extend("x-default" = "true"))]
    pub cache_prompt: bool,
    /// Headers of the request, by name. A value is a text, `{ env = "NAME" }` or `{ file = "PATH" }`;
    /// what is read from there is removed from logs and records. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-type" = "table"))]
    pub headers: BTreeMap<String, TextSource>,
    /// Fields that are merged into the body of the request; tables are merged, other values
    /// replaced. `{ "$env" = "NAME" }` or `{ "$file" = "PATH" }` in place of a value stands for the
    /// text there. Not `model`, `messages`, `contents` or `input`. Default: none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(extend("x-type" = "table"))]
    pub extra: Map<String, Value>,
    /// Fields that are not sent, such as `seed` or `stream_options`; inside tables with a dot. Not
    /// `model`, `messages`, `contents` or `input`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-type" = "list of texts"))]
    pub drop: Vec<String>,
}

/// How much a model thinks before it replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(schemars::JsonSchema, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Reasoning {
    None,
    Minimal,
    Low,
    Medium,
    High,
}

impl Reasoning {
    /// The name in the configuration, which most providers use too.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A text of the configuration, or where it is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, { env = \"NAME\" } or { file = \"PATH\" } is needed")]
#[derive(schemars::JsonSchema)]
pub enum TextSource {
    Text(String),
    Env(EnvSource),
    File(FileSource),
}

/// An environment variable that holds a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvSource {
    /// Its name.
    pub env: String,
}

/// A file that holds a text; white space around it is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Its path, relative to the folder of the configuration file.
    pub file: PathBuf,
}

impl TextSource {
    pub(crate) fn env(name: &str) -> Self {
        TextSource::Env(EnvSource { env: name.to_owned() })
    }

    pub(crate) fn file(path: &str) -> Self {
        TextSource::File(FileSource { file: path.into() })
    }
}

/// Maximum of `hedge_ms`: a model that thinks begins within that time.
const MAX_HEDGE_MS: u64 = 600_000;

/// Maximum weight of a candidate.
const MAX_WEIGHT: u32 = 1_000;

/// Fields that are the request itself.
const OWN_FIELDS: [&str; 4] = ["model", "messages", "contents", "input"];

/// Headers that belong to the connection.
const OWN_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept-encoding",
];

fn yes() -> bool {
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
        if route.hedge_ms.is_some_and(|ms| !(1..=MAX_HEDGE_MS).contains(&ms)) {
            problems.add(
                format!("{key}.hedge_ms"),
                message!("give 1 to {MAX_HEDGE_MS} milliseconds, or leave it out"),
            );
        }
        if route.hedge_ms.is_some() && route.candidates.len() == 1 {
            problems.add(
                format!("{key}.hedge_ms"),
                message!("no other candidate can be asked; add one to `try`, or leave it out"),
            );
        }
        for (index, candidate) in route.candidates.iter().enumerate() {
            let key = |field: &str| format!("{key}.try[{index}].{field}");
            if candidate.weight.is_some_and(|weight| !(1..=MAX_WEIGHT).contains(&weight)) {
                problems.add(key("weight"), message!("give a weight from 1 to {MAX_WEIGHT}"));
            }
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
            check_settings(candidate, self.providers.get(provider), &key, problems);
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

/// Checks the settings of a candidate that only some providers have.
fn check_settings(
    candidate: &CandidateConfig,
    provider: Option<&ProviderConfig>,
    key: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    use ProviderConfig::{Anthropic, Gemini, Ollama, Openai};
    let other = |field: &str, set: bool, has: bool, problems: &mut Problems| {
        if set && !has {
            problems.add(
                key(field),
                message!("providers of this kind have none; use `extra` for fields of their own"),
            );
        }
    };
    if let Some(provider) = provider {
        let thinks = matches!(provider, Openai(_) | Anthropic(_) | Gemini(_) | Ollama(_));
        other("reasoning", candidate.reasoning.is_some(), thinks, problems);
        let counts = matches!(provider, Openai(_) | Anthropic(_) | Gemini(_));
        other("reasoning_tokens", candidate.reasoning_tokens.is_some(), counts, problems);
        let tiers = matches!(provider, Openai(_) | Anthropic(_));
        other("service_tier", candidate.service_tier.is_some(), tiers, problems);
        let sends = !matches!(provider, ProviderConfig::Scripted(_));
        other("headers", !candidate.headers.is_empty(), sends, problems);
        other("extra", !candidate.extra.is_empty(), sends, problems);
        other("drop", !candidate.drop.is_empty(), sends, problems);
    }
    if candidate.reasoning_tokens == Some(0) {
        let message = message!("it is 0; set reasoning = \"none\", or give at least 1");
        problems.add(key("reasoning_tokens"), message);
    }
    if candidate.reasoning_tokens.is_some() && candidate.reasoning.is_none() {
        let message = message!("it needs `reasoning` beside it: low, medium or high");
        problems.add(key("reasoning_tokens"), message);
    }
    for name in candidate.headers.keys() {
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            let message = message!("this header belongs to the connection; remove it");
            problems.add(key(&format!("headers.{name}")), message);
        }
    }
    let dropped = candidate.drop.iter().map(|path| ("drop", path.as_str()));
    let added = candidate.extra.keys().map(|name| ("extra", name.as_str()));
    for (field, name) in dropped.chain(added) {
        if OWN_FIELDS.contains(&name) {
            problems
                .add(key(field), message!("the field `{name}` is the request itself; remove it"));
        }
    }
    if candidate.drop.iter().any(|path| is_blank(path)) {
        problems.add(key("drop"), message!("it has an empty name; remove it"));
    }
}
