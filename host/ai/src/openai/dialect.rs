//! The differences between the providers of chat completions, as a table.
//!
//! Errors are not part of it: `error_body` reads the envelopes of all of them.

use reqwest::header::{AUTHORIZATION, HeaderName};
use serde::{Deserialize, Serialize};
use url::Url;

/// A provider's variant of chat completions. Default: guessed from the host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(schemars::JsonSchema)]
pub enum Dialect {
    /// OpenAI itself.
    Openai,
    /// Azure OpenAI: the key in the header `api-key`, the deployment in the URL.
    Azure,
    /// OpenRouter.
    Openrouter,
    /// Groq: JSON modes without streaming.
    Groq,
    /// DeepSeek: JSON mode without schemas, no seed.
    Deepseek,
    /// xAI.
    Xai,
    /// Mistral: no `stream_options`; the seed is called `random_seed`.
    Mistral,
    /// vLLM: enforces any schema.
    Vllm,
    /// llama.cpp's server: enforces any schema.
    Llamacpp,
    /// LM Studio: supports schemas, but no JSON mode without one.
    Lmstudio,
    /// A LiteLLM proxy.
    Litellm,
    /// Ollama's compatible endpoint.
    Ollama,
    /// Any other compatible endpoint.
    Compatible,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The field for the maximum number of tokens. OpenAI's newer models reject `max_tokens`; most
    /// other providers support only that.
    pub(super) max_tokens: &'static str,
    /// The field for the seed; `None` if seeds are not supported.
    pub(super) seed: Option<&'static str>,
    pub(super) json: Json,
    /// Whether JSON mode and streaming can be combined.
    pub(super) json_streams: bool,
    /// Whether `stream_options` is supported. Otherwise streams report tokens without it.
    pub(super) stream_options: bool,
    /// The header of the key, and the prefix of its value.
    pub(super) key: (HeaderName, &'static str),
}

/// The support for JSON modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    /// `json_schema` for schemas that strict mode can express, `json_object` for the others.
    Strict,
    /// `json_object` only.
    Object,
    /// `json_schema` only, with any schema.
    Schema,
    /// `json_schema` with any schema, enforced by a grammar; `json_object` without a schema.
    Grammar,
}

const OPENAI: Row = Row {
    max_tokens: "max_completion_tokens",
    seed: Some("seed"),
    json: Json::Strict,
    json_streams: true,
    stream_options: true,
    key: (AUTHORIZATION, "Bearer "),
};

const COMPATIBLE: Row = Row { max_tokens: "max_tokens", ..OPENAI };

impl Dialect {
    /// Guesses the dialect from the host name.
    pub(in super::super) fn of(url: &Url) -> Self {
        let known = [
            ("api.openai.com", Dialect::Openai),
            ("openai.azure.com", Dialect::Azure),
            ("cognitiveservices.azure.com", Dialect::Azure),
            ("services.ai.azure.com", Dialect::Azure),
            ("openrouter.ai", Dialect::Openrouter),
            ("api.groq.com", Dialect::Groq),
            ("deepseek.com", Dialect::Deepseek),
            ("api.x.ai", Dialect::Xai),
            ("mistral.ai", Dialect::Mistral),
        ];
        let host = url.host_str().unwrap_or_default();
        let under = |domain: &str| {
            host.strip_suffix(domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        };
        known
            .into_iter()
            .find(|(domain, _)| under(domain))
            .map_or(Dialect::Compatible, |(_, dialect)| dialect)
    }

    pub(super) fn row(self) -> Row {
        match self {
            Dialect::Openai | Dialect::Xai => OPENAI,
            Dialect::Azure => Row { key: (HeaderName::from_static("api-key"), ""), ..OPENAI },
            Dialect::Groq => Row { json_streams: false, ..OPENAI },
            Dialect::Deepseek => Row { json: Json::Object, seed: None, ..COMPATIBLE },
            Dialect::Mistral => {
                Row { seed: Some("random_seed"), stream_options: false, ..COMPATIBLE }
            }
            Dialect::Lmstudio => Row { json: Json::Schema, ..COMPATIBLE },
            Dialect::Vllm | Dialect::Llamacpp => Row { json: Json::Grammar, ..COMPATIBLE },
            Dialect::Openrouter | Dialect::Litellm | Dialect::Ollama | Dialect::Compatible => {
                COMPATIBLE
            }
        }
    }

    /// The URL for a model. For Azure it contains the deployment, unless the operator configured
    /// one or the newer `/v1`, which takes the model in the body.
    pub(super) fn url(self, url: &Url, model: &str) -> Url {
        let mut url = url.clone();
        let bare = matches!(url.path(), "/chat/completions" | "/openai/chat/completions");
        if self == Dialect::Azure && bare {
            url.set_path(&format!("/openai/deployments/{model}/chat/completions"));
        }
        url
    }
}
