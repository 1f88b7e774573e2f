//! One order through one instance of a template.
//!
//! [`run`] makes the sandbox, calls `generate`, enforces the limits and tells how it ended;
//! [`attempt`] is the boundary around all of it, from the order document to a release or one
//! failure record.

mod archive;
mod attempt;
mod classify;
mod dump;
mod end;
mod finish;
mod outcome;
pub mod recording;
mod report;

pub use archive::{KeptRelease, attempt_file, document_file};
pub use attempt::{
    AttemptRequest, JournalUse, Publication, Replaying, Services, attempt, journal_file,
};
pub use end::{RunEnd, RunError};
pub use outcome::{AttemptId, Outcome, Released, Totals};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

use crate::host_functions::{AiContext, GuestState, RunTrace};
use crate::plugin::{
    Capture, CpuMeter, Determinism, Limits, MemoryLimiter, Place, Template, interrupt_by,
    new_store, sandbox,
};
use sitewright_ai::{Gateway, RunJournal};
use sitewright_site::Staging;

/// What a run needs.
pub struct RunRequest {
    /// What to run.
    pub template: Arc<Template>,
    /// The order document the template gets: JSON text.
    pub document: Arc<str>,
    /// What it may use.
    pub limits: Arc<Limits>,
    /// Clock and randomness.
    pub determinism: Determinism,
    /// Answers its AI calls.
    pub gateway: Arc<Gateway>,
    /// Keeps the replies.
    pub journal: Option<Arc<RunJournal>>,
    /// Takes its files.
    pub staging: Staging,
    /// Takes its trail and reports.
    pub log: Arc<RunTrace>,
    /// When it must have ended.
    pub deadline: Instant,
    /// Ends it early.
    pub cancel: CancellationToken,
}

/// Runs `generate` of a fresh instance to its end, whatever that is.
///
/// It waits for a place among the engine's when all are taken; waiting counts against the deadline.
/// The store is dropped before this returns, and with it everything the guest held: its place,
/// memory, calls in flight, files it has not written. Dropping this future does the same.
pub fn run(request: RunRequest) -> impl Future<Output = (Result<(), RunError>, RunEnd)> + Send {
    ended(Box::new(request))
}

async fn ended(request: Box<RunRequest>) -> (Result<(), RunError>, RunEnd) {
    let limits = &request.limits;
    let (stdout, stderr) = (Capture::new(limits.stderr_bytes), Capture::new(limits.stderr_bytes));
    let memory_peak = Arc::new(AtomicU64::new(0));
    let meter = Arc::new(CpuMeter::default());
    let budget = request.gateway.order_budget();
    let purposes: Arc<[String]> =
        request.template.manifest.ai_purposes.iter().map(|purpose| purpose.name.clone()).collect();
    let state = GuestState::new(
        sandbox(request.determinism, &stdout, &stderr),
        MemoryLimiter::new(limits.memory_bytes, memory_peak.clone()),
        request.log.clone(),
        Some(AiContext {
            gateway: request.gateway.clone(),
            deadline: request.deadline,
            budget: budget.clone(),
            journal: request.journal.clone(),
            max_calls: limits.ai_calls,
            purposes,
        }),
        Some(request.staging.clone()),
    );
    let mut store = new_store(request.template.engine(), state, limits);
    interrupt_by(&mut store, &meter, limits.cpu());

    // Deadline and cancellation stand around the whole call: inside `run_concurrent` they may never
    // be polled (wasmtime issues 11869 and 11870). The store is moved in, so that losing the
    // race drops it.
    let has_place = AtomicBool::new(false);
    let guest = meter.metered(async {
        let engine = request.template.engine();
        if engine.is_full() {
            tracing::debug!(concurrency = engine.concurrency(), "a run waits for a place");
        }
        let place = Box::new(engine.run_place(request.template.world()).await);
        has_place.store(true, Ordering::Relaxed);
        // Declared after the place, so that it goes before it when this is dropped.
        let mut store = store;
        // Dropped before the store, however this ends.
        let over = Over(request.log.clone());
        let returned = request.template.linked().generate(&mut store, &request.document).await;
        drop(over);
        match returned {
            Ok(returned) => Ok(returned),
            Err(error) => Err((error, store, place)),
        }
    });
    let mut coredump = None;
    let result = tokio::select! {
        biased;
        () = request.cancel.cancelled() => Err(match request.log.follow() {
            // A replay: the time had run out here.
            Some(follow) if follow.is_out_of_time() => RunError::Deadline,
            _ => RunError::Cancelled,
        }),
        () = tokio::time::sleep_until(request.deadline) => Err(match has_place.load(Ordering::Relaxed) {
            true => RunError::Deadline,
            false => RunError::NoPlace { concurrency: request.template.engine().concurrency() },
        }),
        ended = guest => match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(RunError::Template(crate::host_functions::returned(failure))),
            // The guest has ended by itself: neither deadline nor cancellation changes that while it is dumped.
            Err((error, store, place)) => {
                let (error, dumped) = stopped(error, store, place, &request.template).await;
                coredump = dumped;
                Err(RunError::Stopped(error))
            }
        },
    };
    if result.is_err() && coredump.is_none() && request.template.coredump().is_some() {
        coredump = Some(Err("a dump is taken of a guest that is stopped in its own code, and \
                             this one was not"
            .to_owned()));
    }
    let end = RunEnd {
        cpu: meter.used(),
        memory_peak: memory_peak.load(Ordering::Relaxed),
        stdout: stdout.read(),
        stderr: stderr.read(),
        coredump,
        elapsed: request.log.elapsed(),
        budget: budget.measures(),
    };
    (result, end)
}

/// The dump of a stopped guest, when one is wanted. The guest goes with its store, and then its
/// place is free.
async fn stopped(
    error: wasmtime::Error,
    mut store: Store<GuestState>,
    place: Box<Place>,
    template: &Template,
) -> (wasmtime::Error, Option<Result<Vec<u8>, String>>) {
    let Some(limits) = template.coredump() else { return (error, None) };
    let (name, max_bytes) = (template.manifest.name.clone(), limits.max_bytes);
    // The error is shared: should the dump fail, the record still has it.
    let error = Arc::new(error);
    let of_guest = error.clone();
    let dumped = tokio::task::spawn_blocking(move || {
        let dumped = dump::take(&mut store, &of_guest, &name, max_bytes);
        drop(store);
        drop(place);
        dumped
    });
    let dumped =
        dumped.await.unwrap_or_else(|error| Err(format!("taking the dump failed: {error}")));
    let error =
        Arc::try_unwrap(error).unwrap_or_else(|error| wasmtime::Error::msg(format!("{error:?}")));
    (error, Some(dumped))
}

/// Tells the log that the guest goes.
struct Over(Arc<RunTrace>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.set_over();
    }
}

/// The deadline of a run that begins now.
pub fn deadline_of(limits: &Limits) -> Instant {
    // A century stands for "none": adding more would overflow the clock.
    const MOST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    Instant::now() + limits.deadline().min(MOST)
}
