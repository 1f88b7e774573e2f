//! `sitewright serve`: the HTTP API of the queue, and the console.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::http;
use super::output;
use super::replay_child;
use super::setup::{Setup, SetupError};
use super::signals::StopSignals;
use crate::telemetry::Logging;
use sitewright_control::read_metrics;
use sitewright_jobs::Database;
use sitewright_model::message;
use sitewright_server::{Alive, CONSOLE, Server, Surface};

/// Serve the console and the HTTP API: add orders, see failures, operate the queue.
///
/// Listens on `server.listen`. Without tokens (`sitewright token create`) that must be an address
/// of the loopback interface. SIGTERM or Ctrl-C ends it: requests have `server.grace_ms` to end. It
/// runs beside workers, on the same database; tables of an embedded database that has none are
/// created. Like a worker, it delivers webhooks.
///
/// Without tokens, with an embedded database and on a terminal, it prints a link to the console
/// that is valid once, for 15 minutes; then nobody else on this machine gets into the console.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sitewright serve                        listen on 127.0.0.1:8080\n  \
    sitewright serve --link                 with a link to the console in a pipe, too\n  \
    sitewright serve --listen 0.0.0.0:8080  needs a token: sitewright token create")]
pub(super) struct Args {
    /// Listen on this address instead of `server.listen`.
    #[arg(long, value_name = "ADDR:PORT", value_parser = http::address)]
    listen: Option<SocketAddr>,
    /// Print a one-time link to the console also if stdout is no terminal; needs a server without
    /// tokens on a loopback address.
    #[arg(long)]
    link: bool,
}

pub(super) async fn run(
    setup: &Setup,
    args: Args,
    json: bool,
    logging: &mut Logging,
) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let stop = stop_on_signal()?;
    let database = Setup::served(&config).await?;
    let alive: Alive = Arc::new(|| Ok(()));
    let doing = (alive, replay_child::replays(setup), replay_child::exports(setup));
    let server = http::bind(&config, database.clone(), Surface::Api, args.listen, doing).await?;
    let dispatch = Setup::dispatch(&config, &database, &sitewright_http::client()?).await?;
    logging.export_metrics(read_metrics(database.clone(), server.listeners()));
    let address = server.address();
    let wants_link = args.link || (!json && std::io::stdout().is_terminal());
    let link = match wants_link && (args.link || database.is_embedded()) {
        true => server.console_link().await.map_err(|problem| {
            SetupError::Host(message!("no link to the console was made: {}", problem.detail))
        })?,
        false => None,
    };
    if args.link && link.is_none() {
        return Err(SetupError::Usage(message!(
            "--link: the server has tokens or an identity provider, or other machines reach it; \
             log in with a token or an account there"
        )));
    }
    let link = link.map(|link| format!("http://{}{}", link.authority, link.path));
    tracing::info!(%address, "ready");
    if json {
        let console = format!("http://{address}{CONSOLE}");
        let line =
            json!({ "event": "ready", "address": address, "console": console, "link": link });
        output::print(&format!("{line}\n"));
    } else {
        let console = match link {
            Some(link) => {
                format!("Open the console once, within 15 minutes, with\n  {link}\n")
            }
            None => format!("The console is at http://{address}{CONSOLE}\n"),
        };
        output::print(&format!("{console}The API is at http://{address}/v1\n"));
    }
    let served = serve(server, &database, stop).await;
    dispatch.stop().await;
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
