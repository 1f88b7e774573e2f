//! One try of one candidate: its time, its checks, and what is kept of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::advice::{self, Place};
use super::budget::Usd;
use super::completion::{Completion, Usage};
use super::config::{PriceConfig, RetryConfig};
use super::error::{AiErrorKind, Attempt, AttemptOutcome, HttpDetail};
use super::gate::Gate;
use super::gateway::CallContext;
use super::json::{self, JsonProblem};
use super::provider::{self, Failure, Prompt, Provider, Reply};
use super::request::{Format, Request};
use super::transport::{Timing, Transport};
use crate::message;
use crate::message::Message;

/// Most characters of a provider's words in a message; more of them stands in the excerpt.
const MAX_DETAIL_CHARS: usize = 800;

/// One provider and model of a route, ready to be called.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) provider_name: String,
    pub(super) provider: Arc<Provider>,
    pub(super) gate: Arc<Gate>,
    pub(super) retry: RetryConfig,
    pub(super) price: Option<PriceConfig>,
    pub(super) model: String,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
    pub(super) send_temperature: bool,
}

/// A failed attempt with all it takes to make an error of it.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) message: Message,
}

impl Candidate {
    /// One try, at once. Limits, budget and retries are around it.
    pub(super) async fn attempt(
        &self,
        route: &str,
        request: &Request,
        call: &CallContext,
        transport: &Transport,
    ) -> (Attempt, Result<(Completion, Option<String>), Failed>) {
        let span = tracing::info_span!(
            "ai_attempt",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = self.provider.kind(),
            gen_ai.request.model = self.model.as_str(),
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            error.type = Empty,
            provider = self.provider_name.as_str(),
            route,
            purpose = request.purpose.as_str(),
            call = %call.call_id,
        );
        let mut attempt = self.begun();
        let begin = Instant::now();
        let mut timing = Timing::default();
        let checked = async {
            let reply = self.ask(request, call.deadline, transport, &mut timing).await?;
            checked(reply, &request.format)
        };
        let result = checked.instrument(span.clone()).await;
        attempt.duration_ms = millis(begin.elapsed());
        attempt.connect_ms = timing.connect.map(millis);
        attempt.first_byte_ms = timing.first_byte.map(millis);
        let result = match result {
            Ok((reply, raw)) => {
                attempt.usage = reply.usage;
                attempt.status = Some(reply.http.status);
                attempt.request_id = reply.http.request_id;
                let completion = Completion {
                    content: reply.content,
                    finish_reason: reply.finish_reason,
                    usage: reply.usage,
                    provider: self.provider_name.clone(),
                    model: reply.model.unwrap_or_else(|| self.model.clone()),
                    call_id: call.call_id,
                };
                span.record("gen_ai.response.model", completion.model.as_str());
                Ok((completion, raw))
            }
            Err(failure) => {
                let failed = self.described(route, failure);
                attempt.outcome = AttemptOutcome::Failed(failed.failure.kind);
                attempt.usage = failed.failure.usage;
                attempt.message = Some(failed.message.clone());
                attempt.limit = failed.failure.limit;
                if let Some(http) = &failed.failure.http {
                    attempt.status = Some(http.status);
                    attempt.request_id.clone_from(&http.request_id);
                    attempt.body_excerpt.clone_from(&http.body_excerpt);
                }
                span.record("error.type", failed.failure.kind.as_str());
                span.in_scope(|| tracing::warn!(reason = %failed.message, "an AI attempt failed"));
                Err(failed)
            }
        };
        attempt.cost_usd = self.cost(attempt.usage);
        span.record("gen_ai.usage.input_tokens", attempt.usage.input_tokens);
        span.record("gen_ai.usage.output_tokens", attempt.usage.output_tokens);
        (attempt, result)
    }

    /// The provider's answer within its limits and what remains to the deadline (catalogue C8).
    async fn ask(
        &self,
        request: &Request,
        deadline: Instant,
        transport: &Transport,
        timing: &mut Timing,
    ) -> Result<Reply, Failure> {
        let prompt = Prompt {
            request,
            model: &self.model,
            max_output_tokens: self.max_output_tokens.into_iter().chain(request.max_output_tokens).min(),
            temperature: request.temperature.or(self.temperature).filter(|_| self.send_temperature),
        };
        self.provider.call(prompt, transport, deadline, timing).await
    }

    /// What these tokens cost, when the model has a price and the provider counted.
    pub(super) fn cost(&self, usage: Usage) -> Option<Usd> {
        let counted = usage != Usage::default();
        self.price.filter(|_| counted).map(|price| Usd::of(price, usage))
    }

    /// The record of an attempt that was not let through to the provider.
    pub(super) fn turned_away(&self, route: &str, failure: Failure) -> (Attempt, Failed) {
        let failed = self.described(route, failure);
        let attempt = Attempt {
            outcome: AttemptOutcome::Failed(failed.failure.kind),
            message: Some(failed.message.clone()),
            limit: failed.failure.limit,
            ..self.begun()
        };
        tracing::warn!(provider = self.provider_name, route, reason = %failed.message, "an AI attempt was not made");
        (attempt, failed)
    }

    fn begun(&self) -> Attempt {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Attempt {
            provider: self.provider_name.clone(),
            model: self.model.clone(),
            started_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            status: None,
            request_id: None,
            body_excerpt: None,
            waited_ms: 0,
            backoff_ms: 0,
            asked_again: false,
            connect_ms: None,
            first_byte_ms: None,
            duration_ms: 0,
            limit: None,
            outcome: AttemptOutcome::Succeeded,
            message: None,
            usage: Usage::default(),
            cost_usd: None,
        }
    }

    /// The record of a candidate that a probe leaves alone.
    pub(super) fn not_asked(&self) -> Attempt {
        let place = self.provider.place();
        Attempt { message: Some(message!("the script {place} is loaded; it was not asked")), ..self.begun() }
    }

    /// What to do about a failure that has been described.
    pub(super) fn advice(&self, route: &str, failure: &Failure) -> Option<Message> {
        Message::new(advice::what_next(&self.place(route), failure))
    }

    fn place<'a>(&'a self, route: &'a str) -> Place<'a> {
        Place { route, provider: &self.provider_name, model: &self.model, at: &self.provider }
    }

    /// Removes keys from everything the failure carries, cuts the excerpt, and finds the words.
    fn described(&self, route: &str, mut failure: Failure) -> Failed {
        let redactor = self.provider.redactor();
        // Cut only after redaction: half a key is still too much of it.
        let detail = redactor.redact(&failure.detail);
        failure.detail = match detail.char_indices().nth(MAX_DETAIL_CHARS) {
            Some((end, _)) => format!("{}...", &detail[..end]),
            None => detail.into_owned(),
        };
        if let Some(http) = &mut failure.http {
            let clean = |text: String| provider::cut_excerpt(&redactor.redact(&text)).to_owned();
            http.body_excerpt = http.body_excerpt.take().map(clean);
            http.request_id = http.request_id.take().map(|id| redactor.redact(&id).into_owned());
        }
        let clean = |cause: &Message| Message::new(redactor.redact(cause.as_str()));
        failure.causes = failure.causes.iter().filter_map(clean).collect();
        let message = advice::message(&self.place(route), &failure);
        Failed { failure, message }
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The reply with its JSON checked, and the raw reply when the JSON was only a part of it.
fn checked(reply: Reply, format: &Format) -> Result<(Reply, Option<String>), Failure> {
    let schema = match format {
        Format::Text => return Ok((reply, None)),
        Format::Json => None,
        Format::JsonSchema(schema) => Some(schema),
    };
    let (kind, detail) = match json::extract(&reply.content, schema) {
        Ok(json) if json.len() == reply.content.len() => return Ok((reply, None)),
        Ok(json) => {
            let json = json.to_owned();
            let raw = reply.content;
            return Ok((Reply { content: json, ..reply }, Some(raw)));
        }
        Err(JsonProblem::Malformed(detail)) => (AiErrorKind::Malformed, detail),
        Err(JsonProblem::Mismatch(detail)) => (AiErrorKind::SchemaMismatch, detail),
    };
    // What the model wrote says more than the envelope around it.
    let http = HttpDetail { body_excerpt: provider::excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = Failure::new(kind, detail).with_http(http).with_usage(reply.usage);
    Err(Failure { reply: Some(reply.content), ..failure })
}
