//! `sitewright worker`: claims orders from the queue and makes their sites until it is shut down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::signal::unix::SignalKind;

use super::audit;
use super::exit::Exit;
#[cfg(feature = "server")]
use super::http::Status;
use super::output;
use super::setup::{Setup, SetupError};
use super::signals::{StopSignals, caught};
use crate::config::Config;
use crate::telemetry::Logging;
use sitewright_control::{CountListeners, read_metrics};
use sitewright_failure::render::clean;
use sitewright_http::Client;
use sitewright_jobs::{Database, DrainAnswer};
use sitewright_model::message;
use sitewright_model::time::millis;
use sitewright_worker::{MOST_ORDERS, Watchdog, Worker, WorkerOptions, WorkerParts};

/// Claim orders from the queue and make their sites.
///
/// SIGTERM or Ctrl-C starts the shutdown: running orders have `worker.grace_ms` to end, the others
/// are returned to the queue; a second signal stops at once. SIGHUP reloads the templates. Several
/// workers may share one database: SQLite on one machine, PostgreSQL on several. The first worker of
/// a new version migrates the database, unless `--no-migrate` is given.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  \
    sitewright worker                       use sitewright.db beside the configuration\n  \
    sitewright worker --drain               exit when every order has ended\n  \
    sitewright worker drain web1-4711-01KB6M0C3T    let another worker finish its orders and exit\n  \
    SITEWRIGHT_DATABASE__URL=postgres://... sitewright worker --log-format json")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Exit when every order has ended, including orders that wait for another attempt.
    #[arg(long)]
    drain: bool,
    /// Run at most this number of orders at once, instead of `worker.max_orders`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_ORDERS)))]
    max_orders: Option<u32>,
    /// Do not migrate the database: start only if its tables are those of this version.
    #[arg(long)]
    no_migrate: bool,
    /// Answer /healthz, /readyz and /metrics on this address. Metrics need a token with the scope
    /// `read`, unless the address is on the loopback interface and there are no tokens.
    #[cfg(feature = "server")]
    #[arg(long, value_name = "ADDR:PORT", value_parser = super::http::address)]
    listen: Option<std::net::SocketAddr>,
    /// Answer the HTTP API and the console on the address of `--listen` too, as `sitewright serve`
    /// does, with the keys of `[server]`. An address that other machines reach needs a token.
    #[cfg(feature = "server")]
    #[arg(long, requires = "listen")]
    api: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Let a worker finish the orders it has, claim no others, and exit with 0. It gets to know it
    /// with its next heartbeat (`worker.beat_ms`).
    #[command(after_help = "Examples:\n  \
        sitewright --json queue stats | jq -r '.workers[].client_id'\n  \
        sitewright worker drain web1-4711-01KB6M0C3T\n  \
        sitewright worker drain web1-4711-01KB6M0C3T --undo")]
    Drain {
        /// Id of the worker, as `queue stats` shows it.
        #[arg(value_name = "ID")]
        id: String,
        /// Let it claim orders again, if it has not exited yet.
        #[arg(long)]
        undo: bool,
    },
}

impl Args {
    /// Whether this process is to be a worker, and not to tell another one something.
    pub(super) fn is_worker(&self) -> bool {
        self.command.is_none()
    }
}

/// Tells a worker to drain, or not to.
async fn drain(setup: &Setup, id: &str, undo: bool, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = Setup::orders(&config).await?;
    let action = if undo { "worker.undrain" } else { "worker.drain" };
    let answer = database.set_drain(id, !undo).await?;
    if answer == DrainAnswer::Changed {
        audit::done(&database, action, Some(id.to_owned())).await?;
    }
    database.close().await;
    let shown = clean(id);
    let (outcome, says) = match (answer, undo) {
        (DrainAnswer::NoSuchWorker, _) => {
            return Err(SetupError::Usage(message!(
                "no worker has the id {id:?}: `sitewright queue stats` shows those there are"
            )));
        }
        (DrainAnswer::Changed, false) => (
            "draining",
            format!("Worker {shown} claims no more orders, and exits when it has none.\n"),
        ),
        (DrainAnswer::Changed, true) => {
            ("withdrawn", format!("Worker {shown} claims orders again.\n"))
        }
        (DrainAnswer::Unchanged, false) => {
            ("unchanged", format!("Worker {shown} drains already.\n"))
        }
        (DrainAnswer::Unchanged, true) => {
            ("unchanged", format!("Worker {shown} was not asked to drain.\n"))
        }
    };
    if json {
        output::print_json(&json!({ "outcome": outcome, "worker": id }));
    } else {
        output::print(&says);
    }
    Ok(Exit::Done)
}

pub(super) async fn run(
    setup: &Setup,
    args: Args,
    json: bool,
    logging: &mut Logging,
) -> Result<Exit, SetupError> {
    if let Some(Command::Drain { id, undo }) = &args.command {
        return drain(setup, id, *undo, json).await;
    }
    let begin = Instant::now();
    let mut config = setup.config()?;
    if let Some(most) = args.max_orders {
        config.worker.max_orders = most;
    }
    let mut signals = StopSignals::new()?;
    // It would end the process before the watcher of the templates catches it.
    let _hangup = caught(SignalKind::hangup())?;
    let watchdog = Watchdog::start(Duration::from_millis(config.worker.grace_ms))
        .map_err(|error| SetupError::Host(message!("the watchdog cannot be started: {error}")))?;
    let client = sitewright_http::client()?;
    let prepared = tokio::select! {
        prepared = prepare(&config, args.no_migrate, &client) => prepared?,
        () = signals.next() => return Ok(Exit::Cancelled),
    };
    let database = prepared.database.clone();
    // Before there are orders: an address that cannot be used must not stop their attempts.
    #[cfg(feature = "server")]
    let status = match args.listen {
        Some(listen) => {
            let status = Status::start(setup, &config, database.clone(), listen, args.api);
            Some(status.await?)
        }
        None => None,
    };
    #[cfg(feature = "server")]
    let listeners: CountListeners = match &status {
        Some(status) => status.listeners(),
        None => Arc::new(|| 0),
    };
    #[cfg(not(feature = "server"))]
    let listeners: CountListeners = Arc::new(|| 0);
    logging.export_metrics(read_metrics(database.clone(), listeners));
    // Before there are orders: the outbox has deliveries only for receivers that it knows.
    let dispatch = Setup::dispatch(&config, &database, &client).await?;
    // From here on there may be orders to return to the queue, so `serve` handles signals.
    let worker = Worker::start(prepared, watchdog).await?.with_webhooks(dispatch);
    let ready_ms = millis(begin.elapsed());
    tracing::info!(worker = worker.id(), ready_ms, "ready");
    let ready = json!({ "event": "ready", "worker": worker.id(), "ready_ms": ready_ms });
    #[cfg(feature = "server")]
    let ready = {
        let mut ready = ready;
        if let Some(status) = &status {
            status.watch(worker.liveness());
            ready["address"] = json!(status.address());
        }
        ready
    };
    tell(json, &ready);
    // Changes through the API need the database. Probes go on until the worker has ended.
    #[cfg(feature = "server")]
    let (worker, status) = match status {
        Some(status) if args.api => (worker.ending_with(status.stop()), None),
        status => (worker, status),
    };
    let served = serve(worker, &database, &args, &config, &mut signals, json).await;
    #[cfg(feature = "server")]
    if let Some(status) = status {
        status.stop().await;
    }
    served
}

async fn prepare(
    config: &Config,
    no_migrate: bool,
    client: &Client,
) -> Result<WorkerParts, SetupError> {
    let database = if no_migrate {
        let database = Setup::existing_worker_database(config).await?;
        // What has the versions of this program is not migrated below.
        database.check_schema().await?;
        database
    } else {
        Setup::worker_database(config).await?
    };
    let host = Setup::host_with(config, config.worker.max_orders, client.clone())?;
    let store = Setup::store(config, &host.sites, client).await?;
    let options =
        WorkerOptions { retention: config.retention, ..WorkerOptions::from(&config.worker) };
    let parts = WorkerParts { services: host, database, store, options };
    Worker::prepare(&parts).await?;
    Ok(parts)
}

/// Runs until a signal, until every order has ended (`--drain`), or until an error.
async fn serve(
    mut worker: Worker,
    database: &Database,
    args: &Args,
    config: &Config,
    signals: &mut StopSignals,
    json: bool,
) -> Result<Exit, SetupError> {
    let drained = worker.drained();
    let (signalled, ended) = tokio::select! {
        () = signals.next() => (true, Ok(())),
        // Somebody has asked it to, and the orders that it had have ended.
        () = drained.cancelled() => (false, Ok(())),
        ended = worker.ended(args.drain) => (false, ended),
        outdated = database.until_outdated() => (false, Err(outdated)),
    };
    if let Err(error) = &ended {
        // Running orders may end; the others are returned without counting an attempt.
        tracing::error!(%error, "the worker cannot continue");
    }
    let grace = Duration::from_millis(config.worker.grace_ms);
    let stopper = worker.stopper();
    let running = worker.running();
    if signalled {
        tracing::info!(
            running,
            "draining: running orders may end, no others are claimed; a second signal stops at once"
        );
    }
    let mut draining = std::pin::pin!(worker.drain(grace));
    let drained = loop {
        tokio::select! {
            drained = &mut draining => break drained,
            () = signals.next() => {
                tracing::warn!("shutting down: running orders are stopped and returned to the queue");
                stopper.stop_now();
            }
        }
    };
    if let (Err(_), Err(error)) = (&ended, &drained) {
        tracing::warn!(%error, "not all orders could be returned to the queue: other workers rescue them");
    }
    ended?;
    let drained = drained?;
    tell(
        json,
        &json!({ "event": "stopped", "running": drained.running, "in_time": drained.in_time }),
    );
    Ok(Exit::Done)
}

fn tell(json: bool, line: &serde_json::Value) {
    if json {
        output::print(&format!("{line}\n"));
    }
}
