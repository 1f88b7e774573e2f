//! Benchmarks: `cargo xtask bench <name>`. Where possible both sides of a comparison run
//! alternately in one process.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "prints the results")]

mod bulk;
mod cluster;
mod conformance;
mod dev;
mod gateway;
mod model;
mod neighbours;
mod overhead;
mod process;
mod server;
mod setup;
mod soak;
mod table;
mod templates;
mod traps;
mod waiting;
mod worker;

use clap::{Parser, Subcommand};

/// That of the binary: what a benchmark measures in this process is what the binary spends.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Run a benchmark
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Measure CPU and wall time per order of a template that does nothing, through `run` and in a
    /// bare wasmtime loop; then many concurrent orders that wait for AI
    Overhead {
        /// Orders per round
        #[arg(long, default_value_t = 5_000)]
        orders: u32,
        /// Alternating rounds of each side
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Concurrent orders in the second part; 0 skips it
        #[arg(long, default_value_t = 2_000)]
        waiting: u32,
    },
    /// Measure CPU and wall time that the gateway adds to an AI call, compared with bare reqwest;
    /// then many concurrent calls
    Gateway {
        /// Calls per round; 0 skips this part
        #[arg(long, default_value_t = 2_000)]
        calls: u32,
        /// Alternating rounds of each side
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Concurrent calls in the second part; 0 skips it
        #[arg(long, default_value_t = 5_000)]
        in_flight: u32,
    },
    /// Measure the queue and the worker on SQLite and PostgreSQL
    ///
    /// On ext4 wait six minutes between two runs: removed files of a run make new files expensive
    /// for that long.
    Worker(worker::Args),
    /// Measure the cost of a trap with its failure record, the effect of a storm of traps on
    /// healthy orders, and the size of the records
    Traps(traps::Args),
    /// Measure healthy orders beside each order of the hostile corpus
    Neighbours(neighbours::Args),
    /// Measure whether a worker that removes what has expired needs more and more
    Soak(soak::Args),
    /// Measure requeuing many orders, and how long others that write wait for it
    Bulk(bulk::Args),
    /// Measure the server on SQLite and PostgreSQL: orders accepted, answers and pages over many
    /// orders, listeners of events
    Server(server::Args),
    /// Measure the duration of the conformance suite for a template
    Conformance(conformance::Args),
    /// Measure the time from saving a file to the new page in `template dev`, for each language
    Dev(dev::Args),
    /// Compare templates in Rust, Python and JavaScript: loading, CPU per order, and memory of
    /// orders that wait for AI
    Templates {
        /// Concurrent orders that wait for AI
        #[arg(long, default_value_t = 200)]
        waiting: u32,
        /// Sequential orders
        #[arg(long, default_value_t = 50)]
        orders: u32,
    },
    /// Run the model server of the other benchmarks
    #[command(hide = true)]
    ServeModel(model::Answering),
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "the only runtime of this process")]
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
        Bench::Neighbours(args) => neighbours::measure(&args).await?,
        Bench::Soak(args) => soak::measure(&args).await?,
        Bench::Bulk(args) => bulk::measure(&args).await?,
        Bench::Server(args) => server::measure(&args).await?,
        Bench::Conformance(args) => conformance::measure(&args).await?,
        Bench::Dev(args) => dev::measure(args).await?,
        Bench::Templates { waiting, orders } => templates::measure(waiting, orders).await?,
        Bench::ServeModel(answering) => model::serve(answering).await?,
    }
    Ok(())
}
