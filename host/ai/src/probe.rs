//! Probes: one small call to each candidate, to check the configuration.

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::time::Instant;

use super::budget::estimated_tokens;
use super::candidate::{Candidate, FailedAttempt, Place, Reading};
use super::failure::AttemptFailure;
use super::gateway::{CallContext, Gateway};
use super::json::ReplySchema;
use super::provider::Provider;
use super::request::{ChatMessage, Format, Purpose, Request, Role};
use super::text::TextSink;
use sitewright_model::ai::{Attempt, CallId};
use sitewright_model::message::Message;
use sitewright_model::time::millis;

/// The result of one small call to a candidate of a route.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    pub route: String,
    /// The attempt, as in a call.
    pub attempt: Attempt,
    /// Whether the candidate can serve the route. A reply that the probe's token limit truncates is
    /// sufficient.
    pub usable: bool,
    /// What to do if it is not usable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Message>,
    /// The parameters that the model refuses, so that requests are sent without them or in another
    /// way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<&'static str>,
}

/// Maximum number of probes in flight, so that one slow provider does not delay the others.
const CONCURRENT_PROBES: usize = 8;

/// Token limit of a probe's reply.
const PROBE_TOKENS: u32 = 16;

/// Temperature of a probe: the one of most templates.
const PROBE_TEMPERATURE: f32 = 0.7;

impl Gateway {
    /// Makes one small call to every candidate of a route, as templates call it, with the same limits, timeouts and
    /// circuit breaker as any other call. `None` if the route does not exist.
    ///
    /// A scripted candidate is not called: a call would use up one of its rules.
    pub async fn probe(&self, route: &str, deadline: Instant) -> Option<Vec<Probe>> {
        let (route, found) = self.route_table().get_key_value(route)?;
        let probes =
            found.candidates.iter().map(|candidate| self.probe_one(route, candidate, deadline));
        Some(stream::iter(probes).buffered(CONCURRENT_PROBES).collect().await)
    }

    /// Probes every candidate of every route, at most 8 at the same time, until the deadline. The
    /// result has the order of the routes.
    pub async fn probe_all(&self, deadline: Instant) -> Vec<Probe> {
        let mut all = Vec::new();
        for (route, found) in self.route_table() {
            for candidate in &found.candidates {
                // Boxed, because the compiler cannot prove that a stream of these is `Send`.
                all.push(self.probe_one(route, candidate, deadline).boxed());
            }
        }
        stream::iter(all).buffered(CONCURRENT_PROBES).collect().await
    }

    async fn probe_one(&self, route: &str, candidate: &Candidate, deadline: Instant) -> Probe {
        let done = |attempt: Attempt, failed: Option<FailedAttempt>| {
            // The probe's token limit truncates the reply; an interrupted stream is retryable.
            let failed = failed.filter(|failed| !failed.failure.is_at_token_limit());
            let hint = failed.as_ref().and_then(|failed| candidate.hint(route, &failed.failure));
            Probe {
                route: route.to_owned(),
                attempt,
                usable: failed.is_none(),
                hint,
                refused: candidate.refused(),
            }
        };
        if let Provider::Scripted(_) = candidate.provider.as_ref() {
            return done(candidate.not_probed(), None);
        }
        let request = probe();
        let begin = Instant::now();
        let tokens =
            estimated_tokens(request.messages.iter().map(|message| message.content.len()).sum());
        let mut adjusted = candidate.first_shape(&request.format);
        let call = CallContext::new(CallId::nth(1), deadline);
        let at = Place { route, call: &call, transport: self.transport(), first_token: None };
        loop {
            let permit =
                candidate.limiter.acquire_for_probe(&candidate.model, tokens, deadline).await;
            let waited_ms = millis(begin.elapsed());
            let permit = match permit {
                Ok(permit) => permit,
                Err(failure) => {
                    let (attempt, failed) = candidate.rejected(route, failure);
                    return done(Attempt { waited_ms, ..attempt }, Some(failed));
                }
            };
            let text = &mut TextSink::none();
            let (attempt, result) =
                candidate.attempt(at, &request, &adjusted, Reading::Any, text).await;
            let failed = result.err();
            // Orders that a breaker rejects for it have to say what it was: nobody else does.
            let failure = failed
                .as_ref()
                .map(|failed| AttemptFailure { of_probe: true, ..failed.failure.clone() });
            permit.complete(failure.as_ref());
            let refusal = failed.as_ref().and_then(|failed| failed.refusal.as_ref());
            match refusal.and_then(|refusal| candidate.after(&request, &adjusted, refusal)) {
                Some(next) if Instant::now() < deadline => adjusted = next,
                _ => return done(Attempt { waited_ms, ..attempt }, failed),
            }
        }
    }
}

/// A small request with everything that templates send: a schema, a temperature, system text. The
/// reply is not checked.
fn probe() -> Request {
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    let schema = json!({
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": false,
    });
    Request {
        purpose: Purpose::probe(),
        messages: vec![
            message(Role::System, "You check a connection."),
            message(Role::User, "Reply with ok: true"),
        ],
        // Every JSON object is a schema.
        format: ReplySchema::compile(&schema.to_string()).map_or(Format::Json, Format::JsonSchema),
        max_output_tokens: Some(PROBE_TOKENS),
        temperature: Some(PROBE_TEMPERATURE),
        seed: None,
        stop: Vec::new(),
        identity: None,
    }
}
