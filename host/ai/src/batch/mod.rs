//! Batches: AI calls of orders nobody waits for, which providers answer within a day at a lower
//! price.
//!
//! | file | question |
//! |---|---|
//! | `mod` | which call waits for a batch, and what does its answer mean? |
//! | `api` | how is a batch sent, found again, looked at and read? |
//! | `openai`, `anthropic` | what does each API send and answer? |
//! | `said` | what of an answer may be stored, shown and logged? |
//!
//! The body of a call in a batch is the one that the adapter makes for a call without a stream, and
//! the answer is read as that of such a call. Who collects the calls, and keeps them, is not known
//! here: see [`BatchQueue`].

mod anthropic;
mod api;
mod openai;
mod said;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::adapter::Adapter;
use super::budget::estimated_tokens;
use super::candidate::{Candidate, Place};
use super::config::BatchApi;
use super::day_budget::{DayBudget, DayReserved};
use super::dispatch::{self, Charge};
use super::gateway::{CallContext, Gateway};
use super::journal::{JournalKey, RunJournal, UnusableReply};
use super::provider::Provider;
use super::request::Request;
use super::route::Route;
use sitewright_model::ai::{AiErrorKind, Completed, EstimatedUse, ReplySource, Usage, Usd};
use sitewright_model::message;

pub use api::{
    Batch, BatchError, BatchErrorKind, BatchProgress, BatchRequest, BatchResult, BatchResults,
    EndedBatch,
};
pub use sitewright_model::ai::{BatchAnswer, BatchedCall, BatchedEnd, KnownCall, NewBatchCall};

/// Keeps the calls of one attempt that wait for batches.
#[async_trait]
pub trait BatchQueue: fmt::Debug + Send + Sync {
    /// What batches have of this call.
    async fn known(&self, key: &JournalKey) -> KnownCall;

    /// Stores a call durably, and tells what is known of it. A queue that fails lets the call be
    /// made without a batch.
    async fn add(&self, call: NewBatchCall) -> BatchedCall;

    /// Stores how a call ended.
    async fn end(&self, key: &JournalKey, end: BatchedEnd);

    /// A call that is looked for or added here, that is made without a batch, or whose answer is
    /// read. The attempt does not end before this is dropped.
    fn directly(&self) -> Box<dyn Send + Sync>;
}

/// What a call does that may wait for a batch.
pub(super) enum Batched {
    /// Its answer, and what keeps the attempt from ending until that is stored.
    Completed(Box<Completed>, Box<dyn Send + Sync>),
    /// It is made without a batch.
    Direct,
}

impl Gateway {
    /// Lets a call wait for a batch, if its candidate has such an API, or reads the answer of one.
    /// Waits for ever if it waits: the attempt is ended from outside.
    pub(super) async fn batched(
        &self,
        call: &CallContext,
        request: &Request,
        (name, route): (&str, &Route),
        (journal, key): (&RunJournal, &JournalKey),
        days: &[Arc<DayBudget>],
        queue: &dyn BatchQueue,
    ) -> Batched {
        // A slow database does not end the attempt because its other calls wait: an answer that is
        // read may lead to further calls.
        let reading = queue.directly();
        // Before any budget is asked: what a batch has, answered or not, is paid for.
        let (answer, reading) = match queue.known(key).await {
            KnownCall::Answered(answer) => (answer, reading),
            KnownCall::Sent { .. } => {
                drop(reading);
                let candidate = first_in_batch(route, key);
                let estimate = candidate.map(|candidate| dispatch::estimate(candidate, request));
                // Further calls of the order must fit into its budget beside this one.
                let _reserved = call
                    .budget
                    .as_ref()
                    .zip(estimate)
                    .map(|(budget, estimate)| budget.reserve_paid(estimate));
                std::future::pending().await
            }
            KnownCall::Unknown => {
                // What waits for a batch may have reserved what is left of the budget.
                drop(reading);
                let queued = self.queued(call, request, (name, route), key, days, queue);
                let Some(answered) = queued.await else { return Batched::Direct };
                answered
            }
        };
        let BatchAnswer { provider, model, answer } = answer;
        let asked = |one: &&Candidate| one.provider_name == provider && one.model == model;
        let Some(candidate) = route.candidates.iter().find(asked) else {
            let why = message!(
                "the route `{name}` no longer tries the model {model:?} of the provider \
                 `{provider}`, which has answered"
            );
            // It is paid for. How it counts tokens is not known any more, nor what they cost.
            let prompt = request.messages.iter().map(|message| message.content.len()).sum();
            let tokens = estimated_tokens(prompt).saturating_add(estimated_tokens(answer.len()));
            let used = EstimatedUse { tokens, cost_usd: Usd::default() };
            dispatch::charge_paid(call, days, used.tokens, used.cost_usd);
            let unusable = UnusableReply {
                key: key.clone(),
                purpose: request.purpose.to_string(),
                provider,
                model,
                usage: Usage::default(),
                cost_usd: None,
                estimated: Some(Box::new(used)),
                kind: AiErrorKind::NoRoute,
                message: Some(why.clone()),
                attempt: None,
            };
            journal.account_unusable(&unusable, call.call_id).await;
            queue.end(key, BatchedEnd::Direct(why.to_string())).await;
            return Batched::Direct;
        };
        let at = Place { route: name, call, transport: self.transport(), first_token: None };
        let price = self.batch_config().price;
        let (mut attempt, result) =
            Box::pin(candidate.read_batched(at, request, &answer, price)).await;
        let prompt = dispatch::estimate(candidate, request).prompt;
        let charged = dispatch::charged(&attempt, &result, prompt);
        let cost = candidate.cost(charged).unwrap_or_default().dollars() * price;
        let cost = Usd::from_dollars(cost);
        dispatch::charge_paid(call, days, dispatch::total(charged), cost);
        attempt.estimated = dispatch::estimated(attempt.usage, charged, cost);
        match result {
            Ok((completion, raw_reply)) => {
                let completed = Completed {
                    completion,
                    end_unsaid: attempt.end_unsaid,
                    attempts: vec![attempt],
                    raw_reply,
                    source: ReplySource::Provider,
                };
                Batched::Completed(Box::new(completed), reading)
            }
            Err(failed) => {
                journal.account(key, call.call_id, request, &attempt).await;
                let why = failed.message.to_string();
                queue.end(key, BatchedEnd::Direct(why)).await;
                Batched::Direct
            }
        }
    }

    /// Adds a call to the queue, and waits for ever if it waits there. Its answer, and what keeps the
    /// attempt from ending meanwhile. `None` if it is made without a batch.
    async fn queued(
        &self,
        call: &CallContext,
        request: &Request,
        (name, route): (&str, &Route),
        key: &JournalKey,
        days: &[Arc<DayBudget>],
        queue: &dyn BatchQueue,
    ) -> Option<(BatchAnswer, Box<dyn Send + Sync>)> {
        let candidate = first_in_batch(route, key)?;
        let Some(body) = candidate.batch_body(request) else {
            tracing::info!(
                call = %call.call_id,
                provider = candidate.provider_name,
                model = candidate.model,
                "the provider has no batch API that is known, so the call is made at once and \
                 costs its full price"
            );
            return None;
        };
        let estimate = dispatch::estimate(candidate, request);
        // A budget that is used up is told by the call that is made directly.
        let charge = dispatch::charge(call, days, estimate).await.ok()?;
        let adding = queue.directly();
        let added = queue.add(NewBatchCall {
            key: key.clone(),
            purpose: request.purpose.to_string(),
            route: name.to_owned(),
            provider: candidate.provider_name.clone(),
            model: candidate.model.clone(),
            body,
        });
        match added.await {
            BatchedCall::Waits => {
                drop(adding);
                // Further calls of the order must fit into its budget beside this one. Of the day
                // nothing is used before the answer.
                let Charge { reserved, of_days, .. } = charge;
                of_days.into_iter().for_each(DayReserved::release);
                let _reserved = reserved;
                std::future::pending().await
            }
            BatchedCall::Direct => {
                charge.release();
                None
            }
            BatchedCall::Answered(answer) => {
                charge.release();
                Some((answer, adding))
            }
        }
    }

    /// What an answer of a batch has used and cost that no call reads, because its order has ended.
    /// Tokens are estimated if the provider does not count them, or the configuration does not know
    /// its model any more.
    pub fn unread_answer(
        &self,
        key: JournalKey,
        purpose: String,
        answer: &BatchAnswer,
    ) -> UnusableReply {
        let BatchAnswer { provider, model, answer } = answer;
        let mut candidates = self.route_table().values().flat_map(|route| &route.candidates);
        let candidate =
            candidates.find(|one| one.provider_name == *provider && one.model == *model);
        let usage = candidate.map(|candidate| candidate.batched_usage(answer)).unwrap_or_default();
        let output_tokens = usage.output_tokens.or_else(|| Some(estimated_tokens(answer.len())));
        let charged = Usage { output_tokens, ..usage };
        let price = self.batch_config().price;
        let cost = |usage| Some(Usd::from_dollars(candidate?.cost(usage)?.dollars() * price));
        let of_charged = cost(charged).unwrap_or_default();
        UnusableReply {
            key,
            purpose,
            provider: provider.clone(),
            model: model.clone(),
            usage,
            cost_usd: cost(usage),
            estimated: dispatch::estimated(usage, charged, of_charged),
            kind: AiErrorKind::Cancelled,
            message: Some(message!("its order had ended before a batch answered it")),
            attempt: None,
        }
    }

    /// Whether a route tries this model of this provider, and the provider has a batch API: then its
    /// batches can be sent and read.
    pub fn tries_in_batch(&self, provider: &str, model: &str) -> bool {
        let mut candidates = self.route_table().values().flat_map(|route| &route.candidates);
        candidates.any(|one| {
            one.provider_name == provider && one.model == model && one.batch_api().is_some()
        })
    }

    /// Whether a provider of a route has a batch API.
    pub fn has_batches(&self) -> bool {
        let mut candidates = self.route_table().values().flat_map(|route| &route.candidates);
        candidates.any(|candidate| candidate.batch_api().is_some())
    }
}

impl Candidate {
    /// The batch API of its provider.
    pub(super) fn batch_api(&self) -> Option<BatchWire> {
        match self.provider.as_ref() {
            Provider::Http(http) => http.batch,
            Provider::Scripted(_) => None,
        }
    }
}

/// The candidate of a call that may wait for a batch.
fn first_in_batch<'a>(route: &'a Route, key: &JournalKey) -> Option<&'a Candidate> {
    let first = dispatch::first(&route.candidates, |most| number(&key.request, most));
    route.candidates.get(first)
}

/// A number from 0 to `most`, the same for each attempt at a call: a call that waits must find its
/// candidate again.
fn number(digest: &str, most: u64) -> u64 {
    let number = digest.get(..15).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.unwrap_or_default() % most.saturating_add(1)
}

/// A batch API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchWire {
    Openai,
    Anthropic,
}

impl BatchWire {
    /// The API of a provider with this adapter; `None` if it has none that is known.
    pub(super) fn of(configured: BatchApi, adapter: &dyn Adapter) -> Option<BatchWire> {
        match configured {
            BatchApi::Openai => Some(BatchWire::Openai),
            BatchApi::Anthropic => Some(BatchWire::Anthropic),
            BatchApi::None => None,
            BatchApi::Auto => match (adapter.kind(), adapter.endpoint().url.host_str()) {
                ("openai", Some("api.openai.com")) => Some(BatchWire::Openai),
                ("anthropic", Some("api.anthropic.com")) => Some(BatchWire::Anthropic),
                _ => None,
            },
        }
    }
}
