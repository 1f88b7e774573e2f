//! One try of one candidate: its time, its checks, and what is kept of it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use tracing::field::Empty;
use url::Url;

use super::config::{PriceConfig, RetryConfig};
use super::gateway::CallContext;
use super::hint::{self, Place};
use super::json::{self, JsonProblem, ReplySchema};
use super::limiter::Gate;
use super::provider::{self, Failure, Prompt, Provider, Reply};
use super::request::{Format, Request};
use super::text::TextSink;
use super::transport::{Live, Transport};
use sitewright_model::ai::Usd;
use sitewright_model::ai::{AiErrorKind, Attempt, AttemptOutcome, HttpDetail, Limit};
use sitewright_model::ai::{Completion, FinishReason, Usage};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;

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
        text: &mut TextSink,
    ) -> (Attempt, Result<(Completion, Option<String>), Failed>) {
        let span = self.span(route, request, call);
        let (started, begin) = (SystemTime::now(), Instant::now());
        text.begin();
        let mut live = Live::new(text);
        let checked = async {
            let reply = self.ask(request, call.deadline, transport, &mut live).await?;
            checked(reply, &request.format, call.deadline).await
        };
        let result = checked.instrument(span.clone()).await;
        let mut attempt = self.begun(started);
        attempt.duration_ms = millis(begin.elapsed());
        attempt.connect_ms = live.timing.connect.map(millis);
        attempt.first_byte_ms = live.timing.first_byte.map(millis);
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
                let finish = match completion.finish_reason {
                    FinishReason::Stop => "[\"stop\"]",
                    FinishReason::Other => "[\"other\"]",
                };
                span.record("gen_ai.response.finish_reasons", finish);
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
                if failed.failure.kind == AiErrorKind::Truncated {
                    span.record("gen_ai.response.finish_reasons", "[\"length\"]");
                }
                Err(failed)
            }
        };
        attempt.cost_usd = self.cost(attempt.usage);
        span.record("gen_ai.usage.input_tokens", attempt.usage.input_tokens);
        span.record("gen_ai.usage.output_tokens", attempt.usage.output_tokens);
        span.in_scope(|| match &result {
            Ok(_) => tracing::info!(duration_ms = attempt.duration_ms, "an AI attempt succeeded"),
            Err(failed) => tracing::warn!(
                duration_ms = attempt.duration_ms,
                status = attempt.status,
                request_id = attempt.request_id,
                reason = %failed.message,
                "an AI attempt failed"
            ),
        });
        (attempt, result)
    }

    /// The span of one attempt, after OpenTelemetry's conventions for generative AI. No prompt and
    /// no reply is ever on it; which order it serves stands on the span around it.
    fn span(&self, route: &str, request: &Request, call: &CallContext) -> tracing::Span {
        let span = tracing::info_span!(
            "chat",
            otel.name = format!("chat {}", self.model),
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            // The conventions know Gemini's API under a name of its own.
            gen_ai.provider.name = match self.provider.kind() {
                "gemini" => "gcp.gemini",
                kind => kind,
            },
            gen_ai.request.model = self.model.as_str(),
            gen_ai.response.model = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            error.type = Empty,
            server.address = Empty,
            server.port = Empty,
            provider = self.provider_name.as_str(),
            route,
            purpose = request.purpose.as_str(),
            call = %call.call_id,
        );
        if !span.is_disabled()
            && let Ok(url) = Url::parse(&self.provider.place())
        {
            span.record("server.address", url.host_str());
            span.record("server.port", url.port_or_known_default());
        }
        span
    }

    /// The provider's answer within its limits and what remains to the deadline (catalogue C8).
    async fn ask(
        &self,
        request: &Request,
        deadline: Instant,
        transport: &Transport,
        live: &mut Live<'_>,
    ) -> Result<Reply, Failure> {
        let prompt = Prompt {
            request,
            model: &self.model,
            max_output_tokens: self
                .max_output_tokens
                .into_iter()
                .chain(request.max_output_tokens)
                .min(),
            temperature: request.temperature.or(self.temperature).filter(|_| self.send_temperature),
        };
        self.provider.call(&prompt, transport, deadline, live).await
    }

    /// What these tokens cost, when the model has a price and the provider counted.
    pub(super) fn cost(&self, usage: Usage) -> Option<Usd> {
        let counted = usage != Usage::default();
        self.price.filter(|_| counted).map(|price| super::budget::cost_of(price, usage))
    }

    /// The record of an attempt that was not let through to the provider.
    pub(super) fn turned_away(&self, route: &str, failure: Failure) -> (Attempt, Failed) {
        let failed = self.described(route, failure);
        let attempt = Attempt {
            outcome: AttemptOutcome::Failed(failed.failure.kind),
            message: Some(failed.message.clone()),
            limit: failed.failure.limit,
            not_sent: true,
            ..self.begun(SystemTime::now())
        };
        tracing::warn!(provider = self.provider_name, route, reason = %failed.message, "an AI attempt was not made");
        (attempt, failed)
    }

    fn begun(&self, started: SystemTime) -> Attempt {
        let since_epoch = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Attempt {
            provider: self.provider_name.clone(),
            model: self.model.clone(),
            started_ms: millis(since_epoch),
            status: None,
            request_id: None,
            body_excerpt: None,
            waited_ms: 0,
            backoff_ms: 0,
            asked_again: false,
            not_sent: false,
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
        Attempt {
            message: Some(message!("the script {place} is loaded; it was not asked")),
            ..self.begun(SystemTime::now())
        }
    }

    /// What to do about a failure that has been described.
    pub(super) fn advice(&self, route: &str, failure: &Failure) -> Option<Message> {
        Message::new(hint::what_next(&self.place(route), failure))
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
        let message = hint::message(&self.place(route), &failure);
        Failed { failure, message }
    }
}

/// Replies that are longer are not parsed on the runtime's threads.
const PARSED_AT_ONCE: usize = 64 * 1024;

/// The reply with its JSON checked, and the raw reply when the JSON was only a part of it.
///
/// The schema is the template's: one whose references fan out takes for ever although it is short,
/// so no such schema is checked on the runtime's threads (catalogue C4), and nobody waits for it
/// beyond the order's deadline.
async fn checked(
    reply: Reply,
    format: &Format,
    deadline: Instant,
) -> Result<(Reply, Option<String>), Failure> {
    let schema = match format {
        Format::Text => return Ok((reply, None)),
        Format::Json if reply.content.len() <= PARSED_AT_ONCE => return extracted(reply, None),
        Format::Json => None,
        Format::JsonSchema(schema) if schema.is_quick(reply.content.len()) => {
            return extracted(reply, Some(schema));
        }
        Format::JsonSchema(schema) => Some(schema.clone()),
    };
    let usage = reply.usage;
    let checking = tokio::task::spawn_blocking(move || extracted(reply, schema.as_ref()));
    match timeout_at(deadline, checking).await {
        Ok(Ok(checked)) => checked,
        Ok(Err(error)) => {
            let detail =
                format!("its reply could not be checked, which is a bug in Sitewright: {error}");
            Err(Failure::new(AiErrorKind::Other, detail).with_usage(usage))
        }
        Err(_) => {
            let detail = "the order's deadline passed while the reply was held against the \
                          template's schema";
            let failure = Failure::new(AiErrorKind::Cancelled, detail).with_usage(usage);
            Err(Failure { limit: Some(Limit::Deadline), ..failure })
        }
    }
}

fn extracted(
    reply: Reply,
    schema: Option<&ReplySchema>,
) -> Result<(Reply, Option<String>), Failure> {
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
    let http =
        HttpDetail { body_excerpt: provider::excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = Failure::new(kind, detail).with_http(http).with_usage(reply.usage);
    Err(Failure { reply: Some(reply.content), ..failure })
}
