//! Builds what commands work with from flags and configuration:
//!
//! | function | what it builds | for |
//! |---|---|---|
//! | `config` | configuration, with the flags applied | every command |
//! | `author_config` | the same, for templates of whoever runs the command | `template`, `conformance` |
//! | `catalogue`, `loader` | wasm engine and templates | `template`, `doctor`, `conformance` |
//! | `gateway` | AI gateway | `ai`, `doctor`, `replay` |
//! | `host`, `host_with` | everything that an attempt needs | `generate`, `worker`, `template dev` |
//! | `database` | open database, tables unchecked | `migrate` |
//! | `worker_database` | the same, with the connections that a worker needs | `worker` |
//! | `orders` | existing database with current tables | `order`, `queue`, `failures`, `replay` |
//! | `orders_or_new` | the same; creates an embedded database | `order add`, `token` |
//! | `served` | the same, for many at once | `serve` |
//! | `store` | store of releases | `worker` |
//! | `hooks` | senders of webhooks that become orders | `serve`, `doctor` |
//! | `oidc` | identity provider of the console, with the client secret | `serve`, `doctor` |
//! | `webhooks`, `dispatch` | receivers with their secrets, and the deliveries to them | `webhook`, `worker`, `serve` |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, ConfigError};
use sitewright_ai::{Gateway, Redactor};
use sitewright_control::{FindLanguages, Languages};
use sitewright_http::{self as http, Client};
use sitewright_jobs::{Database, DatabaseOptions};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::{
    Cache, Catalogue, CatalogueError, Compiler, Engine, EngineError, FunctionCache, Loader,
    TemplateProblem, default_guest_memory,
};
use sitewright_runtime::run::Services;
use sitewright_site::{RootError, SiteStore, SitesRoot, StoreError, StoreErrorKind, StoreLimits};
use sitewright_webhooks::{Dispatch, Hook, Hooks, Pace, Redact, Webhooks, WebhooksError};

/// Capacity of the in-memory staging buffer, 64 MiB: enough for the small sites of some thousand
/// orders, and a bound for the memory that templates can fill.
const HELD_BYTES: u64 = 64 << 20;

/// The global flags that change the configuration.
pub(super) struct Setup {
    pub(super) config: Option<PathBuf>,
    pub(super) templates: Option<PathBuf>,
    pub(super) out: Option<PathBuf>,
}

/// Why a command could not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Ai(#[from] sitewright_ai::ConfigError),
    /// A key, or another file that the configuration names, cannot be read.
    #[error(transparent)]
    Secrets(sitewright_ai::ConfigError),
    #[error(transparent)]
    Sites(#[from] RootError),
    #[error(transparent)]
    Templates(#[from] CatalogueError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Http(#[from] http::ClientError),
    #[error(transparent)]
    Failures(#[from] sitewright_failure::store::StoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Database(#[from] sitewright_jobs::Error),
    #[error(transparent)]
    Prepare(#[from] sitewright_worker::PrepareError),
    #[error(transparent)]
    Webhooks(#[from] WebhooksError),
    #[error(transparent)]
    Control(#[from] sitewright_control::Error),
    #[cfg(feature = "server")]
    #[error(transparent)]
    Server(#[from] sitewright_server::ServerError),
    #[cfg(feature = "server")]
    #[error(transparent)]
    Oidc(#[from] sitewright_server::OidcError),
    /// Wrong flags, arguments or input files.
    #[error("{0}")]
    Usage(Message),
    /// A failure of the host or its machine.
    #[error("{0}")]
    Host(Message),
}

impl SetupError {
    /// Whether arguments or the configuration file alone show that it is wrong: exit code 2, after
    /// which systemd does not restart a worker. Everything else may pass: folders and secrets that
    /// are mounted late, a database that is away.
    pub(super) fn is_usage(&self) -> bool {
        use sitewright_failure::store::StoreError;
        match self {
            SetupError::Config(ConfigError::Secret(_)) => false,
            SetupError::Config(_)
            | SetupError::Ai(_)
            | SetupError::Templates(_)
            | SetupError::Usage(_) => true,
            SetupError::Webhooks(error) => matches!(error, WebhooksError::Wrong { .. }),
            #[cfg(feature = "server")]
            SetupError::Oidc(error) => match error {
                sitewright_server::OidcError::Wrong { .. } => true,
                sitewright_server::OidcError::Secret(error) => {
                    matches!(error, WebhooksError::Wrong { .. })
                }
            },
            SetupError::Store(error) => error.kind == StoreErrorKind::Configuration,
            SetupError::Failures(error) => {
                // A wrong file name is the caller's error; the folder of records is the host's.
                !matches!(error, StoreError::Io { .. } | StoreError::Serialize(_))
            }
            SetupError::Database(error) => error.is_usage(),
            // A folder may be a mount that is not there yet.
            SetupError::Prepare(error) => match error {
                sitewright_worker::PrepareError::Database(error) => error.is_usage(),
                sitewright_worker::PrepareError::Templates(_)
                | sitewright_worker::PrepareError::NoTemplates { .. } => false,
            },
            SetupError::Control(error) => match error {
                sitewright_control::Error::Database(error) => error.is_usage(),
                sitewright_control::Error::NoSuchRelease { .. }
                | sitewright_control::Error::OfAnother { .. } => true,
                sitewright_control::Error::Sites(_)
                | sitewright_control::Error::Store(_)
                | sitewright_control::Error::StillRunning { .. }
                | sitewright_control::Error::Host(_) => false,
            },
            #[cfg(feature = "server")]
            SetupError::Server(error) => match error {
                sitewright_server::ServerError::NoTokens { .. }
                | sitewright_server::ServerError::PreviewsUrl { .. } => true,
                sitewright_server::ServerError::Bind { .. }
                | sitewright_server::ServerError::BindPreviews { .. }
                | sitewright_server::ServerError::Random(_) => false,
                sitewright_server::ServerError::Database(error) => error.is_usage(),
            },
            SetupError::Secrets(_)
            | SetupError::Sites(_)
            | SetupError::Engine(_)
            | SetupError::Http(_)
            | SetupError::Host(_) => false,
        }
    }
}

impl Setup {
    /// The configuration, with the flags applied.
    pub(super) fn config(&self) -> Result<Config, SetupError> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(templates) = &self.templates {
            config.templates = templates.clone();
            config.sources.insert("templates".to_owned(), "the flag --templates".to_owned());
        }
        if let Some(out) = &self.out {
            config.sites = out.clone();
            config.sources.insert("sites".to_owned(), "the flag --out".to_owned());
        }
        Ok(config)
    }

    /// As [`config`](Self::config), for a command of an author: the templates that it compiles share
    /// compiled functions, and a limit that stops one in Python names the line. Never for `worker`
    /// and `serve`, which compile templates of strangers, and stop thousands.
    pub(super) fn author_config(&self) -> Result<Config, SetupError> {
        let mut config = self.config()?;
        config.functions = config.cache.clone();
        config.template_settings.read_stacks = true;
        Ok(config)
    }

    /// The templates, in an engine with room for `concurrency` runs at once.
    pub(super) fn catalogue(config: &Config, concurrency: u32) -> Result<Catalogue, SetupError> {
        Ok(Catalogue::new(config.templates.clone(), Self::loader(config, concurrency)?))
    }

    /// The cache of compiled templates.
    pub(super) fn cache(config: &Config) -> Cache {
        config
            .cache
            .as_deref()
            .map_or_else(Cache::off, Cache::open)
            .with_max_bytes(config.cache_bytes)
    }

    /// The compiled functions that templates share, if this is a command of an author.
    pub(super) fn functions(config: &Config) -> Option<FunctionCache> {
        Cache::open(config.functions.as_deref()?).functions(config.function_cache_bytes)
    }

    /// Which languages the templates write that this machine has loaded with its cache.
    pub(super) fn languages(config: &Config) -> Languages {
        let (cache, folder) = (Setup::cache(config), config.templates.clone());
        let find: FindLanguages = Arc::new(move |name| {
            let (cache, path) = (cache.clone(), folder.join(format!("{name}.wasm")));
            Box::pin(async move { cache.languages(&path).await })
        });
        Languages { find, fallback: config.orders.fallback_locale.clone() }
    }

    /// A loader of templates, with an engine for `concurrency` runs at once.
    pub(super) fn loader(config: &Config, concurrency: u32) -> Result<Loader, SetupError> {
        let memory = config.worker.memory_bytes.unwrap_or_else(default_guest_memory);
        let engine = Engine::new(&config.limits, concurrency)?.with_guest_memory(memory);
        let cache = Self::cache(config);
        let loader = Loader::new(engine, cache, config.limits.clone()).map_err(|error| {
            SetupError::Host(sitewright_model::message!(
                "the host functions cannot be linked: {error:#}"
            ))
        })?;
        Ok(loader
            .with_settings(config.template_settings.clone())
            .with_compiler(
                Compiler::this_program(&config.limits).with_functions(Self::functions(config)),
            )
            .with_confined(super::confined::children()))
    }

    /// The database of `[database]`, created if it is an SQLite file. Does not check the tables.
    pub(super) async fn database(config: &Config) -> Result<Database, SetupError> {
        Ok(Database::open_with(config.database.expose(), &config.database_options).await?)
    }

    /// The same, with the connections that a worker needs.
    pub(super) async fn worker_database(config: &Config) -> Result<Database, SetupError> {
        let (url, options) = (config.database.expose(), &config.database_options);
        Ok(Database::open_for_worker(url, options).await?)
    }

    /// As [`worker_database`](Self::worker_database), but creates no file.
    pub(super) async fn existing_worker_database(config: &Config) -> Result<Database, SetupError> {
        let (url, options) = (config.database.expose(), &config.database_options);
        Ok(Database::open_existing_for_worker(url, options).await?)
    }

    /// The store where a worker keeps releases: `sites.store`, or the folder `sites`.
    pub(super) async fn store(
        config: &Config,
        sites: &SitesRoot,
        client: &Client,
    ) -> Result<SiteStore, SetupError> {
        let (url, limits) = (config.store.as_deref(), StoreLimits::default());
        Ok(SiteStore::open(url, sites, std::env::vars_os(), client.first(), limits).await?)
    }

    /// The receivers of webhooks, with their secrets. Blocking: call it at the start of the
    /// process.
    pub(super) fn webhooks(config: &Config) -> Result<Webhooks, SetupError> {
        let variable = |name: &str| std::env::var_os(name);
        let callbacks = config.callbacks.as_ref();
        Ok(Webhooks::read(&config.webhooks, callbacks, &config.base, &variable)?)
    }

    /// The senders of webhooks that become orders, with their secrets. Blocking: call it at the
    /// start of the process.
    pub(super) fn hooks(config: &Config) -> Result<Hooks, SetupError> {
        let variable = |name: &str| std::env::var_os(name);
        Ok(Hook::read_all(&config.hooks, &config.base, &variable)?)
    }

    /// How people log in to the console with an identity provider, with the client secret.
    /// Blocking: call it at the start of the process.
    #[cfg(feature = "server")]
    pub(super) fn oidc(config: &Config) -> Result<Option<sitewright_server::Oidc>, SetupError> {
        let Some(oidc) = &config.server.oidc else { return Ok(None) };
        let variable = |name: &str| std::env::var_os(name);
        let client = http::client()?;
        Ok(Some(sitewright_server::Oidc::new(oidc, &config.base, &variable, client)?))
    }

    /// Removes API keys from what receivers of webhooks answer.
    pub(super) fn redact() -> Redact {
        Redact::new(|text| Redactor::of_process().redact(text).into_owned())
    }

    /// Begins to deliver webhooks. Call it before orders are claimed.
    pub(super) async fn dispatch(
        config: &Config,
        database: &Database,
        client: &Client,
    ) -> Result<Dispatch, SetupError> {
        let webhooks = Self::webhooks(config)?;
        let (redact, pace) = (Self::redact(), Pace::default());
        let started = Dispatch::start(database.clone(), webhooks, client, redact, pace).await;
        started.map_err(SetupError::Database)
    }

    /// For commands, which do one thing after the other. With more, the pool would open another
    /// connection while the last one is still on its way back, although workers need them.
    fn one_connection(config: &Config) -> DatabaseOptions {
        DatabaseOptions { connections: 1, ..config.database_options.clone() }
    }

    /// The existing database, to read or change orders.
    ///
    /// # Errors
    /// Also if the database does not exist or its tables are not of this version.
    pub(super) async fn orders(config: &Config) -> Result<Database, SetupError> {
        let (url, options) = (config.database.expose(), Self::one_connection(config));
        let database = Database::open_existing_with(url, &options).await?;
        database.check_schema().await?;
        Ok(database)
    }

    /// The database, to add orders. Creates the tables of an embedded database that has none, so
    /// that the first order needs no other command. The tables of a server, and old tables, are
    /// migrated by `sitewright migrate` or a worker.
    pub(super) async fn orders_or_new(config: &Config) -> Result<Database, SetupError> {
        let (url, options) = (config.database.expose(), Self::one_connection(config));
        Self::with_tables(Database::open_with(url, &options).await?).await
    }

    /// As [`orders_or_new`](Self::orders_or_new), with `database.connections`. Somebody waits for
    /// each answer: while the database is away, requests fail soon.
    #[cfg(feature = "server")]
    pub(super) async fn served(config: &Config) -> Result<Database, SetupError> {
        let acquire_within = std::time::Duration::from_secs(3);
        let options = DatabaseOptions { acquire_within, ..config.database_options.clone() };
        let opened = Database::open_for_server(config.database.expose(), &options).await?;
        Self::with_tables(opened).await
    }

    /// Creates the tables of an embedded database that has none.
    async fn with_tables(database: Database) -> Result<Database, SetupError> {
        match database.check_schema().await {
            Err(error) if database.is_embedded() && error.is_without_tables() => {
                database.migrate().await?;
            }
            checked => checked?,
        }
        Ok(database)
    }

    /// The AI gateway, with API keys from environment and files.
    pub(super) fn gateway(config: &Config) -> Result<Arc<Gateway>, SetupError> {
        Self::gateway_with(config, http::client()?)
    }

    fn gateway_with(config: &Config, client: Client) -> Result<Arc<Gateway>, SetupError> {
        let variable = |name: &str| std::env::var_os(name);
        let gateway = Gateway::new(&config.ai, &config.base, client, &variable);
        // What `check` does not find is not in the configuration, but in files and environment.
        gateway.map(Arc::new).map_err(|error| {
            if config.ai.check().is_empty() {
                SetupError::Secrets(error)
            } else {
                SetupError::Ai(error)
            }
        })
    }

    /// Checks that the template can be found and that routes serve its purposes. A wrong flag or
    /// configuration is so reported as that, and leaves no failure record of the order.
    ///
    /// # Errors
    /// If the template's file cannot be read, or a purpose has no route. A template that cannot be
    /// used otherwise is no error: the attempt reports it.
    pub(super) async fn check_template(host: &Services, name: &str) -> Result<(), SetupError> {
        let template = match host.catalogue.load(name).await {
            Ok(template) => template,
            Err(CatalogueError::Unusable(error))
                if !matches!(error.problem, TemplateProblem::Unreadable(_)) =>
            {
                return Ok(());
            }
            Err(error) => {
                let unbuilt = match &error {
                    CatalogueError::Folder { folder, .. } => unbuilt(folder),
                    _ => None,
                };
                return Err(unbuilt.map_or_else(|| error.into(), SetupError::Usage));
            }
        };
        let manifest = &template.manifest;
        let purposes = manifest.ai_purposes.iter().map(|purpose| purpose.name.as_str());
        host.gateway.check_purposes(purposes).map_err(|unrouted| {
            SetupError::Usage(message!(
                "the template `{}` cannot be run: {unrouted}",
                manifest.name
            ))
        })
    }

    /// Everything that an attempt needs.
    pub(super) fn host(config: &Config, concurrency: u32) -> Result<Services, SetupError> {
        Self::host_with(config, concurrency, http::client()?)
    }

    /// As [`host`](Self::host), with an HTTP client that the caller uses too.
    pub(super) fn host_with(
        config: &Config,
        concurrency: u32,
        client: Client,
    ) -> Result<Services, SetupError> {
        let sites = SitesRoot::open(&config.sites)?.with_staging_buffer(HELD_BYTES);
        if let Err(error) = sitewright_failure::records::begin(sites.path()) {
            tracing::debug!(%error, "lists of failures read the folders of all orders");
        }
        Ok(Services {
            catalogue: Self::catalogue(config, concurrency)?,
            gateway: Self::gateway_with(config, client)?,
            sites,
            limits: Arc::new(config.limits.clone()),
            orders: config.orders.clone(),
            default_locale: config.default_locale.clone(),
            checks: config.checks.clone(),
            viewer: None,
            keep_releases: config.keep_releases,
            config_version: config.version.clone(),
        })
    }
}

/// Files in the root of a template's project, one for each language.
const PROJECT_FILES: [&str; 3] = ["Cargo.toml", "pyproject.toml", "package.json"];

/// What to do if `path` is missing because the project whose build makes it was not built; `None`
/// if it is there, or is none of a project's.
pub(super) fn unbuilt(path: &Path) -> Option<Message> {
    if path.exists() {
        return None;
    }
    // `dist`, or a component in it.
    let mut parents = path.ancestors().skip(1).take(2);
    let project =
        parents.find(|folder| PROJECT_FILES.iter().any(|file| folder.join(file).is_file()))?;
    let folder = if project.as_os_str().is_empty() { Path::new(".") } else { project };
    Some(message!(
        "there is no {}, because the project in {} is not built: run `sitewright template build \
         {}` first",
        path.display(),
        folder.display(),
        folder.display()
    ))
}
