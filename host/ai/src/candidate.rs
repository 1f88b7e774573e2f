//! One attempt at one candidate, with its record, its log entry and its message.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::adapter::Adapter;
use super::answer::Reply;
use super::config::{PriceConfig, RetryConfig};
use super::failure::AttemptFailure;
use super::gateway::CallContext;
use super::hint::{self, Location};
use super::judge::judged;
use super::limiter::Limiter;
use super::parameters::{Adjusted, Parameter, Refusal, Shape};
use super::provider::Provider;
use super::redact::Redactor;
use super::reply_check::checked;
use super::request::{Format, Request};
use super::settings::Settings;
use super::text::TextSink;
use super::transport::{self, Heard, Live, Transport};
use super::usage;
use super::wire::{HttpHead, HttpReply, Prompt};
use sitewright_model::ai::{
    AiError, AiErrorKind, Attempt, AttemptOutcome, BreakerOpened, Completion, FinishReason, Usage,
    Usd,
};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;

/// Maximum number of characters of the provider's text in a message; the excerpt contains more.
const MAX_DETAIL_CHARS: usize = 800;

/// Maximum size in bytes of one cause of an error.
const MAX_CAUSE_BYTES: usize = 4096;

/// Maximum size in bytes of a name that a provider reports: its model, the id of a request.
const MAX_NAME_BYTES: usize = 256;

/// Longer replies are redacted on a blocking thread.
const INLINE_REDACT_BYTES: usize = 64 * 1024;

/// One provider and model of a route.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) provider_name: String,
    pub(super) provider: Arc<Provider>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) retry: RetryConfig,
    pub(super) price: Option<PriceConfig>,
    pub(super) model: String,
    /// The share of calls that it is asked first; 0 if it has none.
    pub(super) weight: u32,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
    pub(super) settings: Settings,
}

/// A failed attempt with its message. Both are redacted.
pub(super) struct FailedAttempt {
    pub(super) failure: AttemptFailure,
    pub(super) message: Message,
    /// What the model refuses of the request, if the error names it.
    pub(super) refusal: Option<Refusal>,
    /// What the model had said, although it is no reply; `None` if nothing shows that it had begun.
    pub(super) heard: Option<Heard>,
}

/// What is done with the reply of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// It must have the requested format. `most_output` is a limit for its tokens.
    Checked { most_output: Option<u32> },
    /// Any text is enough, for probes.
    Any,
}

/// Where an attempt is made.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) route: &'a str,
    pub(super) call: &'a CallContext,
    pub(super) transport: &'a Transport,
    /// Notified when the reply begins, or the model begins to think.
    pub(super) first_token: Option<&'a Notify>,
}

impl Candidate {
    /// Makes one attempt without waiting. The caller handles limits, budget and retries.
    ///
    /// A success comes with the model's whole text if the JSON is only a part of it.
    pub(super) async fn attempt(
        &self,
        at: Place<'_>,
        request: &Request,
        adjusted: &Adjusted,
        reading: Reading,
        text: &mut TextSink,
    ) -> (Attempt, Result<(Completion, Option<String>), FailedAttempt>) {
        let Place { route, call, transport, first_token } = at;
        let span = self.span(route, request, call);
        let (started, begin) = (SystemTime::now(), Instant::now());
        let key = self.provider.key(call.deadline).await;
        // Afterwards, so that it knows the key of this attempt.
        let mut redactor = self.provider.redactor();
        text.begin(redactor.clone());
        let mut prompt = self.prompt(request, &adjusted.shape);
        if let Reading::Checked { most_output } = reading {
            prompt.max_output_tokens =
                prompt.max_output_tokens.into_iter().chain(most_output).min();
        }
        // Text after a stop text that the model does not know must not be forwarded.
        let cut_here = prompt.stop().len() < request.stop.len();
        let mut unheard = cut_here.then(|| Box::new(TextSink::none()));
        let mut live = Live::new(unheard.as_deref_mut().unwrap_or(text), first_token);
        let reply = async {
            let key = key?;
            let first =
                self.provider.call(&prompt, key.as_deref(), transport, call.deadline, &mut live);
            let mut reply = match first.await {
                Err(failure) if refuses_key(&failure) => {
                    // Boxed, because it is rare.
                    let other = self.provider.key_after(key.as_deref(), call.deadline);
                    let Some(other) = Box::pin(other).await else { return Err(failure) };
                    tracing::info!(
                        provider = self.provider_name,
                        "the provider refused its key, which has changed; the request is sent \
                         with the new one"
                    );
                    redactor = self.provider.redactor();
                    live.text.begin(redactor.clone());
                    let other = Some(other.as_ref());
                    let again =
                        self.provider.call(&prompt, other, transport, call.deadline, &mut live);
                    Box::pin(again).await?
                }
                first => first?,
            };
            // Boxed to keep the future of a call that waits for the model small.
            Box::pin(async {
                if cut_here {
                    reply.cut_at(&request.stop);
                }
                let format = match reading {
                    Reading::Checked { .. } => &request.format,
                    Reading::Any => &Format::Text,
                };
                let (reply, raw) = checked(reply, format, call.deadline).await?;
                let (reply, raw) = without_key(&redactor, reply, raw).await?;
                // Afterwards, because what is wrong quotes the reply.
                match reading {
                    Reading::Checked { .. } => judged(reply, raw, request, call).await,
                    Reading::Any => Ok((reply, raw)),
                }
            })
            .await
        };
        let result = reply.instrument(span.clone()).await;
        self.learn(request, adjusted, &result);
        let mut attempt = self.new_attempt(started);
        attempt.duration_ms = millis(begin.elapsed());
        attempt.connect_ms = live.timing.connect.map(millis);
        attempt.first_byte_ms = live.timing.first_byte.map(millis);
        attempt.first_token_ms = live.timing.first_token.map(millis);
        let heard = live.heard;
        let (attempt, result) = self.ended((route, call), &span, &redactor, attempt, result);
        (attempt, result.map_err(|failed| FailedAttempt { heard, ..failed }))
    }

    /// The result of a call that a batch has answered with this body: what
    /// [`attempt`](Self::attempt) would have returned, at a part of the price.
    pub(super) async fn read_batched(
        &self,
        at: Place<'_>,
        request: &Request,
        answer: &str,
        price: f64,
    ) -> (Attempt, Result<(Completion, Option<String>), FailedAttempt>) {
        let Place { route, call, .. } = at;
        let span = self.span(route, request, call);
        let (started, begin) = (SystemTime::now(), Instant::now());
        let redactor = self.provider.redactor();
        let shape = self.batch_shape(&request.format);
        let prompt = self.prompt(request, &shape);
        let reply = async {
            let (adapter, reply) = self.batched_reply(answer)?;
            let mut reply = reply.within(adapter.silent_limit(&prompt), prompt.max_tokens())?;
            // A model that knows stop texts has stopped before the first one.
            reply.cut_at(&request.stop);
            let (reply, raw) = checked(reply, &request.format, call.deadline).await?;
            let (reply, raw) = without_key(&redactor, reply, raw).await?;
            judged(reply, raw, request, call).await
        };
        let result = reply.instrument(span.clone()).await;
        let mut attempt = self.new_attempt(started);
        attempt.duration_ms = millis(begin.elapsed());
        attempt.batch = true;
        let (mut attempt, result) = self.ended((route, call), &span, &redactor, attempt, result);
        let whole = attempt.cost_usd;
        attempt.cost_usd = whole.map(|cost| Usd::from_dollars(cost.dollars() * price));
        (attempt, result)
    }

    /// What a batch has answered with this body.
    fn batched_reply(&self, answer: &str) -> Result<(&dyn Adapter, Reply), AttemptFailure> {
        let Provider::Http(provider) = self.provider.as_ref() else {
            let detail = "its provider has no batch API any more";
            return Err(AttemptFailure::new(AiErrorKind::Other, detail));
        };
        let received = SystemTime::now();
        let head = HttpHead { status: 200, headers: HeaderMap::new(), received };
        let http = HttpReply { head, body: answer.as_bytes().to_vec() };
        let adapter = provider.adapter.as_ref();
        let reply =
            transport::whole(&http, |http| adapter.whole(http), |http| adapter.map_error(http));
        Ok((adapter, reply?))
    }

    /// The tokens of an answer of a batch, whether it can be used or not.
    pub(super) fn batched_usage(&self, answer: &str) -> Usage {
        let said = match self.batched_reply(answer) {
            Ok((_, reply)) => reply.usage,
            Err(failure) => *failure.usage,
        };
        usage::believed(said).0
    }

    /// The body of a call in a batch; `None` if its provider has no batch API.
    pub(super) fn batch_body(&self, request: &Request) -> Option<String> {
        self.batch_api()?;
        let Provider::Http(http) = self.provider.as_ref() else { return None };
        let shape = self.batch_shape(&request.format);
        String::from_utf8(http.adapter.body(&self.prompt(request, &shape))).ok()
    }

    /// How a request is sent in a batch, whose answers come whole.
    fn batch_shape(&self, format: &Format) -> Shape {
        let mut shape = self.first_shape(format).shape;
        shape.omit(Parameter::Stream);
        shape
    }

    /// Records how an attempt ended.
    fn ended(
        &self,
        (route, call): (&str, &CallContext),
        span: &tracing::Span,
        redactor: &Redactor,
        mut attempt: Attempt,
        result: Result<(Reply, Option<String>), AttemptFailure>,
    ) -> (Attempt, Result<(Completion, Option<String>), FailedAttempt>) {
        let said = match &result {
            Ok((reply, _)) => reply.usage,
            Err(failure) => *failure.usage,
        };
        let (usage, is_odd) = usage::believed(said);
        if is_odd {
            span.in_scope(|| {
                tracing::warn!(
                    input_tokens = said.input_tokens,
                    output_tokens = said.output_tokens,
                    "the provider counts more tokens than a call can have: its counts are not \
                     believed, and tokens are estimated for budgets and limits"
                );
            });
        }
        attempt.usage = usage;
        let result = match result {
            Ok((reply, raw)) => {
                let name = |text: String| redactor.redact_beginning(&text, MAX_NAME_BYTES);
                attempt.end_unsaid = reply.end_unsaid;
                attempt.status = Some(reply.http.status);
                attempt.request_id = reply.http.request_id.map(name);
                let completion = Completion {
                    content: reply.content,
                    finish_reason: reply.finish_reason,
                    usage,
                    provider: self.provider_name.clone(),
                    model: reply.model.map_or_else(|| self.model.clone(), name),
                    call_id: call.call_id,
                };
                let finish = match completion.finish_reason {
                    FinishReason::Stop => "[\"stop\"]",
                    FinishReason::Other => "[\"other\"]",
                };
                // At once, because each recording formats the fields before it again.
                tracing::record_all!(
                    span,
                    gen_ai.response.model = completion.model.as_str(),
                    gen_ai.response.finish_reasons = finish,
                    gen_ai.usage.input_tokens = usage.input_tokens,
                    gen_ai.usage.output_tokens = usage.output_tokens,
                );
                Ok((completion, raw))
            }
            Err(failure) => {
                let mut failed = self.describe(route, failure, redactor);
                attempt.outcome = AttemptOutcome::Failed(failed.failure.kind);
                attempt.message = Some(failed.message.clone());
                attempt.limit = failed.failure.limit;
                attempt.not_sent = failed.failure.unconnected || !failed.failure.asked;
                if let Some(unusable) = &mut failed.failure.unusable {
                    attempt.problems = std::mem::take(&mut unusable.problems);
                }
                if let Some(http) = &failed.failure.http {
                    attempt.status = Some(http.status);
                    attempt.request_id.clone_from(&http.request_id);
                    attempt.body_excerpt.clone_from(&http.body_excerpt);
                }
                let kind = failed.failure.kind;
                let finish = failed.failure.is_at_token_limit().then_some("[\"length\"]");
                tracing::record_all!(
                    span,
                    error.type = kind.as_str(),
                    gen_ai.response.finish_reasons = finish,
                    gen_ai.usage.input_tokens = usage.input_tokens,
                    gen_ai.usage.output_tokens = usage.output_tokens,
                );
                Err(failed)
            }
        };
        attempt.cost_usd = self.cost(attempt.usage);
        span.in_scope(|| match &result {
            Ok(_) if attempt.end_unsaid => tracing::warn!(
                duration_ms = attempt.duration_ms,
                "an AI attempt succeeded, but its provider does not say why the model stopped: \
                 nothing shows whether the reply is whole"
            ),
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

    /// The span of one attempt, with the fields of OpenTelemetry's conventions for generative AI.
    /// It contains neither prompt nor reply; the enclosing span names the order.
    fn span(&self, route: &str, request: &Request, call: &CallContext) -> tracing::Span {
        let (address, port) = self.provider.server();
        tracing::info_span!(
            "chat",
            otel.name = format!("chat {}", self.model),
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            // The conventions use another name for Gemini's API.
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
            provider = self.provider_name.as_str(),
            route,
            purpose = request.purpose.as_str(),
            call = %call.call_id,
            server.address = address,
            server.port = port,
        )
    }

    /// The smaller one of the request's limit for the tokens of a reply and the route's.
    pub(super) fn max_output(&self, request: &Request) -> Option<u32> {
        self.max_output_tokens.into_iter().chain(request.max_output_tokens).min()
    }

    /// The request as it is sent in this shape.
    fn prompt<'a>(&'a self, request: &'a Request, shape: &'a Shape) -> Prompt<'a> {
        Prompt {
            request,
            model: &self.model,
            max_output_tokens: self.max_output(request),
            temperature: request.temperature.or(self.temperature),
            settings: &self.settings,
            shape,
        }
    }

    /// How a request is sent at first: without what the operator drops, and without what the model
    /// has refused before.
    pub(super) fn first_shape(&self, format: &Format) -> Adjusted {
        let shape = self.settings.shape.clone();
        let shape = match self.provider.as_ref() {
            Provider::Http(provider) => shape
                .and(&provider.adapter.shape())
                .and(&provider.refused.shape(&self.model, format)),
            Provider::Scripted(_) => shape,
        };
        Adjusted { shape, ..Adjusted::default() }
    }

    /// How the request is sent after this refusal; `None` if there is no other way.
    pub(super) fn after(
        &self,
        request: &Request,
        now: &Adjusted,
        refusal: &Refusal,
    ) -> Option<Adjusted> {
        match self.provider.as_ref() {
            Provider::Http(provider) => {
                provider.adjusted(&self.prompt(request, &now.shape), now, refusal)
            }
            Provider::Scripted(_) => None,
        }
    }

    /// What the model has refused so far.
    pub(super) fn refused(&self) -> Vec<&'static str> {
        match self.provider.as_ref() {
            Provider::Http(provider) => provider.refused.of(&self.model).refused(),
            Provider::Scripted(_) => Vec::new(),
        }
    }

    /// Remembers what the model refused during this call, once it has taken the request.
    fn learn<T>(&self, request: &Request, adjusted: &Adjusted, result: &Result<T, AttemptFailure>) {
        let taken = match result {
            Ok(_) => true,
            Err(failure) => matches!(
                failure.kind,
                AiErrorKind::Truncated
                    | AiErrorKind::Empty
                    | AiErrorKind::Malformed
                    | AiErrorKind::SchemaMismatch
                    | AiErrorKind::ContentFiltered
            ),
        };
        if adjusted.refused.is_empty() || !taken {
            return;
        }
        if let Provider::Http(provider) = self.provider.as_ref() {
            provider.refused.learn(&self.model, &request.format, adjusted);
            let names: Vec<&str> = adjusted.refused.iter().map(|one| one.as_str()).collect();
            tracing::info!(
                provider = self.provider_name,
                model = self.model,
                refused = names.join(", "),
                "the model refuses these parameters, so they are sent in another way or not at all"
            );
        }
    }

    /// The cost of these tokens; `None` if the model has no price or the tokens are unknown.
    pub(super) fn cost(&self, usage: Usage) -> Option<Usd> {
        let counted = usage != Usage::default();
        self.price.filter(|_| counted).map(|price| super::budget::cost_of(price, usage))
    }

    /// The record of an attempt that the limiter rejected.
    pub(super) fn rejected(
        &self,
        route: &str,
        failure: AttemptFailure,
    ) -> (Attempt, FailedAttempt) {
        let failed = self.describe(route, failure, &self.provider.redactor());
        // Redacted when it was recorded.
        let opened_by = failed.failure.opened_by.as_deref().map(|opened| {
            let status = opened.http.as_ref().map(|http| http.status);
            let location = self.location(route);
            let message = hint::message(&location, &opened.for_others());
            let words = Some(hint::message(&location, opened));
            let (of_probe, open_for) = (opened.of_probe, failed.failure.open_for);
            Box::new(BreakerOpened { status, message, words, of_probe, open_for })
        });
        let attempt = Attempt {
            outcome: AttemptOutcome::Failed(failed.failure.kind),
            message: Some(failed.message.clone()),
            limit: failed.failure.limit,
            not_sent: true,
            opened_by,
            ..self.new_attempt(SystemTime::now())
        };
        tracing::warn!(
            provider = self.provider_name,
            route,
            reason = %failed.message,
            "an AI attempt was not made"
        );
        (attempt, failed)
    }

    /// The record of an attempt that was cancelled after this time.
    pub(super) fn cancelled(
        &self,
        route: &str,
        failure: AttemptFailure,
        started: SystemTime,
        took: Duration,
    ) -> Attempt {
        let failed = self.describe(route, failure, &self.provider.redactor());
        Attempt {
            duration_ms: millis(took),
            outcome: AttemptOutcome::Failed(failed.failure.kind),
            message: Some(failed.message),
            ..self.new_attempt(started)
        }
    }

    fn new_attempt(&self, started: SystemTime) -> Attempt {
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
            hedge: false,
            batch: false,
            end_unsaid: false,
            not_sent: false,
            opened_by: None,
            connect_ms: None,
            first_byte_ms: None,
            first_token_ms: None,
            duration_ms: 0,
            limit: None,
            outcome: AttemptOutcome::Succeeded,
            message: None,
            problems: Vec::new(),
            usage: Usage::default(),
            cost_usd: None,
            estimated: None,
        }
    }

    /// The record of a candidate that a probe does not call.
    pub(super) fn not_probed(&self) -> Attempt {
        let script = self.provider.location();
        Attempt {
            message: Some(message!("the script {script} is loaded; it was not called")),
            ..self.new_attempt(SystemTime::now())
        }
    }

    /// What to do about a redacted failure.
    pub(super) fn hint(&self, route: &str, failure: &AttemptFailure) -> Option<Message> {
        Message::new(hint::next_step(&self.location(route), failure))
    }

    fn location<'a>(&'a self, route: &'a str) -> Location<'a> {
        let provider_name = self.provider_name.as_str();
        Location { route, provider_name, model: &self.model, provider: &self.provider }
    }

    /// Redacts the failure, cuts its excerpt and composes its message.
    fn describe(
        &self,
        route: &str,
        mut failure: AttemptFailure,
        redactor: &Redactor,
    ) -> FailedAttempt {
        // Before the message is cut.
        let refusal = Refusal::of(&failure);
        // Cut before redaction, because a provider may send megabytes, and again after it.
        let detail = redactor.redact_beginning(&failure.detail, 4 * MAX_DETAIL_CHARS);
        failure.detail = match detail.char_indices().nth(MAX_DETAIL_CHARS) {
            Some((end, _)) => format!("{}...", &detail[..end]),
            None if failure.detail.len() > 4 * MAX_DETAIL_CHARS => format!("{detail}..."),
            None => detail,
        };
        if let Some(http) = &mut failure.http {
            let clean = |text: String| redactor.redact_excerpt(&text, AiError::EXCERPT_BYTES);
            http.body_excerpt = http.body_excerpt.take().map(clean);
            let clean = |text: String| redactor.redact_beginning(&text, MAX_NAME_BYTES);
            http.request_id = http.request_id.take().map(clean);
        }
        let clean = |cause: &Message| {
            Message::new(redactor.redact_beginning(cause.as_str(), MAX_CAUSE_BYTES))
        };
        failure.causes = failure.causes.iter().filter_map(clean).collect();
        let message = hint::message(&self.location(route), &failure);
        FailedAttempt { failure, message, refusal, heard: None }
    }
}

/// Whether a provider has answered that the key is wrong or has expired.
fn refuses_key(failure: &AttemptFailure) -> bool {
    failure.kind == AiErrorKind::Auth && failure.http.is_some()
}

/// The reply without the provider's key, should the server have told it the model.
async fn without_key(
    redactor: &Redactor,
    reply: Reply,
    raw: Option<String>,
) -> Result<(Reply, Option<String>), AttemptFailure> {
    let size = reply.content.len() + raw.as_ref().map_or(0, String::len);
    let clean = |redactor: &Redactor, text: String| match redactor.redact_reply(&text) {
        Cow::Owned(clean) => clean,
        Cow::Borrowed(_) => text,
    };
    let both = move |redactor: &Redactor, reply: Reply, raw: Option<String>| {
        let content = clean(redactor, reply.content);
        (Reply { content, ..reply }, raw.map(|raw| clean(redactor, raw)))
    };
    if size <= INLINE_REDACT_BYTES {
        return Ok(both(redactor, reply, raw));
    }
    let (redactor, usage) = (redactor.clone(), reply.usage);
    tokio::task::spawn_blocking(move || both(&redactor, reply, raw)).await.map_err(|error| {
        let detail =
            format!("its reply could not be redacted, which is a bug in Sitewright: {error}");
        AttemptFailure::new(AiErrorKind::Other, detail).with_usage(usage)
    })
}
