//! Measures and limits the processor time and the memory of a run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::engine::TABLE_ELEMENTS;

/// A limit that stopped the guest in its own code. wasmtime returns it as the error of the call,
/// with the guest's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitHit {
    /// The processor time is used up.
    #[error("the template used {used_ms} ms of processor time; {max_ms} ms are allowed")]
    Cpu {
        /// The limit in milliseconds.
        max_ms: u64,
        /// Milliseconds used.
        used_ms: u64,
    },
    /// The memory is used up.
    #[error("the template asked for {wanted} bytes of memory in all; {max} are allowed")]
    Memory {
        /// The limit in bytes.
        max: u64,
        /// Bytes in all, with the refused ones.
        wanted: u64,
    },
    /// A table is above the engine's maximum.
    #[error("the template asked for a table of {wanted} elements; {max} are allowed")]
    Table {
        /// The maximum number of elements.
        max: u64,
        /// The number of elements asked for.
        wanted: u64,
    },
}

/// Processor time of a run. One thread at a time polls the run, so the thread's own clock measures
/// it.
#[derive(Debug, Default)]
pub struct CpuMeter {
    /// Nanoseconds of finished polls.
    used: AtomicU64,
    /// The thread's clock when the current poll began.
    poll_began: AtomicU64,
    /// 1 during a poll, otherwise 0.
    polling: AtomicU64,
}

impl CpuMeter {
    /// Time used; within a poll, that of the poll so far included.
    pub fn used(&self) -> Duration {
        let used = self.used.load(Ordering::Relaxed);
        let current = match self.polling.load(Ordering::Relaxed) {
            0 => 0,
            _ => thread_nanos().saturating_sub(self.poll_began.load(Ordering::Relaxed)),
        };
        Duration::from_nanos(used.saturating_add(current))
    }

    /// Measures the polls of `future`.
    pub fn metered<F: Future>(self: &Arc<Self>, future: F) -> Metered<F> {
        Metered { future: Box::pin(future), meter: self.clone() }
    }

    /// Called when the epoch has advanced while the guest computes: the guest yields, or is stopped
    /// if it has used `max`.
    pub fn on_epoch(&self, max: Duration) -> wasmtime::Result<UpdateDeadline> {
        let used = self.used();
        if used >= max {
            return Err(wasmtime::Error::new(LimitHit::Cpu {
                max_ms: sitewright_model::time::millis(max),
                used_ms: sitewright_model::time::millis(used),
            }));
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    }
}

fn thread_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// See [`CpuMeter::metered`].
pub struct Metered<F> {
    future: Pin<Box<F>>,
    meter: Arc<CpuMeter>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let began = thread_nanos();
        self.meter.poll_began.store(began, Ordering::Relaxed);
        self.meter.polling.store(1, Ordering::Relaxed);
        let polled = self.future.as_mut().poll(context);
        self.meter.polling.store(0, Ordering::Relaxed);
        self.meter.used.fetch_add(thread_nanos().saturating_sub(began), Ordering::Relaxed);
        polled
    }
}

/// Limits the linear memories and tables of a run's instances together. wasmtime's own limiter
/// limits each memory alone.
#[derive(Debug)]
pub struct MemoryLimiter {
    max: u64,
    used: u64,
    peak: Arc<AtomicU64>,
}

/// Bytes of one table element in the host.
const TABLE_ELEMENT_BYTES: u64 = 8;

impl MemoryLimiter {
    /// At most `max` bytes. `peak` receives the maximum used, a refused request included.
    pub fn new(max: u64, peak: Arc<AtomicU64>) -> Self {
        MemoryLimiter { max, used: 0, peak }
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    fn grow(&mut self, current: u64, desired: u64, own_max: Option<u64>) -> wasmtime::Result<bool> {
        // `own_max` is the smaller of the engine's limit and the memory's declared maximum.
        if own_max.is_some_and(|own_max| desired > own_max && own_max < self.max) {
            // Growing above its declared maximum fails in the guest, and is no error of the run.
            return Ok(false);
        }
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        self.peak.fetch_max(wanted, Ordering::Relaxed);
        if wanted > self.max {
            return Err(wasmtime::Error::new(LimitHit::Memory { max: self.max, wanted }));
        }
        self.used = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current as u64, desired as u64, maximum.map(|maximum| maximum as u64))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // `maximum` is the smaller of the engine's limit and the table's declared maximum.
        if desired > TABLE_ELEMENTS && maximum.is_none_or(|maximum| maximum >= TABLE_ELEMENTS) {
            return Err(wasmtime::Error::new(LimitHit::Table {
                max: TABLE_ELEMENTS as u64,
                wanted: desired as u64,
            }));
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        self.grow(bytes(current), bytes(desired), maximum.map(bytes))
    }
}
