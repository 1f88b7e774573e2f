//! The timeouts of one attempt.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::AttemptFailure;
use sitewright_model::ai::{AiErrorKind, Limit};

/// The limits of a whole attempt: the call's timeout and the order's deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) begin: Instant,
    pub(super) call: Duration,
    deadline: Instant,
}

/// The timeout of one part of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    pub(super) limit: Limit,
    pub(super) timeout: Duration,
    pub(super) from: Instant,
}

impl Clock {
    pub(super) fn start(call: Duration, deadline: Instant) -> Self {
        Clock { begin: Instant::now(), call, deadline }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Waits for `future`.
    ///
    /// # Errors
    /// Names the limit that expired first: the stage's, the call's, or the order's deadline
    /// (failure catalogue C8, E1).
    pub(super) async fn within<F: Future>(
        &self,
        stage: Option<Stage>,
        future: F,
    ) -> Result<F::Output, AttemptFailure> {
        let (end, limit) = self.first_limit(stage);
        match tokio::time::timeout_at(end, future).await {
            Ok(output) => Ok(output),
            Err(_) => Err(self.expired(limit, stage)),
        }
    }

    /// The limit that expires first, and when.
    fn first_limit(&self, stage: Option<Stage>) -> (Instant, Limit) {
        let stage =
            stage.and_then(|stage| Some((stage.from.checked_add(stage.timeout)?, stage.limit)));
        let call = self.begin.checked_add(self.call).map(|end| (end, Limit::Call));
        let ends = stage.into_iter().chain(call).chain([(self.deadline, Limit::Deadline)]);
        // Of equal times, the operator's limits come before the order's deadline.
        ends.min_by_key(|(end, _)| *end).unwrap_or((self.deadline, Limit::Deadline))
    }

    fn expired(&self, limit: Limit, stage: Option<Stage>) -> AttemptFailure {
        let (call, waited) = (self.call.as_millis(), self.elapsed().as_millis());
        let timeout = stage.map_or(0, |stage| stage.timeout.as_millis());
        let (kind, detail) = match limit {
            Limit::Deadline => (
                AiErrorKind::Cancelled,
                format!(
                    "the order's deadline passed after {waited} ms of this call, before the \
                     call's own limit of {call} ms"
                ),
            ),
            Limit::Call => (
                AiErrorKind::Timeout,
                format!("no whole answer within its limit of {call} ms (call_ms)"),
            ),
            Limit::Connect => (
                AiErrorKind::Timeout,
                format!("no connection was made within {timeout} ms (connect_ms)"),
            ),
            Limit::FirstByte => (
                AiErrorKind::Timeout,
                format!(
                    "no byte of an answer within {timeout} ms of the connection (first_byte_ms)"
                ),
            ),
            Limit::FirstToken => (
                AiErrorKind::Timeout,
                format!(
                    "no text of a reply within {timeout} ms of the connection (first_token_ms)"
                ),
            ),
            Limit::Idle => (
                AiErrorKind::Timeout,
                format!(
                    "its answer stalled: nothing for {timeout} ms, after {waited} ms of this call \
                     (idle_ms)"
                ),
            ),
        };
        AttemptFailure::new(kind, detail).with_limit(limit)
    }
}
