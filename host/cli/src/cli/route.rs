//! `sitewright route`: the routes of AI calls, and what orders wait for because it is held.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::audit;
use super::exit::Exit;
use super::output;
use super::queue::hold_text;
use super::setup::{Setup, SetupError};
use super::table::{Align, table};
use crate::config::Config;
use sitewright_ai::AiConfig;
use sitewright_failure::render::clean;
use sitewright_jobs::{Database, Hold, HoldId, HoldKind, NewHold};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;
use sitewright_runtime::plugin::template_names;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the routes of the configuration and everything that is held.
    List,
    /// Hold a route or a template: its orders wait and use no attempt until it is released.
    #[command(after_help = "Examples:\n  \
        sitewright route hold default --reason 'the key is being replaced'\n  \
        sitewright route hold template:landing\n  \
        sitewright route hold template:landing/acme")]
    Hold {
        /// Name of a route, or `template:NAME`. With `/TENANT` behind it, only the orders of that
        /// tenant wait; with a bare `/`, only those without a tenant.
        #[arg(value_name = "NAME")]
        name: String,
        /// What orders show that wait for it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Release what is held: its orders are due again. A worker holds it anew if the cause
    /// persists.
    #[command(after_help = "Examples:\n  \
        sitewright route release default\n  \
        sitewright route release template:landing\n  \
        sitewright route release template:landing/acme")]
    Release {
        /// Name of a route, or `template:NAME`; as `route list` and `queue stats` show it, with
        /// `/TENANT` behind it if only the orders of that tenant wait, or a bare `/` if only those
        /// without a tenant do.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = Setup::orders(&config).await?;
    let done = act(&database, &config, command, json).await;
    database.close().await;
    done
}

async fn act(
    database: &Database,
    config: &Config,
    command: Command,
    json: bool,
) -> Result<Exit, SetupError> {
    match command {
        Command::List => list(database, config, json).await,
        Command::Hold { name, reason } => hold(database, config, &name, reason, json).await,
        Command::Release { name } => release(database, config, &name, json).await,
    }
}

/// A route of the configuration.
#[derive(Debug, Serialize)]
struct Route {
    /// The purpose it serves, or `default`.
    name: String,
    /// `PROVIDER MODEL`, in the order in which they are tried.
    candidates: Vec<String>,
    /// Whether all orders that need it wait, and not only those of one tenant.
    held: bool,
}

fn routes(config: &AiConfig, holds: &[Hold]) -> Vec<Route> {
    let route = |(name, route): (&String, &sitewright_ai::RouteConfig)| {
        let candidates = route.candidates.iter().map(|one| {
            let model = one.model.as_deref().unwrap_or_default();
            format!("{} {model}", one.provider).trim_end().to_owned()
        });
        let all = HoldId::new(HoldKind::Route, name.as_str());
        let held = holds.iter().any(|hold| hold.id == all);
        Route { name: name.clone(), candidates: candidates.collect(), held }
    };
    config.routes.iter().map(route).collect()
}

/// The row of a route: its name, whether it is held, whom it asks.
fn row(route: &Route) -> [String; 3] {
    let held = if route.held { "held" } else { "" };
    [clean(&route.name), held.to_owned(), clean(&route.candidates.join(", "))]
}

async fn list(database: &Database, config: &Config, json: bool) -> Result<Exit, SetupError> {
    let holds = database.holds().await?;
    let routes = routes(&config.ai, &holds);
    if json {
        output::print_json(&json!({ "routes": routes, "holds": holds }));
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    if routes.is_empty() {
        text.push_str("No route is configured: see [ai.routes] of the configuration.\n");
    }
    let rows: Vec<[String; 3]> = routes.iter().map(row).collect();
    text.push_str(&table([Align::Left; 3], &rows));
    text.push('\n');
    let at = now_ms();
    for hold in &holds {
        text.push_str(&hold_text(hold, at));
    }
    if holds.is_empty() {
        text.push_str("Nothing is held.\n");
    }
    output::print(&text);
    Ok(Exit::Done)
}

/// The hold that a person names.
fn id_of(name: &str) -> Result<HoldId, SetupError> {
    HoldId::named(name).map_err(|error| {
        SetupError::Usage(Message::or(&error, message!("the name cannot be used")))
    })
}

async fn hold(
    database: &Database,
    config: &Config,
    name: &str,
    reason: Option<String>,
    json: bool,
) -> Result<Exit, SetupError> {
    let id = id_of(name)?;
    check_name(database, config, &id).await?;
    let hold = NewHold::by_operator(id.clone(), reason.as_deref());
    let new = database.hold(hold).await?;
    audit::done(database, "hold.set", Some(id.to_string())).await?;
    let outcome = if new { "held" } else { "already_held" };
    let says = if new { "is held: its orders wait" } else { "was held already; its reason is new" };
    report(outcome, &id, says, json);
    Ok(Exit::Done)
}

/// Refuses the name of a route or a template that there is not.
async fn check_name(database: &Database, config: &Config, id: &HoldId) -> Result<(), SetupError> {
    if id.kind == HoldKind::Route && !config.ai.routes.contains_key(&id.name) {
        let known: Vec<&str> = config.ai.routes.keys().map(String::as_str).collect();
        return Err(SetupError::Usage(message!(
            "there is no route `{}`; the routes are: {}; a template is `template:NAME`",
            id.name,
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    }
    if id.kind == HoldKind::Template {
        check_template(database, config, &id.name).await?;
    }
    Ok(())
}

/// A name that neither a worker nor the templates folder has is a slip of the pen: its orders would
/// go on. If the folder cannot be read here, and no worker has a template, nobody knows.
async fn check_template(
    database: &Database,
    config: &Config,
    name: &str,
) -> Result<(), SetupError> {
    let mut known: BTreeSet<String> =
        database.templates().await?.into_iter().map(|template| template.name).collect();
    match template_names(&config.templates).await {
        Ok(names) => known.extend(names),
        Err(error) if known.is_empty() => {
            output::complain(&format!(
                "warning: cannot check whether the template `{}` exists: {error}\n",
                clean(name)
            ));
            return Ok(());
        }
        Err(_) => {}
    }
    if known.contains(name) {
        return Ok(());
    }
    let known: Vec<String> = known.into_iter().collect();
    Err(SetupError::Usage(message!(
        "there is no template `{name}`, so nothing was changed; the templates are: {}",
        if known.is_empty() { "none".to_owned() } else { clean(&known.join(", ")) }
    )))
}

async fn release(
    database: &Database,
    config: &Config,
    name: &str,
    json: bool,
) -> Result<Exit, SetupError> {
    let id = id_of(name)?;
    let was_held = database.release_hold(&id).await?;
    // What was held may be gone from the configuration, and can still be released.
    if !was_held {
        check_name(database, config, &id).await?;
    }
    audit::done(database, "hold.release", Some(id.to_string())).await?;
    let (outcome, says) = if was_held {
        ("released", "is released: workers take its orders within about a second")
    } else {
        ("not_held", "is not held; nothing was changed")
    };
    report(outcome, &id, says, json);
    Ok(Exit::Done)
}

fn report(outcome: &str, id: &HoldId, says: &str, json: bool) {
    if json {
        output::print_json(&json!({ "outcome": outcome, "hold": id }));
    } else {
        output::print(&format!("{} {says}\n", clean(&id.to_string())));
    }
}
