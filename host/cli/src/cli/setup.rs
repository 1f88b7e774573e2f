//! From flags and configuration to what commands work with.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{Config, ConfigError};
use sitewright_ai::Gateway;
use sitewright_http::{self as http, Client};
use sitewright_jobs::Database;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::{
    Cache, Catalogue, CatalogueError, Compiler, Engine, EngineError, Loader,
};
use sitewright_runtime::run::Services;
use sitewright_site::{RootError, SiteStore, SitesRoot, StoreError, StoreLimits};

/// Bytes of sites that stay in memory until they are released, 64 MiB: a worker's thousands of
/// small sites, and a bound for what their templates can fill.
const HELD_BYTES: u64 = 64 << 20;

/// The flags every command has.
pub(super) struct Setup {
    pub(super) config: Option<PathBuf>,
    pub(super) templates: Option<PathBuf>,
    pub(super) out: Option<PathBuf>,
}

/// Why a command could not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its AI part.
    #[error(transparent)]
    Ai(#[from] sitewright_ai::ConfigError),
    /// The folder for sites.
    #[error(transparent)]
    Sites(#[from] RootError),
    /// The folder of templates.
    #[error(transparent)]
    Templates(#[from] CatalogueError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The one HTTP client.
    #[error(transparent)]
    Http(#[from] http::ClientError),
    /// Failure records.
    #[error(transparent)]
    Failures(#[from] sitewright_failure::store::StoreError),
    /// The store of releases.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database of orders.
    #[error(transparent)]
    Database(#[from] sitewright_jobs::Error),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(Message),
    /// Something of ours.
    #[error("{0}")]
    Host(Message),
}

impl SetupError {
    /// Whether the one who called can mend it.
    pub(super) fn is_usage(&self) -> bool {
        use sitewright_failure::store::StoreError;
        match self {
            SetupError::Config(_)
            | SetupError::Ai(_)
            | SetupError::Sites(_)
            | SetupError::Templates(_)
            | SetupError::Usage(_) => true,
            // A store that is away may be back when the worker is started again.
            SetupError::Store(error) => !error.kind.is_transient(),
            SetupError::Failures(error) => {
                // A file that was named and cannot be shown was named wrongly; the folder of
                // records is ours.
                !matches!(error, StoreError::Io { .. } | StoreError::Serialize(_))
            }
            SetupError::Database(error) => error.is_usage(),
            SetupError::Engine(_) | SetupError::Http(_) | SetupError::Host(_) => false,
        }
    }
}

impl Setup {
    /// The configuration, with the flags on top.
    pub(super) fn config(&self) -> Result<Config, SetupError> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(templates) = &self.templates {
            config.templates = templates.clone();
        }
        if let Some(out) = &self.out {
            config.sites = out.clone();
        }
        Ok(config)
    }

    /// The templates, in an engine for `concurrency` runs at once.
    pub(super) fn catalogue(config: &Config, concurrency: u32) -> Result<Catalogue, SetupError> {
        Ok(Catalogue::new(config.templates.clone(), Self::loader(config, concurrency)?))
    }

    /// What loads templates, into an engine for `concurrency` runs at once.
    pub(super) fn loader(config: &Config, concurrency: u32) -> Result<Loader, SetupError> {
        let engine = Engine::new(&config.limits, concurrency)?;
        let cache = config.cache.as_deref().map_or_else(Cache::off, Cache::open);
        let loader = Loader::new(engine, cache, config.limits.clone()).map_err(|error| {
            SetupError::Host(sitewright_model::message!(
                "the host's interfaces cannot be linked: {error:#}"
            ))
        })?;
        Ok(loader
            .with_settings(config.template_settings.clone())
            .with_compiler(Compiler::this_program(&config.limits)))
    }

    /// The database of orders, open. Its tables are looked at by those who use them.
    pub(super) async fn database(config: &Config) -> Result<Database, SetupError> {
        Ok(Database::open(config.database.expose()).await?)
    }

    /// Where a worker keeps releases.
    pub(super) async fn store(
        config: &Config,
        sites: &SitesRoot,
        client: &Client,
    ) -> Result<SiteStore, SetupError> {
        let (url, limits) = (config.store.as_deref(), StoreLimits::default());
        Ok(SiteStore::open(url, sites, std::env::vars_os(), client.first(), limits).await?)
    }

    /// The orders there are, for those who look at them or change them. Makes nothing: a database
    /// that was never migrated is refused.
    pub(super) async fn orders(config: &Config) -> Result<Database, SetupError> {
        let database = Database::open_existing(config.database.expose()).await?;
        database.check_schema().await?;
        Ok(database)
    }

    /// The same for those who put an order in line: the first one makes the tables of the database
    /// inside, so that the first use needs no ceremony. A server's tables, and older ones, are
    /// for `sitewright migrate` or a worker.
    pub(super) async fn orders_or_new(config: &Config) -> Result<Database, SetupError> {
        let database = Self::database(config).await?;
        match database.check_schema().await {
            Err(error) if database.is_embedded() && error.is_without_tables() => {
                database.migrate().await?;
            }
            checked => checked?,
        }
        Ok(database)
    }

    /// The AI gateway.
    pub(super) fn gateway(config: &Config) -> Result<Arc<Gateway>, SetupError> {
        Self::gateway_with(config, http::client()?)
    }

    fn gateway_with(config: &Config, client: Client) -> Result<Arc<Gateway>, SetupError> {
        Ok(Arc::new(Gateway::new(&config.ai, &config.base, client, &|name| {
            std::env::var_os(name)
        })?))
    }

    /// Everything an attempt needs.
    pub(super) fn host(config: &Config, concurrency: u32) -> Result<Services, SetupError> {
        Self::host_with(config, concurrency, http::client()?)
    }

    /// As [`host`](Self::host), with the process's one HTTP client.
    pub(super) fn host_with(
        config: &Config,
        concurrency: u32,
        client: Client,
    ) -> Result<Services, SetupError> {
        Ok(Services {
            catalogue: Self::catalogue(config, concurrency)?,
            gateway: Self::gateway_with(config, client)?,
            sites: SitesRoot::open(&config.sites)?.with_staging_buffer(HELD_BYTES),
            limits: Arc::new(config.limits.clone()),
            default_locale: config.default_locale.clone(),
            keep_releases: config.keep_releases,
            config_version: config.version.clone(),
        })
    }
}
