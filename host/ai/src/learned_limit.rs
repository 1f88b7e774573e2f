//! How many calls of a model a provider takes at once, learned from its 429s.
//!
//! Until a provider refuses a call because there are too many, nothing is limited. Then half of the
//! calls in flight are let through, and one more for each round of calls that succeed: the additive
//! increase and multiplicative decrease of TCP.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::caller::Caller;
use super::failure::AttemptFailure;
use super::fair_slots::{FairSlot, FairSlots};
use sitewright_model::ai::AiErrorKind;

/// The least that a limit is learned to be. Of a provider that refuses one of so few calls, the rate
/// is limited and not their number; and with fewer, one call that takes minutes would hold up all
/// others of its model.
const LEAST: u32 = 4;

/// The calls of one model. No lock is held across a request.
#[derive(Debug)]
pub(super) struct LearnedLimit {
    /// For logs.
    model: String,
    /// Has the limit that was learned. It is changed under the lock of `learned` only.
    slots: Arc<FairSlots>,
    learned: Mutex<Option<Learned>>,
}

#[derive(Debug)]
struct Learned {
    /// Maximum number of calls in flight, at least [`LEAST`].
    limit: u32,
    /// Calls that succeeded since the limit was changed.
    good: u32,
    /// When it was reduced: refusals of calls that began before do not count again.
    reduced: Instant,
    /// The number of calls in flight at which nothing is limited any more: twice that of the first
    /// refusal.
    forget_at: u32,
}

/// A call in flight. Dropping it frees its slot.
#[derive(Debug)]
pub(super) struct LearnedSlot {
    of: Arc<LearnedLimit>,
    began: Instant,
    _slot: FairSlot,
}

impl LearnedLimit {
    pub(super) fn new(model: &str) -> Arc<Self> {
        let (slots, learned) = (FairSlots::new(None), Mutex::default());
        Arc::new(LearnedLimit { model: model.to_owned(), slots, learned })
    }

    /// Waits for a slot; `None` if the deadline passed.
    pub(super) async fn enter(
        self: &Arc<Self>,
        caller: Option<&Arc<Caller>>,
        deadline: Instant,
    ) -> Option<LearnedSlot> {
        let slot = self.slots.enter(caller, deadline).await?;
        Some(LearnedSlot { of: self.clone(), began: Instant::now(), _slot: slot })
    }

    /// The limit, if one was learned.
    #[cfg(test)]
    pub(super) fn limit(&self) -> Option<u32> {
        self.learned.lock().as_ref().map(|learned| learned.limit)
    }
}

impl LearnedSlot {
    /// Learns from the result of the call.
    pub(super) fn complete(&self, failure: Option<&AttemptFailure>) {
        match failure {
            None => self.succeeded(),
            // A request that is too large alone, or an account that is empty, says nothing about
            // how many there are at once.
            Some(failure)
                if failure.kind == AiErrorKind::RateLimited
                    && failure.retryable
                    && failure.http.is_some() =>
            {
                self.refused();
            }
            Some(_) => {}
        }
    }

    fn refused(&self) {
        let mut known = self.of.learned.lock();
        let in_flight = self.of.slots.held();
        let (limit, forget_at) = match &*known {
            // All calls in flight are refused at once; that is one refusal.
            Some(learned) if self.began <= learned.reduced => return,
            Some(learned) => (learned.limit.min(in_flight) / 2, learned.forget_at),
            None if in_flight <= LEAST => return,
            None => (in_flight / 2, in_flight.saturating_mul(2)),
        };
        let (limit, reduced) = (limit.max(LEAST), Instant::now());
        *known = Some(Learned { limit, good: 0, reduced, forget_at });
        self.of.slots.set_limit(Some(limit));
        drop(known);
        tracing::info!(
            model = self.of.model,
            in_flight,
            limit,
            "the provider refused a call for its rate limit, so fewer calls of the model are made at \
             once"
        );
    }

    fn succeeded(&self) {
        let mut known = self.of.learned.lock();
        let Some(learned) = &mut *known else { return };
        learned.good += 1;
        if learned.good < learned.limit {
            return;
        }
        (learned.limit, learned.good) = (learned.limit + 1, 0);
        let limit = (learned.limit < learned.forget_at).then_some(learned.limit);
        if limit.is_none() {
            *known = None;
        }
        self.of.slots.set_limit(limit);
        drop(known);
        if limit.is_none() {
            let model = &self.of.model;
            tracing::info!(model, "the calls of the model at once are not limited any more");
        }
    }
}
