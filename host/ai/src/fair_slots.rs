//! Slots for calls, of which there is a limited number: calls that wait for one get it in turns of
//! their tenants. So those of one tenant, however many, do not hold up those of others.
//!
//! A slot that becomes free is granted at once to the call whose turn it is. A call is in the queue
//! for as long as it waits and was granted none: one that goes leaves the queue, or frees the slot
//! that it was granted meanwhile, which is the next one's. No lock is held across an await.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::caller::{Caller, TenantKey};
use super::round_robin::RoundRobin;

/// A number of slots. If one is free, a call gets it without waiting and without an allocation.
#[derive(Debug)]
pub(super) struct FairSlots {
    state: Mutex<State>,
}

/// Nobody waits while a slot is free.
#[derive(Debug)]
struct State {
    held: u32,
    /// Maximum of `held`; `None` is no limit.
    limit: Option<u32>,
    waiting: RoundRobin<TenantKey, oneshot::Sender<()>>,
}

/// A slot. Dropping it grants it to the call whose turn it is.
#[derive(Debug)]
pub(super) struct FairSlot {
    of: Arc<FairSlots>,
}

/// A call in the queue. Dropping it leaves the queue.
#[derive(Debug)]
struct QueuedCall<'a> {
    of: &'a Arc<FairSlots>,
    /// Its number in the queue and its tenant; `None` once its slot was handed out.
    entry: Option<(TenantKey, u64)>,
    granted: oneshot::Receiver<()>,
}

#[derive(Debug)]
enum Entered<'a> {
    Free(FairSlot),
    Queued(QueuedCall<'a>),
}

impl State {
    fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.held < limit)
    }

    /// Grants a free slot to the call whose turn it is. Its sender has to be used without the lock.
    fn grant(&mut self) -> Option<oneshot::Sender<()>> {
        if !self.has_room() {
            return None;
        }
        let next = self.waiting.pop()?;
        self.held += 1;
        Some(next)
    }
}

impl FairSlots {
    /// At most `limit` slots are held at a time; `None` is no limit.
    pub(super) fn new(limit: Option<u32>) -> Arc<Self> {
        let state = State { held: 0, limit, waiting: RoundRobin::new() };
        Arc::new(FairSlots { state: Mutex::new(state) })
    }

    /// Waits for a slot; `None` if the deadline passed.
    pub(super) async fn enter(
        self: &Arc<Self>,
        caller: Option<&Arc<Caller>>,
        deadline: Instant,
    ) -> Option<FairSlot> {
        let mut queued = match self.slot_or_queue(caller) {
            Entered::Free(slot) => return Some(slot),
            Entered::Queued(queued) => queued,
        };
        // The other end is not dropped unused as long as the call is in the queue.
        timeout_at(deadline, &mut queued.granted).await.ok()?.ok()?;
        Some(queued.into_slot())
    }

    /// The number of slots that are held, those included that were granted and not received yet.
    pub(super) fn held(&self) -> u32 {
        self.state.lock().held
    }

    /// Changes the number of slots. Those that are held stay so.
    pub(super) fn set_limit(&self, limit: Option<u32>) {
        self.state.lock().limit = limit;
        loop {
            let next = self.state.lock().grant();
            let Some(next) = next else { return };
            notify(next);
        }
    }

    /// A free slot, or the end of the queue: decided under one lock, so that no slot becomes free
    /// in between.
    fn slot_or_queue<'a>(self: &'a Arc<Self>, caller: Option<&Arc<Caller>>) -> Entered<'a> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() && state.has_room() {
            state.held += 1;
            return Entered::Free(FairSlot { of: self.clone() });
        }
        let (sender, granted) = oneshot::channel();
        let tenant = TenantKey::of(caller);
        let number = state.waiting.push(tenant.clone(), sender);
        Entered::Queued(QueuedCall { of: self, entry: Some((tenant, number)), granted })
    }

    fn release(&self) {
        let mut state = self.state.lock();
        state.held = state.held.saturating_sub(1);
        let next = state.grant();
        drop(state);
        if let Some(next) = next {
            notify(next);
        }
    }
}

/// Wakes a call that was granted a slot. One that has just gone frees the slot itself.
fn notify(granted: oneshot::Sender<()>) {
    let _gone = granted.send(());
}

impl QueuedCall<'_> {
    /// The slot that it was granted.
    fn into_slot(mut self) -> FairSlot {
        self.entry = None;
        FairSlot { of: self.of.clone() }
    }
}

impl Drop for QueuedCall<'_> {
    fn drop(&mut self) {
        let Some((tenant, number)) = self.entry.take() else { return };
        let left = self.of.state.lock().waiting.remove(&tenant, number);
        // What is not in the queue any more was granted a slot.
        if left.is_none() {
            self.of.release();
        }
    }
}

impl Drop for FairSlot {
    fn drop(&mut self) {
        self.of.release();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::time::Duration;

    use futures::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    type Entering<'a> = Pin<Box<dyn Future<Output = Option<FairSlot>> + Send + 'a>>;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    /// A call of the order `name`, whose first letter is its tenant; `-1` has none.
    fn caller(name: &str) -> Arc<Caller> {
        let tenant = name.chars().next().filter(|tenant| *tenant != '-').map(String::from);
        Arc::new(Caller { order: name.to_owned(), tenant })
    }

    /// A call that waits for a slot, by its name.
    fn entering<'a>(slots: &'a Arc<FairSlots>, name: &str) -> Entering<'a> {
        let caller = (name != "probe").then(|| caller(name));
        let mut entering: Entering<'a> =
            Box::pin(async move { slots.enter(caller.as_ref(), later()).await });
        assert!((&mut entering).now_or_never().is_none(), "{name} has to wait");
        entering
    }

    /// The calls in the order in which they get the only slot, each of which gives it to the next.
    fn in_turn(slot: FairSlot, mut waiting: Vec<(String, Entering<'_>)>) -> String {
        let mut order = Vec::new();
        drop(slot);
        while !waiting.is_empty() {
            let mut got = None;
            for (at, (_, entering)) in waiting.iter_mut().enumerate() {
                if let Some(slot) = entering.now_or_never() {
                    assert!(got.is_none(), "two have the only slot");
                    got = Some((at, slot));
                }
            }
            let (at, slot) = got.expect("nobody got the slot");
            order.push(waiting.remove(at).0);
            drop(slot);
        }
        order.join(" ")
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn calls_that_wait_get_slots_in_turns_of_their_tenants() {
        // Those that wait, those that are cancelled meanwhile, and who gets the slot.
        for (waiting, cancelled, expected) in [
            ("a1 a2 a3 a4 a5 b1", "", "a1 b1 a2 a3 a4 a5"),
            ("a1 a1 a2 b1 b2 c1", "", "a1 b1 c1 a1 b2 a2"),
            ("-1 -2 -3 a1", "", "-1 a1 -2 -3"),
            ("a1 a2 -1 probe a3", "", "a1 -1 probe a2 a3"),
            ("a1 a2 a3 b1 b2", "a1 b1", "a2 b2 a3"),
        ] {
            let slots = FairSlots::new(Some(1));
            let slot = slots.enter(None, later()).await.expect(waiting);
            let mut calls: Vec<(String, Entering<'_>)> = waiting
                .split_whitespace()
                .map(|name| (name.to_owned(), entering(&slots, name)))
                .collect();
            calls.retain(|(name, _)| !cancelled.split_whitespace().any(|gone| gone == name));
            assert_eq!(in_turn(slot, calls), expected, "{waiting}");
            assert_eq!(slots.held(), 0, "{waiting}");
            assert!(slots.state.lock().waiting.is_empty(), "{waiting}");
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_call_that_goes_when_it_was_granted_a_slot_leaves_it_to_the_next() {
        let slots = FairSlots::new(Some(1));
        let slot = slots.enter(None, later()).await.unwrap();
        let (first, second) = (entering(&slots, "a1"), entering(&slots, "b1"));
        drop(slot);
        assert_eq!(slots.held(), 1, "it is the first one's");
        drop(first);
        let slot = second.await.unwrap();
        // One whose deadline passes leaves the queue.
        let soon = Instant::now() + Duration::from_secs(1);
        assert!(slots.enter(None, soon).await.is_none());
        assert!(slots.state.lock().waiting.is_empty());
        drop(slot);
        assert_eq!(slots.held(), 0);
        assert!(slots.enter(None, Instant::now()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_limit_that_is_raised_lets_more_calls_through_and_a_lower_one_takes_no_slot_away() {
        let slots = FairSlots::new(Some(1));
        let mut held = vec![slots.enter(None, later()).await.unwrap()];
        let (mut a, mut b) = (entering(&slots, "a1"), entering(&slots, "b1"));
        let mut last = entering(&slots, "a2");
        slots.set_limit(Some(3));
        held.extend(
            [(&mut a).now_or_never().flatten(), (&mut b).now_or_never().flatten()]
                .into_iter()
                .flatten(),
        );
        assert_eq!((held.len(), slots.held()), (3, 3));
        slots.set_limit(Some(1));
        held.truncate(1);
        assert!((&mut last).now_or_never().is_none());
        slots.set_limit(None);
        assert!(last.await.is_some());
        for _ in 0..100 {
            held.push(slots.enter(None, later()).await.unwrap());
        }
        assert_eq!(slots.held(), 101);
    }

    proptest! {
        /// Whatever comes, goes and ends, before and after it was granted a slot: no more slots
        /// than the limit are held, none is free while somebody waits, and none is lost.
        #[test]
        fn no_slot_is_lost(
            limit in 1_u32..4,
            steps in prop::collection::vec((0_u8..4, 0_u8..3, 0_usize..8), 0..120),
        ) {
            let slots = FairSlots::new(Some(limit));
            let (mut held, mut waiting) = (Vec::new(), Vec::new());
            for (step, tenant, nth) in steps {
                match step {
                    0 | 1 => {
                        let caller = caller(["a", "b", "-"][usize::from(tenant)]);
                        match slots.slot_or_queue(Some(&caller)) {
                            Entered::Free(slot) => held.push(slot),
                            Entered::Queued(queued) => waiting.push(queued),
                        }
                    }
                    2 if !held.is_empty() => drop(held.swap_remove(nth % held.len())),
                    // Perhaps one that was granted a slot and has not noticed it.
                    3 if !waiting.is_empty() => drop(waiting.swap_remove(nth % waiting.len())),
                    _ => {}
                }
                // Half of those that were granted a slot notice it now.
                if nth.is_multiple_of(2) {
                    let mut still = Vec::new();
                    for mut queued in waiting {
                        match queued.granted.try_recv() {
                            Ok(()) => held.push(queued.into_slot()),
                            Err(_) => still.push(queued),
                        }
                    }
                    waiting = still;
                }
                let state = slots.state.lock();
                prop_assert!(state.held <= limit && state.held as usize >= held.len());
                prop_assert!(state.held == limit || state.waiting.is_empty());
            }
            drop((held, waiting));
            prop_assert_eq!(slots.held(), 0);
            prop_assert!(slots.state.lock().waiting.is_empty());
        }
    }
}
