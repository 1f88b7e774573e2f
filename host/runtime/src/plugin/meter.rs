//! Measures and limits the processor time and the memory of a run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sitewright_cpu_time::of_thread;
use wasmtime::{CallHook, CallHookHandler, ResourceLimiter, StoreContextMut, UpdateDeadline};

use super::engine::{Engine, TABLE_ELEMENTS, Ticks};
use super::guest_memory::GuestShare;

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
    /// The memory, and what the host holds for AI requests that are in flight, for replies that
    /// wait for those of others, and for files that are written in chunks.
    #[error(
        "the template's memory, its AI requests in flight with their replies, and its unfinished \
         files take {wanted} bytes; {max} are allowed: ask for less at once, and finish files"
    )]
    InFlight {
        /// The limit in bytes.
        max: u64,
        /// Bytes in all, with the refused ones.
        wanted: u64,
    },
    /// One call passes more than the host copies at once.
    #[error(
        "one call between the template and the host passed more than {max} bytes; a quarter of \
         `limits.memory_bytes` is allowed, or one file of `limits.file_bytes`"
    )]
    Call {
        /// The limit in bytes.
        max: u64,
    },
    /// The texts of one call are longer than any that the host can use.
    #[error(
        "one call passed texts of {wanted} bytes to the host; {max} are allowed, whatever the \
         limits are: pass their beginning, and write what belongs to the site as files"
    )]
    Text {
        /// The maximum in bytes.
        max: u64,
        /// Bytes of the texts up to the one that was too much.
        wanted: u64,
    },
    /// All guests of the process together use the memory for them.
    #[error(
        "all templates that run at this time use {max} bytes of memory together, as much as \
         `worker.memory_bytes` allows; the order waits until others have ended"
    )]
    AllGuests {
        /// The limit in bytes.
        max: u64,
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
    /// When the current poll began, in nanoseconds since [`EPOCH`]; 0 between polls.
    polling: AtomicU64,
    /// Nanoseconds of the polls that others than the guest have caused; see [`CallPolls`].
    given_back: AtomicU64,
}

/// A moment before all polls.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since [`EPOCH`], at least 1.
fn wall_nanos() -> u64 {
    u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
}

impl CpuMeter {
    /// Time used; within a poll, that of the poll so far included.
    pub fn used(&self) -> Duration {
        let used = self.used.load(Ordering::Relaxed);
        let current = match self.polling.load(Ordering::Relaxed) {
            0 => 0,
            _ => thread_nanos().saturating_sub(self.poll_began.load(Ordering::Relaxed)),
        };
        let given_back = self.given_back.load(Ordering::Relaxed);
        Duration::from_nanos(used.saturating_add(current).saturating_sub(given_back))
    }

    /// How long the current poll has taken so far, in real time; `None` between polls.
    pub(crate) fn poll_duration(&self) -> Option<Duration> {
        let began = self.polling.load(Ordering::Relaxed);
        (began != 0).then(|| Duration::from_nanos(wall_nanos().saturating_sub(began)))
    }

    /// Measures the polls of `future`.
    pub fn metered<F: Future>(self: &Arc<Self>, future: F) -> Metered<F> {
        Metered { future: Box::pin(future), meter: self.clone() }
    }

    /// Charges an AI call that is polled within [`metered`](CpuMeter::metered) for its request, and
    /// not for its reply.
    pub(crate) fn call<F: Future + Unpin>(self: &Arc<Self>, future: F) -> CallPolls<F> {
        CallPolls { future, meter: self.clone(), has_begun: false }
    }

    /// # Errors
    /// If `max` is used up.
    fn check(&self, max: Duration) -> Result<(), LimitHit> {
        let used = self.used();
        if used >= max {
            return Err(LimitHit::Cpu {
                max_ms: sitewright_model::time::millis(max),
                used_ms: sitewright_model::time::millis(used),
            });
        }
        Ok(())
    }
}

/// Interrupts a guest at each tick of the epoch: it yields, so that its deadline and its
/// cancellation are looked at and others run, or it is stopped if its processor time is used up.
///
/// Compiled code looks at the epoch at loop heads and function entries only. A guest that calls the
/// host again and again in a straight line meets neither, so each call checks too: when it enters
/// the host, before its arguments are copied, and when it leaves it.
#[derive(Clone)]
pub(super) struct Interrupts {
    meter: Arc<CpuMeter>,
    max: Duration,
    ticks: Ticks,
    /// The tick of the last check. Between two ticks a call costs one comparison.
    seen: Arc<AtomicU64>,
}

impl Interrupts {
    pub(super) fn new(meter: Arc<CpuMeter>, max: Duration, ticks: Ticks) -> Self {
        let seen = Arc::new(AtomicU64::new(ticks.count()));
        Interrupts { meter, max, ticks, seen }
    }

    /// Whether the guest must yield now.
    fn is_due(&self) -> Result<bool, LimitHit> {
        let tick = self.ticks.count();
        // One thread at a time polls the guest.
        if self.seen.load(Ordering::Relaxed) == tick {
            return Ok(false);
        }
        self.seen.store(tick, Ordering::Relaxed);
        self.meter.check(self.max)?;
        Ok(true)
    }

    /// Called by compiled code when the epoch has advanced.
    pub(super) fn on_epoch(&self) -> wasmtime::Result<UpdateDeadline> {
        Ok(match self.is_due().map_err(wasmtime::Error::new)? {
            true => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
            // The call that brought it here has yielded.
            false => UpdateDeadline::Continue(1),
        })
    }
}

type Handled<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'a>>;

/// Written without `async fn`: between two ticks nothing is allocated.
impl<T: 'static> CallHookHandler<T> for Interrupts {
    fn handle_call_event<'a, 'b, 'c>(
        &'a self,
        _: StoreContextMut<'b, T>,
        event: CallHook,
    ) -> Handled<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        match event {
            CallHook::CallingHost | CallHook::ReturningFromHost => {}
            // These follow an end of the guest too, whose error must remain the first one.
            CallHook::CallingWasm | CallHook::ReturningFromWasm => return Box::pin(GoOn),
        }
        match self.is_due() {
            Ok(false) => Box::pin(GoOn),
            Ok(true) => Box::pin(async {
                tokio::task::yield_now().await;
                Ok(())
            }),
            Err(hit) => Box::pin(std::future::ready(Err(wasmtime::Error::new(hit)))),
        }
    }
}

/// Is ready at once, and takes no memory.
struct GoOn;

impl Future for GoOn {
    type Output = wasmtime::Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

/// Processor time of this thread, as the counters have it.
fn thread_nanos() -> u64 {
    u64::try_from(of_thread().as_nanos()).unwrap_or(u64::MAX)
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
        self.meter.polling.store(wall_nanos(), Ordering::Relaxed);
        let polled = self.future.as_mut().poll(context);
        self.meter.polling.store(0, Ordering::Relaxed);
        self.meter.used.fetch_add(thread_nanos().saturating_sub(began), Ordering::Relaxed);
        polled
    }
}

/// What is charged of each poll of a waiting call, in nanoseconds: as much as one takes that finds
/// nothing. The guest can cause many of those, by waiting for timers beside its calls.
const IDLE_POLL_NANOS: u64 = 2_000;

/// The polls of one AI call, within those of its run. The first one is charged: it makes the
/// request, which is as large as the guest wants, or refuses it. The later ones read what the
/// provider sends, and its limits are those of replies: a provider that floods must not use up the
/// guest's processor time.
pub(crate) struct CallPolls<F> {
    future: F,
    meter: Arc<CpuMeter>,
    has_begun: bool,
}

impl<F: Future + Unpin> Future for CallPolls<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if !this.has_begun {
            this.has_begun = true;
            return Pin::new(&mut this.future).poll(context);
        }
        let began = thread_nanos();
        let polled = Pin::new(&mut this.future).poll(context);
        let nanos = thread_nanos().saturating_sub(began).saturating_sub(IDLE_POLL_NANOS);
        this.meter.given_back.fetch_add(nanos, Ordering::Relaxed);
        polled
    }
}

/// Limits the linear memories and tables of a run's instances together. wasmtime's own limiter
/// limits each memory alone.
#[derive(Debug)]
pub struct MemoryLimiter {
    max: u64,
    used: u64,
    /// What the host holds for the guest; see [`HeldBytes`].
    held: Arc<AtomicU64>,
    peak: Arc<AtomicU64>,
    /// Its part of the memory of all guests; `None` for a guest that is not counted there.
    share: Option<GuestShare>,
}

/// Bytes that the host holds for a guest outside of its memory, and that count as if they were in
/// it. Dropping them gives them back.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    bytes: u64,
    held: Arc<AtomicU64>,
    _share: Option<GuestShare>,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The memory of a guest that waits.
#[derive(Debug)]
pub(crate) struct WaitingMemory {
    max: u64,
    /// Of the guest itself.
    used: u64,
    held: Arc<AtomicU64>,
    peak: Arc<AtomicU64>,
    share: Option<GuestShare>,
}

impl WaitingMemory {
    /// As [`MemoryLimiter::hold`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn hold(&self, bytes: u64) -> Result<HeldBytes, LimitHit> {
        let all = self.held.load(Ordering::Relaxed).saturating_add(bytes);
        let wanted = self.used.saturating_add(all);
        self.peak.fetch_max(wanted, Ordering::Relaxed);
        if wanted > self.max {
            return Err(LimitHit::InFlight { max: self.max, wanted });
        }
        let share = match &self.share {
            Some(share) => Some(share.another(bytes)?),
            None => None,
        };
        // Only the guest's own calls add to it, one after the other.
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Ok(HeldBytes { bytes, held: self.held.clone(), _share: share })
    }
}

/// Bytes of one table element in the host.
const TABLE_ELEMENT_BYTES: u64 = 8;

impl MemoryLimiter {
    /// At most `max` bytes. `peak` receives the maximum used, a refused request included.
    pub fn new(max: u64, peak: Arc<AtomicU64>) -> Self {
        MemoryLimiter { max, used: 0, held: Arc::default(), peak, share: None }
    }

    /// Counts the run among all guests of `engine`.
    #[must_use]
    pub fn in_engine(self, engine: &Engine) -> Self {
        MemoryLimiter { share: Some(engine.guest_share()), ..self }
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Counts `bytes` that the host holds for the guest, until the result is dropped.
    ///
    /// # Errors
    /// [`LimitHit::InFlight`] if they do not fit beside the guest's memory,
    /// [`LimitHit::AllGuests`] if all guests would use more than the maximum.
    pub(crate) fn hold(&self, bytes: u64) -> Result<HeldBytes, LimitHit> {
        self.while_it_waits().hold(bytes)
    }

    /// Counts what the host holds for the guest while it waits for a call and cannot grow.
    pub(crate) fn while_it_waits(&self) -> WaitingMemory {
        WaitingMemory {
            max: self.max,
            used: self.used,
            held: self.held.clone(),
            peak: self.peak.clone(),
            share: self.share.as_ref().map(GuestShare::beside),
        }
    }

    fn grow(&mut self, current: u64, desired: u64, own_max: Option<u64>) -> wasmtime::Result<bool> {
        // `own_max` is the smaller of the engine's limit and the memory's declared maximum.
        if own_max.is_some_and(|own_max| desired > own_max && own_max < self.max) {
            // Growing above its declared maximum fails in the guest, and is no error of the run.
            return Ok(false);
        }
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        let all = wanted.saturating_add(self.held.load(Ordering::Relaxed));
        self.peak.fetch_max(all, Ordering::Relaxed);
        if wanted > self.max {
            return Err(wasmtime::Error::new(LimitHit::Memory { max: self.max, wanted }));
        }
        if all > self.max {
            return Err(wasmtime::Error::new(LimitHit::InFlight { max: self.max, wanted: all }));
        }
        if let Some(share) = &mut self.share {
            share.resize(wanted).map_err(wasmtime::Error::new)?;
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

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_call_is_charged_for_its_request_and_not_for_what_the_provider_sends() {
        const POLL: Duration = Duration::from_millis(5);
        for (polls, calls, charged) in [(1, 1, 1), (4, 1, 1), (1, 3, 3), (4, 2, 2)] {
            let meter = Arc::new(CpuMeter::default());
            let work = meter.metered(async {
                for _ in 0..calls {
                    let mut polled = 0;
                    let call = poll_fn(move |context| {
                        let began = thread_nanos();
                        while Duration::from_nanos(thread_nanos() - began) < POLL {}
                        polled += 1;
                        context.waker().wake_by_ref();
                        if polled == polls { Poll::Ready(()) } else { Poll::Pending }
                    });
                    meter.call(call).await;
                }
            });
            work.await;
            let used = meter.used();
            let row = format!("{polls} polls of {calls} calls: {used:?}");
            assert!(used >= POLL * charged, "{row}");
            assert!(used < POLL * (charged + 1), "{row}");
        }
    }

    #[test]
    fn what_the_host_holds_for_a_guest_counts_as_its_memory_until_it_is_dropped() {
        let peak = Arc::new(AtomicU64::new(0));
        let mut limiter = MemoryLimiter::new(100, peak.clone());
        assert!(limiter.grow(0, 60, None).unwrap());
        let held = limiter.while_it_waits().hold(30).unwrap();
        assert_eq!(
            limiter.hold(11).err(),
            Some(LimitHit::InFlight { max: 100, wanted: 101 }),
            "what was refused is not held"
        );
        let refused = limiter.grow(60, 71, None).unwrap_err();
        assert_eq!(
            refused.downcast_ref::<LimitHit>(),
            Some(&LimitHit::InFlight { max: 100, wanted: 101 })
        );
        let more = limiter.hold(10).unwrap();
        drop((held, more));
        assert!(limiter.grow(60, 100, None).unwrap());
        assert!(limiter.hold(0).is_ok());
        assert_eq!(peak.load(Ordering::Relaxed), 101);
    }
}
