//! Helpers: the library in the test's process, for what the binary cannot show, such as which run
//! ends first, a paused clock, or a chosen attempt id.

use std::sync::Arc;

use serde_json::Value;
use sitewright::config::Config;
use sitewright_ai::Gateway;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::plugin::{Cache, Catalogue, Engine, Loader};
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, OrderReading, Outcome, Publication, Services, attempt,
};
use sitewright_site::SitesRoot;
use sitewright_tests::{Workbench, guest};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The services that the binary would create from the configuration of a workbench, for
/// `concurrency` simultaneous runs.
pub(crate) fn host(bench: &Workbench, concurrency: u32) -> Services {
    let config = Config::load(Some(&bench.path().join("sitewright.toml"))).unwrap();
    let engine = Engine::new(&config.limits, concurrency).unwrap();
    let cache = config.cache.as_deref().map_or_else(Cache::off, Cache::open);
    let loader = Loader::new(engine, cache, config.limits.clone()).unwrap();
    let client = sitewright_http::client().unwrap();
    Services {
        catalogue: Catalogue::new(config.templates.clone(), loader),
        gateway: Arc::new(Gateway::new(&config.ai, &config.base, client, &|_| None).unwrap()),
        sites: SitesRoot::open(&config.sites).unwrap(),
        limits: Arc::new(config.limits.clone()),
        orders: OrderReading::default(),
        default_locale: config.default_locale.clone(),
        checks: sitewright_site::SitePolicy::default(),
        viewer: None,
        keep_releases: config.keep_releases,
        config_version: config.version,
    }
}

/// Runs one attempt of an order with the faulty template.
pub(crate) async fn run(host: &Services, order: &Value, id: AttemptId) -> Outcome {
    watched(host, order, id, watch::Sender::default()).await
}

/// The same, with its stages reported to `progress`.
pub(crate) async fn watched(
    host: &Services,
    order: &Value,
    id: AttemptId,
    progress: watch::Sender<RunProgress>,
) -> Outcome {
    attempt(host, request("guest-faulty", order, id, progress)).await
}

/// The request for an attempt with a guest of `tests/guests`.
pub(crate) fn request(
    template: &str,
    order: &Value,
    id: AttemptId,
    progress: watch::Sender<RunProgress>,
) -> AttemptRequest {
    AttemptRequest {
        document: order.to_string().into_bytes(),
        template: guest(template).to_string_lossy().into_owned(),
        id,
        job: None,
        revision: None,
        journal: JournalUse::Off,
        publication: Publication::Publish,
        cancel: CancellationToken::new(),
        progress,
    }
}

/// The kind of a failed attempt, or `released`.
pub(crate) fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Released(_) => "released".to_owned(),
        Outcome::Failed { record, .. } => record.kind.to_string(),
    }
}
