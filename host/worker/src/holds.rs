//! What this worker knows about holds, and what it tells the others: which orders it may attempt,
//! which failures are not the order's, and when a cause is gone.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::circuit::{CircuitSettings, Circuits, Opened};
use super::fault::{self, Fault, MetBy};
use sitewright_ai::{
    BreakerState, BudgetUnit, Gateway, Journal, JournalEntry, JournalKey, Recalled, Request,
    UnusableReply, UsedBudget,
};
use sitewright_jobs::{
    Backoff, BreakerSeries, BudgetLimit, Claimed, Database, Error, Gate, Hold, HoldCause, HoldId,
    HoldKind, HoldScope, NewHold, OwnQueue, Probing, ReachedBudget, Served, Sweep,
};
use sitewright_model::ai::{AiError, AiErrorKind, Attempt, CallId};
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;
use sitewright_runtime::plugin::Catalogue;

/// Time after which the worker stores again which templates it has: another worker may have deleted
/// its rows.
const PUBLISH_EVERY: Duration = Duration::from_secs(15);

/// Time within which a hold that this worker found is stored. After that, the database is right.
const STORED_WITHIN: Duration = Duration::from_secs(5);
/// How long a route is known to work after the reply that released its hold.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The part of the configuration that holds depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldSettings {
    /// The distances of probes.
    pub(super) backoff: Backoff,
    pub(super) template_grace: Duration,
    pub(super) circuit: CircuitSettings,
    pub(super) max_orders: usize,
}

/// The holds as this worker knows them.
pub(super) struct Holds {
    database: Database,
    catalogue: Catalogue,
    gateway: Arc<Gateway>,
    settings: HoldSettings,
    known: RwLock<BTreeMap<HoldId, KnownHold>>,
    circuits: Circuits,
    /// Routes whose hold the reply of an order has released here, and when.
    answered: RwLock<BTreeMap<HoldId, Instant>>,
    /// Attempts that run in this process.
    running: AtomicUsize,
    started_at: i64,
    /// An order came whose template this worker does not have.
    missing: Notify,
}

#[derive(Debug, Clone)]
struct KnownHold {
    cause: HoldCause,
    reason: String,
    fingerprint: Option<String>,
    /// When it was set or found, in milliseconds since the Unix epoch.
    since: i64,
    /// When this worker found the cause, if the database did not have the hold then. It is stored
    /// together with the end of its attempt.
    found: Option<Instant>,
}

impl fmt::Debug for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holds").field("known", &*self.known.read()).finish_non_exhaustive()
    }
}

/// What this worker has stored about itself.
#[derive(Debug, Default)]
struct Published {
    /// The templates that it has.
    served: Vec<Served>,
    at: Option<Instant>,
    /// The last digest of each template, also of those whose file is away.
    digests: BTreeMap<String, String>,
    /// The budgets of the day that it has used up.
    budgets: BTreeSet<(u64, Option<String>)>,
    /// Whether the orders are due that the budget of a day had put off before it started.
    has_resumed: bool,
}

/// Counts a running attempt until it is dropped.
pub(super) struct RunningOrder(Arc<Holds>);

impl Drop for RunningOrder {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Holds {
    pub(super) fn new(
        database: Database,
        catalogue: Catalogue,
        gateway: Arc<Gateway>,
        settings: HoldSettings,
    ) -> Arc<Self> {
        Arc::new(Holds {
            database,
            catalogue,
            gateway,
            circuits: Circuits::new(settings.circuit),
            settings,
            known: RwLock::default(),
            answered: RwLock::default(),
            running: AtomicUsize::new(0),
            started_at: now_ms(),
            missing: Notify::new(),
        })
    }

    /// Reads the holds before the first order is claimed.
    pub(super) async fn load(&self) -> Result<(), Error> {
        self.note_breakers();
        self.learn(self.database.holds().await?);
        Ok(())
    }

    /// Notes which circuit breakers are open, for the metrics of this process.
    fn note_breakers(&self) {
        let mut noted = BTreeMap::new();
        for BreakerState { route, provider, model, is_open } in self.gateway.breakers() {
            // A route may name one model twice.
            *noted.entry(BreakerSeries { route, provider, model }).or_insert(false) |= is_open;
        }
        self.database.ai_counts().set_breakers(noted);
    }

    pub(super) fn enter(self: &Arc<Self>) -> RunningOrder {
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningOrder(self.clone())
    }

    /// Waits until an order came whose template this worker does not have.
    pub(super) async fn until_template_is_missing(&self) {
        self.missing.notified().await;
    }

    /// The name that a hold of this purpose's route has: the route's, or the purpose's if the
    /// configuration has no route for it.
    fn route_of(&self, purpose: &str) -> HoldId {
        HoldId::new(HoldKind::Route, self.gateway.route_name(purpose).unwrap_or(purpose))
    }

    fn routes_of_template(&self, template: &str) -> BTreeSet<HoldId> {
        let Some(template) = self.catalogue.served(template) else { return BTreeSet::new() };
        let purposes = template.manifest.ai_purposes.iter();
        purposes.map(|purpose| self.route_of(&purpose.name)).collect()
    }

    /// The order's journal; of a probe, one that notices the first reply of the held route.
    pub(super) fn watch_replies(
        self: &Arc<Self>,
        claimed: &Claimed,
        journal: Arc<dyn Journal>,
    ) -> Arc<dyn Journal> {
        let is_route = |id: &&HoldId| id.kind == HoldKind::Route;
        let probes: Vec<HoldId> = claimed.probes.iter().filter(is_route).cloned().collect();
        if probes.is_empty() {
            return journal;
        }
        // It is to find out whether the provider answers again, so it must ask. A circuit of one
        // tenant's orders says nothing of the provider.
        let asks = |probe: &&HoldId| probe.scope == HoldScope::All || self.is_held_for_fault(probe);
        probes.iter().filter(asks).for_each(|probe| self.gateway.half_open(&probe.name));
        Arc::new(ProbeJournal { journal, holds: self.clone(), probes })
    }

    /// Records an attempt that made a site.
    pub(super) async fn succeeded(&self, claimed: &Claimed) {
        let template = HoldId::new(HoldKind::Template, &*claimed.template);
        let tenant = HoldScope::of_tenant(claimed.tenant.as_deref());
        for route in self.routes_of_template(&claimed.template) {
            self.circuits.record_success(route, &tenant);
        }
        for probe in &claimed.probes {
            // The replies of an order may all come from its journal, which tells nothing of a key.
            if probe.kind == HoldKind::Template || self.is_circuit(probe) {
                self.release(probe, "the order that was let through made its site").await;
            }
        }
        self.circuits.record_success(template, &tenant);
    }

    /// The hold for which the order of a failed attempt waits, if the failure is not its own.
    /// `counts` tells whether the failure would use an attempt or end the order.
    pub(super) async fn judge(
        &self,
        claimed: &Claimed,
        record: &FailureRecord,
        counts: bool,
    ) -> Option<NewHold> {
        let is_probe = |purpose: &str| self.probed_fault(claimed, purpose).is_some();
        let fault = fault::of_probe(record, is_probe);
        // One order must not hold a route again that has just answered another. If the route is held
        // since then and this is its probe, another order has met the cause, too: a probe uses no
        // attempt, and the next one comes later.
        let is_own = |fault: &Fault| {
            fault::may_be_of_one_order(fault.cause)
                && !is_probe(&fault.purpose)
                && self.has_answered(&self.route_of(&fault.purpose))
        };
        if let Some(fault) = fault.filter(|fault| !is_own(fault)) {
            let scope = match fault.met_by {
                MetBy::All => HoldScope::All,
                MetBy::Tenant => self.scope_of(claimed).await,
                MetBy::OfProbe => self
                    .probed_fault(claimed, &fault.purpose)
                    .map_or(HoldScope::All, |probe| probe.scope.clone()),
            };
            let hold = self.of_fault(&fault, scope);
            self.found(&hold);
            return Some(hold);
        }
        let route = match &record.ai {
            Some(ai) if record.kind == FailureKind::Ai => Some(self.route_of(&ai.purpose)),
            _ => None,
        };
        // Successes are counted for the routes that templates declare.
        let declared = route.filter(|id| self.routes_of_template(&claimed.template).contains(id));
        // What is open for all has been met by enough calls.
        let is_open = declared.is_some()
            && self.settings.circuit.percent < 100
            && fault::is_open_for_all(record);
        let of = declared.unwrap_or_else(|| HoldId::new(HoldKind::Template, &*claimed.template));
        let counts = is_open || counts || fault::is_partly_unsent(record);
        let counts = counts && !fault::is_of_the_order(record);
        let fingerprint = record.fingerprint.as_deref().filter(|_| counts);
        let hold = match fingerprint {
            None => None,
            Some(fingerprint) if is_open => Some(self.of_open_breakers(&of, fingerprint, record)),
            Some(fingerprint) => self.of_circuits(claimed, &of, fingerprint, record).await,
        };
        if let Some(hold) = &hold {
            self.found(hold);
        }
        for probe in &claimed.probes {
            if hold.as_ref().is_some_and(|hold| hold.id == *probe) {
                continue;
            }
            // It ran and ended otherwise.
            let ended_otherwise = || {
                fingerprint.is_some_and(|fingerprint| !self.is_held_for(probe, fingerprint))
                    && of.is_of_same(probe)
            };
            let is_over = match probe.kind {
                HoldKind::Template => ended_otherwise(),
                HoldKind::Route if self.is_circuit(probe) => ended_otherwise(),
                HoldKind::Route => {
                    fault::has_answer(record, |purpose| self.route_of(purpose).is_of_same(probe))
                }
                HoldKind::Missing => false,
            };
            if is_over {
                self.release(probe, "the order that was let through ended otherwise").await;
            }
        }
        hold
    }

    /// The hold of the circuit that an order with such a failure waits for: the order began before
    /// it opened, is its probe, or opens it.
    async fn of_circuits(
        &self,
        claimed: &Claimed,
        of: &HoldId,
        fingerprint: &str,
        record: &FailureRecord,
    ) -> Option<NewHold> {
        let tenant = HoldScope::of_tenant(claimed.tenant.as_deref());
        for id in [of.clone(), of.clone().within(tenant.clone())] {
            let held = self.known.read().get(&id).cloned();
            if let Some(held) = held
                && held.fingerprint.as_deref() == Some(fingerprint)
            {
                return Some(self.of_circuit(id, fingerprint, held.reason));
            }
        }
        let opened = self.circuits.record_failure(of, &tenant, fingerprint)?;
        let scope = match opened.scope {
            HoldScope::All => HoldScope::All,
            HoldScope::Tenant(_) | HoldScope::NoTenant => self.scope_of(claimed).await,
        };
        let id = of.clone().within(scope);
        let reason = circuit_reason(&id, fingerprint, record, &opened);
        Some(self.of_circuit(id, fingerprint, reason))
    }

    /// The hold of a route whose candidates have circuit breakers that are open for all: the first
    /// that is found. While it is held, its probes may fail otherwise.
    fn of_open_breakers(
        &self,
        route: &HoldId,
        fingerprint: &str,
        record: &FailureRecord,
    ) -> NewHold {
        let held = self.known.read().get(route).cloned();
        if let Some(held) = held
            && let Some(first) = held.fingerprint
        {
            return self.of_circuit(route.clone(), &first, held.reason);
        }
        let reason = open_reason(route, fingerprint, record);
        self.of_circuit(route.clone(), fingerprint, reason)
    }

    /// The hold for a fault of the route of this purpose whose probe the order is.
    fn probed_fault<'a>(&self, claimed: &'a Claimed, purpose: &str) -> Option<&'a HoldId> {
        let route = self.route_of(purpose);
        let is_probed = |probe: &&HoldId| probe.is_of_same(&route) && self.is_held_for_fault(probe);
        claimed.probes.iter().find(is_probed)
    }

    /// Whose orders wait for what those of this order's tenant meet. Of one without a tenant: all,
    /// unless others have one.
    async fn scope_of(&self, claimed: &Claimed) -> HoldScope {
        if claimed.tenant.is_some() {
            return HoldScope::of_tenant(claimed.tenant.as_deref());
        }
        match self.database.has_tenants().await {
            Ok(false) => HoldScope::All,
            Ok(true) => HoldScope::NoTenant,
            Err(error) => {
                tracing::debug!(%error, "it is not known whether there are orders of tenants");
                // The same orders, if no other one has a tenant.
                HoldScope::NoTenant
            }
        }
    }

    /// Knows a hold before the database has it, so that no further order meets its cause, and
    /// raises the alarm.
    fn found(&self, hold: &NewHold) {
        let mut known = self.known.write();
        if known.contains_key(&hold.id) {
            return;
        }
        let found = KnownHold {
            cause: hold.cause,
            reason: hold.reason.to_string(),
            fingerprint: hold.fingerprint.clone(),
            since: now_ms(),
            found: Some(Instant::now()),
        };
        known.insert(hold.id.clone(), found);
        drop(known);
        alarm(&hold.id, hold.cause, hold.reason.as_str());
    }

    fn of_fault(&self, fault: &Fault, scope: HoldScope) -> NewHold {
        let id = self.route_of(&fault.purpose).within(scope);
        let reason = message!("the route `{}` {}: {}", id.name, is_held(&id), fault.message);
        NewHold {
            id,
            cause: fault.cause,
            reason,
            fingerprint: None,
            probing: self.probing(fault.not_before),
        }
    }

    fn of_circuit(&self, id: HoldId, fingerprint: &str, reason: String) -> NewHold {
        NewHold {
            id,
            cause: HoldCause::Circuit,
            reason: Message::or(&reason, message!("almost all attempts end with one failure")),
            fingerprint: Some(fingerprint.to_owned()),
            probing: self.probing(Duration::ZERO),
        }
    }

    fn probing(&self, not_before: Duration) -> Probing {
        let Backoff { first, longest, .. } = self.settings.backoff;
        Probing::Every { first, longest, not_before }
    }

    fn is_circuit(&self, id: &HoldId) -> bool {
        self.known.read().get(id).is_some_and(|known| known.cause == HoldCause::Circuit)
    }

    /// Whether it is held because of the failure with this fingerprint.
    fn is_held_for(&self, id: &HoldId, fingerprint: &str) -> bool {
        let known = self.known.read();
        known.get(id).is_some_and(|known| known.fingerprint.as_deref() == Some(fingerprint))
    }

    /// Whether it is held, and not because a circuit is open.
    fn is_held_for_fault(&self, id: &HoldId) -> bool {
        self.known.read().get(id).is_some_and(|known| known.cause != HoldCause::Circuit)
    }

    /// Whether the reply of an order has released the hold of a route here, not long ago.
    fn has_answered(&self, route: &HoldId) -> bool {
        self.answered.read().get(route).is_some_and(|at| at.elapsed() < ANSWERED_WITHIN)
    }

    /// Releases a hold whose probe showed that its cause is gone.
    async fn release(&self, id: &HoldId, why: &str) {
        let cause = self.known.read().get(id).map(|known| known.cause);
        // An operator has held it since the probe began.
        if cause == Some(HoldCause::Operator) {
            return;
        }
        // A circuit also closes when an order ends otherwise, or gets all replies from its journal.
        if id.kind == HoldKind::Route && cause != Some(HoldCause::Circuit) {
            let mut answered = self.answered.write();
            answered.retain(|_, at| at.elapsed() < ANSWERED_WITHIN);
            answered.insert(id.clone(), Instant::now());
        }
        self.released_with(id, self.database.release_probed_hold(id).await, why);
    }

    /// Acts on the release of a hold whose cause is gone.
    fn released_with(&self, id: &HoldId, release: Result<bool, Error>, why: &str) {
        match release {
            Ok(was_set) => {
                self.known.write().remove(id);
                self.circuits.forget(id);
                if was_set {
                    tracing::info!(hold = %id, "a hold is released: {why}");
                }
            }
            Err(error) => tracing::warn!(
                hold = %id,
                %error,
                "a hold whose cause is gone cannot be released while the database fails; the next \
                 order that is let through releases it"
            ),
        }
    }

    /// Sweeps every `every`, for the worker with this id, until it is dropped.
    pub(super) async fn keep(self: Arc<Self>, worker: String, own: OwnQueue, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut published = Published::default();
        let mut failures = 0u32;
        loop {
            ticks.tick().await;
            self.note_breakers();
            match self.pass(&worker, &own, &mut published).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 || failures.is_multiple_of(60) {
                        tracing::warn!(
                            failures,
                            %error,
                            "orders that wait for a hold cannot be made due while the database \
                             fails; it is tried again"
                        );
                    }
                }
            }
        }
    }

    async fn pass(
        &self,
        worker: &str,
        own: &OwnQueue,
        published: &mut Published,
    ) -> Result<(), Error> {
        let mut served: Vec<Served> = self
            .catalogue
            .all_served()
            .into_iter()
            .map(|(template, digest)| Served { template, digest })
            .collect();
        served.sort();
        let is_stored = published.at.is_some_and(|at| at.elapsed() < PUBLISH_EVERY);
        if published.served != served || !is_stored {
            self.database.publish_templates(worker, served.clone()).await?;
            for one in &served {
                let before = published.digests.insert(one.template.clone(), one.digest.clone());
                if before.is_some_and(|before| before != one.digest) {
                    self.release_replaced(&one.template).await;
                }
            }
            published.served.clone_from(&served);
            published.at = Some(Instant::now());
        }
        let running = self.running.load(Ordering::Relaxed);
        let sweep = Sweep {
            worker: worker.to_owned(),
            served: served.into_iter().map(|one| one.template).collect(),
            room: self.settings.max_orders.saturating_sub(running),
            started_at: self.started_at,
            template_grace: self.settings.template_grace,
        };
        self.publish_budgets(published).await?;
        // Before the orders of a released hold are due, so that they meet no open circuit breaker.
        self.learn(self.database.holds().await?);
        let swept = self.database.sweep_holds(&sweep, Some(own)).await?;
        if swept.released + swept.taken > 0 {
            tracing::info!(
                released = swept.released,
                taken = swept.taken,
                "orders that waited for a hold are due"
            );
        }
        // Last: it may read many records, and no hold waits for it.
        if !published.has_resumed {
            self.resume_put_off().await?;
            published.has_resumed = true;
        }
        Ok(())
    }

    /// Makes orders due that wait because a budget of the day was used up: this worker has just
    /// started, so its own is not, and it may be a larger one.
    async fn resume_put_off(&self) -> Result<(), Error> {
        let (mut after, mut resumed) = (String::new(), 0);
        loop {
            let delayed = self.database.delayed_orders(&after).await?;
            let Some(last) = delayed.last() else { break };
            after.clone_from(&last.order);
            let is_put_off = |record| {
                serde_json::from_value::<FailureRecord>(record)
                    .is_ok_and(|record| fault::is_put_off(&record))
            };
            let put_off: Vec<String> = delayed
                .into_iter()
                .filter_map(|one| is_put_off(one.record).then_some(one.order))
                .collect();
            resumed += self.database.end_delay(&put_off).await?;
        }
        if resumed > 0 {
            tracing::info!(
                resumed,
                "orders that waited because a budget of the day was used up are due"
            );
        }
        Ok(())
    }

    /// Stores which budgets of the day are used up, each once: webhooks are told of them.
    async fn publish_budgets(&self, published: &mut Published) -> Result<(), Error> {
        let used = self.gateway.used_budgets();
        // A day that has ended does not come again.
        let today = used.first().map_or(u64::MAX, |one| one.day);
        published.budgets.retain(|(day, _)| *day >= today);
        for UsedBudget { tenant, day, unit } in used {
            let key = (day, tenant);
            if published.budgets.contains(&key) {
                continue;
            }
            let limit = match unit {
                BudgetUnit::Tokens => BudgetLimit::Tokens,
                BudgetUnit::Usd => BudgetLimit::Usd,
            };
            let day = i64::try_from(day).unwrap_or(i64::MAX);
            let reached = ReachedBudget { day, tenant: key.1.clone(), limit };
            self.database.budget_reached(reached).await?;
            tracing::warn!(
                tenant = key.1,
                %limit,
                "a budget of the day is used up: its orders wait for the next day; to let them go \
                 on at once, raise it in [ai.budget] and restart the worker"
            );
            published.budgets.insert(key);
        }
        Ok(())
    }

    /// Releases all holds of a template whose file was replaced, also those of single tenants: its
    /// orders are attempted again at once.
    async fn release_replaced(&self, template: &str) {
        let replaced = HoldId::new(HoldKind::Template, template);
        let own: Vec<HoldId> =
            self.known.read().keys().filter(|id| id.is_of_same(&replaced)).cloned().collect();
        for id in own {
            if self.is_circuit(&id) {
                let release = self.database.release_hold(&id).await;
                self.released_with(&id, release, "the template was replaced");
            }
        }
    }

    /// Acts on a hold that is not set any more, although this worker did not release it. The cause
    /// may be gone, so the next order asks the provider, also if a circuit breaker is open.
    fn ended(&self, id: &HoldId) {
        self.circuits.forget(id);
        if id.kind == HoldKind::Route {
            self.gateway.half_open(&id.name);
        }
        tracing::info!(hold = %id, "orders no longer wait for this hold");
    }

    /// Keeps the holds as they are now, and raises the alarm once for each.
    fn learn(&self, holds: Vec<Hold>) {
        let mut now = BTreeMap::new();
        for hold in &holds {
            let known = KnownHold {
                cause: hold.cause,
                reason: hold.reason.clone(),
                fingerprint: hold.fingerprint.clone(),
                since: hold.since,
                found: None,
            };
            now.insert(hold.id.clone(), known);
        }
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        {
            let mut known = self.known.write();
            for (id, before) in &*known {
                let is_being_stored =
                    before.found.is_some_and(|found| found.elapsed() < STORED_WITHIN);
                match now.entry(id.clone()) {
                    // Released and set again since the last look.
                    Entry::Occupied(entry)
                        if id.kind == HoldKind::Route
                            && before.found.is_none()
                            && before.since != entry.get().since =>
                    {
                        self.gateway.half_open(&id.name);
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(entry) if is_being_stored => {
                        entry.insert(before.clone());
                    }
                    Entry::Vacant(_) => gone.push(id.clone()),
                }
            }
            new.extend(holds.iter().filter(|hold| !known.contains_key(&hold.id)));
            *known = now;
        }
        for hold in new {
            alarm(&hold.id, hold.cause, &hold.reason);
        }
        for id in gone {
            self.ended(&id);
        }
    }
}

/// Says whose orders wait for a hold.
fn is_held(id: &HoldId) -> Cow<'static, str> {
    match &id.scope {
        HoldScope::All => "is held".into(),
        HoldScope::Tenant(tenant) => {
            format!("is held for the orders of the tenant `{tenant}`").into()
        }
        HoldScope::NoTenant => "is held for the orders without a tenant".into(),
    }
}

/// What happened and what to do when the circuit breakers of a route are open for all. What to do
/// comes before the words of the provider, which may be long.
fn open_reason(id: &HoldId, fingerprint: &str, record: &FailureRecord) -> String {
    format!(
        "the {} `{}` {}: the circuit breakers of its providers are open for the calls of all, \
         because they failed in a row ({}); see whether the provider has an outage, and \
         `sitewright failures show {fingerprint}`; the route is tried again by itself. The \
         failure: {}",
        id.kind,
        id.name,
        is_held(id),
        seen(record, fingerprint),
        in_full(record)
    )
}

/// The failure in a few words: kind, status and provider of an AI call, and its fingerprint.
fn seen(record: &FailureRecord, fingerprint: &str) -> String {
    let last = record.ai.as_ref().and_then(|ai| Some((ai.kind, ai.attempts.last()?)));
    let Some((kind, last)) = last else {
        return format!("{}; {fingerprint}", record.kind.as_str());
    };
    let opened = last.opened_by.as_ref().and_then(|opened| opened.status);
    let status = match opened.or(last.status) {
        Some(status) => format!("status {status}"),
        None => "no response".to_owned(),
    };
    format!("{}, {status}, provider `{}`; {fingerprint}", kind.as_str(), last.provider)
}

/// The message of a failure; if a circuit breaker rejected the call, of the one that opened it:
/// that nothing was sent says less.
fn in_full(record: &FailureRecord) -> Cow<'_, Message> {
    let is_rejected =
        |ai: &&AiError| ai.attempts.last().is_some_and(|last| last.opened_by.is_some());
    match record.ai.as_ref().filter(is_rejected) {
        Some(ai) => ai.in_full(),
        None => Cow::Borrowed(&record.message),
    }
}

/// What happened and what to do when a circuit opens.
fn circuit_reason(
    id: &HoldId,
    fingerprint: &str,
    record: &FailureRecord,
    Opened { alike, of, .. }: &Opened,
) -> String {
    let whose = if id.scope == HoldScope::All { "its" } else { "their" };
    format!(
        "the {} `{}` {}: {alike} of {whose} last {of} attempts ended with the same failure ({}); \
         see `sitewright failures show {fingerprint}`, fix it or `sitewright route release {id}`. \
         The failure: {}",
        id.kind,
        id.name,
        is_held(id),
        seen(record, fingerprint),
        in_full(record)
    )
}

/// Logs a new hold. What a person has decided, or another worker can do, is no error.
fn alarm(id: &HoldId, cause: HoldCause, reason: &str) {
    if matches!(cause, HoldCause::Operator | HoldCause::Missing) {
        tracing::warn!(hold = %id, %cause, "orders wait: {reason}");
    } else {
        tracing::error!(hold = %id, %cause, "orders wait and use no attempt: {reason}");
    }
}

impl Gate for Holds {
    fn holds_of(&self, template: &str, tenant: Option<&str>) -> Vec<HoldId> {
        if !self.catalogue.has(template) {
            self.missing.notify_one();
            return vec![HoldId::new(HoldKind::Missing, template)];
        }
        let known = self.known.read();
        if known.is_empty() {
            return Vec::new();
        }
        let own = HoldId::new(HoldKind::Template, template);
        let scope = HoldScope::of_tenant(tenant);
        let needed = std::iter::once(own).chain(self.routes_of_template(template));
        let of_each = needed.flat_map(|id| [id.clone().within(scope.clone()), id]);
        of_each.filter(|id| known.contains_key(id)).collect()
    }

    fn released(&self, id: &HoldId, at: i64) {
        let mut known = self.known.write();
        // One that this worker has found since is not in the database yet.
        if known.get(id).is_none_or(|known| known.since > at) {
            return;
        }
        known.remove(id);
        drop(known);
        self.ended(id);
    }
}

/// The journal of a probe.
#[derive(Debug)]
struct ProbeJournal {
    journal: Arc<dyn Journal>,
    holds: Arc<Holds>,
    probes: Vec<HoldId>,
}

#[async_trait]
impl Journal for ProbeJournal {
    fn asked(&self, call: CallId, key: &JournalKey, request: &Request) {
        self.journal.asked(call, key, request);
    }

    async fn lookup(&self, key: &JournalKey) -> Option<JournalEntry> {
        self.journal.lookup(key).await
    }

    async fn recall(&self, call: CallId, key: &JournalKey) -> Option<Recalled> {
        self.journal.recall(call, key).await
    }

    async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        let route = self.holds.route_of(&entry.purpose);
        for probe in &self.probes {
            // One good reply does not tell that a circuit can close, and one that another order
            // paid for tells nothing of the provider.
            let is_held = !entry.cached && self.holds.is_held_for_fault(probe);
            if is_held && probe.is_of_same(&route) {
                self.holds.release(probe, "its provider answers again").await;
            }
        }
        self.journal.store(entry).await
    }

    fn failed(&self, attempt: &Attempt, kind: AiErrorKind) {
        self.journal.failed(attempt, kind);
    }

    async fn account(&self, unusable: &UnusableReply) -> Result<(), Message> {
        self.journal.account(unusable).await
    }
}
