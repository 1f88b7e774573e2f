//! Benchmarks, side by side in one process: `cargo xtask bench <name>`.

#![allow(clippy::print_stdout, reason = "the result")]

mod overhead;
mod setup;
mod waiting;

use clap::{Parser, Subcommand};

/// Measures what a run costs.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// CPU and time per order of a template that does nothing, through `run` and in a bare wasmtime loop over the same component;
    /// then many orders at once that wait for AI.
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
    }
    Ok(())
}
