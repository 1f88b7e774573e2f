//! Routes and candidates: who is asked, for how long, and what is kept of each attempt.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::advice::{self, Place};
use super::completion::{Completed, Completion};
use super::config::{AiConfig, ConfigError, ConfigProblem, OpenAiConfig, ProviderConfig, endpoint};
use super::error::{AiError, AiErrorKind, Attempt, AttemptOutcome, HttpDetail};
use super::json::{self, JsonProblem};
use super::openai::OpenAi;
use super::provider::{self, Failure, Prompt, Provider, Reply};
use super::request::{CallId, ChatMessage, Format, Purpose, Request, Role};
use super::scripted::{self, Scripted};
use super::secret::ApiKey;
use super::transport::Transport;
use crate::message;
use crate::message::Message;

/// Most characters of a provider's words in a message; more of them stands in the excerpt.
const MAX_DETAIL_CHARS: usize = 800;

/// The way to the models. Made once from the configuration; shared by all runs.
#[derive(Debug)]
pub struct Gateway {
    routes: BTreeMap<String, Vec<Candidate>>,
    transport: Transport,
}

#[derive(Debug)]
struct Candidate {
    provider_name: String,
    provider: Arc<Provider>,
    model: String,
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
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

/// A failed attempt with all it takes to make an error of it.
struct Failed {
    failure: Failure,
    message: Message,
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
        let mut problems = config.check();
        let mut providers = BTreeMap::new();
        for (name, config) in &config.providers {
            match ready(config, base_dir, env) {
                Ok(provider) => {
                    providers.insert(name.as_str(), Arc::new(provider));
                }
                Err((field, message)) => {
                    let key = format!("ai.providers.{name}.{field}");
                    // `check` has told what it could see without looking.
                    if problems.iter().all(|problem| problem.key != key) {
                        problems.push(ConfigProblem { key, message });
                    }
                }
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let route = |candidates: &Vec<super::config::CandidateConfig>| {
            let ready = |candidate: &super::config::CandidateConfig| {
                Some(Candidate {
                    provider: providers.get(candidate.provider.as_str())?.clone(),
                    provider_name: candidate.provider.clone(),
                    model: candidate.model.clone().unwrap_or_else(|| scripted::MODEL.to_owned()),
                    max_output_tokens: candidate.max_output_tokens,
                    temperature: candidate.temperature,
                })
            };
            candidates.iter().filter_map(ready).collect()
        };
        let routes =
            config.routes.iter().map(|(name, config)| (name.clone(), route(&config.candidates))).collect();
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
            let (attempt, result) = self.attempt(route, candidate, &request, call).await;
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
                Provider::Scripted(_) => not_asked(candidate),
                Provider::OpenAi(_) => self.attempt(name, candidate, &request, call).await.0,
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

    /// One try of one candidate. Its place is where retries, limits and the re-ask after a schema error will stand.
    async fn attempt(
        &self,
        route: &str,
        candidate: &Candidate,
        request: &Request,
        call: CallContext,
    ) -> (Attempt, Result<(Completion, Option<String>), Failed>) {
        let span = tracing::info_span!(
            "ai_attempt",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = candidate.provider.kind(),
            gen_ai.request.model = candidate.model.as_str(),
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            error.type = Empty,
            provider = candidate.provider_name.as_str(),
            route,
            purpose = request.purpose.as_str(),
            call = %call.call_id,
        );
        let mut attempt = begun(candidate);
        let begin = Instant::now();
        let checked = async {
            let reply = self.timed(candidate, request, call.deadline).await?;
            checked(reply, &request.format)
        };
        let result = checked.instrument(span.clone()).await;
        attempt.duration_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let result = match result {
            Ok((reply, raw)) => {
                attempt.usage = reply.usage;
                attempt.status = Some(reply.http.status);
                attempt.request_id = reply.http.request_id;
                let completion = Completion {
                    content: reply.content,
                    finish_reason: reply.finish_reason,
                    usage: reply.usage,
                    provider: candidate.provider_name.clone(),
                    model: reply.model.unwrap_or_else(|| candidate.model.clone()),
                    call_id: call.call_id,
                };
                span.record("gen_ai.response.model", completion.model.as_str());
                Ok((completion, raw))
            }
            Err(failure) => {
                let failed = described(route, candidate, failure);
                attempt.outcome = AttemptOutcome::Failed(failed.failure.kind);
                attempt.usage = failed.failure.usage;
                attempt.message = Some(failed.message.clone());
                if let Some(http) = &failed.failure.http {
                    attempt.status = Some(http.status);
                    attempt.request_id.clone_from(&http.request_id);
                    attempt.body_excerpt.clone_from(&http.body_excerpt);
                }
                span.record("error.type", failed.failure.kind.as_str());
                span.in_scope(|| tracing::warn!(message = %failed.message, "an AI attempt failed"));
                Err(failed)
            }
        };
        span.record("gen_ai.usage.input_tokens", attempt.usage.input_tokens);
        span.record("gen_ai.usage.output_tokens", attempt.usage.output_tokens);
        (attempt, result)
    }

    /// The provider's answer within the smaller of its own limit and what remains to the deadline (catalogue C8).
    async fn timed(
        &self,
        candidate: &Candidate,
        request: &Request,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let prompt = Prompt {
            request,
            model: &candidate.model,
            max_output_tokens: candidate.max_output_tokens.into_iter().chain(request.max_output_tokens).min(),
            temperature: request.temperature.or(candidate.temperature),
        };
        let begin = Instant::now();
        let limit = candidate.provider.call_limit();
        let own = begin.checked_add(limit).filter(|own| *own <= deadline);
        match tokio::time::timeout_at(
            own.unwrap_or(deadline),
            candidate.provider.call(prompt, &self.transport),
        )
        .await
        {
            Ok(result) => result,
            Err(_) => Err(out_of_time(limit, own.is_some(), begin.elapsed())),
        }
    }
}

fn out_of_time(limit: Duration, own_limit_fired: bool, waited: Duration) -> Failure {
    let limit = limit.as_millis();
    if own_limit_fired {
        return Failure::new(
            AiErrorKind::Timeout,
            format!("no whole answer within its limit of {limit} ms (call_ms)"),
        );
    }
    let waited = waited.as_millis();
    let detail = format!(
        "the order's deadline passed after {waited} ms of this call, before the call's own limit of {limit} ms"
    );
    Failure::new(AiErrorKind::Cancelled, detail)
}

/// Makes a provider ready: its address, key or script.
fn ready(
    config: &ProviderConfig,
    base_dir: &Path,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Provider, (&'static str, Message)> {
    match config {
        ProviderConfig::Openai(config) => openai(config, base_dir, env).map(Provider::OpenAi),
        ProviderConfig::Scripted(config) => {
            let field = if config.rules.is_some() { "rules" } else { "rules_inline" };
            Scripted::read(config, base_dir).map(Provider::Scripted).map_err(|message| (field, message))
        }
    }
}

fn openai(
    config: &OpenAiConfig,
    base_dir: &Path,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<OpenAi, (&'static str, Message)> {
    let url = endpoint(&config.base_url, "chat/completions").map_err(|message| ("base_url", message))?;
    let key = ApiKey::read(config, base_dir, env).map_err(|problem| (problem.field, problem.message))?;
    let connect_limit = Duration::from_millis(config.connect_ms);
    let call_limit = Duration::from_millis(config.call_ms);
    OpenAi::new(url, key, connect_limit, call_limit).map_err(|message| ("api_key_env", message))
}

/// The reply with its JSON checked, and the raw reply when the JSON was only a part of it.
fn checked(reply: Reply, format: &Format) -> Result<(Reply, Option<String>), Failure> {
    let schema = match format {
        Format::Text => return Ok((reply, None)),
        Format::Json => None,
        Format::JsonSchema(schema) => Some(schema),
    };
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
    // What the model wrote says more than the envelope around it.
    let http = HttpDetail { body_excerpt: provider::excerpt(reply.content.as_bytes()), ..reply.http };
    Err(Failure::new(kind, detail).with_http(http).with_usage(reply.usage))
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

fn begun(candidate: &Candidate) -> Attempt {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Attempt {
        provider: candidate.provider_name.clone(),
        model: candidate.model.clone(),
        started_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        status: None,
        request_id: None,
        body_excerpt: None,
        duration_ms: 0,
        outcome: AttemptOutcome::Succeeded,
        message: None,
        usage: super::completion::Usage::default(),
    }
}

fn not_asked(candidate: &Candidate) -> Attempt {
    let place = candidate.provider.place();
    Attempt { message: Some(message!("the script {place} is loaded; it was not asked")), ..begun(candidate) }
}

/// Removes keys from everything the failure carries, cuts the excerpt, and finds the words.
fn described(route: &str, candidate: &Candidate, mut failure: Failure) -> Failed {
    let redactor = candidate.provider.redactor();
    // Cut only after redaction: half a key is still too much of it.
    let detail = redactor.redact(&failure.detail);
    failure.detail = match detail.char_indices().nth(MAX_DETAIL_CHARS) {
        Some((end, _)) => format!("{}...", &detail[..end]),
        None => detail.into_owned(),
    };
    if let Some(http) = &mut failure.http {
        let clean = |text: String| provider::cut_excerpt(&redactor.redact(&text)).to_owned();
        http.body_excerpt = http.body_excerpt.take().map(clean);
        http.request_id = http.request_id.take().map(|id| redactor.redact(&id).into_owned());
    }
    let clean = |cause: &Message| Message::new(redactor.redact(cause.as_str()));
    failure.causes = failure.causes.iter().filter_map(clean).collect();
    let place =
        Place { route, provider: &candidate.provider_name, model: &candidate.model, at: &candidate.provider };
    let message = advice::message(&place, &failure, &failure.detail);
    Failed { failure, message }
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
