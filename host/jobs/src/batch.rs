//! Group commit: all writes of one process, several in one transaction.
//!
//! Each commit waits for the disk, and SQLite has one writer at a time. Two thousand orders that
//! complete one by one would wait two thousand times and block each other, River and heartbeats.
//! Here writes are queued, committed together, and use few of the pool's connections. A write is
//! answered when its commit is on the disk, as if it were alone.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::coalesced::{Coalesced, CoalescedWrite};
use super::database::answered;
use super::driver::{Operation, Pool, Tx};

/// Maximum number of writes in one commit, so that other waiters for a lock are not delayed.
const BATCH: usize = 256;
/// Capacity of the queue of writes; callers wait while it is full.
const CAPACITY: usize = 4_096;
/// Concurrent commits on PostgreSQL: more would use up the pool's connections.
const POSTGRES_WRITERS: usize = 4;
/// After this time of writing to SQLite the writer pauses, ...
const WRITE_TIME: Duration = Duration::from_millis(40);
/// ... for at most this long, so that River's statements on other connections get the lock. SQLite
/// has no queue for its lock: waiters poll it, every 25 ms at first. Measured without a pause:
/// River waited 3.5 s to fetch jobs.
const PAUSE: Duration = Duration::from_millis(30);
/// Attempts of a transaction that PostgreSQL rolls back because of a serialization failure.
const TRIES: usize = 5;

/// Queues the writes of one process.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Write>>,
    /// Overtakes the queue: a heartbeat that waits behind ten thousand orders would be stale.
    urgent: mpsc::Sender<Box<dyn Write>>,
}

struct Queues {
    queue: mpsc::Receiver<Box<dyn Write>>,
    urgent: mpsc::Receiver<Box<dyn Write>>,
}

impl Queues {
    /// The next writes; empty once all senders are dropped.
    async fn next(&mut self) -> Vec<Box<dyn Write>> {
        let (mut first, mut batch) = (Vec::new(), Vec::with_capacity(BATCH));
        tokio::select! {
            biased;
            _ = self.urgent.recv_many(&mut first, BATCH) => first,
            _ = self.queue.recv_many(&mut batch, BATCH) => batch,
        }
    }
}

#[async_trait]
pub(super) trait Write: Send {
    /// Runs in a transaction. `false` if it failed.
    async fn run(&mut self, tx: &mut Tx) -> bool;
    /// Whether it failed with a serialization failure, so that a retry may succeed.
    fn is_serialization_failure(&self) -> bool;
    /// Answers the caller: with `failed` if the commit failed, otherwise with the write's result.
    fn answer(self: Box<Self>, failed: Option<Arc<sqlx::Error>>);
    /// Merges another write of the same kind into this one; returns one of another kind.
    fn merge(&mut self, other: Box<dyn Write>) -> Result<(), Box<dyn Write>>;
    /// The writes that were merged, one by one.
    fn split(self: Box<Self>) -> Vec<Box<dyn Write>>;
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

struct Pending<T, F> {
    operation: F,
    result: Option<Result<T, sqlx::Error>>,
    reply: oneshot::Sender<Result<T, Arc<sqlx::Error>>>,
}

#[async_trait]
impl<T: Send + 'static, F: Operation<T>> Write for Pending<T, F> {
    async fn run(&mut self, tx: &mut Tx) -> bool {
        let running: BoxFuture<'_, _> = (self.operation)(tx);
        let result = running.await;
        let well = result.is_ok();
        self.result = Some(result);
        well
    }

    fn is_serialization_failure(&self) -> bool {
        matches!(&self.result, Some(Err(error)) if is_serialization_failure(error))
    }

    fn answer(self: Box<Self>, failed: Option<Arc<sqlx::Error>>) {
        let Pending { result, reply, .. } = *self;
        let answer = match (failed, result) {
            (Some(error), Some(Ok(_)) | None) => Err(error),
            (_, Some(result)) => result.map_err(Arc::new),
            (None, None) => Err(Arc::new(sqlx::Error::WorkerCrashed)),
        };
        // The caller may have given up; the write is done all the same.
        drop(reply.send(answer));
    }

    fn merge(&mut self, other: Box<dyn Write>) -> Result<(), Box<dyn Write>> {
        Err(other)
    }

    fn split(self: Box<Self>) -> Vec<Box<dyn Write>> {
        vec![self]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Writer {
    /// Starts the tasks that commit; they end when the last clone is dropped. A commit that is not
    /// answered within `answer_within` counts as failed.
    pub(super) fn start(pool: &Pool, answer_within: Option<Duration>) -> Self {
        let (queue, normal) = mpsc::channel::<Box<dyn Write>>(CAPACITY);
        let (urgent, first) = mpsc::channel::<Box<dyn Write>>(CAPACITY);
        let queues = Arc::new(Mutex::new(Queues { queue: normal, urgent: first }));
        let writers = if matches!(pool, Pool::Sqlite(_)) { 1 } else { POSTGRES_WRITERS };
        for _ in 0..writers {
            let (queues, target) = (queues.clone(), Target { pool: pool.clone(), answer_within });
            tokio::spawn(async move {
                let mut since = Instant::now();
                loop {
                    // The lock is held while waiting for writes, not while committing them.
                    let batch = queues.lock().await.next().await;
                    if batch.is_empty() {
                        break;
                    }
                    commit(&target, batch).await;
                    if since.elapsed() > WRITE_TIME {
                        yield_to_others(&target.pool).await;
                        since = Instant::now();
                    }
                }
            });
        }
        Writer { queue, urgent }
    }

    /// Runs a write in one of the next commits. `None` if the writer has ended.
    pub(super) async fn write<T, F>(
        &self,
        urgent: bool,
        operation: F,
    ) -> Option<Result<T, Arc<sqlx::Error>>>
    where
        T: Send + 'static,
        F: Operation<T>,
    {
        let (reply, answer) = oneshot::channel();
        let queue = if urgent { &self.urgent } else { &self.queue };
        queue.send(Box::new(Pending { operation, result: None, reply })).await.ok()?;
        answer.await.ok()
    }

    /// Like [`Writer::write`], coalesced with other pending writes of its kind.
    pub(super) async fn write_coalesced<A: Coalesced>(
        &self,
        one: A,
    ) -> Option<Result<A::Answer, Arc<sqlx::Error>>> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Box::new(CoalescedWrite::of(one, reply))).await.ok()?;
        answer.await.ok()
    }
}

/// Merges writes of one kind. Their order does not matter: a caller whose write depends on another
/// one waits for that one's answer first.
fn merged(batch: Vec<Box<dyn Write>>) -> Vec<Box<dyn Write>> {
    let mut kinds: Vec<Box<dyn Write>> = Vec::new();
    for write in batch {
        let mut left = Some(write);
        for kind in &mut kinds {
            let Some(write) = left.take() else { break };
            left = kind.merge(write).err();
        }
        kinds.extend(left);
    }
    kinds
}

/// Lets other connections of this process write to SQLite, if any is in use.
async fn yield_to_others(pool: &Pool) {
    #[cfg_attr(not(feature = "postgres"), expect(irrefutable_let_patterns))]
    let Pool::Sqlite(pool) = pool else { return };
    let begin = Instant::now();
    while pool.num_idle() < pool.size() as usize && begin.elapsed() < PAUSE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

struct Target {
    pool: Pool,
    answer_within: Option<Duration>,
}

/// Commits a batch in one transaction; if a write fails, each in its own, so that it fails alone.
async fn commit(target: &Target, batch: Vec<Box<dyn Write>>) {
    let (batch, failed) = group_commit(target, merged(batch)).await;
    match failed {
        Failed::Nothing => batch.into_iter().for_each(|write| write.answer(None)),
        Failed::Commit(error) => {
            for write in batch {
                write.answer(Some(error.clone()));
            }
        }
        Failed::One => {
            for write in batch.into_iter().flat_map(|write| write.split()) {
                commit_alone(target, write).await;
            }
        }
    }
}

async fn commit_alone(target: &Target, write: Box<dyn Write>) {
    let mut batch = vec![write];
    for tries in 1.. {
        let failed;
        (batch, failed) = group_commit(target, batch).await;
        let again = match &failed {
            Failed::Nothing => false,
            Failed::One => batch.iter().any(|write| write.is_serialization_failure()),
            Failed::Commit(error) => is_serialization_failure(error),
        };
        if !again || tries == TRIES {
            let mut error = match failed {
                Failed::Commit(error) => Some(error),
                Failed::Nothing | Failed::One => None,
            };
            batch.into_iter().for_each(|write| write.answer(error.take()));
            return;
        }
    }
}

/// A deadlock (40P01) or serialization failure (40001) of PostgreSQL, which asks for a retry.
pub(super) fn is_serialization_failure(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if matches!(error.code().as_deref(), Some("40P01" | "40001")))
}

enum Failed {
    Nothing,
    One,
    Commit(Arc<sqlx::Error>),
}

async fn group_commit(
    target: &Target,
    mut batch: Vec<Box<dyn Write>>,
) -> (Vec<Box<dyn Write>>, Failed) {
    let failed = answered(target.answer_within, run_all(&target.pool, &mut batch)).await;
    (batch, failed.unwrap_or_else(|error| Failed::Commit(Arc::new(error))))
}

async fn run_all(pool: &Pool, batch: &mut [Box<dyn Write>]) -> Failed {
    let mut tx = match pool.begin().await {
        Ok(tx) => tx,
        Err(error) => return Failed::Commit(Arc::new(error)),
    };
    for write in batch {
        if !write.run(&mut tx).await {
            // If this fails too, the pool closes the connection, which rolls back.
            drop(tx.rollback().await);
            return Failed::One;
        }
    }
    match tx.commit().await {
        Ok(()) => Failed::Nothing,
        Err(error) => Failed::Commit(Arc::new(error)),
    }
}
