//! `ai.complete-stream`: a call whose text the guest reads as it arrives.
//!
//! The call is a task of its own, so that its time-outs do not depend on the guest. The guest holds
//! the ends of a stream and of a future; when it has dropped both, or when its store is dropped,
//! the task and its request to the provider end.

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

use super::ai::{Call, CallResult};
use super::in_flight::AiInFlight;
use super::run_trace::RunTrace;
use super::state::{GuestState, MAX_AI_STREAMS};
use crate::plugin::bindings::ai_types;
use sitewright_ai::{ChunkObserver, TextSink};
use sitewright_model::ai::CallId;
use sitewright_model::failure::TrailOutcome;

/// The permit of one more call. Refused calls need one too: they take the host's memory until the
/// guest drops them.
pub(super) fn permit(state: &GuestState) -> wasmtime::Result<OwnedSemaphorePermit> {
    state.ai_streams.clone().try_acquire_owned().map_err(|_| {
        wasmtime::Error::msg(format!(
            "the template holds {MAX_AI_STREAMS} AI streams and asked for another one"
        ))
    })
}

/// Starts the call. It is cancelled when both the chunks and the outcome are dropped.
pub(super) fn start(
    call: Box<Call>,
    request: Box<ai_types::Request>,
    permit: OwnedSemaphorePermit,
    in_flight: &Arc<AiInFlight>,
) -> (Chunks, impl Future<Output = wasmtime::Result<CallResult>> + Send + 'static) {
    let (trace, entry) = (call.trace.clone(), call.entry);
    let ended = Arc::new(AtomicBool::new(false));
    let (text, chunks) = TextSink::channel();
    let mut text = match call.counted {
        true => text.observed_by(Arc::new(TraceSink {
            trace: trace.clone(),
            call_id: call.call_id,
            in_flight: in_flight.clone(),
        })),
        false => text,
    };
    let running = in_flight.stream();
    let (reply, outcome) = oneshot::channel();
    let mut work = Box::pin({
        let ended = ended.clone();
        async move {
            let _running = running;
            if call.allowed(&request).is_ok() {
                // As in `complete`: the first poll runs on the guest's stack.
                tokio::task::yield_now().await;
            }
            let outcome = call.answer(request, &mut text).await;
            if outcome.is_err() && call.is_out_of_time() {
                // The run's deadline has passed too: it ends now, with this call in flight.
                return pending().await;
            }
            if ended.swap(true, Ordering::AcqRel) {
                return;
            }
            let whole = outcome.as_ref().ok().cloned();
            // Before the rest of the text, for a guest that awaits the outcome first.
            drop(reply.send(call.end(outcome)));
            if let Some(reply) = whole {
                text.rest(&reply).await;
            }
        }
    });
    // Polled once here, so that equal requests enter the journal in the order of the calls.
    let task = match work.as_mut().now_or_never() {
        Some(()) => None,
        None => Some(tokio::spawn(work.in_current_span()).abort_handle()),
    };
    let held = Arc::new(Held { task, ended, trace, entry, _permit: permit });
    let outcome = {
        let held = held.clone();
        async move {
            let outcome = outcome.await;
            drop(held);
            outcome.map_err(|_| {
                wasmtime::Error::msg("an AI call ended without an outcome: a bug in Sitewright")
            })
        }
    };
    let in_flight = in_flight.clone();
    (Chunks { waiting: chunks, next: None, in_flight, _held: held }, outcome)
}

/// Records the pieces of one call in the run's trace.
#[derive(Debug)]
struct TraceSink {
    trace: Arc<RunTrace>,
    call_id: CallId,
    in_flight: Arc<AiInFlight>,
}

impl ChunkObserver for TraceSink {
    fn forwarded(&self, piece: &str) {
        self.trace.ai_passed(self.call_id, piece);
        self.in_flight.piece_arrived();
    }
}

/// A call whose stream or outcome the guest still holds.
struct Held {
    /// `None` if the call ended at its first poll.
    task: Option<AbortHandle>,
    /// Whether the end of the call is in the trail.
    ended: Arc<AtomicBool>,
    trace: Arc<RunTrace>,
    entry: (u64, Instant),
    _permit: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // A call that is dropped because its run is over was in flight when the run ended, and the
        // trail says so already.
        if !self.ended.swap(true, Ordering::AcqRel) && !self.trace.is_over() {
            let why = "cancelled: the template dropped the stream and its outcome";
            self.trace.end(self.entry, TrailOutcome::Error(why.to_owned()));
        }
    }
}

/// The host's end of the stream.
pub(super) struct Chunks {
    waiting: mpsc::Receiver<String>,
    /// Received, and not yet delivered.
    next: Option<String>,
    in_flight: Arc<AiInFlight>,
    _held: Arc<Held>,
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.in_flight.pieces_gone(self.waiting.len() + usize::from(self.next.is_some()));
    }
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
        // A read of no items only asks whether there is one.
        if destination.remaining(store) != Some(0) {
            destination.set_buffer(this.next.take());
            this.in_flight.pieces_gone(1);
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
