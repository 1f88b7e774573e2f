//! The AI gateway: everything between a template's call and the model.
//!
//! A [`Request`] names a purpose. The operator's [`AiConfig`] defines which route serves it and
//! which providers and models the route tries, in order. [`Gateway::complete`] returns a complete,
//! checked completion, or an error with every attempt and a hint what to do; [`Gateway::stream`]
//! also forwards the text while it arrives.
//!
//! | file | question |
//! |---|---|
//! | `request`, `json`, `known_schemas` | what is requested, and what is a valid reply? |
//! | `prompt` | how is data in a message told from instructions? |
//! | `judge` | can its text be used? |
//! | `config`, `secret`, `key_command`, `route_builder` | which routes and keys are there? |
//! | `gateway`, `route`, `dispatch`, `candidate`, `probe` | which candidate is called, what is recorded? |
//! | `hedge` | when are two candidates asked at once, and which one counts? |
//! | `parameters`, `settings` | what is sent in another way, because a model or the operator says so? |
//! | `retry`, `limiter`, `learned_limit` | when again, and how many at once? |
//! | `fair_slots`, `round_robin` | which call is next of those that wait for a slot or a rate? |
//! | `caller` | for whom is a call made, and who fails with it? |
//! | `budget`, `day_budget` | how much in total? |
//! | `journal`, `reply_cache` | which replies were paid for already, by the order or by another? |
//! | `batch` | which calls wait for a batch, and how is one sent and read? |
//! | `adapter`, `wire`, `answer`, `failure` | what does a kind of provider implement? |
//! | `openai`, `anthropic`, `gemini`, `ollama`, `cloudflare` | one kind of HTTP provider each |
//! | `scripted` | what does the provider without a model reply? |
//! | `reading`, `finish_reason`, `thinking`, `usage` | what does a response mean, read tolerantly? |
//! | `error_body`, `error_words`, `in_between`, `compressed` | what is an error, and who sent it? |
//! | `stream`, `stream_deltas`, `instructions`, `retry_after` | what do they share? |
//! | `provider`, `transport`, `clock`, `client_error` | how is it sent, with which timeouts? |
//! | `decoding_time` | how much processor time may reading one stream take? |
//! | `propagation` | which trace does a provider get to know? |
//! | `reply_check`, `nulls`, `text` | how is a reply checked, and how is its text forwarded? |
//! | `hint`, `redact` | what does an error say, and what must it not contain? |
//!
//! **Invariant:** this crate does not know wasm, orders or the queue. It gets a request with a
//! purpose, a deadline, a budget and a journal. Of the order behind them it knows the id and the
//! label of the tenant, to tell callers apart.
//!
//! **Invariant:** adapters are pure functions over bytes; only `transport` sends.
//!
//! **Invariant:** no lock is held across a request.

mod adapter;
mod answer;
mod anthropic;
mod batch;
mod budget;
mod caller;
mod candidate;
mod client_error;
mod clock;
mod cloudflare;
mod compressed;
mod config;
mod day_budget;
mod decoding_time;
mod dispatch;
mod error_body;
mod error_words;
mod failure;
mod fair_slots;
mod finish_reason;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod gemini;
mod hedge;
mod hint;
mod in_between;
mod instructions;
mod journal;
mod json;
mod judge;
mod key_command;
mod known_schemas;
mod large_replies;
mod learned_limit;
mod limiter;
mod nulls;
mod ollama;
mod openai;
mod parameters;
mod probe;
mod prompt;
mod propagation;
mod provider;
mod reading;
mod redact;
mod reply_cache;
mod reply_check;
mod request;
mod retry;
mod retry_after;
mod round_robin;
mod route;
mod route_builder;
mod same_frame;
mod scripted;
mod secret;
mod settings;
mod stream;
mod stream_deltas;
#[cfg(test)]
mod testing;
mod text;
mod thinking;
mod transport;
mod usage;
mod wire;

pub use batch::{
    Batch, BatchAnswer, BatchError, BatchErrorKind, BatchProgress, BatchQueue, BatchRequest,
    BatchResult, BatchResults, BatchedCall, BatchedEnd, EndedBatch, KnownCall, NewBatchCall,
};
pub use budget::{OrderBudget, Spent};
pub use config::{
    AiConfig, AnthropicConfig, AnthropicJson, BatchApi, BatchConfig, BreakerConfig, BudgetConfig,
    CacheTime, CandidateConfig, CloudflareConfig, ConfigError, ConfigProblem, EndpointConfig,
    EnvSource, FileSource, GeminiConfig, GeminiJson, LimitsConfig, OllamaConfig, OpenAiApi,
    OpenAiConfig, PriceConfig, ProviderConfig, Reasoning, RetryConfig, RouteConfig, ScriptedConfig,
    TenantBudgetConfig, TextSource,
};
pub use day_budget::{BudgetUnit, UsedBudget};
pub use gateway::{
    BreakerState, CallContext, CandidateInfo, Gateway, OpenBreaker, RouteInfo, UnroutedPurposes,
};
pub use journal::{
    FileJournal, Journal, JournalEntry, JournalKey, Recalled, RunJournal, UnusableReply,
    read_journal,
};
pub use json::{ReplySchema, SchemaError};
pub use judge::{ReplyJudge, ToJudge};
pub use known_schemas::KnownSchemas;
pub use limiter::opens_breakers;
pub use openai::Dialect;
pub use probe::Probe;
pub use prompt::{Part, PartedMessage, delimited};
pub use propagation::propagate_with;
pub use redact::Redactor;
pub use reply_cache::{CacheKey, ReplyCache};
pub use request::{ChatMessage, Format, Purpose, PurposeError, Request, Role};
pub use sitewright_rules::delimiter::Mark;
pub use text::{ChunkObserver, TextSink};
