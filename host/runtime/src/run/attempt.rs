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

use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::outcome::Outcome;
use super::prepare::Prepared;
use super::request::{AttemptRequest, JournalUse, Services};
use super::stage::Stage;
use super::state::{AttemptError, AttemptState, CheckUse};
use super::{RunEnd, RunError, RunRequest, deadline_of, run};
use crate::host_functions::RunTrace;
use crate::plugin::Limits;
use sitewright_model::failure::TemplateRef;
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
    // Every log line of the attempt names its order (catalogue B8).
    let span = tracing::info_span!(
        "attempt",
        order = tracing::field::Empty,
        job = request.job,
        attempt = %request.id,
        trace_id = request.id.trace_id(),
    );
    let request = Box::new(request);
    async move { within_span(services, request, &span).instrument(span.clone()).await }
}

async fn within_span(
    services: &Services,
    request: Box<AttemptRequest>,
    span: &tracing::Span,
) -> Outcome {
    let mut attempt = Box::new(Attempt::new(services, *request, span));
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
    pub(super) trace: Arc<RunTrace>,
    pub(super) span: &'a tracing::Span,
    pub(super) deadline: Instant,
    pub(super) state: AttemptState,
}

impl<'a> Attempt<'a> {
    fn new(services: &'a Services, request: AttemptRequest, span: &'a tracing::Span) -> Self {
        let trace = RunTrace::new(&services.limits, request.progress.clone());
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
        Attempt { services, request, trace: Arc::new(trace), span, deadline, state }
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
            staging: prepared.staging.clone(),
            trace: self.trace.clone(),
            deadline: self.deadline,
            cancel: self.request.cancel.clone(),
        })
    }

    pub(super) fn enter_stage(&mut self, stage: Stage) {
        self.state.stage = stage;
        self.trace.set_progress(stage.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// A value that lives across two awaits takes memory in each of the thousands of attempts that
    /// wait.
    #[test]
    fn an_attempt_that_waits_is_small() {
        let attempt = size(|services: &'static Services, request| attempt(services, request));
        assert!(attempt <= 896, "{attempt} bytes; box what is not needed while the template waits");
    }
}
