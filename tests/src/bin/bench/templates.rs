//! The templates in Rust, Python and JavaScript beside each other.

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
/// Loads from the cache that are timed; the middle one counts.
const LOADS: usize = 9;
/// Never answers.
const SILENCE: &str = "[[rule]]\nanswer = { fault = { hang = true } }\n";

pub(crate) async fn measure(waiting: u32, orders: u32) -> anyhow::Result<()> {
    println!(
        "{waiting} orders that wait for AI at once; {orders} orders one after the other, with \
         instant answers. Times are processor time.\n"
    );
    println!(
        "| template | size | load, compiling | load, from the cache | an order | memory of an \
         order that waits |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, language) in TEMPLATES {
        let file =
            sitewright_tests::template("local-business").with_file_name(format!("{name}.wasm"));
        if !file.is_file() {
            println!("| `{name}` ({language}) | not built here | | | | |");
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
        let cpu = made(&file, cache(), name, orders).await?;
        let memory = held(&file, cache(), waiting).await?;
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

/// Processor time of an order, from the document to the last file.
async fn made(file: &Path, cache: Cache, name: &str, orders: u32) -> anyhow::Result<Duration> {
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

/// What an order holds while it waits for its first answers.
async fn held(file: &Path, cache: Cache, waiting: u32) -> anyhow::Result<u64> {
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
        ensure!(runs.try_join_next().is_none(), "a run ended before it asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What is on its way settles.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = memory_now("self")?.saturating_sub(before) / u64::from(waiting.max(1));
    watched.iter().for_each(|(_, cancel)| cancel.cancel());
    while runs.join_next().await.is_some() {}
    Ok(held)
}

fn order() -> serde_json::Value {
    sitewright_tests::order("03-plumber-us-premium")
}
