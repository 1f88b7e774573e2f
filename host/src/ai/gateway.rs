//! Routes and candidates: who is asked, in which order, and what becomes of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use tokio::time::Instant;

use super::attempt::{Candidate, Failed};
use super::completion::Completed;
use super::config::{AiConfig, ConfigError};
use super::error::{AiError, AiErrorKind, Attempt, AttemptOutcome};
use super::provider::Provider;
use super::ready;
use super::request::{CallId, ChatMessage, Format, Purpose, Request, Role};
use super::transport::Transport;
use crate::message;
use crate::message::Message;

/// The way to the models. Made once from the configuration; shared by all runs.
#[derive(Debug)]
pub struct Gateway {
    routes: BTreeMap<String, Vec<Candidate>>,
    transport: Transport,
}

/// What the caller knows of a call besides its request.
#[derive(Debug, Clone, Copy)]
pub struct CallContext {
    /// Which call of its run this is.
    pub call_id: CallId,
    /// When the order's time ends. No attempt lasts longer (catalogue C8).
    pub deadline: Instant,
}

/// One route, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RouteInfo {
    /// The purpose it serves, or `default`.
    pub name: String,
    /// Who is asked, in order.
    pub candidates: Vec<CandidateInfo>,
}

/// One candidate of a route, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CandidateInfo {
    /// Name of the provider.
    pub provider: String,
    /// Its kind, as in the configuration.
    pub kind: &'static str,
    /// The model.
    pub model: String,
    /// The address that is called, or the script.
    pub place: String,
}

/// What one candidate of a route answered to a call by hand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    /// The attempt, as calls record it.
    pub attempt: Attempt,
    /// Whether it can serve the route. A reply cut at the probe's few tokens is good enough.
    pub usable: bool,
}

impl Gateway {
    /// Checks the configuration and reads keys and scripts; `env` looks up environment variables (`std::env::var_os`), paths
    /// are seen from `base_dir`, the configuration file's folder. Blocks on file I/O: call it while starting.
    ///
    /// # Errors
    /// All problems at once, each with its key. A key that cannot be read is one (catalogue A9).
    pub fn new(
        config: &AiConfig,
        base_dir: &Path,
        client: reqwest::Client,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Gateway, ConfigError> {
        let routes = ready::routes(config, base_dir, env)?;
        Ok(Gateway { routes, transport: Transport::new(client) })
    }

    /// Asks the candidates of the purpose's route, in order, until one gives a whole, checked reply. Dropping the future
    /// cancels the request in flight.
    ///
    /// # Errors
    /// The last candidate's error with every attempt; `no-route` and `invalid-request` before any attempt.
    pub async fn complete(&self, call: CallContext, request: Request) -> Result<Completed, AiError> {
        let refuse = |kind, message| Err(AiError::before_any_attempt(call.call_id, kind, message));
        if let Err(message) = request.check() {
            return refuse(AiErrorKind::InvalidRequest, message);
        }
        let Some((route, candidates)) = self.route(request.purpose.as_str()) else {
            return refuse(AiErrorKind::NoRoute, no_route(&request.purpose));
        };
        let mut attempts = Vec::new();
        let mut failures: Vec<Failed> = Vec::new();
        for candidate in candidates {
            if Instant::now() >= call.deadline {
                break;
            }
            let (attempt, result) = candidate.attempt(route, &request, call, &self.transport).await;
            attempts.push(attempt);
            match result {
                Ok((completion, raw_reply)) => return Ok(Completed { completion, attempts, raw_reply }),
                Err(failed) => {
                    let stop = !another_may_help(failed.failure.kind);
                    failures.push(failed);
                    if stop {
                        break;
                    }
                }
            }
        }
        let Some(last) = failures.pop() else {
            return refuse(
                AiErrorKind::Cancelled,
                message!(
                    "the order's deadline had passed before the call of route `{route}`; give the order more time"
                ),
            );
        };
        Err(failed(call.call_id, attempts, failures, last))
    }

    /// The purposes that neither a route of their own nor `default` serves.
    pub fn purposes_without_route<'a>(&self, purposes: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        purposes.into_iter().filter(|purpose| self.route(purpose).is_none()).collect()
    }

    /// All routes, by name.
    pub fn routes(&self) -> Vec<RouteInfo> {
        let info = |candidate: &Candidate| CandidateInfo {
            provider: candidate.provider_name.clone(),
            kind: candidate.provider.kind(),
            model: candidate.model.clone(),
            place: candidate.provider.place().into_owned(),
        };
        let route = |(name, candidates): (&String, &Vec<Candidate>)| RouteInfo {
            name: name.clone(),
            candidates: candidates.iter().map(info).collect(),
        };
        self.routes.iter().map(route).collect()
    }

    /// Makes one small call to every candidate of a route through the same code as any other call. Nothing when there is no
    /// such route. A scripted candidate is not asked: its rules are for templates, and asking would use them up.
    pub async fn probe(&self, route: &str, deadline: Instant) -> Option<Vec<Probe>> {
        let (name, candidates) = self.routes.get_key_value(route)?;
        // Routes are named by the operator, so the name need not be a purpose; the purpose of a probe is sent nowhere.
        let purpose = Purpose::new(name.as_str()).or_else(|_| Purpose::new("probe")).ok()?;
        let request = Request {
            purpose,
            messages: vec![ChatMessage { role: Role::User, content: "Reply with the word: ok".to_owned() }],
            format: Format::Text,
            max_output_tokens: Some(16),
            temperature: None,
            seed: None,
            stop: Vec::new(),
        };
        let call = CallContext { call_id: CallId::nth(1), deadline };
        let mut probes = Vec::new();
        for candidate in candidates {
            let attempt = match candidate.provider.as_ref() {
                Provider::Scripted(_) => candidate.not_asked(),
                Provider::Http(_) => candidate.attempt(name, &request, call, &self.transport).await.0,
            };
            let usable = matches!(
                attempt.outcome,
                AttemptOutcome::Succeeded | AttemptOutcome::Failed(AiErrorKind::Truncated)
            );
            probes.push(Probe { attempt, usable });
        }
        Some(probes)
    }

    fn route(&self, purpose: &str) -> Option<(&str, &[Candidate])> {
        let found =
            self.routes.get_key_value(purpose).or_else(|| self.routes.get_key_value(AiConfig::DEFAULT_ROUTE));
        found.map(|(name, candidates)| (name.as_str(), candidates.as_slice()))
    }
}

/// Whether the route's next candidate may succeed where one failed. Whatever a provider or a model did, another one may do better;
/// when the order's time is up, none can.
fn another_may_help(kind: AiErrorKind) -> bool {
    !matches!(kind, AiErrorKind::BudgetExceeded | AiErrorKind::NoRoute | AiErrorKind::Cancelled)
}

fn no_route(purpose: &Purpose) -> Message {
    message!(
        "no route serves the purpose `{purpose}`; add [ai.routes.{purpose}] or [ai.routes.default] to the configuration"
    )
}

/// The error of a call: the last failure, with what the earlier candidates said (catalogue A3).
fn failed(call_id: CallId, attempts: Vec<Attempt>, earlier: Vec<Failed>, last: Failed) -> AiError {
    let tried = attempts.len().saturating_sub(1);
    let before: Vec<String> = attempts
        .iter()
        .take(tried)
        .map(|attempt| format!("`{}`: {}", attempt.provider, attempt.outcome))
        .collect();
    let message = match before.is_empty() {
        true => last.message,
        false => {
            message!("every candidate failed; the last: {}; before it {}", last.message, before.join(", "))
        }
    };
    let retryable = last.failure.retryable || earlier.iter().any(|failed| failed.failure.retryable);
    let mut causes = last.failure.causes;
    causes.extend(earlier.into_iter().map(|failed| failed.message));
    AiError {
        kind: last.failure.kind,
        message,
        call_id,
        http: last.failure.http,
        attempts,
        causes,
        retryable,
    }
}
