//! `ai-sync`: the calls of `ai.complete` for a guest that can only block.
//!
//! The guest's fiber is suspended while it waits; its thread goes on with other runs.

use futures::future::join_all;

use super::ai::{Call, Told};
use super::state::{GuestState, MAX_AI_STREAMS};
use crate::plugin::bindings::{ai_sync, ai_types};

/// Most requests of one `complete-all`: what they hold meanwhile lies in the host's memory.
const MAX_AT_ONCE: usize = MAX_AI_STREAMS;

impl ai_sync::Host for GuestState {
    async fn complete(&mut self, request: ai_types::Request) -> wasmtime::Result<Told> {
        let request = Box::new(request);
        let call = Call::begin(&self.log, self.ai.as_ref(), "ai-sync.complete", &request);
        Ok(call.made(request).await)
    }

    async fn complete_all(
        &mut self,
        requests: Vec<ai_types::Request>,
    ) -> wasmtime::Result<Vec<Told>> {
        if requests.len() > MAX_AT_ONCE {
            return Err(wasmtime::Error::msg(format!(
                "the template asked for {} AI calls at once; `complete-all` takes at most \
                 {MAX_AT_ONCE}",
                requests.len()
            )));
        }
        // All are entered before the first begins, so that the trail, the journal and a replay have
        // them in one order.
        let begun: Vec<_> = requests
            .into_iter()
            .map(|request| {
                (
                    Call::begin(&self.log, self.ai.as_ref(), "ai-sync.complete-all", &request),
                    Box::new(request),
                )
            })
            .collect();
        Ok(join_all(begun.into_iter().map(|(call, request)| call.made(request))).await)
    }
}
