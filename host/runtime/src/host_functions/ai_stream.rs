//! `ai.complete-stream`: a call whose text the guest reads along.
//!
//! The call is a task of its own, so that its time limits pass at their time whatever the guest
//! does. The guest holds the ends of a stream and of a future; when it has dropped both, or when
//! its store goes, the task ends and the request to the provider with it.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Instrument as _;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult};

use super::ai::{Call, Told};
use super::run_trace::RunTrace;
use super::state::{GuestState, MAX_AI_STREAMS};
use crate::plugin::bindings::ai_types;
use sitewright_ai::{ChunkObserver, TextSink};
use sitewright_model::ai::CallId;
use sitewright_model::failure::TrailOutcome;

/// A place for one more call. Refused calls take one too: what a guest holds of them lies in the
/// host's memory.
pub(super) fn place(state: &GuestState) -> wasmtime::Result<OwnedSemaphorePermit> {
    state.ai_streams.clone().try_acquire_owned().map_err(|_| {
        wasmtime::Error::msg(format!(
            "the template holds {MAX_AI_STREAMS} AI streams and asked for another one"
        ))
    })
}

/// Begins the call. The chunks and the outcome hold it together: when both are dropped, it is
/// cancelled.
pub(super) fn start(
    call: Box<Call>,
    request: Box<ai_types::Request>,
    place: OwnedSemaphorePermit,
) -> (Chunks, impl Future<Output = wasmtime::Result<Told>> + Send + 'static) {
    let (log, entry) = (call.log.clone(), call.entry);
    let ended = Arc::new(AtomicBool::new(false));
    let (text, chunks) = TextSink::channel();
    let mut text = match call.counted {
        true => text.observed_by(Arc::new(Recording { log: log.clone(), call_id: call.call_id })),
        false => text,
    };
    let (tell, told) = oneshot::channel();
    let mut work = Box::pin({
        let ended = ended.clone();
        async move {
            if call.allowed(&request).is_ok() {
                // As in `complete`: this is the guest's stack.
                tokio::task::yield_now().await;
            }
            let outcome = call.answer(request, &mut text).await;
            if outcome.is_err() && call.is_out_of_time() {
                // The run's time is up as well: it ends now, with this call in flight.
                return pending().await;
            }
            if ended.swap(true, Ordering::AcqRel) {
                return;
            }
            let whole = outcome.as_ref().ok().cloned();
            // Before the rest of the text, so that a guest that waits for the outcome first has it.
            drop(tell.send(call.end(outcome)));
            if let Some(reply) = whole {
                text.rest(&reply).await;
            }
        }
    });
    // The first step is made here: the same questions enter the journal in the order in which the
    // guest asks them.
    let task = match work.as_mut().now_or_never() {
        Some(()) => None,
        None => Some(tokio::spawn(work.in_current_span()).abort_handle()),
    };
    let held = Arc::new(Held { task, ended, log, entry, _place: place });
    let outcome = {
        let held = held.clone();
        async move {
            let told = told.await;
            drop(held);
            told.map_err(|_| {
                wasmtime::Error::msg("an AI call ended without an outcome: a bug in Sitewright")
            })
        }
    };
    (Chunks { waiting: chunks, next: None, _held: held }, outcome)
}

/// Enters the pieces of one call in the run's log.
#[derive(Debug)]
struct Recording {
    log: Arc<RunTrace>,
    call_id: CallId,
}

impl ChunkObserver for Recording {
    fn forwarded(&self, piece: &str) {
        self.log.ai_passed(self.call_id, piece);
    }
}

/// A call that is in the guest's hands.
struct Held {
    /// Missing when the call was over at once.
    task: Option<AbortHandle>,
    /// Whether the trail says how the call ended.
    ended: Arc<AtomicBool>,
    log: Arc<RunTrace>,
    entry: (u64, Instant),
    _place: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // A call that is dropped because its run is over had not ended when the run did, and the
        // trail says so already.
        if !self.ended.swap(true, Ordering::AcqRel) && !self.log.is_over() {
            let why = "cancelled: the template dropped the stream and its outcome";
            self.log.end(self.entry, TrailOutcome::Error(why.to_owned()));
        }
    }
}

/// The host's end of the stream.
pub(super) struct Chunks {
    waiting: mpsc::Receiver<String>,
    /// Claimed from those that wait, and not yet delivered.
    next: Option<String>,
    _held: Arc<Held>,
}

impl<D> StreamProducer<D> for Chunks {
    type Item = String;
    type Buffer = Option<String>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, String, Option<String>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        if this.next.is_none() {
            match this.waiting.poll_recv(context) {
                Poll::Ready(Some(chunk)) => this.next = Some(chunk),
                Poll::Ready(None) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // A guest that reads nothing only asks whether there is something.
        if destination.remaining(store) != Some(0) {
            destination.set_buffer(this.next.take());
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
