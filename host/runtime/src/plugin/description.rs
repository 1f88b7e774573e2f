//! Asking a template what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::bindings::generator;
use super::engine::Engine;
use super::limits::Limits;
use super::meter::{CpuMeter, LimitHit, MemoryLimiter};
use super::sandbox::{Capture, Determinism, sandbox};
use super::template::{TemplateProblem, interrupt_by, new_store, root};
use super::world::Linked;
use crate::host_functions::{GuestState, RunTrace};
use sitewright_model::message::Message;

/// Processor time `describe` may use.
pub const DESCRIBE_CPU: Duration = Duration::from_secs(2);
/// Time `describe` may take.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(30);

/// What `describe` answered, and what it did besides.
#[derive(Debug)]
pub struct Description {
    /// The answer, unchecked.
    pub manifest: generator::Manifest,
    /// Processor time.
    pub cpu: Duration,
    /// Most bytes of memory.
    pub memory_bytes: u64,
    /// Host calls it made: a pure one makes none.
    pub calls: Vec<String>,
    /// Bytes it printed.
    pub printed_bytes: u64,
}

/// Asks, in an instance that can do nothing else.
pub(super) async fn ask(
    engine: &Engine,
    linked: &Linked,
    limits: &Limits,
    determinism: Determinism,
) -> Result<Description, TemplateProblem> {
    let _place = engine.description_place().await;
    let (stdout, stderr) = (Capture::new(4 << 10), Capture::new(4 << 10));
    let log = Arc::new(RunTrace::new(limits, watch::Sender::default()));
    let wasi = sandbox(determinism, &stdout, &stderr);
    let peak = Arc::new(AtomicU64::new(0));
    let memory = MemoryLimiter::new(limits.memory_bytes, peak.clone());
    let mut store =
        new_store(engine, GuestState::new(wasi, memory, log.clone(), None, None), limits);
    let meter = Arc::new(CpuMeter::default());
    interrupt_by(&mut store, &meter, DESCRIBE_CPU);
    let described =
        tokio::time::timeout(DESCRIBE_DEADLINE, meter.metered(linked.describe(&mut store))).await;
    match described {
        Ok(Ok(manifest)) => Ok(Description {
            manifest,
            cpu: meter.used(),
            memory_bytes: peak.load(Ordering::Relaxed),
            calls: log.trail().into_iter().map(|entry| entry.call).collect(),
            printed_bytes: stdout.read().1 + stderr.read().1,
        }),
        Ok(Err(error)) => {
            let mut reason = log.panic().map_or_else(
                || format!("{:#}", root(&error)),
                |panic| format!("it panicked: {}", panic.message),
            );
            let (printed, _) = stderr.read();
            if let Some(printed) = Message::new(printed) {
                reason = format!("{reason}; it printed: {printed}");
            }
            Err(match error.downcast_ref::<LimitHit>() {
                Some(LimitHit::Cpu { .. }) => TemplateProblem::DescribeSlow(reason),
                _ => TemplateProblem::Describe(reason),
            })
        }
        Err(_) => Err(TemplateProblem::DescribeSlow(format!(
            "it did not answer within {DESCRIBE_DEADLINE:?}"
        ))),
    }
}
