//! In a component the contract's imports implement the calls. Types are converted here and in
//! `guest.rs` only.

use std::cell::Cell;

use crate::{
    Diagnostic, Level, Severity,
    ai::{
        Chunks, Completion, Data, Error, ErrorKind, FinishReason, Format, HttpDetail, Outcome,
        Request, Role, Usage,
    },
    guest::{
        attributes,
        bindings::sitewright::template::{
            ai as host_ai, ai_types as wit, diagnostics, site, types,
        },
    },
    site::{WriteError, WriteErrorKind},
};

thread_local! {
    /// Number of AI calls in flight.
    static IN_FLIGHT: Cell<usize> = const { Cell::new(0) };
}

/// Counts a call as in flight until this is dropped.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        IN_FLIGHT.set(IN_FLIGHT.get() + 1);
        InFlight
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        IN_FLIGHT.set(IN_FLIGHT.get() - 1);
    }
}

/// Whether an AI call is in flight.
pub(crate) fn is_waiting() -> bool {
    IN_FLIGHT.get() > 0
}

pub(crate) async fn complete(request: Request) -> Result<Completion, Error> {
    let _in_flight = InFlight::begin();
    host_ai::complete(wit_request(request)).await.map(completion).map_err(error)
}

pub(crate) fn stream(request: Request) -> (Chunks, Outcome) {
    let (chunks, outcome) = host_ai::complete_stream(&wit_request(request));
    let chunks = futures::stream::unfold(chunks, |mut chunks| async {
        let _in_flight = InFlight::begin();
        chunks.next().await.map(|chunk| (chunk, chunks))
    });
    let outcome = async {
        let _in_flight = InFlight::begin();
        outcome.await.map(completion).map_err(error)
    };
    (Box::pin(chunks), Box::pin(outcome))
}

pub(crate) fn write(path: &str, bytes: &[u8]) -> Result<(), WriteError> {
    site::write(path, bytes).map_err(write_error)
}

pub(crate) fn exists(path: &str) -> bool {
    site::exists(path)
}

/// A file that is written in chunks.
#[derive(Debug)]
pub(crate) struct Writer(site::Writer);

impl Writer {
    pub(crate) fn create(path: &str) -> Result<Self, WriteError> {
        site::Writer::create(path).map(Writer).map_err(write_error)
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.0.append(bytes).map_err(write_error)
    }

    pub(crate) fn finish(self) -> Result<(), WriteError> {
        site::Writer::finish(self.0).map_err(write_error)
    }
}

fn write_error(error: site::WriteError) -> WriteError {
    WriteError {
        kind: match error.kind {
            site::WriteErrorKind::InvalidPath => WriteErrorKind::InvalidPath,
            site::WriteErrorKind::Conflict => WriteErrorKind::Conflict,
            site::WriteErrorKind::Limit => WriteErrorKind::Limit,
            site::WriteErrorKind::Storage => WriteErrorKind::Storage,
            site::WriteErrorKind::Other => WriteErrorKind::Other,
        },
        message: error.message,
    }
}

pub(crate) fn report(diagnostic: Diagnostic) {
    diagnostics::report(&diagnostics::Diagnostic {
        severity: match diagnostic.severity {
            Severity::Info => diagnostics::Severity::Info,
            Severity::Warning => diagnostics::Severity::Warning,
            Severity::Error => diagnostics::Severity::Error,
        },
        code: diagnostic.code,
        message: diagnostic.message,
        causes: diagnostic.causes,
        location: Some(location(diagnostic.location)),
        attributes: attributes(diagnostic.attributes),
    });
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => diagnostics::Level::Trace,
        Level::Debug => diagnostics::Level::Debug,
        Level::Info => diagnostics::Level::Info,
        Level::Warn => diagnostics::Level::Warn,
        Level::Error => diagnostics::Level::Error,
    };
    diagnostics::log(level, message);
}

pub(crate) fn progress(stage: &str, done: u32, total: u32) {
    diagnostics::progress(stage, done, total);
}

/// Reports the panic that causes the trap that follows.
pub(crate) fn panicked(message: String, at: Option<&std::panic::Location<'_>>) {
    diagnostics::panicked(&diagnostics::Panic {
        message,
        location: at.map(location),
        backtrace: None,
    });
}

pub(crate) fn location(at: &std::panic::Location<'_>) -> types::SourceLocation {
    types::SourceLocation { file: at.file().to_owned(), line: at.line(), column: Some(at.column()) }
}

fn wit_request(request: Request) -> wit::Request {
    wit::Request {
        purpose: request.purpose,
        messages: request
            .messages
            .into_iter()
            .map(|message| wit::Message {
                role: match message.role {
                    Role::System => wit::Role::System,
                    Role::User => wit::Role::User,
                    Role::Assistant => wit::Role::Assistant,
                },
                content: content(message.content, message.data),
            })
            .collect(),
        format: match request.format {
            Format::Text => wit::Format::Text,
            Format::Json => wit::Format::Json,
            Format::JsonSchema(schema) => wit::Format::JsonSchema(schema.to_string()),
        },
        max_output_tokens: request.max_output_tokens,
        temperature: request.temperature,
        seed: request.seed,
        stop: request.stop,
    }
}

/// The parts of a message: the template's text, and the data after it.
fn content(text: String, data: Vec<Data>) -> Vec<wit::Part> {
    let data =
        data.into_iter().map(|Data { name, text }| wit::Part::Data(wit::Data { name, text }));
    std::iter::once(wit::Part::Text(text)).chain(data).collect()
}

fn completion(reply: wit::Completion) -> Completion {
    Completion {
        content: reply.content,
        finish_reason: match reply.finish_reason {
            wit::FinishReason::Stop => FinishReason::Stop,
            wit::FinishReason::Unsaid => FinishReason::Unsaid,
            wit::FinishReason::Other => FinishReason::Other,
        },
        usage: Usage {
            input_tokens: reply.usage.input_tokens,
            output_tokens: reply.usage.output_tokens,
        },
        provider: reply.provider,
        model: reply.model,
        call_id: reply.call_id,
    }
}

fn error(error: wit::Error) -> Error {
    Error {
        kind: kind(error.kind),
        message: error.message,
        http: error.http.map(|http| {
            Box::new(HttpDetail {
                status: http.status,
                request_id: http.request_id,
                retry_after_ms: http.retry_after_ms,
                body_excerpt: http.body_excerpt,
            })
        }),
        attempts: error.attempts,
        call_id: error.call_id,
        retryable: error.retryable,
        source: None,
    }
}

fn kind(kind: wit::ErrorKind) -> ErrorKind {
    match kind {
        wit::ErrorKind::Auth => ErrorKind::Auth,
        wit::ErrorKind::Permission => ErrorKind::Permission,
        wit::ErrorKind::NotFound => ErrorKind::NotFound,
        wit::ErrorKind::InvalidRequest => ErrorKind::InvalidRequest,
        wit::ErrorKind::ContextTooLong => ErrorKind::ContextTooLong,
        wit::ErrorKind::RateLimited => ErrorKind::RateLimited,
        wit::ErrorKind::QuotaExhausted => ErrorKind::QuotaExhausted,
        wit::ErrorKind::Overloaded => ErrorKind::Overloaded,
        wit::ErrorKind::Timeout => ErrorKind::Timeout,
        wit::ErrorKind::Connection => ErrorKind::Connection,
        wit::ErrorKind::Protocol => ErrorKind::Protocol,
        wit::ErrorKind::Truncated => ErrorKind::Truncated,
        wit::ErrorKind::Empty => ErrorKind::Empty,
        wit::ErrorKind::Malformed => ErrorKind::Malformed,
        wit::ErrorKind::SchemaMismatch => ErrorKind::SchemaMismatch,
        wit::ErrorKind::ContentFiltered => ErrorKind::ContentFiltered,
        wit::ErrorKind::BudgetExceeded => ErrorKind::BudgetExceeded,
        wit::ErrorKind::NoRoute => ErrorKind::NoRoute,
        wit::ErrorKind::Cancelled => ErrorKind::Cancelled,
        wit::ErrorKind::Other => ErrorKind::Other,
    }
}
