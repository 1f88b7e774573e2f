//! Changes of many orders that go on after the request that began them: a batch at a time, as
//! `order retry` and `order cancel` of the command line make them. They are in the memory of this
//! process, and end with it after the batch that is being made; the audit log has their begin and
//! their end.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewright_console::{BulkEnd, BulkFacts, BulkKind};
use sitewright_jobs::{
    BULK_BATCH, BulkOutcome, Database, Error as DatabaseError, Matching, MatchingCursor, OrderState,
};
use sitewright_model::time::now_ms;
use tokio_util::sync::CancellationToken;

use crate::access::{self, Actor};
use crate::app::App;
use crate::problem::{Problem, ProblemKind};

/// Changes that go on at the same time.
const MAX_RUNNING: usize = 4;
/// Changes that are remembered; the oldest that has ended is forgotten.
const MAX_KNOWN: usize = 20;
/// Longest pause between two batches, in which workers write to SQLite.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What is changed, and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: BulkKind,
    /// The states of orders that are changed.
    pub(crate) states: Vec<OrderState>,
    pub(crate) matching: Matching,
    /// Maximum number of orders: what was agreed to.
    pub(crate) most: usize,
    /// What is looked for, in words.
    pub(crate) what: String,
}

/// A change.
#[derive(Debug, Clone)]
struct Change {
    facts: BulkFacts,
    stop: CancellationToken,
}

/// All changes of this process.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    known: Mutex<VecDeque<Change>>,
}

impl Changes {
    /// Begins a change. Its id.
    ///
    /// # Errors
    /// If too many go on, or the system has no random numbers.
    pub(crate) fn begin(&self, app: &App, plan: Plan, actor: Actor) -> Result<String, Problem> {
        let id: String = super::session::random()?.chars().take(16).collect();
        let stop = app.stop.child_token();
        let facts = BulkFacts {
            id: id.clone(),
            kind: plan.kind,
            what: plan.what.clone(),
            who: actor.name().to_owned(),
            all: plan.most,
            outcomes: BTreeMap::new(),
            begun_at: now_ms(),
            ended_at: None,
            end: None,
        };
        {
            let mut known = self.known.lock();
            let running = known.iter().filter(|change| change.facts.end.is_none()).count();
            if running >= MAX_RUNNING {
                let detail = format!("{running} changes of many orders go on already");
                return Err(Problem::new(ProblemKind::TooManyChanges, detail));
            }
            while known.len() >= MAX_KNOWN {
                let Some(at) = known.iter().position(|change| change.facts.end.is_some()) else {
                    break;
                };
                known.remove(at);
            }
            known.push_back(Change { facts, stop: stop.clone() });
        }
        let (app, changed) = (app.clone(), id.clone());
        app.actions.clone().spawn(async move { run(app, changed, plan, actor, stop).await });
        Ok(id)
    }

    /// A change, as its page shows it.
    pub(crate) fn of(&self, id: &str) -> Option<BulkFacts> {
        let known = self.known.lock();
        known.iter().find(|change| change.facts.id == id).map(|change| change.facts.clone())
    }

    /// All changes, the newest first.
    pub(crate) fn all(&self) -> Vec<BulkFacts> {
        self.known.lock().iter().rev().map(|change| change.facts.clone()).collect()
    }

    /// Asks a change to stop after the batch that is being made. Whether it went on.
    pub(crate) fn stop(&self, id: &str) -> Option<bool> {
        let known = self.known.lock();
        let change = known.iter().find(|change| change.facts.id == id)?;
        change.stop.cancel();
        Some(change.facts.end.is_none())
    }

    fn add(&self, id: &str, outcomes: &[BulkOutcome]) {
        self.update(id, |facts| {
            for outcome in outcomes {
                *facts.outcomes.entry(outcome.name()).or_default() += 1;
            }
        });
    }

    fn update(&self, id: &str, update: impl FnOnce(&mut BulkFacts)) {
        let mut known = self.known.lock();
        if let Some(change) = known.iter_mut().find(|change| change.facts.id == id) {
            update(&mut change.facts);
        }
    }
}

/// Makes a change, and writes to the audit log how it ended.
async fn run(app: App, id: String, plan: Plan, actor: Actor, stop: CancellationToken) {
    let end = match change(&app, &id, &plan, &stop).await {
        Ok(true) => BulkEnd::Done,
        Ok(false) => BulkEnd::Stopped,
        Err(error) => {
            tracing::error!(%error, "a change of many orders ended before all were changed");
            BulkEnd::Failed(Problem::from(error).detail)
        }
    };
    let status = if matches!(end, BulkEnd::Failed(_)) { 500 } else { 200 };
    let done = app.changes.of(&id).map(|facts| facts.done()).unwrap_or_default();
    let target = format!("{}: {done} of {} orders", plan.kind, plan.most);
    let subject = (Some(target), String::new());
    access::record(&app.database, &actor, "orders.bulk.end", subject, status).await;
    app.changes.update(&id, |facts| {
        facts.ended_at = Some(now_ms());
        facts.end = Some(end);
    });
}

/// Whether all orders were come by.
async fn change(
    app: &App,
    id: &str,
    plan: &Plan,
    stop: &CancellationToken,
) -> Result<bool, DatabaseError> {
    let mut left = plan.most;
    for state in &plan.states {
        let mut cursor = MatchingCursor::default();
        while left > 0 {
            if stop.is_cancelled() {
                return Ok(false);
            }
            let began = Instant::now();
            let limit = left.min(BULK_BATCH);
            let (orders, next) =
                app.database.next_matching(*state, &plan.matching, &cursor, limit).await?;
            if orders.is_empty() {
                break;
            }
            cursor = next;
            left -= orders.len();
            let outcomes = apply(&app.database, plan.kind, &orders, *state, app).await?;
            app.changes.add(id, &outcomes);
            // SQLite has no queue for its lock: without a pause, workers of other processes would
            // hardly get it.
            if app.database.is_embedded() {
                let pause = tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE));
                stop.run_until_cancelled(pause).await;
            }
        }
    }
    Ok(true)
}

async fn apply(
    database: &Database,
    kind: BulkKind,
    orders: &[String],
    state: OrderState,
    app: &App,
) -> Result<Vec<BulkOutcome>, DatabaseError> {
    match kind {
        BulkKind::Retry => database.reopen_all(orders, &[state], Some(&app.config_version)).await,
        BulkKind::Cancel => database.cancel_all(orders, &[state]).await,
    }
}
