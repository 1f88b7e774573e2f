//! The scripted provider: rules of a file in place of a model.
//!
//! What a rule says is put into the very bytes that an endpoint would send and decoded by the same
//! code, so that a scripted fault and a real one look alike in every record.

use std::fs;
use std::future::pending;
use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use sitewright_script::{Answer, ConnectionFault, Fault, Question, Script};
use tokio::time::Instant;

use super::config::ScriptedConfig;
use super::openai;
use super::provider::{Failure, HttpHead, HttpReply, Prompt, Reply};
use super::request::Format;
use super::transport::{Clock, Live};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The model that a scripted candidate has when the route names none.
pub(super) const MODEL: &str = "script";

/// Rules, ready to answer.
#[derive(Debug)]
pub(super) struct Scripted {
    script: Script,
    /// The file, or what stands for it in messages.
    place: String,
    pub(super) call_limit: Duration,
}

impl Scripted {
    /// Reads the rules. Blocks on file I/O.
    pub(super) fn read(config: &ScriptedConfig, base_dir: &Path) -> Result<Self, Message> {
        let (place, text) = match (&config.rules, &config.rules_inline) {
            (Some(path), _) => {
                let path = base_dir.join(path);
                let place = path.display().to_string();
                let text = fs::read_to_string(&path).map_err(|error| {
                    message!(
                        "the script {place} cannot be read ({error}); name the TOML file with the \
                         rules"
                    )
                })?;
                (place, text)
            }
            (None, text) => ("`rules_inline`".to_owned(), text.clone().unwrap_or_default()),
        };
        let script = Script::from_toml(&text).map_err(|error| message!("in {place}: {error}"))?;
        Ok(Scripted { script, place, call_limit: Duration::from_millis(config.call_ms) })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Answers within its limit and before the deadline.
    pub(super) async fn call(
        &self,
        prompt: &Prompt<'_>,
        deadline: Instant,
        live: &mut Live<'_>,
    ) -> Result<Reply, Failure> {
        let clock = Clock::start(self.call_limit, deadline);
        let reply = clock.within(None, self.answer(prompt)).await?;
        live.timing.first_byte = Some(clock.elapsed());
        reply
    }

    async fn answer(&self, prompt: &Prompt<'_>) -> Result<Reply, Failure> {
        let request = prompt.request;
        let messages: Vec<&str> =
            request.messages.iter().map(|message| message.content.as_str()).collect();
        let schema = match &request.format {
            Format::JsonSchema(schema) => Some(schema.value()),
            Format::Text | Format::Json => None,
        };
        let question = Question { purpose: request.purpose.as_str(), messages: &messages, schema };
        let Some(reply) = self.script.answer(&question) else {
            let failure = Failure::new(AiErrorKind::NotFound, question.unanswered(&self.place));
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

async fn failing(prompt: &Prompt<'_>, fault: Fault) -> Result<Reply, Failure> {
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
            return Err(Failure::new(AiErrorKind::Connection, what));
        }
        Fault::Connection(ConnectionFault::Reset) => {
            let what = "the connection broke before the answer was whole: connection reset by peer";
            return Err(Failure::new(AiErrorKind::Connection, what));
        }
    };
    openai::decode(&http)
}

/// A chat completion. Tokens are guessed at four bytes each, so that usage is never missing and
/// always the same.
fn answer(prompt: &Prompt<'_>, content: &str, finish_reason: &str) -> HttpReply {
    let tokens = |bytes: usize| bytes.div_ceil(4);
    let input: usize = prompt.request.messages.iter().map(|message| message.content.len()).sum();
    let body = json!({
        "model": prompt.model,
        "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": tokens(input), "completion_tokens": tokens(content.len())},
    });
    http(200, HeaderMap::new(), body.to_string().into_bytes())
}

fn http(status: u16, headers: HeaderMap, body: Vec<u8>) -> HttpReply {
    HttpReply { head: HttpHead { status, headers, received: SystemTime::now() }, body }
}
