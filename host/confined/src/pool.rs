//! Which child does a job, and when does an idle one end?

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::child::ChildProcess;
use crate::queue::FairQueue;
use crate::sandbox::Missing;
use crate::{Budget, ConfinedError, Task};

/// A number of children of one program, and the jobs that wait for them.
pub(crate) struct Pool {
    program: PathBuf,
    children: usize,
    idle_time: Duration,
    state: Mutex<State>,
}

struct State {
    queue: FairQueue<oneshot::Sender<Slot>>,
    /// Children that wait for a job, the one that was used last at the end. Together with the busy
    /// ones they are never more than the queue has slots.
    idle: VecDeque<Idle>,
    /// Whether a task ends idle children.
    reaping: bool,
}

struct Idle {
    child: ChildProcess,
    since: Instant,
}

/// The right to have one child.
struct Slot {
    pool: Arc<Pool>,
    lane: Arc<str>,
    /// When the job began.
    since: Instant,
    /// Processor time of the job; `None` until the child has reported it.
    cost: Option<Duration>,
    /// Given to the next job when the slot is free.
    reusable: Option<ChildProcess>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slot").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(program: PathBuf, children: usize, idle_time: Duration) -> Arc<Self> {
        let queue = FairQueue::new(children);
        let state = State { queue, idle: VecDeque::new(), reaping: false };
        Arc::new(Pool { program, children, idle_time, state: Mutex::new(state) })
    }

    pub(crate) fn with_idle_time(&self, idle_time: Duration) -> Arc<Self> {
        Pool::new(self.program.clone(), self.children, idle_time)
    }

    /// Does a job when it is its turn. Dropping the future kills the child that does it.
    pub(crate) async fn run(
        self: &Arc<Self>,
        task: &Task,
        lane: &str,
        input: &[u8],
        budget: &Budget,
    ) -> Result<Vec<u8>, ConfinedError> {
        let mut slot = self.slot(lane).await?;
        // Declared after the slot: a child that is not reusable is killed before its slot is free.
        let (mut child, idle) = match slot.reusable.take() {
            Some(child) => (child, true),
            None => (self.child().await?, false),
        };
        (slot.since, slot.cost) = (Instant::now(), None);
        let answer = match child.job(task.name, input, budget).await {
            // An idle child may have been killed without being gone yet.
            Err(error) if idle && error.is_of_host() => {
                child = self.child().await?;
                child.job(task.name, input, budget).await?
            }
            done => done?,
        };
        // A child is not believed to have used more time than has passed.
        slot.cost = Some(answer.cpu.min(slot.since.elapsed()));
        if child.is_reusable() {
            slot.reusable = Some(child);
        }
        Ok(answer.bytes)
    }

    async fn child(&self) -> Result<ChildProcess, ConfinedError> {
        let child = ChildProcess::start(&self.program).await?;
        report(child.missing);
        Ok(child)
    }

    /// Waits for a slot, which has an idle child if there is one.
    async fn slot(self: &Arc<Self>, lane: &str) -> Result<Slot, ConfinedError> {
        let (sender, receiver) = oneshot::channel();
        self.state.lock().queue.push(lane, sender);
        self.serve();
        let mut slot = receiver
            .await
            .map_err(|_| ConfinedError::Host("the queue of confined jobs has ended".to_owned()))?;
        while let Some(mut idle) = self.take_idle() {
            if idle.is_alive() {
                slot.reusable = Some(idle);
                break;
            }
        }
        Ok(slot)
    }

    fn take_idle(&self) -> Option<ChildProcess> {
        self.state.lock().idle.pop_back().map(|idle| idle.child)
    }

    /// Gives free slots to the jobs that are next.
    fn serve(self: &Arc<Self>) {
        loop {
            let next = self.state.lock().queue.next(oneshot::Sender::is_closed);
            let Some((lane, sender)) = next else { return };
            let slot = Slot {
                pool: self.clone(),
                lane,
                since: Instant::now(),
                cost: Some(Duration::ZERO),
                reusable: None,
            };
            // A job that has just gone drops its slot, which serves the next one.
            drop(sender.send(slot));
        }
    }

    /// Ends children that have been idle for too long, until none is left.
    async fn reap(pool: Weak<Self>, idle_time: Duration) {
        loop {
            tokio::time::sleep(idle_time / 2).await;
            let Some(pool) = pool.upgrade() else { return };
            let mut ended = Vec::new();
            let mut state = pool.state.lock();
            while state.idle.front().is_some_and(|idle| idle.since.elapsed() >= idle_time) {
                ended.extend(state.idle.pop_front());
            }
            if state.idle.is_empty() {
                state.reaping = false;
                return;
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let cost = self.cost.unwrap_or_else(|| self.since.elapsed());
        let mut state = self.pool.state.lock();
        state.queue.finish(&self.lane, cost);
        if let Some(child) = self.reusable.take() {
            state.idle.push_back(Idle { child, since: Instant::now() });
            if !state.reaping
                && let Ok(runtime) = tokio::runtime::Handle::try_current()
            {
                state.reaping = true;
                runtime.spawn(Pool::reap(Arc::downgrade(&self.pool), self.pool.idle_time));
            }
        }
        drop(state);
        self.pool.serve();
    }
}

/// Logs once which parts of the sandbox this machine does not enforce.
fn report(missing: Missing) {
    static REPORTED: OnceLock<()> = OnceLock::new();
    if missing != Missing::default() {
        REPORTED.get_or_init(|| {
            tracing::warn!(
                landlock = !missing.landlock,
                seccomp = !missing.seccomp,
                "the kernel does not enforce all of the sandbox of confined children: their limits \
                 on time and memory hold, but a library's bug could reach files or the network; \
                 use a kernel with Landlock (5.13) and seccomp"
            );
        });
    }
}
