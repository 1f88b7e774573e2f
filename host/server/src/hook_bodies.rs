//! What the bodies of webhooks may have of this server's memory and time. Their senders are not known
//! before the whole body was read: so it is charged as it arrives, one address has a part of it, and
//! a body that does not arrive is not waited for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that all bodies together may have, and those of one address.
const ALL: usize = 16 << 20;
const OF_CLIENT: usize = ALL / 2;
/// The first bytes of a body are not charged: an order is seldom longer, and the number of connections
/// limits them. So there is always room for it.
const FREE: usize = 16 << 10;
/// Time in which a body must begin, and the longest time in which nothing of it arrives.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Bytes that must arrive each second after that.
const PACE: u64 = 16 << 10;
/// How long a body waits for room. Short, because those that wait have room that others wait for.
const WAIT: Duration = Duration::from_secs(2);

/// The memory for the bodies of webhooks.
#[derive(Debug)]
pub(crate) struct HookBodies {
    all: Arc<Semaphore>,
    of_clients: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// What one body has of it. Dropping it frees that.
#[derive(Debug)]
pub(crate) struct HookBody {
    all: Arc<Semaphore>,
    of_client: Arc<Semaphore>,
    charged: Vec<OwnedSemaphorePermit>,
    received: usize,
    /// Time that was spent waiting for its bytes.
    waited: Duration,
}

impl HookBodies {
    pub(crate) fn new() -> Self {
        HookBodies { all: Arc::new(Semaphore::new(ALL)), of_clients: Mutex::default() }
    }

    /// A body that this address begins to send.
    pub(crate) fn begin(&self, client: IpAddr) -> HookBody {
        let client = client.to_canonical();
        let mut of_clients = self.of_clients.lock();
        let known = of_clients.get(&client).and_then(Weak::upgrade);
        let of_client = known.unwrap_or_else(|| {
            of_clients.retain(|_, known| known.strong_count() > 0);
            let own = Arc::new(Semaphore::new(OF_CLIENT));
            of_clients.insert(client, Arc::downgrade(&own));
            own
        });
        HookBody {
            all: Arc::clone(&self.all),
            of_client,
            charged: Vec::new(),
            received: 0,
            waited: Duration::ZERO,
        }
    }
}

impl HookBody {
    /// How long its next bytes are waited for.
    pub(crate) fn within(&self) -> Duration {
        let received = u64::try_from(self.received).unwrap_or(u64::MAX);
        let earned = Duration::from_millis(received.saturating_mul(1_000) / PACE);
        (LONGEST_PAUSE + earned).saturating_sub(self.waited).min(LONGEST_PAUSE)
    }

    /// Charges bytes that have arrived after this time. Whether there was room for them.
    pub(crate) async fn charge(&mut self, bytes: usize, waited: Duration) -> bool {
        self.waited += waited;
        let free = FREE.saturating_sub(self.received);
        self.received = self.received.saturating_add(bytes);
        let Ok(charged @ 1..) = u32::try_from(bytes.saturating_sub(free)) else { return true };
        let (all, of_client) = (Arc::clone(&self.all), Arc::clone(&self.of_client));
        let charge = async {
            let of_client = of_client.acquire_many_owned(charged).await.ok()?;
            let of_all = all.acquire_many_owned(charged).await.ok()?;
            Some([of_client, of_all])
        };
        match tokio::time::timeout(WAIT, charge).await {
            Ok(Some(permits)) => {
                self.charged.extend(permits);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_keeps_the_pace_is_waited_for() {
        let bodies = HookBodies::new();
        let of = |received: usize, waited_ms: u64| HookBody {
            received,
            waited: Duration::from_millis(waited_ms),
            ..bodies.begin([192, 0, 2, 1].into())
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
}
