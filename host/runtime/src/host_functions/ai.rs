//! `ai.complete`: a call to a model through the gateway. `ai_stream` is the same call with its text
//! as it arrives, `ai_sync` the same for guests that can only block.

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use wasmtime::AsContextMut as _;
use wasmtime::component::{Accessor, FutureReader, Linker, StreamReader};

use super::ai_stream;
use super::diagnostics::{cut, short_digest};
use super::lift::{self, Asked, MAX_REQUEST_BYTES, Store};
use super::run_trace::{AiCall, RunTrace};
use super::state::{AiContext, GuestState};
use super::version::Version;
use crate::plugin::HeldBytes;
use crate::plugin::bindings::ai_types;
use sitewright_ai::{
    CallContext, Format, Part, PartedMessage, Purpose, Request, Role, TextSink, delimited,
};
use sitewright_model::ai::{
    AiError, AiErrorKind, CallId, Completed, FinishReason, ReplySource, Usage,
};
use sitewright_model::failure::{Ended, NewCall, TrailEntry, TrailOutcome};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;

/// What a call returns.
pub(super) type CallResult = Result<ai_types::Completion, ai_types::Error>;

/// The same as a guest of a version gets it.
pub(super) type Returned<V> = Result<<V as Version>::Completion, ai_types::Error>;

#[allow(clippy::result_large_err, reason = "the contract's error, as the bindings take it")]
pub(super) fn returned<V: Version>(result: CallResult) -> Returned<V> {
    result.map(Into::into)
}

/// Links `ai` and `ai-types` of a version.
///
/// # Errors
/// If one of them is linked already, which is a bug.
pub(super) fn link<V: Version>(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    // It has types only.
    linker.instance(&V::interface("ai-types"))?;
    let mut ai = linker.instance(&V::interface("ai"))?;
    ai.func_wrap_concurrent("complete", |accessor, (request,): (lift::Request<V::Message>,)| {
        complete::<V>(accessor, &request)
    })?;
    ai.func_wrap("complete-stream", |store: Store<'_>, (request,): (lift::Request<V::Message>,)| {
        Ok((complete_stream::<V>(store, &request)?,))
    })
}

/// Begins when it is called, so that the request is not kept beside the future.
fn complete<V: Version>(
    accessor: &Accessor<GuestState>,
    request: &lift::Request<V::Message>,
) -> BoxFuture<'static, wasmtime::Result<(Returned<V>,)>> {
    let begun = accessor.with(|mut access| -> wasmtime::Result<_> {
        let mut store = access.as_context_mut();
        let asked = request.copied(&mut store)?;
        let state = store.data();
        let (call, request) = Call::begin(&state.trace, state.ai.as_ref(), "ai.complete", asked);
        Ok(state.ai_in_flight().run(call.boxed(request)))
    });
    Box::pin(async move {
        match begun {
            Ok(call) => Ok((returned::<V>(call.await),)),
            Err(error) => Err(error),
        }
    })
}

fn complete_stream<V: Version>(
    mut store: Store<'_>,
    request: &lift::Request<V::Message>,
) -> wasmtime::Result<(StreamReader<String>, FutureReader<Returned<V>>)> {
    let asked = request.copied(&mut store)?;
    let state = store.data();
    let permit = ai_stream::permit(state)?;
    let (call, request) = Call::begin(&state.trace, state.ai.as_ref(), "ai.complete-stream", asked);
    let in_flight = state.ai_in_flight().clone();
    let (chunks, outcome) = ai_stream::start(call, request, permit, &in_flight);
    let outcome = async move { outcome.await.map(returned::<V>) };
    Ok((StreamReader::new(&mut store, chunks)?, FutureReader::new(&mut store, outcome)?))
}

/// One call that has been entered in the run's trace. It and its request are always boxed:
/// thousands of calls wait, and a future holds its arguments beside the futures inside it.
pub(super) struct Call {
    pub(super) trace: Arc<RunTrace>,
    /// Its entry in the trail.
    pub(super) entry: (u64, Instant),
    context: Option<Arc<AiContext>>,
    began: Duration,
    pub(super) call_id: CallId,
    /// Whether it is within the run's maximum of AI calls.
    pub(super) counted: bool,
    purpose: String,
    bytes: usize,
    /// The memory of the request, charged to the guest until the call ends.
    _held: HeldBytes,
}

impl Call {
    /// Counts a call that begins now, and enters it in the trace.
    #[inline(never)]
    pub(super) fn begin(
        trace: &Arc<RunTrace>,
        context: Option<&Arc<AiContext>>,
        name: &'static str,
        asked: Asked,
    ) -> (Box<Self>, Box<ai_types::Request>) {
        let counted = trace.count_ai_call(context.map_or(0, |context| context.max_calls));
        let call_id = CallId::nth(counted.unwrap_or_else(|over| over));
        let entry = trace.begin_entry(entry(name, call_id, &asked));
        let Asked { request, bytes, messages: _, held } = asked;
        let call = Box::new(Call {
            trace: trace.clone(),
            entry,
            context: context.cloned(),
            began: trace.elapsed(),
            call_id,
            counted: counted.is_ok(),
            purpose: cut(&request.purpose, 64),
            bytes,
            _held: held,
        });
        (call, request)
    }

    /// Makes the call. Dropping the future drops the request to the provider. Polled by the guest's
    /// run, which is not charged for what the provider sends.
    pub(super) async fn complete(self: Box<Self>, request: Box<ai_types::Request>) -> CallResult {
        let meter = self.context.as_ref().map(|context| context.meter.clone());
        let mut text = TextSink::none();
        let outcome = {
            let answer = pin!(self.answer(request, &mut text));
            match meter {
                Some(meter) => meter.call(answer).await,
                None => answer.await,
            }
        };
        self.end(outcome)
    }

    /// [`complete`](Call::complete) in a box, made outside the caller's stack frame.
    ///
    /// The first poll runs on the guest's stack, whose touched pages stay until the run ends: the
    /// call to the model waits for the next poll. A refused call ends at once, so that a guest that
    /// makes too many does not hold them all.
    #[inline(never)]
    fn boxed(self: Box<Self>, request: Box<ai_types::Request>) -> BoxFuture<'static, CallResult> {
        Box::pin(async move {
            if self.is_allowed(&request) {
                tokio::task::yield_now().await;
            }
            self.complete(request).await
        })
    }

    /// The gateway's answer, or the error of a call that the run may not make.
    pub(super) async fn answer(
        &self,
        request: Box<ai_types::Request>,
        text: &mut TextSink,
    ) -> Result<Completed, AiError> {
        let Some(cursor) = self.trace.cursor().filter(|_| self.counted) else {
            return self.ask(request, text).await;
        };
        // In a replay, the call ends when the recorded one did.
        Box::pin(async {
            let outcome = self.ask(request, text).await;
            cursor.turn(self.call_id).await;
            outcome
        })
        .await
    }

    #[inline(never)]
    fn is_allowed(&self, request: &ai_types::Request) -> bool {
        self.allowed(request).is_ok()
    }

    /// The context of the call, or why the run may not make it.
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
                 `purposes` of the manifest, which is `ai-purposes` in the contract"
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
        let request = Box::pin(into_request(*request, context)).await;
        let request = Box::new(
            request.map_err(|message| self.refused(AiErrorKind::InvalidRequest, message))?,
        );
        let call = CallContext {
            call_id: self.call_id,
            deadline: context.deadline,
            budget: Some(context.budget.clone()),
            journal: context.journal.clone(),
            judge: context.judge.clone(),
        };
        context.gateway.stream(&call, &request, text).await
    }

    /// Whether the deadline of the run has passed.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.deadline <= Instant::now())
    }

    /// Enters the end of the call in the trace, and converts its outcome for the guest.
    #[allow(clippy::result_large_err, reason = "the contract's error, as the bindings take it")]
    #[allow(clippy::boxed_local, reason = "calls are boxed wherever they go")]
    pub(super) fn end(self: Box<Self>, outcome: Result<Completed, AiError>) -> CallResult {
        if self.counted {
            self.trace.ai_ended(self.call_id, &outcome);
        }
        let Call { trace, entry, began, purpose, .. } = *self;
        let attempts = match &outcome {
            Ok(done) => &done.attempts,
            Err(error) => &error.attempts,
        };
        let waited_ms = attempts.iter().map(|attempt| attempt.waited_ms).sum();
        match outcome {
            Ok(done) => {
                let reply_bytes = Some(done.completion.content.len() as u64);
                trace.end(entry, Ended { waited_ms, reply_bytes, ..Ended::from(TrailOutcome::Ok) });
                let cost_usd = done.cost_usd();
                let (cached, saved_usd) = match done.source {
                    ReplySource::Cache { saved_usd } => (true, saved_usd),
                    ReplySource::Provider | ReplySource::Journal => (false, None),
                };
                let Completed { completion, attempts, source, end_unsaid, raw_reply: _ } = done;
                let finish_reason = match completion.finish_reason {
                    FinishReason::Stop if end_unsaid => ai_types::FinishReason::Unsaid,
                    FinishReason::Stop => ai_types::FinishReason::Stop,
                    FinishReason::Other => ai_types::FinishReason::Other,
                };
                trace.ai_answered(AiCall {
                    call_id: completion.call_id.to_string(),
                    purpose,
                    provider: completion.provider.clone(),
                    model: completion.model.clone(),
                    usage: completion.usage,
                    duration_ms: millis(trace.elapsed().saturating_sub(began)),
                    cost_usd,
                    replayed: source == ReplySource::Journal,
                    cached,
                    saved_usd,
                    end_unsaid,
                    attempts,
                });
                Ok(ai_types::Completion {
                    content: completion.content,
                    finish_reason,
                    usage: usage(completion.usage),
                    provider: completion.provider,
                    model: completion.model,
                    call_id: completion.call_id.to_string(),
                })
            }
            Err(error) => {
                let why = format!("{}: {}", error.kind, cut(error.message.as_str(), 300));
                let refused = error.attempts.is_empty();
                trace.end(
                    entry,
                    Ended { waited_ms, refused, ..Ended::from(TrailOutcome::Error(why)) },
                );
                let returned = guest_error(&error);
                // The attempts have the same response: a thousand failures must not keep it twice.
                trace.ai_failed(AiError { purpose, http: None, ..error });
                Err(returned)
            }
        }
    }
}

/// The trail entry of a call. Not inlined, so that its part of the guest's stack is free again when
/// the call is entered.
#[inline(never)]
fn entry(name: &'static str, call_id: CallId, asked: &Asked) -> Box<TrailEntry> {
    let call = NewCall {
        call: name,
        args: args(asked),
        bytes: Some(asked.bytes as u64),
        digest: digest(asked),
        call_id: Some(call_id.to_string()),
    };
    call.entry()
}

/// The arguments that the trail shows of a request: never its text, which is the customer's.
fn args(asked: &Asked) -> String {
    let Asked { request, bytes, messages, held: _ } = asked;
    let purpose = cut(&request.purpose, 64);
    let purpose = purpose.escape_debug();
    // One allocation: growing goes deep, and this is the guest's stack.
    let mut short = String::with_capacity(128);
    if *bytes > MAX_REQUEST_BYTES {
        let _fits = write!(short, "{purpose} {messages} messages, {bytes} bytes in all");
        return short;
    }
    let format = match &request.format {
        ai_types::Format::Text => "text",
        ai_types::Format::Json => "json",
        ai_types::Format::JsonSchema(_) => "json-schema",
        ai_types::Format::Other(_) => "other",
    };
    let content: usize = texts(request).map(str::len).sum();
    let _fits = write!(short, "{purpose} {format}, {messages} messages of {content} bytes");
    short
}

/// A short digest of the messages; `None` for a request that is too large to be read.
fn digest(asked: &Asked) -> Option<String> {
    (asked.bytes <= MAX_REQUEST_BYTES).then(|| short_digest(texts(&asked.request)))
}

/// All texts of the messages. The only one of a message of version 0.1.0 is its content.
fn texts(request: &ai_types::Request) -> impl Iterator<Item = &str> {
    request.messages.iter().flat_map(|message| &message.content).flat_map(|part| {
        let (name, text) = match part {
            ai_types::Part::Text(text) => (None, text),
            ai_types::Part::Data(ai_types::Data { name, text }) => (Some(name.as_str()), text),
            ai_types::Part::Other(name) => (None, name),
        };
        name.into_iter().chain(std::iter::once(text.as_str()))
    })
}

async fn into_request(raw: ai_types::Request, context: &AiContext) -> Result<Request, Message> {
    let purpose =
        Purpose::new(raw.purpose).map_err(|error| message!("the request is refused: {error}"))?;
    let messages: Vec<PartedMessage> =
        raw.messages.into_iter().map(parted).collect::<Result<_, Message>>()?;
    let (messages, identity) = delimited(messages, || context.mark());
    let format = match raw.format {
        ai_types::Format::Text => Format::Text,
        ai_types::Format::Json => Format::Json,
        ai_types::Format::JsonSchema(schema) => Format::JsonSchema(
            context
                .gateway
                .schemas()
                .compiled(schema, &context.confined, &context.template)
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
        identity,
    })
}

fn parted(raw: ai_types::Message) -> Result<PartedMessage, Message> {
    let role = match raw.role {
        ai_types::Role::System => Role::System,
        ai_types::Role::User | ai_types::Role::Other => Role::User,
        ai_types::Role::Assistant => Role::Assistant,
    };
    let part = |part| match part {
        ai_types::Part::Text(text) => Ok(Part::Text(text)),
        ai_types::Part::Data(ai_types::Data { name, text }) => Ok(Part::Data { name, text }),
        ai_types::Part::Other(name) => Err(message!(
            "this host knows no part {:?} of a message; send text or data",
            cut(&name, 64)
        )),
    };
    let content = raw.content.into_iter().map(part).collect::<Result<_, Message>>()?;
    Ok(PartedMessage { role, content })
}

/// The error as the guest gets it: enough to act on, without the operator's configuration.
fn guest_error(error: &AiError) -> ai_types::Error {
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
    use ai_types::ErrorKind as Kind;
    match kind {
        AiErrorKind::Auth => Kind::Auth,
        AiErrorKind::Permission => Kind::Permission,
        AiErrorKind::NotFound => Kind::NotFound,
        AiErrorKind::InvalidRequest => Kind::InvalidRequest,
        AiErrorKind::ContextTooLong => Kind::ContextTooLong,
        AiErrorKind::RateLimited => Kind::RateLimited,
        AiErrorKind::QuotaExhausted => Kind::QuotaExhausted,
        AiErrorKind::Overloaded => Kind::Overloaded,
        AiErrorKind::Timeout => Kind::Timeout,
        AiErrorKind::Connection => Kind::Connection,
        AiErrorKind::Protocol => Kind::Protocol,
        AiErrorKind::Truncated => Kind::Truncated,
        AiErrorKind::Empty => Kind::Empty,
        AiErrorKind::Malformed => Kind::Malformed,
        AiErrorKind::SchemaMismatch => Kind::SchemaMismatch,
        AiErrorKind::ContentFiltered => Kind::ContentFiltered,
        AiErrorKind::BudgetExceeded => Kind::BudgetExceeded,
        AiErrorKind::NoRoute => Kind::NoRoute,
        AiErrorKind::Cancelled => Kind::Cancelled,
        AiErrorKind::Other => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of calls wait at the same time.
    #[test]
    fn a_call_that_waits_is_small() {
        let call = size(Call::complete);
        assert!(call <= 2_048, "{call} bytes; box what is not needed while the model answers");
    }
}
