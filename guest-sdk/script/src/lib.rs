//! The scripted AI provider's rules: which request gets which answer or fault.
//!
//! A script stands in for a model in the demo, in tests and in the conformance suite. This crate
//! only decides; it does no I/O and never waits, so that the host's gateway and a template's native
//! test harness follow the very same rules.
//!
//! ```toml
//! [[rule]]
//! purpose = "copywriting"                # only requests of this purpose
//! contains = ["page: home", "pt-BR"]     # all of these occur in the request's messages
//! times = 1                              # serves this many calls, then later rules match
//! delay_ms = 100                         # answers after this long
//! answer = { text = "Bem-vindo" }        # or json, json_text, from_schema, fault
//! ```
//!
//! `from_schema` answers a request that has a schema with a value made from it: `true` or
//! `"smallest"`, `"full"` (everything optional, lists with entries), `"hostile"` (markup in every
//! text) or `"off"` (what no object's schema accepts).
//!
//! The first rule that matches answers. A rule without conditions matches everything.

mod parse;
mod sample;

pub use sample::{HOSTILE, Sample, sample};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

/// The rules of one script, with the counts of how often each has served.
#[derive(Debug)]
pub struct Script {
    rules: Vec<Rule>,
}

/// What a rule is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The purpose the template named.
    pub purpose: &'a str,
    /// The contents of all messages, first to last.
    pub messages: &'a [&'a str],
    /// The JSON Schema of the reply, when the request has one.
    pub schema: Option<&'a Value>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Number of the rule in its file, counted from 1.
    pub rule: usize,
    /// How long to wait before answering.
    pub delay: Duration,
    /// The answer itself.
    pub what: What,
}

/// An answer, or a way to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The content of a whole reply.
    Text(String),
    /// A failure of the provider, the model or the wire.
    Fault(Fault),
}

/// What a scripted provider can do wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An HTTP status of 300 to 599.
    Status {
        /// The status.
        status: u16,
        /// The body, may be empty.
        body: String,
        /// Response headers, such as `retry-after`.
        headers: BTreeMap<String, String>,
    },
    /// A reply whose finish reason says that it was cut at a token limit.
    Cut(String),
    /// Status 200 with this body, which is no reply of the protocol.
    Garbage(String),
    /// A reply without content.
    Empty,
    /// The provider's content filter refused.
    Refused,
    /// Never answers.
    Hang,
    /// No answer, because of the connection.
    Connection(ConnectionFault),
}

/// How a scripted connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionFault {
    /// Nobody listens.
    Refused,
    /// It was closed before the answer.
    Reset,
}

/// Why a script cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The text is not TOML.
    #[error("the script is not valid TOML: {0}")]
    Syntax(String),
    /// Something outside the rules is wrong.
    #[error("the script has a problem: {0}")]
    Document(String),
    /// One rule is wrong.
    #[error("rule {rule}, field `{field}`: {problem}")]
    Rule {
        /// Number of the rule, counted from 1.
        rule: usize,
        /// Its field, with a dot before an inner one: `answer.fault`.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Script {
    /// Reads and checks a script. Schemas, JSON texts, statuses and counts are checked here, so
    /// that answering cannot fail.
    ///
    /// # Errors
    /// The first problem, with the number of its rule and the field.
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        Ok(Script { rules: parse::rules(text)? })
    }

    /// The answer of the first rule that matches and has calls left, counted as one call of that
    /// rule.
    pub fn answer(&self, question: &Question<'_>) -> Option<Reply> {
        self.rules.iter().enumerate().find_map(|(index, rule)| {
            let what = rule.what(question)?;
            rule.take().then_some(Reply { rule: index + 1, delay: rule.delay, what })
        })
    }

    /// How many rules there are; at least 1.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }
}

impl Question<'_> {
    /// What to tell when no rule matched: the purpose, the beginning of the prompt and where to add
    /// a rule.
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
    served: AtomicU32,
    delay: Duration,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Text(String),
    FromSchema(Sample),
    Fault(Fault),
}

impl Rule {
    fn what(&self, question: &Question<'_>) -> Option<What> {
        let purpose_fits = self.purpose.as_ref().is_none_or(|purpose| purpose == question.purpose);
        let occurs =
            |text: &String| question.messages.iter().any(|message| message.contains(text.as_str()));
        if !purpose_fits || !self.contains.iter().all(occurs) {
            return None;
        }
        match &self.answer {
            Answer::Text(text) => Some(What::Text(text.clone())),
            Answer::Fault(fault) => Some(What::Fault(fault.clone())),
            // A rule that answers from the schema has nothing to say to a request without one.
            Answer::FromSchema(how) => question.schema.map(|schema| {
                What::Text(sample::answer(schema, *how, question.messages).to_string())
            }),
        }
    }

    /// Counts one call, unless the rule has served all of its calls. Calls come from many tasks at
    /// once.
    fn take(&self) -> bool {
        let Some(times) = self.times else { return true };
        self.served
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |served| {
                (served < times).then_some(served + 1)
            })
            .is_ok()
    }
}
