//! Comparison of the templates in Rust, Python and JavaScript.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use sitewright_failure::render;
use sitewright_runtime::plugin::Cache;
use sitewright_runtime::run::run;
use tokio::task::JoinSet;

use crate::setup::{Clocks, Setup, loader, median, memory_now};

const TEMPLATES: [(&str, &str); 3] =
    [("local-business", "Rust"), ("landing-py", "Python"), ("landing-js", "JavaScript")];
/// Number of loads from the cache; the median is reported.
const LOADS: usize = 9;
/// Rules that never answer.
const SILENCE: &str = "[[rule]]\nanswer = { fault = { hang = true } }\n";

pub(crate) async fn measure(waiting: u32, orders: u32) -> anyhow::Result<()> {
    println!(
        "{waiting} concurrent orders that wait for AI; {orders} sequential orders with instant \
         answers. Times are CPU time.\n"
    );
    println!(
        "| template | size | load, compiling | load, from the cache | one order | memory per \
         waiting order |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, language) in TEMPLATES {
        let file =
            sitewright_tests::template("local-business").with_file_name(format!("{name}.wasm"));
        if !file.is_file() {
            println!("| `{name}` ({language}) | not built | | | | |");
            continue;
        }
        let folder = tempfile::tempdir()?;
        let cache = || Cache::open(folder.path());
        let clocks = Clocks::start();
        let size = loader(cache(), 1)?.load(&file).await?.bytes;
        let cold = clocks.read().1;
        let mut warm = Vec::new();
        for _ in 0..LOADS {
            let loader = loader(cache(), 1)?;
            let clocks = Clocks::start();
            drop(loader.load(&file).await?);
            warm.push(clocks.read().1.as_secs_f64() * 1e3);
        }
        let cpu = cpu_per_order(&file, cache(), name, orders).await?;
        let memory = memory_per_order(&file, cache(), waiting).await?;
        println!(
            "| `{name}` ({language}) | {} | {:.1} s | {:.0} ms | {:.1} ms | {} |",
            render::bytes(size),
            cold.as_secs_f64(),
            median(warm),
            cpu.as_secs_f64() * 1e3,
            render::bytes(memory)
        );
    }
    Ok(())
}

/// CPU time per order, from the document to the last file.
async fn cpu_per_order(
    file: &Path,
    cache: Cache,
    name: &str,
    orders: u32,
) -> anyhow::Result<Duration> {
    let rules = sitewright_tests::root().join("plugins").join(name).join("demo/ai.toml");
    let folder = tempfile::tempdir()?;
    let setup =
        Setup::of(file, cache, 1, &std::fs::read_to_string(rules)?, order(), folder.path()).await?;
    let clocks = Clocks::start();
    for number in 0..orders {
        let (result, _) = run(setup.request(number)?).await;
        ensure!(result.is_ok(), "{name}: the run failed");
    }
    Ok(clocks.read().1 / orders.max(1))
}

/// Memory per order that waits for its first replies.
async fn memory_per_order(file: &Path, cache: Cache, waiting: u32) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let setup = Setup::of(file, cache, waiting, SILENCE, order(), folder.path()).await?;
    let before = memory_now("self")?;
    let (mut runs, mut watched) = (JoinSet::new(), Vec::new());
    for number in 0..waiting {
        let request = setup.request(number)?;
        watched.push((request.trace.clone(), request.cancel.clone()));
        runs.spawn(run(request));
    }
    while watched.iter().any(|(log, _)| log.ai_call_count() == 0) {
        ensure!(runs.try_join_next().is_none(), "a run ended before its first AI call");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Lets all runs reach their last call.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let per_order = memory_now("self")?.saturating_sub(before) / u64::from(waiting.max(1));
    watched.iter().for_each(|(_, cancel)| cancel.cancel());
    while runs.join_next().await.is_some() {}
    Ok(per_order)
}

fn order() -> serde_json::Value {
    sitewright_tests::order("03-plumber-us-premium")
}
