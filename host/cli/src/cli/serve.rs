//! `sitewright serve`: the HTTP API of the queue, and the console.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::http;
use super::output;
use super::setup::{Setup, SetupError};
use super::signals::StopSignals;
use sitewright_jobs::Database;
use sitewright_server::{Alive, CONSOLE, Server, Surface};

/// Serve the console and the HTTP API: add orders, see failures, operate the queue.
///
/// Listens on `server.listen`. Without tokens (`sitewright token create`) that must be an address
/// of the loopback interface. SIGTERM or Ctrl-C ends it: requests have `server.grace_ms` to end. It
/// runs beside workers, on the same database; tables of an embedded database that has none are
/// created.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sitewright serve                        listen on 127.0.0.1:8080\n  \
    sitewright serve --listen 0.0.0.0:8080  needs a token: sitewright token create")]
pub(super) struct Args {
    /// Listen on this address instead of `server.listen`.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let stop = stop_on_signal()?;
    let database = Setup::served(&config).await?;
    let alive: Alive = Arc::new(|| Ok(()));
    let server = http::bind(&config, database.clone(), Surface::Api, args.listen, alive).await?;
    let address = server.address();
    tracing::info!(%address, "ready");
    if json {
        let console = format!("http://{address}{CONSOLE}");
        let line = json!({ "event": "ready", "address": address, "console": console });
        output::print(&format!("{line}\n"));
    } else {
        output::print(&format!(
            "The console is at http://{address}{CONSOLE}\nThe API is at http://{address}/v1\n"
        ));
    }
    let served = serve(server, &database, stop).await;
    database.close().await;
    served
}

/// Until a signal, or until a newer program has migrated the database.
async fn serve(
    server: Server,
    database: &Database,
    stop: CancellationToken,
) -> Result<Exit, SetupError> {
    let serving = server.serve(stop.clone());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        in_time = &mut serving => {
            tracing::info!(in_time, "stopped");
            Ok(Exit::Done)
        }
        outdated = database.until_outdated() => {
            stop.cancel();
            serving.await;
            Err(outdated.into())
        }
    }
}

/// Cancelled by SIGTERM or Ctrl-C.
fn stop_on_signal() -> Result<CancellationToken, SetupError> {
    let mut signals = StopSignals::new()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping: requests may end, no others are accepted");
        stopped.cancel();
    });
    Ok(stop)
}
