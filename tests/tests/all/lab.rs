//! Helpers: the host as a library in a temporary folder, for many attempts in one process.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sitewright_ai::{AiConfig, Gateway};
use sitewright_model::failure::FailureRecord;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::plugin::{Cache, Catalogue, Compiler, Engine, Limits, Loader};
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, OrderReading, Outcome, Publication, Released, Services,
    attempt,
};
use sitewright_site::SitesRoot;
use sitewright_tests::{check_record, compile_cache, faulty, guest};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A host and the folder of its sites.
pub(crate) struct Lab {
    folder: TempDir,
    pub(crate) host: Services,
}

impl Lab {
    /// A host whose AI calls are answered by `rules`.
    pub(crate) fn new(limits: Limits, concurrency: u32, rules: &str) -> Self {
        Self::compiling(limits, concurrency, rules, Compiler::here())
    }

    /// The same, with `compiler` as the program that compiles templates.
    pub(crate) fn compiling(
        limits: Limits,
        concurrency: u32,
        rules: &str,
        compiler: Compiler,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let engine = Engine::new(&limits, concurrency).unwrap();
        let loader = Loader::new(engine, Cache::open(&compile_cache()), limits.clone()).unwrap();
        let loader = loader.with_compiler(compiler);
        let templates = guest("guest-faulty").parent().unwrap().to_owned();
        let host = Services {
            catalogue: Catalogue::new(templates, loader),
            gateway: gateway(rules, folder.path()),
            sites: SitesRoot::open(&folder.path().join("sites")).unwrap(),
            limits: Arc::new(limits),
            orders: OrderReading::default(),
            default_locale: "en".parse().unwrap(),
            checks: sitewright_site::SitePolicy::default(),
            viewer: None,
            keep_releases: 5,
            config_version: "test".to_owned(),
        };
        Lab { folder, host }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts an attempt of the faulty template in a new task.
    pub(crate) fn start(&self, order: &Value) -> Started {
        Started::on(self.host.clone(), order)
    }

    /// A host that shares everything with this one except its limits.
    pub(crate) fn with_limits(&self, limits: Limits) -> Services {
        Services { limits: Arc::new(limits), ..self.host.clone() }
    }

    /// Files and folders left in the staging folders of all orders.
    pub(crate) fn staged(&self) -> Vec<String> {
        let mut left = Vec::new();
        for order in std::fs::read_dir(self.host.sites.path()).unwrap() {
            let Ok(staging) = std::fs::read_dir(order.unwrap().path().join("staging")) else {
                continue;
            };
            left.extend(staging.map(|entry| entry.unwrap().path().display().to_string()));
        }
        left
    }
}

/// A running attempt.
pub(crate) struct Started {
    pub(crate) task: tokio::task::JoinHandle<Outcome>,
    pub(crate) cancel: CancellationToken,
    pub(crate) watcher: watch::Receiver<RunProgress>,
}

impl Started {
    pub(crate) fn on(host: Services, order: &Value) -> Self {
        Self::of(host, "guest-faulty", order)
    }

    /// Starts an attempt of another template.
    pub(crate) fn of(host: Services, template: &str, order: &Value) -> Self {
        let (progress, watcher) = watch::channel(RunProgress::default());
        let cancel = CancellationToken::new();
        let request = AttemptRequest {
            document: order.to_string().into_bytes(),
            template: template.to_owned(),
            id: AttemptId::new(),
            job: None,
            revision: None,
            journal: JournalUse::Off,
            publication: Publication::Publish,
            cancel: cancel.clone(),
            progress,
        };
        let task = tokio::spawn(async move { attempt(&host, request).await });
        Started { task, cancel, watcher }
    }

    pub(crate) async fn ended(self) -> Outcome {
        self.task.await.unwrap()
    }

    /// Waits until the template has reported its first stage.
    pub(crate) async fn runs(&mut self) {
        self.watcher.wait_for(|progress| progress.stage == "fault").await.unwrap();
    }
}

/// Order `number` for the faulty template.
pub(crate) fn numbered_order(number: usize, fault: &str, parameters: Value) -> Value {
    let mut order = faulty(fault, parameters);
    order["order"]["id"] = json!(1_000 + number);
    order
}

fn gateway(rules: &str, folder: &Path) -> Arc<Gateway> {
    let config: AiConfig = serde_json::from_value(json!({
        "providers": { "scripted": { "kind": "scripted", "rules_inline": rules } },
        "routes": { "default": { "try": [{ "provider": "scripted", "model": "test" }] } },
    }))
    .unwrap();
    let client = sitewright_http::client().unwrap();
    Arc::new(Gateway::new(&config, folder, client, &|_| None).unwrap())
}

pub(crate) fn released(outcome: Outcome) -> Box<Released> {
    match outcome {
        Outcome::Released(released) => released,
        Outcome::Failed { record, .. } => panic!("{}: {}", record.kind, record.message),
    }
}

pub(crate) fn failed(outcome: Outcome) -> Box<FailureRecord> {
    match outcome {
        Outcome::Failed { record, stored, .. } => {
            assert!(stored.unwrap().is_file(), "the record is stored");
            check_record(&serde_json::to_value(&record).unwrap());
            record
        }
        Outcome::Released(released) => panic!("the order {} was released", released.order),
    }
}
