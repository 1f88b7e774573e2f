//! The check of a reply's JSON.

use tokio::time::{Instant, timeout_at};

use super::answer::Reply;
use super::failure::AttemptFailure;
use super::json::{self, JsonProblem, ReplySchema};
use super::request::Format;
use super::wire::excerpt;
use sitewright_model::ai::{AiErrorKind, FinishReason, HttpDetail, Limit};

/// Longer replies are parsed on a blocking thread.
const INLINE_PARSE_BYTES: usize = 64 * 1024;

/// The reply with its JSON checked, and the model's whole text if the JSON is only a part of it.
///
/// The schema comes from the template, and a short one can take very long to check. So only quick
/// schemas are checked on the runtime's threads (failure catalogue C4), and the wait for the others
/// ends at the order's deadline.
pub(super) async fn checked(
    mut reply: Reply,
    format: &Format,
    deadline: Instant,
) -> Result<(Reply, Option<String>), AttemptFailure> {
    let schema = match format {
        Format::Text if reply.finish_reason == FinishReason::Other => return Err(doubtful(reply)),
        Format::Text => {
            let raw = reply.raw.take();
            return Ok((reply, raw));
        }
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

/// The failure for a text that ended for an unknown reason: it may be cut, and nothing shows
/// whether it is. JSON that is valid is whole.
fn doubtful(reply: Reply) -> AttemptFailure {
    let detail = format!(
        "after {} characters, for a finish reason that Sitewright does not know; the reply may be \
         cut",
        reply.content.chars().count()
    );
    let http = HttpDetail { body_excerpt: excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = AttemptFailure::new(AiErrorKind::Truncated, detail);
    AttemptFailure { retryable: true, ..failure }.with_http(http).with_usage(reply.usage)
}

fn extracted(
    mut reply: Reply,
    schema: Option<&ReplySchema>,
) -> Result<(Reply, Option<String>), AttemptFailure> {
    let late = reply.raw.take();
    let (kind, detail) = match json::extract(&reply.content, schema) {
        Ok(json) if json == reply.content => return Ok((reply, late)),
        Ok(json) => {
            let json = json.into_owned();
            let raw = late.or(Some(reply.content));
            return Ok((Reply { content: json, ..reply }, raw));
        }
        Err(JsonProblem::Malformed(detail)) => (AiErrorKind::Malformed, detail),
        Err(JsonProblem::Mismatch(detail)) => (AiErrorKind::SchemaMismatch, detail),
    };
    // The model's text is more useful than the envelope around it.
    let http = HttpDetail { body_excerpt: excerpt(reply.content.as_bytes()), ..reply.http };
    let failure = AttemptFailure::new(kind, detail).with_http(http).with_usage(reply.usage);
    Err(AttemptFailure { reply: Some(reply.content), ..failure })
}
