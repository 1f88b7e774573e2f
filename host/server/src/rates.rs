//! How many requests and orders a token may send in a minute. Each token has its own room, which
//! fills evenly; a burst may use all of it.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::HashMapStateStore;
use governor::{NotUntil, Quota, RateLimiter};

use super::access::Actor;
use super::config::ServerConfig;
use super::problem::{Problem, ProblemKind};
use super::routes::Route;

/// Seconds in which the room of a token is filled again.
const WINDOW_S: u64 = 60;
/// Requests after which tokens are forgotten that have all of their room.
const FORGET_EVERY: u32 = 1_024;
/// The headers of `draft-ietf-httpapi-ratelimit-headers`.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

type Limiter =
    RateLimiter<String, HashMapStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// A limit of each token. In memory there are the tokens that were used within a minute.
struct Limit {
    /// As headers and problems call what is counted.
    name: &'static str,
    /// The key of the configuration.
    key: &'static str,
    per_minute: NonZeroU32,
    limiter: Limiter,
    checks: AtomicU32,
}

/// The limits of all tokens.
#[derive(Debug)]
pub(crate) struct Rates {
    requests: Option<Limit>,
    orders: Option<Limit>,
}

/// What an answer says of the room that its token has left.
#[derive(Debug, Default)]
pub(crate) struct Rated(Vec<Room>);

#[derive(Debug)]
struct Room {
    name: &'static str,
    per_minute: u32,
    left: u32,
    /// Seconds until all of it is free again, or until the next is.
    seconds: u64,
}

impl std::fmt::Debug for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limit").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Limit {
    /// `None` for a limit of 0, which is none.
    fn new(name: &'static str, key: &'static str, per_minute: u32) -> Option<Self> {
        let per_minute = NonZeroU32::new(per_minute)?;
        let limiter = RateLimiter::hashmap(Quota::per_minute(per_minute));
        let limiter = limiter.with_middleware::<StateInformationMiddleware>();
        Some(Limit { name, key, per_minute, limiter, checks: AtomicU32::new(0) })
    }

    /// Uses one of the room of a token.
    fn take(&self, token: &str) -> (Room, Result<(), Problem>) {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let room = |left: u32, seconds| Room {
            name: self.name,
            per_minute: self.per_minute.get(),
            left,
            seconds,
        };
        let taken: Result<StateSnapshot, NotUntil<_>> = self.limiter.check_key(&token.to_owned());
        match taken {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let used = u64::from(self.per_minute.get().saturating_sub(left));
                let seconds = (used * WINDOW_S).div_ceil(u64::from(self.per_minute.get()));
                (room(left, seconds), Ok(()))
            }
            Err(until) => {
                let seconds = whole_seconds(until.wait_time_from(self.limiter.clock().now()));
                let (name, most) = (self.name, self.per_minute);
                let detail = format!(
                    "the token has sent {most} {name} within a minute, and may send no more for \
                     {seconds} s"
                );
                let problem = Problem::new(ProblemKind::RateLimited, detail)
                    .with("limit", most)
                    .with("counted", name)
                    .with("key", self.key)
                    .retrying_after(seconds);
                (room(0, seconds), Err(problem))
            }
        }
    }
}

fn whole_seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}

impl Rates {
    pub(crate) fn new(settings: &ServerConfig) -> Self {
        let (requests, orders) = ("server.requests_per_minute", "server.orders_per_minute");
        Rates {
            requests: Limit::new("requests", requests, settings.requests_per_minute),
            orders: Limit::new("orders", orders, settings.orders_per_minute),
        }
    }

    /// Counts a request of somebody with a token: what its answer says, and the problem if it is
    /// one too many.
    pub(crate) fn take(&self, actor: &Actor, route: &Route) -> (Rated, Result<(), Problem>) {
        let mut rated = Rated::default();
        let Some(token) = actor.token() else { return (rated, Ok(())) };
        let of_orders = self.orders.as_ref().filter(|_| queues_an_order(route));
        for limit in self.requests.iter().chain(of_orders) {
            let (room, taken) = limit.take(token);
            rated.0.push(room);
            if taken.is_err() {
                return (rated, taken);
            }
        }
        (rated, Ok(()))
    }
}

/// Whether a request of this route adds an order to the queue.
fn queues_an_order(route: &Route) -> bool {
    matches!(route.action, Some("order.add" | "order.revise" | "order.retry"))
}

impl Rated {
    /// Adds `RateLimit` and `RateLimit-Policy`.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        let Rated(rooms) = self;
        if rooms.is_empty() {
            return;
        }
        let list = |one: fn(&Room) -> String| rooms.iter().map(one).collect::<Vec<_>>().join(", ");
        let left =
            list(|Room { name, left, seconds, .. }| format!("\"{name}\";r={left};t={seconds}"));
        let policy =
            list(|Room { name, per_minute, .. }| format!("\"{name}\";q={per_minute};w={WINDOW_S}"));
        for (name, value) in [(RATE_LIMIT, left), (RATE_LIMIT_POLICY, policy)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_own_room_and_the_number_of_tokens_is_bounded() {
        let limit = Limit::new("requests", "key", 2).unwrap();
        for token in ["a", "b"] {
            for left in [1, 0] {
                let (room, taken) = limit.take(token);
                assert_eq!((room.left, taken.is_ok()), (left, true), "{token}");
            }
            let (room, taken) = limit.take(token);
            let problem = taken.unwrap_err();
            assert_eq!(problem.kind, ProblemKind::RateLimited, "{token}");
            assert_eq!((room.left, room.seconds), (0, 30), "{token}");
        }
        assert!(Limit::new("requests", "key", 0).is_none(), "0 is no limit");
        // A fast limit forgets whoever was idle for its window.
        let limit = Limit::new("requests", "key", u32::MAX).unwrap();
        for token in 0..5_000 {
            drop(limit.take(&token.to_string()));
        }
        assert!(limit.limiter.len() <= FORGET_EVERY as usize + 1, "{}", limit.limiter.len());
    }
}
