//! `ai-sync`: the calls of `ai.complete` for a guest that can only block.
//!
//! A waiting guest's fiber is suspended; its thread continues with other runs.

use futures::future::join_all;

use super::ai::{Call, CallResult};
use super::state::{GuestState, MAX_AI_STREAMS};
use crate::plugin::bindings::{ai_sync, ai_types};

/// Maximum requests of one `complete-all`: they take the host's memory while they wait.
const MAX_AT_ONCE: usize = MAX_AI_STREAMS;

impl ai_sync::Host for GuestState {
    async fn complete(&mut self, request: ai_types::Request) -> wasmtime::Result<CallResult> {
        let request = Box::new(request);
        let call = Call::begin(&self.trace, self.ai.as_ref(), "ai-sync.complete", &request);
        Ok(call.complete(request).await)
    }

    async fn complete_all(
        &mut self,
        requests: Vec<ai_types::Request>,
    ) -> wasmtime::Result<Vec<CallResult>> {
        if requests.len() > MAX_AT_ONCE {
            return Err(wasmtime::Error::msg(format!(
                "the template asked for {} AI calls at once; `complete-all` takes at most \
                 {MAX_AT_ONCE}",
                requests.len()
            )));
        }
        // All are entered before the first begins, so that trail, journal and replay have the same
        // order.
        let begun: Vec<_> = requests
            .into_iter()
            .map(|request| {
                (
                    Call::begin(&self.trace, self.ai.as_ref(), "ai-sync.complete-all", &request),
                    Box::new(request),
                )
            })
            .collect();
        Ok(join_all(begun.into_iter().map(|(call, request)| call.complete(request))).await)
    }
}
