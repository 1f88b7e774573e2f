//! The engine: how guests are compiled, where their memory comes from, and the clock that
//! interrupts them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::limits::Limits;
use super::world::World;

/// How often the epoch advances, and so the longest a guest runs before it yields to its
/// neighbours.
///
/// 5 ms: short enough that a hundred spinning guests on one core leave a healthy one its turn twice
/// a second, long enough that yielding costs nothing measurable.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Stack of a guest's fiber. Twice what the wasm code itself may use, because host functions run on
/// it too.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// Stack a guest's wasm code may use before it traps with a stack overflow.
const WASM_STACK_BYTES: usize = 1 << 20;

/// Most frames kept of a trap; wasmtime's default of 20 cuts Rust async stacks before the author's
/// own code.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Templates described at once, while others run: they have places of their own, so that a run
/// never waits for a description.
const DESCRIPTIONS: u32 = 8;

/// Whether an engine keeps the state of a guest that traps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dumps {
    None,
    OfTraps,
}

/// Most core instances, memories and tables of one template.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 2;
const MAX_TABLES: u32 = 8;
/// Most elements of one table.
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

/// The one place where wasmtime is configured.
///
/// Compiling and running share it, so what one process compiled another with the same configuration
/// loads. Everything that would otherwise be read from the environment, or that decides whether a
/// compiled artifact is compatible, is set here explicitly.
fn configuration(limits: &Limits, concurrency: u32, dumps: Dumps) -> Config {
    let mut config = code();
    // Not a part of what a compiled artifact depends on: engines with and without load the same
    // ones.
    config.coredump_on_trap(dumps == Dumps::OfTraps);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits, concurrency)));
    config
}

/// An engine that only compiles: what it makes, an [`Engine`] loads.
pub(super) fn for_compiling() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&code())
}

/// All that decides what code looks like. Where instances get their memory from does not.
fn code() -> Config {
    let mut config = Config::new();

    // The contract is made of async functions; nothing beyond what it needs is on.
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

    // We symbolize ourselves (`failure::symbolize`): wasmtime would parse the debug information
    // again for every frame, on the runtime's threads. It only has to tell offsets.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES));
    config.generate_address_map(true);
    config.coredump_on_trap(false);
    config
}

/// Slots for `concurrency` runs at once. Slots are address space, not memory; a slot costs memory
/// while it is in use.
fn pool(limits: &Limits, concurrency: u32) -> PoolingAllocationConfig {
    let runs = concurrency.saturating_add(DESCRIPTIONS);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs);
    // As many as all runs together may have: a template that takes more than its share is refused
    // when it is loaded, and no run ever fails for want of what another one took. A Rust
    // template is 3 core instances with one memory and two tables; a Python one about 20, with
    // one memory. Only memories cost much address space.
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
    // An async guest that waits holds no stack; one that was interrupted does, and one of the world
    // `template-sync` always.
    pool.total_stacks(runs.min(max_stacks()));
    pool
}

/// Most stacks there can be: each takes two memory mappings.
fn max_stacks() -> u32 {
    max_map_count() / 2
}

/// Runs at once that may keep a stack while they wait: all, or where there are fewer stacks than
/// runs half of them, so that the others find one when they compute.
fn stacked_runs(concurrency: u32) -> u32 {
    let stacks = max_stacks();
    if concurrency.saturating_add(DESCRIPTIONS) <= stacks {
        concurrency
    } else {
        (stacks / 2).max(1)
    }
}

/// How many memory mappings the kernel lets this process have.
fn max_map_count() -> u32 {
    const KERNEL_DEFAULT: u32 = 65_530;
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(KERNEL_DEFAULT)
}

/// A wasmtime engine whose epoch advances every [`EPOCH_TICK`] for as long as it lives, and the
/// places for instances in it.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    key: u64,
    concurrency: u32,
    runs: Arc<Semaphore>,
    stacked: Arc<Semaphore>,
    descriptions: Arc<Semaphore>,
}

/// The right to have one instance in the engine. Drop it after the instance's store.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    _stack: Option<OwnedSemaphorePermit>,
}

impl Place {
    async fn of(places: &Arc<Semaphore>) -> Self {
        // Nobody closes these semaphores; without a permit the pool itself would still refuse one
        // instance too many.
        let permit: Result<_, AcquireError> = places.clone().acquire_owned().await;
        Place { _permit: permit.ok(), _stack: None }
    }
}

impl Engine {
    /// An engine for at most `concurrency` runs at once.
    ///
    /// # Errors
    /// When the address space for that many runs cannot be reserved.
    pub fn new(limits: &Limits, concurrency: u32) -> Result<Self, EngineError> {
        let (inner, key) = start(limits, concurrency, Dumps::None)?;
        let places = |count: u32| {
            Arc::new(Semaphore::new(
                usize::try_from(count).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS),
            ))
        };
        Ok(Engine {
            key,
            inner,
            concurrency,
            runs: places(concurrency),
            stacked: places(stacked_runs(concurrency)),
            descriptions: places(DESCRIPTIONS),
        })
    }

    /// An engine that keeps the state of guests that trap, for core dumps. It has instances of its
    /// own and shares this one's places, so that both together run no more than this one alone.
    /// Keeping the state costs every trap a millisecond and more: for templates of which dumps
    /// are wanted.
    ///
    /// # Errors
    /// When the address space for its instances cannot be reserved.
    pub(super) fn with_dumps(&self, limits: &Limits) -> Result<Self, EngineError> {
        let (inner, key) = start(limits, self.concurrency, Dumps::OfTraps)?;
        Ok(Engine { inner, key, ..self.clone() })
    }

    /// How many runs have a place at once.
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// Whether a run that asks for a place now has to wait.
    pub fn is_full(&self) -> bool {
        self.runs.available_permits() == 0
    }

    /// Waits for the place of one run of a template of that world, in the order of asking.
    pub async fn run_place(&self, world: World) -> Place {
        // First of all: whoever waits for a stack keeps no place from others.
        let stack = match world.waits_on_its_stack() {
            true => self.stacked.clone().acquire_owned().await.ok(),
            false => None,
        };
        Place { _stack: stack, ..Place::of(&self.runs).await }
    }

    /// Waits for the place of one description.
    pub(super) async fn description_place(&self) -> Place {
        Place::of(&self.descriptions).await
    }

    /// The wasmtime engine.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// Identifies what a compiled artifact depends on besides the template: wasmtime's version, the
    /// processor, the settings.
    pub fn compatibility_key(&self) -> u64 {
        self.key
    }
}

/// A wasmtime engine that ticks, and what artifacts compiled for it depend on.
fn start(
    limits: &Limits,
    concurrency: u32,
    dumps: Dumps,
) -> Result<(wasmtime::Engine, u64), EngineError> {
    let inner = wasmtime::Engine::new(&configuration(limits, concurrency, dumps))
        .map_err(|source| EngineError { concurrency, source })?;
    let mut hasher = DefaultHasher::new();
    inner.precompile_compatibility_hash().hash(&mut hasher);
    tick(&inner)
        .map_err(|error| EngineError { concurrency, source: wasmtime::Error::new(error) })?;
    Ok((inner, hasher.finish()))
}

/// Advances the epoch from an OS thread: a task of the runtime would stand still together with the
/// guests it is to interrupt. The thread ends with the engine.
#[allow(clippy::disallowed_methods, reason = "an OS thread of its own, not one of the runtime's")]
fn tick(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("epoch".to_owned()).stack_size(64 << 10).spawn(move || {
        while let Some(engine) = engine.upgrade() {
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
    fn an_engine_with_dumps_shares_the_places_and_the_compiled_templates() {
        let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
        let engine = Engine::new(&limits, 1).unwrap();
        let dumping = engine.with_dumps(&limits).unwrap();
        assert_eq!(
            engine.compatibility_key(),
            dumping.compatibility_key(),
            "what one compiled the other loads"
        );
        let place = engine.runs.clone().try_acquire_owned().unwrap();
        assert!(dumping.is_full(), "both together run no more than one alone");
        drop(place);
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
