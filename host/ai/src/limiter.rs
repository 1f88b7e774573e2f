//! Limits of one provider: concurrency, rates per minute, and circuit breakers.
//!
//! Concurrency and rates are those of an address with its key. Each model has a breaker of its own,
//! because behind one address one model may fail while the others answer; failures to connect also
//! count for the breaker of the address. How many calls of a model are let through at once is also
//! learned from the provider's 429s.
//!
//! A breaker counts what tells of the provider's health: not what it says of a request, and not
//! what one order may have provoked with its words alone. It rejects the calls of the order whose
//! calls failed; those of all orders of a tenant if calls of two of them have failed; and all calls
//! if calls of two tenants have, or with a failure that every call would have met. Any call that
//! succeeds meanwhile closes it. After a while an open breaker lets one call through as a probe;
//! other calls of the probe's own order wait for its end.
//!
//! No lock is held across a request. Calls that wait for a slot or a rate take turns by their
//! tenants, and within one in the order of their arrival; their deadlines apply meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::caller::{Caller, Failing, is_of_same_tenant};
use super::config::{BreakerConfig, LimitsConfig};
use super::failure::AttemptFailure;
use super::fair_slots::{FairSlot, FairSlots};
use super::learned_limit::{LearnedLimit, LearnedSlot};
use sitewright_model::ai::{AiErrorKind, Limit};

/// The limits of one endpoint with its key, shared by all configured providers that have both in
/// common.
#[derive(Debug)]
pub(super) struct Limiter {
    concurrency: Option<Arc<FairSlots>>,
    /// One slot: calls acquire the rates one at a time. Held while a call waits for its rate, never
    /// during a request.
    turn: Arc<FairSlots>,
    requests: Option<Rate>,
    tokens: Option<Rate>,
    /// Tokens that calls used beyond their estimates; added to the cost of the next call.
    debt: AtomicU64,
    breaker: BreakerConfig,
    /// Failures to reach the address.
    address: Arc<CircuitBreaker>,
    /// Each model that was called: those of the configuration.
    models: Mutex<BTreeMap<String, OfModel>>,
}

/// What is known of one model.
#[derive(Debug, Clone)]
struct OfModel {
    /// Its failures.
    breaker: Arc<CircuitBreaker>,
    learned: Arc<LearnedLimit>,
}

/// The right to make one request. Dropping it frees its slot.
#[derive(Debug)]
pub(super) struct Permit {
    _slot: Option<FairSlot>,
    learned: LearnedSlot,
    address: Admitted,
    model: Admitted,
    caller: Option<Arc<Caller>>,
    estimate: u64,
}

/// A call that a breaker let through.
#[derive(Debug)]
struct Admitted {
    breaker: Arc<CircuitBreaker>,
    /// Whether this call tests if the provider has recovered.
    probe: bool,
}

impl Admitted {
    fn record(&mut self, failure: Option<&AttemptFailure>, caller: Option<&Arc<Caller>>) {
        self.probe = false;
        self.breaker.record(failure, caller);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // A cancelled probe has no result: the next call becomes the probe.
        if self.probe {
            self.breaker.release_probe();
        }
    }
}

impl Limiter {
    pub(super) fn new(limits: LimitsConfig, breaker: BreakerConfig) -> Self {
        Limiter {
            concurrency: limits.concurrency.map(|most| FairSlots::new(Some(most.get()))),
            turn: FairSlots::new(Some(1)),
            requests: limits.requests_per_minute.map(Rate::per_minute),
            tokens: limits.tokens_per_minute.map(Rate::per_minute),
            debt: AtomicU64::new(0),
            breaker,
            address: CircuitBreaker::new(breaker),
            models: Mutex::default(),
        }
    }

    fn of(&self, model: &str) -> OfModel {
        let mut models = self.models.lock();
        match models.get(model) {
            Some(known) => known.clone(),
            None => {
                let breaker = CircuitBreaker::new(self.breaker);
                let new = OfModel { breaker, learned: LearnedLimit::new(model) };
                models.insert(model.to_owned(), new.clone());
                new
            }
        }
    }

    fn check(&self, model: &str, caller: Option<&Arc<Caller>>) -> Result<(), AttemptFailure> {
        self.address.check(caller)?;
        self.of(model).breaker.check(caller)
    }

    /// Waits for a permit to call this model for this order, until the deadline at most.
    ///
    /// # Errors
    /// A breaker is open, or the deadline does not leave enough time. Nothing was sent.
    pub(super) async fn acquire_for(
        &self,
        caller: Option<&Arc<Caller>>,
        model: &str,
        tokens: u64,
        deadline: Instant,
    ) -> Result<Permit, AttemptFailure> {
        loop {
            self.address.own_probe_ended(caller, deadline).await;
            self.of(model).breaker.own_probe_ended(caller, deadline).await;
            // Fail fast if a breaker would reject the call after its wait.
            self.check(model, caller)?;
            if let Some(permit) = self.wait(caller, model, tokens, deadline, false).await? {
                return Ok(permit);
            }
        }
    }

    /// The same for a call that is made for no order.
    #[cfg(test)]
    async fn acquire(
        &self,
        model: &str,
        tokens: u64,
        deadline: Instant,
    ) -> Result<Permit, AttemptFailure> {
        self.acquire_for(None, model, tokens, deadline).await
    }

    /// The same for a probe: an open breaker does not reject it, and its result sets the state of
    /// the breaker.
    pub(super) async fn acquire_for_probe(
        &self,
        model: &str,
        tokens: u64,
        deadline: Instant,
    ) -> Result<Permit, AttemptFailure> {
        loop {
            if let Some(permit) = self.wait(None, model, tokens, deadline, true).await? {
                return Ok(permit);
            }
        }
    }

    /// `None` if a call of the same order became the probe of a breaker meanwhile. It is not waited
    /// for here, because this call holds a slot.
    async fn wait(
        &self,
        caller: Option<&Arc<Caller>>,
        model: &str,
        tokens: u64,
        deadline: Instant,
        to_probe: bool,
    ) -> Result<Option<Permit>, AttemptFailure> {
        let begin = Instant::now();
        let late = |what: String| {
            let detail = format!(
                "the order's deadline passed after {} ms of waiting for {what}",
                begin.elapsed().as_millis()
            );
            AttemptFailure {
                limit: Some(Limit::Deadline),
                ..AttemptFailure::new(AiErrorKind::Cancelled, detail)
            }
        };
        let slot = match &self.concurrency {
            None => None,
            Some(slots) => match slots.enter(caller, deadline).await {
                Some(slot) => Some(slot),
                None => return Err(late("a free slot (limits.concurrency)".to_owned())),
            },
        };
        let OfModel { breaker, learned } = self.of(model);
        let Some(learned) = learned.enter(caller, deadline).await else {
            return Err(late("a free slot (its provider refused more calls at once)".to_owned()));
        };
        if self.requests.is_some() || self.tokens.is_some() {
            let Some(_turn) = self.turn.enter(caller, deadline).await else {
                return Err(late("other calls to acquire their rates (limits)".to_owned()));
            };
            let debt = self.debt.swap(0, Ordering::Relaxed);
            let owed = u32::try_from(tokens.saturating_add(debt)).unwrap_or(u32::MAX);
            let rates = [
                (&self.requests, NonZeroU32::MIN, "requests_per_minute"),
                (
                    &self.tokens,
                    NonZeroU32::new(owed).unwrap_or(NonZeroU32::MIN),
                    "tokens_per_minute",
                ),
            ];
            for (rate, cells, key) in rates {
                let Some(rate) = rate else { continue };
                while let Some(wait) = rate.acquire(cells) {
                    if Instant::now() + wait > deadline {
                        let detail = format!(
                            "nothing was sent: its own limit (limits.{key}) permits no request for \
                             {} ms, and the order's deadline is before that",
                            wait.as_millis()
                        );
                        return Err(AttemptFailure {
                            limit: Some(Limit::Deadline),
                            ..AttemptFailure::new(AiErrorKind::RateLimited, detail)
                        });
                    }
                    sleep(wait).await;
                }
            }
        }
        let Some(address) = CircuitBreaker::admit(&self.address, caller, to_probe)? else {
            return Ok(None);
        };
        let Some(model) = CircuitBreaker::admit(&breaker, caller, to_probe)? else {
            return Ok(None);
        };
        let caller = caller.cloned();
        Ok(Some(Permit { _slot: slot, learned, address, model, caller, estimate: tokens }))
    }

    /// Lets calls of this model through at once, also if a breaker would reject them: somebody has
    /// a reason to think that the provider answers again. The next failure opens the breaker again.
    pub(super) fn half_open(&self, model: &str) {
        self.address.half_open();
        self.of(model).breaker.half_open();
    }

    /// Whether a breaker of this model or of the address has opened, and no call has succeeded
    /// since.
    pub(super) fn has_opened(&self, model: &str) -> bool {
        self.address.has_opened() || self.of(model).breaker.has_opened()
    }

    /// The breaker of the address, and that of this model, if they are open.
    pub(super) fn open(&self, model: &str) -> (Option<Open>, Option<Open>) {
        let of_model = self.models.lock().get(model).map(|known| known.breaker.clone());
        (self.address.open(), of_model.and_then(|breaker| breaker.open()))
    }

    /// Records the tokens that a call used.
    pub(super) fn record_tokens(&self, permit: &Permit, tokens: u64) {
        if self.tokens.is_some() {
            let more = tokens.saturating_sub(permit.estimate);
            let add = |debt: u64| Some(debt.saturating_add(more));
            let _before = self.debt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    /// Whether a breaker rejects calls at the moment.
    #[cfg(test)]
    fn is_open(&self) -> bool {
        self.check("m", None).is_err()
    }
}

impl Permit {
    /// Reports the result of the call to the breakers.
    pub(super) fn complete(mut self, failure: Option<&AttemptFailure>) {
        let caller = self.caller.as_ref();
        self.model.record(failure, caller);
        self.learned.complete(failure);
        match failure {
            // Nothing is known of the address.
            Some(failure) if failure.kind == AiErrorKind::Cancelled => {}
            Some(failure) if is_unreachable(failure) => self.address.record(Some(failure), caller),
            // It answered, whatever it said.
            _ => self.address.record(None, caller),
        }
    }
}

/// Whether the failure is one of every model behind the address: no response came from there.
fn is_unreachable(failure: &AttemptFailure) -> bool {
    failure.http.is_none()
        && (failure.kind == AiErrorKind::Connection || failure.limit == Some(Limit::Connect))
}

/// A rate per minute, on the clock of the tokio runtime.
struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    max: NonZeroU32,
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a minute", self.max)
    }
}

/// tokio's clock, which tests can pause and advance.
#[derive(Debug, Clone, Copy)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rate {
    fn per_minute(max: NonZeroU32) -> Self {
        let clock = TokioClock(Instant::now());
        Rate { limiter: RateLimiter::direct_with_clock(Quota::per_minute(max), clock), clock, max }
    }

    /// Acquires this many cells, or returns how long to wait until that is possible. More than the
    /// rate of a whole minute counts as the rate of a minute.
    fn acquire(&self, cells: NonZeroU32) -> Option<Duration> {
        match self.limiter.check_n(cells.min(self.max)) {
            Ok(Ok(())) => None,
            Ok(Err(not_yet)) => {
                Some(not_yet.wait_time_from(self.clock.now()).max(Duration::from_millis(1)))
            }
            // Cannot happen: at most the burst is requested.
            Err(_) => None,
        }
    }
}

/// Stops calling a provider that rejects its key or fails repeatedly, until one call succeeds.
#[derive(Debug)]
struct CircuitBreaker {
    config: BreakerConfig,
    state: Mutex<State>,
    /// Notified when a probe has ended.
    probed: Notify,
}

#[derive(Debug, Clone)]
enum State {
    /// Calls are let through.
    Closed {
        /// The number of consecutive failures.
        failures: u32,
        /// Whose they are; `None` if there are none.
        failing: Option<Failing>,
    },
    Open(Box<Opened>),
}

impl State {
    const CLOSED: State = State::Closed { failures: 0, failing: None };
}

/// A breaker that rejects calls.
#[derive(Debug, Clone)]
struct Opened {
    /// Until then they are rejected; then one is let through as a probe.
    until: Instant,
    failures: u32,
    /// The failure that opened the breaker. Rejected calls report it, so that no record ends with
    /// "nothing was sent" (failure catalogue A2).
    last: AttemptFailure,
    probe: Option<Probe>,
    /// Whose calls are rejected.
    failing: Failing,
    /// Who met `last`.
    met_by: Option<Arc<Caller>>,
    /// Whether a call of another tenant was rejected since: the next probe is one of others, so
    /// that a tenant whose calls all fail does not make all probes.
    others_wait: bool,
}

/// A call that was let through and has not ended.
#[derive(Debug, Clone)]
struct Probe {
    caller: Option<Arc<Caller>>,
}

impl Opened {
    /// Whether the probe is a call of the same order.
    fn is_probed_by(&self, caller: Option<&Arc<Caller>>) -> bool {
        let prober = self.probe.as_ref().and_then(|probe| probe.caller.as_ref());
        matches!((prober, caller), (Some(one), Some(other)) if one.order == other.order)
    }

    /// When a call of this order may be let through as a probe. While calls of other tenants wait,
    /// one of the tenant that met the last failure waits twice as long.
    fn turn(&self, caller: Option<&Arc<Caller>>, cool_down: Duration) -> Instant {
        if self.others_wait && is_of_same_tenant(self.met_by.as_ref(), caller) {
            self.until + cool_down
        } else {
            self.until
        }
    }

    fn rejects(&self, caller: Option<&Arc<Caller>>, cool_down: Duration) -> bool {
        self.failing.concerns(caller)
            && (self.probe.is_some() || Instant::now() < self.turn(caller, cool_down))
    }

    fn reject(&mut self, caller: Option<&Arc<Caller>>, cool_down: Duration) -> AttemptFailure {
        self.others_wait |= !is_of_same_tenant(self.met_by.as_ref(), caller);
        rejected(self, self.turn(caller, cool_down))
    }
}

/// A breaker that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    /// Calls that failed in a row.
    pub(super) failures: u32,
    /// The kind of the last failure, and its HTTP status.
    pub(super) kind: AiErrorKind,
    pub(super) status: Option<u16>,
    /// Time until the next call is let through.
    pub(super) closed_for: Duration,
    /// Whose calls are rejected.
    pub(super) failing: Failing,
}

impl CircuitBreaker {
    /// `None` if it is closed.
    fn open(&self) -> Option<Open> {
        match &*self.state.lock() {
            State::Closed { .. } => None,
            State::Open(opened) => Some(Open {
                failures: opened.failures,
                kind: opened.last.kind,
                status: opened.last.http.as_ref().map(|http| http.status),
                closed_for: opened.until.saturating_duration_since(Instant::now()),
                failing: opened.failing.clone(),
            }),
        }
    }

    fn new(config: BreakerConfig) -> Arc<Self> {
        let state = Mutex::new(State::CLOSED);
        Arc::new(CircuitBreaker { config, state, probed: Notify::new() })
    }

    fn cool_down(&self) -> Duration {
        Duration::from_millis(self.config.cool_down_ms)
    }

    fn check(&self, caller: Option<&Arc<Caller>>) -> Result<(), AttemptFailure> {
        match &mut *self.state.lock() {
            State::Open(opened) if opened.rejects(caller, self.cool_down()) => {
                Err(opened.reject(caller, self.cool_down()))
            }
            _ => Ok(()),
        }
    }

    /// Waits as long as the probe is a call of the same order, until the deadline at most: what it
    /// finds is true for this call too. If an order's other calls were rejected meanwhile, it would
    /// end over them and cancel its probe, at each attempt again.
    async fn own_probe_ended(&self, caller: Option<&Arc<Caller>>, deadline: Instant) {
        loop {
            let probed = self.probed.notified();
            let waits = matches!(&*self.state.lock(), State::Open(opened)
                if opened.is_probed_by(caller));
            if !waits || timeout_at(deadline, probed).await.is_err() {
                return;
            }
        }
    }

    /// Lets a call through, perhaps as the probe. `None` if a call of the same order is the probe.
    fn admit(
        breaker: &Arc<Self>,
        caller: Option<&Arc<Caller>>,
        to_probe: bool,
    ) -> Result<Option<Admitted>, AttemptFailure> {
        let probe = match &mut *breaker.state.lock() {
            State::Closed { .. } => false,
            State::Open(opened) if !to_probe && opened.is_probed_by(caller) => return Ok(None),
            State::Open(opened) if !to_probe && opened.rejects(caller, breaker.cool_down()) => {
                return Err(opened.reject(caller, breaker.cool_down()));
            }
            State::Open(opened) => {
                // A call of others is none: they may all try.
                let probes = to_probe || opened.failing.concerns(caller);
                if probes {
                    opened.probe = Some(Probe { caller: caller.cloned() });
                }
                probes
            }
        };
        Ok(Some(Admitted { breaker: breaker.clone(), probe }))
    }

    fn record(&self, failure: Option<&AttemptFailure>, caller: Option<&Arc<Caller>>) {
        self.set_state(failure, caller);
        self.probed.notify_waiters();
    }

    fn set_state(&self, failure: Option<&AttemptFailure>, caller: Option<&Arc<Caller>>) {
        let mut state = self.state.lock();
        let Some(failure) = failure else {
            *state = State::CLOSED;
            return;
        };
        match failure.kind {
            kind if opens_breakers(kind) => {}
            // Not a sign of the provider's health.
            AiErrorKind::RateLimited | AiErrorKind::Cancelled => {
                if let State::Open(opened) = &mut *state {
                    opened.probe = None;
                }
                return;
            }
            // The provider responded, so it is reachable.
            _ => {
                *state = State::CLOSED;
                return;
            }
        }
        let (before, was_failing, was_open, others_wait) = match &*state {
            State::Closed { failures, failing } => (*failures, failing.as_ref(), false, false),
            State::Open(opened) => {
                let is_again = is_of_same_tenant(opened.met_by.as_ref(), caller);
                let others_wait = opened.others_wait && is_again;
                (opened.failures, Some(&opened.failing), true, others_wait)
            }
        };
        let failures = before.saturating_add(1);
        let met = Failing::of(caller, failure);
        let failing = was_failing.map_or_else(|| met.clone(), |before| before.and(&met));
        // Where one failure is enough, there is no second order to wait for.
        let failing = if self.config.failures == 1 { failing.of_whole_tenant() } else { failing };
        let at_once = failure.kind == AiErrorKind::Auth;
        *state = if self.config.failures > 0
            && (at_once || was_open || failures >= self.config.failures)
        {
            State::Open(Box::new(Opened {
                until: Instant::now() + self.cool_down(),
                failures,
                last: failure.clone(),
                probe: None,
                failing,
                met_by: caller.cloned(),
                others_wait,
            }))
        } else {
            State::Closed { failures, failing: Some(failing) }
        };
    }

    /// Lets calls through at once, if it rejects them. The next failure that counts opens it again,
    /// as if it had not been closed.
    fn half_open(&self) {
        let mut state = self.state.lock();
        if let State::Open(opened) = &*state {
            // As long as nothing succeeds, the failures are in a row.
            let failures = opened.failures.max(self.config.failures.saturating_sub(1));
            let failing = Some(opened.failing.clone());
            *state = State::Closed { failures, failing };
        }
        drop(state);
        self.probed.notify_waiters();
    }

    fn has_opened(&self) -> bool {
        matches!(&*self.state.lock(), State::Open(_))
    }

    fn release_probe(&self) {
        if let State::Open(opened) = &mut *self.state.lock() {
            opened.probe = None;
        }
        self.probed.notify_waiters();
    }
}

/// Whether failures of this kind open circuit breakers: they tell of the provider's health, and not
/// of one request.
pub fn opens_breakers(kind: AiErrorKind) -> bool {
    matches!(
        kind,
        AiErrorKind::Auth
            | AiErrorKind::Overloaded
            | AiErrorKind::Timeout
            | AiErrorKind::Connection
            | AiErrorKind::Protocol
    )
}

/// What a call reports that is rejected, and may be let through at `turn`.
fn rejected(opened: &Opened, turn: Instant) -> AttemptFailure {
    let Opened { failures, last, failing, .. } = opened;
    // The order that is rejected may be another customer's than the one that met the failure.
    let shown = last.for_others();
    let closed_for = turn.saturating_duration_since(Instant::now());
    let wait = closed_for.as_secs_f64();
    let times =
        if *failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
    let status = shown.http.as_ref().map(|http| format!("status {}", http.status));
    let request =
        shown.http.as_ref().and_then(|http| Some(format!("request {}", http.request_id.as_ref()?)));
    let seen: Vec<String> =
        [Some(last.kind.to_string()), status, request].into_iter().flatten().collect();
    let reason = match shown.detail.trim() {
        "" => "; `sitewright queue stats` and the failure that opened it say more".to_owned(),
        detail => format!(": {detail}"),
    };
    let detail = format!(
        "nothing was sent, because it failed {times} and the next call that may try is in \
         {wait:.1} s (breaker); its last failure ({}){reason}",
        seen.join(", ")
    );
    // Not waited for: the route's next candidate is faster.
    AttemptFailure {
        asked: false,
        between: last.between,
        open_for: failing.open_for(),
        opened_by: Some(Box::new(last.clone())),
        causes: shown.causes,
        closed_for_ms: NonZeroU32::new(u32::try_from(closed_for.as_millis()).unwrap_or(u32::MAX)),
        ..AttemptFailure::new(last.kind, detail)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use futures::FutureExt as _;
    use tokio::time::advance;

    use super::*;
    use sitewright_model::ai::{HttpDetail, OpenFor};

    const MODEL: &str = "m";

    fn limiter(limits: LimitsConfig) -> Limiter {
        Limiter::new(limits, BreakerConfig { failures: 3, cool_down_ms: 1000 })
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    async fn fails(limiter: &Limiter, kind: AiErrorKind) {
        limiter
            .acquire(MODEL, 0, later())
            .await
            .unwrap()
            .complete(Some(&AttemptFailure::new(kind, "")));
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn e2_auth_opens_the_breaker_at_once_and_one_call_probes_after_the_cool_down() {
        let limiter = limiter(LimitsConfig::default());
        fails(&limiter, AiErrorKind::Auth).await;
        let rejected = limiter.acquire(MODEL, 0, later()).await.unwrap_err();
        assert_eq!((rejected.kind, rejected.asked), (AiErrorKind::Auth, false));
        assert!(
            rejected.detail.contains("failed once") && rejected.detail.contains("1.0 s"),
            "{}",
            rejected.detail
        );
        advance(Duration::from_millis(999)).await;
        assert!(limiter.is_open());
        let open = Open {
            failures: 1,
            kind: AiErrorKind::Auth,
            status: None,
            closed_for: Duration::from_millis(1),
            failing: Failing::All,
        };
        assert_eq!(limiter.open(MODEL), (None, Some(open)));
        advance(Duration::from_millis(1)).await;
        assert!(limiter.has_opened(MODEL), "until a call has succeeded");
        assert!(!limiter.has_opened("another"));
        assert_eq!(limiter.open(MODEL).1.unwrap().closed_for, Duration::ZERO);
        assert_eq!(limiter.open("another"), (None, None));
        let probe = limiter.acquire(MODEL, 0, later()).await.unwrap();
        assert!(limiter.acquire(MODEL, 0, later()).await.is_err(), "one probe at a time");
        drop(probe);
        let probe = limiter.acquire(MODEL, 0, later()).await.unwrap();
        probe.complete(Some(&AttemptFailure::new(AiErrorKind::Auth, "")));
        assert!(limiter.is_open(), "a failed probe keeps it open");
        advance(Duration::from_millis(1000)).await;
        limiter.acquire(MODEL, 0, later()).await.unwrap().complete(None);
        assert!(!limiter.is_open() && !limiter.has_opened(MODEL));
        assert_eq!(limiter.open(MODEL), (None, None));
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_breaker_that_is_half_opened_lets_calls_through_until_one_fails() {
        use AiErrorKind::*;
        for (kind, failures) in [(Auth, 1), (Overloaded, 3), (Connection, 3)] {
            let limiter = limiter(LimitsConfig::default());
            limiter.half_open(MODEL);
            for left in (0..failures).rev() {
                assert!(!limiter.is_open(), "{kind}: {left}");
                fails(&limiter, kind).await;
            }
            let rejected = limiter.acquire(MODEL, 0, later()).await.unwrap_err();
            let opened_by = rejected.opened_by.map(|opened| (opened.kind, opened.asked));
            assert_eq!((opened_by, rejected.asked), (Some((kind, true)), false));
            limiter.half_open(MODEL);
            let (one, other) = (
                limiter.acquire(MODEL, 0, later()).await.unwrap(),
                limiter.acquire(MODEL, 0, later()).await.unwrap(),
            );
            one.complete(Some(&AttemptFailure::new(kind, "")));
            assert!(limiter.is_open(), "{kind}: a failed try opens it again");
            limiter.half_open(MODEL);
            other.complete(None);
            for _ in 1..3 {
                assert!(!limiter.is_open(), "{kind}");
                fails(&limiter, Overloaded).await;
            }
            assert!(!limiter.is_open(), "{kind}: a success begins a new count");
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn e12_only_failures_in_a_row_that_say_something_about_health_open_the_breaker() {
        use AiErrorKind::*;
        let rows: [(&[AiErrorKind], bool); 6] = [
            (&[Overloaded, Timeout], false),
            (&[Overloaded, Timeout, Connection], true),
            (&[Overloaded, Timeout, InvalidRequest, Connection], false),
            (&[Overloaded, Timeout, RateLimited, Protocol], true),
            (&[RateLimited, RateLimited, RateLimited, RateLimited], false),
            (&[Truncated, Malformed, Empty, NotFound], false),
        ];
        for (kinds, open) in rows {
            let limiter = limiter(LimitsConfig::default());
            for kind in kinds {
                fails(&limiter, *kind).await;
            }
            assert_eq!(limiter.is_open(), open, "{kinds:?}");
        }
    }

    /// The order that a row of a table names by its tenant and a number; `-1` has no tenant.
    fn order(name: &str) -> Arc<Caller> {
        let tenant = name.chars().next().filter(|tenant| *tenant != '-').map(String::from);
        Arc::new(Caller { order: name.to_owned(), tenant })
    }

    async fn acquire_of(limiter: &Limiter, name: &str) -> Result<Permit, AttemptFailure> {
        limiter.acquire_for(Some(&order(name)), MODEL, 0, later()).await
    }

    /// Makes the calls of these orders, one after the other: `+` succeeds, `!` cannot connect, and
    /// all others fail.
    async fn calls(limiter: &Limiter, orders: &str) {
        for one in orders.split_whitespace() {
            let name = one.trim_start_matches(['+', '!']);
            let permit = acquire_of(limiter, name).await.unwrap();
            let overloaded = AttemptFailure::new(AiErrorKind::Overloaded, "");
            let unconnected = AttemptFailure {
                unconnected: true,
                ..AttemptFailure::new(AiErrorKind::Connection, "")
            };
            permit.complete(match one.chars().next() {
                Some('+') => None,
                Some('!') => Some(&unconnected),
                _ => Some(&overloaded),
            });
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn whose_calls_fail_is_rejected_and_nobody_else() {
        const ALL: &str = "a1 a2 a3 b1 -1 -2";
        let limits = LimitsConfig::default();
        for (what, failures, orders, rejected) in [
            ("too few", 3, "a1 a1", ""),
            ("one order", 3, "a1 a1 a1", "a1"),
            ("one order without a tenant", 3, "-1 -1 -1", "-1"),
            ("two orders of a tenant", 3, "a1 a2 a1", "a1 a2 a3"),
            ("two orders without a tenant", 3, "-1 -2 -2", "-1 -2"),
            ("two tenants", 3, "a1 a1 b1", ALL),
            ("a tenant, and one without", 3, "a1 a1 -1", ALL),
            ("what nobody can provoke", 3, "!a1 !a1 !a1", ALL),
            ("another one succeeds in between", 3, "a1 a2 +b1 a1 a2", ""),
            ("it is open, and another order fails", 3, "a1 a1 a1 a2", "a1 a2 a3"),
            ("it is open, and another tenant fails", 3, "a1 a2 a1 b1", ALL),
            ("it is open, and another tenant succeeds", 3, "a1 a2 a1 +b1", ""),
            ("one failure is enough", 1, "a1", "a1 a2 a3"),
            ("one is enough, without tenants", 1, "-1", "-1 -2"),
        ] {
            let limiter = Limiter::new(limits, BreakerConfig { failures, cool_down_ms: 1000 });
            calls(&limiter, orders).await;
            let is_rejected = |name: &&str| limiter.check(MODEL, Some(&order(name))).is_err();
            let found: Vec<&str> = ALL.split_whitespace().filter(is_rejected).collect();
            assert_eq!(found.join(" "), rejected, "{what}");
            assert_eq!(limiter.is_open(), rejected == ALL, "{what}: a call of no order");
            assert_eq!(limiter.has_opened(MODEL), !rejected.is_empty(), "{what}");
        }
        let limiter = limiter(limits);
        calls(&limiter, "a1 a1 a1").await;
        for (next, name, open_for) in
            [("", "a1", OpenFor::Order), ("a2", "a1", OpenFor::Tenant), ("b1", "c1", OpenFor::All)]
        {
            calls(&limiter, next).await;
            let rejected = acquire_of(&limiter, name).await.unwrap_err();
            assert_eq!((rejected.open_for, rejected.asked), (open_for, false), "{next}");
        }
    }

    /// An order whose calls run at once ends over the first that fails, and cancels the others.
    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn calls_of_the_probe_s_order_wait_for_its_end_and_those_of_other_orders_do_not() {
        // How the probe ends, and whether the other call of its order is made then.
        for (ends, is_made) in [("succeeds", true), ("fails", false), ("is cancelled", true)] {
            let limiter = limiter(LimitsConfig::default());
            calls(&limiter, "a1 a1 a2").await;
            advance(Duration::from_millis(1000)).await;
            let probe = acquire_of(&limiter, "a1").await.unwrap();
            let mut other = Box::pin(acquire_of(&limiter, "a1"));
            assert!((&mut other).now_or_never().is_none(), "{ends}: it waits");
            assert!(acquire_of(&limiter, "a2").await.is_err(), "{ends}: another order's does not");
            match ends {
                "succeeds" => probe.complete(None),
                "fails" => {
                    let failure = AttemptFailure::new(AiErrorKind::Overloaded, "");
                    probe.complete(Some(&failure));
                }
                _ => drop(probe),
            }
            assert_eq!(other.await.is_ok(), is_made, "{ends}");
        }
        // Those that waited with the probe for a slot are not rejected beside it either.
        let limits = LimitsConfig { concurrency: NonZeroU32::new(4), ..LimitsConfig::default() };
        let limiter = limiter(limits);
        calls(&limiter, "a1 a1 a1").await;
        advance(Duration::from_millis(1000)).await;
        let at_once = (0..8).map(|_| async {
            acquire_of(&limiter, "a1").await.unwrap().complete(None);
        });
        futures::future::join_all(at_once).await;
        assert!(!limiter.has_opened(MODEL));
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_tenant_whose_calls_all_fail_does_not_make_all_probes() {
        for others_wait in [true, false] {
            let limiter = limiter(LimitsConfig::default());
            calls(&limiter, "a1 a1 b1").await;
            advance(Duration::from_millis(1000)).await;
            calls(&limiter, "a1").await;
            assert!(acquire_of(&limiter, "a2").await.is_err(), "the probe has failed");
            if others_wait {
                assert!(acquire_of(&limiter, "b1").await.is_err());
            }
            advance(Duration::from_millis(1000)).await;
            let again = acquire_of(&limiter, "a2").await;
            assert_eq!(again.is_err(), others_wait, "the next one is of another tenant");
            if let Err(rejected) = again {
                assert_eq!(rejected.closed_for_ms, NonZeroU32::new(1000));
                calls(&limiter, "+b1 a2").await;
            }
        }
        // If the others do not come, it is its turn again.
        let limiter = limiter(LimitsConfig::default());
        calls(&limiter, "a1 a1 b1").await;
        assert!(acquire_of(&limiter, "a1").await.is_err());
        advance(Duration::from_millis(2000)).await;
        calls(&limiter, "b1").await;
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_failing_model_does_not_stop_the_others_behind_its_address() {
        use AiErrorKind::*;
        for (kind, status, others) in [
            (Auth, Some(401), true),
            (Overloaded, Some(503), true),
            (Protocol, Some(200), true),
            (Timeout, None, true),
            (Connection, Some(200), true),
            (Connection, None, false),
        ] {
            let limiter = limiter(LimitsConfig::default());
            for _ in 0..3 {
                if let Ok(permit) = limiter.acquire(MODEL, 0, later()).await {
                    let failure = AttemptFailure::new(kind, "");
                    let failure = match status {
                        Some(status) => failure.with_http(HttpDetail {
                            status,
                            request_id: None,
                            retry_after_ms: None,
                            body_excerpt: None,
                        }),
                        None => failure,
                    };
                    permit.complete(Some(&failure));
                }
            }
            assert!(limiter.is_open(), "{kind}");
            assert_eq!(limiter.acquire("other", 0, later()).await.is_ok(), others, "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn e12_rates_and_slots_make_calls_wait_and_never_past_the_deadline() {
        let most = |number| NonZeroU32::new(number);
        let begin = Instant::now();
        let requests =
            limiter(LimitsConfig { requests_per_minute: most(60), ..LimitsConfig::default() });
        for _ in 0..62 {
            requests.acquire(MODEL, 0, later()).await.unwrap().complete(None);
        }
        assert_eq!(begin.elapsed().as_secs(), 2, "a burst of 60, then one a second");
        let soon = Instant::now() + Duration::from_millis(100);
        let late = requests.acquire(MODEL, 0, soon).await.unwrap_err();
        assert_eq!((late.kind, late.limit), (AiErrorKind::RateLimited, Some(Limit::Deadline)));

        let begin = Instant::now();
        let tokens =
            limiter(LimitsConfig { tokens_per_minute: most(6000), ..LimitsConfig::default() });
        let permit = tokens.acquire(MODEL, 6000, later()).await.unwrap();
        tokens.record_tokens(&permit, 6500);
        drop(permit);
        drop(tokens.acquire(MODEL, 100, later()).await.unwrap());
        assert_eq!(begin.elapsed().as_secs(), 6, "100 tokens and the debt of 500, at 100 a second");

        let slots = limiter(LimitsConfig { concurrency: most(1), ..LimitsConfig::default() });
        let held = slots.acquire(MODEL, 0, later()).await.unwrap();
        let late =
            slots.acquire(MODEL, 0, Instant::now() + Duration::from_secs(1)).await.unwrap_err();
        assert!(
            late.detail.contains("1000 ms") && late.detail.contains("limits.concurrency"),
            "{}",
            late.detail
        );
        drop(held);
        assert!(slots.acquire(MODEL, 0, later()).await.is_ok());
    }

    /// A 429, as a provider sends it.
    fn too_many() -> AttemptFailure {
        AttemptFailure::new(AiErrorKind::RateLimited, "").with_http(HttpDetail {
            status: 429,
            request_id: None,
            retry_after_ms: None,
            body_excerpt: None,
        })
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn e12_how_many_calls_a_model_takes_at_once_is_learned_from_its_429s() {
        let limiter = limiter(LimitsConfig::default());
        let limit = || limiter.of(MODEL).learned.limit();
        let acquire = || limiter.acquire(MODEL, 0, later());
        // One of a few calls is refused for their rate, and one that is too large for itself.
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(acquire().await.unwrap());
        }
        held.pop().unwrap().complete(Some(&too_many()));
        assert_eq!(limit(), None);
        while held.len() < 18 {
            held.push(acquire().await.unwrap());
        }
        let too_large = AttemptFailure { retryable: false, ..too_many() };
        for other in [too_large, AttemptFailure::new(AiErrorKind::RateLimited, "not sent")] {
            held.pop().unwrap().complete(Some(&other));
        }
        assert_eq!((held.len(), limit()), (16, None));
        // All that are refused at once count once.
        advance(Duration::from_millis(1)).await;
        for _ in 0..8 {
            held.pop().unwrap().complete(Some(&too_many()));
        }
        assert_eq!((held.len(), limit()), (8, Some(8)));
        let soon = Instant::now() + Duration::from_secs(1);
        let late = limiter.acquire(MODEL, 0, soon).await.unwrap_err();
        assert_eq!((late.kind, late.limit), (AiErrorKind::Cancelled, Some(Limit::Deadline)));
        assert!(late.detail.contains("refused more calls at once"), "{}", late.detail);
        assert!(limiter.acquire("other", 0, soon).await.is_ok(), "another model is not limited");
        // Each that ends lets one through, in the order of arrival.
        let (mut first, mut second) = (Box::pin(acquire()), Box::pin(acquire()));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        drop(held.pop());
        assert!((&mut second).now_or_never().is_none(), "it is not its turn");
        held.push(first.await.unwrap());
        drop(second);
        // Refused again, half of it; and one more for each round that succeeds.
        advance(Duration::from_millis(1)).await;
        drop(held.pop());
        advance(Duration::from_millis(1)).await;
        let again = acquire().await.unwrap();
        again.complete(Some(&too_many()));
        assert_eq!(limit(), Some(4));
        drop(held);
        let mut rounds = 0;
        while let Some(now) = limit() {
            for _ in 0..now {
                acquire().await.unwrap().complete(None);
            }
            rounds += 1;
        }
        assert_eq!(rounds, 28, "to twice of the sixteen that were in flight");
        // Never below four: one that takes minutes does not hold up all others.
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(acquire().await.unwrap());
        }
        held.pop().unwrap().complete(Some(&too_many()));
        drop(held);
        for _ in 0..3 {
            advance(Duration::from_millis(1)).await;
            acquire().await.unwrap().complete(Some(&too_many()));
            assert_eq!(limit(), Some(4));
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn calls_that_wait_for_a_learned_limit_take_turns_by_their_tenants() {
        let limiter = limiter(LimitsConfig::default());
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(limiter.acquire(MODEL, 0, later()).await.unwrap());
        }
        held.pop().unwrap().complete(Some(&too_many()));
        assert_eq!(limiter.of(MODEL).learned.limit(), Some(4));
        held.truncate(4);
        let acquire = |name: &'static str| Box::pin(acquire_of(&limiter, name));
        let (mut first, mut second, mut other) = (acquire("a1"), acquire("a2"), acquire("b1"));
        for call in [&mut first, &mut second, &mut other] {
            assert!(call.now_or_never().is_none(), "it has to wait");
        }
        drop(held.pop());
        drop(first.await.unwrap());
        assert!((&mut second).now_or_never().is_none(), "it is the turn of the other tenant");
        drop(other.await.unwrap());
        assert!(second.await.is_ok());
    }
}
