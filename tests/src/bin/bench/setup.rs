//! Shared parts of the benchmarks: a loaded template, a scripted gateway, clocks and memory
//! readings.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use sitewright_ai::{AiConfig, Gateway};
use sitewright_runtime::host_functions::{RunProgress, RunTrace};
use sitewright_runtime::plugin::{Cache, Determinism, Engine, Limits, Loader, Template};
use sitewright_runtime::run::{RunRequest, Witnessed, deadline_of};
use sitewright_site::{OrderDir, SitesRoot, Staging};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A loaded template and everything that a run needs.
pub(crate) struct Setup {
    pub(crate) template: Arc<Template>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) sites: SitesRoot,
    document: Arc<str>,
}

impl Setup {
    /// Loads the test guest `name` into an engine for `concurrency` runs. `rules` answer its AI
    /// calls.
    pub(crate) async fn new(
        name: &str,
        concurrency: u32,
        rules: &str,
        order: serde_json::Value,
        sites: &Path,
    ) -> anyhow::Result<Self> {
        Setup::of(&sitewright_tests::guest(name), Cache::off(), concurrency, rules, order, sites)
            .await
    }

    /// Like [`Setup::new`], with any template and a cache of compiled templates.
    pub(crate) async fn of(
        template: &Path,
        cache: Cache,
        concurrency: u32,
        rules: &str,
        order: serde_json::Value,
        sites: &Path,
    ) -> anyhow::Result<Self> {
        let limits = Limits::default();
        let template = Arc::new(loader(cache, concurrency)?.load(template).await?);
        let config: AiConfig = serde_json::from_value(serde_json::json!({
            "providers": { "scripted": { "kind": "scripted", "rules_inline": rules } },
            "routes": { "default": { "try": [{ "provider": "scripted", "model": "bench" }] } },
        }))?;
        let gateway = Gateway::new(&config, Path::new("."), sitewright_http::client()?, &|_| None)?;
        let snapshot = sitewright_intake::load(
            order.to_string().as_bytes(),
            sitewright_intake::MAX_BYTES,
            &"en".parse().context("a locale")?,
        )?;
        Ok(Setup {
            template,
            limits: Arc::new(limits),
            gateway: Arc::new(gateway),
            sites: SitesRoot::open(sites)?,
            document: snapshot.document().clone(),
        })
    }

    /// Request for run `number`, with its own seed and folder.
    pub(crate) fn request(&self, number: u32) -> anyhow::Result<RunRequest> {
        let folder = OrderDir::new(&format!("order-{number}"))?;
        Ok(RunRequest {
            template: self.template.clone(),
            document: self.document.clone(),
            limits: self.limits.clone(),
            determinism: Determinism { seed: u64::from(number), start_unix_ms: 0 },
            gateway: self.gateway.clone(),
            judge: None,
            journal: None,
            staging: Staging::new(&self.sites, folder.clone(), folder, Limits::default().site()),
            trace: Arc::new(RunTrace::new(
                &self.limits,
                watch::Sender::new(RunProgress::default()),
            )),
            deadline: deadline_of(&self.limits),
            cancel: CancellationToken::new(),
            witnessed: Witnessed::default(),
        })
    }

    /// The order as JSON.
    pub(crate) fn document(&self) -> &Arc<str> {
        &self.document
    }
}

/// A loader with a new engine.
pub(crate) fn loader(cache: Cache, concurrency: u32) -> anyhow::Result<Loader> {
    let limits = Limits::default();
    let engine = Engine::new(&limits, concurrency)?;
    Loader::new(engine, cache, limits).map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// Wall time and CPU time since [`Clocks::start`].
pub(crate) struct Clocks {
    wall: Instant,
    cpu: Duration,
}

impl Clocks {
    pub(crate) fn start() -> Self {
        Clocks { wall: Instant::now(), cpu: cpu() }
    }

    /// Wall time and CPU time of the process.
    pub(crate) fn read(&self) -> (Duration, Duration) {
        (self.wall.elapsed(), cpu().saturating_sub(self.cpu))
    }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A value of `/proc/self/status` in bytes: `VmHWM` is the peak, `VmRSS` the current memory.
pub(crate) fn memory(name: &str) -> anyhow::Result<u64> {
    memory_of("self", name)
}

/// Like [`memory`], for another process.
pub(crate) fn memory_of(process: &str, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .context("the line is missing")?;
    let kib: u64 = line.split_whitespace().next().context("the value is missing")?.parse()?;
    Ok(kib * 1_024)
}

/// Current memory of a process in bytes, as the proportional set size. `VmRSS` would count the
/// shared pages of a template's memory image once per instance.
pub(crate) fn memory_now(process: &str) -> anyhow::Result<u64> {
    let sums = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line =
        sums.lines().find_map(|line| line.strip_prefix("Pss:")).context("the line is missing")?;
    let kib: u64 = line.split_whitespace().next().context("the value is missing")?.parse()?;
    Ok(kib * 1_024)
}

/// Median; NaN without values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
