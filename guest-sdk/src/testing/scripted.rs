//! Turns scripted answers into replies as the host's gateway does, without retries, limits and
//! costs.

use serde_json::Value;
use sitewright_script::{Answer, ConnectionFault, Fault, Question, Script};

use crate::{
    Manifest,
    ai::{Completion, Error, ErrorKind, FinishReason, Format, HttpDetail, Message, Request, Usage},
};

/// Answers a call with the script.
pub(super) fn answer(
    script: Option<&Script>,
    purposes: &[String],
    request: &Request,
    call_id: String,
) -> Result<Completion, Error> {
    let reject = |kind, message: String| Err(Error::local(kind, message, call_id.clone()));
    if !purposes.contains(&request.purpose) {
        return reject(
            ErrorKind::InvalidRequest,
            format!(
                "the purpose `{}` is not declared in the template's manifest, which declares \
                 {purposes:?}",
                request.purpose
            ),
        );
    }
    if request.messages.is_empty() {
        return reject(
            ErrorKind::InvalidRequest,
            "the request has no message: add one with `user`".to_owned(),
        );
    }
    let empty = |message: &Message| message.content.trim().is_empty();
    if let Some(at) = request.messages.iter().position(empty) {
        return reject(
            ErrorKind::InvalidRequest,
            format!("the content of messages[{at}] is empty; remove the message or add text"),
        );
    }
    let Some(script) = script else {
        return reject(
            ErrorKind::NoRoute,
            "the harness has no script: create it with Harness::scripted".to_owned(),
        );
    };
    let texts: Vec<&str> =
        request.messages.iter().map(|message| message.content.as_str()).collect();
    let schema = match &request.format {
        Format::JsonSchema(schema) => Some(schema),
        Format::Text | Format::Json => None,
    };
    let question = Question { purpose: &request.purpose, messages: &texts, schema };
    let content = match script.answer(&question).map(|reply| reply.answer) {
        Some(Answer::Text(content)) => content,
        Some(Answer::Fault(fault)) => return Err(failed(fault, call_id)),
        None => {
            let message = question.unanswered("of the harness");
            return Err(Error {
                attempts: 1,
                ..Error::local(ErrorKind::NotFound, message, call_id)
            });
        }
    };
    validate(&request.format, &content).map_err(|(kind, message)| Error {
        attempts: 1,
        ..Error::local(kind, message, call_id.clone())
    })?;
    Ok(Completion {
        content,
        finish_reason: FinishReason::Stop,
        usage: Usage::default(),
        provider: "script".to_owned(),
        model: "script".to_owned(),
        call_id,
    })
}

/// Validates a complete reply against the requested format, as the host does.
fn validate(format: &Format, content: &str) -> Result<(), (ErrorKind, String)> {
    if content.trim().is_empty() {
        return Err((ErrorKind::Empty, "the reply has no content".to_owned()));
    }
    let parsed = || {
        serde_json::from_str::<Value>(content)
            .map_err(|error| (ErrorKind::Malformed, format!("the reply is not JSON: {error}")))
    };
    match format {
        Format::Text => Ok(()),
        Format::Json => parsed().map(drop),
        Format::JsonSchema(schema) => match schema_errors(schema, &parsed()?) {
            errors if errors.is_empty() => Ok(()),
            errors => Err((
                ErrorKind::SchemaMismatch,
                format!("the reply does not fit its schema: {}", errors.join("; ")),
            )),
        },
    }
}

/// The validation errors of a value, each with the path in the value. An invalid schema is an error
/// too.
pub(super) fn schema_errors(schema: &Value, value: &Value) -> Vec<String> {
    match jsonschema::draft202012::new(schema) {
        Ok(validator) => validator
            .iter_errors(value)
            .map(|error| format!("at `{}`: {error}", error.instance_path()))
            .collect(),
        Err(error) => vec![format!("the schema itself is invalid: {error}")],
    }
}

/// The names of the purposes in a manifest.
pub(super) fn purposes(manifest: &Manifest) -> Vec<String> {
    manifest.ai_purposes.iter().map(|purpose| purpose.name.clone()).collect()
}

fn failed(fault: Fault, call_id: String) -> Error {
    let failed = |kind, message: &str| Error {
        attempts: 1,
        ..Error::local(kind, message.to_owned(), call_id.clone())
    };
    match fault {
        Fault::Status { status, body, headers } => {
            let header = |name: &str| {
                headers.iter().find_map(|(key, value)| {
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let retry_after_ms = || {
                let whole = |name| header(name)?.parse::<u64>().ok();
                whole("retry-after-ms").or_else(|| Some(whole("retry-after")?.saturating_mul(1000)))
            };
            let kind = ErrorKind::of_status(status);
            let error = failed(kind, &format!("the scripted provider answered HTTP {status}"));
            Error {
                retryable: kind.retryable_after(header("x-should-retry").as_deref(), &body),
                http: Some(Box::new(HttpDetail {
                    status,
                    request_id: header("x-request-id"),
                    retry_after_ms: retry_after_ms(),
                    body_excerpt: (!body.is_empty()).then_some(body),
                })),
                ..error
            }
        }
        Fault::Cut(_) => failed(ErrorKind::Truncated, "the reply was truncated at a token limit"),
        Fault::Garbage(_) => {
            failed(ErrorKind::Protocol, "the response does not follow the provider's protocol")
        }
        Fault::Empty => failed(ErrorKind::Empty, "the reply has no content"),
        Fault::Refused => {
            failed(ErrorKind::ContentFiltered, "the provider's content filter rejected the reply")
        }
        Fault::Hang => failed(ErrorKind::Timeout, "the provider never answered"),
        Fault::Connection(ConnectionFault::Refused) => {
            failed(ErrorKind::Connection, "the connection was refused")
        }
        Fault::Connection(ConnectionFault::Reset) => {
            failed(ErrorKind::Connection, "the connection was closed before the answer")
        }
    }
}
