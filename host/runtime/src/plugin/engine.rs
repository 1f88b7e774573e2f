//! The engine: how guests are compiled, where their memory comes from, and the epoch that
//! interrupts them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    CacheStore, Config, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use super::guest_memory::{GuestMemory, GuestShare};
use super::limits::Limits;
use super::world::World;

/// Interval at which the epoch advances: the maximum time a guest computes before it yields.
///
/// With 5 ms, a healthy guest beside a hundred spinning ones on one core runs twice a second, and
/// the cost of yielding is too small to measure.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Stack of a guest's fiber: twice what wasm code may use, because host functions run on it too.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// Stack a guest's wasm code may use before it traps with a stack overflow.
const WASM_STACK_BYTES: usize = 1 << 20;

/// Maximum frames kept of a trap. wasmtime's default of 20 cuts Rust async stacks before the
/// author's own code.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Slots for `describe`, beside those of runs, so that a run never waits for a description.
const DESCRIPTIONS: u32 = 8;

/// Whether an engine keeps the state of a guest that traps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dumps {
    None,
    OfTraps,
}

/// Maximum core instances, memories and tables of one template.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 2;
const MAX_TABLES: u32 = 8;
/// Maximum elements of one table.
pub(super) const TABLE_ELEMENTS: usize = 65_536;

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "the wasm engine could not be set up for {concurrency} runs at once: {source:#}. Lower \
     `concurrency`, or raise the machine's limits on virtual memory (`ulimit -v`) and mappings \
     (`sysctl vm.max_map_count`)"
)]
pub struct EngineError {
    concurrency: u32,
    source: wasmtime::Error,
}

/// The only configuration of wasmtime, shared by compiling and running.
///
/// Everything that would otherwise be read from the environment, or that decides whether a compiled
/// artifact is compatible, is set explicitly.
fn configuration(limits: &Limits, concurrency: u32, dumps: Dumps) -> Config {
    let mut config = code();
    // Compiled artifacts do not depend on this: engines with and without dumps load the same ones.
    config.coredump_on_trap(dumps == Dumps::OfTraps);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits, concurrency)));
    config
}

/// An engine that only compiles, and takes the code of functions from `functions` if it is there.
/// An [`Engine`] loads its artifacts, which do not depend on that.
pub(super) fn for_compiling(
    functions: Option<Arc<dyn CacheStore>>,
) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = code();
    if let Some(functions) = functions {
        config.enable_incremental_compilation(functions)?;
    }
    wasmtime::Engine::new(&config)
}

/// Everything that compiled code depends on, which the allocation strategy does not.
fn code() -> Config {
    let mut config = Config::new();

    // The contract needs async functions, and nothing else is on.
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    config.wasm_memory64(false);
    config.wasm_tail_call(true);

    // A replay on another machine must give the same bytes.
    config.relaxed_simd_deterministic(true);
    config.cranelift_nan_canonicalization(true);

    config.epoch_interruption(true);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.async_stack_size(FIBER_STACK_BYTES);

    // `failure::symbolize` symbolizes: wasmtime would parse the debug information again for every
    // frame, on the runtime's threads. Offsets are all that is needed of it.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES));
    config.generate_address_map(true);
    config.coredump_on_trap(false);
    config
}

/// A pool for `concurrency` runs at once. Unused capacity is address space, not memory.
fn pool(limits: &Limits, concurrency: u32) -> PoolingAllocationConfig {
    let runs = concurrency.saturating_add(DESCRIPTIONS);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs);
    // Enough for all runs at their maximum, so that no run fails because of another one. A Rust
    // template has 3 core instances, a Python one about 20. Only memories cost much address space.
    pool.max_core_instances_per_component(MAX_CORE_INSTANCES);
    pool.max_memories_per_component(MAX_MEMORIES);
    pool.max_tables_per_component(MAX_TABLES);
    pool.total_core_instances(runs.saturating_mul(MAX_CORE_INSTANCES));
    pool.total_memories(runs.saturating_mul(MAX_MEMORIES));
    pool.total_tables(runs.saturating_mul(MAX_TABLES));
    pool.max_component_instance_size(4 << 20);
    pool.max_core_instance_size(4 << 20);
    pool.table_elements(TABLE_ELEMENTS);
    pool.max_memory_size(usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX));
    // A waiting async guest holds no stack. An interrupted one does, and a guest of the world
    // `template-sync` always does.
    pool.total_stacks(runs.min(max_stacks()));
    pool
}

/// Maximum stacks of this process: each takes two memory mappings.
fn max_stacks() -> u32 {
    max_map_count() / 2
}

/// Runs that may hold a stack while they wait: all of them; or half of the stacks if there are
/// fewer stacks than runs, so that a run that computes finds one.
fn stacked_runs(concurrency: u32) -> u32 {
    let stacks = max_stacks();
    if concurrency.saturating_add(DESCRIPTIONS) <= stacks {
        concurrency
    } else {
        (stacks / 2).max(1)
    }
}

/// Maximum memory mappings of this process.
fn max_map_count() -> u32 {
    const KERNEL_DEFAULT: u32 = 65_530;
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(KERNEL_DEFAULT)
}

/// The number of ticks of an engine's epoch so far, which wasmtime does not show.
#[derive(Debug, Clone, Default)]
pub(super) struct Ticks(Arc<AtomicU64>);

impl Ticks {
    /// The number of ticks so far.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Counts one more.
    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// A wasmtime engine with its slots for instances. Its epoch advances every [`EPOCH_TICK`] for as
/// long as it lives.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    ticks: Ticks,
    key: u64,
    concurrency: u32,
    runs: Arc<Semaphore>,
    stacked: Arc<Semaphore>,
    descriptions: Arc<Semaphore>,
    memory: Arc<GuestMemory>,
}

/// The right to have one instance in the engine. Drop it after the instance's store.
#[derive(Debug)]
#[must_use = "the slot is free again when this is dropped"]
pub struct EngineSlot {
    _permit: Option<OwnedSemaphorePermit>,
    _stack: Option<OwnedSemaphorePermit>,
}

impl EngineSlot {
    async fn acquire(slots: &Arc<Semaphore>) -> Self {
        // The semaphore is never closed. Without a permit, the pool would still refuse one instance
        // too many.
        let permit: Result<_, AcquireError> = slots.clone().acquire_owned().await;
        EngineSlot { _permit: permit.ok(), _stack: None }
    }
}

impl Engine {
    /// An engine for at most `concurrency` runs at once.
    ///
    /// # Errors
    /// If the address space for that many runs cannot be reserved.
    pub fn new(limits: &Limits, concurrency: u32) -> Result<Self, EngineError> {
        let (inner, ticks, key) = start(limits, concurrency, Dumps::None)?;
        let slots = |count: u32| {
            Arc::new(Semaphore::new(
                usize::try_from(count).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS),
            ))
        };
        Ok(Engine {
            key,
            inner,
            ticks,
            concurrency,
            runs: slots(concurrency),
            stacked: slots(stacked_runs(concurrency)),
            descriptions: slots(DESCRIPTIONS),
            memory: GuestMemory::new(u64::MAX),
        })
    }

    /// The same engine, whose guests use at most `max` bytes of memory together. By default there
    /// is no such limit.
    #[must_use]
    pub fn with_guest_memory(self, max: u64) -> Self {
        Engine { memory: GuestMemory::new(max), ..self }
    }

    /// The part of one run of the memory of all guests.
    pub(super) fn guest_share(&self) -> GuestShare {
        GuestShare::of(self.memory.clone())
    }

    /// An engine that keeps the state of guests that trap, for core dumps. It has instances of its
    /// own and shares this engine's slots, so that both together run no more than one alone.
    /// Keeping the state costs every trap a millisecond or more, so only templates of which dumps
    /// are wanted run in it.
    ///
    /// # Errors
    /// If the address space for its instances cannot be reserved.
    pub(super) fn with_dumps(&self, limits: &Limits) -> Result<Self, EngineError> {
        let (inner, ticks, key) = start(limits, self.concurrency, Dumps::OfTraps)?;
        Ok(Engine { inner, ticks, key, ..self.clone() })
    }

    /// The number of slots for runs.
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// Whether all slots for runs are in use.
    pub fn is_full(&self) -> bool {
        self.runs.available_permits() == 0
    }

    /// Waits for a slot for a run of a template of this world, first come, first served.
    pub async fn run_slot(&self, world: World) -> EngineSlot {
        // The stack comes first: a run that waits for one holds no slot.
        let stack = match world.waits_on_its_stack() {
            true => self.stacked.clone().acquire_owned().await.ok(),
            false => None,
        };
        EngineSlot { _stack: stack, ..EngineSlot::acquire(&self.runs).await }
    }

    /// Waits for a slot for `describe`.
    pub(super) async fn describe_slot(&self) -> EngineSlot {
        EngineSlot::acquire(&self.descriptions).await
    }

    /// The wasmtime engine.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// The ticks of its epoch.
    pub(super) fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// Identifies what a compiled artifact depends on besides the template: wasmtime's version, the
    /// processor, the settings.
    pub fn compatibility_key(&self) -> u64 {
        self.key
    }
}

/// A wasmtime engine that ticks, its ticks, and what artifacts compiled for it depend on.
fn start(
    limits: &Limits,
    concurrency: u32,
    dumps: Dumps,
) -> Result<(wasmtime::Engine, Ticks, u64), EngineError> {
    let inner = wasmtime::Engine::new(&configuration(limits, concurrency, dumps))
        .map_err(|source| EngineError { concurrency, source })?;
    let mut hasher = DefaultHasher::new();
    inner.precompile_compatibility_hash().hash(&mut hasher);
    let ticks = Ticks::default();
    tick(&inner, &ticks)
        .map_err(|error| EngineError { concurrency, source: wasmtime::Error::new(error) })?;
    Ok((inner, ticks, hasher.finish()))
}

/// Advances the epoch from an OS thread, because the guests it interrupts can block every thread of
/// the runtime. The thread ends with the engine.
#[allow(clippy::disallowed_methods, reason = "an OS thread of its own, not one of the runtime's")]
fn tick(engine: &wasmtime::Engine, ticks: &Ticks) -> std::io::Result<()> {
    let (engine, ticks) = (engine.weak(), ticks.clone());
    std::thread::Builder::new().name("epoch".to_owned()).stack_size(64 << 10).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            // Before the epoch: who sees the epoch sees the tick.
            ticks.advance();
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH_TICK);
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_with_dumps_shares_the_slots_and_the_compiled_templates() {
        let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
        let engine = Engine::new(&limits, 1).unwrap();
        let dumping = engine.with_dumps(&limits).unwrap();
        assert_eq!(
            engine.compatibility_key(),
            dumping.compatibility_key(),
            "what one compiled the other loads"
        );
        let slot = engine.runs.clone().try_acquire_owned().unwrap();
        assert!(dumping.is_full(), "both together run no more than one alone");
        drop(slot);
        assert!(!dumping.is_full());
    }

    #[test]
    fn every_run_may_keep_a_stack_unless_there_are_more_runs_than_stacks() {
        let stacks = max_stacks();
        assert_eq!(stacked_runs(1), 1);
        assert_eq!(stacked_runs(stacks - DESCRIPTIONS), stacks - DESCRIPTIONS);
        assert_eq!(stacked_runs(stacks), stacks / 2);
    }
}
