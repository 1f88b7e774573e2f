//! One order through one instance of a template.
//!
//! [`run`] makes the sandbox, calls `generate` and enforces the limits; [`attempt`] is the boundary
//! around it, from the order document to a release or one failure record.

mod archive;
mod attempt;
mod classify;
mod copy;
mod dump;
mod end;
mod finish;
mod hint;
mod outcome;
#[cfg(debug_assertions)]
mod poison;
mod polled;
mod prepare;
pub mod recording;
mod report;
mod request;
mod stage;
mod state;
mod witness;

pub use archive::{ArchivedRelease, attempt_file, document_file};
pub use attempt::{attempt, supervised};
pub use end::{CoreDump, RunEnd, RunError, StoppedAt};
pub use outcome::{AttemptId, Outcome, Printed, Released, Saved, Totals};
pub(crate) use polled::Polled;
pub use polled::{LongPoll, long_polls};
pub use prepare::journal_file;
pub use request::{
    AttemptRequest, JournalUse, OrderReading, Publication, ReplayInput, Services, Supervision,
};
pub use stage::Stage;
pub use witness::{Record, Witness, Witnessed};

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

use crate::host_functions::{AiContext, GuestState, RunTrace};
use crate::plugin::bindings::types;
use crate::plugin::{
    Capture, CpuMeter, Determinism, EngineSlot, GenerateError, Limits, MemoryLimiter, Template,
    interrupt_and_sample, new_store, sandbox_until,
};
use sitewright_ai::{Gateway, ReplyJudge, RunJournal};
use sitewright_site::Staging;

/// What a run needs.
pub struct RunRequest {
    pub template: Arc<Template>,
    /// The order document that the template gets, as JSON text.
    pub document: Arc<str>,
    pub limits: Arc<Limits>,
    /// Seeds the guest's clock and random numbers.
    pub determinism: Determinism,
    /// Answers the AI calls.
    pub gateway: Arc<Gateway>,
    /// Reuses and keeps AI replies, if there is one.
    pub journal: Option<Arc<RunJournal>>,
    /// Judges the text of replies; `None` accepts every text.
    pub judge: Option<Arc<dyn ReplyJudge>>,
    /// Receives the site's files.
    pub staging: Staging,
    /// Receives host calls, diagnostics and log.
    pub trace: Arc<RunTrace>,
    /// When the run must have ended.
    pub deadline: Instant,
    /// Cancelling it ends the run early.
    pub cancel: CancellationToken,
    /// For work on the blocking pool.
    pub witnessed: Witnessed,
}

/// Runs `generate` in a fresh instance until it returns, is stopped or is cancelled.
///
/// The run waits for one of the engine's slots if all are in use; waiting counts against the
/// deadline. The store is dropped before this returns, and with it everything the guest held: its
/// slot, its memory, its calls in flight and unwritten files. Dropping the future does the same.
pub fn run(
    request: RunRequest,
) -> impl Future<Output = (Result<(), RunError>, RunEnd)> + Send + use<> {
    run_boxed(Box::new(request))
}

/// How a guest ended by itself, with what must outlive it until its dump is taken.
enum GuestError {
    Returned(types::Failure),
    Stopped { error: wasmtime::Error, store: Store<GuestState>, slot: Box<EngineSlot> },
}

async fn run_boxed(request: Box<RunRequest>) -> (Result<(), RunError>, RunEnd) {
    let limits = &request.limits;
    let (stdout, stderr) = (Capture::new(limits.stderr_bytes), Capture::new(limits.stderr_bytes));
    let memory_peak = Arc::new(AtomicU64::new(0));
    let meter = Arc::new(CpuMeter::default());
    let spent = request.journal.as_ref().map(|journal| journal.spent()).unwrap_or_default();
    let budget = request.gateway.order_budget_after(spent);
    let purposes: Arc<[String]> =
        request.template.manifest.ai_purposes.iter().map(|purpose| purpose.name.clone()).collect();
    let state = GuestState::new(
        sandbox_until(limits.deadline(), request.determinism, &stdout, &stderr),
        MemoryLimiter::new(limits.memory_bytes, memory_peak.clone())
            .in_engine(request.template.engine()),
        request.trace.clone(),
        Some(AiContext {
            gateway: request.gateway.clone(),
            meter: meter.clone(),
            deadline: request.deadline,
            budget: budget.clone(),
            journal: request.journal.clone(),
            judge: request.judge.clone(),
            max_calls: limits.ai_calls,
            purposes,
            confined: request.template.confined().clone(),
            template: request.template.name().into_owned(),
            document: request.document.clone(),
            mark: OnceLock::new(),
        }),
        Some(request.staging.clone()),
    );
    let mut store = new_store(request.template.engine(), state, limits);
    interrupt_and_sample(
        &mut store,
        request.template.engine(),
        &meter,
        limits.cpu(),
        request.template.profile(),
    );

    // Deadline and cancellation are outside the call: inside `run_concurrent` they may never be
    // polled (wasmtime issues 11869 and 11870). The store is moved in, so that losing the race
    // drops it.
    let _polled = Polled::new(&meter, &request.trace);
    let has_slot = AtomicBool::new(false);
    let guest = meter.metered(async {
        let engine = request.template.engine();
        if engine.is_full() {
            tracing::debug!(concurrency = engine.concurrency(), "a run waits for a slot");
        }
        let slot = Box::new(engine.run_slot(request.template.world()).await);
        has_slot.store(true, Ordering::Relaxed);
        // Declared after the slot, so that it is dropped first.
        let mut store = store;
        // Dropped before the store, however the guest ends.
        let over = MarkOver(request.trace.clone());
        #[cfg(debug_assertions)]
        poison::abort_for(request.trace.order());
        let generated = request.template.linked().generate(&mut store, &request.document).await;
        drop(over);
        generated.map_err(|error| match error {
            GenerateError::Returned(failure) => GuestError::Returned(failure),
            GenerateError::Stopped(error) => GuestError::Stopped { error, store, slot },
        })
    });
    let (mut coredump, mut stopped_at) = (CoreDump::NotWanted, None);
    let result = tokio::select! {
        biased;
        () = request.cancel.cancelled() => Err(match request.trace.cursor() {
            // A replay reproduces a passed deadline by cancelling.
            Some(cursor) if cursor.is_out_of_time() => RunError::Deadline,
            _ => RunError::Cancelled,
        }),
        () = tokio::time::sleep_until(request.deadline) => {
            Err(match has_slot.load(Ordering::Relaxed) {
                true => RunError::Deadline,
                false => RunError::NoSlot { concurrency: request.template.engine().concurrency() },
            })
        }
        ended = guest => match ended {
            Ok(()) => Ok(()),
            Err(GuestError::Returned(failure)) => {
                Err(RunError::Template(crate::host_functions::returned(failure)))
            }
            // The guest has ended by itself: neither deadline nor cancellation changes that while
            // its dump is taken.
            Err(GuestError::Stopped { error, store, slot }) => {
                // Boxed: a run that waits needs no room for it.
                let read = Box::pin(read_stopped(error, store, slot, &request));
                let (error, dumped, found) = read.await;
                (coredump, stopped_at) = (dumped, found);
                Err(RunError::Stopped(error))
            }
        },
    };
    let wanted = result.is_err() && request.template.coredump().is_some();
    if wanted && matches!(coredump, CoreDump::NotWanted) {
        coredump = CoreDump::Missing(
            "a dump is taken of a guest that is stopped in its own code, and this one was not"
                .to_owned(),
        );
    }
    let end = RunEnd {
        cpu: meter.used(),
        memory_peak: memory_peak.load(Ordering::Relaxed),
        stdout: stdout.read(),
        stderr: stderr.read(),
        coredump,
        stopped_at,
        elapsed: request.trace.elapsed(),
        budget: budget.measures(),
    };
    (result, end)
}

/// The dump of a stopped guest if one is wanted, and where its code was. The guest is dropped with
/// its store, and then its slot is free.
async fn read_stopped(
    error: wasmtime::Error,
    mut store: Store<GuestState>,
    slot: Box<EngineSlot>,
    request: &RunRequest,
) -> (wasmtime::Error, CoreDump, Option<Box<StoppedAt>>) {
    let (template, witnessed) = (&request.template, request.witnessed.clone());
    let max_bytes = template.coredump().map(|limits| limits.max_bytes);
    if max_bytes.is_none() && !dump::is_kept(&error) {
        return (error, CoreDump::NotWanted, None);
    }
    let name = template.manifest.name.clone();
    // Shared, so that the record still has the error if reading the guest panics.
    let error = Arc::new(error);
    let of_guest = error.clone();
    let work = tokio::task::spawn_blocking(move || {
        let read = witnessed.blocking(|| {
            let stopped_at = dump::stopped_at(&store, &of_guest);
            let dumped = match max_bytes {
                Some(max_bytes) => dump::take(&mut store, &of_guest, &name, max_bytes),
                None => CoreDump::NotWanted,
            };
            (dumped, Some(Box::new(stopped_at)))
        });
        drop(store);
        drop(slot);
        read
    });
    let (dumped, stopped_at) = work.await.unwrap_or_else(|error| {
        let dumped = match max_bytes {
            Some(_) => CoreDump::Missing(format!("taking the dump failed: {error}")),
            None => CoreDump::NotWanted,
        };
        (dumped, None)
    });
    let error =
        Arc::try_unwrap(error).unwrap_or_else(|error| wasmtime::Error::msg(format!("{error:?}")));
    (error, dumped, stopped_at)
}

/// Marks the trace when the guest ends: calls dropped with it were in flight.
struct MarkOver(Arc<RunTrace>);

impl Drop for MarkOver {
    fn drop(&mut self) {
        self.0.set_over();
    }
}

/// The deadline of a run that starts now.
pub fn deadline_of(limits: &Limits) -> Instant {
    // Adding more than a century could overflow the clock.
    const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    Instant::now() + limits.deadline().min(MAX)
}
