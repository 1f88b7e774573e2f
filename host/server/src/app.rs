//! What all handlers share.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use sitewright_console::ConfigurationKey;
use sitewright_control::{Conformance, Languages, Reading};
use sitewright_jobs::Database;
use sitewright_model::message::Message;
use sitewright_site::SiteStore;
use sitewright_webhooks::{CallbackRules, Hooks};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::Lock;
use super::bodies::Bodies;
use super::config::ServerConfig;
use super::console::{LastCost, Link, Outcomes, Sessions};
use super::events::Hub;
use super::health::{Folders, Health};
use super::oidc::Oidc;
use super::previews::Previews;
use super::rates::Rates;
use super::refusals::Refusals;
use super::revocation::Revocations;
use super::streams::Streams;

/// Maximum bytes of the body of a webhook.
const MAX_HOOK_BODY: usize = 1 << 20;

/// Lists the templates of this machine's folder; why, if it cannot be read.
pub type TemplateNames =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<String>, Message>> + Send + Sync>;

/// What the conformance suite said of the template with this name, from its report in the templates
/// folder of this machine; `None` if there is none. Why it cannot be read.
pub type ConformanceReports =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Option<Conformance>, Message>> + Send + Sync>;

/// Counts what the next sweep of `[retention]` would remove from the database: what, and how many.
pub type Expired =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<(String, u64)>, Message>> + Send + Sync>;

/// Replays the attempt of the failure record with this id in a process of its own, within this time.
/// The report of the replay as JSON.
pub type Replay = Arc<
    dyn Fn(String, Duration) -> BoxFuture<'static, Result<serde_json::Value, ReplayError>>
        + Send
        + Sync,
>;

/// Exports the attempt of the failure record with this id in a process of its own, within this
/// time: as `sitewright failures export --scrub`, so without keys and without the texts of customer
/// and models.
pub type BundleExport =
    Arc<dyn Fn(String, Duration) -> BoxFuture<'static, Result<Bundle, ReplayError>> + Send + Sync>;

/// An exported attempt: a tar file.
#[derive(Debug)]
pub struct Bundle {
    /// Read from its beginning. It has no name any more: its bytes are gone when it is closed.
    pub file: tokio::fs::File,
    /// The size of the file in bytes.
    pub bytes: u64,
}

/// Why an attempt was not replayed, or not exported.
#[derive(Debug, Clone)]
pub enum ReplayError {
    /// It did not end in time, and was stopped.
    Late,
    /// A failure of the host or its machine.
    Host(Message),
}

/// Whether the process is alive; why not.
pub type Alive = Arc<dyn Fn() -> Result<(), Message> + Send + Sync>;

/// Which part of the API a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of it: `sitewright serve`.
    Api,
    /// All of it, in the process of a worker: `sitewright worker --listen --api`.
    Worker,
    /// Health and metrics of a worker only: `sitewright worker --listen`.
    Status,
}

impl Surface {
    /// Whether it has the API and the console.
    pub fn has_api(self) -> bool {
        matches!(self, Surface::Api | Surface::Worker)
    }

    /// Whether its process is a worker, whose folders are a part of its health.
    pub fn is_of_worker(self) -> bool {
        matches!(self, Surface::Worker | Surface::Status)
    }
}

/// What a server is made of.
#[derive(Clone)]
pub struct ServerParts {
    pub database: Database,
    /// The sites folder, which need not be on this machine.
    pub sites: PathBuf,
    /// The object store of releases, if there is one.
    pub store: Option<SiteStore>,
    /// The number of releases of an order that are kept.
    pub keep_releases: usize,
    /// How documents are read.
    pub reading: Reading,
    /// Version of the configuration, for orders that are made again.
    pub config_version: String,
    /// The configuration in force, as the console shows it: no secrets.
    pub configuration: Vec<ConfigurationKey>,
    /// Names of the routes for AI calls, which can be held.
    pub routes: Vec<String>,
    /// Names of the providers of AI models, whose circuit breakers can be released. Empty if this
    /// configuration has none.
    pub providers: Vec<String>,
    pub templates: TemplateNames,
    pub conformance: ConformanceReports,
    /// Which languages templates write, as far as this machine knows.
    pub languages: Languages,
    pub expired: Expired,
    pub replay: Replay,
    pub export: BundleExport,
    /// `None` if no order may have a callback.
    pub callbacks: Option<CallbackRules>,
    /// Whose webhooks become orders.
    pub hooks: Hooks,
    /// How people log in to the console with an identity provider; `None` if they do not.
    pub oidc: Option<Oidc>,
    pub alive: Alive,
    pub settings: ServerConfig,
    pub surface: Surface,
}

/// The state of the router. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) sites: PathBuf,
    pub(crate) store: Option<SiteStore>,
    pub(crate) keep_releases: usize,
    pub(crate) reading: Reading,
    pub(crate) config_version: String,
    pub(crate) configuration: Vec<ConfigurationKey>,
    pub(crate) routes: Vec<String>,
    pub(crate) providers: Vec<String>,
    pub(crate) templates: TemplateNames,
    pub(crate) conformance: ConformanceReports,
    pub(crate) languages: Languages,
    pub(crate) expired: Expired,
    pub(crate) replay: Replay,
    /// The replay that is made now.
    pub(crate) replaying: Semaphore,
    pub(crate) export: BundleExport,
    /// The bundle that is made or downloaded now.
    pub(crate) exporting: Arc<Semaphore>,
    pub(crate) callbacks: Option<CallbackRules>,
    pub(crate) hooks: Hooks,
    pub(crate) oidc: Option<Oidc>,
    pub(crate) settings: ServerConfig,
    pub(crate) surface: Surface,
    pub(crate) lock: Lock,
    pub(crate) sessions: Sessions,
    /// Notified of a bulk action that was begun.
    pub(crate) bulk_begun: Notify,
    pub(crate) link: Link,
    /// Set when previews have an address.
    pub(crate) previews: OnceLock<Previews>,
    pub(crate) hub: Hub,
    pub(crate) health: Health,
    pub(crate) revocations: Revocations,
    /// The memory for the bodies of requests, until they were answered.
    pub(crate) bodies: Bodies,
    pub(crate) streams: Arc<Streams>,
    pub(crate) refusals: Refusals,
    pub(crate) rates: Rates,
    pub(crate) outcomes: Outcomes,
    /// What AI replies have cost, as the first page of the console shows it.
    pub(crate) last_cost: LastCost,
    /// The memory for bodies of webhooks, whose senders are not known before they were read.
    pub(crate) hook_bodies: Bodies,
    /// Changes that have begun. They go on when their clients hang up.
    pub(crate) actions: TaskTracker,
    /// Cancelled when the server stops: streams end.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(parts: ServerParts, lock: Lock) -> Self {
        let ServerParts {
            database,
            sites,
            store,
            keep_releases,
            reading,
            config_version,
            configuration,
            routes,
            providers,
            templates,
            conformance,
            languages,
            expired,
            replay,
            export,
            callbacks,
            hooks,
            oidc,
            alive,
            settings,
            surface,
        } = parts;
        let stop = CancellationToken::new();
        let folders =
            surface.is_of_worker().then(|| Folders::new(Arc::clone(&templates), sites.clone()));
        let shared = Shared {
            hub: Hub::new(database.clone(), stop.clone()),
            health: Health::new(database.clone(), alive, folders),
            revocations: Revocations::new(
                database.clone(),
                Duration::from_millis(settings.heartbeat_ms),
            ),
            bodies: Bodies::of_requests(settings.max_body(), settings.body_within()),
            streams: Streams::new(settings.connections),
            refusals: Refusals::default(),
            rates: Rates::new(&settings),
            outcomes: Outcomes::default(),
            last_cost: LastCost::default(),
            hook_bodies: Bodies::of_hooks(),
            actions: TaskTracker::new(),
            database,
            sites,
            store,
            keep_releases,
            reading,
            config_version,
            configuration,
            routes,
            providers,
            templates,
            conformance,
            languages,
            expired,
            replay,
            replaying: Semaphore::new(1),
            export,
            exporting: Arc::new(Semaphore::new(1)),
            callbacks,
            hooks,
            oidc,
            settings,
            surface,
            lock,
            sessions: Sessions::default(),
            bulk_begun: Notify::new(),
            link: Link::default(),
            previews: OnceLock::new(),
            stop,
        };
        App { shared: Arc::new(shared) }
    }

    /// Maximum length of the body of a webhook.
    pub(crate) fn max_hook_body(&self) -> usize {
        self.settings.max_body().min(MAX_HOOK_BODY)
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
