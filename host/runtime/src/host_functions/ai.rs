//! `ai.complete`: a call to a model through the gateway. `ai_stream` is the same call with its text
//! as it comes, `ai_sync` for guests that can only block.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use wasmtime::component::{Access, Accessor, FutureReader, HasSelf, StreamReader};

use super::ai_stream;
use super::diagnostics::{cut, short_digest};
use super::run_trace::{AiCall, RunTrace};
use super::state::{AiContext, GuestState};
use crate::plugin::bindings::{ai, ai_types};
use sitewright_ai::{
    CallContext, ChatMessage, Format, KnownSchemas, Purpose, Request, Role, TextSink,
};
use sitewright_model::ai::{AiError, AiErrorKind, CallId, Completed, FinishReason, Usage};
use sitewright_model::failure::{Ended, NewCall, TrailEntry, TrailOutcome};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;

/// What a guest is told in the end.
pub(super) type Told = Result<ai_types::Completion, ai_types::Error>;

impl ai_types::Host for GuestState {}

impl ai::Host for GuestState {}

impl<T: Send> ai::HostWithStore<T> for HasSelf<GuestState> {
    async fn complete(
        accessor: &Accessor<T, Self>,
        request: ai_types::Request,
    ) -> wasmtime::Result<Result<ai_types::Completion, ai_types::Error>> {
        // The first poll is on the guest's own stack, which the run keeps for as long as it lives,
        // whatever of it was touched: what goes deeper, or is as large as a call to a
        // model, is for the next one. A call that is refused ends at once: a guest that makes too
        // many must not hold them all.
        let request = Box::new(request);
        let call = accessor.with(|mut access| {
            let state = access.get();
            Call::begin(&state.log, state.ai.as_ref(), "ai.complete", &request)
        });
        if call.is_allowed(&request) {
            tokio::task::yield_now().await;
        }
        Ok(call.boxed(request).await)
    }

    fn complete_stream(
        mut access: Access<'_, T, Self>,
        request: ai_types::Request,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Told>)> {
        let state = access.get();
        let place = ai_stream::place(state)?;
        let request = Box::new(request);
        let call = Call::begin(&state.log, state.ai.as_ref(), "ai.complete-stream", &request);
        let (chunks, outcome) = ai_stream::start(call, request, place);
        Ok((StreamReader::new(&mut access, chunks)?, FutureReader::new(&mut access, outcome)?))
    }
}

/// Most bytes of one request: room for the largest order document and as much again.
const MAX_REQUEST_BYTES: usize = 2 << 20;

/// One call that has been entered in the run's log. It and its request are boxed wherever they go:
/// thousands of calls wait, and a future keeps what it was given beside what it hands on.
pub(super) struct Call {
    pub(super) log: Arc<RunTrace>,
    /// What the log calls it.
    pub(super) entry: (u64, Instant),
    context: Option<Arc<AiContext>>,
    began: Duration,
    pub(super) call_id: CallId,
    /// Whether the run may make it.
    pub(super) counted: bool,
    purpose: String,
    bytes: usize,
}

impl Call {
    /// Counts and enters a call that begins now.
    #[inline(never)]
    pub(super) fn begin(
        log: &Arc<RunTrace>,
        context: Option<&Arc<AiContext>>,
        name: &'static str,
        request: &ai_types::Request,
    ) -> Box<Self> {
        let counted = log.count_ai_call(context.map_or(0, |context| context.max_calls));
        let call_id = CallId::nth(counted.unwrap_or_else(|over| over));
        let bytes = bytes(request);
        let entry = log.begin_entry(entry(name, call_id, request, bytes));
        Box::new(Call {
            log: log.clone(),
            entry,
            context: context.cloned(),
            began: log.elapsed(),
            call_id,
            counted: counted.is_ok(),
            purpose: cut(&request.purpose, 64),
            bytes,
        })
    }

    /// Asks and ends. Dropping this future drops the request to the provider.
    pub(super) async fn made(self: Box<Self>, request: Box<ai_types::Request>) -> Told {
        let outcome = self.answer(request, &mut TextSink::none()).await;
        self.end(outcome)
    }

    /// The same, for who has no room for it.
    #[inline(never)]
    fn boxed(self: Box<Self>, request: Box<ai_types::Request>) -> BoxFuture<'static, Told> {
        Box::pin(self.made(request))
    }

    /// Asks, unless the run may not.
    pub(super) async fn answer(
        &self,
        request: Box<ai_types::Request>,
        text: &mut TextSink,
    ) -> Result<Completed, AiError> {
        let Some(follow) = self.log.follow().filter(|_| self.counted) else {
            return self.ask(request, text).await;
        };
        // A replay: it ends when it ended then.
        Box::pin(async {
            let outcome = self.ask(request, text).await;
            follow.turn(self.call_id).await;
            outcome
        })
        .await
    }

    #[inline(never)]
    fn is_allowed(&self, request: &ai_types::Request) -> bool {
        self.allowed(request).is_ok()
    }

    /// What it is made with, if the run may make it.
    pub(super) fn allowed(&self, request: &ai_types::Request) -> Result<&AiContext, AiError> {
        let refuse = |kind, message| Err(self.refused(kind, message));
        let Some(context) = &self.context else {
            return refuse(AiErrorKind::NoRoute, message!("`describe` must not make AI calls"));
        };
        if !self.counted {
            let max_calls = context.max_calls;
            let message = message!(
                "the run has made its {max_calls} AI calls; `limits.ai_calls` allows no more"
            );
            return refuse(AiErrorKind::BudgetExceeded, message);
        }
        let (purpose, bytes) = (&self.purpose, self.bytes);
        if bytes > MAX_REQUEST_BYTES {
            let message = message!(
                "the request has {bytes} bytes; at most {MAX_REQUEST_BYTES} are allowed: say \
                 less, or ask in several calls"
            );
            return refuse(AiErrorKind::InvalidRequest, message);
        }
        if !context.purposes.contains(&request.purpose) {
            let message = message!(
                "the purpose {purpose:?} is not declared in the template's manifest; add it to \
                 `ai-purposes`"
            );
            return refuse(AiErrorKind::InvalidRequest, message);
        }
        Ok(context)
    }

    fn refused(&self, kind: AiErrorKind, message: Message) -> AiError {
        AiError::before_any_attempt(Some(self.call_id), &self.purpose, kind, message)
    }

    async fn ask(
        &self,
        request: Box<ai_types::Request>,
        text: &mut TextSink,
    ) -> Result<Completed, AiError> {
        let context = self.allowed(&request)?;
        let request = Box::pin(into_request(*request, context.gateway.schemas())).await;
        let request = Box::new(
            request.map_err(|message| self.refused(AiErrorKind::InvalidRequest, message))?,
        );
        let call = CallContext {
            call_id: self.call_id,
            deadline: context.deadline,
            budget: Some(context.budget.clone()),
            journal: context.journal.clone(),
        };
        context.gateway.stream(&call, &request, text).await
    }

    /// Whether the run's deadline has passed.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.deadline <= Instant::now())
    }

    /// Enters how the call ended, and what the guest is told.
    #[allow(clippy::result_large_err, reason = "the contract's error, as the bindings take it")]
    #[allow(clippy::boxed_local, reason = "calls are boxed wherever they go")]
    pub(super) fn end(self: Box<Self>, outcome: Result<Completed, AiError>) -> Told {
        if self.counted {
            self.log.ai_ended(self.call_id, &outcome);
        }
        let Call { log, entry, began, purpose, .. } = *self;
        let attempts = match &outcome {
            Ok(done) => &done.attempts,
            Err(error) => &error.attempts,
        };
        let waited_ms = attempts.iter().map(|attempt| attempt.waited_ms).sum();
        match outcome {
            Ok(done) => {
                let reply_bytes = Some(done.completion.content.len() as u64);
                log.end(entry, Ended { waited_ms, reply_bytes, ..Ended::from(TrailOutcome::Ok) });
                let cost_usd = done.cost_usd();
                let Completed { completion, attempts, replayed, raw_reply: _ } = done;
                log.ai_answered(AiCall {
                    call_id: completion.call_id.to_string(),
                    purpose,
                    provider: completion.provider.clone(),
                    model: completion.model.clone(),
                    usage: completion.usage,
                    duration_ms: millis(log.elapsed().saturating_sub(began)),
                    cost_usd,
                    replayed,
                    attempts,
                });
                Ok(ai_types::Completion {
                    content: completion.content,
                    finish_reason: match completion.finish_reason {
                        FinishReason::Stop => ai_types::FinishReason::Stop,
                        FinishReason::Other => ai_types::FinishReason::Other,
                    },
                    usage: usage(completion.usage),
                    provider: completion.provider,
                    model: completion.model,
                    call_id: completion.call_id.to_string(),
                })
            }
            Err(error) => {
                let why = format!("{}: {}", error.kind, cut(error.message.as_str(), 300));
                let refused = error.attempts.is_empty();
                log.end(
                    entry,
                    Ended { waited_ms, refused, ..Ended::from(TrailOutcome::Error(why)) },
                );
                let told = told(&error);
                // The attempts have the same: a thousand failures must not hold it twice.
                log.ai_failed(AiError { purpose, http: None, ..error });
                Err(told)
            }
        }
    }
}

/// The size of a request, with a little for each part, so that a million empty ones have a size
/// too.
fn bytes(request: &ai_types::Request) -> usize {
    const PART: usize = 16;
    let messages = request.messages.iter().map(|message| message.content.len() + PART);
    let stops = request.stop.iter().map(|stop| stop.len() + PART);
    let format = match &request.format {
        ai_types::Format::JsonSchema(text) | ai_types::Format::Other(text) => text.len(),
        ai_types::Format::Text | ai_types::Format::Json => 0,
    };
    request.purpose.len() + format + messages.chain(stops).sum::<usize>()
}

/// What the trail shows of a call. A function of its own: what it needs of the guest's stack is
/// free again before the call is entered.
#[inline(never)]
fn entry(
    name: &'static str,
    call_id: CallId,
    request: &ai_types::Request,
    bytes: usize,
) -> Box<TrailEntry> {
    let call = NewCall {
        call: name,
        args: in_short(request, bytes),
        bytes: Some(bytes as u64),
        digest: digest(request, bytes),
        call_id: Some(call_id.to_string()),
    };
    call.entry()
}

/// What the trail shows of a request: never its text, which is the customer's.
fn in_short(request: &ai_types::Request, bytes: usize) -> String {
    let purpose = cut(&request.purpose, 64);
    let (purpose, messages) = (purpose.escape_debug(), request.messages.len());
    // Room for all of it at once: growing is deep, and this is the guest's stack.
    let mut short = String::with_capacity(128);
    if bytes > MAX_REQUEST_BYTES {
        let _fits = write!(short, "{purpose} {messages} messages, {bytes} bytes in all");
        return short;
    }
    let format = match &request.format {
        ai_types::Format::Text => "text",
        ai_types::Format::Json => "json",
        ai_types::Format::JsonSchema(_) => "json-schema",
        ai_types::Format::Other(_) => "other",
    };
    let said: usize = request.messages.iter().map(|message| message.content.len()).sum();
    let _fits = write!(short, "{purpose} {format}, {messages} messages of {said} bytes");
    short
}

/// Tells one request from another; one that is refused for its size is not read.
fn digest(request: &ai_types::Request, bytes: usize) -> Option<String> {
    (bytes <= MAX_REQUEST_BYTES)
        .then(|| short_digest(request.messages.iter().map(|message| &message.content)))
}

async fn into_request(raw: ai_types::Request, schemas: &KnownSchemas) -> Result<Request, Message> {
    let purpose =
        Purpose::new(raw.purpose).map_err(|error| message!("the request is refused: {error}"))?;
    let messages = raw
        .messages
        .into_iter()
        .map(|message| ChatMessage {
            role: match message.role {
                ai_types::Role::System => Role::System,
                ai_types::Role::User | ai_types::Role::Other => Role::User,
                ai_types::Role::Assistant => Role::Assistant,
            },
            content: message.content,
        })
        .collect();
    let format = match raw.format {
        ai_types::Format::Text => Format::Text,
        ai_types::Format::Json => Format::Json,
        ai_types::Format::JsonSchema(schema) => Format::JsonSchema(
            schemas
                .compiled(schema)
                .await
                .map_err(|error| message!("the request is refused: {error}"))?,
        ),
        ai_types::Format::Other(name) => {
            return Err(message!(
                "this host knows no reply format {:?}; ask for text, json or json-schema",
                cut(&name, 64)
            ));
        }
    };
    Ok(Request {
        purpose,
        messages,
        format,
        max_output_tokens: raw.max_output_tokens,
        temperature: raw.temperature,
        seed: raw.seed,
        stop: raw.stop,
    })
}

/// What the guest learns of an error: enough to act on, no operator's configuration.
fn told(error: &AiError) -> ai_types::Error {
    ai_types::Error {
        kind: kind(error.kind),
        message: error.message.to_string(),
        http: error.http.as_ref().map(|http| ai_types::HttpDetail {
            status: http.status,
            request_id: http.request_id.clone(),
            retry_after_ms: http.retry_after_ms,
            body_excerpt: http.body_excerpt.clone(),
        }),
        attempts: u32::try_from(error.attempts.len()).unwrap_or(u32::MAX),
        call_id: error.call_id.map(|id| id.to_string()).unwrap_or_default(),
        retryable: error.retryable,
    }
}

fn usage(usage: Usage) -> ai_types::Usage {
    ai_types::Usage { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
}

fn kind(kind: AiErrorKind) -> ai_types::ErrorKind {
    use ai_types::ErrorKind as Told;
    match kind {
        AiErrorKind::Auth => Told::Auth,
        AiErrorKind::Permission => Told::Permission,
        AiErrorKind::NotFound => Told::NotFound,
        AiErrorKind::InvalidRequest => Told::InvalidRequest,
        AiErrorKind::ContextTooLong => Told::ContextTooLong,
        AiErrorKind::RateLimited => Told::RateLimited,
        AiErrorKind::QuotaExhausted => Told::QuotaExhausted,
        AiErrorKind::Overloaded => Told::Overloaded,
        AiErrorKind::Timeout => Told::Timeout,
        AiErrorKind::Connection => Told::Connection,
        AiErrorKind::Protocol => Told::Protocol,
        AiErrorKind::Truncated => Told::Truncated,
        AiErrorKind::Empty => Told::Empty,
        AiErrorKind::Malformed => Told::Malformed,
        AiErrorKind::SchemaMismatch => Told::SchemaMismatch,
        AiErrorKind::ContentFiltered => Told::ContentFiltered,
        AiErrorKind::BudgetExceeded => Told::BudgetExceeded,
        AiErrorKind::NoRoute => Told::NoRoute,
        AiErrorKind::Cancelled => Told::Cancelled,
        AiErrorKind::Other => Told::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// As for attempts: thousands of calls wait at the same time.
    #[test]
    fn a_call_that_waits_is_small() {
        let call = size(Call::made);
        assert!(call <= 2_048, "{call} bytes; box what is not needed while the model answers");
    }
}
