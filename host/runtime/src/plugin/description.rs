//! Calls `describe` of a template.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::bindings::types;
use super::engine::Engine;
use super::limits::Limits;
use super::meter::{CpuMeter, LimitHit, MemoryLimiter};
use super::sandbox::{Capture, Determinism, sandbox_until};
use super::template::{TemplateProblem, interrupt_by, new_store, root};
use super::world::Linked;
use crate::host_functions::{GuestState, RunTrace};
use crate::run::Polled;
use sitewright_model::message::Message;

/// Processor time that `describe` may use.
pub const DESCRIBE_CPU: Duration = Duration::from_secs(2);
/// Time that `describe` may take.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(30);
/// Maximum bytes that one call of `describe` passes to the host, and maximum bytes of the manifest.
/// The largest valid one has less than half a megabyte.
const DESCRIBE_CALL_BYTES: usize = 4 << 20;

/// What `describe` returned, and what it used.
#[derive(Debug)]
pub struct Description {
    /// As returned: unchecked.
    pub manifest: types::Manifest,
    pub cpu: Duration,
    /// Maximum memory in bytes.
    pub memory_bytes: u64,
    /// Host calls that it made. A pure `describe` makes none.
    pub calls: Vec<String>,
    /// Bytes printed to stdout and stderr.
    pub printed_bytes: u64,
}

/// Calls it in an instance without AI, site, clock and network.
pub(super) async fn ask(
    engine: &Engine,
    linked: &Linked,
    limits: &Limits,
    determinism: Determinism,
) -> Result<Description, TemplateProblem> {
    let _slot = engine.describe_slot().await;
    let (stdout, stderr) = (Capture::new(4 << 10), Capture::new(4 << 10));
    let trace = Arc::new(RunTrace::new(limits, watch::Sender::default()));
    let sandbox = sandbox_until(DESCRIBE_DEADLINE, determinism, &stdout, &stderr);
    let peak = Arc::new(AtomicU64::new(0));
    let memory = MemoryLimiter::new(limits.memory_bytes, peak.clone());
    let mut store =
        new_store(engine, GuestState::new(sandbox, memory, trace.clone(), None, None), limits);
    let meter = Arc::new(CpuMeter::default());
    store.set_hostcall_fuel(DESCRIBE_CALL_BYTES);
    interrupt_by(&mut store, engine, &meter, DESCRIBE_CPU);
    let _polled = Polled::new(&meter, &trace);
    let described =
        tokio::time::timeout(DESCRIBE_DEADLINE, meter.metered(linked.describe(&mut store))).await;
    match described {
        Ok(Ok(manifest)) => Ok(Description {
            manifest,
            cpu: meter.used(),
            memory_bytes: peak.load(Ordering::Relaxed),
            calls: trace.trail().into_iter().map(|entry| entry.call).collect(),
            printed_bytes: stdout.read().1 + stderr.read().1,
        }),
        Ok(Err(error)) => {
            let limit = error.downcast_ref::<LimitHit>();
            let mut reason = match (trace.panic(), limit) {
                (Some(panic), _) => format!("it panicked: {}", panic.message),
                (None, Some(LimitHit::Call { max })) => format!(
                    "one call between the template and the host passed more than {max} bytes, \
                     which is the most in `describe`"
                ),
                (None, _) => root(&error),
            };
            let (printed, _) = stderr.read();
            if let Some(printed) = Message::new(printed) {
                reason = format!("{reason}; it printed: {printed}");
            }
            Err(match limit {
                Some(LimitHit::Cpu { .. }) => TemplateProblem::DescribeSlow(reason),
                _ => TemplateProblem::Describe(reason),
            })
        }
        Err(_) => Err(TemplateProblem::DescribeSlow(format!(
            "it did not answer within {DESCRIBE_DEADLINE:?}"
        ))),
    }
}
