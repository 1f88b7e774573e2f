//! Measures what it costs to load and to start a template.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use sitewright_confined::Confined;
use tokio::sync::watch;

use crate::host_functions::{GuestState, RunTrace};
use crate::plugin::{
    Cache, Capture, Compiler, CpuMeter, Determinism, Engine, FunctionCache, Limits, Loader,
    MemoryLimiter, Template, TemplateError, TemplateProblem, interrupt_by, new_store, sandbox,
};

/// Number of starts of which the median is taken.
const STARTS: usize = 21;

/// What loading and starting a template costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartCost {
    /// Compiling (or reading the cache), linking and `describe`: paid once by each host.
    pub first: Duration,
    /// Making a fresh instance and dropping it, the median: paid for each order.
    pub each: Duration,
}

/// Loads the template in `path` and starts it several times. The compiled form stays in the cache;
/// functions that it has in common with other templates are taken from `functions`, see
/// [`Compiler::with_functions`].
///
/// # Errors
/// If the template cannot be used.
pub async fn start_cost(
    path: &Path,
    cache: Cache,
    functions: Option<FunctionCache>,
    limits: &Limits,
) -> Result<(Template, StartCost), TemplateError> {
    let wrong = |problem: String| TemplateError {
        path: path.to_owned(),
        problem: TemplateProblem::Host(problem),
    };
    let engine = Engine::new(limits, 1).map_err(|error| wrong(error.to_string()))?;
    let loader = Loader::new(engine, cache, limits.clone())
        .map_err(|error| wrong(format!("{error:#}")))?
        .with_compiler(Compiler::this_program(limits).with_functions(functions))
        .with_confined(Confined::this_program(1));
    let start = Instant::now();
    let template = loader.load(path).await?;
    let first = start.elapsed();
    let mut starts = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let start = Instant::now();
        instantiate(&template, limits)
            .await
            .map_err(|error| wrong(format!("it does not start: {error:#}")))?;
        starts.push(start.elapsed());
    }
    starts.sort_unstable();
    Ok((template, StartCost { first, each: starts[STARTS / 2] }))
}

async fn instantiate(template: &Template, limits: &Limits) -> wasmtime::Result<()> {
    let _slot = template.engine().run_slot(template.world()).await;
    let (stdout, stderr) = (Capture::new(1 << 10), Capture::new(1 << 10));
    let state = GuestState::new(
        sandbox(Determinism { seed: 0, start_unix_ms: 0 }, &stdout, &stderr),
        MemoryLimiter::new(limits.memory_bytes, Arc::new(AtomicU64::new(0))),
        Arc::new(RunTrace::new(limits, watch::Sender::default())),
        None,
        None,
    );
    let mut store = new_store(template.engine(), state, limits);
    let meter = Arc::new(CpuMeter::default());
    interrupt_by(&mut store, template.engine(), &meter, limits.cpu());
    meter.metered(template.linked().start(&mut store)).await
}
