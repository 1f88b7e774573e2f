//! Two candidates at once: a second one is asked if the first does not begin its reply in time.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::candidate::{Candidate, FailedAttempt, Place, Reading};
use super::dispatch::{Charge, Dispatch, Notes, Ready, Tried, estimate};
use super::failure::AttemptFailure;
use super::limiter::Permit;
use super::parameters::Adjusted;
use super::redact::Redactor;
use super::request::Request;
use super::text::TextSink;
use sitewright_model::ai::{AiErrorKind, Attempt, Completion};
use sitewright_model::time::millis;

/// An attempt with its result.
type Made = (Attempt, Result<(Completion, Option<String>), FailedAttempt>);

/// A hedge is made only if the budget has room for the whole reply.
const WHOLE: Reading = Reading::Checked { most_output: None };

const HEDGE: Notes = Notes { hedge: true, waited_ms: 0, backoff_ms: 0, asked_again: false };

/// What a hedge ended with.
enum Hedged {
    /// Nothing was sent.
    Rejected(Box<AttemptFailure>),
    Made(Box<Permit>, Box<Made>),
}

/// What happened first.
enum First {
    /// The first candidate's attempt ended.
    Ended(Box<Made>),
    /// It began its reply, or to think.
    Begun,
    /// It did not, for the time of the hedge.
    Late,
}

/// What happened first while both are asked.
enum Race {
    FirstEnded(Box<Made>),
    FirstBegun,
    OtherEnded(Hedged),
    OtherBegun,
}

/// One of two attempts. Its text is kept back until it is the one that counts.
struct Side {
    text: TextSink,
    chunks: Option<mpsc::Receiver<String>>,
}

impl Side {
    fn new(is_heard: bool) -> Self {
        if !is_heard {
            return Side { text: TextSink::none(), chunks: None };
        }
        let (text, chunks) = TextSink::channel();
        Side { text, chunks: Some(chunks) }
    }
}

impl Dispatch<'_> {
    /// One attempt, beside which the other candidate of `hedge` is asked after its time, if this one
    /// has not begun its reply by then. Who begins first, or succeeds, counts.
    pub(super) async fn hedged(
        &mut self,
        candidate: &Candidate,
        request: &Request,
        adjusted: &Adjusted,
        notes: Notes,
        hedge: (Duration, &Candidate),
    ) -> Tried {
        let (delay, other) = hedge;
        let ready = match self.ready(candidate, request, notes).await {
            Ok(ready) => ready,
            Err(tried) => return tried,
        };
        // Each attempt removes its provider's key itself.
        self.text.begin(Redactor::default());
        let (began, started) = (Instant::now(), SystemTime::now());
        let first_token = Notify::new();
        let Side { mut text, mut chunks } = Side::new(self.text.is_heard());
        let at = Place { first_token: Some(&first_token), ..self.place() };
        let how = ready.how();
        let mut first = Box::pin(candidate.attempt(at, request, adjusted, how, &mut text));
        let happened = tokio::select! {
            biased;
            made = &mut first => First::Ended(Box::new(made)),
            () = first_token.notified() => First::Begun,
            () = sleep(delay) => First::Late,
        };
        let charge = match happened {
            First::Ended(made) => {
                let (attempt, result) = *made;
                forward_rest(self.text, &mut chunks).await;
                return self.end(candidate, ready, attempt, result);
            }
            First::Begun => None,
            First::Late => self.room_for(other, request),
        };
        let Some(charge) = charge else {
            let (attempt, result) = forwarded(first, self.text, &mut chunks).await;
            return self.end(candidate, ready, attempt, result);
        };
        self.is_hedged = true;
        tracing::info!(
            route = self.route,
            first = candidate.provider_name,
            other = other.provider_name,
            after_ms = millis(delay),
            "a candidate has not begun its reply, so the next one is asked beside it"
        );
        let other_token = Notify::new();
        let Side { text: mut other_text, chunks: mut other_chunks } =
            Side::new(self.text.is_heard());
        let other_at = Place { first_token: Some(&other_token), ..self.place() };
        let asked = Asked::default();
        let prompt = charge.prompt;
        let mut second = Box::pin(asked.ask(other, other_at, request, prompt, &mut other_text));
        let happened = tokio::select! {
            biased;
            made = &mut first => Race::FirstEnded(Box::new(made)),
            () = first_token.notified() => Race::FirstBegun,
            made = &mut second => Race::OtherEnded(made),
            () = other_token.notified() => Race::OtherBegun,
        };
        match happened {
            Race::FirstEnded(made) => {
                let (attempt, result) = *made;
                if result.is_ok() {
                    drop(second);
                    self.cancelled(other, charge, &asked, candidate);
                    forward_rest(self.text, &mut chunks).await;
                    return self.end(candidate, ready, attempt, result);
                }
                // The hedge is the only one left. If it fails too, what follows is decided by the
                // failure of the first one, so that is recorded last.
                match forwarded(second, self.text, &mut other_chunks).await {
                    Hedged::Made(permit, made) if made.1.is_ok() => {
                        let _failed = self.end(candidate, ready, attempt, result);
                        self.hedge_ended(other, charge, &asked, Hedged::Made(permit, made))
                    }
                    lost => {
                        let _failed = self.hedge_ended(other, charge, &asked, lost);
                        self.end(candidate, ready, attempt, result)
                    }
                }
            }
            Race::FirstBegun => {
                drop(second);
                self.cancelled(other, charge, &asked, candidate);
                let (attempt, result) = forwarded(first, self.text, &mut chunks).await;
                self.end(candidate, ready, attempt, result)
            }
            Race::OtherEnded(Hedged::Made(permit, made)) if made.1.is_ok() => {
                drop(first);
                self.gave_way(candidate, ready, other, (began, started));
                forward_rest(self.text, &mut other_chunks).await;
                self.hedge_ended(other, charge, &asked, Hedged::Made(permit, made))
            }
            Race::OtherEnded(lost) => {
                let _failed = self.hedge_ended(other, charge, &asked, lost);
                let (attempt, result) = forwarded(first, self.text, &mut chunks).await;
                self.end(candidate, ready, attempt, result)
            }
            Race::OtherBegun => {
                drop(first);
                self.gave_way(candidate, ready, other, (began, started));
                let hedged = forwarded(second, self.text, &mut other_chunks).await;
                match self.hedge_ended(other, charge, &asked, hedged) {
                    Tried::Failed if !self.text.has_begun() => Tried::HedgeFailed,
                    tried => tried,
                }
            }
        }
    }

    /// Reserves what the hedge may use, if there is room for the whole of it without waiting.
    fn room_for(&self, other: &Candidate, request: &Request) -> Option<Charge> {
        let estimate = estimate(other, request);
        let reserved = match &self.call.budget {
            None => None,
            Some(budget) => Some(budget.reserve_if_room(estimate)?),
        };
        let mut charge = Charge { reserved, of_days: Vec::new(), prompt: estimate.prompt };
        for day in self.days {
            match day.reserve_if_room(estimate) {
                Some(of_day) => charge.of_days.push(*of_day),
                None => {
                    charge.release();
                    return None;
                }
            }
        }
        Some(charge)
    }

    /// Charges and records a hedge that ended by itself.
    fn hedge_ended(
        &mut self,
        other: &Candidate,
        charge: Charge,
        asked: &Asked,
        hedged: Hedged,
    ) -> Tried {
        self.keep_refused(asked);
        match hedged {
            Hedged::Rejected(failure) => {
                charge.release();
                self.reject(other, *failure, HEDGE);
                Tried::Failed
            }
            Hedged::Made(permit, made) => {
                let (attempt, result) = *made;
                self.end(
                    other,
                    Ready { charge, permit, notes: HEDGE, direct: None },
                    attempt,
                    result,
                )
            }
        }
    }

    /// Records a hedge that was cancelled because the first candidate counts.
    fn cancelled(&mut self, other: &Candidate, charge: Charge, asked: &Asked, winner: &Candidate) {
        self.keep_refused(asked);
        let Some(since) = *asked.sent.lock() else { return charge.release() };
        let attempt = cancelled(self.route, other, winner, since);
        self.attempts.push(HEDGE.on(attempt));
        // The provider may charge for the prompt.
        drop(charge);
    }

    /// Records the attempts of a hedge whose parameters the model refused.
    fn keep_refused(&mut self, asked: &Asked) {
        for (attempt, failed) in std::mem::take(&mut *asked.refused.lock()) {
            self.attempts.push(HEDGE.on(attempt));
            self.failures.push(failed);
        }
    }

    /// Records the first attempt, which was cancelled because the hedge counts.
    fn gave_way(
        &mut self,
        candidate: &Candidate,
        ready: Ready,
        winner: &Candidate,
        since: (Instant, SystemTime),
    ) {
        let attempt = cancelled(self.route, candidate, winner, since);
        self.attempts.push(ready.notes.on(attempt));
        // The provider may charge for the prompt.
        drop(ready);
    }
}

/// A hedge that is asked.
#[derive(Default)]
struct Asked {
    /// Since when it is asked; `None` while it waits for limits, so that nothing was sent.
    sent: Mutex<Option<(Instant, SystemTime)>>,
    /// Attempts whose parameters the model refused.
    refused: Mutex<Vec<(Attempt, FailedAttempt)>>,
}

impl Asked {
    /// Waits for the candidate's limits and makes an attempt. What the model refuses of the request
    /// is left out, and it is asked again at once.
    async fn ask(
        &self,
        candidate: &Candidate,
        at: Place<'_>,
        request: &Request,
        prompt: u64,
        text: &mut TextSink,
    ) -> Hedged {
        let limiter = &candidate.limiter;
        let (caller, model) = (at.call.caller(), &candidate.model);
        let permit = match limiter.acquire_for(caller, model, prompt, at.call.deadline).await {
            Ok(permit) => Box::new(permit),
            Err(failure) => return Hedged::Rejected(Box::new(failure)),
        };
        *self.sent.lock() = Some((Instant::now(), SystemTime::now()));
        let mut adjusted = candidate.first_shape(&request.format);
        loop {
            let (attempt, result) = candidate.attempt(at, request, &adjusted, WHOLE, text).await;
            let failed = match result {
                Ok(reply) => return Hedged::Made(permit, Box::new((attempt, Ok(reply)))),
                Err(failed) => failed,
            };
            let refusal = failed.refusal.as_ref().filter(|_| Instant::now() < at.call.deadline);
            match refusal.and_then(|refusal| candidate.after(request, &adjusted, refusal)) {
                Some(next) => {
                    self.refused.lock().push((attempt, failed));
                    adjusted = next;
                }
                None => return Hedged::Made(permit, Box::new((attempt, Err(failed)))),
            }
        }
    }
}

/// The record of a request that was cancelled because another candidate began first.
fn cancelled(
    route: &str,
    candidate: &Candidate,
    winner: &Candidate,
    since: (Instant, SystemTime),
) -> Attempt {
    let (began, started) = since;
    let (name, model) = (&winner.provider_name, &winner.model);
    let detail = format!(
        "the request was cancelled, because the provider `{name}` (model `{model}`) answered first \
         (hedge_ms)"
    );
    let failure = AttemptFailure::new(AiErrorKind::Cancelled, detail);
    candidate.cancelled(route, failure, started, began.elapsed())
}

/// Waits for an attempt that counts, and forwards its text meanwhile.
async fn forwarded<T>(
    attempt: impl Future<Output = T>,
    text: &mut TextSink,
    chunks: &mut Option<mpsc::Receiver<String>>,
) -> T {
    let mut attempt = pin!(attempt);
    let result = loop {
        let Some(receiver) = chunks else { break attempt.await };
        tokio::select! {
            biased;
            chunk = receiver.recv() => match chunk {
                Some(chunk) => text.push(&chunk).await,
                // Its sink is there as long as the attempt, so this does not happen before its end.
                None => break attempt.await,
            },
            result = &mut attempt => break result,
        }
    };
    forward_rest(text, chunks).await;
    result
}

/// Forwards what an attempt that has ended left.
async fn forward_rest(text: &mut TextSink, chunks: &mut Option<mpsc::Receiver<String>>) {
    if let Some(chunks) = chunks {
        while let Ok(chunk) = chunks.try_recv() {
            text.push(&chunk).await;
        }
    }
}
