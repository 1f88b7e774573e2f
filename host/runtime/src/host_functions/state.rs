//! The data of a guest's store: what its calls act on.

use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::in_flight::AiInFlight;
use super::run_trace::RunTrace;
use crate::plugin::{CpuMeter, MemoryLimiter, Sandbox, VirtualClock};
use sitewright_ai::{Gateway, Mark, OrderBudget, ReplyJudge, RunJournal};
use sitewright_confined::Confined;
use sitewright_site::Staging;

/// Maximum resources (streams, pollables, open files) of a guest. They take the host's memory, which
/// no limit of the guest covers. A language runtime needs a dozen.
pub(super) const MAX_RESOURCES: usize = 10_000;

/// Maximum streamed AI calls that a guest may hold, ended ones included: for the same reason.
pub(super) const MAX_AI_STREAMS: usize = 1_024;

/// The data of one run's store, dropped with it. What outlives the run is in the [`RunTrace`] and
/// the [`Staging`].
pub struct GuestState {
    pub(crate) wasi: WasiCtx,
    pub(crate) clock: VirtualClock,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimiter,
    pub(crate) trace: Arc<RunTrace>,
    /// `None` during `describe`: AI calls are refused.
    pub(crate) ai: Option<Arc<AiContext>>,
    /// Permits of streamed AI calls.
    pub(super) ai_streams: Arc<Semaphore>,
    /// `None` during `describe`: writes are refused.
    pub(crate) site: Option<Staging>,
}

/// What the AI calls of a run need.
pub struct AiContext {
    pub gateway: Arc<Gateway>,
    /// Measures the run that polls the calls.
    pub meter: Arc<CpuMeter>,
    /// When the run must have ended.
    pub deadline: Instant,
    /// What the order may still spend.
    pub budget: Arc<OrderBudget>,
    /// Replies of earlier attempts at the order, and where new ones go.
    pub journal: Option<Arc<RunJournal>>,
    /// Judges the text of replies.
    pub judge: Option<Arc<dyn ReplyJudge>>,
    /// Maximum AI calls of the run.
    pub max_calls: u64,
    /// Purposes that the template's manifest declares. Others are refused.
    pub purposes: Arc<[String]>,
    /// Where costly checks against its JSON Schemas are done.
    pub confined: Confined,
    /// The name by which orders name it: the lane of its checks.
    pub template: String,
    /// The order as the template gets it.
    pub document: Arc<str>,
    /// The mark of the order, made for the first request with data.
    pub mark: OnceLock<Mark>,
}

impl AiContext {
    /// The mark with which data in requests is delimited.
    pub(super) fn mark(&self) -> Mark {
        *self.mark.get_or_init(|| Mark::of(&self.document))
    }
}

impl GuestState {
    /// The state of a run, or of `describe` if `ai` and `site` are `None`.
    pub fn new(
        sandbox: Sandbox,
        memory: MemoryLimiter,
        trace: Arc<RunTrace>,
        ai: Option<AiContext>,
        site: Option<Staging>,
    ) -> Self {
        let ai = ai.map(Arc::new);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let ai_streams = Arc::new(Semaphore::new(MAX_AI_STREAMS));
        let Sandbox { wasi, clock } = sandbox;
        GuestState { wasi, clock, table, memory, trace, ai, ai_streams, site }
    }

    /// The AI calls of the guest that are in flight.
    pub(super) fn ai_in_flight(&self) -> &Arc<AiInFlight> {
        self.clock.calls()
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
