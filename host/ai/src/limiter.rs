//! The way into one provider: how many at once, how many a minute, and whether it is worth asking
//! at all.
//!
//! No lock is held across a request. Whoever waits here waits in the order of arrival, and its time
//! runs.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::config::{BreakerConfig, LimitsConfig};
use super::provider::Failure;
use sitewright_model::ai::{AiErrorKind, HttpDetail, Limit};
use sitewright_model::message::Message;

/// The limits of one address with its key, whatever providers of the configuration stand for the
/// two.
#[derive(Debug)]
pub(super) struct Gate {
    concurrency: Option<Arc<Semaphore>>,
    /// Rates are taken one by one, in the order of arrival. Held while waiting for the minute to
    /// pass, never for the network.
    queue: tokio::sync::Mutex<()>,
    requests: Option<Rate>,
    tokens: Option<Rate>,
    /// Tokens that calls used beyond their estimates; the next calls wait for them too.
    debt: AtomicU64,
    breaker: Arc<Breaker>,
}

/// One call's way through. Dropping it leaves room for the next one.
#[derive(Debug)]
pub(super) struct Pass {
    _room: Option<OwnedSemaphorePermit>,
    breaker: Arc<Breaker>,
    /// Whether this call finds out if the provider has recovered.
    probe: bool,
    estimate: u64,
}

impl Gate {
    pub(super) fn new(limits: LimitsConfig, breaker: BreakerConfig) -> Self {
        Gate {
            concurrency: limits
                .concurrency
                .map(|most| Arc::new(Semaphore::new(most.get() as usize))),
            queue: tokio::sync::Mutex::new(()),
            requests: limits.requests_per_minute.map(Rate::per_minute),
            tokens: limits.tokens_per_minute.map(Rate::per_minute),
            debt: AtomicU64::new(0),
            breaker: Arc::new(Breaker {
                config: breaker,
                state: Mutex::new(State::Closed { failures: 0 }),
            }),
        }
    }

    /// Waits for its turn, at most until the deadline. The failure means that nothing was sent.
    pub(super) async fn enter(&self, tokens: u64, deadline: Instant) -> Result<Pass, Failure> {
        // Whoever would be turned away in the end need not wait for it.
        self.breaker.check()?;
        self.wait(tokens, deadline, false).await
    }

    /// The same for a call that is made to find out how things are: it waits for its turn, but no
    /// breaker turns it away, and how it ends is what the breaker knows from then on.
    pub(super) async fn enter_to_probe(
        &self,
        tokens: u64,
        deadline: Instant,
    ) -> Result<Pass, Failure> {
        self.wait(tokens, deadline, true).await
    }

    async fn wait(&self, tokens: u64, deadline: Instant, to_probe: bool) -> Result<Pass, Failure> {
        let begin = Instant::now();
        let late = |what: String| {
            let detail = format!(
                "the order's deadline passed after {} ms of waiting for {what}",
                begin.elapsed().as_millis()
            );
            Failure { limit: Some(Limit::Deadline), ..Failure::new(AiErrorKind::Cancelled, detail) }
        };
        let room = match &self.concurrency {
            None => None,
            Some(semaphore) => {
                match timeout_at(deadline, semaphore.clone().acquire_owned()).await {
                    Ok(Ok(room)) => Some(room),
                    Ok(Err(_)) | Err(_) => {
                        return Err(late("one of its places (limits.concurrency)".to_owned()));
                    }
                }
            }
        };
        if self.requests.is_some() || self.tokens.is_some() {
            let turn = timeout_at(deadline, self.queue.lock()).await;
            let _turn = turn.map_err(|_| late("its turn among other calls (limits)".to_owned()))?;
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
                while let Some(wait) = rate.take(cells) {
                    if Instant::now() + wait > deadline {
                        let detail = format!(
                            "nothing was sent: its own limit (limits.{key}) leaves no room for {} \
                             ms, and the order's deadline is before that",
                            wait.as_millis()
                        );
                        return Err(Failure {
                            limit: Some(Limit::Deadline),
                            ..Failure::new(AiErrorKind::RateLimited, detail)
                        });
                    }
                    sleep(wait).await;
                }
            }
        }
        let probe = self.breaker.enter(to_probe)?;
        Ok(Pass { _room: room, breaker: self.breaker.clone(), probe, estimate: tokens })
    }

    /// Notes that a call used this many tokens.
    pub(super) fn used(&self, pass: &Pass, tokens: u64) {
        if self.tokens.is_some() {
            self.debt.fetch_add(tokens.saturating_sub(pass.estimate), Ordering::Relaxed);
        }
    }

    /// Whether calls are turned away at the moment.
    #[cfg(test)]
    fn is_open(&self) -> bool {
        self.breaker.check().is_err()
    }
}

impl Pass {
    /// Tells the breaker how the call ended.
    pub(super) fn ended(mut self, failure: Option<&Failure>) {
        self.probe = false;
        self.breaker.note(failure);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // A probe that was cancelled has found out nothing: the next call is the probe.
        if self.probe {
            self.breaker.release_probe();
        }
    }
}

/// A rate, on the runtime's clock.
struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    most: NonZeroU32,
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a minute", self.most)
    }
}

/// tokio's clock, so that waits can be tested without waiting.
#[derive(Debug, Clone, Copy)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rate {
    fn per_minute(most: NonZeroU32) -> Self {
        let clock = TokioClock(Instant::now());
        Rate {
            limiter: RateLimiter::direct_with_clock(Quota::per_minute(most), clock),
            clock,
            most,
        }
    }

    /// Takes this many, or tells how long until that is possible. More than a whole minute's worth
    /// counts as a minute's worth.
    fn take(&self, cells: NonZeroU32) -> Option<Duration> {
        match self.limiter.check_n(cells.min(self.most)) {
            Ok(Ok(())) => None,
            Ok(Err(not_yet)) => {
                Some(not_yet.wait_time_from(self.clock.now()).max(Duration::from_millis(1)))
            }
            // Cannot be: no more than the burst is asked for.
            Err(_) => None,
        }
    }
}

/// Stops asking a provider that refuses its key or fails again and again, until one call has found
/// it well.
#[derive(Debug)]
struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
enum State {
    /// Calls go through; so many failed in a row.
    Closed { failures: u32 },
    /// Calls are turned away until then, then one goes through.
    Open { until: Instant, failures: u32, last: Box<Last>, probing: bool },
}

/// The failure that opened the breaker: whoever is turned away is told it, so that no record ends
/// in "nothing was sent" (catalogue A2).
#[derive(Debug, Clone)]
struct Last {
    kind: AiErrorKind,
    detail: String,
    http: Option<Box<HttpDetail>>,
    causes: Vec<Message>,
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), Failure> {
        match &*self.lock() {
            State::Open { until, failures, last, probing }
                if *probing || Instant::now() < *until =>
            {
                Err(turned_away(*until, *failures, last))
            }
            _ => Ok(()),
        }
    }

    /// Lets a call through and tells whether it is the probe.
    fn enter(&self, to_probe: bool) -> Result<bool, Failure> {
        match &mut *self.lock() {
            State::Closed { .. } => Ok(false),
            State::Open { until, probing, .. }
                if to_probe || (!*probing && Instant::now() >= *until) =>
            {
                *probing = true;
                Ok(true)
            }
            State::Open { until, failures, last, .. } => Err(turned_away(*until, *failures, last)),
        }
    }

    fn note(&self, failure: Option<&Failure>) {
        let mut state = self.lock();
        let before = match &*state {
            State::Closed { failures } | State::Open { failures, .. } => *failures,
        };
        let Some(failure) = failure else {
            *state = State::Closed { failures: 0 };
            return;
        };
        let at_once = failure.kind == AiErrorKind::Auth;
        let (counts, probing) = match failure.kind {
            AiErrorKind::Auth
            | AiErrorKind::Overloaded
            | AiErrorKind::Timeout
            | AiErrorKind::Connection
            | AiErrorKind::Protocol => (true, false),
            // It says nothing about the provider's health.
            AiErrorKind::RateLimited | AiErrorKind::Cancelled => (false, false),
            // It answered, and that is what the breaker is about.
            _ => {
                *state = State::Closed { failures: 0 };
                return;
            }
        };
        if !counts {
            if let State::Open { probing: was, .. } = &mut *state {
                *was = probing;
            }
            return;
        }
        let failures = before.saturating_add(1);
        let was_open = matches!(&*state, State::Open { .. });
        if self.config.failures > 0 && (at_once || was_open || failures >= self.config.failures) {
            let until = Instant::now() + Duration::from_millis(self.config.cool_down_ms);
            let last = Box::new(Last {
                kind: failure.kind,
                detail: failure.detail.clone(),
                http: failure.http.clone(),
                causes: failure.causes.clone(),
            });
            *state = State::Open { until, failures, last, probing: false };
        } else {
            *state = State::Closed { failures };
        }
    }

    fn release_probe(&self) {
        if let State::Open { probing, .. } = &mut *self.lock() {
            *probing = false;
        }
    }
}

fn turned_away(until: Instant, failures: u32, last: &Last) -> Failure {
    let closed_for = until.saturating_duration_since(Instant::now());
    let wait = closed_for.as_secs_f64();
    let times =
        if failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
    let status = last.http.as_ref().map(|http| format!("status {}", http.status));
    let request =
        last.http.as_ref().and_then(|http| Some(format!("request {}", http.request_id.as_ref()?)));
    let seen: Vec<String> =
        [Some(last.kind.to_string()), status, request].into_iter().flatten().collect();
    let said = match last.detail.trim() {
        "" => String::new(),
        detail => format!(": {detail}"),
    };
    let detail = format!(
        "nothing was sent, because it failed {times} and the next call that may try is in \
         {wait:.1} s (breaker); its last failure ({}){said}",
        seen.join(", ")
    );
    // Waiting here would only hold up the route's next candidate.
    Failure {
        asked: false,
        causes: last.causes.clone(),
        closed_for_ms: NonZeroU32::new(u32::try_from(closed_for.as_millis()).unwrap_or(u32::MAX)),
        ..Failure::new(last.kind, detail)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::time::advance;

    use super::*;

    fn gate(limits: LimitsConfig) -> Gate {
        Gate::new(limits, BreakerConfig { failures: 3, cool_down_ms: 1000 })
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    async fn fails(gate: &Gate, kind: AiErrorKind) {
        gate.enter(0, later()).await.unwrap().ended(Some(&Failure::new(kind, "")));
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn e2_auth_opens_the_breaker_at_once_and_one_call_probes_after_the_cool_down() {
        let gate = gate(LimitsConfig::default());
        fails(&gate, AiErrorKind::Auth).await;
        let turned = gate.enter(0, later()).await.unwrap_err();
        assert_eq!((turned.kind, turned.asked), (AiErrorKind::Auth, false));
        assert!(
            turned.detail.contains("failed once") && turned.detail.contains("1.0 s"),
            "{}",
            turned.detail
        );
        advance(Duration::from_millis(999)).await;
        assert!(gate.is_open());
        advance(Duration::from_millis(1)).await;
        let probe = gate.enter(0, later()).await.unwrap();
        assert!(gate.enter(0, later()).await.is_err(), "one probe at a time");
        drop(probe);
        let probe = gate.enter(0, later()).await.unwrap();
        probe.ended(Some(&Failure::new(AiErrorKind::Auth, "")));
        assert!(gate.is_open(), "a failed probe keeps it open");
        advance(Duration::from_millis(1000)).await;
        gate.enter(0, later()).await.unwrap().ended(None);
        assert!(!gate.is_open());
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
            let gate = gate(LimitsConfig::default());
            for kind in kinds {
                fails(&gate, *kind).await;
            }
            assert_eq!(gate.is_open(), open, "{kinds:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn e12_rates_and_places_make_calls_wait_and_never_past_the_deadline() {
        let most = |number| NonZeroU32::new(number);
        let begin = Instant::now();
        let requests =
            gate(LimitsConfig { requests_per_minute: most(60), ..LimitsConfig::default() });
        for _ in 0..62 {
            requests.enter(0, later()).await.unwrap().ended(None);
        }
        assert_eq!(begin.elapsed().as_secs(), 2, "a burst of 60, then one a second");
        let soon = Instant::now() + Duration::from_millis(100);
        let late = requests.enter(0, soon).await.unwrap_err();
        assert_eq!((late.kind, late.limit), (AiErrorKind::RateLimited, Some(Limit::Deadline)));

        let begin = Instant::now();
        let tokens =
            gate(LimitsConfig { tokens_per_minute: most(6000), ..LimitsConfig::default() });
        let pass = tokens.enter(6000, later()).await.unwrap();
        tokens.used(&pass, 6500);
        drop(pass);
        drop(tokens.enter(100, later()).await.unwrap());
        assert_eq!(begin.elapsed().as_secs(), 6, "100 tokens and the debt of 500, at 100 a second");

        let places = gate(LimitsConfig { concurrency: most(1), ..LimitsConfig::default() });
        let held = places.enter(0, later()).await.unwrap();
        let late = places.enter(0, Instant::now() + Duration::from_secs(1)).await.unwrap_err();
        assert!(
            late.detail.contains("1000 ms") && late.detail.contains("limits.concurrency"),
            "{}",
            late.detail
        );
        drop(held);
        assert!(places.enter(0, later()).await.is_ok());
    }
}
