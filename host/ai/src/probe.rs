//! Probes: one small call to each candidate, to check the configuration.

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::budget::estimated_tokens;
use super::candidate::{Candidate, FailedAttempt};
use super::gateway::{CallContext, Gateway};
use super::provider::Provider;
use super::request::{ChatMessage, Format, Purpose, Request, Role};
use super::text::TextSink;
use sitewright_model::ai::{AiErrorKind, Attempt, CallId};
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
}

/// Maximum number of probes in flight, so that one slow provider does not delay the others.
const CONCURRENT_PROBES: usize = 8;

/// Token limit of a probe's reply.
const PROBE_TOKENS: u32 = 16;

impl Gateway {
    /// Makes one small call to every candidate of a route, with the same limits, timeouts and
    /// circuit breaker as any other call. `None` if the route does not exist.
    ///
    /// A scripted candidate is not called: a call would use up one of its rules.
    pub async fn probe(&self, route: &str, deadline: Instant) -> Option<Vec<Probe>> {
        let (route, candidates) = self.route_table().get_key_value(route)?;
        let probes = candidates.iter().map(|candidate| self.probe_one(route, candidate, deadline));
        Some(stream::iter(probes).buffered(CONCURRENT_PROBES).collect().await)
    }

    /// Probes every candidate of every route, at most 8 at the same time, until the deadline. The
    /// result has the order of the routes.
    pub async fn probe_all(&self, deadline: Instant) -> Vec<Probe> {
        let mut all = Vec::new();
        for (route, candidates) in self.route_table() {
            for candidate in candidates {
                // Boxed, because the compiler cannot prove that a stream of these is `Send`.
                all.push(self.probe_one(route, candidate, deadline).boxed());
            }
        }
        stream::iter(all).buffered(CONCURRENT_PROBES).collect().await
    }

    async fn probe_one(&self, route: &str, candidate: &Candidate, deadline: Instant) -> Probe {
        let done = |attempt: Attempt, failed: Option<FailedAttempt>| {
            // The probe's token limit truncates the reply; an interrupted stream is retryable.
            let failed = failed.filter(|FailedAttempt { failure, .. }| {
                failure.kind != AiErrorKind::Truncated || failure.retryable
            });
            let hint = failed.as_ref().and_then(|failed| candidate.hint(route, &failed.failure));
            Probe { route: route.to_owned(), attempt, usable: failed.is_none(), hint }
        };
        if let Provider::Scripted(_) = candidate.provider.as_ref() {
            return done(candidate.not_probed(), None);
        }
        let content = "Reply with the word: ok";
        let request = Request {
            purpose: Purpose::probe(),
            messages: vec![ChatMessage { role: Role::User, content: content.to_owned() }],
            format: Format::Text,
            max_output_tokens: Some(PROBE_TOKENS),
            temperature: None,
            seed: None,
            stop: Vec::new(),
        };
        let begin = Instant::now();
        let tokens = estimated_tokens(content.len());
        let permit = candidate.limiter.acquire_for_probe(&candidate.model, tokens, deadline).await;
        let waited_ms = millis(begin.elapsed());
        let (attempt, failed) = match permit {
            Ok(permit) => {
                let call = CallContext::new(CallId::nth(1), deadline);
                let text = &mut TextSink::none();
                let (attempt, result) =
                    candidate.attempt(route, &request, &call, self.transport(), text).await;
                let failed = result.err();
                permit.complete(failed.as_ref().map(|failed| &failed.failure));
                (attempt, failed)
            }
            Err(failure) => {
                let (attempt, failed) = candidate.rejected(route, failure);
                (attempt, Some(failed))
            }
        };
        done(Attempt { waited_ms, ..attempt }, failed)
    }
}
