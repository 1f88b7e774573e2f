//! `sitewright breaker`: the circuit breakers that are open in workers.

use serde::Serialize;
use serde_json::json;

use super::audit;
use super::exit::Exit;
use super::output;
use super::queue::breaker_text;
use super::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_failure::render::clean;
use sitewright_jobs::{Breaker, Database};
use sitewright_model::message;
use sitewright_model::time::now_ms;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the circuit breakers that are open: of which model and worker, since when, why, and
    /// when the next call is let through.
    #[command(
        after_help = "A breaker stops the calls of its own worker only, and closes by itself \
                            with the first\ncall that succeeds. What stops all workers is a hold: \
                            sitewright route list\n\n\
                            Examples:\n  \
                            sitewright breaker list\n  \
                            sitewright breaker list --provider openrouter"
    )]
    List {
        /// List only those of this provider.
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
    },
    /// Release the circuit breakers of a provider: each lets its next call through at once, and
    /// opens again if that call fails. The holds of their routes let their next order through, too.
    #[command(after_help = "Example:\n  sitewright breaker release openrouter")]
    Release {
        /// Name of the provider in the configuration; as `breaker list` shows it.
        #[arg(value_name = "PROVIDER")]
        provider: String,
    },
}

/// What a breaker does with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Rejects it, until `next_probe_at`.
    Open,
    /// Lets it through, and closes if it succeeds.
    HalfOpen,
}

/// A breaker as `--json` prints it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    state: State,
    #[serde(flatten)]
    breaker: &'a Breaker,
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = Setup::orders(&config).await?;
    let done = match command {
        Command::List { provider } => list(&database, provider.as_deref(), json).await,
        Command::Release { provider } => release(&database, &config, &provider, json).await,
    };
    database.close().await;
    done.map(|()| Exit::Done)
}

async fn list(database: &Database, provider: Option<&str>, json: bool) -> Result<(), SetupError> {
    let mut breakers = database.breakers().await?;
    breakers.retain(|breaker| provider.is_none_or(|provider| breaker.provider == provider));
    let at = now_ms();
    if json {
        let listed: Vec<Listed<'_>> =
            breakers.iter().map(|breaker| Listed { state: state(breaker, at), breaker }).collect();
        output::print_json(&json!({ "breakers": listed }));
        return Ok(());
    }
    let mut text = String::new();
    for breaker in &breakers {
        text.push_str(breaker_text(breaker, at).trim_end());
        text.push_str(&format!(" on {}\n", clean(&breaker.host)));
        if !breaker.routes.is_empty() {
            text.push_str(&format!("  routes: {}\n", clean(&breaker.routes.join(", "))));
        }
        text.push('\n');
    }
    if breakers.is_empty() {
        text.push_str("No circuit breaker is open.\n");
    }
    output::print(&text);
    Ok(())
}

fn state(breaker: &Breaker, at: i64) -> State {
    if breaker.next_probe_at.is_some_and(|due| due > at) { State::Open } else { State::HalfOpen }
}

async fn release(
    database: &Database,
    config: &Config,
    provider: &str,
    json: bool,
) -> Result<(), SetupError> {
    let breakers = database.release_breakers(provider).await?;
    // Workers may have another configuration, so one without providers knows no better.
    let known = &config.ai.providers;
    if breakers == 0 && !known.is_empty() && !known.contains_key(provider) {
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        return Err(SetupError::Usage(message!(
            "there is no provider `{provider}`, so nothing was changed; the providers are: {}",
            known.join(", ")
        )));
    }
    audit::done(database, "breaker.release", Some(provider.to_owned())).await?;
    let (outcome, says) = match i64::try_from(breakers).unwrap_or(i64::MAX) {
        0 => ("unchanged", "no circuit breaker is open; nothing was changed".to_owned()),
        open => {
            let open = output::count(open, "circuit breaker");
            ("released", format!("{open} released: workers let the next call through in seconds"))
        }
    };
    if json {
        output::print_json(&json!({
            "outcome": outcome,
            "provider": provider,
            "breakers": breakers,
        }));
    } else {
        output::print(&format!("{}: {says}\n", clean(provider)));
    }
    Ok(())
}
