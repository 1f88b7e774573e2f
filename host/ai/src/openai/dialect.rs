//! Where those who speak chat completions differ: a table, and no code of their own.
//!
//! Errors need no rows: `error_body` reads every spelling of their envelopes at once.

use reqwest::header::{AUTHORIZATION, HeaderName};
use serde::{Deserialize, Serialize};
use url::Url;

/// Whose chat completions these are. Guessed from the address when the configuration does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(schemars::JsonSchema)]
pub enum Dialect {
    /// OpenAI itself.
    Openai,
    /// Azure OpenAI: the key in a header of its own, the deployment in the address.
    Azure,
    /// OpenRouter.
    Openrouter,
    /// Groq: JSON mode without schemas and without streaming.
    Groq,
    /// DeepSeek: JSON mode without schemas, no seed.
    Deepseek,
    /// xAI.
    Xai,
    /// Mistral: no `stream_options`, and a name of its own for the seed.
    Mistral,
    /// vLLM: holds its models to any schema.
    Vllm,
    /// llama.cpp's server: holds its models to any schema.
    Llamacpp,
    /// LM Studio: schemas, but no JSON mode without one.
    Lmstudio,
    /// A LiteLLM proxy.
    Litellm,
    /// Ollama's compatible endpoint.
    Ollama,
    /// Anyone else.
    Compatible,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The field for the most tokens of a reply. OpenAI's newer models refuse `max_tokens`; most
    /// others know only that.
    pub(super) max_tokens: &'static str,
    /// The field for the seed; nothing where there is none.
    pub(super) seed: Option<&'static str>,
    pub(super) json: Json,
    /// Whether JSON mode and streaming go together.
    pub(super) json_streams: bool,
    /// Whether it knows `stream_options`. Where not, it tells the tokens of a stream without being
    /// asked.
    pub(super) stream_options: bool,
    /// The header of the key, and what stands before the key in it.
    pub(super) key: (HeaderName, &'static str),
}

/// What it can be told of the reply's form besides words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    /// `json_schema` for schemas that strict mode takes, `json_object` for the others.
    Strict,
    /// `json_object` only.
    Object,
    /// `json_schema` only, and any schema.
    Schema,
    /// `json_schema` with any schema, which is made a grammar that the reply cannot leave;
    /// `json_object` without one.
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
    /// Guesses from the host of the address.
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
            Dialect::Groq => Row { json: Json::Object, json_streams: false, ..OPENAI },
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

    /// The address for a model. Azure's deployments stand in it, unless the operator wrote one or
    /// the newer `/v1`, which takes the name in the body like everyone else.
    pub(super) fn url(self, url: &Url, model: &str) -> Url {
        let mut url = url.clone();
        let bare = matches!(url.path(), "/chat/completions" | "/openai/chat/completions");
        if self == Dialect::Azure && bare {
            url.set_path(&format!("/openai/deployments/{model}/chat/completions"));
        }
        url
    }
}
