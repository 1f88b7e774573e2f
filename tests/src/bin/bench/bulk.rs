//! `sitewright order retry` of many orders: how long it takes, and how long others that write to the
//! database wait for it.
//!
//! The orders have failed in a real worker. While the command requeues them, this process enqueues
//! one order after the other, as a CRM does, and measures each of its commits.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;
use sitewright_failure::render;
use sitewright_jobs::{Database, NewOrder, OrderState};
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::cluster::Cluster;
use crate::model::more_files;
use crate::process::Worker;

/// Template of the orders; each of them fails.
const TEMPLATE: &str = "guest-faulty";
/// Template of the orders that are enqueued meanwhile. No worker runs, so they stay queued.
const OTHER: &str = "guest-one-page";
/// Orders in a commit of the producer.
const BATCH: usize = 500;
/// Concurrent orders of the worker.
const MAX_ORDERS: u32 = 200;
/// Time between two orders of the one that writes meanwhile.
const EVERY: Duration = Duration::from_millis(10);
/// Duration of its measurement without the command.
const CALM: Duration = Duration::from_secs(5);

/// Options of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Orders
    #[arg(long, default_value_t = 20_000)]
    orders: usize,
    /// Measure only SQLite
    #[arg(long)]
    sqlite: bool,
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    more_files()?;
    println!(
        "\n| database | orders requeued | in | a second | another's commits meanwhile, median / 99th \
         percentile / longest | alone |\n|---|--:|--:|--:|--:|--:|"
    );
    retry(args, "SQLite", None).await?;
    if !args.sqlite {
        match Cluster::start().await? {
            Some(cluster) => {
                let name = cluster.version().await?;
                retry(args, &name, Some(&cluster)).await?;
                cluster.stop().await?;
            }
            None => eprintln!("\nSKIPPED: no PostgreSQL; install the package `postgresql`\n"),
        }
    }
    Ok(())
}

async fn retry(args: &Args, name: &str, cluster: Option<&Cluster>) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("sitewright-bulk-").tempdir()?;
    let url = match cluster {
        Some(cluster) => cluster.database("bulk").await?,
        None => format!("sqlite://{}/orders.db", folder.path().display()),
    };
    let database = Database::open(&url).await?;
    database.migrate().await?;
    configure(folder.path(), &url)?;
    for first in (0..args.orders).step_by(BATCH) {
        let batch = first..args.orders.min(first + BATCH);
        database.enqueue_all(batch.map(faulty).collect()).await?;
    }
    let worker = Worker::start(folder.path(), MAX_ORDERS, None).await?;
    until_failed(&database, args.orders).await?;
    worker.stop().await?;

    let alone = commits(&database, "alone", async {
        tokio::time::sleep(CALM).await;
        Ok(())
    })
    .await?
    .0;
    let (beside, took) = commits(&database, "beside", command(folder.path())).await?;
    let stats = database.stats().await?;
    let queued = stats.count(OrderState::Queued);
    let expected = i64::try_from(args.orders + alone.len() + beside.len())?;
    ensure!(queued == expected, "{queued} of {expected} orders are queued");
    println!(
        "| {name} | {} | {} | {:.0} | {} | {} |",
        args.orders,
        render::duration(u64::try_from(took.as_micros())?),
        args.orders as f64 / took.as_secs_f64(),
        percentiles(beside)?,
        percentiles(alone)?
    );
    Ok(())
}

/// Runs `sitewright order retry` for all failed orders.
async fn command(folder: &Path) -> anyhow::Result<()> {
    let mut command = std::process::Command::new(sitewright_tests::binary());
    sitewright_tests::forget_settings(&mut command);
    command.current_dir(folder);
    let output = Command::from(command)
        .args(["--config", "sitewright.toml", "--json", "order", "retry", "--state", "failed"])
        .stdin(Stdio::null())
        .output()
        .await
        .context("`sitewright order retry` does not start")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Enqueues orders one after the other until `work` is done. Returns the duration of each commit,
/// and that of the work.
async fn commits(
    database: &Database,
    prefix: &str,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let (done, mut is_done) = oneshot::channel::<()>();
    let writing = async {
        let mut durations = Vec::new();
        while is_done.try_recv().is_err() {
            let number = durations.len();
            let begin = Instant::now();
            database.enqueue(healthy(&format!("{prefix}-{number}"))).await?;
            durations.push(begin.elapsed());
            tokio::time::sleep(EVERY).await;
        }
        anyhow::Ok(durations)
    };
    let working = async {
        let begin = Instant::now();
        work.await?;
        let took = begin.elapsed();
        // The receiver is gone only if writing has failed, whose error is returned.
        done.send(()).ok();
        anyhow::Ok(took)
    };
    tokio::try_join!(writing, working)
}

fn percentiles(mut durations: Vec<Duration>) -> anyhow::Result<String> {
    durations.sort();
    let at = |percent: usize| {
        let index = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
        durations.get(index).map(|duration| format!("{:.1}", duration.as_secs_f64() * 1e3))
    };
    let (median, most, longest) = (at(50), at(99), at(100));
    let [Some(median), Some(most), Some(longest)] = [median, most, longest] else {
        anyhow::bail!("no order was enqueued meanwhile");
    };
    Ok(format!("{median} / {most} / {longest} ms"))
}

fn configure(folder: &Path, url: &str) -> anyhow::Result<()> {
    let templates = folder.join("templates");
    std::fs::create_dir(&templates)?;
    std::fs::copy(sitewright_tests::guest(TEMPLATE), templates.join(format!("{TEMPLATE}.wasm")))?;
    // All orders fail alike, which would hold their template. They ask no model, but a template
    // whose purposes have no route is not run.
    let configuration = format!(
        "templates = \"templates\"\nsites = \"sites\"\ncache = {:?}\n[database]\nurl = \
         {url:?}\n[worker]\ncircuit_percent = 100\n[ai.providers.bench]\nkind = \"openai\"\n\
         base_url = \"http://127.0.0.1:1\"\n[ai.routes.default]\ntry = [{{ provider = \"bench\", \
         model = \"bench\" }}]\n",
        sitewright_tests::compile_cache().display().to_string(),
    );
    std::fs::write(folder.join("sitewright.toml"), configuration)?;
    Ok(())
}

fn faulty(number: usize) -> NewOrder {
    let id = format!("order-{number}");
    let mut document = sitewright_tests::faulty("error", json!({}));
    document["order"]["id"] = json!(id);
    NewOrder::new(id, TEMPLATE, document.to_string())
}

fn healthy(id: &str) -> NewOrder {
    let mut document = sitewright_tests::order("02-dentist-us-minimal");
    document["order"]["id"] = json!(id);
    NewOrder::new(id, OTHER, document.to_string())
}

/// Waits until all orders have failed.
async fn until_failed(database: &Database, orders: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    let orders = i64::try_from(orders)?;
    loop {
        let stats = database.stats().await?;
        let failed = stats.count(OrderState::Failed);
        if failed == orders {
            return Ok(());
        }
        ensure!(begin.elapsed() < Duration::from_secs(600), "{failed} of {orders} have failed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
