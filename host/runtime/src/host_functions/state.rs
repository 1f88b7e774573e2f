//! What a guest's calls act on: the data of its store.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::run_trace::RunTrace;
use crate::plugin::MemoryLimiter;
use sitewright_ai::{Gateway, OrderBudget, RunJournal};
use sitewright_site::Staging;

/// Most resources (streams, pollables) a guest may hold: they lie in the host's memory, which no
/// limit of the guest's covers. A language's runtime needs a dozen.
const MAX_RESOURCES: usize = 10_000;

/// Most streamed AI calls a guest may hold, those that have ended included. For the same reason,
/// and more than the calls that a run may make.
pub(super) const MAX_AI_STREAMS: usize = 1_024;

/// The data of one run's store. Dropped with the store when the run ends, however it ends; what
/// outlives the run is in the [`RunTrace`] and the [`Staging`].
pub struct GuestState {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimiter,
    pub(crate) log: Arc<RunTrace>,
    /// Missing while a template is only described: calls are refused then.
    pub(crate) ai: Option<Arc<AiContext>>,
    /// Places for streamed AI calls.
    pub(super) ai_streams: Arc<Semaphore>,
    /// Missing while a template is only described: writes are refused then.
    pub(crate) site: Option<Staging>,
}

/// What the AI calls of a run need.
pub struct AiContext {
    /// Routes and providers.
    pub gateway: Arc<Gateway>,
    /// When the run must have ended.
    pub deadline: Instant,
    /// What the order may spend.
    pub budget: Arc<OrderBudget>,
    /// Replies of earlier attempts at the order, and where new ones go.
    pub journal: Option<Arc<RunJournal>>,
    /// Most AI calls of the run.
    pub max_calls: u64,
    /// The purposes the template's manifest declares.
    pub purposes: Arc<[String]>,
}

impl GuestState {
    /// A state with everything a run may touch.
    pub fn new(
        wasi: WasiCtx,
        memory: MemoryLimiter,
        log: Arc<RunTrace>,
        ai: Option<AiContext>,
        site: Option<Staging>,
    ) -> Self {
        let ai = ai.map(Arc::new);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let ai_streams = Arc::new(Semaphore::new(MAX_AI_STREAMS));
        GuestState { wasi, table, memory, log, ai, ai_streams, site }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
