//! The scripted provider: rules of a file instead of a model.
//!
//! The reply of a rule is encoded as an endpoint would send it and decoded by the same code, so
//! that records of scripted and real faults look the same.

use std::fs;
use std::future::pending;
use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use sitewright_script::{Answer, ConnectionFault, Fault, Question, Script};
use tokio::time::Instant;

use super::answer::Reply;
use super::clock::Clock;
use super::config::ScriptedConfig;
use super::failure::AttemptFailure;
use super::openai;
use super::request::Format;
use super::transport::Live;
use super::wire::{HttpHead, HttpReply, Prompt};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The model of a scripted candidate whose route does not name one.
pub(super) const MODEL: &str = "script";

#[derive(Debug)]
pub(super) struct Scripted {
    script: Script,
    /// The path of the file, or its substitute in messages.
    location: String,
    pub(super) call_limit: Duration,
}

impl Scripted {
    /// Reads the rules. Blocks on file I/O.
    pub(super) fn read(config: &ScriptedConfig, base_dir: &Path) -> Result<Self, Message> {
        let (location, text) = match (&config.rules, &config.rules_inline) {
            (Some(path), _) => {
                let path = base_dir.join(path);
                let location = path.display().to_string();
                let text = fs::read_to_string(&path).map_err(|error| {
                    message!(
                        "the script {location} cannot be read ({error}); name the TOML file with \
                         the rules"
                    )
                })?;
                (location, text)
            }
            (None, text) => ("`rules_inline`".to_owned(), text.clone().unwrap_or_default()),
        };
        let script =
            Script::from_toml(&text).map_err(|error| message!("in {location}: {error}"))?;
        Ok(Scripted { script, location, call_limit: Duration::from_millis(config.call_ms) })
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Replies within its timeout and before the deadline.
    pub(super) async fn call(
        &self,
        prompt: &Prompt<'_>,
        deadline: Instant,
        live: &mut Live<'_>,
    ) -> Result<Reply, AttemptFailure> {
        let clock = Clock::start(self.call_limit, deadline);
        let reply = clock.within(None, self.answer(prompt)).await?;
        live.timing.first_byte = Some(clock.elapsed());
        reply
    }

    async fn answer(&self, prompt: &Prompt<'_>) -> Result<Reply, AttemptFailure> {
        let request = prompt.request;
        let messages: Vec<&str> =
            request.messages.iter().map(|message| message.content.as_str()).collect();
        let schema = match &request.format {
            Format::JsonSchema(schema) => Some(schema.value()),
            Format::Text | Format::Json => None,
        };
        let question = Question { purpose: request.purpose.as_str(), messages: &messages, schema };
        let Some(reply) = self.script.answer(&question) else {
            let failure =
                AttemptFailure::new(AiErrorKind::NotFound, question.unanswered(&self.location));
            return Err(failure);
        };
        if !reply.delay.is_zero() {
            tokio::time::sleep(reply.delay).await;
        }
        match reply.answer {
            Answer::Text(text) => openai::decode(&answer(prompt, &text, "stop")),
            Answer::Fault(fault) => failing(prompt, fault).await,
        }
    }
}

async fn failing(prompt: &Prompt<'_>, fault: Fault) -> Result<Reply, AttemptFailure> {
    let http = match fault {
        Fault::Status { status, body, headers } => {
            let headers = headers.iter().filter_map(|(name, value)| {
                Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
            });
            http(status, headers.collect(), body.into_bytes())
        }
        Fault::Garbage(body) => http(200, HeaderMap::new(), body.into_bytes()),
        Fault::Cut(text) => answer(prompt, &text, "length"),
        Fault::Empty => answer(prompt, "", "stop"),
        Fault::Refused => answer(prompt, "", "content_filter"),
        Fault::Hang => pending().await,
        Fault::Connection(ConnectionFault::Refused) => {
            let what = "the connection was refused: nothing listens there";
            return Err(AttemptFailure::new(AiErrorKind::Connection, what));
        }
        Fault::Connection(ConnectionFault::Reset) => {
            let what =
                "the connection was lost before the answer was complete: connection reset by peer";
            return Err(AttemptFailure::new(AiErrorKind::Connection, what));
        }
    };
    openai::decode(&http)
}

/// A chat completion. A token counts as four bytes, so that usage is present and reproducible.
fn answer(prompt: &Prompt<'_>, content: &str, finish_reason: &str) -> HttpReply {
    let tokens = |bytes: usize| bytes.div_ceil(4);
    let input: usize = prompt.request.messages.iter().map(|message| message.content.len()).sum();
    let message = json!({"role": "assistant", "content": content});
    let body = json!({
        "model": prompt.model,
        "choices": [{"message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": tokens(input), "completion_tokens": tokens(content.len())},
    });
    http(200, HeaderMap::new(), body.to_string().into_bytes())
}

fn http(status: u16, headers: HeaderMap, body: Vec<u8>) -> HttpReply {
    HttpReply { head: HttpHead { status, headers, received: SystemTime::now() }, body }
}
