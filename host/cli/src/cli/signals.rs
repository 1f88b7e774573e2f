//! The signals that ask a command to stop: Ctrl-C (SIGINT) and SIGTERM.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::setup::SetupError;
use sitewright_model::message;

/// Catches both from its creation on, so that one that arrives between two waits is not lost.
pub(super) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// # Errors
    /// If the system does not let the process catch them.
    pub(super) fn new() -> Result<Self, SetupError> {
        Ok(StopSignals {
            interrupt: caught(SignalKind::interrupt())?,
            terminate: caught(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            Some(()) = self.interrupt.recv() => {}
            Some(()) = self.terminate.recv() => {}
            else => std::future::pending().await,
        }
    }

    /// Whether one arrives within this time, or has arrived.
    pub(super) async fn within(&mut self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.next() => true,
            () = tokio::time::sleep(pause) => false,
        }
    }
}

/// Catches one kind of signal.
///
/// # Errors
/// If the system does not let the process catch it.
pub(super) fn caught(kind: SignalKind) -> Result<Signal, SetupError> {
    signal(kind).map_err(|error| SetupError::Host(message!("signals cannot be caught: {error}")))
}
