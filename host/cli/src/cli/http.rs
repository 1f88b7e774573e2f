//! The HTTP server of `serve` and `worker --listen`, made from the configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::hook_map::misspelt;
use super::replay_child;
use super::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_control::{CountListeners, read_conformance};
use sitewright_jobs::{Database, Liveness};
use sitewright_model::message;
use sitewright_runtime::plugin::template_names;
use sitewright_server::{
    Alive, BundleExport, ConfigurationKey, ConformanceReports, Expired, Replay, ReplayError,
    Server, ServerConfig, ServerParts, Surface, TemplateNames,
};
use sitewright_site::{SiteStore, SitesRoot};
use sitewright_webhooks::{CallbackRules, Hooks};
use sitewright_worker::{SweepMode, sweep_database};

/// An address to listen on, for the command line.
///
/// # Errors
/// What would be one.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        match host.eq_ignore_ascii_case("localhost") {
            true => "names are not looked up: write 127.0.0.1:PORT or [::1]:PORT".to_owned(),
            false => "it is no address with a port, like 127.0.0.1:8080 or [::1]:8080".to_owned(),
        }
    })
}

/// How long requests to a worker have at most to end, in milliseconds.
const GRACE_OF_WORKER_MS: u64 = 1_000;

/// Binds a server.
///
/// # Errors
/// If the store of releases cannot be opened, or the address cannot be used.
pub(super) async fn bind(
    config: &Config,
    database: Database,
    surface: Surface,
    listen: Option<SocketAddr>,
    (alive, replay, export): (Alive, Replay, BundleExport),
) -> Result<Server, SetupError> {
    let folder = config.templates.clone();
    let templates: TemplateNames = Arc::new(move || {
        let folder = folder.clone();
        Box::pin(async move {
            let names = template_names(&folder).await;
            names.map_err(|error| message!("the templates folder cannot be read: {error}"))
        })
    });
    let folder = config.templates.clone();
    let conformance: ConformanceReports = Arc::new(move |name| {
        let folder = folder.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || read_conformance(&folder, &name)).await;
            read.map_err(|error| message!("reading a conformance report did not end: {error}"))?
        })
    });
    let (asked, retention) = (database.clone(), config.retention);
    let expired: Expired = Arc::new(move || {
        let database = asked.clone();
        Box::pin(async move {
            let swept = sweep_database(&database, &retention, SweepMode::DryRun).await;
            let swept = swept.map_err(|error| message!("the database failed: {error}"))?;
            Ok(swept.rows())
        })
    });
    let store = if surface.has_api() { store(config).await? } else { None };
    let hooks = if surface.has_api() { Setup::hooks(config)? } else { Hooks::new() };
    let oidc = if surface.has_api() { Setup::oidc(config)? } else { None };
    for (hook, one) in config.hooks.iter().filter(|(name, _)| hooks.contains_key(*name)) {
        for says in misspelt(one, &config.default_locale) {
            tracing::warn!(hook, "{says}");
        }
    }
    let mut configuration = configuration(config, &database);
    for shown in configuration.iter_mut().filter(|shown| shown.key == "server.listen") {
        if let Some(listen) = listen {
            shown.value = listen.to_string();
            shown.source = Some("the flag --listen".to_owned());
        }
    }
    let listen = listen.unwrap_or(config.server.listen);
    let mut settings = ServerConfig { listen, ..config.server.clone() };
    if surface.is_of_worker() {
        // A worker has little time left when its orders have ended.
        settings.grace_ms = settings.grace_ms.min(GRACE_OF_WORKER_MS);
    }
    let parts = ServerParts {
        database,
        sites: config.sites.clone(),
        store,
        keep_releases: config.keep_releases,
        reading: config.reading(),
        config_version: config.version.clone(),
        configuration,
        routes: config.ai.routes.keys().cloned().collect(),
        providers: config.ai.providers.keys().cloned().collect(),
        templates,
        conformance,
        languages: Setup::languages(config),
        expired,
        replay,
        export,
        callbacks: config.callbacks.as_ref().map(CallbackRules::from),
        hooks,
        oidc,
        alive,
        settings,
        surface,
    };
    Ok(Server::bind(parts).await?)
}

/// What the console shows of the configuration in force: keys that have no secret, with the URL of
/// the database without its password, each with what sets it.
fn configuration(config: &Config, database: &Database) -> Vec<ConfigurationKey> {
    let path = |path: &Path| path.display().to_string();
    let routes: Vec<&str> = config.ai.routes.keys().map(String::as_str).collect();
    let providers: Vec<&str> = config.ai.providers.keys().map(String::as_str).collect();
    let callbacks = match &config.callbacks {
        None => "not accepted",
        Some(callbacks) if callbacks.allow_private => "accepted, also to private addresses",
        Some(_) => "accepted to public addresses",
    };
    let mut shown = vec![
        ("templates".to_owned(), path(&config.templates)),
        ("sites".to_owned(), path(&config.sites)),
        ("database".to_owned(), database.shown().to_owned()),
        ("default_locale".to_owned(), config.default_locale.as_str().to_owned()),
        ("keep_releases".to_owned(), config.keep_releases.to_string()),
        ("ai.providers".to_owned(), providers.join(", ")),
        ("ai.routes".to_owned(), routes.join(", ")),
        ("callbacks".to_owned(), callbacks.to_owned()),
    ];
    // Of the address only what may be shown: a path or query can be a key.
    shown.extend(config.webhooks.iter().map(|(name, webhook)| {
        let url = sitewright_webhooks::target(&webhook.url, true);
        let host = url.map_or_else(|why| why.to_string(), |url| sitewright_webhooks::shown(&url));
        let events: Vec<&str> = webhook.events.iter().map(|event| event.as_str()).collect();
        (format!("webhooks.{name}"), format!("{host} ({})", events.join(", ")))
    }));
    let tables = [
        ("hooks", json!(config.hooks)),
        ("server", json!(config.server)),
        ("worker", json!(config.worker)),
        ("retention", json!(config.retention.in_force())),
        ("limits", json!(config.limits)),
    ];
    for (table, keys) in tables {
        flatten(table, &keys, &mut shown);
    }
    shown
        .into_iter()
        .map(|(key, value)| ConfigurationKey { source: config.source(&key), key, value })
        .collect()
}

/// Adds the keys of a table, and of the tables in it.
fn flatten(name: &str, value: &Value, shown: &mut Vec<(String, String)>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                flatten(&format!("{name}.{key}"), value, shown);
            }
        }
        Value::String(text) => shown.push((name.to_owned(), text.clone())),
        Value::Null => shown.push((name.to_owned(), "none".to_owned())),
        other => shown.push((name.to_owned(), other.to_string())),
    }
}

/// The object store of releases, if there is one.
async fn store(config: &Config) -> Result<Option<SiteStore>, SetupError> {
    if config.store.is_none() {
        return Ok(None);
    }
    let sites = SitesRoot::open(&config.sites)?;
    let client = sitewright_http::client()?;
    Ok(Some(Setup::store(config, &sites, &client).await?))
}

/// Without a sign of life for this long, the heartbeats of a worker are stuck; they give one every
/// second.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The server of a worker's health and metrics, and of the API if that is wanted.
pub(super) struct Status {
    address: SocketAddr,
    listeners: CountListeners,
    /// Set when the worker has started.
    liveness: Arc<OnceLock<Liveness>>,
    stop: CancellationToken,
    serving: JoinHandle<bool>,
}

impl Status {
    /// Binds the address and answers; with `api`, as `sitewright serve` does.
    ///
    /// # Errors
    /// As [`bind`].
    pub(super) async fn start(
        setup: &Setup,
        config: &Config,
        database: Database,
        listen: SocketAddr,
        api: bool,
    ) -> Result<Self, SetupError> {
        let liveness: Arc<OnceLock<Liveness>> = Arc::default();
        let watched = Arc::clone(&liveness);
        let alive: Alive = Arc::new(move || match watched.get().map(Liveness::age) {
            Some(age) if age > STUCK_AFTER => {
                Err(message!("the heartbeats are stuck for {} s", age.as_secs()))
            }
            _ => Ok(()),
        });
        if api {
            let doing = (alive, replay_child::replays(setup), replay_child::exports(setup));
            let server = bind(config, database, Surface::Worker, Some(listen), doing).await?;
            return Ok(Status::serve(server, liveness));
        }
        // It has no routes for these.
        let replay: Replay = Arc::new(|_, _| {
            let none = message!("the status of a worker replays nothing");
            Box::pin(std::future::ready(Err(ReplayError::Host(none))))
        });
        let export: BundleExport = Arc::new(|_, _| {
            let none = message!("the status of a worker exports nothing");
            Box::pin(std::future::ready(Err(ReplayError::Host(none))))
        });
        let doing = (alive, replay, export);
        let server = bind(config, database, Surface::Status, Some(listen), doing).await?;
        Ok(Status::serve(server, liveness))
    }

    fn serve(server: Server, liveness: Arc<OnceLock<Liveness>>) -> Self {
        let (address, stop) = (server.address(), CancellationToken::new());
        let listeners = server.listeners();
        let serving = tokio::spawn(server.serve(stop.clone()));
        Status { address, listeners, liveness, stop, serving }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts the open streams of events.
    pub(super) fn listeners(&self) -> CountListeners {
        Arc::clone(&self.listeners)
    }

    /// From now on the worker is alive only while its heartbeats are.
    pub(super) fn watch(&self, liveness: Liveness) {
        // It is set once, here.
        self.liveness.get_or_init(|| liveness);
    }

    /// Lets requests end.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.serving.await {
            tracing::warn!(%error, "the server of health and metrics did not end");
        }
    }
}
