//! The gateway: the entry point for calls, and its routes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::{Batched, BatchedEnd};
use super::budget::{OrderBudget, Spent};
use super::caller::Caller;
use super::candidate::Candidate;
use super::config::{AiConfig, BatchConfig, BudgetConfig, ConfigError};
use super::day_budget::{DayBudgets, UsedBudget};
use super::dispatch::{self, Dispatch};
use super::journal::{RunJournal, UnusableReply};
use super::judge::{ReplyJudge, accepts};
use super::known_schemas::KnownSchemas;
use super::request::{Purpose, Request};
use super::route::Route;
use super::route_builder::{self, Sources};
use super::text::TextSink;
use super::transport::Transport;
use sitewright_http::Client;
use sitewright_model::ai::{AiError, AiErrorKind, CallId, Completed, OpenFor};
use sitewright_model::backoff::Jitter;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The entry point for AI calls. Created once from the configuration and shared by all runs.
#[derive(Debug)]
pub struct Gateway {
    routes: BTreeMap<String, Route>,
    transport: Transport,
    jitter: Jitter,
    budget: BudgetConfig,
    days: DayBudgets,
    batch: BatchConfig,
    schemas: KnownSchemas,
}

/// The context of a call besides its request.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub call_id: CallId,
    /// The order's deadline, which ends every attempt (failure catalogue C8).
    pub deadline: Instant,
    /// The order's budget; `None` is no limit.
    pub budget: Option<Arc<OrderBudget>>,
    /// Supplies replies of earlier attempts of the order, and stores new ones.
    pub journal: Option<Arc<RunJournal>>,
    /// Judges the text of new replies; those from the journal were judged before.
    pub judge: Option<Arc<dyn ReplyJudge>>,
}

impl CallContext {
    /// A call without budget, journal and judge.
    pub fn new(call_id: CallId, deadline: Instant) -> Self {
        CallContext { call_id, deadline, budget: None, journal: None, judge: None }
    }

    /// The order that the call is made for, if it is known.
    pub(super) fn caller(&self) -> Option<&Arc<Caller>> {
        self.journal.as_ref().and_then(|journal| journal.caller())
    }
}

/// One route, for display.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RouteInfo {
    /// The purpose it serves, or `default`.
    pub name: String,
    /// In the order in which they are tried.
    pub candidates: Vec<CandidateInfo>,
}

/// One candidate of a route, for display.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CandidateInfo {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's kind, as in the configuration.
    pub kind: &'static str,
    pub model: String,
    /// The URL that is called, without its query, or the script.
    pub location: String,
}

/// The circuit breaker of one candidate of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerState {
    /// The name of the route.
    pub route: String,
    /// The provider's name in the configuration.
    pub provider: String,
    pub model: String,
    /// Whether it has opened, and no call has succeeded since. After `cool_down_ms` single calls
    /// are let through.
    pub is_open: bool,
}

/// A circuit breaker that is open: calls are not sent until one is let through and succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBreaker {
    /// The provider's name in the configuration.
    pub provider: String,
    /// `None` if the provider's address cannot be reached, whatever the model.
    pub model: Option<String>,
    /// The names of the routes that have it as a candidate, sorted.
    pub routes: Vec<String>,
    /// Calls that failed in a row.
    pub failures: u32,
    /// The kind of the last failure.
    pub kind: AiErrorKind,
    /// The HTTP status of the last failure, if there was a response.
    pub status: Option<u16>,
    /// Time until the next call is let through; zero if the next one that comes is.
    pub closed_for: Duration,
    /// Whose calls are rejected.
    pub open_for: OpenFor,
    /// The id of the order if only its calls are rejected.
    pub order: Option<String>,
    /// The label of the order or tenant whose calls are rejected; `None` also if it has none.
    pub tenant: Option<String>,
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

impl Gateway {
    /// Checks the configuration and reads keys and scripts. `env` looks up environment variables
    /// (`std::env::var_os`); paths are relative to `base_dir`, the folder of the configuration
    /// file. Blocks on file I/O.
    ///
    /// # Errors
    /// All problems of the configuration, each with its key. An API key that cannot be read is one
    /// of them (failure catalogue A9).
    pub fn new(
        config: &AiConfig,
        base_dir: &Path,
        client: Client,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Gateway, ConfigError> {
        let from = Sources { base_dir, env, client: &client };
        let routes = route_builder::routes(config, from)?;
        let transport = Transport::new(client);
        Ok(Gateway {
            routes,
            transport,
            jitter: Jitter::from_clock(),
            budget: config.budget.clone(),
            days: DayBudgets::new(config.budget.clone()),
            batch: config.batch,
            schemas: KnownSchemas::default(),
        })
    }

    /// A gateway with routes of these names but without candidates, for a replay: every reply comes
    /// from the journal.
    pub fn offline(routes: impl IntoIterator<Item = String>, client: Client) -> Gateway {
        let routes = routes.into_iter().map(|name| (name, Route::default())).collect();
        let transport = Transport::new(client);
        Gateway {
            routes,
            transport,
            jitter: Jitter::from_clock(),
            budget: BudgetConfig::default(),
            days: DayBudgets::new(BudgetConfig::default()),
            batch: BatchConfig::default(),
            schemas: KnownSchemas::default(),
        }
    }

    /// Has the keys that come from files and commands read again before the next calls. A key that
    /// cannot be read again is used on as long as it is valid.
    pub fn read_keys_again(&self) {
        for candidate in self.routes.values().flat_map(|route| &route.candidates) {
            candidate.provider.expire_key();
        }
    }

    /// Lets calls of this route through at once, also those that an open circuit breaker would
    /// reject: its providers may answer again. A breaker opens again with the next failure. Does
    /// nothing if the route does not exist.
    pub fn half_open(&self, route: &str) {
        for candidate in self.routes.get(route).into_iter().flat_map(|route| &route.candidates) {
            candidate.limiter.half_open(&candidate.model);
        }
    }

    /// The circuit breakers of all candidates, by route and in the order in which they are tried.
    pub fn breakers(&self) -> Vec<BreakerState> {
        let of_route = |(name, route): (&String, &Route)| {
            let state = |candidate: &Candidate| BreakerState {
                route: name.clone(),
                provider: candidate.provider_name.clone(),
                model: candidate.model.clone(),
                is_open: candidate.limiter.has_opened(&candidate.model),
            };
            route.candidates.iter().map(state).collect::<Vec<_>>()
        };
        self.routes.iter().flat_map(of_route).collect()
    }

    /// As [`half_open`](Self::half_open), for all models of a provider of this name.
    pub fn half_open_provider(&self, provider: &str) {
        for candidate in self.routes.values().flat_map(|route| &route.candidates) {
            if candidate.provider_name == provider {
                candidate.limiter.half_open(&candidate.model);
            }
        }
    }

    /// The circuit breakers that are open at the moment, by provider and model. Providers with the
    /// same address and key share theirs, and each of them is listed.
    pub fn open_breakers(&self) -> Vec<OpenBreaker> {
        let mut all: BTreeMap<(String, Option<String>), OpenBreaker> = BTreeMap::new();
        for (name, route) in &self.routes {
            for candidate in &route.candidates {
                let (of_address, of_model) = candidate.limiter.open(&candidate.model);
                let found = [(None, of_address), (Some(candidate.model.clone()), of_model)];
                for (model, open) in found {
                    let Some(open) = open else { continue };
                    let provider = candidate.provider_name.clone();
                    let (order, tenant) = open.failing.names();
                    let breaker =
                        all.entry((provider.clone(), model.clone())).or_insert(OpenBreaker {
                            provider,
                            model,
                            routes: Vec::new(),
                            failures: open.failures,
                            kind: open.kind,
                            status: open.status,
                            closed_for: open.closed_for,
                            open_for: open.failing.open_for(),
                            order,
                            tenant,
                        });
                    if breaker.routes.last() != Some(name) {
                        breaker.routes.push(name.clone());
                    }
                }
            }
        }
        all.into_values().collect()
    }

    /// A new budget for one order, to be shared by its calls.
    pub fn order_budget(&self) -> Arc<OrderBudget> {
        self.order_budget_after(Spent::default())
    }

    /// The budget of one order of which its earlier attempts have used `spent`.
    pub fn order_budget_after(&self, spent: Spent) -> Arc<OrderBudget> {
        // Only a day has budgets of tenants.
        let of_order = BudgetConfig { tenants: BTreeMap::new(), ..self.budget };
        Arc::new(OrderBudget::new(of_order, spent))
    }

    /// Whether an order has a budget of its own.
    pub fn has_order_budget(&self) -> bool {
        let BudgetConfig { calls, tokens, cost_usd, .. } = self.budget;
        calls.is_some() || tokens.is_some() || cost_usd.is_some()
    }

    /// The cache of compiled reply schemas.
    pub fn schemas(&self) -> &KnownSchemas {
        &self.schemas
    }

    /// The same gateway with reproducible waits between attempts, for tests.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Gateway { jitter: Jitter::seeded(seed), ..self }
    }

    /// Calls the candidates of the purpose's route, in order and with retries, until one returns a
    /// complete, checked reply. A reply in the journal is used instead of a call; a new one is
    /// journaled before it is returned. Dropping the future cancels the request in flight.
    ///
    /// # Errors
    /// The last candidate's error, with all attempts. `no-route`, `invalid-request` and
    /// `budget-exceeded` may occur before the first attempt.
    pub async fn complete(
        &self,
        call: CallContext,
        request: Request,
    ) -> Result<Completed, AiError> {
        self.stream(&call, &request, &mut TextSink::none()).await
    }

    /// Like [`complete`](Self::complete), and forwards the model's text to `text` while it arrives.
    /// A call that fails after its first text is not retried, because the texts would mix. Pass the
    /// reply to [`TextSink::rest`] to forward the remaining text.
    ///
    /// # Errors
    /// Like [`complete`](Self::complete).
    pub async fn stream(
        &self,
        call: &CallContext,
        request: &Request,
        text: &mut TextSink,
    ) -> Result<Completed, AiError> {
        let purpose = request.purpose.as_str();
        let refuse = |kind, message| {
            Err(AiError::before_any_attempt(Some(call.call_id), purpose, kind, message))
        };
        if let Err(message) = request.check() {
            return refuse(AiErrorKind::InvalidRequest, message);
        }
        let Some((name, route)) = self.route(purpose) else {
            return refuse(AiErrorKind::NoRoute, no_route(&request.purpose));
        };
        // The journal's futures are boxed to keep the future of a waiting call small.
        let journal =
            call.journal.as_ref().map(|journal| (journal, journal.key(call.call_id, request)));
        if let Some((journal, key)) = &journal
            && let Some(before) = Box::pin(journal.replay(key, call.call_id, text)).await
        {
            return before.map_err(|error| *error);
        }
        let cache =
            route.cache.as_ref().zip(journal.as_ref()).and_then(|(rule, (journal, key))| {
                Some((journal.cache()?, rule.key(key), rule.keep))
            });
        if let (Some((journal, key)), Some((cache, cached, _))) = (&journal, &cache)
            && let Some(entry) = Box::pin(cache.lookup(cached)).await
            && Box::pin(accepts(call, request, &entry.content)).await
        {
            return Ok(Box::pin(journal.share(key.clone(), call.call_id, entry)).await);
        }
        let paid = journal.as_ref().map(|(journal, key)| (journal.as_ref(), key));
        let tenant = call.journal.as_ref().and_then(|journal| journal.tenant());
        let days = self.days.of(tenant);
        let queue = paid.and_then(|(journal, key)| Some((journal, key, journal.batches()?)));
        let batched = match &queue {
            None => None,
            Some((journal, key, queue)) => {
                let of = (*journal, *key);
                let batched = self.batched(call, request, (name, route), of, &days, queue.as_ref());
                Some(Box::pin(batched).await)
            }
        };
        let (completed, of_batch) = match batched {
            Some(Batched::Completed(completed, reading)) => {
                (*completed, queue.map(|(_, key, queue)| (queue, key.clone(), reading)))
            }
            Some(Batched::Direct) | None => {
                let dispatch =
                    Dispatch::new(&self.transport, &self.jitter, call, name, request, text);
                let dispatch = dispatch.accounted(paid).within(&days);
                // Boxed too: it would be moved several times on its way to the one who waits.
                (Box::pin(dispatch.run(route)).await?, None)
            }
        };
        let Some((journal, key)) = journal else { return Ok(completed) };
        let (completed, entry) =
            Box::pin(journal.record(key, call.call_id, request, completed)).await;
        if let Some((queue, key, _reading)) = of_batch {
            Box::pin(queue.end(&key, BatchedEnd::Used)).await;
        }
        if let Some((cache, cached, keep)) = cache.filter(|_| entry.is_whole())
            && let Err(message) = Box::pin(cache.store(&cached, &entry, keep)).await
        {
            // The reply is valid; only the next order has to pay for its own.
            tracing::warn!(call = %call.call_id, "{message}");
        }
        Ok(completed)
    }

    /// Charges the budgets of the day, and those of this tenant, with a reply that is paid for.
    pub fn charge_days(&self, tenant: Option<&str>, paid: &UnusableReply) {
        let (tokens, cost_usd) = match &paid.estimated {
            Some(used) => (used.tokens, used.cost_usd),
            None => (dispatch::total(paid.usage), paid.cost_usd.unwrap_or_default()),
        };
        let used = Spent { calls: 1, tokens, cost_usd };
        self.days.of(tenant).iter().for_each(|day| day.add(used));
    }

    /// The budgets of the day that are used up today, so that calls are put off until the next day.
    /// Cheap, so that it can be called every second.
    pub fn used_budgets(&self) -> Vec<UsedBudget> {
        self.days.used_up()
    }

    /// How calls are collected into batches.
    pub fn batch_config(&self) -> &BatchConfig {
        &self.batch
    }

    /// The name of the route that serves a purpose; `None` if none does.
    pub fn route_name(&self, purpose: &str) -> Option<&str> {
        self.route(purpose).map(|(name, _)| name)
    }

    /// The purposes that have no route, neither of their own nor `default`.
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

    /// All routes, sorted by name.
    pub fn routes(&self) -> Vec<RouteInfo> {
        let info = |candidate: &Candidate| CandidateInfo {
            provider: candidate.provider_name.clone(),
            kind: candidate.provider.kind(),
            model: candidate.model.clone(),
            location: candidate.provider.location().into_owned(),
        };
        let route = |(name, route): (&String, &Route)| RouteInfo {
            name: name.clone(),
            candidates: route.candidates.iter().map(info).collect(),
        };
        self.routes.iter().map(route).collect()
    }

    pub(super) fn route_table(&self) -> &BTreeMap<String, Route> {
        &self.routes
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    fn route(&self, purpose: &str) -> Option<(&str, &Route)> {
        let found = self
            .routes
            .get_key_value(purpose)
            .or_else(|| self.routes.get_key_value(AiConfig::DEFAULT_ROUTE));
        found.map(|(name, route)| (name.as_str(), route))
    }
}

fn no_route(purpose: &Purpose) -> Message {
    message!(
        "no route serves the purpose `{purpose}`; add [ai.routes.{purpose}] or \
         [ai.routes.default] to the configuration"
    )
}
