//! A bounded queue between the program and the collector, and the task that empties it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, SdkLogRecord};
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber as _;

use super::settings::Batches;
use super::{Answer, Answers};

/// Minimum time between two reports of what was lost: a collector may be away for days.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Sends batches. Its errors are final: the batch is lost.
pub(super) trait BatchExporter: Send + Sync + 'static {
    type Item: Send + 'static;

    fn export(&self, batch: Vec<Self::Item>) -> impl Future<Output = OTelSdkResult> + Send;
}

impl BatchExporter for opentelemetry_otlp::SpanExporter {
    type Item = SpanData;

    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        opentelemetry_sdk::trace::SpanExporter::export(self, batch)
    }
}

impl BatchExporter for opentelemetry_otlp::LogExporter {
    type Item = (SdkLogRecord, InstrumentationScope);

    async fn export(&self, batch: Vec<Self::Item>) -> OTelSdkResult {
        let records: Vec<_> = batch.iter().map(|(record, scope)| (record, scope)).collect();
        opentelemetry_sdk::logs::LogExporter::export(self, LogBatch::new(&records)).await
    }
}

/// The entrance of the queue.
#[derive(Debug)]
pub(super) struct Outlet<T> {
    queue: mpsc::Sender<T>,
    dropped: Arc<AtomicU64>,
}

impl<T> Outlet<T> {
    /// Adds to the queue without waiting. If it is full, or the program ends, `item` is dropped.
    pub(super) fn push(&self, item: T) {
        if self.queue.try_send(item).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Opens a queue, and starts the task that empties it until `stop`; it returns how many items were
/// lost.
pub(super) fn open<E: BatchExporter>(
    exporter: E,
    signal: &'static str,
    batches: Batches,
    answers: Answers,
    stop: &CancellationToken,
) -> (Outlet<E::Item>, JoinHandle<u64>) {
    let (queue, waiting) = mpsc::channel(batches.queue);
    let dropped = Arc::<AtomicU64>::default();
    let losses = Losses {
        signal,
        answers,
        because: None,
        dropped: dropped.clone(),
        failed: 0,
        reported: 0,
        reported_at: None,
    };
    let emptying = Emptying { exporter, batches, losses, stop: stop.clone() };
    (Outlet { queue, dropped }, tokio::spawn(emptying.run(waiting)))
}

/// What was lost, and what of it the log knows.
struct Losses {
    signal: &'static str,
    answers: Answers,
    /// Why something was lost last that the log does not know of yet.
    because: Option<String>,
    /// Because the queue was full.
    dropped: Arc<AtomicU64>,
    /// Because a batch could not be sent, or was refused in part.
    failed: u64,
    reported: u64,
    reported_at: Option<Instant>,
}

impl Losses {
    fn report_in_time(&mut self) {
        if self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.report();
        }
    }

    fn lost(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + self.failed
    }

    fn report(&mut self) {
        let lost = self.lost();
        if lost == self.reported {
            return;
        }
        let reason = self.because.take();
        tracing::warn!(
            signal = self.signal,
            lost = lost - self.reported,
            lost_in_all = lost,
            reason = reason.as_deref().unwrap_or("the collector is slower than this program"),
            "spans or log lines did not reach the OpenTelemetry collector and are lost; no order \
             waits for it"
        );
        (self.reported, self.reported_at) = (lost, Some(Instant::now()));
    }
}

struct Emptying<E> {
    exporter: E,
    batches: Batches,
    losses: Losses,
    stop: CancellationToken,
}

impl<E: BatchExporter> Emptying<E> {
    async fn run(mut self, mut waiting: mpsc::Receiver<E::Item>) -> u64 {
        let mut batch = Vec::new();
        while self.gather(&mut waiting, &mut batch).await {
            self.send(&mut batch).await;
            self.losses.report_in_time();
        }
        // What comes from now on is dropped; what has come is sent.
        waiting.close();
        loop {
            let room = self.batches.size.saturating_sub(batch.len());
            let came = waiting.recv_many(&mut batch, room).await;
            if batch.is_empty() {
                break;
            }
            if came == 0 || batch.len() >= self.batches.size {
                self.send(&mut batch).await;
            }
        }
        self.losses.report();
        self.losses.lost()
    }

    /// Waits until a batch is full, or the time of its first item has come. Returns `false` at the
    /// end of the program. `batch` is empty before.
    async fn gather(
        &self,
        waiting: &mut mpsc::Receiver<E::Item>,
        batch: &mut Vec<E::Item>,
    ) -> bool {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => 0,
            came = waiting.recv_many(batch, self.batches.size) => came,
        };
        if first == 0 {
            return false;
        }
        let mut due = std::pin::pin!(tokio::time::sleep(self.batches.delay));
        while batch.len() < self.batches.size {
            let room = self.batches.size - batch.len();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                () = &mut due => return true,
                came = waiting.recv_many(batch, room) => if came == 0 { return false },
            }
        }
        true
    }

    async fn send(&mut self, batch: &mut Vec<E::Item>) {
        let items = std::mem::take(batch);
        if items.is_empty() {
            return;
        }
        let count = items.len() as u64;
        // What is said while a batch is sent must not become the next batch.
        let sent = self.exporter.export(items).with_subscriber(tracing::Dispatch::none()).await;
        let Answer { reason, rejected } = std::mem::take(&mut *self.losses.answers.lock());
        let (lost, because) = match sent {
            Err(error) => (count, reason.or_else(|| Some(error.to_string()))),
            Ok(()) => (rejected.min(count), reason),
        };
        if lost > 0 {
            self.losses.failed += lost;
            self.losses.because = because;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
    use parking_lot::Mutex;
    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::{BatchExporter, open};
    use crate::settings::Batches;
    use crate::{Answer, Answers};

    /// Sends nothing until it is told to.
    #[derive(Default)]
    struct Slow {
        sent: Arc<Mutex<Vec<Vec<u32>>>>,
        begun: Arc<Notify>,
        goes_on: Arc<Notify>,
    }

    impl BatchExporter for Slow {
        type Item = u32;

        async fn export(&self, batch: Vec<u32>) -> OTelSdkResult {
            self.begun.notify_one();
            self.goes_on.notified().await;
            self.sent.lock().push(batch);
            Ok(())
        }
    }

    fn batches() -> Batches {
        Batches { queue: 4, size: 2, delay: Duration::from_secs(5) }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_slow_collector_costs_memory_for_one_queue_and_one_batch() {
        let slow = Slow::default();
        let (sent, begun) = (slow.sent.clone(), slow.begun.clone());
        let goes_on = slow.goes_on.clone();
        let stop = CancellationToken::new();
        let (outlet, task) = open(slow, "traces", batches(), Arc::default(), &stop);
        outlet.push(0);
        outlet.push(1);
        begun.notified().await;
        // Two are sent, four wait, and four are dropped without waiting.
        (2..10).for_each(|item| outlet.push(item));
        assert_eq!(outlet.dropped.load(std::sync::atomic::Ordering::Relaxed), 4);
        stop.cancel();
        for _ in 0..3 {
            goes_on.notify_one();
            begun.notified().await;
            tokio::task::yield_now().await;
            if sent.lock().len() == 2 {
                break;
            }
        }
        goes_on.notify_one();
        assert_eq!(task.await.unwrap(), 4);
        assert_eq!(*sent.lock(), [vec![0, 1], vec![2, 3], vec![4, 5]]);
        outlet.push(10);
        assert_eq!(outlet.dropped.load(std::sync::atomic::Ordering::Relaxed), 5);
    }

    struct Down;

    impl BatchExporter for Down {
        type Item = u32;

        async fn export(&self, _: Vec<u32>) -> OTelSdkResult {
            Err(OTelSdkError::InternalFailure("it is down".to_owned()))
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_collector_that_is_down_ends_nothing() {
        let stop = CancellationToken::new();
        let (outlet, task) = open(Down, "logs", batches(), Arc::default(), &stop);
        for item in 0..3 {
            outlet.push(item);
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        assert!(!task.is_finished());
        stop.cancel();
        assert_eq!(task.await.unwrap(), 3);
    }

    /// Takes batches, and refuses one item of each.
    struct Choosy(Answers);

    impl BatchExporter for Choosy {
        type Item = u32;

        async fn export(&self, _: Vec<u32>) -> OTelSdkResult {
            *self.0.lock() = Answer { reason: Some("too old".to_owned()), rejected: 1 };
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn what_is_refused_of_a_batch_is_lost() {
        let (stop, answers) = (CancellationToken::new(), Answers::default());
        let (outlet, task) = open(Choosy(answers.clone()), "traces", batches(), answers, &stop);
        (0..4).for_each(|item| outlet.push(item));
        stop.cancel();
        assert_eq!(task.await.unwrap(), 2);
    }
}
