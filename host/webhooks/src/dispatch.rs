//! Which delivery is sent when, and by whom: every process of the queue looks for deliveries that
//! are due, leases some of them, and sends them side by side.
//!
//! Each webhook has slots of its own, so that one that stalls holds up no other one. Callbacks
//! share slots; each host gets a few of them only, and hosts that have not answered this process
//! get a part of them: whoever may add orders may name any number of hosts that accept a connection
//! and say nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sitewright_http::Client;
use sitewright_jobs::{AttemptResult, CALLBACK, ClaimedDelivery, Database, DeliveryState, Error};
use sitewright_model::backoff::{Backoff, Jitter};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::sender::{Answer, Redact, Sender};
use super::settings::{Receiver, Webhooks};

/// Deliveries of one webhook at once.
const SLOTS: usize = 8;
/// Callbacks at once. Each is a task and a connection, and most of its time it waits.
const CALLBACK_SLOTS: usize = 256;
/// Those of them for hosts of which the last attempt had no answer, or that have had none.
const STRANGER_SLOTS: usize = 192;
/// Hosts that are remembered because they answered.
const ANSWERED_HOSTS: usize = 10_000;
/// Callbacks to one host at once.
const PER_HOST: usize = 4;
/// Leases of one webhook in one look, at most.
const CLAIMS: usize = 10;
/// What a lease is longer than an attempt: for the body of the answer, and for recording it.
pub const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// Time between two notes of which webhooks this process has, and between two passes over
/// deliveries that nobody sends.
const SEE_EVERY: Duration = Duration::from_secs(60);
/// A process that has just started forgets no webhook: those that have it may be starting too.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// How long attempts have to end when the process stops; others are repeated later.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Pause after an error of the database.
const PAUSE: Duration = Duration::from_secs(2);

/// How often and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Time between two looks for deliveries that are due. Default: 500 ms.
    pub look_every: Duration,
    /// Waits between the attempts of a delivery; each is drawn from the upper half of its range.
    /// Default: 10 s, doubled up to 1 h.
    pub backoff: Backoff,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            look_every: Duration::from_millis(500),
            backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(3_600) },
        }
    }
}

/// The deliveries of this process. Dropping it does not stop them: see [`Dispatch::stop`].
#[derive(Debug)]
pub struct Dispatch {
    stop: CancellationToken,
    looking: JoinHandle<()>,
}

impl Dispatch {
    /// Stores which receivers this process has, so that the outbox has deliveries for them, and
    /// starts to deliver. Without receivers it only gives up what no process delivers any more.
    ///
    /// # Errors
    /// The database fails.
    pub async fn start(
        database: Database,
        webhooks: Webhooks,
        client: &Client,
        redact: Redact,
        pace: Pace,
    ) -> Result<Self, Error> {
        let sender = Sender::new(client, redact);
        database.see_webhooks(webhooks.seen()).await?;
        let slots = |name: &String| {
            let slots = if name == CALLBACK { CALLBACK_SLOTS } else { SLOTS };
            (name.clone(), Arc::new(Semaphore::new(slots)))
        };
        let slots = webhooks.names().iter().map(slots).collect();
        let shared = Arc::new(Shared {
            database,
            webhooks,
            sender,
            pace,
            jitter: Jitter::from_clock(),
            hosts: Mutex::default(),
            strangers: Arc::new(Semaphore::new(STRANGER_SLOTS)),
            freed: Notify::new(),
        });
        let stop = CancellationToken::new();
        let looking = tokio::spawn(look(shared, slots, stop.clone()));
        Ok(Dispatch { stop, looking })
    }

    /// Begins an attempt of what is due, and lets attempts end for 2 s. Call it before the database
    /// is closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        match tokio::time::timeout(STOP_WITHIN, &mut self.looking).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the deliveries of webhooks ended early"),
            Err(_) => {
                self.looking.abort();
                tracing::info!("attempts of webhooks did not end in time; they are repeated");
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    database: Database,
    webhooks: Webhooks,
    sender: Sender,
    pace: Pace,
    jitter: Jitter,
    hosts: Mutex<Hosts>,
    /// The slots of callbacks to hosts that have not answered.
    strangers: Arc<Semaphore>,
    /// A slot is free: there may be more to send.
    freed: Notify,
}

/// The hosts of callbacks.
#[derive(Debug, Default)]
struct Hosts {
    /// Callbacks that are being sent to each.
    sending: HashMap<String, usize>,
    /// Those whose last attempt had an answer, whatever it was.
    answered: HashSet<String>,
}

/// The slots of each receiver.
type Slots = HashMap<String, Arc<Semaphore>>;

/// Looks for deliveries until `stop`.
async fn look(shared: Arc<Shared>, slots: Slots, stop: CancellationToken) {
    let sending = TaskTracker::new();
    let mut ticks = interval(shared.pace.look_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begin = Instant::now();
    let mut seen_at: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
            () = shared.freed.notified() => {}
        }
        if seen_at.is_none_or(|at| at.elapsed() >= SEE_EVERY) {
            seen_at = Some(Instant::now());
            if let Err(error) = shared.see(begin.elapsed() >= FORGET_AFTER).await {
                tracing::warn!(%error, "which webhooks are configured could not be stored");
            }
        }
        if shared.webhooks.is_empty() {
            continue;
        }
        if let Err(error) = shared.begin_due(&slots, &sending).await {
            tracing::warn!(
                %error,
                "webhooks cannot be delivered while the database fails; it is tried again"
            );
            stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }
    // What the process did last is told at once: another one may not run.
    if let Err(error) = shared.begin_due(&slots, &sending).await {
        tracing::debug!(%error, "the last look for deliveries failed");
    }
    sending.close();
    sending.wait().await;
}

impl Shared {
    /// Stores which receivers there are, and gives up what nobody delivers.
    async fn see(&self, forget: bool) -> Result<(), Error> {
        self.database.see_webhooks(self.webhooks.seen()).await?;
        if forget {
            let forgotten = self.database.forget_webhooks(&self.webhooks.names()).await?;
            if !forgotten.is_empty() {
                tracing::info!(
                    webhooks = ?forgotten,
                    "webhooks that no configuration has had for a day are forgotten"
                );
            }
            let given_up = self.database.give_up_deliveries().await?;
            if given_up > 0 {
                tracing::warn!(
                    deliveries = given_up,
                    "deliveries of webhooks that are disabled or not configured are given up"
                );
            }
        }
        Ok(())
    }

    /// Leases and begins what is due, as far as there are free slots.
    async fn begin_due(
        self: &Arc<Self>,
        slots: &Slots,
        sending: &TaskTracker,
    ) -> Result<(), Error> {
        for name in self.database.due_webhooks().await? {
            let (Some(receiver), Some(slots)) = (self.webhooks.receiver(&name), slots.get(&name))
            else {
                continue;
            };
            // Again if some went back, so that the callbacks to one host do not hide all others.
            for _ in 0..CLAIMS {
                if self.begin_some(&name, receiver, slots, sending).await? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Leases and begins deliveries of one receiver, as far as there are free slots. The number of
    /// those that went back because their host has enough.
    async fn begin_some(
        self: &Arc<Self>,
        name: &str,
        receiver: &Receiver,
        slots: &Arc<Semaphore>,
        sending: &TaskTracker,
    ) -> Result<usize, Error> {
        let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        if free == 0 {
            return Ok(0);
        }
        let mut deferred = 0;
        let lease = receiver.timeout + LEASE_MARGIN;
        for claimed in self.database.claim_deliveries(name, free, lease).await? {
            // Only this task takes slots.
            let Ok(slot) = Arc::clone(slots).try_acquire_owned() else { break };
            match self.room_at_host(&claimed) {
                Some(mut host) => {
                    let (shared, receiver) = (Arc::clone(self), receiver.clone());
                    sending.spawn(async move {
                        host.answered = shared.deliver(&receiver, &claimed).await;
                        drop(host);
                        shared.end(slot);
                    });
                }
                None => {
                    deferred += 1;
                    self.database.defer_delivery(&claimed, receiver.timeout).await?;
                }
            }
        }
        Ok(deferred)
    }

    fn end(&self, slot: OwnedSemaphorePermit) {
        drop(slot);
        self.freed.notify_one();
    }

    /// A place among the callbacks to the same host; `None` if it has enough.
    fn room_at_host(self: &Arc<Self>, claimed: &ClaimedDelivery) -> Option<AtHost> {
        let host = claimed.url.as_deref().and_then(|url| Url::parse(url).ok());
        let host = host.and_then(|url| url.host_str().map(str::to_owned));
        let Some(host) = host else {
            // A webhook of the configuration.
            return Some(AtHost { place: None, answered: false });
        };
        let mut hosts = self.hosts.lock();
        let stranger = if hosts.answered.contains(&host) {
            None
        } else {
            Some(Arc::clone(&self.strangers).try_acquire_owned().ok()?)
        };
        let sending = hosts.sending.entry(host.clone()).or_default();
        if *sending >= PER_HOST {
            return None;
        }
        *sending += 1;
        let place = Place { shared: Arc::clone(self), host, _stranger: stranger };
        Some(AtHost { place: Some(place), answered: false })
    }

    /// Sends a delivery and records it. Whether the receiver answered.
    async fn deliver(&self, receiver: &Receiver, claimed: &ClaimedDelivery) -> bool {
        let (record, answer) = self.sender.send(receiver, claimed).await;
        let (status, error) = (record.status, record.error.clone());
        let answered = status.is_some();
        let result = match answer {
            Answer::Accepted => AttemptResult::Delivered,
            Answer::Refused { retry_after } => AttemptResult::Retry {
                after: self.wait(claimed.attempt).max(retry_after.unwrap_or_default()),
            },
            Answer::Forbidden => AttemptResult::GiveUp,
            Answer::Gone => AttemptResult::Gone {
                reason: "the receiver answered 410 Gone: it wants no more deliveries".to_owned(),
            },
        };
        let delivery = claimed.id.as_str();
        let (webhook, event) = (claimed.webhook.as_str(), claimed.event);
        if matches!(answer, Answer::Gone) {
            tracing::warn!(webhook, order = claimed.order, "a receiver disabled its webhook");
        }
        match self.database.record_delivery(claimed, record, result).await {
            Ok(Some(DeliveryState::Delivered)) => {
                tracing::debug!(delivery, webhook, %event, "delivered");
            }
            Ok(Some(DeliveryState::Pending)) => tracing::info!(
                delivery, webhook, %event, attempt = claimed.attempt, status, error,
                "a webhook could not be delivered; it is tried again"
            ),
            Ok(Some(DeliveryState::GivenUp)) => tracing::warn!(
                delivery, webhook, %event, attempt = claimed.attempt, status, error,
                "the delivery of a webhook is given up: `sitewright webhook redeliver` sends it \
                 again"
            ),
            Ok(None) => tracing::debug!(delivery, webhook, "the lease of a delivery had ended"),
            Err(error) => tracing::warn!(
                %error, delivery, webhook,
                "the attempt of a delivery could not be recorded; it is repeated"
            ),
        }
        answered
    }

    /// The wait after this attempt: between half of the bound and the bound.
    fn wait(&self, attempt: i64) -> Duration {
        let bound = self.pace.backoff.bound(u32::try_from(attempt).unwrap_or(u32::MAX));
        let half = bound / 2;
        let most = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        half + Duration::from_millis(self.jitter.up_to(most))
    }
}

/// An attempt of a callback, or of a webhook, which has no place among those to its host.
struct AtHost {
    place: Option<Place>,
    /// Whether the host has answered.
    answered: bool,
}

/// A place among the callbacks to one host.
struct Place {
    shared: Arc<Shared>,
    host: String,
    /// One of the slots for hosts that have not answered.
    _stranger: Option<OwnedSemaphorePermit>,
}

impl Drop for AtHost {
    fn drop(&mut self) {
        let Some(Place { shared, host, _stranger }) = &self.place else { return };
        let mut hosts = shared.hosts.lock();
        if !self.answered {
            hosts.answered.remove(host);
        } else if hosts.answered.len() < ANSWERED_HOSTS || hosts.answered.contains(host) {
            hosts.answered.insert(host.clone());
        } else {
            // More hosts than anybody has: they prove themselves again.
            hosts.answered.clear();
        }
        if let Some(sending) = hosts.sending.get_mut(host) {
            *sending = sending.saturating_sub(1);
            if *sending == 0 {
                hosts.sending.remove(host);
            }
        }
    }
}
