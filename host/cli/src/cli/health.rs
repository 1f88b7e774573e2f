//! `sitewright health`: asks a worker or server of this machine whether it is well, for probes that
//! run a program (Docker, `exec` of Kubernetes).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::exit::Exit;
use super::http;
use super::output;
use super::setup::{Setup, SetupError};
use sitewright_failure::render::clean;
use sitewright_http::causes_with_self;

/// Maximum bytes of an answer that are read: `/healthz` and `/readyz` answer with less.
const MAX_ANSWER: usize = 4 << 10;

/// Ask a worker or server whether it is alive, or ready.
///
/// Asks /healthz, or with --ready /readyz, on `server.listen`, or on the address that the worker
/// listens on. Needs no token and no database. Exits with 0 if it is well, and with 1 if it is not
/// or does not answer.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sitewright health                            of `sitewright serve`\n  \
    sitewright health --address 127.0.0.1:9100   of `sitewright worker --listen 127.0.0.1:9100`\n  \
    sitewright health --ready --within-ms 1000")]
pub(super) struct Args {
    /// Ask this address instead of `server.listen`.
    #[arg(long, value_name = "ADDR:PORT", value_parser = http::address)]
    address: Option<SocketAddr>,
    /// Ask whether it is ready: whether its database answers with the tables of its version.
    #[arg(long)]
    ready: bool,
    /// Milliseconds in which it must answer.
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    within_ms: u64,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let address = match args.address {
        Some(address) => address,
        None => setup.config()?.server.listen,
    };
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let url = format!("http://{}{path}", reachable(address));
    let answer = ask(&url, Duration::from_millis(args.within_ms)).await?;
    if json {
        let outcome = if answer.is_well { "well" } else { "unwell" };
        output::print_json(&json!({
            "outcome": outcome, "url": url, "status": answer.status, "says": answer.says,
        }));
    } else {
        output::print(&format!("{url}: {}\n", clean(&answer.says)));
    }
    Ok(if answer.is_well { Exit::Done } else { Exit::Host })
}

struct Answer {
    is_well: bool,
    /// Status of HTTP; `None` without an answer.
    status: Option<u16>,
    /// What it says of itself, or why there is no answer.
    says: String,
}

async fn ask(url: &str, within: Duration) -> Result<Answer, SetupError> {
    let client = sitewright_http::client()?;
    let none = |says| Answer { is_well: false, status: None, says };
    let why = |error: &(dyn std::error::Error + 'static)| {
        let causes = causes_with_self(error);
        let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
        format!("no answer: {}", causes.join(": "))
    };
    let asked = async {
        let mut response = match client.first().get(url).send().await {
            Ok(response) => response,
            Err(error) => return none(why(&error)),
        };
        let status = response.status();
        let mut body = Vec::new();
        while body.len() <= MAX_ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return none(why(&error)),
            }
        }
        let (says, is_own) = says(status.as_u16(), &body);
        Answer { is_well: status.is_success() && is_own, status: Some(status.as_u16()), says }
    };
    let answered = tokio::time::timeout(within, asked).await;
    Ok(answered.unwrap_or_else(|_| none(format!("no answer within {} ms", within.as_millis()))))
}

/// What an answer says of itself, and whether it is one of this program.
fn says(status: u16, body: &[u8]) -> (String, bool) {
    // Of another program, it need not be JSON.
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match (body["status"].as_str(), body["hint"].as_str()) {
        (Some(says), Some(hint)) => (format!("{says}: {hint}"), true),
        (Some(says), None) => (says.to_owned(), true),
        (None, _) => (format!("another program listens there: it answered {status}"), false),
    }
}

/// Where an address that is listened on can be reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
