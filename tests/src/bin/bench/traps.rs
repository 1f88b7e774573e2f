//! Cost of a trap with its failure record, effect of a storm of traps on healthy orders, and size
//! of the records.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use serde_json::json;
use sitewright_ai::{AiConfig, Gateway};
use sitewright_failure::render;
use sitewright_model::failure::FailureRecord;
use sitewright_runtime::plugin::{Cache, Catalogue, Engine, Limits, Loader};
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, OrderReading, Outcome, Publication, Services, attempt,
};
use sitewright_site::SitesRoot;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::setup::{Clocks, median, memory, memory_of};

/// Targets: traps per second, and p99 of healthy orders beside a storm relative to alone.
const TARGET_PER_SECOND: f64 = 1_000.0;
const TARGET_P99: f64 = 1.5;

/// Template that traps.
const TEMPLATE: &str = "guest-faulty";
/// Faults, in rotation.
const TRAPS: [&str; 5] = ["unreachable", "oob", "divide-by-zero", "panic-string", "stack-overflow"];
/// Concurrent attempts.
const IN_FLIGHT: usize = 32;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Traps at full speed
    #[arg(long, default_value_t = 10_000)]
    traps: usize,
    /// Sequential traps
    #[arg(long, default_value_t = 500)]
    single: usize,
    /// Hosts whose first trap is measured
    #[arg(long, default_value_t = 9)]
    cold: usize,
    /// Healthy orders per second, alone and beside a storm
    #[arg(long, default_value_t = 50)]
    healthy: u32,
    /// Traps per second in that storm
    #[arg(long, default_value_t = 1_000)]
    storm: u32,
    /// Duration of each of the two measurements in seconds
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// A host and the folder of its sites and compiled templates.
struct Bench {
    folder: PathBuf,
    host: Services,
}

impl Bench {
    fn new(folder: &Path) -> anyhow::Result<Bench> {
        let limits = Limits::default();
        let engine = Engine::new(&limits, 64)?;
        let loader = Loader::new(engine, Cache::open(&folder.join("cache")), limits.clone())
            .map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let templates = sitewright_tests::guest(TEMPLATE).parent().context("a folder")?.to_owned();
        let ai: AiConfig = serde_json::from_value(json!({
            "providers": {
                "scripted": { "kind": "scripted", "rules_inline": sitewright_tests::ANY_ANSWER },
            },
            "routes": { "default": { "try": [{ "provider": "scripted", "model": "bench" }] } },
        }))?;
        let host = Services {
            catalogue: Catalogue::new(templates, loader),
            gateway: Arc::new(Gateway::new(&ai, folder, sitewright_http::client()?, &|_| None)?),
            sites: SitesRoot::open(&folder.join("sites"))?,
            limits: Arc::new(limits),
            orders: OrderReading::default(),
            default_locale: "en".parse().context("a locale")?,
            checks: sitewright_site::SitePolicy::default(),
            viewer: None,
            keep_releases: 1,
            config_version: "bench".to_owned(),
        };
        Ok(Bench { folder: folder.to_owned(), host })
    }

    async fn attempt(&self, number: usize, fault: &str) -> Outcome {
        let mut order = sitewright_tests::faulty(fault, json!({}));
        order["order"]["id"] = json!(number);
        let request = AttemptRequest {
            document: order.to_string().into_bytes(),
            template: TEMPLATE.to_owned(),
            id: AttemptId::new(),
            job: None,
            revision: None,
            journal: JournalUse::Off,
            publication: Publication::Publish,
            cancel: CancellationToken::new(),
            progress: watch::Sender::default(),
        };
        attempt(&self.host, request).await
    }

    /// Runs an order that traps and checks its record.
    async fn trap(&self, number: usize) -> anyhow::Result<()> {
        let fault = TRAPS[number % TRAPS.len()];
        let Outcome::Failed { record, stored, .. } = self.attempt(number, fault).await else {
            anyhow::bail!("{fault} did not fail");
        };
        stored.map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(has_lines(&record), "{fault}: no frame of the template has a line: {record:#?}");
        Ok(())
    }

    async fn healthy(&self, number: usize) -> anyhow::Result<()> {
        match self.attempt(number, "ok").await {
            Outcome::Released(_) => Ok(()),
            Outcome::Failed { record, .. } => {
                anyhow::bail!("a healthy order failed: {}", record.message)
            }
        }
    }
}

fn has_lines(record: &FailureRecord) -> bool {
    let frames = record.trap.iter().flat_map(|trap| &trap.frames);
    frames.into_iter().any(|frame| frame.own && frame.file.is_some() && frame.line.is_some())
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    // Compiles the template, so that every host below starts with a warm cache.
    Bench::new(folder.path())?.healthy(0).await?;

    let mut cold = Vec::new();
    for _ in 0..args.cold {
        let bench = Bench::new(folder.path())?;
        bench.healthy(0).await?;
        let begin = Instant::now();
        bench.trap(1).await?;
        cold.push(begin.elapsed().as_secs_f64());
    }
    let bench = Arc::new(Bench::new(folder.path())?);
    bench.trap(1).await?;

    let per = |clocks: &Clocks, count: usize| {
        let (wall, cpu) = clocks.read();
        (wall.as_secs_f64() / count as f64, cpu.as_secs_f64() / count as f64)
    };
    let clocks = Clocks::start();
    for number in 0..args.single {
        bench.healthy(number).await?;
    }
    let healthy = per(&clocks, args.single);
    let clocks = Clocks::start();
    for number in 0..args.single {
        bench.trap(number).await?;
    }
    let warm = per(&clocks, args.single);

    let clocks = Clocks::start();
    let mut ended = futures::stream::iter((0..args.traps).map(|number| {
        let bench = bench.clone();
        tokio::spawn(async move { bench.trap(number).await })
    }))
    .buffer_unordered(IN_FLIGHT);
    while let Some(ended) = ended.next().await {
        ended??;
    }
    let (wall, _) = clocks.read();
    let per_second = args.traps as f64 / wall.as_secs_f64();
    let peak_memory = memory("VmHWM")?;

    let alone = latencies(&bench, args, 0).await?;
    let beside_storm = latencies(&bench, args, args.storm).await?;

    let (records, on_disk) = sizes(&bench.folder.join("sites"))?;
    let (listing, peak) = list(&bench.folder, records).await?;

    let ms = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    println!(
        "a Rust template with debug information; every record has frames, files and lines, and is \
         written to disk:\n"
    );
    let line = |what: &str, value: String| println!("  {what:<58} {value}");
    line("one healthy order, wall and CPU", format!("{} {}", ms(healthy.0), ms(healthy.1)));
    line(
        "one trapping order, symbols cached, wall and CPU",
        format!("{} {}", ms(warm.0), ms(warm.1)),
    );
    line("first trap of a template, including reading its symbols", ms(median(cold)));
    line(
        &format!("{} traps, {IN_FLIGHT} concurrent", args.traps),
        format!(
            "{per_second:.0}/s (target >= {TARGET_PER_SECOND}): {}; peak memory {}",
            verdict(per_second >= TARGET_PER_SECOND),
            render::bytes(peak_memory)
        ),
    );
    let ratio = beside_storm.1 / alone.1;
    line(
        &format!("{} healthy orders/s alone, median and p99", args.healthy),
        format!("{} {}", ms(alone.0), ms(alone.1)),
    );
    line(
        &format!("the same beside {} traps/s", args.storm),
        format!(
            "{} {}, p99 x {ratio:.2} (target <= {TARGET_P99}): {}",
            ms(beside_storm.0),
            ms(beside_storm.1),
            verdict(ratio <= TARGET_P99)
        ),
    );
    line(
        &format!("{records} records on disk"),
        format!("{} each", render::bytes(on_disk / records.max(1) as u64)),
    );
    line(
        "`failures list` of all records",
        format!("{:.2} s, peak memory {}", listing.as_secs_f64(), render::bytes(peak)),
    );
    Ok(())
}

/// Median and p99 latency in seconds of healthy orders that arrive at a fixed rate, beside `storm`
/// traps per second.
async fn latencies(bench: &Arc<Bench>, args: &Args, storm: u32) -> anyhow::Result<(f64, f64)> {
    let end = Instant::now() + Duration::from_secs(args.seconds.into());
    let traps = (storm > 0).then(|| {
        let bench = bench.clone();
        tokio::spawn(async move {
            let mut traps = tokio::task::JoinSet::new();
            let mut tick = paced(storm);
            let mut number = 0;
            while Instant::now() < end {
                tick.tick().await;
                let bench = bench.clone();
                traps.spawn(async move { bench.trap(100_000 + number % 1_000).await });
                number += 1;
                while traps.try_join_next().transpose()?.transpose()?.is_some() {}
            }
            while let Some(ended) = traps.join_next().await {
                ended??;
            }
            anyhow::Ok(number)
        })
    });
    let mut orders = tokio::task::JoinSet::new();
    let mut tick = paced(args.healthy);
    let mut number = 0;
    while Instant::now() < end {
        let due = tick.tick().await.into_std();
        let bench = bench.clone();
        orders.spawn(async move {
            bench.healthy(200_000 + number).await?;
            anyhow::Ok(due.elapsed().as_secs_f64())
        });
        number += 1;
    }
    let mut took = Vec::new();
    while let Some(ended) = orders.join_next().await {
        took.push(ended??);
    }
    if let Some(traps) = traps {
        let traps = traps.await??;
        let intended = args.storm * args.seconds;
        ensure!(
            traps as f64 >= f64::from(intended) * 0.95,
            "the storm had {traps} instead of {intended} traps"
        );
    }
    took.sort_by(f64::total_cmp);
    let at = |part: f64| {
        took.get(((took.len() as f64 - 1.0) * part) as usize).copied().unwrap_or(f64::NAN)
    };
    Ok((at(0.5), at(0.99)))
}

fn paced(per_second: u32) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    tick
}

/// Number of records and their total size in bytes.
fn sizes(sites: &Path) -> anyhow::Result<(usize, u64)> {
    let files = sitewright_failure::store::files(sites)?;
    let mut bytes = 0;
    for file in &files {
        bytes += std::fs::metadata(file)?.len();
    }
    Ok((files.len(), bytes))
}

/// Runs `sitewright failures list` for all records. Returns its duration and its peak memory.
async fn list(folder: &Path, records: usize) -> anyhow::Result<(Duration, u64)> {
    let mut command = std::process::Command::new(sitewright_tests::binary());
    sitewright_tests::forget_settings(&mut command);
    command
        .current_dir(folder)
        .args(["--out", "sites", "failures", "list", "--limit"])
        .arg(records.to_string());
    let begin = Instant::now();
    let mut process =
        tokio::process::Command::from(command).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
    let pid = process.id().context("the process has exited")?.to_string();
    let mut peak = 0;
    loop {
        // `VmHWM` is gone after the exit, so it is polled.
        if let Ok(bytes) = memory_of(&pid, "VmHWM") {
            peak = peak.max(bytes);
        }
        if let Some(status) = process.try_wait()? {
            ensure!(status.success(), "`failures list` exited with {status}");
            return Ok((begin.elapsed(), peak));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
