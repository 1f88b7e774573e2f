//! The rules of the scripted AI provider: which request gets which answer or fault.
//!
//! A script replaces a model in the demo, in tests and in the conformance suite. This crate only
//! selects the answer; it does no I/O and never waits, so that the host's gateway and the SDK's
//! test harness share it.
//!
//! ```toml
//! [[rule]]
//! purpose = "copywriting"                # only requests of this purpose
//! contains = ["page: home", "pt-BR"]     # only if the messages contain all of these texts
//! times = 1                              # only for this number of calls; default: no limit
//! delay_ms = 100                         # delay of the answer in milliseconds; default: 0
//! answer = { text = "Bem-vindo" }        # or json, json_text, from_schema, fault
//! ```
//!
//! `from_schema` generates an answer from the request's schema: `true` or `"smallest"`, `"full"`
//! (with optional properties and list entries), `"hostile"` (with markup in every text) or `"off"`
//! (an invalid value). Such a rule does not match a request without a schema.
//!
//! The first rule that matches answers. A rule without conditions matches every request.

mod parse;
mod sample;

pub use sample::{HOSTILE, Sample, sample};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

/// The rules of a script, with the number of calls that each has answered.
#[derive(Debug)]
pub struct Script {
    rules: Vec<Rule>,
}

/// The parts of a request that rules match.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The purpose of the call.
    pub purpose: &'a str,
    /// The texts of all messages, first to last.
    pub messages: &'a [&'a str],
    /// The JSON Schema of the reply, if the request has one.
    pub schema: Option<&'a Value>,
}

/// The answer of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Number of the rule in the script, counted from 1.
    pub rule: usize,
    /// Delay before the answer.
    pub delay: Duration,
    /// The answer itself.
    pub answer: Answer,
}

/// A text or a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The content of a complete reply.
    Text(String),
    /// A failure of the provider, the model or the connection.
    Fault(Fault),
}

/// A failure that a scripted provider can simulate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An HTTP error response.
    Status {
        /// The HTTP status, 300 to 599.
        status: u16,
        /// The body; may be empty.
        body: String,
        /// Response headers, such as `retry-after`.
        headers: BTreeMap<String, String>,
    },
    /// A reply that was truncated at a token limit, according to its finish reason.
    Cut(String),
    /// HTTP status 200 with this body, which does not follow the provider's protocol.
    Garbage(String),
    /// A reply without content.
    Empty,
    /// A rejection by the provider's content filter.
    Refused,
    /// No response until a timeout expires.
    Hang,
    /// A failure of the connection before the response.
    Connection(ConnectionFault),
}

/// A simulated failure of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionFault {
    /// The connection is refused.
    Refused,
    /// The connection is closed before the response.
    Reset,
}

/// Why a script is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The text is not TOML.
    #[error("the script is not valid TOML: {0}")]
    Syntax(String),
    /// The document has an error outside of the rules.
    #[error("the script has a problem: {0}")]
    Document(String),
    /// A rule has an error.
    #[error("rule {rule}, field `{field}`: {problem}")]
    Rule {
        /// Number of the rule, counted from 1.
        rule: usize,
        /// The invalid field, as a dotted path: `answer.fault`.
        field: String,
        /// What is wrong and what would be valid.
        problem: String,
    },
}

impl Script {
    /// Parses and validates a script, so that [`answer`](Self::answer) cannot fail.
    ///
    /// # Errors
    /// The first error, with the rule's number and the field.
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        Ok(Script { rules: parse::rules(text)? })
    }

    /// Returns the answer of the first rule that matches and has calls left, and counts the call.
    /// `None` if there is no such rule.
    pub fn answer(&self, question: &Question<'_>) -> Option<Reply> {
        self.rules.iter().enumerate().find_map(|(index, rule)| {
            let answer = rule.answer(question)?;
            rule.count_call().then_some(Reply { rule: index + 1, delay: rule.delay, answer })
        })
    }

    /// The number of rules; at least 1.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }
}

impl Question<'_> {
    /// The error message for a request that no rule matches. `script` names the script.
    pub fn unanswered(&self, script: &str) -> String {
        let prompt: String = self.messages.join("\n").chars().take(200).collect();
        format!(
            "no rule of the script {script} answers the purpose `{}` for the prompt {prompt:?}: \
             add a rule for it to {script}",
            self.purpose
        )
    }
}

#[derive(Debug)]
struct Rule {
    purpose: Option<String>,
    contains: Vec<String>,
    times: Option<u32>,
    calls: AtomicU32,
    delay: Duration,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Text(String),
    FromSchema(Sample),
    Fault(Fault),
}

impl Rule {
    fn answer(&self, question: &Question<'_>) -> Option<Answer> {
        let purpose_fits = self.purpose.as_ref().is_none_or(|purpose| purpose == question.purpose);
        let occurs =
            |text: &String| question.messages.iter().any(|message| message.contains(text.as_str()));
        if !purpose_fits || !self.contains.iter().all(occurs) {
            return None;
        }
        match &self.action {
            Action::Text(text) => Some(Answer::Text(text.clone())),
            Action::Fault(fault) => Some(Answer::Fault(fault.clone())),
            Action::FromSchema(how) => question.schema.map(|schema| {
                Answer::Text(sample::answer(schema, *how, question.messages).to_string())
            }),
        }
    }

    /// Counts a call, unless the rule has answered all of its calls. Safe for concurrent calls.
    fn count_call(&self) -> bool {
        let Some(times) = self.times else { return true };
        self.calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
                (calls < times).then_some(calls + 1)
            })
            .is_ok()
    }
}
