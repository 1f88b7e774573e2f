//! What all handlers share.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use sitewright_control::Reading;
use sitewright_jobs::Database;
use sitewright_model::message::Message;
use sitewright_site::SiteStore;
use tokio_util::sync::CancellationToken;

use super::access::Lock;
use super::config::ServerConfig;
use super::console::Sessions;
use super::events::Hub;
use super::health::Health;

/// Lists the templates of this machine's folder; why, if it cannot be read.
pub type TemplateNames =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<String>, Message>> + Send + Sync>;

/// Whether the process is alive; why not.
pub type Alive = Arc<dyn Fn() -> Result<(), Message> + Send + Sync>;

/// Which part of the API a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of it: `sitewright serve`.
    Api,
    /// Health and metrics only: `sitewright worker --listen`.
    Status,
}

/// What a server is made of.
#[derive(Clone)]
pub struct ServerParts {
    pub database: Database,
    /// The sites folder, which need not be on this machine.
    pub sites: PathBuf,
    /// The object store of releases, for erasing.
    pub store: Option<SiteStore>,
    /// How documents are read.
    pub reading: Reading,
    /// Version of the configuration, for orders that are made again.
    pub config_version: String,
    /// Keys and values of the configuration in force that the console shows: no secrets.
    pub configuration: Vec<(String, String)>,
    /// Names of the routes for AI calls, which can be held.
    pub routes: Vec<String>,
    pub templates: TemplateNames,
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
    pub(crate) reading: Reading,
    pub(crate) config_version: String,
    pub(crate) configuration: Vec<(String, String)>,
    pub(crate) routes: Vec<String>,
    pub(crate) templates: TemplateNames,
    pub(crate) settings: ServerConfig,
    pub(crate) surface: Surface,
    pub(crate) lock: Lock,
    pub(crate) sessions: Sessions,
    pub(crate) hub: Hub,
    pub(crate) health: Health,
    /// Cancelled when the server stops: streams end.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(parts: ServerParts, lock: Lock) -> Self {
        let ServerParts {
            database,
            sites,
            store,
            reading,
            config_version,
            configuration,
            routes,
            templates,
            alive,
            settings,
            surface,
        } = parts;
        let stop = CancellationToken::new();
        let shared = Shared {
            hub: Hub::new(database.clone(), stop.clone()),
            health: Health::new(database.clone(), alive),
            database,
            sites,
            store,
            reading,
            config_version,
            configuration,
            routes,
            templates,
            settings,
            surface,
            lock,
            sessions: Sessions::default(),
            stop,
        };
        App { shared: Arc::new(shared) }
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
