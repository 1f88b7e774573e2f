//! All writes of one process, several to a commit.
//!
//! Each commit waits for the disk, and SQLite has one writer at a time. Two thousand orders that
//! settle one by one would wait two thousand times and stand in the way of each other, of River and
//! of the heartbeats; here they wait in line and go to the disk together, and take few of the
//! pool's connections. A write is answered when its commit is on the disk, as it would be alone.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::coalesced::{Coalesced, CoalescedWrite};
use super::database::answered;
use super::sql::{Operation, Pool, Tx};

/// Most writes of one commit: few enough that others who wait for a lock get their turn soon.
const BATCH: usize = 256;
/// Writes that may wait before those who bring more have to.
const LINE: usize = 4_096;
/// Commits at a time on PostgreSQL: more would take the pool's connections from River and from
/// readers.
const POSTGRES_WRITERS: usize = 4;
/// So long one process writes to SQLite without a break...
const TURN: Duration = Duration::from_millis(40);
/// ... and so long is the break at most, for River's statements on other connections. SQLite does
/// not line up who waits for its lock: they look for it again every 25 ms at first. Measured
/// without a break: River waited for 3.5 s to fetch jobs.
const BREAK: Duration = Duration::from_millis(30);
/// How often a transaction is tried again that PostgreSQL ended because it and another one waited
/// for each other.
const TRIES: usize = 5;

/// The line.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    line: mpsc::Sender<Box<dyn Write>>,
    /// Past the line: a heartbeat that waits for ten thousand orders looks like silence.
    urgent: mpsc::Sender<Box<dyn Write>>,
}

struct Lines {
    line: mpsc::Receiver<Box<dyn Write>>,
    urgent: mpsc::Receiver<Box<dyn Write>>,
}

impl Lines {
    /// The next writes; none when nobody can bring any more.
    async fn next(&mut self) -> Vec<Box<dyn Write>> {
        let (mut first, mut batch) = (Vec::new(), Vec::with_capacity(BATCH));
        tokio::select! {
            biased;
            _ = self.urgent.recv_many(&mut first, BATCH) => first,
            _ = self.line.recv_many(&mut batch, BATCH) => batch,
        }
    }
}

#[async_trait]
pub(super) trait Write: Send {
    /// Runs in a transaction; whether it went well.
    async fn run(&mut self, tx: &mut Tx) -> bool;
    /// Whether it failed only because of another transaction.
    fn is_serialization_failure(&self) -> bool;
    /// Answers whoever waits: with its own result after the commit, with this error otherwise.
    fn answer(self: Box<Self>, failed: Option<sqlx::Error>);
    /// Does the other one too, in the same statements; gives it back when it is of another kind.
    fn join(&mut self, other: Box<dyn Write>) -> Result<(), Box<dyn Write>>;
    /// Each of those that were joined.
    fn apart(self: Box<Self>) -> Vec<Box<dyn Write>>;
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

struct Pending<T, F> {
    operation: F,
    result: Option<Result<T, sqlx::Error>>,
    reply: oneshot::Sender<Result<T, sqlx::Error>>,
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

    fn answer(self: Box<Self>, failed: Option<sqlx::Error>) {
        let Pending { result, reply, .. } = *self;
        let answer = match (failed, result) {
            (Some(error), Some(Ok(_)) | None) => Err(error),
            (_, Some(result)) => result,
            (None, None) => Err(sqlx::Error::WorkerCrashed),
        };
        // Nobody may be waiting any more: the write is done all the same.
        drop(reply.send(answer));
    }

    fn join(&mut self, other: Box<dyn Write>) -> Result<(), Box<dyn Write>> {
        Err(other)
    }

    fn apart(self: Box<Self>) -> Vec<Box<dyn Write>> {
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
    /// A writer that ends when nobody can bring it anything any more.
    /// A commit that is not answered within that time counts as failed.
    pub(super) fn start(pool: &Pool, answer_within: Option<Duration>) -> Self {
        let (line, normal) = mpsc::channel::<Box<dyn Write>>(LINE);
        let (urgent, first) = mpsc::channel::<Box<dyn Write>>(LINE);
        let lines = Arc::new(Mutex::new(Lines { line: normal, urgent: first }));
        let writers = if matches!(pool, Pool::Sqlite(_)) { 1 } else { POSTGRES_WRITERS };
        for _ in 0..writers {
            let (lines, place) = (lines.clone(), Place { pool: pool.clone(), answer_within });
            tokio::spawn(async move {
                let mut turn = Instant::now();
                loop {
                    // Whoever waits for the line's next writes holds the lock; nobody does while it
                    // commits.
                    let batch = lines.lock().await.next().await;
                    if batch.is_empty() {
                        break;
                    }
                    commit(&place, batch).await;
                    if turn.elapsed() > TURN {
                        yield_to_others(&place.pool).await;
                        turn = Instant::now();
                    }
                }
            });
        }
        Writer { line, urgent }
    }

    /// Does it with the next commit. Nothing when the writer has ended.
    pub(super) async fn write<T, F>(
        &self,
        urgent: bool,
        operation: F,
    ) -> Option<Result<T, sqlx::Error>>
    where
        T: Send + 'static,
        F: Operation<T>,
    {
        let (reply, answer) = oneshot::channel();
        let line = if urgent { &self.urgent } else { &self.line };
        line.send(Box::new(Pending { operation, result: None, reply })).await.ok()?;
        answer.await.ok()
    }

    /// The same for a write of which several can be done at once.
    pub(super) async fn write_coalesced<A: Coalesced>(
        &self,
        one: A,
    ) -> Option<Result<A::Answer, sqlx::Error>> {
        let (reply, answer) = oneshot::channel();
        self.line.send(Box::new(CoalescedWrite::of(one, reply))).await.ok()?;
        answer.await.ok()
    }
}

/// Joins those of one kind. They belong to different orders, or none of them needs another one's
/// result: whoever does waits for it before he brings his own. So their order among the others is
/// of no account.
fn joined(batch: Vec<Box<dyn Write>>) -> Vec<Box<dyn Write>> {
    let mut kinds: Vec<Box<dyn Write>> = Vec::new();
    for write in batch {
        let mut left = Some(write);
        for kind in &mut kinds {
            let Some(write) = left.take() else { break };
            left = kind.join(write).err();
        }
        kinds.extend(left);
    }
    kinds
}

/// Lets other connections of this process to SQLite write, when there are any at work.
async fn yield_to_others(pool: &Pool) {
    let Pool::Sqlite(pool) = pool else { return };
    let begin = Instant::now();
    while pool.num_idle() < pool.size() as usize && begin.elapsed() < BREAK {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Where a writer writes.
struct Place {
    pool: Pool,
    answer_within: Option<Duration>,
}

/// Commits them together; when one fails, each alone, so that it fails alone.
async fn commit(place: &Place, batch: Vec<Box<dyn Write>>) {
    let (batch, failed) = together(place, joined(batch)).await;
    match failed {
        Failed::Nothing => batch.into_iter().for_each(|write| write.answer(None)),
        Failed::Commit(error) => {
            for write in batch {
                write.answer(Some(copy(&error)));
            }
        }
        Failed::One => {
            for write in batch.into_iter().flat_map(|write| write.apart()) {
                alone(place, write).await;
            }
        }
    }
}

async fn alone(place: &Place, write: Box<dyn Write>) {
    let mut batch = vec![write];
    for tries in 1.. {
        let failed;
        (batch, failed) = together(place, batch).await;
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

/// Two transactions waited for each other, or saw different pasts: PostgreSQL asks to try again.
pub(super) fn is_serialization_failure(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if matches!(error.code().as_deref(), Some("40P01" | "40001")))
}

enum Failed {
    Nothing,
    One,
    Commit(sqlx::Error),
}

async fn together(place: &Place, mut batch: Vec<Box<dyn Write>>) -> (Vec<Box<dyn Write>>, Failed) {
    let failed = answered(place.answer_within, in_one(&place.pool, &mut batch)).await;
    (batch, failed.unwrap_or_else(Failed::Commit))
}

async fn in_one(pool: &Pool, batch: &mut [Box<dyn Write>]) -> Failed {
    let mut tx = match pool.begin().await {
        Ok(tx) => tx,
        Err(error) => return Failed::Commit(error),
    };
    for write in batch {
        if !write.run(&mut tx).await {
            // What could not be rolled back is when its connection is dropped.
            drop(tx.rollback().await);
            return Failed::One;
        }
    }
    match tx.commit().await {
        Ok(()) => Failed::Nothing,
        Err(error) => Failed::Commit(error),
    }
}

/// `sqlx::Error` cannot be cloned: each of a batch gets one that says the same and counts as the
/// same.
pub(super) fn copy(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::PoolClosed => sqlx::Error::PoolClosed,
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut,
        sqlx::Error::Io(error) => {
            sqlx::Error::Io(std::io::Error::new(error.kind(), error.to_string()))
        }
        other => sqlx::Error::Io(std::io::Error::other(other.to_string())),
    }
}
