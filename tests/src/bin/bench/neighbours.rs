//! Healthy orders beside each sample of the hostile corpus: how many are done, and how late.
//!
//! Healthy orders arrive at a fixed rate, far below what the worker can do, while a few orders of
//! one sample are in the queue all the time. What the worker can do at most says nothing here: a
//! hostile order may use the processor that its limits allow.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use sitewright_failure::render;
use sitewright_jobs::{Database, NewOrder, OrderState};
use sitewright_tests::hostile::{Sample, corpus};
use tempfile::TempDir;

use crate::model::{Answering, Model, more_files};
use crate::process::Worker;

/// Template of the healthy orders: one AI call and one page.
const TEMPLATE: &str = "guest-one-page";
/// A reply that fits its schema, and is a JSON object for the hostile schemas.
const ANSWER: &str = "{\"headline\": \"Bright teeth in Boise\", \"lead\": \"A calm practice.\"}";

/// Target: share of the throughput that is kept.
const TARGET: f64 = 0.8;
/// Concurrent orders of the worker.
const MAX_ORDERS: u32 = 32;
/// How long the last healthy orders may take, before they count as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure only samples whose kind or name contains this text
    #[arg(long)]
    only: Option<String>,
    /// Healthy orders per second
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Duration of each measurement in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Write the samples into this folder instead: `<n>.wasm`, `<n>.json`, and `list.txt`
    #[arg(long)]
    write: Option<PathBuf>,
    /// Orders of the sample in the queue or running, at any time
    #[arg(long, default_value_t = 4)]
    hostile: usize,
}

/// One measurement.
struct Measured {
    /// Healthy orders done per second, while they arrived.
    per_second: f64,
    /// 99th percentile of the time from the queue to the end, in seconds.
    p99: f64,
    /// Healthy orders that were not done after [`PATIENCE`].
    lost: usize,
    /// Orders of the sample that ended while healthy ones arrived.
    hostile: usize,
    /// Peak memory of the worker in bytes.
    memory: u64,
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    more_files()?;
    let answering = Answering { text: Some(ANSWER.to_owned()), ..Answering::default() };
    let model = Model::answering(&answering).await?;
    let samples: Vec<Sample> = corpus()
        .into_iter()
        .filter(|sample| {
            args.only
                .as_ref()
                .is_none_or(|text| sample.kind == text || sample.name.contains(text.as_str()))
        })
        .collect();
    ensure!(!samples.is_empty(), "no sample has this kind, or this text in its name");
    if let Some(folder) = &args.write {
        return write(folder, &samples);
    }
    let alone = run(args, &model, None).await?;
    println!(
        "{} healthy orders/s for {} s; {} orders of the sample at any time\n\n\
         | kind | beside | healthy/s | share | p99 | lost | hostile ended | peak memory |\n\
         |---|---|--:|--:|--:|--:|--:|--:|",
        args.rate, args.seconds, args.hostile
    );
    print("", "nothing", &alone, None);
    let mut missed = Vec::new();
    for sample in &samples {
        let beside = run(args, &model, Some(sample)).await?;
        let share = beside.per_second / alone.per_second;
        print(sample.kind, &sample.name, &beside, Some(share));
        if share < TARGET || beside.lost > 0 {
            missed.push(sample.name.as_str());
        }
    }
    match missed.as_slice() {
        [] => println!("\ntarget: >= {TARGET} of the throughput alone, none lost: met"),
        missed => println!(
            "\ntarget: >= {TARGET} of the throughput alone, none lost: MISSED beside {}",
            missed.join("; ")
        ),
    }
    Ok(())
}

fn print(kind: &str, name: &str, measured: &Measured, share: Option<f64>) {
    println!(
        "| {kind} | {name} | {:.1} | {} | {:.0} ms | {} | {} | {} |",
        measured.per_second,
        share.map(|share| format!("{share:.2}")).unwrap_or_default(),
        measured.p99 * 1e3,
        measured.lost,
        measured.hostile,
        render::bytes(measured.memory)
    );
}

/// Writes the samples as files, for other tools.
fn write(folder: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut list = String::new();
    for (number, sample) in samples.iter().enumerate() {
        let file = |ending: &str| folder.join(format!("{number}.{ending}"));
        if let Some(component) = &sample.component {
            std::fs::write(file("wasm"), component)?;
        }
        std::fs::write(file("json"), sample.order.to_string())?;
        list += &format!("{number}\t{}\t{}\n", sample.kind, sample.name);
    }
    std::fs::write(folder.join("list.txt"), list)?;
    Ok(())
}

/// Runs healthy orders in a new worker, beside orders of the sample.
async fn run(args: &Args, model: &Model, sample: Option<&Sample>) -> anyhow::Result<Measured> {
    let folder = tempfile::Builder::new().prefix("sitewright-bench-").tempdir()?;
    let database = prepare(&folder, model, sample).await?;
    let worker = Worker::start(folder.path(), MAX_ORDERS, model.certificate()).await?;
    // Both templates are compiled before the measurement, or refused.
    database.enqueue(healthy("first", 0)).await?;
    if let Some(sample) = sample {
        database.enqueue(hostile(sample, 0)).await?;
    }
    until_ended(&database, 1 + usize::from(sample.is_some())).await?;

    let end = Instant::now() + Duration::from_secs(args.seconds.into());
    let mut tick = tokio::time::interval(Duration::from_secs(1) / args.rate);
    let (mut enqueued, mut sent) = (0, 1);
    // Numbers of the orders of the sample that have not ended.
    let mut running: Vec<usize> = Vec::new();
    while Instant::now() < end {
        tick.tick().await;
        database.enqueue(healthy("healthy", enqueued)).await?;
        enqueued += 1;
        if let Some(sample) = sample
            && enqueued % 10 == 1
        {
            let mut pending = Vec::new();
            for number in running {
                if !database.order(&format!("hostile-{number}")).await?.state.has_ended() {
                    pending.push(number);
                }
            }
            while pending.len() < args.hostile {
                database.enqueue(hostile(sample, sent)).await?;
                pending.push(sent);
                sent += 1;
            }
            running = pending;
        }
    }
    let closing = Instant::now();
    let closed_at = sitewright_tests::factory::now_ms();
    let mut ids: Vec<String> = (0..enqueued).map(|number| format!("healthy-{number}")).collect();
    let mut took = Vec::new();
    let mut in_time = 0;
    while !ids.is_empty() && closing.elapsed() < PATIENCE {
        let mut left = Vec::new();
        for id in ids {
            let order = database.order(&id).await?;
            match (order.state, order.finished_at) {
                (OrderState::Succeeded, Some(at)) => {
                    took.push((at - order.created_at) as f64 / 1e3);
                    in_time += usize::from(at <= closed_at);
                }
                (state, _) if state.has_ended() => anyhow::bail!("a healthy order is {state}"),
                _ => left.push(id),
            }
        }
        ids = left;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    took.sort_by(f64::total_cmp);
    Ok(Measured {
        per_second: in_time as f64 / f64::from(args.seconds),
        p99: took.get(took.len() * 99 / 100).or(took.last()).copied().unwrap_or(f64::NAN),
        lost: ids.len(),
        hostile: (sent - 1).saturating_sub(running.len()),
        memory: worker.memory("VmHWM")?,
    })
}

async fn prepare(
    folder: &TempDir,
    model: &Model,
    sample: Option<&Sample>,
) -> anyhow::Result<Database> {
    let url = format!("sqlite://{}/orders.db", folder.path().display());
    let database = Database::open(&url).await?;
    database.migrate().await?;
    let templates = folder.path().join("templates");
    std::fs::create_dir(&templates)?;
    for name in [TEMPLATE, "guest-faulty"] {
        std::fs::copy(sitewright_tests::guest(name), templates.join(format!("{name}.wasm")))?;
    }
    if let Some(component) = sample.and_then(|sample| sample.component.as_ref()) {
        std::fs::write(templates.join("hostile.wasm"), component)?;
    }
    let configuration = format!(
        "templates = \"templates\"\nsites = \"sites\"\ncache = {:?}\n[database]\nurl = \
         {url:?}\n[limits]\ncpu_ms = 2000\ndeadline_ms = 20000\n[ai.providers.bench]\nkind = \
         \"openai\"\nbase_url = {:?}\n[ai.routes.default]\ntry = [{{ provider = \"bench\", model = \
         \"bench\" }}]\n",
        sitewright_tests::compile_cache().display().to_string(),
        model.base_url()
    );
    std::fs::write(folder.path().join("sitewright.toml"), configuration)?;
    Ok(database)
}

/// Waits until this many orders have ended or wait for another attempt.
async fn until_ended(database: &Database, orders: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let stats = database.stats().await?;
        let pending = stats.count(OrderState::Queued) + stats.count(OrderState::Running);
        if pending == 0 {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < Duration::from_secs(120),
            "{pending} of the first {orders} orders have not ended after two minutes"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn healthy(kind: &str, number: usize) -> NewOrder {
    let id = format!("{kind}-{number}");
    let mut document = sitewright_tests::order("02-dentist-us-minimal");
    document["order"]["id"] = json!(id);
    NewOrder::new(id, TEMPLATE, document.to_string())
}

fn hostile(sample: &Sample, number: usize) -> NewOrder {
    let id = format!("hostile-{number}");
    let mut document = sample.order.clone();
    document["order"]["id"] = json!(id);
    let template = if sample.component.is_some() { "hostile" } else { "guest-faulty" };
    NewOrder::new(id, template, document.to_string())
}
