//! The boundary: everything between an order document and its one terminal outcome.
//!
//! An error, a trap, a limit, a cancelled run or a panic of the host itself leaves through
//! [`attempt`] as exactly one [`Outcome`] (catalogue A4, A5). The steps are methods of [`Attempt`]:
//!
//! | step | file |
//! |---|---|
//! | prepare: order, template, schema, journal | `prepare.rs` |
//! | execute: the run | here, and [`run`](super::run) |
//! | finish: checks and release | `finish.rs` |
//! | report: totals, recording, failure record | `report.rs`, `archive.rs` |

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::outcome::Outcome;
use super::prepare::Prepared;
use super::request::{AttemptRequest, JournalUse, Services, Supervision};
use super::stage::Stage;
use super::state::{AttemptError, AttemptState, CheckUse};
use super::witness::Witnessed;
use super::{RunEnd, RunError, RunRequest, deadline_of, run};
use crate::host_functions::RunTrace;
use crate::plugin::Limits;
use sitewright_ai::ReplyJudge;
use sitewright_model::failure::{FailureRecord, TemplateRef};
use sitewright_model::trace::TraceParent;
use sitewright_site::Release;

/// Minimum deadline of a replay, in milliseconds: its machine may be slower than the recorded one.
const REPLAY_DEADLINE_MS: u64 = 600_000;

/// Makes one attempt: reads the order, loads the template, runs it, checks the site and releases
/// it.
///
/// Dropping the future ends the attempt without a failure record. To end it with one, cancel
/// [`AttemptRequest::cancel`].
pub fn attempt(
    services: &Services,
    request: AttemptRequest,
) -> impl Future<Output = Outcome> + Send {
    supervised(services, request, Supervision::default())
}

/// Makes one attempt of a worker. As [`attempt`].
pub fn supervised(
    services: &Services,
    request: AttemptRequest,
    supervision: Supervision,
) -> impl Future<Output = Outcome> + Send {
    let Supervision { witness, on_trial, shutting_down, waits, unrecorded, number, traceparent } =
        supervision;
    let trace_id = match &traceparent {
        Some(order) => order.trace_id().to_owned(),
        None => request.id.trace_id(),
    };
    // Every log line of the attempt names its order (catalogue B8). The fields from `template` on
    // are for the exported span, and recorded when the attempt has ended.
    let span = tracing::info_span!(
        "attempt",
        order = Empty,
        job = request.job,
        attempt = %request.id,
        trace_id,
        number,
        traceparent = traceparent.as_ref().map(TraceParent::as_str),
        template = Empty,
        outcome = Empty,
        error.type = Empty,
        fingerprint = Empty,
    );
    let returns = [shutting_down, waits];
    let witnessed = Witnessed::new(witness, request.id.into(), on_trial);
    let given =
        Box::new(Given { request, trace_id, witnessed: witnessed.clone(), returns, unrecorded });
    witnessed
        .polls(async move { within_span(services, given, &span).instrument(span.clone()).await })
}

/// What an attempt is made with.
struct Given {
    request: AttemptRequest,
    trace_id: String,
    witnessed: Witnessed,
    /// Whether it goes back to the queue if it is cancelled: one of them is set.
    returns: [Arc<AtomicBool>; 2],
    unrecorded: Option<fn(&FailureRecord) -> bool>,
}

async fn within_span(services: &Services, given: Box<Given>, span: &tracing::Span) -> Outcome {
    let mut attempt = Box::new(Attempt::new(services, *given, span));
    let result = match AssertUnwindSafe(attempt.run_stages()).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(Box::new(AttemptError::panicked(panic.as_ref()))),
    };
    Box::pin(attempt.report(result)).await
}

/// One attempt at an order.
///
/// Thousands of them wait for AI replies at the same time, each in a future as large as the
/// largest of its parts. Everything before and after the run is therefore boxed.
pub(super) struct Attempt<'a> {
    pub(super) services: &'a Services,
    /// Its document is taken out when it is read: it is not needed during the run.
    pub(super) request: AttemptRequest,
    /// 32 hexadecimal digits.
    pub(super) trace_id: String,
    pub(super) trace: Arc<RunTrace>,
    pub(super) span: &'a tracing::Span,
    pub(super) deadline: Instant,
    pub(super) state: AttemptState,
    /// For work on the blocking pool.
    pub(super) witnessed: Witnessed,
    /// Whether it goes back to the queue if it is cancelled: one of them is set.
    returns: [Arc<AtomicBool>; 2],
    unrecorded: Option<fn(&FailureRecord) -> bool>,
}

impl<'a> Attempt<'a> {
    fn new(services: &'a Services, given: Given, span: &'a tracing::Span) -> Self {
        let Given { request, trace_id, witnessed, returns, unrecorded } = given;
        let trace = RunTrace::new(&services.limits, request.progress.clone()).within(span.clone());
        let (trace, deadline) = match &request.journal {
            JournalUse::Replay(input) => {
                let deadline_ms = services.limits.deadline_ms.max(REPLAY_DEADLINE_MS);
                let limits = Limits { deadline_ms, ..Limits::default() };
                (trace.with_cursor(input.cursor.clone()), deadline_of(&limits))
            }
            _ => (trace, deadline_of(&services.limits)),
        };
        let document_sha256 = match &request.journal {
            JournalUse::Off => String::new(),
            _ => hex::encode(Sha256::digest(&request.document)),
        };
        let state = AttemptState {
            stage: Stage::Order,
            order: "unknown".to_owned(),
            order_bytes: request.document.len() as u64,
            document_sha256,
            template: TemplateRef {
                name: request.template.clone(),
                version: String::new(),
                digest: String::new(),
            },
            loaded: None,
            compile_limit: None,
            journal: None,
            staging: None,
            run: None,
            checks: CheckUse::default(),
            totals: None,
        };
        let trace = Arc::new(trace);
        Attempt {
            services,
            request,
            trace_id,
            trace,
            span,
            deadline,
            state,
            witnessed,
            returns,
            unrecorded,
        }
    }

    /// Whether the attempt was cancelled because its worker shuts down, or its AI calls wait for
    /// batches: its order goes back to the queue.
    pub(super) fn is_returned(&self) -> bool {
        let returns = self.returns.iter().any(|returns| returns.load(Ordering::Acquire));
        self.request.cancel.is_cancelled() && returns
    }

    /// Whether the order waits for this failure as if it had not been attempted.
    pub(super) fn is_unrecorded(&self, record: &FailureRecord) -> bool {
        self.unrecorded.is_some_and(|unrecorded| unrecorded(record))
    }

    async fn run_stages(&mut self) -> Result<Box<Release>, Box<AttemptError>> {
        let prepared = Box::pin(self.prepare()).await?;
        let (result, end) = self.execute(&prepared).await;
        Box::pin(self.finish(prepared, result, end)).await
    }

    /// The run of the prepared template.
    fn execute(
        &self,
        prepared: &Prepared,
    ) -> impl Future<Output = (Result<(), RunError>, RunEnd)> + Send + use<> {
        self.trace.set_order(&self.state.order);
        run(RunRequest {
            template: prepared.template.clone(),
            document: prepared.document.clone(),
            limits: self.services.limits.clone(),
            determinism: self.request.id.determinism(),
            gateway: self.services.gateway.clone(),
            journal: self.state.journal.clone(),
            judge: prepared.judge.clone().map(|judge| judge as Arc<dyn ReplyJudge>),
            staging: prepared.staging.clone(),
            trace: self.trace.clone(),
            deadline: self.deadline,
            cancel: self.request.cancel.clone(),
            witnessed: self.witnessed.clone(),
        })
    }

    pub(super) fn enter_stage(&mut self, stage: Stage) {
        self.state.stage = stage;
        self.trace.enter(stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// A value that lives across two awaits takes memory in each of the thousands of attempts that
    /// wait.
    #[test]
    fn an_attempt_that_waits_is_small() {
        let attempt = size(|services: &'static Services, given, span: &'static tracing::Span| {
            within_span(services, given, span)
        });
        assert!(attempt <= 800, "{attempt} bytes; box what is not needed while the template waits");
    }
}
