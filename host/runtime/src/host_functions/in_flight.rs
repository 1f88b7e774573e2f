//! The AI calls of a run that are in flight.
//!
//! A guest that waits for a timer blocks: wasmtime polls none of its other calls meanwhile. Here
//! the timer finds them, polls them itself, and learns of their ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ai::CallResult;

/// The calls of one run that are in flight.
#[derive(Default)]
pub(crate) struct AiInFlight {
    calls: Mutex<Vec<Weak<Call>>>,
    /// Streamed calls that have not ended.
    streams: AtomicUsize,
    /// Pieces of text that wait for the guest to read them. A piece can be read before it is
    /// counted.
    unread: AtomicI64,
    /// Pieces of text and ends of streamed calls so far.
    events: AtomicU64,
    changed: Notify,
}

impl std::fmt::Debug for AiInFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AiInFlight").finish_non_exhaustive()
    }
}

/// A call of `complete`. Whoever waits for it polls it.
struct Call(Mutex<Progress>);

enum Progress {
    Running {
        future: BoxFuture<'static, CallResult>,
        /// Wakes the guest's own poll.
        owner: Option<Waker>,
    },
    /// The guest does not know yet.
    Ended(Box<CallResult>),
    Taken,
}

impl AiInFlight {
    /// Makes a call. Dropping the future drops the call.
    pub(crate) fn run(
        &self,
        future: BoxFuture<'static, CallResult>,
    ) -> impl Future<Output = CallResult> + Send + use<> {
        let call = Arc::new(Call(Mutex::new(Progress::Running { future, owner: None })));
        let mut calls = self.calls.lock();
        if calls.len() == calls.capacity() {
            calls.retain(|call| call.strong_count() > 0);
        }
        calls.push(Arc::downgrade(&call));
        drop(calls);
        poll_fn(move |context| call.poll_by_owner(context))
    }

    /// A streamed call begins.
    pub(super) fn stream(self: &Arc<Self>) -> StreamInFlight {
        self.streams.fetch_add(1, Ordering::AcqRel);
        StreamInFlight(self.clone())
    }

    /// A piece of a streamed call waits for the guest.
    pub(super) fn piece_arrived(&self) {
        self.unread.fetch_add(1, Ordering::AcqRel);
        self.event();
    }

    /// The guest has got pieces of a streamed call, or has dropped them.
    pub(super) fn pieces_gone(&self, pieces: usize) {
        self.unread.fetch_sub(i64::try_from(pieces).unwrap_or(i64::MAX), Ordering::AcqRel);
    }

    fn event(&self) {
        self.events.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Waits until the guest can have something new of a call: a reply, an error, or a piece of
    /// text. Returns at once if there already is something, or if no call is in flight.
    pub(crate) async fn progressed(&self) {
        let before = self.events.load(Ordering::Acquire);
        let _guard = WakeOwners(self);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.events.load(Ordering::Acquire) != before
                || self.unread.load(Ordering::Acquire) > 0
            {
                return;
            }
            let calls = self.alive();
            if calls.is_empty() && self.streams.load(Ordering::Acquire) == 0 {
                return;
            }
            let ended = poll_fn(|context| {
                match calls.iter().any(|call| call.poll_by_timer(context).is_ready()) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            });
            tokio::select! {
                biased;
                () = ended => return,
                () = changed => {}
            }
        }
    }

    fn alive(&self) -> Vec<Arc<Call>> {
        let mut calls = self.calls.lock();
        calls.retain(|call| call.strong_count() > 0);
        calls.iter().filter_map(Weak::upgrade).filter(|call| !call.is_taken()).collect()
    }
}

/// Polled by a timer, a call no longer wakes the guest's own poll; so that one is made again.
struct WakeOwners<'a>(&'a AiInFlight);

impl Drop for WakeOwners<'_> {
    fn drop(&mut self) {
        for call in self.0.alive() {
            call.wake_owner();
        }
    }
}

impl Call {
    fn poll_by_owner(&self, context: &mut Context<'_>) -> Poll<CallResult> {
        let mut progress = self.0.lock();
        match &mut *progress {
            Progress::Running { future, owner } => {
                let polled = Pin::as_mut(future).poll(context);
                match polled {
                    Poll::Ready(_) => *progress = Progress::Taken,
                    Poll::Pending => *owner = Some(context.waker().clone()),
                }
                polled
            }
            Progress::Ended(_) => match std::mem::replace(&mut *progress, Progress::Taken) {
                Progress::Ended(result) => Poll::Ready(*result),
                _ => Poll::Pending,
            },
            Progress::Taken => Poll::Pending,
        }
    }

    fn poll_by_timer(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut progress = self.0.lock();
        match &mut *progress {
            Progress::Running { future, owner } => match Pin::as_mut(future).poll(context) {
                Poll::Ready(result) => {
                    let owner = owner.take();
                    *progress = Progress::Ended(Box::new(result));
                    drop(progress);
                    if let Some(owner) = owner {
                        owner.wake();
                    }
                    Poll::Ready(())
                }
                Poll::Pending => Poll::Pending,
            },
            Progress::Ended(_) => Poll::Ready(()),
            Progress::Taken => Poll::Pending,
        }
    }

    fn wake_owner(&self) {
        if let Progress::Running { owner: Some(owner), .. } = &*self.0.lock() {
            owner.wake_by_ref();
        }
    }

    fn is_taken(&self) -> bool {
        matches!(*self.0.lock(), Progress::Taken)
    }
}

/// A streamed call that has not ended.
pub(super) struct StreamInFlight(Arc<AiInFlight>);

impl Drop for StreamInFlight {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
        self.0.event();
    }
}

/// A result for tests.
#[cfg(test)]
#[allow(clippy::result_large_err, reason = "the contract's error, as the bindings take it")]
pub(crate) fn no_reply() -> CallResult {
    use crate::plugin::bindings::ai_types;
    Err(ai_types::Error {
        kind: ai_types::ErrorKind::Other,
        message: "a test".to_owned(),
        http: None,
        attempts: 0,
        call_id: String::new(),
        retryable: false,
    })
}
