//! Overhead of `run` for a template that does nothing, compared with a bare wasmtime loop over the
//! same component.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::ensure;
use sitewright_failure::render;
use sitewright_runtime::host_functions::{GuestState, RunProgress, RunTrace};
use sitewright_runtime::plugin::{Capture, Determinism, Limits, MemoryLimiter, sandbox};
use sitewright_runtime::run::run;
use tokio::sync::watch;
use wasmtime::Store;

use crate::setup::{Clocks, Setup, median};

/// Target: ratio of CPU time per order.
const TARGET: f64 = 1.15;

pub(crate) async fn measure(orders: u32, rounds: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let order = sitewright_tests::order("02-dentist-us-minimal");
    let setup =
        Setup::new("guest-minimal", 16, sitewright_tests::ANY_ANSWER, order, folder.path()).await?;

    // Warm up both sides, so that neither pays for page faults.
    bare(&setup, orders / 10 + 1).await?;
    ours(&setup, orders / 10 + 1).await?;
    let mut measured: [Vec<(Duration, Duration)>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let clocks = Clocks::start();
        bare(&setup, orders).await?;
        measured[0].push(clocks.read());
        let clocks = Clocks::start();
        ours(&setup, orders).await?;
        measured[1].push(clocks.read());
    }
    println!(
        "sequential orders, {orders} orders per round, {rounds} alternating rounds of each side, \
         median per order:\n"
    );
    println!("  {:<22} {:>12} {:>12} {:>12}", "", "CPU", "wall", "orders/s");
    let mut cpu = [0.0; 2];
    for (side, (name, rounds)) in
        ["bare wasmtime loop", "through `run`"].iter().zip(&measured).enumerate()
    {
        let per_order = |pick: fn(&(Duration, Duration)) -> Duration| {
            median(
                rounds.iter().map(|round| pick(round).as_secs_f64() / f64::from(orders)).collect(),
            )
        };
        let wall = per_order(|round| round.0);
        cpu[side] = per_order(|round| round.1);
        println!(
            "  {name:<22} {:>9.1} µs {:>9.1} µs {:>12.0}",
            cpu[side] * 1e6,
            wall * 1e6,
            1.0 / wall
        );
    }
    let ratio = cpu[1] / cpu[0];
    println!(
        "\n  CPU ratio {ratio:.2} (target <= {TARGET}): {}",
        if ratio <= TARGET { "met" } else { "MISSED" }
    );
    println!("  component: {} of wasm\n", render::bytes(setup.template.bytes));
    Ok(())
}

/// Instantiates, calls and drops the component with nothing of ours but the linked host functions,
/// which it imports.
async fn bare(setup: &Setup, orders: u32) -> anyhow::Result<()> {
    let limits = Limits::default();
    let log = Arc::new(RunTrace::new(&limits, watch::Sender::new(RunProgress::default())));
    for _ in 0..orders {
        // The same empty sandbox: WASI's defaults would slow down the bare side, because they read
        // randomness from the system.
        let (stdout, stderr) = (Capture::new(0), Capture::new(0));
        let wasi = sandbox(Determinism { seed: 0, start_unix_ms: 0 }, &stdout, &stderr);
        let memory = MemoryLimiter::new(u64::MAX, Arc::new(AtomicU64::new(0)));
        let state = GuestState::new(wasi, memory, log.clone(), None, None);
        let mut store = Store::new(setup.template.engine().wasmtime(), state);
        store.set_epoch_deadline(u64::MAX / 2);
        setup.template.linked().generate(&mut store, setup.document()).await?;
    }
    Ok(())
}

async fn ours(setup: &Setup, orders: u32) -> anyhow::Result<()> {
    for number in 0..orders {
        let (result, _) = run(setup.request(number)?).await;
        ensure!(result.is_ok(), "the run failed");
    }
    Ok(())
}
