//! Many concurrent orders, each waiting for eight AI calls.

use anyhow::ensure;
use sitewright_failure::render;
use sitewright_runtime::run::run;
use tokio::task::JoinSet;

use crate::setup::{Clocks, Setup, memory};

const CALLS: u32 = 8;
const ANSWER_MS: u32 = 100;

pub(crate) async fn measure(orders: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let rules =
        format!("[[rule]]\ndelay_ms = {ANSWER_MS}\n[rule.answer]\ntext = \"a plain answer\"\n");
    let order = sitewright_tests::faulty("many-calls", serde_json::json!({ "n": CALLS }));
    let setup = Setup::new("guest-faulty", orders, &rules, order, folder.path()).await?;

    let before = memory("VmRSS")?;
    let clocks = Clocks::start();
    let mut runs = JoinSet::new();
    for number in 0..orders {
        let request = setup.request(number)?;
        runs.spawn(async move {
            let log = request.trace.clone();
            let (result, _) = run(request).await;
            (result.is_ok(), log.ai_calls().len())
        });
    }
    let mut calls = 0;
    while let Some(ended) = runs.join_next().await {
        let (good, answered) = ended?;
        ensure!(good, "a run failed");
        calls += answered;
    }
    let (wall, cpu) = clocks.read();
    ensure!(calls == (orders * CALLS) as usize, "{calls} calls were answered");
    let peak = memory("VmHWM")?;
    println!("{orders} concurrent orders, {CALLS} AI calls of {ANSWER_MS} ms each:\n");
    println!("  wall          {:>10.2} s", wall.as_secs_f64());
    println!("  CPU per order {:>10.1} µs", cpu.as_secs_f64() * 1e6 / f64::from(orders));
    println!("  peak memory   {:>10}", render::bytes(peak));
    println!(
        "  per order     {:>10}",
        render::bytes(peak.saturating_sub(before) / u64::from(orders))
    );
    Ok(())
}
