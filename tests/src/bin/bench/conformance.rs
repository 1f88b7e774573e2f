//! Duration of the conformance suite for one template, in a new process each time as in CI.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sitewright_tests::{binary, forget_settings, template};

/// Options of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Template of `plugins/` to measure
    #[arg(long, default_value = "local-business")]
    template: String,
    /// Number of runs after the first, which compiles
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// Runs the benchmark and prints the result.
pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = template(&args.template);
    let mut first = None;
    let mut took = Vec::new();
    let mut orders = 0;
    for _ in 0..=args.rounds.max(1) {
        let mut command = std::process::Command::new(binary());
        forget_settings(&mut command);
        command.env("SITEWRIGHT_CACHE", folder.path().join("cache"));
        command
            .current_dir(folder.path())
            .args(["--json", "conformance"])
            .arg(&file)
            .stderr(Stdio::inherit());
        let start = Instant::now();
        let done = tokio::process::Command::from(command)
            .output()
            .await
            .context("the binary does not start")?;
        let time = start.elapsed();
        let report: Value =
            serde_json::from_slice(&done.stdout).context("the report is not JSON")?;
        ensure!(
            done.status.success(),
            "{} breaks a rule: run `sitewright conformance` on it",
            args.template
        );
        orders = report["templates"][0]["test_cases"].as_u64().unwrap_or_default();
        // The first run compiles the template.
        match first {
            None => first = Some(time),
            Some(_) => took.push(time),
        }
    }
    took.sort();
    let seconds =
        |time: Option<Duration>| format!("{:.2} s", time.unwrap_or_default().as_secs_f64());
    println!("conformance suite, {}: {orders} orders", args.template);
    println!(
        "  compiled before, median of {}  {}",
        took.len(),
        seconds(took.get(took.len() / 2).copied())
    );
    println!("  fastest                    {}", seconds(took.first().copied()));
    println!("  with compiling             {}", seconds(first));
    Ok(())
}
