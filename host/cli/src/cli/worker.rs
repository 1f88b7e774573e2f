//! `sitewright worker`: orders from the queue, until it is told to go.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{self, Exit};
use super::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_model::message;
use sitewright_worker::{MOST_ORDERS, Prepared, Worker, WorkerOptions};

/// Takes orders from the queue and makes their sites.
///
/// SIGTERM or Ctrl-C lets the running orders end (`worker.grace_ms`) and gives the others back; the
/// second one stops at once. SIGHUP looks at the templates. Several workers may share one database:
/// on one machine SQLite is enough, on several it is PostgreSQL.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sitewright worker                       one worker on sitewright.db beside the configuration\n  \
    sitewright worker --drain               ends when every order has ended\n  \
    SITEWRIGHT_DATABASE__URL=postgres://... sitewright worker --log-format json")]
pub(super) struct Args {
    /// Ends when there is no order left that has not ended, those that wait for another attempt
    /// included.
    #[arg(long)]
    drain: bool,
    /// Most orders at once, instead of the configuration's `worker.max_orders`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_ORDERS)))]
    max_orders: Option<u32>,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let begin = Instant::now();
    let mut config = setup.config()?;
    if let Some(most) = args.max_orders {
        config.worker.max_orders = most;
    }
    let mut signals = Signals::new()?;
    let prepared = tokio::select! {
        prepared = prepare(&config) => prepared?,
        () = signals.next() => return Ok(Exit::Cancelled),
    };
    // From here on there are orders to give back: a signal is heard when that can be done.
    let worker = prepared.begin().await?;
    let ready_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(worker = worker.id(), ready_ms, "ready");
    tell(json, &json!({ "event": "ready", "worker": worker.id(), "ready_ms": ready_ms }));
    serve(worker, &args, &config, &mut signals, json).await
}

async fn prepare(config: &Config) -> Result<Prepared, SetupError> {
    let database = Setup::database(config).await?;
    let client = sitewright_http::client()?;
    let host = Setup::host_with(config, config.worker.max_orders, client.clone())?;
    let store = Setup::store(config, &host.sites, &client).await?;
    let options = WorkerOptions::from(&config.worker);
    Ok(Prepared::new(host, database, store, options).await?)
}

/// Until it is told to go, has nothing left to do, or cannot go on.
async fn serve(
    mut worker: Worker,
    args: &Args,
    config: &Config,
    signals: &mut Signals,
    json: bool,
) -> Result<Exit, SetupError> {
    let (told_to_go, ended) = tokio::select! {
        () = signals.next() => (true, Ok(())),
        ended = worker.ended(args.drain) => (false, ended),
    };
    if let Err(error) = &ended {
        // What it has may end, and the rest goes back uncounted.
        tracing::error!(%error, "the worker cannot go on");
    }
    let grace = Duration::from_millis(config.worker.grace_ms);
    let stopper = worker.stopper();
    let running = worker.running();
    if told_to_go {
        tracing::info!(
            running,
            "told to go: running orders may end, no others are begun; a second signal stops at \
             once"
        );
    }
    let mut draining = std::pin::pin!(worker.drain(grace));
    let drained = loop {
        tokio::select! {
            drained = &mut draining => break drained,
            () = signals.next() => {
                tracing::warn!("told to go again: running orders are stopped and go back to their place in line");
                stopper.stop_now();
            }
        }
    };
    if let (Err(_), Err(error)) = (&ended, &drained) {
        tracing::warn!(%error, "and not all of its orders could be given back: others rescue them");
    }
    ended?;
    let drained = drained?;
    tell(json, &json!({ "event": "gone", "running": drained.running, "in_time": drained.in_time }));
    Ok(Exit::Done)
}

fn tell(json: bool, line: &serde_json::Value) {
    if json {
        output::print(&format!("{line}\n"));
    }
}

/// SIGTERM and Ctrl-C, none of them lost. SIGHUP, which ends a process that does not catch it, is
/// for whoever watches the templates; before they are loaded it has nothing to say.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    _hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, SetupError> {
        let caught = |kind| {
            signal(kind)
                .map_err(|error| SetupError::Host(message!("signals cannot be caught: {error}")))
        };
        Ok(Signals {
            interrupt: caught(SignalKind::interrupt())?,
            terminate: caught(SignalKind::terminate())?,
            _hangup: caught(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            Some(()) = self.interrupt.recv() => {}
            Some(()) = self.terminate.recv() => {}
            else => std::future::pending().await,
        }
    }
}
