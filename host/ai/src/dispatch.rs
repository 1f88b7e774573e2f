//! One call on its way through the candidates of its route: retries, the corrected request after an
//! unusable reply, and the error if every candidate fails.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::budget::{Estimate, Refused, Reserved, Spent, estimated_tokens};
use super::candidate::{Candidate, FailedAttempt, Place, Reading};
use super::day_budget::{DayBudget, DayReserved, PutOff};
use super::failure::AttemptFailure;
use super::gateway::CallContext;
use super::journal::{JournalKey, RunJournal};
use super::limiter::Permit;
use super::parameters::Adjusted;
use super::request::{ChatMessage, Format, Request, Role};
use super::retry;
use super::route::Route;
use super::text::TextSink;
use super::transport::{Heard, Transport};
use sitewright_model::ai::{
    AiError, AiErrorKind, Attempt, Completed, Completion, EstimatedUse, ReplySource, Usage, Usd,
};
use sitewright_model::backoff::Jitter;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;

/// One call and its attempts so far.
pub(super) struct Dispatch<'a> {
    transport: &'a Transport,
    jitter: &'a Jitter,
    pub(super) call: &'a CallContext,
    pub(super) route: &'a str,
    request: &'a Request,
    pub(super) text: &'a mut TextSink,
    /// Where replies that cannot be used are accounted for.
    journal: Option<(&'a RunJournal, &'a JournalKey)>,
    pub(super) days: &'a [Arc<DayBudget>],
    pub(super) attempts: Vec<Attempt>,
    pub(super) failures: Vec<FailedAttempt>,
    /// Whether a second candidate was asked beside one that did not answer in time. At most once.
    pub(super) is_hedged: bool,
}

/// The result of one attempt, if the call goes on or ends with it.
pub(super) enum Tried {
    Completed(Box<Completed>),
    /// The failure is the last one of `failures`.
    Failed,
    /// The order's budget is too small: nothing was sent, or the reply was cut.
    OverBudget(Message),
    /// Nothing was sent, because the budget of the day is used up. The failure is the last one of
    /// `failures`.
    PutOff,
    /// Nothing was sent, because the order's deadline passed.
    Late,
    /// A hedge failed that had begun to answer, so that the candidate that it was made beside was
    /// cancelled: that one is asked again.
    HedgeFailed,
}

/// What is recorded of an attempt beside its own result.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Notes {
    pub(super) waited_ms: u64,
    pub(super) backoff_ms: u64,
    pub(super) asked_again: bool,
    pub(super) hedge: bool,
}

impl Notes {
    pub(super) fn on(self, attempt: Attempt) -> Attempt {
        let Notes { waited_ms, backoff_ms, asked_again, hedge } = self;
        Attempt { waited_ms, backoff_ms, asked_again, hedge, ..attempt }
    }
}

/// What is reserved for one attempt. Dropped, it has used its prompt, because the provider may charge
/// for it.
pub(super) struct Charge {
    pub(super) reserved: Option<Box<Reserved>>,
    pub(super) of_days: Vec<DayReserved>,
    /// Estimated tokens of the prompt.
    pub(super) prompt: u64,
}

impl Charge {
    /// Nothing was sent.
    pub(super) fn release(self) {
        if let Some(reserved) = self.reserved {
            reserved.release();
        }
        for of_day in self.of_days {
            of_day.release();
        }
    }

    pub(super) fn commit(self, tokens: u64, cost: Usd) {
        if let Some(reserved) = self.reserved {
            reserved.commit(tokens, cost);
        }
        for of_day in self.of_days {
            of_day.commit(tokens, cost);
        }
    }
}

/// Why nothing is charged: the attempt does not begin.
pub(super) enum NotCharged {
    /// The order's budget is too small.
    OverBudget(Message),
    /// The budget of the day is used up.
    PutOff(Box<AttemptFailure>),
    /// The order's deadline passed.
    Late,
}

/// Reserves what an attempt may use, and waits until the budgets have room for it.
pub(super) async fn charge(
    call: &CallContext,
    days: &[Arc<DayBudget>],
    estimate: Estimate,
) -> Result<Charge, NotCharged> {
    let reserved = match &call.budget {
        None => None,
        Some(budget) => {
            // Boxed, because few orders have a budget.
            match Box::pin(budget.reserve(estimate, call.deadline)).await {
                Ok(reserved) => Some(reserved),
                Err(Refused::TooSmall(message)) => return Err(NotCharged::OverBudget(message)),
                Err(Refused::Deadline) => return Err(NotCharged::Late),
            }
        }
    };
    let mut charge = Charge { reserved, of_days: Vec::new(), prompt: estimate.prompt };
    for day in days {
        // Boxed, because few days have a budget.
        match Box::pin(day.reserve(estimate, call.deadline)).await {
            Ok(of_day) => charge.of_days.push(*of_day),
            Err(put_off) => {
                charge.release();
                return Err(match put_off {
                    PutOff::Reached(failure) => NotCharged::PutOff(failure),
                    PutOff::Deadline => NotCharged::Late,
                });
            }
        }
    }
    Ok(charge)
}

/// Charges the budgets with a call that is paid for already, whatever they have left.
pub(super) fn charge_paid(call: &CallContext, days: &[Arc<DayBudget>], tokens: u64, cost_usd: Usd) {
    let used = Spent { calls: 1, tokens, cost_usd };
    if let Some(budget) = &call.budget {
        budget.add(used);
    }
    for day in days {
        day.add(used);
    }
}

/// An attempt that may begin.
pub(super) struct Ready {
    pub(super) charge: Charge,
    pub(super) permit: Box<Permit>,
    pub(super) notes: Notes,
    /// Of an order whose other calls wait for batches: it does not end its attempt before this
    /// call.
    pub(super) direct: Option<Box<dyn Send + Sync>>,
}

impl Ready {
    /// The number of tokens that the budget leaves for the reply, if that is less than it could have.
    fn most_output(&self) -> Option<u32> {
        self.charge.reserved.as_ref().and_then(|reserved| reserved.max_output)
    }

    pub(super) fn how(&self) -> Reading {
        Reading::Checked { most_output: self.most_output() }
    }
}

/// What follows a failed attempt.
enum FollowUp {
    /// The same request to the same candidate, after this wait.
    Retry(Duration),
    /// A request to the same candidate that says what is wrong with its reply.
    Correct(Box<Request>),
    NextCandidate,
    /// No further attempt.
    Stop,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(
        transport: &'a Transport,
        jitter: &'a Jitter,
        call: &'a CallContext,
        route: &'a str,
        request: &'a Request,
        text: &'a mut TextSink,
    ) -> Self {
        let (attempts, failures) = (Vec::new(), Vec::new());
        let (journal, days, is_hedged) = (None, &[][..], false);
        Dispatch {
            transport,
            jitter,
            call,
            route,
            request,
            text,
            journal,
            days,
            attempts,
            failures,
            is_hedged,
        }
    }

    /// The same call, whose replies that cannot be used are accounted for in this journal.
    pub(super) fn accounted(self, journal: Option<(&'a RunJournal, &'a JournalKey)>) -> Self {
        Dispatch { journal, ..self }
    }

    /// The same call within these budgets of the day.
    pub(super) fn within(self, days: &'a [Arc<DayBudget>]) -> Self {
        Dispatch { days, ..self }
    }

    /// Calls the candidates in order, until one returns a complete, checked reply.
    pub(super) async fn run(mut self, route: &Route) -> Result<Completed, AiError> {
        let candidates = route.candidates.as_slice();
        let first = first(candidates, |most| self.jitter.up_to(most));
        // The first one, and then the others in their order.
        let at = |step: usize| match step {
            0 => candidates.get(first),
            step if step <= first => candidates.get(step - 1),
            step => candidates.get(step),
        };
        for step in 0..candidates.len() {
            let Some(candidate) = at(step) else { continue };
            let other = at(step + 1);
            let last = other.is_none();
            let mut corrected: Option<Box<Request>> = None;
            let (mut tries, mut backoff) = (0, Duration::ZERO);
            let mut adjusted = Box::new(candidate.first_shape(&self.request.format));
            loop {
                if Instant::now() >= self.call.deadline {
                    return Err(self.error(None));
                }
                // A sleep of zero takes a millisecond, the resolution of tokio's timer.
                if !backoff.is_zero() {
                    tokio::time::sleep(backoff).await;
                }
                let request = corrected.as_deref().unwrap_or(self.request);
                let again = corrected.is_some();
                let made = self.attempts.len();
                let notes =
                    Notes { backoff_ms: millis(backoff), asked_again: again, ..Notes::default() };
                let tried = match route.hedge.zip(other).filter(|_| !self.is_hedged) {
                    None => self.attempt(candidate, request, &adjusted, notes).await,
                    // Boxed, because few routes hedge.
                    Some(hedge) => {
                        Box::pin(self.hedged(candidate, request, &adjusted, notes, hedge)).await
                    }
                };
                if let Some((journal, key)) = self.journal {
                    let attempts = match &tried {
                        Tried::Completed(done) => &done.attempts,
                        _ => &self.attempts,
                    };
                    for attempt in attempts.iter().skip(made) {
                        // Boxed to keep the future of a waiting call small.
                        let account =
                            journal.account(key, self.call.call_id, self.request, attempt);
                        Box::pin(account).await;
                    }
                }
                match tried {
                    Tried::Completed(completed) => return Ok(*completed),
                    Tried::OverBudget(message) => return Err(self.error(Some(message))),
                    Tried::PutOff | Tried::Late => return Err(self.error(None)),
                    Tried::HedgeFailed => {
                        backoff = Duration::ZERO;
                        continue;
                    }
                    Tried::Failed => {}
                }
                if let Some(next) = self.adjusted(candidate, request, &adjusted) {
                    (adjusted, backoff) = (next, Duration::ZERO);
                    continue;
                }
                tries += 1;
                match self.next(candidate, tries, corrected.is_some(), last) {
                    FollowUp::Retry(wait) => backoff = wait,
                    FollowUp::Correct(request) => {
                        (corrected, backoff) = (Some(request), Duration::ZERO);
                    }
                    FollowUp::NextCandidate => break,
                    FollowUp::Stop => return Err(self.error(None)),
                }
            }
        }
        Err(self.error(None))
    }

    /// One attempt, with budget and limits.
    async fn attempt(
        &mut self,
        candidate: &Candidate,
        request: &Request,
        adjusted: &Adjusted,
        notes: Notes,
    ) -> Tried {
        let ready = match self.ready(candidate, request, notes).await {
            Ok(ready) => ready,
            Err(tried) => return tried,
        };
        let (how, at) = (ready.how(), self.place());
        let (attempt, result) = candidate.attempt(at, request, adjusted, how, self.text).await;
        self.end(candidate, ready, attempt, result)
    }

    /// Keeps the attempt of an order from ending whose other calls wait for batches.
    pub(super) fn directly(&self) -> Option<Box<dyn Send + Sync>> {
        let (journal, _) = self.journal?;
        Some(journal.batches()?.directly())
    }

    pub(super) fn place(&self) -> Place<'a> {
        let (route, call, transport) = (self.route, self.call, self.transport);
        Place { route, call, transport, first_token: None }
    }

    /// Waits until budgets and limits let the attempt begin.
    ///
    /// # Errors
    /// What ends the attempt before it began.
    pub(super) async fn ready(
        &mut self,
        candidate: &Candidate,
        request: &Request,
        notes: Notes,
    ) -> Result<Ready, Tried> {
        let estimate = estimate(candidate, request);
        let charge = match charge(self.call, self.days, estimate).await {
            Ok(charge) => charge,
            Err(NotCharged::OverBudget(message)) => return Err(Tried::OverBudget(message)),
            Err(NotCharged::Late) => return Err(Tried::Late),
            Err(NotCharged::PutOff(failure)) => {
                // The other candidates have the same budget.
                self.reject(candidate, *failure, notes);
                return Err(Tried::PutOff);
            }
        };
        let begin = Instant::now();
        let deadline = self.call.deadline;
        let (caller, model) = (self.call.caller(), &candidate.model);
        let permit = candidate.limiter.acquire_for(caller, model, estimate.prompt, deadline).await;
        let notes = Notes { waited_ms: millis(begin.elapsed()), ..notes };
        match permit {
            // Boxed to keep the future of a call that waits for the model small.
            Ok(permit) => {
                let permit = Box::new(permit);
                Ok(Ready { charge, permit, notes, direct: self.directly() })
            }
            Err(failure) => {
                charge.release();
                self.reject(candidate, failure, notes);
                Err(Tried::Failed)
            }
        }
    }

    /// Records an attempt that was not made.
    pub(super) fn reject(&mut self, candidate: &Candidate, failure: AttemptFailure, notes: Notes) {
        let (attempt, failed) = candidate.rejected(self.route, failure);
        self.attempts.push(notes.on(attempt));
        self.failures.push(failed);
    }

    /// Charges and records an attempt that was made.
    pub(super) fn end(
        &mut self,
        candidate: &Candidate,
        ready: Ready,
        attempt: Attempt,
        result: Result<(Completion, Option<String>), FailedAttempt>,
    ) -> Tried {
        let most_output = ready.most_output();
        let Ready { charge, permit, notes, direct: _direct } = ready;
        let charged = charged(&attempt, &result, charge.prompt);
        let (tokens, cost) = (total(charged), candidate.cost(charged).unwrap_or_default());
        candidate.limiter.record_tokens(&permit, tokens);
        charge.commit(tokens, cost);
        let attempt = Attempt { estimated: estimated(attempt.usage, charged, cost), ..attempt };
        permit.complete(result.as_ref().err().map(|failed| &failed.failure));
        self.attempts.push(notes.on(attempt));
        match result {
            Ok((completion, raw_reply)) => Tried::Completed(Box::new(Completed {
                completion,
                end_unsaid: self.attempts.last().is_some_and(|attempt| attempt.end_unsaid),
                attempts: std::mem::take(&mut self.attempts),
                raw_reply,
                source: ReplySource::Provider,
            })),
            Err(failed) => {
                let cut = failed.failure.is_at_token_limit();
                self.failures.push(failed);
                match most_output.filter(|_| cut) {
                    Some(most) => Tried::OverBudget(message!(
                        "the order's budget in [ai.budget] left {most} tokens for this reply, which \
                         needs more; raise it"
                    )),
                    None => Tried::Failed,
                }
            }
        }
    }

    /// The same request without what the model refuses, if the last failure names it: asked at once
    /// and uncounted.
    fn adjusted(
        &self,
        candidate: &Candidate,
        request: &Request,
        now: &Adjusted,
    ) -> Option<Box<Adjusted>> {
        let refusal = self.failures.last()?.refusal.as_ref()?;
        if self.text.has_begun() {
            return None;
        }
        candidate.after(request, now, refusal).map(Box::new)
    }

    /// What follows the last failure. `tries` is the number of attempts at this candidate.
    fn next(&self, candidate: &Candidate, tries: u32, corrected: bool, last: bool) -> FollowUp {
        let Some(FailedAttempt { failure, .. }) = self.failures.last() else {
            return FollowUp::Stop;
        };
        if !may_try_another(failure.kind) || self.text.has_begun() {
            return FollowUp::Stop;
        }
        if let Some(unusable) = failure.unusable.as_ref().filter(|_| !corrected) {
            return FollowUp::Correct(Box::new(corrected_request(
                self.request,
                &unusable.reply,
                &failure.detail,
            )));
        }
        if !failure.asked {
            return FollowUp::NextCandidate;
        }
        match retry::wait(candidate.retry, tries, failure, self.jitter) {
            None => FollowUp::NextCandidate,
            // The next candidate is faster than a long wait.
            Some(wait) if !last && wait > Duration::from_millis(candidate.retry.max_ms) => {
                FollowUp::NextCandidate
            }
            Some(wait) if Instant::now() + wait >= self.call.deadline => FollowUp::NextCandidate,
            Some(wait) => FollowUp::Retry(wait),
        }
    }

    /// The error of the call: the last failure, with the messages of the earlier ones (failure
    /// catalogue A3).
    fn error(&mut self, over_budget: Option<Message>) -> AiError {
        let (attempts, mut failures) =
            (std::mem::take(&mut self.attempts), std::mem::take(&mut self.failures));
        let call_id = Some(self.call.call_id);
        let purpose = self.request.purpose.as_str();
        let earlier = |failures: Vec<FailedAttempt>| {
            failures.into_iter().map(|failed| failed.message).collect()
        };
        if let Some(message) = over_budget {
            let message = match attempts.is_empty() {
                true => message,
                false => {
                    let before = Attempt::outcomes(&attempts);
                    message!("no further attempt: {message}; before it {before}")
                }
            };
            let error =
                AiError::before_any_attempt(call_id, purpose, AiErrorKind::BudgetExceeded, message);
            return AiError { attempts, causes: earlier(failures), ..error };
        }
        let Some(last) = failures.pop() else {
            let message = message!(
                "the order's deadline had passed before the call of route `{}`; give the order \
                 more time",
                self.route
            );
            return AiError::before_any_attempt(call_id, purpose, AiErrorKind::Cancelled, message);
        };
        let before = attempts.split_last().map(|(_, before)| before).unwrap_or_default();
        let message = AiError::message_of(&last.message, before);
        let blocks_retry = self.text.has_begun() && may_try_another(last.failure.kind);
        let why = if blocks_retry {
            "; not tried again: the template has the beginning of this reply"
        } else {
            ""
        };
        let message = Message::new(format!("{message}{why}")).unwrap_or(message);
        let retryable =
            last.failure.retryable || failures.iter().any(|failed| failed.failure.retryable);
        let requested = last.failure.http.as_ref().and_then(|http| http.retry_after_ms);
        let requested =
            requested.and_then(|ms| NonZeroU32::new(u32::try_from(ms).unwrap_or(u32::MAX)));
        let mut causes = last.failure.causes;
        causes.extend::<Vec<Message>>(earlier(failures));
        AiError {
            kind: last.failure.kind,
            message,
            call_id,
            purpose: purpose.to_owned(),
            http: last.failure.http,
            attempts,
            causes,
            retryable,
            retry_after_ms: requested.or(last.failure.closed_for_ms),
        }
    }
}

/// What an attempt is charged with. What a provider does not count is estimated: it is charged to
/// the budget all the same.
pub(super) fn charged(
    attempt: &Attempt,
    result: &Result<(Completion, Option<String>), FailedAttempt>,
    prompt: u64,
) -> Usage {
    match attempt.usage {
        unknown @ Usage { input_tokens: None, output_tokens: None, .. }
            if result.as_ref().is_err_and(|failed| !has_reply(failed)) =>
        {
            unknown
        }
        known => {
            let (reply, broke_off) = match result {
                Ok((completion, _)) => (completion.content.len(), false),
                Err(failed) => {
                    let Heard { bytes, broke_off } = failed.heard.unwrap_or_default();
                    let unusable = failed.failure.unusable.as_ref();
                    (unusable.map_or(bytes, |unusable| unusable.reply.len()), broke_off)
                }
            };
            let estimated = estimated_tokens(reply);
            let output = match known.output_tokens {
                // Some streams count at their beginning, and again at the end that is missing.
                Some(counted) if broke_off => counted.max(estimated),
                Some(counted) => counted,
                None => estimated,
            };
            Usage {
                input_tokens: known.input_tokens.or(Some(prompt)),
                output_tokens: Some(output),
                ..known
            }
        }
    }
}

/// What an attempt is charged with, if its provider did not count all of it: later attempts of the
/// order start from there.
pub(super) fn estimated(
    counted: Usage,
    charged: Usage,
    cost_usd: Usd,
) -> Option<Box<EstimatedUse>> {
    let tokens = total(charged);
    (counted != charged).then(|| Box::new(EstimatedUse { tokens, cost_usd }))
}

/// All tokens.
pub(super) fn total(usage: Usage) -> u64 {
    let count = |tokens: Option<u64>| tokens.unwrap_or(0);
    count(usage.input_tokens).saturating_add(count(usage.output_tokens))
}

/// What an attempt at this candidate will use.
pub(super) fn estimate(candidate: &Candidate, request: &Request) -> Estimate {
    let bytes = request.messages.iter().map(|message| message.content.len()).sum();
    let (max_output, price) = (candidate.max_output(request), candidate.price);
    Estimate { prompt: estimated_tokens(bytes), max_output, price }
}

/// The candidate that is asked first: one of those with a weight, or the first. `up_to` is a random
/// number from 0 to its argument.
pub(super) fn first(candidates: &[Candidate], up_to: impl FnOnce(u64) -> u64) -> usize {
    let weights = || candidates.iter().map(|candidate| u64::from(candidate.weight));
    let all: u64 = weights().sum();
    if all == 0 {
        return 0;
    }
    let mut left = up_to(all - 1);
    for (index, weight) in weights().enumerate() {
        if left < weight {
            return index;
        }
        left -= weight;
    }
    0
}

/// The request with the model's reply and what is wrong with it (failure catalogue E5).
fn corrected_request(request: &Request, reply: &str, problem: &str) -> Request {
    let message = |role, content: String| ChatMessage { role, content };
    let what = match request.format {
        Format::Text => "text",
        Format::Json | Format::JsonSchema(_) => "JSON value",
    };
    let ask = format!(
        "That reply cannot be used: {problem}. Answer the request again with the whole, corrected \
         {what} and nothing else."
    );
    let mut request = request.clone();
    request.messages.extend([message(Role::Assistant, reply.to_owned()), message(Role::User, ask)]);
    request
}

/// Whether a failed attempt had a reply of the model or a part of one, which is paid for.
fn has_reply(failed: &FailedAttempt) -> bool {
    failed.heard.is_some()
        || matches!(
            failed.failure.kind,
            AiErrorKind::Truncated
                | AiErrorKind::Empty
                | AiErrorKind::Malformed
                | AiErrorKind::SchemaMismatch
                | AiErrorKind::ContentFiltered
        )
}

/// Whether another attempt or candidate may succeed after a failure of this kind. None can once the
/// order's deadline or budget is exceeded.
fn may_try_another(kind: AiErrorKind) -> bool {
    !matches!(kind, AiErrorKind::BudgetExceeded | AiErrorKind::NoRoute | AiErrorKind::Cancelled)
}
