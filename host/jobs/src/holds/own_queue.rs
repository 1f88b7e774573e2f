//! The queue that only one worker works: orders that other workers cannot attempt are put there.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use riverqueue::{Client, QueueConfig};

use crate::drain::Draining;
use crate::driver::held_jobs;
use crate::error::Error;

/// A job that a worker with room does not fetch from its own queue for this long is stuck there:
/// River's poll of a queue has no timeout, and its answer may be lost.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The queue of one worker. It is worked from the first order on that the worker takes: most
/// workers never do, and each queue is polled.
#[derive(Debug)]
pub struct OwnQueue {
    client: Client,
    config: QueueConfig,
    worker: String,
    draining: Draining,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A queue that is stuck is given up; the next one has another name.
    number: u32,
    is_open: bool,
    waiting_since: Option<Instant>,
}

impl OwnQueue {
    pub(crate) fn new(
        client: Client,
        config: QueueConfig,
        worker: String,
        draining: Draining,
    ) -> Self {
        OwnQueue { client, config, worker, draining, state: Mutex::default() }
    }

    /// Whether the worker takes no orders, because it was asked to drain.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_set()
    }

    /// Works the queue, if it is not worked yet. Its name; `None` if orders that were fetched from
    /// it before the worker was asked to drain have not ended, while its name is not free.
    pub(super) fn open(&self) -> Result<Option<String>, Error> {
        let mut state = self.state.lock();
        let name = name_of(&self.worker, state.number);
        let queues = self.client.local_queues();
        // A drain that was taken back has removed it.
        if !state.is_open || !queues.configs().contains_key(&name) {
            match queues.add(name.clone(), self.config.clone()) {
                Ok(()) => state.is_open = true,
                Err(riverqueue::Error::QueueAlreadyAdded { .. }) => return Ok(None),
                Err(error) => return Err(Error::river("working the queue of one worker", error)),
            }
        }
        Ok(Some(name))
    }

    /// The name of the queue if it is worked.
    pub(super) fn opened(&self) -> Option<String> {
        let state = self.state.lock();
        state.is_open.then(|| name_of(&self.worker, state.number))
    }

    /// Records whether jobs wait in the queue. Whether it is stuck; then it is given up.
    pub(super) fn is_stuck(&self, waiting: bool) -> bool {
        let mut state = self.state.lock();
        state.waiting_since = match state.waiting_since {
            _ if !waiting => None,
            None => Some(Instant::now()),
            since => since,
        };
        let stuck = state.waiting_since.is_some_and(|since| since.elapsed() > STUCK_AFTER);
        if stuck {
            *state = State { number: state.number.wrapping_add(1), ..State::default() };
        }
        stuck
    }
}

fn name_of(worker: &str, number: u32) -> String {
    let name = held_jobs::own_queue(worker);
    if number == 0 { name } else { format!("{name}-{number}") }
}

#[cfg(test)]
mod tests {
    use riverqueue::{BoxError, Job, WorkContext, WorkOutcome, Workers};
    use sqlx::SqlitePool;

    use super::*;
    use crate::driver::river::{OrderJob, QUEUE};

    /// The queues of a client that does not run are only written down.
    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    #[tokio::test]
    async fn a_queue_that_a_drain_removed_is_worked_again() {
        let pool = SqlitePool::connect_lazy("sqlite::memory:").unwrap();
        let mut workers = Workers::new();
        let work = |_: WorkContext, _: Job<OrderJob>| async {
            Ok::<WorkOutcome, BoxError>(WorkOutcome::Complete)
        };
        workers.add_fn(work).unwrap();
        let config = QueueConfig::new(1);
        let builder = Client::builder(&pool).workers(workers).queue(QUEUE, config.clone());
        let client = builder.build().unwrap();
        let own = OwnQueue::new(client.clone(), config, "w-1".to_owned(), Draining::default());
        let name = own.open().unwrap().unwrap();
        assert_eq!(own.open().unwrap().unwrap(), name);
        client.local_queues().remove(&name).await.unwrap();
        assert_eq!(own.open().unwrap().unwrap(), name);
        assert!(client.local_queues().configs().contains_key(&name));
    }
}
