//! Many orders in a worker that also removes what has expired: whether it needs more and more.
//!
//! Everything that a worker might collect is measured again and again while orders come at a fixed
//! rate: its memory and file descriptors, the database, and the files of the sites folder. The sites
//! that visitors see are counted apart, with what is kept about their releases: retention does not
//! take them off.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use sitewright_failure::render;
use sitewright_jobs::{Database, NewOrder, OrderState};
use sitewright_site::{PRIVATE_FOLDERS, PUBLIC};

use crate::cluster::Cluster;
use crate::model::{Answering, Model, more_files};
use crate::process::Worker;

/// Template of the orders that succeed: one AI call and one page.
const TEMPLATE: &str = "guest-one-page";
/// Template of those that fail.
const FAULTY: &str = "guest-faulty";
/// One of this many orders fails, with a failure record.
const FAILS: usize = 20;
/// The model's reply, which fits the schema of the template.
const ANSWER: &str = "{\"headline\": \"Bright teeth in Boise\", \"lead\": \"A calm practice.\"}";
/// Orders in a commit of the producer.
const BATCH: usize = 50;
/// Concurrent orders of the worker.
const MAX_ORDERS: u32 = 200;
/// Target: the last quarter's mean of each measure, as a share of the second quarter's.
const TARGET: f64 = 1.10;

/// Options of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Orders
    #[arg(long, default_value_t = 50_000)]
    orders: usize,
    /// Orders per second
    #[arg(long, default_value_t = 250)]
    rate: u32,
    /// Seconds that everything of an order is kept after its end
    #[arg(long, default_value_t = 15)]
    keep: u32,
    /// Measure only SQLite
    #[arg(long)]
    sqlite: bool,
    /// Folder for database and sites. Default: the temporary folder
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// One look at everything that might grow.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Orders so far.
    orders: usize,
    /// Bytes of the worker's memory.
    memory: u64,
    /// Open file descriptors of the worker.
    descriptors: u64,
    /// Bytes of the database.
    database: u64,
    /// Orders in the database.
    stored: u64,
    /// Files and folders of the sites folder that retention removes.
    files: u64,
    /// Those of the sites that visitors see, which stay.
    stay: u64,
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    more_files()?;
    soak(args, "SQLite", None).await?;
    if !args.sqlite {
        match Cluster::start().await? {
            Some(cluster) => {
                let name = cluster.version().await?;
                soak(args, &name, Some(&cluster)).await?;
                cluster.stop().await?;
            }
            None => eprintln!("\nSKIPPED: no PostgreSQL; install the package `postgresql`\n"),
        }
    }
    Ok(())
}

async fn soak(args: &Args, name: &str, cluster: Option<&Cluster>) -> anyhow::Result<()> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("sitewright-soak-");
    let folder = match &args.folder {
        Some(within) => folder.tempdir_in(within)?,
        None => folder.tempdir()?,
    };
    let url = match cluster {
        Some(cluster) => cluster.database("soak").await?,
        None => format!("sqlite://{}/orders.db", folder.path().display()),
    };
    let database = Database::open(&url).await?;
    database.migrate().await?;
    let answering = Answering { text: Some(ANSWER.to_owned()), ..Answering::default() };
    let model = Model::answering(&answering).await?;
    configure(folder.path(), &url, &model, args)?;
    let worker = Worker::start(folder.path(), MAX_ORDERS, model.certificate()).await?;

    println!(
        "\n{name}: {} orders, {} a second, kept for {} s\n\n| orders | memory | descriptors | \
         database | orders stored | files | those of sites, which stay |\n|--:|--:|--:|--:|--:|--:|--:|",
        args.orders, args.rate, args.keep
    );
    let look = |orders: usize| {
        let (database, worker, folder) = (&database, &worker, folder.path());
        async move {
            let stats = database.stats().await?;
            let stored: i64 = [OrderState::Queued, OrderState::Running]
                .into_iter()
                .chain([OrderState::Succeeded, OrderState::Failed])
                .map(|state| stats.count(state))
                .sum();
            let (files, stay) = files(&folder.join("sites"))?;
            let bytes = match cluster {
                Some(cluster) => cluster.size("soak").await?,
                None => sqlite_bytes(folder),
            };
            let sample = Sample {
                orders,
                memory: worker.memory_now()?,
                descriptors: worker.descriptors()?,
                database: bytes,
                stored: u64::try_from(stored)?,
                files,
                stay,
            };
            anyhow::Ok(sample)
        }
    };
    let mut samples = Vec::new();
    let begin = Instant::now();
    let mut tick =
        tokio::time::interval(Duration::from_secs(1) * u32::try_from(BATCH)? / args.rate);
    for first in (0..args.orders).step_by(BATCH) {
        tick.tick().await;
        let batch = first..args.orders.min(first + BATCH);
        database.enqueue_all(batch.map(order).collect()).await?;
        if first % (args.orders / 20).max(BATCH) == 0 {
            let sample = look(first).await?;
            sample.print();
            samples.push(sample);
        }
    }
    until_idle(&database).await?;
    let wall = begin.elapsed();
    let failed = database.stats().await?.count(OrderState::Dead);
    ensure!(failed == 0, "{failed} orders are dead");
    worker.stop().await?;
    println!("\n{:.0} orders/s in all", args.orders as f64 / wall.as_secs_f64());
    verdict(&samples);
    Ok(())
}

impl Sample {
    fn print(&self) {
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            self.orders,
            render::bytes(self.memory),
            self.descriptors,
            render::bytes(self.database),
            self.stored,
            self.files,
            self.stay
        );
    }
}

/// One of the numbers of a sample.
type Measure = fn(&Sample) -> u64;

/// Compares the last quarter of the samples with the second one: the first is warming up.
fn verdict(samples: &[Sample]) {
    let quarter = samples.len() / 4;
    let mean = |samples: &[Sample], of: Measure| {
        samples.iter().map(|sample| of(sample) as f64).sum::<f64>() / samples.len() as f64
    };
    let measures: [(&str, Measure); 5] = [
        ("memory", |sample| sample.memory),
        ("descriptors", |sample| sample.descriptors),
        ("database", |sample| sample.database),
        ("orders stored", |sample| sample.stored),
        ("files", |sample| sample.files),
    ];
    for (name, of) in measures {
        let (Some(second), Some(last)) =
            (samples.get(quarter..2 * quarter), samples.get(3 * quarter..))
        else {
            continue;
        };
        let grown = mean(last, of) / mean(second, of);
        let verdict = if grown <= TARGET { "flat" } else { "GROWS" };
        println!("{name}: {grown:.2} times the second quarter (target: <= {TARGET}): {verdict}");
    }
}

fn configure(folder: &Path, url: &str, model: &Model, args: &Args) -> anyhow::Result<()> {
    let templates = folder.join("templates");
    std::fs::create_dir(&templates)?;
    for name in [TEMPLATE, FAULTY] {
        std::fs::copy(sitewright_tests::guest(name), templates.join(format!("{name}.wasm")))?;
    }
    let keep = format!(
        "{{ succeeded = \"{0}s\", failed = \"{0}s\", dead = \"{0}s\", cancelled = \"{0}s\" }}",
        args.keep
    );
    let configuration = format!(
        "templates = \"templates\"\nsites = \"sites\"\ncache = {:?}\n[database]\nurl = \
         {url:?}\n[retention]\nevery = \"5s\"\norders = {keep}\nevents = {keep}\nreplies = \
         {keep}\nfailures = {keep}\n[ai.providers.bench]\nkind = \"openai\"\nbase_url = \
         {:?}\n[ai.routes.default]\ntry = [{{ provider = \"bench\", model = \"bench\" }}]\n",
        sitewright_tests::compile_cache().display().to_string(),
        model.base_url()
    );
    std::fs::write(folder.join("sitewright.toml"), configuration)?;
    Ok(())
}

fn order(number: usize) -> NewOrder {
    let id = format!("order-{number}");
    let (template, mut document) = match number % FAILS {
        0 => (FAULTY, sitewright_tests::faulty("error", json!({}))),
        _ => (TEMPLATE, sitewright_tests::order("02-dentist-us-minimal")),
    };
    document["order"]["id"] = json!(id);
    NewOrder::new(id, template, document.to_string())
}

/// Waits until no order is queued or running.
async fn until_idle(database: &Database) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let stats = database.stats().await?;
        let pending = stats.count(OrderState::Queued) + stats.count(OrderState::Running);
        if pending == 0 {
            return Ok(());
        }
        ensure!(begin.elapsed() < Duration::from_secs(300), "{pending} orders do not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Files and folders below the sites folder: those that retention removes, and those that stay,
/// which are the sites and what is kept about their releases.
fn files(sites: &Path) -> std::io::Result<(u64, u64)> {
    let (mut removed, mut stay) = (0, 0);
    for order in entries(sites)? {
        let name = order.file_name().map(|name| name.to_string_lossy().into_owned());
        match name.as_deref() {
            // Those of sites, and the names of orders that have a folder.
            Some(PUBLIC | ".spellings") => stay += below(&order)?,
            _ if !order.is_dir() => removed += 1,
            _ => {
                let (private, site): (Vec<_>, Vec<_>) =
                    entries(&order)?.into_iter().partition(|path| {
                        path.file_name().is_some_and(|name| {
                            PRIVATE_FOLDERS.iter().any(|folder| name == *folder)
                        })
                    });
                // The folder itself belongs to the site if there is one.
                if site.is_empty() {
                    removed += 1
                } else {
                    stay += 1
                }
                for path in &private {
                    removed += 1 + below(path)?;
                }
                for path in &site {
                    stay += 1 + below(path)?;
                }
            }
        }
    }
    Ok((removed, stay))
}

/// Files and folders below a folder; 0 for a file.
fn below(path: &Path) -> std::io::Result<u64> {
    let mut found = 0;
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|kind| kind.is_dir());
    for entry in if is_folder { entries(path)? } else { Vec::new() } {
        found += 1 + below(&entry)?;
    }
    Ok(found)
}

/// What is in a folder; nothing if a sweep has just removed it.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The database with its write-ahead log.
fn sqlite_bytes(folder: &Path) -> u64 {
    ["orders.db", "orders.db-wal"]
        .iter()
        .filter_map(|name| Some(std::fs::metadata(folder.join(name)).ok()?.len()))
        .sum()
}
