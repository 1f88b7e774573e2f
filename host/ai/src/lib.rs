//! The AI gateway: everything between a template's call and the model.
//!
//! A [`Request`] names a purpose; the operator's [`AiConfig`] says which route serves it and which
//! providers and models the route tries, in order. [`Gateway::complete`] gives a whole, checked
//! [`Completion`] or an [`AiError`] that says what happened at every attempt and what to do;
//! [`Gateway::stream`] passes on the text while it comes as well. This part knows nothing of wasm,
//! orders or queues.
//!
//! | room | what it answers |
//! |---|---|
//! | `request`, `completion`, `error` | what is asked, what comes back, what goes wrong |
//! | `config`, `secret` | routes and providers as the operator wrote them; keys |
//! | `route_builder` | from the configuration to candidates that can be called |
//! | `gateway` | which candidates are tried, in which order |
//! | `retry`, `limiter`, `budget`, `journal` | when again, how many at once, how much in all, and what was paid for already |
//! | `attempt` | one try: its time, its checks, what is kept of it |
//! | `text` | the reply's text on its way to a caller who reads along |
//! | `provider` | the seam between the gateway and the kinds of providers |
//! | `openai`, `anthropic`, `gemini`, `ollama`, `cloudflare`, `scripted` | one provider kind each; requests, replies and errors are pure functions over bytes |
//! | `stream`, `stream_deltas`, `error_body`, `answer`, `instructions` | what kinds share: framing of streams, their parts, error bodies, is this answer a reply, telling the model its form |
//! | `transport` | the only place that sends, and the limits on how long that takes |
//! | `json` | strict JSON replies and their schemas |
//! | `hint`, `redact`, `retry_after` | what an error tells, what it never tells, and how long to wait |

mod answer;
mod anthropic;
mod attempt;
mod budget;
mod cloudflare;
mod config;
mod error_body;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod gemini;
mod hint;
mod instructions;
mod journal;
mod json;
mod known_schemas;
mod limiter;
mod ollama;
mod openai;
mod provider;
mod redact;
mod request;
mod retry;
mod retry_after;
mod route_builder;
mod scripted;
mod secret;
mod stream;
mod stream_deltas;
#[cfg(test)]
mod testing;
mod text;
mod transport;

pub use budget::{OrderBudget, Spent};
pub use config::{
    AiConfig, AnthropicConfig, AnthropicJson, BreakerConfig, BudgetConfig, CandidateConfig,
    CloudflareConfig, ConfigError, ConfigProblem, EndpointConfig, GeminiConfig, GeminiJson,
    LimitsConfig, OllamaConfig, OpenAiConfig, PriceConfig, ProviderConfig, RetryConfig,
    RouteConfig, ScriptedConfig,
};
pub use gateway::{CallContext, CandidateInfo, Gateway, Probe, RouteInfo, UnroutedPurposes};
pub use journal::{
    FileJournal, Journal, JournalEntry, JournalKey, Recalled, RunJournal, read_journal,
};
pub use json::{ReplySchema, SchemaError};
pub use known_schemas::KnownSchemas;
pub use openai::Dialect;
pub use redact::Redactor;
pub use request::{ChatMessage, Format, Purpose, PurposeError, Request, Role};
pub use text::{Pieces, TextSink};
