//! All writes of one process to SQLite, several to a commit.
//!
//! SQLite has one writer at a time and each commit waits for the disk. Two thousand orders that settle one by one would wait two
//! thousand times, and fight for the lock meanwhile; here they wait in line and go to the disk together. A write is answered when
//! its commit is on the disk, as it would be alone.

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::sql::{Operation, Pool, Tx};

/// Most writes of one commit: few enough that another process waiting for the lock gets its turn soon.
const BATCH: usize = 256;
/// Writes that may wait before those who bring more have to.
const LINE: usize = 4_096;

/// The line.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Box<dyn Write>>);

#[async_trait]
trait Write: Send {
    /// Runs in a transaction; whether it went well.
    async fn run(&mut self, tx: &mut Tx) -> bool;
    /// Answers whoever waits: with its own result after the commit, with this error otherwise.
    fn answer(self: Box<Self>, failed: Option<sqlx::Error>);
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
}

impl Writer {
    /// A writer that ends when nobody can bring it anything any more.
    pub(super) fn start(pool: Pool) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Box<dyn Write>>(LINE);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut batch, BATCH).await > 0 {
                commit(&pool, std::mem::take(&mut batch)).await;
            }
        });
        Writer(sender)
    }

    /// Does it with the next commit. Nothing when the writer has ended.
    pub(super) async fn write<T, F>(&self, operation: F) -> Option<Result<T, sqlx::Error>>
    where
        T: Send + 'static,
        F: Operation<T>,
    {
        let (reply, answer) = oneshot::channel();
        self.0.send(Box::new(Pending { operation, result: None, reply })).await.ok()?;
        answer.await.ok()
    }
}

/// Commits them together; when one fails, each alone, so that it fails alone.
async fn commit(pool: &Pool, batch: Vec<Box<dyn Write>>) {
    let (mut batch, failed) = together(pool, batch).await;
    match failed {
        Failed::Nothing => batch.into_iter().for_each(|write| write.answer(None)),
        Failed::Commit(error) => {
            let text = error.to_string();
            let mut error = Some(error);
            for write in batch {
                write.answer(Some(error.take().unwrap_or_else(|| copy(&text))));
            }
        }
        Failed::One if batch.len() == 1 => batch.into_iter().for_each(|write| write.answer(None)),
        Failed::One => {
            for write in batch.drain(..) {
                let (alone, failed) = together(pool, vec![write]).await;
                for write in alone {
                    match failed {
                        Failed::Commit(ref error) => write.answer(Some(copy(&error.to_string()))),
                        Failed::Nothing | Failed::One => write.answer(None),
                    }
                }
            }
        }
    }
}

enum Failed {
    Nothing,
    One,
    Commit(sqlx::Error),
}

async fn together(pool: &Pool, mut batch: Vec<Box<dyn Write>>) -> (Vec<Box<dyn Write>>, Failed) {
    let mut tx = match pool.begin().await {
        Ok(tx) => tx,
        Err(error) => return (batch, Failed::Commit(error)),
    };
    for write in &mut batch {
        if !write.run(&mut tx).await {
            // What could not be rolled back is when its connection is dropped.
            drop(tx.rollback().await);
            return (batch, Failed::One);
        }
    }
    match tx.commit().await {
        Ok(()) => (batch, Failed::Nothing),
        Err(error) => (batch, Failed::Commit(error)),
    }
}

/// `sqlx::Error` cannot be cloned: the others of a batch get its text, as an error of the kind that may be tried again.
fn copy(text: &str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(text.to_owned()))
}
