//! The check of a reply's JSON.

use tokio::time::{Instant, timeout_at};

use super::answer::Reply;
use super::failure::AttemptFailure;
use super::json::{self, JsonProblem, ReplySchema};
use super::request::Format;
use super::wire::excerpt;
use sitewright_model::ai::{AiErrorKind, HttpDetail, Limit};

/// Longer replies are parsed on a blocking thread.
const INLINE_PARSE_BYTES: usize = 64 * 1024;

/// The reply with its JSON checked, and the model's whole text if the JSON is only a part of it.
///
/// The schema comes from the template, and a short one can take very long to check. So only quick
/// schemas are checked on the runtime's threads (failure catalogue C4), and the wait for the others
/// ends at the order's deadline.
pub(super) async fn checked(
    reply: Reply,
    format: &Format,
    deadline: Instant,
) -> Result<(Reply, Option<String>), AttemptFailure> {
    let schema = match format {
        Format::Text => return Ok((reply, None)),
        Format::Json if reply.content.len() <= INLINE_PARSE_BYTES => return extracted(reply, None),
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
            Err(AttemptFailure::new(AiErrorKind::Other, detail).with_usage(usage))
        }
        Err(_) => {
            let detail = "the order's deadline passed while the reply was checked against the \
                          template's schema";
            Err(AttemptFailure::new(AiErrorKind::Cancelled, detail)
                .with_usage(usage)
                .with_limit(Limit::Deadline))
        }
    }
}

fn extracted(
    reply: Reply,
    schema: Option<&ReplySchema>,
) -> Result<(Reply, Option<String>), AttemptFailure> {
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
    // The model's text is more useful than the envelope around it.
    let http = HttpDetail { body_excerpt: excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = AttemptFailure::new(kind, detail).with_http(http).with_usage(reply.usage);
    Err(AttemptFailure { reply: Some(reply.content), ..failure })
}
