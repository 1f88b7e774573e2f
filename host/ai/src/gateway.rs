//! Routes and candidates: who is asked, in which order, and what becomes of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::attempt::{Candidate, Failed, millis};
use super::budget::{OrderBudget, estimated_tokens};
use super::config::{AiConfig, BudgetConfig, ConfigError};
use super::journal::{JournalEntry, JournalKey, Recalled, RunJournal};
use super::known_schemas::KnownSchemas;
use super::provider::Provider;
use super::request::{ChatMessage, Format, Purpose, Request, Role};
use super::retry::{self, Jitter};
use super::route_builder;
use super::text::TextSink;
use super::transport::Transport;
use sitewright_http::Client;
use sitewright_model::ai::CallId;
use sitewright_model::ai::{AiError, AiErrorKind, Attempt};
use sitewright_model::ai::{Completed, Completion, Usage};
use sitewright_model::message;
use sitewright_model::message::Message;

/// The way to the models. Made once from the configuration; shared by all runs.
#[derive(Debug)]
pub struct Gateway {
    routes: BTreeMap<String, Vec<Candidate>>,
    transport: Transport,
    jitter: Jitter,
    budget: BudgetConfig,
    schemas: KnownSchemas,
}

/// What the caller knows of a call besides its request.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Which call of its run this is.
    pub call_id: CallId,
    /// When the order's time ends. No attempt lasts longer (catalogue C8).
    pub deadline: Instant,
    /// What the order may still use; nothing is no limit.
    pub budget: Option<Arc<OrderBudget>>,
    /// Replies of earlier attempts at the order, and where new ones go.
    pub journal: Option<Arc<RunJournal>>,
}

impl CallContext {
    /// A call with neither budget nor journal.
    pub fn new(call_id: CallId, deadline: Instant) -> Self {
        CallContext { call_id, deadline, budget: None, journal: None }
    }
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

/// Purposes that neither a route of their own nor `default` serves. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnroutedPurposes {
    pub first: String,
    pub rest: Vec<String>,
}

impl std::fmt::Display for UnroutedPurposes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<&str> =
            std::iter::once(&self.first).chain(&self.rest).map(String::as_str).collect();
        let keys: Vec<String> =
            all.iter().map(|purpose| format!("[ai.routes.{purpose}]")).collect();
        write!(
            f,
            "no route serves `{}`; add {}, or [ai.routes.{}] for every purpose without a route of \
             its own, to the configuration",
            all.join("`, `"),
            keys.join(" and "),
            AiConfig::DEFAULT_ROUTE
        )
    }
}

impl std::error::Error for UnroutedPurposes {}

/// What one candidate of a route answered to a call by hand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    /// The route.
    pub route: String,
    /// The attempt, as calls record it.
    pub attempt: Attempt,
    /// Whether it can serve the route. A reply cut at the probe's few tokens is good enough.
    pub usable: bool,
    /// What to do, when it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Message>,
}

/// Probes in flight: enough that one slow provider holds up nobody, few enough that nobody is
/// flooded.
const PROBES_AT_ONCE: usize = 8;

impl Gateway {
    /// Checks the configuration and reads keys and scripts; `env` looks up environment variables
    /// (`std::env::var_os`), paths are seen from `base_dir`, the configuration file's folder.
    /// Blocks on file I/O: call it while starting.
    ///
    /// # Errors
    /// All problems at once, each with its key. A key that cannot be read is one (catalogue A9).
    pub fn new(
        config: &AiConfig,
        base_dir: &Path,
        client: Client,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Gateway, ConfigError> {
        let routes = route_builder::routes(config, base_dir, env)?;
        let transport = Transport::new(client);
        Ok(Gateway {
            routes,
            transport,
            jitter: Jitter::from_clock(),
            budget: config.budget,
            schemas: KnownSchemas::default(),
        })
    }

    /// A gateway whose routes have these names and lead to nobody: for a replay, whose answers were
    /// given before.
    pub fn offline(routes: impl IntoIterator<Item = String>, client: Client) -> Gateway {
        let routes = routes.into_iter().map(|name| (name, Vec::new())).collect();
        let transport = Transport::new(client);
        Gateway {
            routes,
            transport,
            jitter: Jitter::from_clock(),
            budget: BudgetConfig::default(),
            schemas: KnownSchemas::default(),
        }
    }

    /// The budget of one order, to be shared by its calls.
    pub fn order_budget(&self) -> Arc<OrderBudget> {
        Arc::new(OrderBudget::new(self.budget))
    }

    /// The schemas that calls ask with.
    pub fn schemas(&self) -> &KnownSchemas {
        &self.schemas
    }

    /// The same gateway with waits between attempts that can be foretold, for tests.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Gateway { jitter: Jitter::seeded(seed), ..self }
    }

    /// Asks the candidates of the purpose's route, in order and as often as may help, until one
    /// gives a whole, checked reply. A reply in the journal is taken from there; a new one is
    /// journaled before it is returned. Dropping the future cancels the request in flight.
    ///
    /// # Errors
    /// The last candidate's error with every attempt; `no-route`, `invalid-request` and
    /// `budget-exceeded` perhaps before any.
    pub async fn complete(
        &self,
        call: CallContext,
        request: Request,
    ) -> Result<Completed, AiError> {
        self.stream(&call, &request, &mut TextSink::none()).await
    }

    /// As [`complete`](Self::complete), and passes on the model's text while it comes. Once some
    /// has gone out, a call that fails is not tried again: nothing may be mixed with it. Hand
    /// the reply to [`TextSink::rest`] for what has not gone out yet.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn stream(
        &self,
        call: &CallContext,
        request: &Request,
        text: &mut TextSink,
    ) -> Result<Completed, AiError> {
        let refuse = |kind, message| Err(AiError::before_any_attempt(call.call_id, kind, message));
        if let Err(message) = request.check() {
            return refuse(AiErrorKind::InvalidRequest, message);
        }
        let Some((route, candidates)) = self.route(request.purpose.as_str()) else {
            return refuse(AiErrorKind::NoRoute, no_route(&request.purpose));
        };
        // What comes before and after the asking is boxed: thousands of calls wait for a model,
        // with no room for it.
        let journal =
            call.journal.as_ref().map(|journal| (journal, journal.key(call.call_id, request)));
        if let Some((journal, key)) = &journal
            && let Some(before) = Box::pin(recalled(journal, key, call.call_id, text)).await
        {
            return before.map_err(|error| *error);
        }
        let done = Tries::new(self, call, route, request, text).ask(candidates).await?;
        match journal {
            Some((journal, key)) => Ok(Box::pin(stored(journal, key, call, request, done)).await),
            None => Ok(done),
        }
    }

    /// The purposes that neither a route of their own nor `default` serves.
    pub fn purposes_without_route<'a>(
        &self,
        purposes: impl IntoIterator<Item = &'a str>,
    ) -> Vec<&'a str> {
        purposes.into_iter().filter(|purpose| self.route(purpose).is_none()).collect()
    }

    /// Checks that a route serves each of these purposes, so that a missing one fails an order
    /// before its first call is paid for and not in the middle of its run (catalogue E3).
    ///
    /// # Errors
    /// All purposes without a route.
    pub fn check_purposes<'a>(
        &self,
        purposes: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), UnroutedPurposes> {
        match self.purposes_without_route(purposes).as_slice() {
            [] => Ok(()),
            [first, rest @ ..] => Err(UnroutedPurposes {
                first: (*first).to_owned(),
                rest: rest.iter().map(|purpose| (*purpose).to_owned()).collect(),
            }),
        }
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

    /// Makes one small call to every candidate of a route through the same code as any other call:
    /// limits are waited for, and the breaker learns how it ended. Nothing when there is no
    /// such route. A scripted candidate is not asked: its rules are for templates, and asking
    /// would use them up.
    pub async fn probe(&self, route: &str, deadline: Instant) -> Option<Vec<Probe>> {
        let (route, candidates) = self.routes.get_key_value(route)?;
        let probes = candidates.iter().map(|candidate| self.probe_one(route, candidate, deadline));
        Some(stream::iter(probes).buffered(PROBES_AT_ONCE).collect().await)
    }

    /// Probes every candidate of every route, a few at once; the result has the order of the
    /// routes. All have ended at the deadline.
    pub async fn probe_all(&self, deadline: Instant) -> Vec<Probe> {
        let mut all = Vec::new();
        for (route, candidates) in &self.routes {
            for candidate in candidates {
                // Boxed, because the compiler cannot see that a stream of these may move between
                // threads.
                all.push(self.probe_one(route, candidate, deadline).boxed());
            }
        }
        stream::iter(all).buffered(PROBES_AT_ONCE).collect().await
    }

    async fn probe_one(&self, route: &str, candidate: &Candidate, deadline: Instant) -> Probe {
        let done = |attempt: Attempt, failed: Option<Failed>| {
            // Cut at the probe's few tokens is good enough; a stream that broke off is not.
            let failed = failed.filter(|Failed { failure, .. }| {
                failure.kind != AiErrorKind::Truncated || failure.retryable
            });
            let advice =
                failed.as_ref().and_then(|failed| candidate.advice(route, &failed.failure));
            Probe { route: route.to_owned(), attempt, usable: failed.is_none(), advice }
        };
        if let Provider::Scripted(_) = candidate.provider.as_ref() {
            return done(candidate.not_asked(), None);
        }
        let content = "Reply with the word: ok";
        let request = Request {
            purpose: Purpose::probe(),
            messages: vec![ChatMessage { role: Role::User, content: content.to_owned() }],
            format: Format::Text,
            max_output_tokens: Some(16),
            temperature: None,
            seed: None,
            stop: Vec::new(),
        };
        let begin = Instant::now();
        let pass = candidate.gate.enter_to_probe(estimated_tokens(content.len()), deadline).await;
        let waited_ms = millis(begin.elapsed());
        let (attempt, failed) = match pass {
            Ok(pass) => {
                let call = CallContext::new(CallId::nth(1), deadline);
                let text = &mut TextSink::none();
                let (attempt, result) =
                    candidate.attempt(route, &request, &call, &self.transport, text).await;
                let failed = result.err();
                pass.ended(failed.as_ref().map(|failed| &failed.failure));
                (attempt, failed)
            }
            Err(failure) => {
                let (attempt, failed) = candidate.turned_away(route, failure);
                (attempt, Some(failed))
            }
        };
        done(Attempt { waited_ms, ..attempt }, failed)
    }

    fn route(&self, purpose: &str) -> Option<(&str, &[Candidate])> {
        let found = self
            .routes
            .get_key_value(purpose)
            .or_else(|| self.routes.get_key_value(AiConfig::DEFAULT_ROUTE));
        found.map(|(name, candidates)| (name.as_str(), candidates.as_slice()))
    }
}

/// One call on its way through the candidates of its route.
struct Tries<'a> {
    gateway: &'a Gateway,
    call: &'a CallContext,
    route: &'a str,
    request: &'a Request,
    text: &'a mut TextSink,
    attempts: Vec<Attempt>,
    failures: Vec<Failed>,
}

/// What follows a failed attempt.
enum Next {
    /// The same candidate, after this wait.
    Again(Duration),
    /// The same candidate, told what was wrong with its reply.
    Tell(Box<Request>),
    /// The route's next candidate.
    Other,
    /// Nobody.
    Stop,
}

impl<'a> Tries<'a> {
    fn new(
        gateway: &'a Gateway,
        call: &'a CallContext,
        route: &'a str,
        request: &'a Request,
        text: &'a mut TextSink,
    ) -> Self {
        Tries { gateway, call, route, request, text, attempts: Vec::new(), failures: Vec::new() }
    }

    async fn ask(&mut self, candidates: &[Candidate]) -> Result<Completed, AiError> {
        for (index, candidate) in candidates.iter().enumerate() {
            let last = index + 1 == candidates.len();
            let mut told: Option<Box<Request>> = None;
            let (mut tries, mut backoff) = (0, Duration::ZERO);
            loop {
                if Instant::now() >= self.call.deadline {
                    return Err(self.failed(None));
                }
                // A sleep of nothing takes a millisecond, the clock's step.
                if !backoff.is_zero() {
                    tokio::time::sleep(backoff).await;
                }
                let request = told.as_deref().unwrap_or(self.request);
                match self.once(candidate, request, backoff, told.is_some()).await {
                    Ok(done) => return Ok(done),
                    Err(Some(over_budget)) => return Err(self.failed(Some(over_budget))),
                    Err(None) => {}
                }
                tries += 1;
                match self.next(candidate, tries, told.is_some(), last) {
                    Next::Again(wait) => backoff = wait,
                    Next::Tell(request) => {
                        (told, backoff) = (Some(request), Duration::ZERO);
                    }
                    Next::Other => break,
                    Next::Stop => return Err(self.failed(None)),
                }
            }
        }
        Err(self.failed(None))
    }

    /// One attempt with everything around it: budget, limits, accounts. The error is a budget that
    /// does not hold it.
    async fn once(
        &mut self,
        candidate: &Candidate,
        request: &Request,
        backoff: Duration,
        asked_again: bool,
    ) -> Result<Completed, Option<Message>> {
        let prompt =
            estimated_tokens(request.messages.iter().map(|message| message.content.len()).sum());
        let estimate = Usage { input_tokens: Some(prompt), output_tokens: None };
        let cost = candidate.cost(estimate).unwrap_or_default();
        let reserve =
            self.call.budget.as_ref().map(|budget| budget.reserve(prompt, cost)).transpose();
        let reserved = reserve.map_err(Some)?;
        let (begin, backoff_ms) = (Instant::now(), millis(backoff));
        let pass = candidate.gate.enter(prompt, self.call.deadline).await.map_err(Box::new);
        let waited_ms = millis(begin.elapsed());
        let pass = match pass {
            Ok(pass) => pass,
            Err(failure) => {
                if let Some(reserved) = reserved {
                    reserved.release();
                }
                let (attempt, failed) = candidate.turned_away(self.route, *failure);
                self.attempts.push(Attempt { waited_ms, backoff_ms, asked_again, ..attempt });
                self.failures.push(failed);
                return Err(None);
            }
        };
        let (attempt, result) = candidate
            .attempt(self.route, request, self.call, &self.gateway.transport, self.text)
            .await;
        let tokens = match attempt.usage {
            Usage { input_tokens: None, output_tokens: None } if result.is_err() => 0,
            Usage { input_tokens, output_tokens } => {
                let reply = result.as_ref().map_or(0, |(completion, _)| completion.content.len());
                input_tokens.unwrap_or(prompt)
                    + output_tokens.unwrap_or_else(|| estimated_tokens(reply))
            }
        };
        candidate.gate.used(&pass, tokens);
        if let Some(reserved) = reserved {
            reserved.settle(tokens, attempt.cost_usd.unwrap_or_default());
        }
        pass.ended(result.as_ref().err().map(|failed| &failed.failure));
        self.attempts.push(Attempt { waited_ms, backoff_ms, asked_again, ..attempt });
        match result {
            Ok((completion, raw_reply)) => Ok(Completed {
                completion,
                attempts: std::mem::take(&mut self.attempts),
                raw_reply,
                replayed: false,
            }),
            Err(failed) => {
                self.failures.push(failed);
                Err(None)
            }
        }
    }

    /// What follows the last failure.
    fn next(&self, candidate: &Candidate, tries: u32, told: bool, last: bool) -> Next {
        let Some(Failed { failure, .. }) = self.failures.last() else { return Next::Stop };
        if !another_may_help(failure.kind) || self.text.has_begun() {
            return Next::Stop;
        }
        if let Some(reply) = failure.reply.as_ref().filter(|_| !told) {
            return Next::Tell(Box::new(corrected(self.request, reply, &failure.detail)));
        }
        if !failure.asked {
            return Next::Other;
        }
        match retry::wait(candidate.retry, tries, failure, &self.gateway.jitter) {
            None => Next::Other,
            // Another candidate is quicker than a long wait.
            Some(wait) if !last && wait > Duration::from_millis(candidate.retry.max_ms) => {
                Next::Other
            }
            Some(wait) if Instant::now() + wait >= self.call.deadline => Next::Other,
            Some(wait) => Next::Again(wait),
        }
    }

    /// The error of the call: the last failure, with what the attempts before it said (catalogue
    /// A3).
    fn failed(&mut self, over_budget: Option<Message>) -> AiError {
        let (attempts, mut failures) =
            (std::mem::take(&mut self.attempts), std::mem::take(&mut self.failures));
        let call_id = self.call.call_id;
        let before = |attempts: &[Attempt]| {
            attempts
                .iter()
                .map(|one| format!("`{}`: {}", one.provider, one.outcome))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let earlier =
            |failures: Vec<Failed>| failures.into_iter().map(|failed| failed.message).collect();
        if let Some(message) = over_budget {
            let message = match attempts.is_empty() {
                true => message,
                false => message!("no further attempt: {message}; before it {}", before(&attempts)),
            };
            let error = AiError::before_any_attempt(call_id, AiErrorKind::BudgetExceeded, message);
            return AiError { attempts, causes: earlier(failures), ..error };
        }
        let Some(last) = failures.pop() else {
            let message = message!(
                "the order's deadline had passed before the call of route `{}`; give the order \
                 more time",
                self.route
            );
            return AiError::before_any_attempt(call_id, AiErrorKind::Cancelled, message);
        };
        let message = match attempts.len().saturating_sub(1) {
            0 => last.message,
            tried => {
                let before = before(&attempts[..tried]);
                message!("every attempt failed; the last: {}; before it {before}", last.message)
            }
        };
        let kept_from_trying = self.text.has_begun() && another_may_help(last.failure.kind);
        let why = if kept_from_trying {
            "; not tried again: the template has the beginning of this reply"
        } else {
            ""
        };
        let message = Message::new(format!("{message}{why}")).unwrap_or(message);
        let retryable =
            last.failure.retryable || failures.iter().any(|failed| failed.failure.retryable);
        let asked = last.failure.http.as_ref().and_then(|http| http.retry_after_ms);
        let asked = asked.and_then(|ms| NonZeroU32::new(u32::try_from(ms).unwrap_or(u32::MAX)));
        let mut causes = last.failure.causes;
        causes.extend::<Vec<Message>>(earlier(failures));
        AiError {
            kind: last.failure.kind,
            message,
            call_id,
            http: last.failure.http,
            attempts,
            causes,
            retryable,
            retry_after_ms: asked.or(last.failure.closed_for_ms),
        }
    }
}

/// The same request with the model's reply and what is wrong with it (catalogue E5).
fn corrected(request: &Request, reply: &str, problem: &str) -> Request {
    let message = |role, content: String| ChatMessage { role, content };
    let ask = format!(
        "That reply cannot be used: {problem}. Answer the request again with the whole, corrected \
         JSON value and nothing else."
    );
    let mut request = request.clone();
    request.messages.extend([message(Role::Assistant, reply.to_owned()), message(Role::User, ask)]);
    request
}

/// How the call ended before, if it did; its text goes out as it did then.
async fn recalled(
    journal: &RunJournal,
    key: &JournalKey,
    call_id: CallId,
    text: &mut TextSink,
) -> Option<Result<Completed, Box<AiError>>> {
    let mut recalled = journal.recall(call_id, key).await;
    loop {
        recalled = match recalled? {
            Recalled::Reply(entry) => return Some(Ok(replayed(*entry, call_id))),
            Recalled::Failed(error) => return Some(Err(error)),
            Recalled::Streamed { pieces, end } => {
                for piece in pieces {
                    text.push(&piece).await;
                }
                match end {
                    Some(end) => Some(*end),
                    None => std::future::pending().await,
                }
            }
        };
    }
}

/// Keeps a reply that was paid for.
async fn stored(
    journal: &RunJournal,
    key: JournalKey,
    call: &CallContext,
    request: &Request,
    done: Completed,
) -> Completed {
    let entry = JournalEntry {
        key,
        purpose: request.purpose.to_string(),
        content: done.completion.content.clone(),
        finish_reason: done.completion.finish_reason,
        usage: done.completion.usage,
        cost_usd: done.cost_usd(),
        provider: done.completion.provider.clone(),
        model: done.completion.model.clone(),
        raw_reply: done.raw_reply.clone(),
    };
    if let Err(message) = journal.store(&entry).await {
        // The reply is good; only a retry would have to pay for it again.
        tracing::error!(call = %call.call_id, "{message}");
    }
    done
}

fn replayed(entry: JournalEntry, call_id: CallId) -> Completed {
    Completed {
        completion: Completion {
            content: entry.content,
            finish_reason: entry.finish_reason,
            usage: entry.usage,
            provider: entry.provider,
            model: entry.model,
            call_id,
        },
        attempts: Vec::new(),
        raw_reply: entry.raw_reply,
        replayed: true,
    }
}

/// Whether the route's next candidate may succeed where one failed. Whatever a provider or a model
/// did, another one may do better; when the order's time is up, none can.
fn another_may_help(kind: AiErrorKind) -> bool {
    !matches!(kind, AiErrorKind::BudgetExceeded | AiErrorKind::NoRoute | AiErrorKind::Cancelled)
}

fn no_route(purpose: &Purpose) -> Message {
    message!(
        "no route serves the purpose `{purpose}`; add [ai.routes.{purpose}] or \
         [ai.routes.default] to the configuration"
    )
}
