//! The check of a reply's JSON.

use tokio::time::{Instant, timeout_at};

use super::answer::Reply;
use super::failure::AttemptFailure;
use super::json;
use super::request::Format;
use super::wire::excerpt;
use sitewright_json_schema::CheckError;
use sitewright_model::ai::{AiErrorKind, HttpDetail, Limit, Usage};

/// Longer replies are parsed on a blocking thread.
const INLINE_PARSE_BYTES: usize = 64 * 1024;

/// The reply with its JSON checked, and the model's whole text if the JSON is only a part of it.
///
/// The schema comes from the template, and a short one can take very long to check: where that is
/// done, and within which limits, is the schema's business (failure catalogue C4). The wait for it
/// ends at the order's deadline.
pub(super) async fn checked(
    reply: Reply,
    format: &Format,
    deadline: Instant,
) -> Result<(Reply, Option<String>), AttemptFailure> {
    let schema = match format {
        Format::Text => return Ok((reply, None)),
        Format::Json => None,
        Format::JsonSchema(schema) => Some(schema),
    };
    let (reply, raw) = if reply.content.len() <= INLINE_PARSE_BYTES {
        extracted(reply)?
    } else {
        let usage = reply.usage;
        let extracting = tokio::task::spawn_blocking(move || extracted(reply));
        match timeout_at(deadline, extracting).await {
            Ok(Ok(extracted)) => extracted?,
            Ok(Err(error)) => return Err(unchecked(&CheckError::Host(error.to_string()), usage)),
            Err(_) => return Err(unchecked(&CheckError::Deadline, usage)),
        }
    };
    let Some(schema) = schema else { return Ok((reply, raw)) };
    match schema.problems(&reply.content, deadline.into_std()).await {
        Ok(None) => Ok((reply, raw)),
        Ok(Some(problems)) => {
            let content = raw.unwrap_or(reply.content);
            Err(unusable(Reply { content, ..reply }, AiErrorKind::SchemaMismatch, problems))
        }
        Err(CheckError::NotJson(reason)) => {
            let content = raw.unwrap_or(reply.content);
            Err(unusable(Reply { content, ..reply }, AiErrorKind::Malformed, reason))
        }
        Err(error) => Err(unchecked(&error, reply.usage)),
    }
}

fn extracted(reply: Reply) -> Result<(Reply, Option<String>), AttemptFailure> {
    match json::extract(&reply.content) {
        Ok(json) if json.len() == reply.content.len() => Ok((reply, None)),
        Ok(json) => {
            let json = json.to_owned();
            let raw = reply.content;
            Ok((Reply { content: json, ..reply }, Some(raw)))
        }
        Err(detail) => Err(unusable(reply, AiErrorKind::Malformed, detail)),
    }
}

/// The model's reply is not what was requested.
fn unusable(reply: Reply, kind: AiErrorKind, detail: String) -> AttemptFailure {
    // The model's text is more useful than the envelope around it.
    let http = HttpDetail { body_excerpt: excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = AttemptFailure::new(kind, detail).with_http(http).with_usage(reply.usage);
    AttemptFailure { reply: Some(reply.content), ..failure }
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
