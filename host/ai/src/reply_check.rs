//! The check of a reply's JSON.

use std::borrow::Cow;

use tokio::time::{Instant, timeout_at};

use super::answer::Reply;
use super::failure::{AttemptFailure, Unusable};
use super::json::{self, ReplySchema};
use super::nulls;
use super::request::Format;
use super::wire::excerpt;
use sitewright_json_schema::CheckError;
use sitewright_model::ai::{AiErrorKind, FinishReason, HttpDetail, Limit, Usage};

/// Longer replies are parsed on a blocking thread.
const INLINE_PARSE_BYTES: usize = 64 * 1024;

/// The reply with its JSON checked, and the model's whole text if the JSON is only a part of it.
///
/// The schema comes from the template, and a short one can take very long to check: where that is
/// done, and within which limits, is the schema's business (failure catalogue C4). The wait for it
/// ends at the order's deadline.
pub(super) async fn checked(
    mut reply: Reply,
    format: &Format,
    deadline: Instant,
) -> Result<(Reply, Option<String>), AttemptFailure> {
    let late = reply.raw.take();
    let schema = match format {
        Format::Text if reply.finish_reason == FinishReason::Other => {
            let word = reply.unknown_end.as_deref().unwrap_or_default();
            let why = format!("with the finish reason `{word}`, which is no known end of a reply");
            return Err(doubtful(reply, &why));
        }
        Format::Text if reply.unended => {
            return Err(doubtful(reply, "the model began to think again and did not end it"));
        }
        Format::Text => return Ok((reply, late)),
        Format::Json => None,
        Format::JsonSchema(schema) => Some(schema),
    };
    let typed = schema.is_some();
    let values = if reply.content.len() <= INLINE_PARSE_BYTES {
        json::values(&reply.content, typed)
    } else {
        let content = reply.content.clone();
        let parsing = tokio::task::spawn_blocking(move || json::values(&content, typed));
        match timeout_at(deadline, parsing).await {
            Ok(Ok(values)) => values,
            Ok(Err(error)) => {
                return Err(unchecked(&CheckError::Host(error.to_string()), reply.usage));
            }
            Err(_) => return Err(unchecked(&CheckError::Deadline, reply.usage)),
        }
    };
    let values = match values {
        Ok(values) => values,
        Err(detail) => return Err(unusable(reply, AiErrorKind::Malformed, detail)),
    };
    let json = match schema {
        None => values.into_iter().max_by_key(String::len),
        Some(schema) => match fitting(&values, schema, deadline).await {
            Ok(json) => Some(json),
            Err(Unfit::Unchecked(error)) => return Err(unchecked(&error, reply.usage)),
            Err(Unfit::Reply(kind, detail)) => return Err(unusable(reply, kind, detail)),
        },
    };
    Ok(match json {
        Some(json) if json != reply.content => {
            let raw = late.or(Some(reply.content));
            (Reply { content: json, end_unsaid: false, ..reply }, raw)
        }
        _ => (Reply { end_unsaid: false, ..reply }, late),
    })
}

/// Why no value of a reply is the wanted one.
enum Unfit {
    /// The reply is not what was requested.
    Reply(AiErrorKind, String),
    /// That is not known.
    Unchecked(CheckError),
}

/// The value that the schema accepts.
async fn fitting(
    values: &[String],
    schema: &ReplySchema,
    deadline: Instant,
) -> Result<String, Unfit> {
    let mut fits: Option<Cow<'_, str>> = None;
    // The problems of the longest value: it is the one that the model means.
    let mut problems: Option<(usize, AiErrorKind, String)> = None;
    for json in values {
        let (kind, wrong) = match fit(json, schema, deadline).await {
            Ok(value) => {
                if fits.as_ref().is_some_and(|before| !json::are_equal(before, &value)) {
                    let detail = "it has more than one value that the schema accepts, and they \
                                  differ";
                    return Err(Unfit::Reply(AiErrorKind::Malformed, detail.to_owned()));
                }
                fits = Some(value);
                continue;
            }
            Err(Unfit::Reply(kind, wrong)) => (kind, wrong),
            Err(unchecked) => return Err(unchecked),
        };
        if problems.as_ref().is_none_or(|(length, ..)| *length <= json.len()) {
            problems = Some((json.len(), kind, wrong));
        }
    }
    match (fits, problems) {
        (Some(json), _) => Ok(json.into_owned()),
        (None, Some((_, kind, wrong))) => match inside(values, schema, deadline).await? {
            Some(json) => Ok(json),
            None => Err(Unfit::Reply(kind, wrong)),
        },
        (None, None) => Err(Unfit::Reply(AiErrorKind::Malformed, "it has no JSON".to_owned())),
    }
}

/// The value inside of the longest one, if the schema accepts it: some models put it into a text, a
/// list or an object of its own.
async fn inside(
    values: &[String],
    schema: &ReplySchema,
    deadline: Instant,
) -> Result<Option<String>, Unfit> {
    let longest = values.iter().max_by_key(|value| value.len());
    let Some(inner) = longest.and_then(|value| json::unwrapped(value)) else { return Ok(None) };
    match fit(&inner, schema, deadline).await {
        Ok(value) => Ok(Some(value.into_owned())),
        Err(Unfit::Reply(..)) => Ok(None),
        Err(unchecked) => Err(unchecked),
    }
}

/// The value if the schema accepts it, perhaps without optional fields that are null, and with
/// lists and objects that were written as texts.
async fn fit<'a>(
    json: &'a str,
    schema: &ReplySchema,
    deadline: Instant,
) -> Result<Cow<'a, str>, Unfit> {
    let wrong = match schema.problems(json, deadline.into_std()).await {
        Ok(None) => return Ok(Cow::Borrowed(json)),
        Ok(Some(wrong)) => wrong,
        Err(CheckError::NotJson(reason)) => {
            return Err(Unfit::Reply(AiErrorKind::Malformed, reason));
        }
        Err(error) => return Err(Unfit::Unchecked(error)),
    };
    if let Some(without) = nulls::removed(json, schema.value()) {
        match schema.problems(&without, deadline.into_std()).await {
            Ok(None) => return Ok(Cow::Owned(without)),
            Ok(Some(_)) | Err(CheckError::NotJson(_)) => {}
            Err(error) => return Err(Unfit::Unchecked(error)),
        }
    }
    Err(Unfit::Reply(AiErrorKind::SchemaMismatch, wrong))
}

/// The failure for a text of which nothing shows whether it is whole, and `why`. JSON that is valid
/// is whole.
fn doubtful(reply: Reply, why: &str) -> AttemptFailure {
    let characters = reply.content.chars().count();
    let detail = format!("after {characters} characters, {why}; the reply may be cut");
    let http = HttpDetail { body_excerpt: excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = AttemptFailure::new(AiErrorKind::Truncated, detail);
    AttemptFailure { retryable: true, ..failure }.with_http(http).with_usage(reply.usage)
}

/// The model's reply is not what was requested.
pub(super) fn unusable(reply: Reply, kind: AiErrorKind, detail: String) -> AttemptFailure {
    // The model's text is more useful than the envelope around it.
    let http = HttpDetail { body_excerpt: excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = AttemptFailure::new(kind, detail).with_http(http).with_usage(reply.usage);
    let unusable = Unusable { reply: reply.content, problems: Vec::new() };
    AttemptFailure { unusable: Some(Box::new(unusable)), ..failure }
}

/// Whether the reply is what was requested is not known.
fn unchecked(error: &CheckError, usage: Usage) -> AttemptFailure {
    let failure = match error {
        CheckError::Deadline => {
            let detail = "the order's deadline passed while the reply was checked against the \
                          template's schema";
            AttemptFailure::new(AiErrorKind::Cancelled, detail.to_owned())
                .with_limit(Limit::Deadline)
        }
        // The same schema costs as much with the reply of another model.
        CheckError::TooCostly { .. } => AttemptFailure::new(
            AiErrorKind::InvalidRequest,
            format!("its reply could not be checked, because of the template's schema: {error}"),
        ),
        CheckError::NotJson(_) | CheckError::Host(_) => AttemptFailure::new(
            AiErrorKind::Other,
            format!("its reply could not be checked: {error}"),
        ),
    };
    failure.with_usage(usage)
}
