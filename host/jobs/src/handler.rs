//! What a worker needs from outside this crate: a [`Handler`] that makes attempts and a
//! [`Publisher`] for their releases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sitewright_model::message::Message;
use tokio_util::sync::CancellationToken;

use super::holds::Gate;
use super::model::{Claimed, NewFailure, Resolution};

/// Makes attempts. One for all attempts of a worker.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Makes one attempt at the order with this document. Once `stop` is cancelled it must end
    /// soon, with [`Stop::resolution`].
    async fn handle(&self, claimed: &Claimed, document: String, stop: &Stop) -> Resolution;

    /// The digest of the file of this template, as an attempt that begins now has it: orders that
    /// end are counted by it. `None` if there is no such file.
    fn digest(&self, _template: &str) -> Option<String> {
        None
    }

    /// The holds that orders have to pass before they are attempted. Asked once, at start.
    fn gate(&self) -> Option<Arc<dyn Gate>> {
        None
    }
}

/// Publishes releases. Called by completing, after the database has decided whether the release
/// counts.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Activates the release that is the order's current one now.
    ///
    /// # Errors
    /// Are logged. The release stays pending, see
    /// [`Database::pending_activations`](crate::Database::pending_activations).
    async fn activate(&self, claimed: &Claimed, release: &str) -> Result<(), Message>;

    /// Deletes a release whose attempt had lost its order.
    ///
    /// # Errors
    /// Are logged.
    async fn discard(&self, claimed: &Claimed, release: &str) -> Result<(), Message>;
}

/// Tells a handler to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    token: CancellationToken,
    shutting_down: Arc<AtomicBool>,
}

/// Why a handler must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The order was cancelled.
    OrderCancelled,
    /// The worker shuts down; another one will claim the order.
    WorkerShutdown,
}

impl Stop {
    pub(super) fn new(token: CancellationToken, shutting_down: Arc<AtomicBool>) -> Self {
        Stop { token, shutting_down }
    }

    /// Cancelled when the handler must stop.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Set when the worker shuts down, before its handlers are stopped.
    pub fn shutting_down(&self) -> Arc<AtomicBool> {
        self.shutting_down.clone()
    }

    /// Valid once the token is cancelled.
    pub fn reason(&self) -> StopReason {
        if self.shutting_down.load(Ordering::Acquire) {
            StopReason::WorkerShutdown
        } else {
            StopReason::OrderCancelled
        }
    }

    /// The resolution of an attempt that was stopped.
    pub fn resolution(&self, failure: Option<NewFailure>) -> Resolution {
        match self.reason() {
            StopReason::OrderCancelled => Resolution::Cancelled { failure },
            StopReason::WorkerShutdown => Resolution::ReturnToQueue,
        }
    }
}
