//! Successful AI calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call_id::CallId;
use super::error::Attempt;
use super::usd::Usd;

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The reply is complete, or a stop text was generated.
    Stop,
    /// Another reason that is not an error.
    Other,
}

/// Token counts of the provider. Missing if it does not report them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the request, cached ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the reply, reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens of the request that the provider read from its prompt cache; part of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Tokens of the request that the provider wrote to its prompt cache; part of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens that the model thought; part of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Input and output tokens only.
    pub fn of(input: u64, output: u64) -> Self {
        Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() }
    }
}

/// A complete, checked reply: not empty, not truncated, and exactly one JSON value if JSON was
/// requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The model's text; if JSON was requested, only the JSON, unchanged.
    pub content: String,
    pub finish_reason: FinishReason,
    pub usage: Usage,
    /// Name of the provider in the configuration.
    pub provider: String,
    /// Name of the model, as the provider reports it.
    pub model: String,
    pub call_id: CallId,
}

/// A reply, with the attempts that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    pub completion: Completion,
    /// All attempts; only the last one succeeded. Empty if no model was asked.
    pub attempts: Vec<Attempt>,
    /// The model's whole text, if the JSON is only a part of it.
    pub raw_reply: Option<String>,
    pub source: ReplySource,
    /// See [`Attempt::end_unsaid`], of the attempt that succeeded.
    pub end_unsaid: bool,
}

/// Where a reply comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplySource {
    /// A model answered.
    Provider,
    /// The journal of the order, at no cost.
    Journal,
    /// An equal request of another order, at no cost.
    Cache {
        /// What that order paid; `None` if the model has no price.
        saved_usd: Option<Usd>,
    },
}

impl Completed {
    /// The cost of all attempts; `None` if no price is known.
    pub fn cost_usd(&self) -> Option<Usd> {
        self.attempts.iter().filter_map(|attempt| attempt.cost_usd).reduce(Usd::plus)
    }
}
