//! What comes back when all went well.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call_id::CallId;
use super::error::Attempt;
use super::usd::Usd;

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// It was done, or met a stop text.
    Stop,
    /// Anything else that is not an error.
    Other,
}

/// Tokens, as the provider counted them. Missing where it did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the reply, thinking included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
}

/// A whole, checked reply. Never empty, never cut; when JSON was asked for, exactly one JSON value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// What the model wrote. When JSON was asked for, only the JSON, letter for letter.
    pub content: String,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// What it used.
    pub usage: Usage,
    /// Name of the provider in the configuration.
    pub provider: String,
    /// Name of the model, as the provider gave it.
    pub model: String,
    /// Which call this is.
    pub call_id: CallId,
}

/// A reply, and what it took to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The reply.
    pub completion: Completion,
    /// Every attempt, the failed ones first; the last one succeeded.
    pub attempts: Vec<Attempt>,
    /// What the model wrote, when the JSON stood inside other text.
    pub raw_reply: Option<String>,
    /// Whether it comes from the journal, at no cost.
    pub replayed: bool,
}

impl Completed {
    /// What all attempts cost together; nothing when no price is known.
    pub fn cost_usd(&self) -> Option<Usd> {
        self.attempts.iter().filter_map(|attempt| attempt.cost_usd).reduce(Usd::plus)
    }
}
