//! Whose code runs in this process: recorded outside of it while it runs, so that the end of the
//! process can be attributed to the orders that may have caused it.
//!
//! Code of an attempt runs while its future is polled, while its order is read, and in the parts of
//! its checks and its core dump that are done on the blocking pool. An attempt that waits, for AI or
//! for the disk, runs none.
//!
//! An attempt on trial runs alone: while its code runs, that of all others waits. That costs the
//! others some milliseconds per poll, and ends with the trial. Nobody waits for ever: an attempt
//! that waited for too long runs beside the others, and then none of them counts as alone.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::time::Sleep;
use ulid::Ulid;

/// How long an attempt on trial waits until no other code runs. 2 s: another one may be in a long
/// host function.
const TRIAL_WAITS: Duration = Duration::from_secs(2);
/// How long all others wait for the code of an attempt on trial. 10 s: that code may be about to
/// end the process, and should then be found alone.
const OTHERS_WAIT: Duration = Duration::from_secs(10);

/// Records whose code runs. Called often, on the runtime's threads: it must return at once.
pub trait Record: Send + Sync + 'static {
    /// Code of this attempt runs from now on. `alone`: that of no other one does. Returns the slot
    /// of the entry.
    fn enter(&self, attempt: Ulid, alone: bool) -> usize;
    /// Code of another attempt runs beside the one in this slot.
    fn no_longer_alone(&self, slot: usize);
    /// The code of the attempt in this slot has ended or waits.
    fn leave(&self, slot: usize);
}

/// Lets the code of attempts run, and records it. One for each process; all clones are the same.
#[derive(Clone)]
pub struct Witness(Arc<Gate>);

struct Gate {
    record: Box<dyn Record>,
    state: Mutex<State>,
    /// For code on the blocking pool that waits.
    opened: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of places where code runs.
    inside: usize,
    /// The slot of the attempt on trial whose code runs alone.
    alone: Option<usize>,
    /// The number of attempts on trial that wait.
    trials: usize,
    /// Those that wait in a poll.
    wakers: Vec<Waker>,
}

impl State {
    fn is_open(&self, trial: bool) -> bool {
        if trial { self.inside == 0 } else { self.alone.is_none() && self.trials == 0 }
    }
}

impl Witness {
    /// With the place where it is recorded whose code runs.
    pub fn new(record: impl Record) -> Self {
        Witness(Arc::new(Gate {
            record: Box::new(record),
            state: Mutex::default(),
            opened: Condvar::new(),
        }))
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

impl Gate {
    /// Lets code in if it may run now, or if it `must`.
    fn enter(
        self: &Arc<Self>,
        state: &mut State,
        attempt: Ulid,
        trial: bool,
        must: bool,
    ) -> Option<Inside> {
        if !must && !state.is_open(trial) {
            return None;
        }
        let alone = trial && state.inside == 0;
        if let Some(other) = state.alone.take() {
            self.record.no_longer_alone(other);
        }
        state.inside += 1;
        let slot = self.record.enter(attempt, alone);
        state.alone = alone.then_some(slot);
        Some(Inside { gate: self.clone(), slot })
    }

    fn wake(&self, state: &mut State) -> Vec<Waker> {
        self.opened.notify_all();
        std::mem::take(&mut state.wakers)
    }
}

/// Code runs while this exists.
struct Inside {
    gate: Arc<Gate>,
    slot: usize,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.gate.record.leave(self.slot);
        let mut state = self.gate.state.lock();
        state.inside = state.inside.saturating_sub(1);
        let was_alone = state.alone == Some(self.slot);
        if was_alone {
            state.alone = None;
        }
        let woken = match was_alone || state.inside == 0 {
            true => self.gate.wake(&mut state),
            false => Vec::new(),
        };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// One attempt before its witness. Without a witness, the default, everything runs at once.
#[derive(Debug, Clone, Default)]
pub struct Witnessed {
    witness: Option<Witness>,
    attempt: Ulid,
    trial: bool,
}

impl Witnessed {
    pub(super) fn new(witness: Option<Witness>, attempt: Ulid, trial: bool) -> Self {
        Witnessed { witness, attempt, trial }
    }

    /// Runs the polls of `work` as code of this attempt.
    pub(super) fn polls<F: Future>(self, work: F) -> Polls<F> {
        Polls { work: Box::pin(work), witnessed: self, waits: None }
    }

    /// Runs `work` as code of this attempt, on the blocking pool.
    pub(super) fn blocking<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(Witness(gate)) = &self.witness else { return work() };
        let inside = {
            let mut state = gate.state.lock();
            let until = Instant::now() + self.patience();
            let mut must = false;
            let waits = self.trial.then(|| Trial::waits(gate.clone(), &mut state));
            let inside = loop {
                if let Some(inside) = gate.enter(&mut state, self.attempt, self.trial, must) {
                    break inside;
                }
                must = gate.opened.wait_until(&mut state, until).timed_out();
            };
            drop(state);
            drop(waits);
            inside
        };
        let done = work();
        drop(inside);
        done
    }

    fn patience(&self) -> Duration {
        if self.trial { TRIAL_WAITS } else { OTHERS_WAIT }
    }
}

/// An attempt on trial that waits: no other code begins meanwhile.
struct Trial(Arc<Gate>);

impl Trial {
    fn waits(gate: Arc<Gate>, state: &mut State) -> Self {
        state.trials += 1;
        Trial(gate)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.trials = state.trials.saturating_sub(1);
        let woken = self.0.wake(&mut state);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// See [`Witnessed::polls`].
pub(super) struct Polls<F> {
    work: Pin<Box<F>>,
    witnessed: Witnessed,
    /// Boxed: hardly any attempt ever waits.
    waits: Option<Box<Waits>>,
}

struct Waits {
    patience: Pin<Box<Sleep>>,
    _trial: Option<Trial>,
}

impl<F: Future> Future for Polls<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Polls { work, witnessed, waits } = &mut *self;
        let Some(Witness(gate)) = &witnessed.witness else { return work.as_mut().poll(context) };
        let must = match waits {
            Some(waits) => waits.patience.as_mut().poll(context).is_ready(),
            None => false,
        };
        let inside = {
            let mut state = gate.state.lock();
            let entered = gate.enter(&mut state, witnessed.attempt, witnessed.trial, must);
            if entered.is_none() {
                state.wakers.push(context.waker().clone());
                if waits.is_none() {
                    let trial = witnessed.trial.then(|| Trial::waits(gate.clone(), &mut state));
                    let patience = Box::pin(tokio::time::sleep(witnessed.patience()));
                    *waits = Some(Box::new(Waits { patience, _trial: trial }));
                }
            }
            entered
        };
        let Some(inside) = inside else {
            // Registers the timer's waker, too.
            let over = waits.as_mut().map(|waits| waits.patience.as_mut().poll(context));
            if over.is_some_and(|over| over.is_ready()) {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        };
        *waits = None;
        let polled = work.as_mut().poll(context);
        drop(inside);
        polled
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Checks at each moment that no code runs beside that of a trial.
    #[derive(Default, Clone)]
    struct Recorded(Arc<Mutex<Entries>>);

    #[derive(Default)]
    struct Entries {
        slots: BTreeMap<usize, (Ulid, bool)>,
        next: usize,
        alone: usize,
        beside: usize,
    }

    impl Record for Recorded {
        fn enter(&self, attempt: Ulid, alone: bool) -> usize {
            let mut entries = self.0.lock();
            assert!(
                entries.slots.values().all(|(_, alone)| !alone),
                "code runs beside a trial: {:?}",
                entries.slots
            );
            assert!(!alone || entries.slots.is_empty());
            let slot = entries.next;
            entries.next += 1;
            entries.slots.insert(slot, (attempt, alone));
            *(if alone { &mut entries.alone } else { &mut entries.beside }) += 1;
            slot
        }

        fn no_longer_alone(&self, slot: usize) {
            self.0.lock().slots.get_mut(&slot).unwrap().1 = false;
        }

        fn leave(&self, slot: usize) {
            self.0.lock().slots.remove(&slot).unwrap();
        }
    }

    fn attempt(witness: &Witness, trial: bool) -> Witnessed {
        Witnessed::new(Some(witness.clone()), Ulid::generate(), trial)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[expect(clippy::disallowed_methods, reason = "code that runs, on a runtime of its own")]
    async fn nothing_runs_beside_a_trial_and_everything_ends() {
        let recorded = Recorded::default();
        let witness = Witness::new(recorded.clone());
        let ended = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for number in 0..60 {
            let (witnessed, ended) = (attempt(&witness, number % 10 == 0), ended.clone());
            let blocking = witnessed.clone();
            let work = witnessed.polls(async move {
                for _ in 0..20 {
                    std::thread::sleep(Duration::from_micros(200));
                    tokio::task::yield_now().await;
                }
                let checked = tokio::task::spawn_blocking(move || {
                    blocking.blocking(|| std::thread::sleep(Duration::from_micros(300)));
                });
                checked.await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                ended.fetch_add(1, Ordering::Relaxed);
            });
            tasks.push(tokio::spawn(work));
        }
        for task in tasks {
            tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
        }
        assert_eq!(ended.load(Ordering::Relaxed), 60);
        let entries = recorded.0.lock();
        assert!(entries.slots.is_empty(), "what waits or has ended runs no code");
        assert!(entries.alone >= 6 * 20 && entries.beside >= 54 * 20);
    }

    /// A trial whose turn does not come goes on beside the others, and so does everybody else.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let recorded = Recorded::default();
        let witness = Witness::new(recorded.clone());
        let Witness(gate) = &witness;
        let stuck = gate.enter(&mut gate.state.lock(), Ulid::generate(), false, false).unwrap();
        let began = tokio::time::Instant::now();
        attempt(&witness, true).polls(async {}).await;
        assert_eq!(began.elapsed().as_secs(), TRIAL_WAITS.as_secs());
        assert_eq!(recorded.0.lock().alone, 0, "it was not alone");
        drop(stuck);

        let stuck = gate.enter(&mut gate.state.lock(), Ulid::generate(), true, false).unwrap();
        assert_eq!(recorded.0.lock().alone, 1);
        let began = tokio::time::Instant::now();
        attempt(&witness, false).polls(async {}).await;
        assert_eq!(began.elapsed().as_secs(), OTHERS_WAIT.as_secs());
        assert!(recorded.0.lock().slots.values().all(|(_, alone)| !alone), "it is not alone");
        drop(stuck);
        assert!(gate.state.lock().is_open(true) && gate.state.lock().is_open(false));
    }

    /// A trial that is dropped while it waits keeps nobody waiting.
    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_is_forgotten() {
        let witness = Witness::new(Recorded::default());
        let Witness(gate) = &witness;
        let busy = gate.enter(&mut gate.state.lock(), Ulid::generate(), false, false).unwrap();
        let waits = attempt(&witness, true).polls(async {});
        assert!(tokio::time::timeout(Duration::from_millis(10), waits).await.is_err());
        attempt(&witness, false).polls(async {}).await;
        drop(busy);
        attempt(&witness, true).polls(async {}).await;
    }
}
