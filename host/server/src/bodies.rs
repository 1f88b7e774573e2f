//! What the bodies of requests may have of this server's memory and time. They are charged as they
//! arrive, not as their heads declare them; one token, and one address without a token, has a share
//! of the room; and a body that stops is ended, so that nobody waits for it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::http::Extensions;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::{Actor, Client, Sender};

/// Bytes that the bodies of all webhooks may have together, and those of one address.
const HOOKS: usize = 16 << 20;
const HOOKS_OF_HOLDER: usize = HOOKS / 2;
/// Bytes that the bodies of all other requests may have together, if no single one may have more.
const REQUESTS: usize = 64 << 20;
/// One holder has this part of them.
const PART: usize = 4;
/// The first bytes of a body are not charged: an order is seldom longer, and the number of
/// connections limits them. So there is always room for it.
const FREE: usize = 16 << 10;
/// Time in which a body must begin, and the longest time in which nothing of it arrives.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Bytes that must arrive each second after that.
const PACE: u64 = 16 << 10;
/// How long a body waits for a part of the room of all. Short, because those that wait have room
/// that others wait for.
const WAIT: Duration = Duration::from_secs(2);
/// The address of a client whose connection has none: all of them are one.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Whose share of the room a body has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum BodyHolder {
    /// The id of a token.
    Token(String),
    /// Somebody who logged in without a token.
    Person(String),
    /// Whoever sends from this address without a token.
    Address(IpAddr),
}

impl BodyHolder {
    pub(crate) fn new(actor: Option<&Actor>, client: Option<IpAddr>) -> Self {
        match actor {
            Some(Actor::Token(token)) => BodyHolder::Token(token.id.clone()),
            Some(Actor::Person { name, .. }) => BodyHolder::Person(name.clone()),
            Some(Actor::Local) | None => {
                BodyHolder::Address(client.unwrap_or(UNKNOWN).to_canonical())
            }
        }
    }

    /// That of a request which has passed a guard.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let actor = extensions.get::<Sender>().map(|Sender(actor)| actor);
        let client = extensions.get::<Client>().map(|Client(address)| address.ip());
        BodyHolder::new(actor, client)
    }
}

/// Sizes and times of a room.
#[derive(Debug, Clone, Copy)]
struct RoomLimits {
    /// Bytes of all bodies.
    all: usize,
    /// Bytes of the bodies of one holder.
    of_holder: usize,
    /// How long a body waits for a part of its holder's share.
    wait_of_holder: Duration,
    /// How long it waits for a part of the room of all.
    wait: Duration,
}

/// The memory for bodies of one kind.
#[derive(Debug)]
pub(crate) struct Bodies {
    limits: RoomLimits,
    all: Arc<Semaphore>,
    of_holders: Mutex<HashMap<BodyHolder, Weak<Semaphore>>>,
}

/// What one body has of it. Dropping it frees that.
#[derive(Debug)]
pub(crate) struct BodyCharge {
    limits: RoomLimits,
    all: Arc<Semaphore>,
    of_holder: Arc<Semaphore>,
    /// Bytes of the holder's share that the body gets as soon as one of its bytes is charged.
    expected: u32,
    /// Bytes that it has of that share.
    reserved: u32,
    /// Held, not read.
    permits: [Option<OwnedSemaphorePermit>; 2],
    received: usize,
    /// Time that was spent waiting for its bytes.
    waited: Duration,
}

/// Why there is no room for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The other bodies of its holder have the share.
    OfHolder,
    /// The bodies of all holders have everything.
    OfAll,
}

impl Bodies {
    /// The room for the bodies of webhooks, whose senders are not known before they were read.
    pub(crate) fn of_hooks() -> Self {
        let (all, of_holder) = (HOOKS, HOOKS_OF_HOLDER);
        Bodies::new(RoomLimits { all, of_holder, wait_of_holder: WAIT, wait: WAIT })
    }

    /// The room for the bodies of all other requests, of which one has at most `max_body` bytes and
    /// arrives within this time.
    pub(crate) fn of_requests(max_body: usize, within: Duration) -> Self {
        let all = REQUESTS.max(max_body).min(Semaphore::MAX_PERMITS);
        let of_holder = (all / PART).max(max_body.min(all));
        Bodies::new(RoomLimits { all, of_holder, wait_of_holder: within / 2, wait: WAIT })
    }

    fn new(limits: RoomLimits) -> Self {
        let all = Arc::new(Semaphore::new(limits.all));
        Bodies { limits, all, of_holders: Mutex::default() }
    }

    /// A body that this holder begins to send. `expected` is its length, of which the part that is
    /// charged is reserved of the holder's share as soon as one byte of it has arrived: if bodies of
    /// one holder had a part each and waited for the rest, they would stop each other. 0 reserves as
    /// bytes arrive: of strangers who may have one address.
    pub(crate) fn begin(&self, holder: BodyHolder, expected: usize) -> BodyCharge {
        let mut of_holders = self.of_holders.lock();
        let known = of_holders.get(&holder).and_then(Weak::upgrade);
        let of_holder = known.unwrap_or_else(|| {
            of_holders.retain(|_, known| known.strong_count() > 0);
            let own = Arc::new(Semaphore::new(self.limits.of_holder));
            of_holders.insert(holder, Arc::downgrade(&own));
            own
        });
        BodyCharge {
            limits: self.limits,
            all: Arc::clone(&self.all),
            of_holder,
            expected: charged(expected),
            reserved: 0,
            permits: [None, None],
            received: 0,
            waited: Duration::ZERO,
        }
    }
}

/// How many of the first bytes of a body are charged.
fn charged(received: usize) -> u32 {
    u32::try_from(received.saturating_sub(FREE)).unwrap_or(u32::MAX)
}

impl BodyCharge {
    /// How long its next bytes are waited for.
    pub(crate) fn within(&self) -> Duration {
        let received = u64::try_from(self.received).unwrap_or(u64::MAX);
        let earned = Duration::from_millis(received.saturating_mul(1_000) / PACE);
        (LONGEST_PAUSE + earned).saturating_sub(self.waited).min(LONGEST_PAUSE)
    }

    /// Charges bytes that have arrived after this time.
    ///
    /// # Errors
    /// If there was no room for them in time.
    pub(crate) async fn charge(&mut self, bytes: usize, waited: Duration) -> Result<(), NoRoom> {
        self.waited += waited;
        let before = charged(self.received);
        self.received = self.received.saturating_add(bytes);
        let now = charged(self.received);
        let more = now.saturating_sub(before);
        if more == 0 {
            return Ok(());
        }
        let [of_holder, of_all] = &mut self.permits;
        let lacking = now.max(self.expected).saturating_sub(self.reserved);
        if lacking > 0 {
            let wait = self.limits.wait_of_holder;
            let permit = take(&self.of_holder, lacking, wait).await.ok_or(NoRoom::OfHolder)?;
            keep(of_holder, permit);
            self.reserved = self.reserved.saturating_add(lacking);
        }
        let permit = take(&self.all, more, self.limits.wait).await.ok_or(NoRoom::OfAll)?;
        keep(of_all, permit);
        Ok(())
    }
}

/// Takes so many bytes of a room. `None` if they were not free within this time.
async fn take(room: &Arc<Semaphore>, bytes: u32, within: Duration) -> Option<OwnedSemaphorePermit> {
    let taken = Arc::clone(room).acquire_many_owned(bytes);
    tokio::time::timeout(within, taken).await.ok()?.ok()
}

/// Makes one of two permits: a body may arrive in millions of parts.
fn keep(kept: &mut Option<OwnedSemaphorePermit>, permit: OwnedSemaphorePermit) {
    match kept {
        Some(kept) => kept.merge(permit),
        None => *kept = Some(permit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str) -> BodyHolder {
        BodyHolder::Token(name.to_owned())
    }

    #[test]
    fn a_body_that_keeps_the_pace_is_waited_for() {
        let bodies = Bodies::of_hooks();
        let of = |received: usize, waited_ms: u64| BodyCharge {
            received,
            waited: Duration::from_millis(waited_ms),
            ..bodies.begin(BodyHolder::Address([192, 0, 2, 1].into()), 0)
        };
        for (received, waited_ms, within_ms) in [
            (0, 0, 3_000),
            (1, 2_999, 1),
            (1, 3_000, 0),
            (1, 60_000, 0),
            (32 << 10, 4_000, 1_000),
            (1 << 20, 3_000, 3_000),
            (1 << 20, 66_000, 1_000),
        ] {
            let within = of(received, waited_ms).within();
            assert_eq!(within, Duration::from_millis(within_ms), "{received} in {waited_ms} ms");
        }
    }

    #[test]
    fn there_is_room_for_a_body_of_any_size_that_is_configured() {
        const MOST: usize = Semaphore::MAX_PERMITS;
        for (max_body, all, of_holder) in [
            (1_024, REQUESTS, REQUESTS / 4),
            (REQUESTS / 2, REQUESTS, REQUESTS / 2),
            (REQUESTS + 1, REQUESTS + 1, REQUESTS + 1),
            (usize::MAX, MOST, MOST),
        ] {
            let limits = Bodies::of_requests(max_body, Duration::ZERO).limits;
            assert_eq!((limits.all, limits.of_holder), (all, of_holder), "{max_body}");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    #[tokio::test]
    async fn one_holder_has_a_share_of_the_room_and_none_that_did_not_arrive() {
        type Row = (&'static str, usize, usize, Result<(), NoRoom>);
        const KIB: usize = 1 << 10;
        let none = Duration::ZERO;
        // Room for 400 KiB, of which one holder has 100.
        let limits =
            RoomLimits { all: 400 * KIB, of_holder: 100 * KIB, wait_of_holder: none, wait: none };
        let of_holder: Result<(), NoRoom> = Err(NoRoom::OfHolder);
        // Who sends, what is expected and what has arrived in KiB, and whether there was room.
        let tables: [&[Row]; 3] = [
            // The free part of a body takes nothing, whatever its head declares.
            &[("a", 116, 16, Ok(())), ("a", 116, 16, Ok(())), ("a", 116, 116, Ok(()))],
            // Once more arrives, what is declared is reserved, of this holder only.
            &[
                ("a", 116, 17, Ok(())),
                ("a", 17, 17, of_holder),
                ("a", 16, 16, Ok(())),
                ("b", 116, 116, Ok(())),
                ("c", 116, 116, Ok(())),
                ("d", 116, 116, Ok(())),
                // Of the room of all, the first one has only what has arrived.
                ("e", 115, 115, Ok(())),
                ("f", 17, 17, Err(NoRoom::OfAll)),
                ("f", 16, 16, Ok(())),
            ],
            // Without a declared length, as it arrives.
            &[("a", 0, 66, Ok(())), ("a", 0, 66, Ok(())), ("a", 0, 17, of_holder)],
        ];
        for rows in tables {
            let bodies = Bodies::new(limits);
            let mut charges = Vec::new();
            for &(name, expected, arrived, has_room) in rows {
                let mut charge = bodies.begin(holder(name), expected * KIB);
                // In parts, of which the last one meets the limit.
                let mut charged = charge.charge(arrived * KIB - 1, none).await;
                if charged.is_ok() {
                    charged = charge.charge(1, none).await;
                }
                assert_eq!(charged, has_room, "{name}: {arrived} of {expected} in {rows:?}");
                charges.push(charge);
            }
            drop(charges);
            assert_eq!(bodies.all.available_permits(), 400 * KIB, "all is free again: {rows:?}");
        }
    }
}
