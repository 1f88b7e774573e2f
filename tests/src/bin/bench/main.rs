//! Benchmarks, side by side in one process: `cargo xtask bench <name>`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the result, and what is missing from it"
)]

mod cluster;
mod conformance;
mod dev;
mod gateway;
mod model;
mod overhead;
mod process;
mod setup;
mod templates;
mod traps;
mod waiting;
mod worker;

use clap::{Parser, Subcommand};

/// Measures what a run costs.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// CPU and time per order of a template that does nothing, through `run` and in a bare wasmtime
    /// loop over the same component; then many orders at once that wait for AI.
    Overhead {
        /// Orders in each of the rounds.
        #[arg(long, default_value_t = 5_000)]
        orders: u32,
        /// Rounds of each side, in turns.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Orders at once in the second part; 0 leaves it out.
        #[arg(long, default_value_t = 2_000)]
        waiting: u32,
    },
    /// CPU and time that the gateway adds to an AI call, beside the same request by bare reqwest;
    /// then many calls at once.
    Gateway {
        /// Calls in each of the rounds; 0 leaves this part out.
        #[arg(long, default_value_t = 2_000)]
        calls: u32,
        /// Rounds of each side, in turns.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Calls in flight at once in the second part; 0 leaves it out.
        #[arg(long, default_value_t = 5_000)]
        in_flight: u32,
    },
    /// What the durable queue and the real worker make of orders, on SQLite and on PostgreSQL. On
    /// ext4 leave six minutes between two runs: removing the files of one makes files of the
    /// next expensive for so long.
    Worker(worker::Args),
    /// What a trap costs with its whole record, what a storm of them does to healthy orders, and
    /// what their records take.
    Traps(traps::Args),
    /// How long the conformance suite takes for a template.
    Conformance(conformance::Args),
    /// How long an author waits for the page after saving a file, for each language.
    Dev(dev::Args),
    /// What a template's language costs: loading it, an order, and the memory of orders that wait
    /// for AI.
    Templates {
        /// Orders that wait at once.
        #[arg(long, default_value_t = 200)]
        waiting: u32,
        /// Orders made one after the other.
        #[arg(long, default_value_t = 50)]
        orders: u32,
    },
    /// The model server of the other benchmarks.
    #[command(hide = true)]
    ServeModel(model::Answering),
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "this is the place where the one runtime starts")]
async fn main() -> anyhow::Result<()> {
    match Args::parse().bench {
        Bench::Overhead { orders, rounds, waiting } => {
            overhead::measure(orders, rounds).await?;
            if waiting > 0 {
                waiting::measure(waiting).await?;
            }
        }
        Bench::Gateway { calls, rounds, in_flight } => {
            gateway::measure(calls, rounds, in_flight).await?
        }
        Bench::Worker(args) => worker::measure(&args).await?,
        Bench::Traps(args) => traps::measure(&args).await?,
        Bench::Conformance(args) => conformance::measure(&args).await?,
        Bench::Dev(args) => dev::measure(args).await?,
        Bench::Templates { waiting, orders } => templates::measure(waiting, orders).await?,
        Bench::ServeModel(answering) => model::serve(answering).await?,
    }
    Ok(())
}
