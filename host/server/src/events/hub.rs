//! The one reader of the database, and the channels to all listeners.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewright_jobs::{Database, Error, OrderChange, OrderEvent};
use sitewright_model::time::now_ms;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::tail::Tail;

/// Time between two looks while the database is away.
const LOOK_LATER: Duration = Duration::from_secs(2);
/// Events that are read at a time.
const AT_ONCE: u32 = 1_000;
/// Changes of all orders that are read at a time.
const CHANGES_AT_ONCE: u32 = 5_000;
/// How much the clocks of workers may differ before a change is missed by who follows all orders.
const CLOCKS_DIFFER_MS: i64 = 1_000;
/// How long a change of an order is remembered, so that it is sent once.
const REMEMBERED_MS: i64 = 60_000;
/// Updates of one order that wait for a slow listener; it reads more from the database.
const OF_ORDER: usize = 64;
/// The same of all orders.
const OF_ALL: usize = 4_096;
/// Events before the last one that are read again at the start, for transactions that were not
/// committed yet.
const BEFORE_START: i64 = 500;

/// Something that listeners get.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    Progress(Arc<OrderEvent>),
    State(Arc<OrderChange>),
    /// The order was erased.
    Gone,
}

/// Hands updates to listeners. Reads the database while there are any.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    stop: CancellationToken,
    listeners: Mutex<Listeners>,
    /// Whether the log has why changes are not told of.
    said: AtomicBool,
}

#[derive(Debug)]
struct Listeners {
    orders: HashMap<String, broadcast::Sender<Update>>,
    all: broadcast::Sender<Update>,
    /// Whether the reader runs.
    is_read: bool,
}

impl Hub {
    pub(crate) fn new(database: Database, stop: CancellationToken) -> Self {
        let all = broadcast::Sender::new(OF_ALL);
        let listeners = Mutex::new(Listeners { orders: HashMap::new(), all, is_read: false });
        let said = AtomicBool::new(false);
        Hub { inner: Arc::new(Inner { database, stop, listeners, said }) }
    }

    /// The updates of one order.
    pub(crate) fn order(&self, id: &str) -> broadcast::Receiver<Update> {
        let mut listeners = self.inner.listeners.lock();
        let sender = listeners.orders.entry(id.to_owned());
        let receiver = sender.or_insert_with(|| broadcast::Sender::new(OF_ORDER)).subscribe();
        self.start(&mut listeners);
        receiver
    }

    /// The updates of all orders.
    pub(crate) fn all(&self) -> broadcast::Receiver<Update> {
        let mut listeners = self.inner.listeners.lock();
        let receiver = listeners.all.subscribe();
        self.start(&mut listeners);
        receiver
    }

    /// The number of listeners.
    pub(crate) fn listeners(&self) -> usize {
        let listeners = self.inner.listeners.lock();
        let of_orders = listeners.orders.values().map(broadcast::Sender::receiver_count);
        of_orders.sum::<usize>() + listeners.all.receiver_count()
    }

    fn start(&self, listeners: &mut Listeners) {
        if !listeners.is_read {
            listeners.is_read = true;
            let (inner, stop) = (Arc::clone(&self.inner), self.inner.stop.clone());
            tokio::spawn(async move { stop.run_until_cancelled(inner.read()).await });
        }
    }
}

/// What listeners listen to at the moment.
struct Wanted {
    orders: Vec<String>,
    is_all: bool,
}

/// Where the reader is.
struct Position {
    tail: Tail,
    /// The time of the last change that was seen, in milliseconds since the Unix epoch.
    changed_at: i64,
    /// The states that the listeners of single orders know.
    known: HashMap<String, OrderChange>,
    /// The changes of all orders that were sent.
    sent: HashMap<String, OrderChange>,
}

impl Inner {
    /// Reads until nobody listens any more.
    async fn read(self: Arc<Self>) {
        let mut position = None;
        let mut is_away = false;
        let mut pace = Pace::new(self.database.clone());
        while let Some(wanted) = self.wanted() {
            let looked = self.look(&mut position, &wanted).await;
            if let Err(error) = &looked
                && !is_away
            {
                tracing::warn!(%error, "events cannot be read; it is tried again");
            }
            is_away = looked.is_err();
            match is_away {
                true => tokio::time::sleep(LOOK_LATER).await,
                false => pace.wait(&self.said).await,
            }
        }
    }

    /// `None` if nobody listens: then the reader has ended.
    fn wanted(&self) -> Option<Wanted> {
        let mut listeners = self.listeners.lock();
        listeners.orders.retain(|_, sender| sender.receiver_count() > 0);
        let orders: Vec<String> = listeners.orders.keys().cloned().collect();
        let is_all = listeners.all.receiver_count() > 0;
        if orders.is_empty() && !is_all {
            listeners.is_read = false;
            return None;
        }
        Some(Wanted { orders, is_all })
    }

    async fn look(&self, position: &mut Option<Position>, wanted: &Wanted) -> Result<(), Error> {
        let position = match position {
            Some(position) => position,
            None => {
                let last = self.database.last_event().await?;
                position.insert(Position {
                    tail: Tail::after(last.saturating_sub(BEFORE_START).max(0)),
                    changed_at: now_ms(),
                    known: HashMap::new(),
                    sent: HashMap::new(),
                })
            }
        };
        self.look_for_events(&mut position.tail).await?;
        if !wanted.orders.is_empty() {
            self.look_at_orders(&wanted.orders, &mut position.known).await?;
        }
        if wanted.is_all {
            self.look_at_all(position).await?;
        }
        Ok(())
    }

    async fn look_for_events(&self, tail: &mut Tail) -> Result<(), Error> {
        let missing = tail.missing(Instant::now());
        if !missing.is_empty() {
            let found = self.database.events_of_ids(&missing).await?;
            self.send_events(tail, found);
        }
        loop {
            let events = self.database.all_events(tail.last(), AT_ONCE).await?;
            let is_last = events.len() < AT_ONCE as usize;
            self.send_events(tail, events);
            if is_last {
                return Ok(());
            }
        }
    }

    fn send_events(&self, tail: &mut Tail, events: Vec<OrderEvent>) {
        let now = Instant::now();
        let listeners = self.listeners.lock();
        for event in events {
            tail.read(event.event.id, now);
            let event = Arc::new(event);
            listeners.send(&event.order, &Update::Progress(Arc::clone(&event)));
            // Nobody listens to all, often.
            listeners.all.send(Update::Progress(event)).unwrap_or_default();
        }
    }

    /// A listener reads the state of its order itself when it begins; here are the changes.
    async fn look_at_orders(
        &self,
        orders: &[String],
        known: &mut HashMap<String, OrderChange>,
    ) -> Result<(), Error> {
        let changes = self.database.states(orders).await?;
        let mut now: HashMap<String, OrderChange> = HashMap::with_capacity(changes.len());
        now.extend(changes.into_iter().map(|change| (change.order.clone(), change)));
        let listeners = self.listeners.lock();
        for order in orders {
            match (now.get(order), known.get(order)) {
                (None, _) => listeners.send(order, &Update::Gone),
                (Some(change), Some(before)) if is_alike(before, change) => {}
                (Some(change), _) => {
                    listeners.send(order, &Update::State(Arc::new(change.clone())));
                }
            }
        }
        *known = now;
        Ok(())
    }

    async fn look_at_all(&self, position: &mut Position) -> Result<(), Error> {
        let since = position.changed_at.saturating_sub(CLOCKS_DIFFER_MS);
        let changes = self.database.changes(since, CHANGES_AT_ONCE).await?;
        let is_full = changes.len() >= CHANGES_AT_ONCE as usize;
        let now = now_ms();
        let listeners = self.listeners.lock();
        for change in changes {
            // A clock that is ahead must not hide what others change.
            position.changed_at = position.changed_at.max(change.at.min(now));
            if position.sent.get(&change.order).is_some_and(|sent| is_alike(sent, &change)) {
                continue;
            }
            position.sent.insert(change.order.clone(), change.clone());
            listeners.all.send(Update::State(Arc::new(change))).unwrap_or_default();
        }
        if is_full {
            // More than fit between two looks at clocks that differ: go on behind them.
            position.changed_at = position.changed_at.saturating_add(CLOCKS_DIFFER_MS);
        }
        position.sent.retain(|_, sent| now.saturating_sub(sent.at) < REMEMBERED_MS);
        Ok(())
    }
}

impl Listeners {
    fn send(&self, order: &str, update: &Update) {
        if let Some(sender) = self.orders.get(order) {
            // The last listener may have left meanwhile.
            sender.send(update.clone()).unwrap_or_default();
        }
    }
}

/// Whether two changes of an order say the same to a listener.
pub(super) fn is_alike(one: &OrderChange, other: &OrderChange) -> bool {
    let told = |change: &OrderChange| {
        let OrderChange { order: _, state, at: _, release, failure, waiting_reason } =
            change.clone();
        (state, release, failure, waiting_reason)
    };
    told(one) == told(other)
}
