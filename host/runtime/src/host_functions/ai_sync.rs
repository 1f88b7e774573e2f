//! `ai-sync`: the calls of `ai.complete` for a guest that can only block.
//!
//! A waiting guest's fiber is suspended; its thread continues with other runs.

use std::sync::Arc;

use futures::future::try_join_all;
use wasmtime::AsContextMut as _;
use wasmtime::component::{Linker, WasmList};

use super::ai::{Call, CallResult, returned};
use super::lift::{self, GuestMessage, MAX_REQUEST_BYTES, MAX_TEXT_BYTES, Store};
use super::state::{GuestState, MAX_AI_STREAMS};
use super::version::Version;

/// Maximum requests of one `complete-all`: they take the host's memory while they wait.
const MAX_AT_ONCE: usize = MAX_AI_STREAMS;
/// Maximum bytes of all requests of one `complete-all`, for the same reason.
const MAX_BYTES_AT_ONCE: usize = 8 * MAX_REQUEST_BYTES;

/// Bytes of a request whose reading takes so long that others run before the next one is read: up
/// to a millisecond.
const LARGE: usize = 256 << 10;

/// Links `ai-sync` of a version.
///
/// # Errors
/// If it is linked already, which is a bug.
pub(super) fn link<V: Version>(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut ai = linker.instance(&V::interface("ai-sync"))?;
    ai.func_wrap_async(
        "complete",
        |store: Store<'_>, (request,): (lift::Request<V::Message>,)| {
            let call = complete(store, &request);
            Box::new(async move { Ok::<_, wasmtime::Error>((returned::<V>(call?.await),)) })
        },
    )?;
    ai.func_wrap_async(
        "complete-all",
        |store: Store<'_>, (requests,): (WasmList<lift::Request<V::Message>>,)| {
            Box::new(async move {
                let results = complete_all(store, requests).await?;
                let results = results.into_iter().map(returned::<V>);
                Ok::<_, wasmtime::Error>((results.collect::<Vec<_>>(),))
            })
        },
    )
}

fn complete<M: GuestMessage>(
    mut store: Store<'_>,
    request: &lift::Request<M>,
) -> wasmtime::Result<impl Future<Output = CallResult> + Send + use<M>> {
    let asked = request.copied(&mut store)?;
    let state = store.data();
    let (call, request) = Call::begin(&state.trace, state.ai.as_ref(), "ai-sync.complete", asked);
    Ok(call.complete(request))
}

/// The replies in the order of the requests. Each waits in the host for the last one, and counts as
/// the guest's memory meanwhile.
///
/// # Errors
/// There are too many requests or bytes of them, or the replies do not fit into the guest's memory:
/// the guest is stopped.
async fn complete_all<M: GuestMessage>(
    mut store: Store<'_>,
    requests: WasmList<lift::Request<M>>,
) -> wasmtime::Result<Vec<CallResult>> {
    let count = requests.len();
    if count > MAX_AT_ONCE {
        return Err(wasmtime::Error::msg(format!(
            "the template asked for {count} AI calls at once; `complete-all` takes at most \
             {MAX_AT_ONCE}"
        )));
    }
    let mut all = Vec::with_capacity(count);
    let mut bytes = 0_usize;
    for at in 0..count {
        let Some(request) = requests.get(store.as_context_mut(), at) else { break };
        let asked = request?.copied(&mut store)?;
        // A request that is too large has been read too; its lists have not.
        bytes = bytes.saturating_add(asked.bytes.min(MAX_TEXT_BYTES));
        if bytes > MAX_BYTES_AT_ONCE {
            return Err(wasmtime::Error::msg(format!(
                "the template asked for AI calls with {bytes} bytes at once; `complete-all` takes \
                 at most {MAX_BYTES_AT_ONCE}"
            )));
        }
        let is_large = asked.bytes > LARGE;
        all.push(asked);
        if is_large {
            tokio::task::yield_now().await;
        }
    }
    let (trace, context) = (store.data().trace.clone(), store.data().ai.clone());
    let memory = Arc::new(store.data().memory.while_it_waits());
    // All are entered before the first begins, so that trail, journal and replay have the same
    // order.
    let mut begun = Vec::with_capacity(all.len());
    for asked in all {
        let is_large = asked.bytes > LARGE;
        begun.push(Call::begin(&trace, context.as_ref(), "ai-sync.complete-all", asked));
        if is_large {
            tokio::task::yield_now().await;
        }
    }
    let calls = begun.into_iter().map(|(call, request)| {
        let memory = memory.clone();
        async move {
            let result = call.complete(request).await;
            let bytes = result.as_ref().map_or(0, |reply| reply.content.len());
            let held = memory.hold(bytes as u64).map_err(wasmtime::Error::new)?;
            Ok::<_, wasmtime::Error>((result, held))
        }
    });
    let (results, _held): (Vec<_>, Vec<_>) = try_join_all(calls).await?.into_iter().unzip();
    Ok(results)
}
