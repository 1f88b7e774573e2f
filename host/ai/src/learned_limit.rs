//! How many calls of a model a provider takes at once, learned from its 429s.
//!
//! Until a provider refuses a call because there are too many, nothing is limited. Then half of the
//! calls in flight are let through, and one more for each round of calls that succeed: the additive
//! increase and multiplicative decrease of TCP.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::failure::AttemptFailure;
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
    state: Mutex<State>,
    /// Held by the call that waits for the next slot, so that calls get one in the order of arrival.
    turn: tokio::sync::Mutex<()>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    in_flight: u32,
    learned: Option<Learned>,
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
}

impl LearnedLimit {
    pub(super) fn new(model: &str) -> Arc<Self> {
        let (state, turn, freed) = (Mutex::default(), tokio::sync::Mutex::new(()), Notify::new());
        Arc::new(LearnedLimit { model: model.to_owned(), state, turn, freed })
    }

    /// Waits for a slot; `None` if the deadline passed.
    pub(super) async fn enter(self: &Arc<Self>, deadline: Instant) -> Option<LearnedSlot> {
        if let Some(slot) = self.enter_unlimited() {
            return Some(slot);
        }
        let _turn = timeout_at(deadline, self.turn.lock()).await.ok()?;
        loop {
            // Registered before the look, so that no notice is missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(slot) = self.try_enter() {
                return Some(slot);
            }
            timeout_at(deadline, freed).await.ok()?;
        }
    }

    /// A slot, if nothing is limited.
    fn enter_unlimited(self: &Arc<Self>) -> Option<LearnedSlot> {
        let mut state = self.state.lock();
        if state.learned.is_some() {
            return None;
        }
        state.in_flight += 1;
        drop(state);
        Some(LearnedSlot { of: self.clone(), began: Instant::now() })
    }

    fn try_enter(self: &Arc<Self>) -> Option<LearnedSlot> {
        let mut state = self.state.lock();
        let is_full =
            state.learned.as_ref().is_some_and(|learned| state.in_flight >= learned.limit);
        if is_full {
            return None;
        }
        state.in_flight += 1;
        drop(state);
        Some(LearnedSlot { of: self.clone(), began: Instant::now() })
    }

    /// The limit, if one was learned.
    #[cfg(test)]
    pub(super) fn limit(&self) -> Option<u32> {
        self.state.lock().learned.as_ref().map(|learned| learned.limit)
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
        let mut state = self.of.state.lock();
        let in_flight = state.in_flight;
        let (limit, forget_at) = match &state.learned {
            // All calls in flight are refused at once; that is one refusal.
            Some(learned) if self.began <= learned.reduced => return,
            Some(learned) => (learned.limit.min(in_flight) / 2, learned.forget_at),
            None if in_flight <= LEAST => return,
            None => (in_flight / 2, in_flight.saturating_mul(2)),
        };
        let (limit, reduced) = (limit.max(LEAST), Instant::now());
        state.learned = Some(Learned { limit, good: 0, reduced, forget_at });
        drop(state);
        tracing::info!(
            model = self.of.model,
            in_flight,
            limit,
            "the provider refused a call for its rate limit, so fewer calls of the model are made at \
             once"
        );
    }

    fn succeeded(&self) {
        let mut state = self.of.state.lock();
        let Some(learned) = &mut state.learned else { return };
        learned.good += 1;
        if learned.good < learned.limit {
            return;
        }
        (learned.limit, learned.good) = (learned.limit + 1, 0);
        let is_over = learned.limit >= learned.forget_at;
        if is_over {
            state.learned = None;
        }
        drop(state);
        if is_over {
            let model = &self.of.model;
            tracing::info!(model, "the calls of the model at once are not limited any more");
        }
        self.of.freed.notify_one();
    }
}

impl Drop for LearnedSlot {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.of.freed.notify_one();
    }
}
