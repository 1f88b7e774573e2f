//! The worker as a whole: what runs beside the orders, and how it starts and drains.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::activate::Releases;
use super::batches::Batches;
use super::circuit::CircuitSettings;
use super::holds::{HoldSettings, Holds};
use super::orders::Orders;
use super::progress::Progress;
use super::watchdog::Watchdog;
use super::{activate, breakers, clock, descriptors, marks, reload, supervisor, sweep};
use crate::config::WorkerConfig;
use crate::retention::RetentionConfig;
use sitewright_jobs::{
    AttemptLimits, Backoff, Database, Drained, Error, Liveness, Serving, StopNow, WorkerSettings,
    serve,
};
use sitewright_runtime::plugin::CatalogueError;
use sitewright_runtime::plugin::contract::VERSIONS;
use sitewright_runtime::run::Services;
use sitewright_site::{Rule, SiteStore, SitesRoot, SyncBatcher};
use sitewright_webhooks::Dispatch;

/// Timeout of the probe of all routes at start. Orders do not wait for it.
const PROBE_WITHIN: Duration = Duration::from_secs(20);
/// Time between two searches for releases that a dead worker did not activate.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// Maximum time between two sweeps of orders that wait for holds.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long a draining worker searches for such releases. With the writes that follow it ends
/// before its [`Watchdog`] ends it.
const RECONCILE_WITHIN: Duration = Duration::from_secs(2);
/// How long a draining worker stores the last stages of its orders.
const PROGRESS_WITHIN: Duration = Duration::from_secs(1);

/// Time between two times that what this process has counted is added to what the database has.
const COUNTS_EVERY: Duration = Duration::from_secs(10);
/// How long a draining worker stores the last of it.
const COUNTS_WITHIN: Duration = Duration::from_secs(1);

/// The options of a worker. Their units and defaults: [`WorkerConfig`].
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Maximum number of orders at once.
    pub max_orders: usize,
    pub limits: AttemptLimits,
    pub backoff: Backoff,
    /// Time between two scans of the templates folder.
    pub reload_every: Duration,
    /// Time between two heartbeats.
    pub heartbeat_every: Duration,
    /// A worker without a heartbeat for this long is stale.
    pub stale_after: Duration,
    /// What is removed of orders that ended long ago.
    pub retention: RetentionConfig,
    /// An order fails if no live worker has had its template for this long.
    pub template_grace: Duration,
    /// When almost all attempts of a template or route end alike.
    pub circuit: CircuitSettings,
}

impl From<&WorkerConfig> for WorkerOptions {
    fn from(config: &WorkerConfig) -> Self {
        WorkerOptions {
            max_orders: usize::try_from(config.max_orders).unwrap_or(usize::MAX),
            limits: AttemptLimits { attempts: config.attempts, crashes: config.crashes },
            backoff: Backoff {
                first: Duration::from_millis(config.retry_base_ms),
                longest: Duration::from_millis(config.retry_max_ms),
                ..Backoff::default()
            },
            reload_every: Duration::from_millis(config.reload_ms),
            heartbeat_every: Duration::from_millis(config.beat_ms),
            stale_after: Duration::from_millis(config.silent_ms),
            retention: RetentionConfig::default(),
            template_grace: Duration::from_millis(config.template_grace_ms),
            circuit: CircuitSettings {
                percent: config.circuit_percent,
                window: usize::try_from(config.circuit_window).unwrap_or(usize::MAX),
                least: usize::try_from(config.circuit_least).unwrap_or(usize::MAX),
            },
        }
    }
}

/// Why a worker does not start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Database(#[from] Error),
    /// The folder of templates cannot be read.
    #[error("the worker does not start without templates: {0}")]
    Templates(#[from] CatalogueError),
    /// It would hold up every order. The folder may be a mount that is not there yet.
    #[error(
        "the worker does not start without templates: {} has no template that can be used{}; check \
         that the folder is mounted and that `templates` names it (`sitewright template list`)",
        .folder.display(),
        why_refused(.refused)
    )]
    NoTemplates {
        folder: PathBuf,
        /// Files that were refused, and why.
        refused: Vec<String>,
    },
}

fn why_refused(files: &[String]) -> String {
    match files {
        [] => " (it has no .wasm file)".to_owned(),
        files => format!(": {}", files.join("; ")),
    }
}

/// What a worker is made of.
pub struct WorkerParts {
    pub services: Services,
    pub database: Database,
    pub store: SiteStore,
    pub options: WorkerOptions,
}

/// A worker that claims orders.
pub struct Worker {
    serving: Serving,
    releases: Releases,
    progress: JoinHandle<()>,
    /// Stops the tasks beside the orders.
    stop_tasks: CancellationToken,
    watchdog: Watchdog,
    /// Stops before the database is closed.
    webhooks: Option<Dispatch>,
    /// What else ends before the database is closed.
    last: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Worker {
    /// Tells receivers of orders until the worker has drained.
    #[must_use]
    pub fn with_webhooks(mut self, webhooks: Dispatch) -> Self {
        self.webhooks = Some(webhooks);
        self
    }

    /// Lets something else end when the worker has drained, before the database is closed, within
    /// 2 s.
    #[must_use]
    pub fn ending_with(mut self, last: impl Future<Output = ()> + Send + 'static) -> Self {
        self.last = Some(Box::pin(last));
        self
    }

    /// Migrates the database and loads the templates. Claims no order, so it may be dropped at any
    /// point.
    ///
    /// # Errors
    /// If the database cannot be used, or there is no template at all. A template that cannot be
    /// loaded is logged.
    pub async fn prepare(parts: &WorkerParts) -> Result<(), PrepareError> {
        let migrated = parts.database.migrate().await?;
        if migrated.from != migrated.to || !migrated.river.is_empty() {
            tracing::info!(
                from = migrated.from,
                to = migrated.to,
                river = ?migrated.river,
                "the database was migrated"
            );
        }
        let services = &parts.services;
        let changes = services.catalogue.refresh().await?;
        let mut refused = Vec::new();
        reload::log_changes(&changes, &mut refused, &services.gateway);
        if services.catalogue.all_served().is_empty() {
            let folder = services.catalogue.folder().to_owned();
            return Err(PrepareError::NoTemplates { folder, refused });
        }
        Ok(())
    }

    /// Starts to claim orders, and notifies systemd, while `watchdog` finds no stuck thread. Must not be dropped before it returns: orders
    /// that it has by then would count as crashed.
    ///
    /// # Errors
    /// If the database cannot be used.
    pub async fn start(parts: WorkerParts, watchdog: Watchdog) -> Result<Worker, Error> {
        let WorkerParts { services, database, store, options } = parts;
        descriptors::raise(options.max_orders);
        let batcher = SyncBatcher::start(&services.sites);
        let store = store.with_batcher(batcher.clone());
        let stop_tasks = CancellationToken::new();
        let (progress, writing) = Progress::start(database.clone());
        let marks = marks::create(&services.sites).await;
        let witness = marks.as_ref().map(marks::witness);
        let settings = WorkerSettings {
            marks,
            max_orders: options.max_orders,
            config_version: Some(services.config_version.clone()),
            contract: VERSIONS.last().map(|contract| contract.version.to_owned()),
            limits: options.limits,
            heartbeat_every: options.heartbeat_every,
            stale_after: options.stale_after,
            rescue_every: options.heartbeat_every,
            ..WorkerSettings::default()
        };
        let releases = Releases {
            database: database.clone(),
            store: store.clone(),
            keep: services.keep_releases,
        };
        spawn_until(&stop_tasks, probe_routes(services.clone()));
        let holds = Holds::new(
            database.clone(),
            services.catalogue.clone(),
            services.gateway.clone(),
            HoldSettings {
                backoff: options.backoff,
                template_grace: options.template_grace,
                circuit: options.circuit,
                max_orders: options.max_orders,
            },
        );
        database.attempt_counts().begin_checks(Rule::all().iter().map(ToString::to_string));
        holds.load().await?;
        let watched = reload::watch_templates(
            services.gateway.clone(),
            services.catalogue.clone(),
            holds.clone(),
            options.reload_every,
            stop_tasks.clone(),
        );
        spawn_until(&stop_tasks, watched);
        spawn_until(&stop_tasks, reconcile_releases(releases.clone()));
        spawn_until(&stop_tasks, sweep_sites(services.sites.clone()));
        let swept = sweep::sweep_regularly(
            database.clone(),
            services.sites.clone(),
            store.clone(),
            options.retention,
        );
        spawn_until(&stop_tasks, swept);
        spawn_until(&stop_tasks, clock::watch());
        spawn_until(&stop_tasks, store_counts(database.clone()));
        spawn_until(&stop_tasks, sum_hours(database.clone()));
        let gateway = services.gateway.clone();
        let orders = Orders {
            services,
            database: database.clone(),
            store,
            batcher,
            backoff: options.backoff,
            stale_after: options.stale_after,
            progress,
            witness,
            holds: holds.clone(),
        };
        let publisher = Arc::new(releases.clone());
        let batches = database.clone();
        let serving = serve(database.clone(), settings, Arc::new(orders), publisher).await?;
        let sweep_every = options.heartbeat_every.min(SWEEP_EVERY);
        let keep = holds.keep(serving.client_id().to_owned(), serving.own_queue(), sweep_every);
        spawn_until(&stop_tasks, keep);
        let id = serving.client_id().to_owned();
        spawn_until(&stop_tasks, breakers::publish(database, gateway.clone(), id.clone()));
        let batches = Batches::new(batches, gateway, id);
        spawn_until(&stop_tasks, batches.keep());
        supervisor::ready();
        tokio::spawn(supervisor::feed_watchdog(serving.liveness(), watchdog.clone()));
        let progress = writing;
        Ok(Worker { serving, releases, progress, stop_tasks, watchdog, webhooks: None, last: None })
    }

    /// Its id in the database.
    pub fn id(&self) -> &str {
        self.serving.client_id()
    }

    /// The number of orders it runs.
    pub fn running(&self) -> usize {
        self.serving.running()
    }

    /// When its heartbeats last gave a sign of life.
    pub fn liveness(&self) -> Liveness {
        self.serving.liveness()
    }

    /// Is cancelled when somebody has asked it to drain and it has no order any more: then
    /// [`Worker::drain`] ends at once.
    pub fn drained(&self) -> CancellationToken {
        self.serving.drained()
    }

    /// Stops it at once, for a second signal.
    pub fn stopper(&self) -> StopNow {
        self.serving.stopper()
    }

    /// Waits until it ends by itself: if `when_empty`, once every order has ended; otherwise only
    /// if it cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn ended(&mut self, when_empty: bool) -> Result<(), Error> {
        if when_empty { self.serving.until_empty().await } else { self.serving.ended().await }
    }

    /// Notifies systemd, claims no more orders, lets the running ones end within `grace` and
    /// returns the others to the queue, without using an attempt. Closes the database.
    ///
    /// # Errors
    /// If the database did not accept the last writes: then other workers rescue the orders.
    pub async fn drain(self, grace: Duration) -> Result<Drained, Error> {
        supervisor::stopping();
        let drained = self.serving.drain(grace).await;
        self.stop_tasks.cancel();
        // This may be the last worker: releases of workers that died are activated now.
        let reconcile = reconcile_once(&self.releases, 0);
        let reconcile = tokio::time::timeout(RECONCILE_WITHIN, reconcile);
        // So are receivers told of the last orders.
        let webhooks = self.webhooks;
        let told = async move {
            if let Some(webhooks) = webhooks {
                webhooks.stop().await;
            }
        };
        let last = self.last;
        let ended = async move {
            match last {
                Some(last) => tokio::time::timeout(RECONCILE_WITHIN, last).await.is_ok(),
                None => true,
            }
        };
        let (reconciled, (), ended) = tokio::join!(reconcile, told, ended);
        if !ended {
            tracing::warn!("requests to the API of the worker did not end in time");
        }
        if reconciled.is_err() {
            tracing::warn!("releases that are not active yet are left to the next worker");
        }
        // The last progress events are stored before the database closes.
        if tokio::time::timeout(PROGRESS_WITHIN, self.progress).await.is_err() {
            tracing::warn!("the last stages of orders could not be stored in time");
        }
        let database = &self.releases.database;
        let counted = async {
            database.store_ends().await?;
            database.store_ai_errors().await
        };
        match tokio::time::timeout(COUNTS_WITHIN, counted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the last orders and AI calls are not in the statistics");
            }
            Err(_) => tracing::warn!("the last orders and AI calls are not in the statistics"),
        }
        self.releases.database.close().await;
        self.watchdog.set_ended();
        drained
    }
}

/// Runs a task until `stop` is cancelled or it ends.
fn spawn_until(stop: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.clone();
    tokio::spawn(async move { stop.run_until_cancelled(work).await });
}

/// Adds the orders that ended, and AI calls that failed, to those in the database. While it is away
/// they are kept for later.
async fn store_counts(database: Database) {
    let mut ticks = tokio::time::interval(COUNTS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = database.store_ends().await {
            tracing::debug!(%error, "orders that ended are added to the statistics later");
        }
        if let Err(error) = database.store_ai_errors().await {
            tracing::debug!(%error, "AI calls that failed are added to the statistics later");
        }
    }
}

/// Sums up hours that are over, for pages about costs and about orders that have ended.
async fn sum_hours(database: Database) {
    database.sum_hours_regularly().await;
}

/// Logs routes that do not answer before orders fail on them (failure catalogue E2).
async fn probe_routes(services: Services) {
    for probe in services.gateway.probe_all(tokio::time::Instant::now() + PROBE_WITHIN).await {
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

async fn reconcile_releases(releases: Releases) {
    // At the start no release is another live worker's to activate, or activating it twice does no
    // harm.
    let mut completed_for_ms = 0;
    loop {
        reconcile_once(&releases, completed_for_ms).await;
        completed_for_ms = activate::LOST_AFTER_MS;
        tokio::time::sleep(RECONCILE_EVERY).await;
    }
}

async fn reconcile_once(releases: &Releases, completed_for_ms: i64) {
    if let Err(error) = releases.reconcile(completed_for_ms).await {
        tracing::warn!(%error, "cannot query releases that are not active yet");
    }
}

/// Removes unfinished sites of runs whose process ended (failure catalogue D1).
async fn sweep_sites(sites: SitesRoot) {
    match tokio::task::spawn_blocking(move || sites.sweep()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(folders)) => tracing::info!(folders, "unfinished sites of crashed runs were removed"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not all unfinished sites of crashed runs could be removed");
        }
        Err(error) => tracing::error!(%error, "removing unfinished sites did not end"),
    }
}
