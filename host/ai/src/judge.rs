//! Whether what a reply says can be used, beyond its form: asked of the one who knows the order.

use std::fmt;
use std::sync::Arc;

use tokio::time::timeout_at;

use super::answer::Reply;
use super::failure::AttemptFailure;
use super::gateway::CallContext;
use super::reply_check::unusable;
use super::request::{Format, Request};
use sitewright_model::ai::{AiErrorKind, CallId, Limit};
use sitewright_model::failure::Problem;

/// Maximum number of problems that the model is told.
const TOLD: usize = 8;
/// Longer replies are judged on a blocking thread.
const INLINE_JUDGE_BYTES: usize = 16 * 1024;

/// A reply of the required form, which nobody has used yet.
#[derive(Debug, Clone, Copy)]
pub struct ToJudge<'a> {
    pub call_id: CallId,
    /// The purpose of the call.
    pub purpose: &'a str,
    /// The text, or the JSON value.
    pub reply: &'a str,
    pub is_json: bool,
}

/// Judges the text of replies. The model is told what is wrong and asked again, once; then the next
/// candidate is asked.
pub trait ReplyJudge: fmt::Debug + Send + Sync {
    /// Takes time that is linear in the reply.
    ///
    /// # Errors
    /// What is wrong with the reply and what would be right, each with its place: the id of the
    /// call, and the JSON pointer of the text.
    fn judge(&self, reply: ToJudge<'_>) -> Result<(), Vec<Problem>>;

    /// Whether also a short reply takes more than a moment.
    fn is_slow(&self) -> bool {
        false
    }
}

/// The reply if its text can be used.
pub(super) async fn judged(
    reply: Reply,
    raw: Option<String>,
    request: &Request,
    call: &CallContext,
) -> Result<(Reply, Option<String>), AttemptFailure> {
    let Some(judge) = &call.judge else { return Ok((reply, raw)) };
    let (call_id, is_json) = (call.call_id, !matches!(request.format, Format::Text));
    let verdict = if reply.content.len() <= INLINE_JUDGE_BYTES && !judge.is_slow() {
        let purpose = request.purpose.as_str();
        judge.judge(ToJudge { call_id, purpose, reply: &reply.content, is_json })
    } else {
        let (judge, content) = (Arc::clone(judge), reply.content.clone());
        let purpose = request.purpose.as_str().to_owned();
        let work = tokio::task::spawn_blocking(move || {
            judge.judge(ToJudge { call_id, purpose: &purpose, reply: &content, is_json })
        });
        match timeout_at(call.deadline, work).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => {
                let detail = format!("the judge of its text failed: {error}");
                return Err(AttemptFailure::new(AiErrorKind::Other, detail));
            }
            Err(_) => {
                let detail = "the order's deadline passed while the reply's text was judged";
                return Err(
                    AttemptFailure::new(AiErrorKind::Cancelled, detail).with_limit(Limit::Deadline)
                );
            }
        }
    };
    match verdict {
        Ok(()) => Ok((reply, raw)),
        Err(problems) => {
            let detail = format!("its text cannot be published: {}", told(&problems, call_id));
            let mut failure = unusable(reply, AiErrorKind::Malformed, detail);
            if let Some(unusable) = &mut failure.unusable {
                unusable.problems = problems;
            }
            Err(failure)
        }
    }
}

/// Whether this order can use a reply that another order's model gave. A judge that fails refuses
/// it: then the order asks a model of its own.
pub(super) async fn accepts(call: &CallContext, request: &Request, reply: &str) -> bool {
    let Some(judge) = call.judge.clone() else { return true };
    let (call_id, is_json) = (call.call_id, !matches!(request.format, Format::Text));
    let (purpose, reply) = (request.purpose.as_str().to_owned(), reply.to_owned());
    let work = tokio::task::spawn_blocking(move || {
        judge.judge(ToJudge { call_id, purpose: &purpose, reply: &reply, is_json }).is_ok()
    });
    timeout_at(call.deadline, work).await.is_ok_and(|judged| judged.unwrap_or(false))
}

/// The problems as the model and people are told.
fn told(problems: &[Problem], call_id: CallId) -> String {
    let call = call_id.to_string();
    let mut told = String::new();
    for Problem { at, message, .. } in problems.iter().take(TOLD) {
        let pointer = at.strip_prefix(&call).unwrap_or(at);
        let separator = if told.is_empty() { "" } else { "; " };
        let place = if pointer.is_empty() { String::new() } else { format!("at `{pointer}`: ") };
        told.push_str(&format!("{separator}{place}{message}"));
    }
    match problems.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told}; and {more} more problems"),
    }
}
