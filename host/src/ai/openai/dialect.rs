//! Where those who speak chat completions differ: a table, and no code of their own.

use reqwest::header::{AUTHORIZATION, HeaderName};
use serde::{Deserialize, Serialize};
use url::Url;

/// Whose chat completions these are. Guessed from the address when the configuration does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// OpenAI itself.
    Openai,
    /// Azure OpenAI: the key in a header of its own.
    Azure,
    /// Mistral: no `stream_options`, and a name of its own for the seed.
    Mistral,
    /// DeepSeek: JSON mode without schemas.
    Deepseek,
    /// What vLLM, llama.cpp, LM Studio, LiteLLM, Ollama, OpenRouter, Groq and xAI understand.
    Compatible,
}

impl Dialect {
    pub(in super::super) fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let under = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
        match () {
            () if under("api.openai.com") => Dialect::Openai,
            () if under("openai.azure.com") || under("cognitiveservices.azure.com") => Dialect::Azure,
            () if under("mistral.ai") => Dialect::Mistral,
            () if under("deepseek.com") => Dialect::Deepseek,
            () => Dialect::Compatible,
        }
    }

    /// The header of the key, and what stands before the key in it.
    pub(super) fn key_header(self) -> (HeaderName, &'static str) {
        match self {
            Dialect::Azure => (HeaderName::from_static("api-key"), ""),
            _ => (AUTHORIZATION, "Bearer "),
        }
    }

    /// The field for the most tokens of a reply. OpenAI's newer models refuse `max_tokens`; compatibles know only that.
    pub(super) fn max_tokens(self) -> &'static str {
        match self {
            Dialect::Openai | Dialect::Azure => "max_completion_tokens",
            _ => "max_tokens",
        }
    }

    /// The field for the seed.
    pub(super) fn seed(self) -> &'static str {
        if self == Dialect::Mistral { "random_seed" } else { "seed" }
    }

    /// Whether it knows `stream_options`. Mistral tells the tokens of a stream without being asked.
    pub(super) fn stream_options(self) -> bool {
        self != Dialect::Mistral
    }

    /// Whether its JSON mode takes a schema.
    pub(super) fn schemas(self) -> bool {
        self != Dialect::Deepseek
    }
}
