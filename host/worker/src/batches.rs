//! Batches of AI calls: what an attempt does whose calls wait, and the task that sends batches and
//! reads their answers.
//!
//! Of the workers one sees to a batch at a time. What it does is repeated by another one if its
//! process ends: a batch that may have been sent without its id being stored is looked for before
//! it is sent again.
//!
//! A batch that only orders have calls in that have ended is cancelled at its provider. What was
//! answered by then is paid for, and charged to these orders. Of an order that is queued again
//! meanwhile, it is read, and its other calls wait for another batch.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use sitewright_ai::{
    Batch, BatchConfig, BatchError, BatchErrorKind, BatchProgress, BatchQueue, BatchRequest,
    BatchedCall, BatchedEnd, EndedBatch, Gateway, JournalKey, KnownCall, NewBatchCall,
};
use sitewright_jobs::{
    BatchOutcome, Claimed, Collecting, Database, DueBatch, Error, ItemAnswer, OfferedBatch,
    UnreadAnswer,
};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::{millis, now_ms};

use super::journal::{until_it_answers, unusable_call};

/// A batch is a worker's for this long; a worker that is gone loses it at once.
const LEASE: Duration = Duration::from_secs(30 * 60);

/// Maximum time to send a batch, or to read its answers: less than the lease, so that nobody else
/// begins meanwhile.
const SEEN_TO_WITHIN: Duration = Duration::from_secs(25 * 60);

/// Batches that a worker sees to at the same time, of all providers and of one: a slow provider
/// holds up no other.
const AT_ONCE: usize = 8;
const AT_ONCE_OF_PROVIDER: usize = 2;

/// Maximum time between two passes.
const LONGEST_PASS: Duration = Duration::from_secs(5);

/// Maximum time between two looks for answers that no order reads.
const UNREAD_EVERY: Duration = Duration::from_secs(60);

/// How often, and after which time, the id of a batch that was sent is stored again.
const STORE_TRIES: u32 = 300;
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Answers that are stored in one transaction: at most this many, or bytes.
const STORE_ITEMS: usize = 100;
const STORE_BYTES: usize = 4 << 20;

/// A batch that its provider does not find is gone after this many looks of this worker, ...
const MISSING_LOOKS: u32 = 3;

/// ... the first and last of which are this far apart: a batch that was just made may not be found,
/// nor one whose provider has a bad minute.
const MISSING_FOR: Duration = Duration::from_secs(10 * 60);

/// A batch that is too old is given up once this worker has failed with it for this long: after all
/// workers were away for days, its answers may be there.
const FAILING_FOR: Duration = Duration::from_secs(60 * 60);

/// What a worker remembers of a batch is forgotten this long after its last look: another worker may
/// have ended the batch. Looks are at most ten hours apart.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The calls of one attempt that wait for batches.
pub(super) struct OrderBatches {
    database: Database,
    order: String,
    /// How long further calls are waited for.
    gather: Duration,
    state: Arc<Gathering>,
}

#[derive(Default)]
struct Gathering {
    calls: Mutex<Calls>,
    changed: Notify,
}

struct Calls {
    /// Calls that wait.
    waiting: usize,
    /// Their purposes, and providers.
    purposes: BTreeSet<String>,
    providers: BTreeSet<String>,
    /// Calls without a batch that are under way.
    direct: usize,
    /// When the last of them began or ended.
    last: Instant,
}

impl Default for Calls {
    fn default() -> Self {
        Calls {
            waiting: 0,
            purposes: BTreeSet::new(),
            providers: BTreeSet::new(),
            direct: 0,
            last: Instant::now(),
        }
    }
}

impl Gathering {
    /// Notes a call that waits.
    fn waits(&self, purpose: String, provider: String) {
        let mut calls = self.calls.lock();
        calls.waiting += 1;
        calls.purposes.insert(purpose);
        calls.providers.insert(provider);
        calls.last = Instant::now();
        drop(calls);
        self.changed.notify_waiters();
    }
}

impl OrderBatches {
    pub(super) fn new(database: Database, claimed: &Claimed, config: &BatchConfig) -> Self {
        OrderBatches {
            database,
            order: claimed.order.clone(),
            gather: Duration::from_millis(config.gather_ms),
            state: Arc::default(),
        }
    }

    /// Waits until calls wait for batches and no further one came for a while, and no other call is
    /// under way.
    pub(super) async fn until_gathered(&self) {
        loop {
            // Registered before the look, so that no notice is missed.
            let mut changed = std::pin::pin!(self.state.changed.notified());
            changed.as_mut().enable();
            let ends = {
                let calls = self.state.calls.lock();
                (calls.waiting > 0 && calls.direct == 0).then(|| calls.last + self.gather)
            };
            match ends {
                Some(ends) if ends <= Instant::now() => return,
                Some(ends) => drop(timeout_at(ends, changed).await),
                None => changed.await,
            }
        }
    }

    /// What the order waits for, as it shows it.
    pub(super) fn reason(&self) -> Message {
        let calls = self.state.calls.lock();
        let list = |names: &BTreeSet<String>| {
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let count = calls.waiting;
        let plural = if count == 1 { "" } else { "s" };
        message!(
            "a batch of the provider {} has to answer {count} AI call{plural} ({}), which takes up \
             to a day; `sitewright order show` lists what waits",
            list(&calls.providers),
            list(&calls.purposes)
        )
    }
}

impl fmt::Debug for OrderBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderBatches").field("order", &self.order).finish_non_exhaustive()
    }
}

/// A call without a batch that is under way.
struct DirectCall(Arc<Gathering>);

impl Drop for DirectCall {
    fn drop(&mut self) {
        let mut calls = self.0.calls.lock();
        calls.direct = calls.direct.saturating_sub(1);
        // What came of it is stored meanwhile.
        calls.last = Instant::now();
        drop(calls);
        self.0.changed.notify_waiters();
    }
}

#[async_trait]
impl BatchQueue for OrderBatches {
    async fn known(&self, key: &JournalKey) -> KnownCall {
        let found = until_it_answers("look for the answer of a batch", || {
            self.database.known_batch_call(&self.order, key)
        });
        match found.await {
            Ok(known) => {
                if let KnownCall::Sent { purpose, provider } = &known {
                    self.state.waits(purpose.clone(), provider.clone());
                }
                known
            }
            Err(error) => {
                // It is looked for again when the call is added.
                tracing::warn!(
                    order = self.order,
                    %error,
                    "it cannot be read whether a batch has answered an AI call"
                );
                KnownCall::Unknown
            }
        }
    }

    async fn add(&self, call: NewBatchCall) -> BatchedCall {
        let added = until_it_answers("store an AI call for a batch", || {
            self.database.add_batch_item(&self.order, call.clone())
        });
        let added = added.await;
        let NewBatchCall { purpose, provider, .. } = call;
        match added {
            Ok(BatchedCall::Waits) => {
                self.state.waits(purpose, provider);
                BatchedCall::Waits
            }
            Ok(known @ (BatchedCall::Answered(_) | BatchedCall::Direct)) => known,
            Err(error) => {
                tracing::warn!(
                    order = self.order,
                    purpose,
                    %error,
                    "an AI call cannot be stored for a batch, so it is made at once and costs its \
                     full price"
                );
                BatchedCall::Direct
            }
        }
    }

    async fn end(&self, key: &JournalKey, end: BatchedEnd) {
        if let BatchedEnd::Direct(reason) = &end {
            tracing::warn!(
                order = self.order,
                reason,
                "the answer of a batch cannot be used, so its AI call is made without one"
            );
        }
        if let Err(error) = self.database.end_batch_item(&self.order, key, end).await {
            // Its reply is in the journal, which is asked first.
            tracing::warn!(
                order = self.order,
                %error,
                "it cannot be stored that a batched AI call has ended"
            );
        }
    }

    fn directly(&self) -> Box<dyn Send + Sync> {
        let mut calls = self.state.calls.lock();
        calls.direct += 1;
        calls.last = Instant::now();
        Box::new(DirectCall(self.state.clone()))
    }
}

/// Why a batch could not be seen to.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    #[error(transparent)]
    Database(#[from] Error),
    /// The provider.
    #[error(transparent)]
    Api(#[from] BatchError),
}

/// The batches that are seen to at the moment.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<Result<(), Error>>,
    /// Id and provider of the batch of each task.
    batches: HashMap<tokio::task::Id, (String, String)>,
}

impl UnderWay {
    /// How the next of them ended; `None` if there is none. Cancel-safe.
    async fn next(&mut self) -> Option<Result<(), Error>> {
        let (id, done) = match self.tasks.join_next_with_id().await? {
            Ok((id, done)) => (id, done),
            Err(error) => {
                // It is this worker's still, and is taken again.
                tracing::error!(%error, "the host failed while it saw to a batch of AI calls");
                (error.id(), Ok(()))
            }
        };
        self.batches.remove(&id);
        Some(done)
    }

    fn has_room_for(&self, batch: &str, provider: &str) -> bool {
        let of_provider = self.batches.values().filter(|(_, of)| of == provider).count();
        of_provider < AT_ONCE_OF_PROVIDER && self.batches.values().all(|(id, _)| id != batch)
    }
}

/// Sends batches and reads their answers.
pub(super) struct Batches {
    database: Database,
    gateway: Arc<Gateway>,
    /// The worker's id in the queue.
    worker: String,
    /// By batch.
    looked: Mutex<HashMap<String, Looked>>,
    /// When answers that no order reads are looked for.
    unread_due: Mutex<Instant>,
}

/// What this worker remembers of a batch that it could not read to its end.
#[derive(Debug)]
struct Looked {
    /// Looks in a row for which the provider did not find the batch, and when the first of them was.
    missing: u32,
    since: Option<Instant>,
    /// When the first of the looks in a row was that failed.
    failing_since: Option<Instant>,
    /// What was stored of its answers.
    outcome: BatchOutcome,
    /// Whether it was logged that this worker cannot see to it.
    is_foreign: bool,
    /// Whether its provider has accepted that it is cancelled.
    is_cancelled: bool,
    /// When this was last changed.
    at: Instant,
}

impl Default for Looked {
    fn default() -> Self {
        Looked {
            missing: 0,
            since: None,
            failing_since: None,
            outcome: BatchOutcome::default(),
            is_foreign: false,
            is_cancelled: false,
            at: Instant::now(),
        }
    }
}

impl Looked {
    /// Whether a batch that is too old, and could not be seen to at this time either, is given up.
    /// `is_first`: the last look of all workers did not fail.
    fn is_given_up(&mut self, is_first: bool, now: Instant) -> bool {
        let before = self.failing_since.filter(|_| !is_first);
        let since = *self.failing_since.insert(before.unwrap_or(now));
        now.saturating_duration_since(since) >= FAILING_FOR
    }

    /// Whether a batch that was not found at this time either is gone.
    fn is_gone(&mut self, now: Instant) -> bool {
        self.missing = self.missing.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        self.missing >= MISSING_LOOKS && now.saturating_duration_since(since) >= MISSING_FOR
    }
}

impl Batches {
    pub(super) fn new(database: Database, gateway: Arc<Gateway>, worker: String) -> Self {
        let unread_due = Mutex::new(Instant::now());
        Batches { database, gateway, worker, looked: Mutex::default(), unread_due }
    }

    /// Sees to batches until it is dropped.
    pub(super) async fn keep(self) {
        let batches = Arc::new(self);
        let config = *batches.gateway.batch_config();
        let every = Duration::from_millis(config.poll_ms.min(config.collect_ms.max(100)));
        let mut ticks = tokio::time::interval(every.min(LONGEST_PASS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut under_way = UnderWay::default();
        let mut failures = 0u32;
        loop {
            let done = tokio::select! {
                _ = ticks.tick() => batches.pass(&config, &mut under_way).await,
                Some(done) = under_way.next() => done,
            };
            match done {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 || failures.is_multiple_of(60) {
                        tracing::warn!(
                            failures,
                            %error,
                            "batches of AI calls are not seen to while the database fails; it is \
                             tried again"
                        );
                    }
                }
            }
        }
    }

    /// Begins to see to the batches that are due, and releases orders whose batches have ended. A
    /// part that fails stops no other one; the first error is returned.
    async fn pass(
        self: &Arc<Self>,
        config: &BatchConfig,
        under_way: &mut UnderWay,
    ) -> Result<(), Error> {
        let mut done = Ok(());
        // Workers without batches in their configuration release orders too.
        if self.gateway.has_batches() {
            self.looked.lock().retain(|_, looked| looked.at.elapsed() < FORGET_AFTER);
            done = done.and(self.collect(config).await);
            done = done.and(self.see_to_due(config, under_way).await);
            done = done.and(self.charge_unread(config).await);
        }
        done.and(self.release().await)
    }

    async fn collect(&self, config: &BatchConfig) -> Result<(), Error> {
        let collecting = Collecting {
            wait: Duration::from_millis(config.collect_ms),
            items: usize::try_from(config.max_items).unwrap_or(usize::MAX),
            bytes: BatchConfig::MAX_BYTES,
        };
        self.database.collect_batches(&self.worker, collecting).await.map(drop)
    }

    async fn see_to_due(
        self: &Arc<Self>,
        config: &BatchConfig,
        under_way: &mut UnderWay,
    ) -> Result<(), Error> {
        while under_way.tasks.len() < AT_ONCE {
            let may = |offered: &OfferedBatch| {
                under_way.has_room_for(&offered.id, &offered.provider)
                    && self.is_wanted(offered, config)
            };
            let due = self.database.take_due_batch(&self.worker, LEASE, &may).await?;
            let Some(due) = due else { break };
            let (batches, config) = (self.clone(), *config);
            let batch = (due.id.clone(), due.provider.clone());
            let task = under_way.tasks.spawn(async move { batches.see_to(&due, &config).await });
            under_way.batches.insert(task.id(), batch);
        }
        Ok(())
    }

    async fn release(&self) -> Result<(), Error> {
        loop {
            let released = self.database.release_batched_orders().await?;
            if released == 0 {
                return Ok(());
            }
            tracing::info!(orders = released, "orders whose batches are answered are due");
        }
    }

    /// Charges answers to orders that had ended before they were there. If there is none, they are
    /// not looked for again for a while: all answered calls have to be compared with their orders.
    async fn charge_unread(&self, config: &BatchConfig) -> Result<(), Error> {
        if *self.unread_due.lock() > Instant::now() {
            return Ok(());
        }
        let mut charged = 0;
        for id in self.database.unread_answers().await? {
            charged += u32::from(self.charge(&id).await?);
        }
        if charged == 0 {
            let every = Duration::from_millis(config.poll_ms).min(UNREAD_EVERY);
            *self.unread_due.lock() = Instant::now() + every;
        }
        Ok(())
    }

    /// Charges an answer that no order reads. Returns `false` if nothing was charged.
    async fn charge(&self, id: &str) -> Result<bool, Error> {
        let Some(unread) = self.database.unread_answer(id).await? else { return Ok(false) };
        let UnreadAnswer { id, order, tenant, key, purpose, answer } = unread;
        let gateway = self.gateway.clone();
        // It may have megabytes.
        let reading =
            tokio::task::spawn_blocking(move || gateway.unread_answer(key, purpose, &answer));
        let unusable = match reading.await {
            Ok(unusable) => unusable,
            Err(error) => {
                tracing::error!(order, item = id, %error, "reading an answer of a batch failed");
                return Ok(false);
            }
        };
        let charged = self.database.charge_unread(&id, unusable_call(&unusable)).await?;
        if charged {
            self.gateway.charge_days(tenant.as_deref(), &unusable);
            tracing::info!(
                order,
                provider = unusable.provider,
                model = unusable.model,
                "a batch has answered an AI call of an order that had ended: the answer is charged \
                 to it and not used"
            );
        }
        Ok(charged)
    }

    /// Whether this worker can see to a batch, or has to end it: its configuration may be older or
    /// newer than that of the worker that has sent it, which is paid for.
    fn is_wanted(&self, offered: &OfferedBatch, config: &BatchConfig) -> bool {
        let OfferedBatch { id, provider, model, since } = offered;
        if self.gateway.tries_in_batch(provider, model) || is_too_old(*since, config) {
            return true;
        }
        let is_known = self.change(id, |looked| std::mem::replace(&mut looked.is_foreign, true));
        if !is_known {
            tracing::warn!(
                batch = id,
                provider,
                model,
                give_up_h = config.give_up_h,
                "no route of this worker's configuration tries this model of a provider with a \
                 batch API, so a batch is left to other workers until it is given up"
            );
        }
        false
    }

    async fn see_to(&self, due: &DueBatch, config: &BatchConfig) -> Result<(), Error> {
        let batch =
            Batch { id: due.id.clone(), provider: due.provider.clone(), model: due.model.clone() };
        let done = async {
            match &due.remote {
                None => self.send(due, &batch, config).await,
                Some(remote) => self.look(due, &batch, remote, config).await,
            }
        };
        let done = timeout(SEEN_TO_WITHIN, done).await.unwrap_or_else(|_| {
            let minutes = SEEN_TO_WITHIN.as_secs() / 60;
            let message = message!("the provider took more than {minutes} min");
            Err(NotDone::Api(BatchError { message, kind: BatchErrorKind::Transient }))
        });
        let error = match done {
            Ok(()) => return Ok(()),
            Err(NotDone::Database(error)) => return Err(error),
            Err(NotDone::Api(error)) => error,
        };
        let is_given_up =
            self.change(&due.id, |looked| looked.is_given_up(due.error.is_none(), Instant::now()));
        let is_over = is_given_up && is_too_old(due.since, config);
        if error.kind != BatchErrorKind::Transient || is_over {
            return self.ended(due, error.message.as_str()).await;
        }
        let wait = distance(config, due.looks);
        // Once for each reason: a key that is refused all day must not fill the log.
        if due.error.as_deref() != Some(error.message.as_str()) {
            tracing::warn!(
                batch = due.id,
                provider = due.provider,
                again_in_ms = millis(wait),
                give_up_h = config.give_up_h,
                "a batch of AI calls cannot be seen to now, and is tried again until it is given \
                 up: {error}"
            );
        }
        self.database.postpone_batch(&due.id, wait, Some(error.message.as_str())).await
    }

    /// Sends a batch, unless the provider has it already.
    async fn send(
        &self,
        due: &DueBatch,
        batch: &Batch,
        config: &BatchConfig,
    ) -> Result<(), NotDone> {
        let known = match due.may_be_sent {
            true => {
                let found = self.gateway.find_batch(batch).await;
                // A provider without a list of batches answers that it does not find it, each time.
                let found = found.map_err(|error| self.unless_gone(&due.id, error))?;
                self.found(&due.id);
                found
            }
            false => None,
        };
        let found = known.is_some();
        let (remote, calls) = match known {
            Some(remote) => (remote, None),
            None => {
                let items = self.database.items_to_send(&due.id).await?;
                if items.is_empty() {
                    return Ok(self.nobody_waits(due).await?);
                }
                let calls = items.len();
                let requests = items.into_iter().map(|item| BatchRequest {
                    id: item.id,
                    route: item.route,
                    body: item.body,
                });
                let sent = self.gateway.send_batch(batch, requests.collect()).await;
                // Somebody mends the key or the account: directly, the calls would fare no better.
                let sent = sent.map_err(|error| match error.kind {
                    BatchErrorKind::Denied => later(error),
                    _ => error,
                });
                (sent?, Some(calls))
            }
        };
        self.store_sent(due, &remote, distance(config, 0)).await?;
        tracing::info!(
            batch = due.id,
            remote,
            provider = due.provider,
            model = due.model,
            calls,
            found,
            "a batch of AI calls was sent"
        );
        Ok(())
    }

    /// Ends a batch that was not sent, and whose orders were cancelled or erased meanwhile.
    async fn nobody_waits(&self, due: &DueBatch) -> Result<(), Error> {
        self.database.end_batch(&due.id, "no order waits for it").await.map(drop)
    }

    /// Stores that a batch was sent. A database that is away is waited for: not every provider finds
    /// a batch again whose id is lost.
    async fn store_sent(&self, due: &DueBatch, remote: &str, wait: Duration) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            match self.database.batch_was_sent(&due.id, remote, wait).await {
                Err(error) if error.is_transient() && tries < STORE_TRIES => {
                    tries += 1;
                    tracing::warn!(
                        batch = due.id,
                        remote,
                        tries,
                        %error,
                        "the id of a batch that was sent cannot be stored; it is tried again"
                    );
                    tokio::time::sleep(STORE_AGAIN).await;
                }
                stored => return stored,
            }
        }
    }

    /// Looks whether a batch has ended, and reads its answers.
    async fn look(
        &self,
        due: &DueBatch,
        batch: &Batch,
        remote: &str,
        config: &BatchConfig,
    ) -> Result<(), NotDone> {
        // The batch is paid for: nothing but its end, as its provider tells it, ends it early.
        let progress = self.gateway.batch_progress(batch, remote).await;
        let progress = progress.map_err(|error| self.unless_gone(&due.id, error))?;
        self.found(&due.id);
        match progress {
            BatchProgress::Ended(ended) => self.read(due, batch, &ended).await,
            BatchProgress::Running | BatchProgress::Cancelling if is_too_old(due.since, config) => {
                let why = format!("its batch has not ended within {} h", config.give_up_h);
                Ok(self.ended(due, &why).await?)
            }
            BatchProgress::Running if self.is_unwanted(&due.id).await? => {
                self.cancel(due, batch, remote).await?;
                Ok(self.database.postpone_batch(&due.id, distance(config, 0), None).await?)
            }
            BatchProgress::Running | BatchProgress::Cancelling => {
                let wait = distance(config, due.looks.saturating_add(1));
                Ok(self.database.postpone_batch(&due.id, wait, None).await?)
            }
        }
    }

    /// Whether a batch that runs has to be cancelled: no order waits for it, and this worker has
    /// not cancelled it. That another one has, its provider says.
    async fn is_unwanted(&self, batch: &str) -> Result<bool, Error> {
        let is_cancelled = self.change(batch, |looked| looked.is_cancelled);
        Ok(!is_cancelled && !self.database.is_batch_wanted(batch).await?)
    }

    async fn cancel(&self, due: &DueBatch, batch: &Batch, remote: &str) -> Result<(), NotDone> {
        // Before that: an order may be queued again while the provider cancels it.
        self.database.set_batch_cancelled(&due.id).await?;
        // If it cannot be cancelled because it has ended meanwhile, the next look says so.
        self.gateway.cancel_batch(batch, remote).await.map_err(later)?;
        self.change(&due.id, |looked| looked.is_cancelled = true);
        tracing::info!(
            batch = due.id,
            remote,
            provider = due.provider,
            model = due.model,
            "a batch of AI calls was cancelled at its provider: all of its orders have ended"
        );
        Ok(())
    }

    /// Changes what this worker remembers of a batch.
    fn change<T>(&self, batch: &str, change: impl FnOnce(&mut Looked) -> T) -> T {
        let mut all = self.looked.lock();
        let looked = all.entry(batch.to_owned()).or_default();
        looked.at = Instant::now();
        change(looked)
    }

    /// The error of a look at a batch, which is tried again unless the batch is gone.
    fn unless_gone(&self, batch: &str, error: BatchError) -> BatchError {
        let is_gone = error.kind == BatchErrorKind::NotFound
            && self.change(batch, |looked| looked.is_gone(Instant::now()));
        if is_gone { error } else { later(error) }
    }

    /// Notes that a look at a batch was answered.
    fn found(&self, batch: &str) {
        if let Some(looked) = self.looked.lock().get_mut(batch) {
            (looked.missing, looked.since) = (0, None);
        }
    }

    /// Adds what was stored of a batch to what this worker has stored of it before.
    fn add(&self, batch: &str, outcome: BatchOutcome) {
        self.change(batch, |looked| looked.outcome += outcome);
    }

    async fn read(&self, due: &DueBatch, batch: &Batch, ended: &EndedBatch) -> Result<(), NotDone> {
        let mut results = self.gateway.batch_results(batch, ended)?;
        let (mut answers, mut bytes): (Vec<ItemAnswer>, _) = (Vec::new(), 0);
        loop {
            let next = match results.next().await {
                Ok(next) => next,
                Err(error) => {
                    let stored = self.database.store_batch_answers(&due.id, answers).await?;
                    self.add(&due.id, stored);
                    return Err(later(error).into());
                }
            };
            let is_last = next.is_none();
            if let Some(result) = next {
                bytes += result.answer.as_ref().map_or(0, String::len);
                answers.push((result.id, result.answer));
            }
            if is_last || answers.len() >= STORE_ITEMS || bytes >= STORE_BYTES {
                let answers = std::mem::take(&mut answers);
                let stored = self.database.store_batch_answers(&due.id, answers).await?;
                self.add(&due.id, stored);
                bytes = 0;
            }
            if is_last {
                break;
            }
        }
        Ok(self.ended(due, &ended.why).await?)
    }

    /// Ends a batch, because of `why` if calls have no answer, and says how many are made without it.
    async fn ended(&self, due: &DueBatch, why: &str) -> Result<(), Error> {
        let left = self.database.end_batch(&due.id, why).await?;
        let looked = self.looked.lock().remove(&due.id);
        let mut outcome = looked.map(|looked| looked.outcome).unwrap_or_default();
        let reason = (left > 0).then(|| why.to_owned());
        outcome += BatchOutcome { answers: 0, unanswered: left, reason };
        let BatchOutcome { answers, unanswered, reason } = outcome;
        if unanswered == 0 {
            tracing::info!(
                batch = due.id,
                provider = due.provider,
                model = due.model,
                answers,
                unanswered,
                "a batch of AI calls has ended"
            );
        } else {
            tracing::warn!(
                batch = due.id,
                provider = due.provider,
                model = due.model,
                answers,
                unanswered,
                "a batch has not answered all of its AI calls: those without an answer are made \
                 without one, at their full price: {}",
                reason.as_deref().unwrap_or("the provider gives no reason")
            );
        }
        Ok(())
    }
}

/// Whether a batch is so old that it has ended at its provider.
fn is_too_old(since: i64, config: &BatchConfig) -> bool {
    let age = now_ms().saturating_sub(since);
    age > i64::from(config.give_up_h).saturating_mul(3_600_000)
}

/// The error of a request that is tried again, unless none can succeed.
fn later(error: BatchError) -> BatchError {
    match error.kind {
        BatchErrorKind::Final => error,
        _ => BatchError { kind: BatchErrorKind::Transient, ..error },
    }
}

/// Time before the next look at a batch: it doubles up to ten times the first one.
fn distance(config: &BatchConfig, looks: u32) -> Duration {
    let first = Duration::from_millis(config.poll_ms);
    let doubled = 2u32.checked_pow(looks.min(4)).unwrap_or(10);
    first.saturating_mul(doubled.min(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_gone_after_some_looks_over_some_time() {
        let begin = Instant::now();
        for (minutes, expected) in [
            (&[0, 10][..], false),
            (&[0, 1, 2, 3, 9][..], false),
            (&[0, 1, 10][..], true),
            (&[0, 30, 60][..], true),
        ] {
            let mut looked = Looked::default();
            let mut is_gone = false;
            for minute in minutes {
                is_gone = looked.is_gone(begin + Duration::from_secs(minute * 60));
            }
            assert_eq!(is_gone, expected, "{minutes:?}");
        }
    }

    #[test]
    fn a_batch_is_given_up_after_an_hour_of_failures_in_a_row() {
        let begin = Instant::now();
        // Minutes, and whether the look before failed.
        for (looks, expected) in [
            (&[(0, false)][..], false),
            // No worker looked for days.
            (&[(0, true)][..], false),
            (&[(0, false), (59, true)][..], false),
            (&[(0, false), (30, true), (60, true)][..], true),
            (&[(0, true), (60, true)][..], true),
            (&[(0, false), (30, false), (60, true)][..], false),
            (&[(0, false), (30, false), (90, true)][..], true),
        ] {
            let mut looked = Looked::default();
            let mut is_given_up = false;
            for (minute, failed_before) in looks {
                let now = begin + Duration::from_secs(minute * 60);
                is_given_up = looked.is_given_up(!failed_before, now);
            }
            assert_eq!(is_given_up, expected, "{looks:?}");
        }
    }

    #[test]
    fn looks_at_a_batch_are_further_apart_each_time_up_to_a_bound() {
        let config = BatchConfig { poll_ms: 100, ..BatchConfig::default() };
        for (looks, ms) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (u32::MAX, 1000)] {
            assert_eq!(distance(&config, looks).as_millis(), ms, "{looks}");
        }
    }
}
