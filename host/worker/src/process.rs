//! The worker as a whole: what runs beside the orders, and how all of it begins and ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::orders::Orders;
use super::progress::Progress;
use super::{activate, clock, reload};
use crate::config::WorkerConfig;
use sitewright_jobs::{
    AttemptLimits, Backoff, Database, Drained, Error, Serving, StopNow, WorkerSettings, serve,
};
use sitewright_runtime::run::Services;
use sitewright_site::{SiteStore, SitesRoot, SyncBatcher};

/// How long the probe of the routes at start may take. Orders do not wait for it.
const PROBE_WITHIN: Duration = Duration::from_secs(20);
/// The time between two looks for releases that a worker which died left invisible.
const SHOW_EVERY: Duration = Duration::from_secs(10);

/// How long a worker that goes looks for such releases.
const SHOW_WITHIN: Duration = Duration::from_secs(5);

/// What a worker goes by.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Most orders at once.
    pub max_orders: usize,
    /// How often an order may be tried.
    pub allowed: AttemptLimits,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// The time between two looks at the templates' folder.
    pub reload_every: Duration,
    /// The time between two signs of life.
    pub beat_every: Duration,
    /// How long without one means that a worker is dead.
    pub silent_after: Duration,
}

impl From<&WorkerConfig> for WorkerOptions {
    fn from(config: &WorkerConfig) -> Self {
        WorkerOptions {
            max_orders: usize::try_from(config.max_orders).unwrap_or(usize::MAX),
            allowed: AttemptLimits { attempts: config.attempts, crashes: config.crashes },
            backoff: Backoff {
                first: Duration::from_millis(config.retry_base_ms),
                longest: Duration::from_millis(config.retry_max_ms),
                ..Backoff::default()
            },
            reload_every: Duration::from_millis(config.reload_ms),
            beat_every: Duration::from_millis(config.beat_ms),
            silent_after: Duration::from_millis(config.silent_ms),
        }
    }
}

/// A worker whose tables are made and whose templates are loaded, and that has taken no order yet:
/// dropped, it leaves nothing behind.
pub struct Prepared {
    host: Services,
    database: Database,
    store: SiteStore,
    options: WorkerOptions,
}

/// A worker that works.
pub struct Worker {
    serving: Serving,
    database: Database,
    store: SiteStore,
    keep: usize,
    progress: JoinHandle<()>,
    beside: CancellationToken,
}

impl Prepared {
    /// Migrates the database and loads the templates.
    ///
    /// # Errors
    /// When the database cannot be used. A template that cannot is told in the log.
    pub async fn new(
        host: Services,
        database: Database,
        store: SiteStore,
        options: WorkerOptions,
    ) -> Result<Self, Error> {
        let migrated = database.migrate().await?;
        if migrated.from != migrated.to || !migrated.river.is_empty() {
            tracing::info!(from = migrated.from, to = migrated.to, river = ?migrated.river, "the database was migrated");
        }
        match host.catalogue.refresh().await {
            Ok(changes) => reload::tell(&changes, &mut Vec::new(), &host.gateway),
            Err(error) => tracing::error!("{error}; orders fail until it is there"),
        }
        Ok(Prepared { host, database, store, options })
    }

    /// Begins to take orders. Not to be dropped halfway: orders that it has by then would count as
    /// crashed.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn begin(self) -> Result<Worker, Error> {
        let Prepared { host, database, store, options } = self;
        let batcher = SyncBatcher::start(&host.sites);
        let store = store.with_batcher(batcher.clone());
        let beside = CancellationToken::new();
        let (progress, writing) = Progress::start(database.clone());
        let settings = WorkerSettings {
            max_orders: options.max_orders,
            config_version: Some(host.config_version.clone()),
            allowed: options.allowed,
            beat_every: options.beat_every,
            silent_after: options.silent_after,
            rescue_every: options.beat_every,
            ..WorkerSettings::default()
        };
        let keep = host.keep_releases;
        beside_orders(&beside, probe_routes(host.clone()));
        let watched = reload::watch_templates(
            host.gateway.clone(),
            host.catalogue.clone(),
            options.reload_every,
            beside.clone(),
        );
        beside_orders(&beside, watched);
        beside_orders(&beside, show_left(database.clone(), store.clone(), keep));
        beside_orders(&beside, sweep_left(host.sites.clone()));
        beside_orders(&beside, clock::watch());
        let orders = Orders {
            host,
            database: database.clone(),
            store: store.clone(),
            batcher,
            backoff: options.backoff,
            silent_after: options.silent_after,
            progress,
        };
        let serving = serve(database.clone(), settings, Arc::new(orders)).await?;
        Ok(Worker { serving, database, store, keep, progress: writing, beside })
    }
}

impl Worker {
    /// Its id in the database.
    pub fn id(&self) -> &str {
        self.serving.client_id()
    }

    /// The orders it has now.
    pub fn running(&self) -> usize {
        self.serving.running()
    }

    /// Stops it at once, for a second signal.
    pub fn stopper(&self) -> StopNow {
        self.serving.stopper()
    }

    /// Waits until it ends by itself: when every order has ended if `when_empty`, otherwise only
    /// when it cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn ended(&mut self, when_empty: bool) -> Result<(), Error> {
        if when_empty { self.serving.until_empty().await } else { self.serving.ended().await }
    }

    /// Takes no more orders, lets the running ones end within `grace` and gives the others back
    /// uncounted.
    ///
    /// # Errors
    /// When the database did not take the last writes: others rescue the orders then.
    pub async fn drain(self, grace: Duration) -> Result<Drained, Error> {
        let drained = self.serving.drain(grace).await;
        self.beside.cancel();
        // Perhaps nobody comes after this one: what a worker that died has settled and not shown is
        // shown now.
        let showing = show_once(&self.database, &self.store, self.keep, 0);
        if tokio::time::timeout(SHOW_WITHIN, showing).await.is_err() {
            tracing::warn!("releases that are not visible yet are left to the next worker");
        }
        // What was told of the last orders is written before the database closes.
        if tokio::time::timeout(Duration::from_secs(2), self.progress).await.is_err() {
            tracing::warn!("the last stages of orders could not be written down in time");
        }
        self.database.close().await;
        drained
    }
}

/// Runs until the worker goes.
fn beside_orders(stop: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.clone();
    tokio::spawn(async move { stop.run_until_cancelled(work).await });
}

/// Tells what is wrong with the routes before orders find out, one by one (catalogue E2).
async fn probe_routes(host: Services) {
    for probe in host.gateway.probe_all(tokio::time::Instant::now() + PROBE_WITHIN).await {
        let attempt = &probe.attempt;
        if probe.usable {
            tracing::info!(
                route = probe.route,
                provider = attempt.provider,
                model = attempt.model,
                latency_ms = attempt.duration_ms,
                "the route answers"
            );
        } else {
            let message = attempt.message.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(
                route = probe.route,
                provider = attempt.provider,
                model = attempt.model,
                outcome = attempt.outcome.as_str(),
                status = attempt.status,
                "the route does not answer: {message}"
            );
        }
    }
}

async fn show_left(database: Database, store: SiteStore, keep: usize) {
    // At the start whatever is left was left by others; showing what its worker is about to show
    // does no harm.
    let mut settled_for_ms = 0;
    loop {
        show_once(&database, &store, keep, settled_for_ms).await;
        settled_for_ms = activate::LOST_AFTER_MS;
        tokio::time::sleep(SHOW_EVERY).await;
    }
}

/// Removes what runs left half written whose process died (catalogue D1).
async fn sweep_left(sites: SitesRoot) {
    match tokio::task::spawn_blocking(move || sites.sweep()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(folders)) => {
            tracing::info!(folders, "what crashed runs had left half written was removed")
        }
        Ok(Err(error)) => tracing::warn!(%error, "not all that crashed runs left could be removed"),
        Err(error) => tracing::error!(%error, "removing what crashed runs left did not end"),
    }
}

async fn show_once(database: &Database, store: &SiteStore, keep: usize, settled_for_ms: i64) {
    if let Err(error) = activate::show_pending(database, store, keep, settled_for_ms).await {
        tracing::warn!(%error, "it cannot be looked for releases that are not visible yet");
    }
}
