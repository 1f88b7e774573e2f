//! `sitewright doctor`: checks the installation and reports what to fix.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::exit::Exit;
use super::hook_map::misspelt;
use super::output;
use super::setup::{Setup, SetupError};
use super::table::{Align, table};
use crate::config::Config;
use sitewright_ai::{Gateway, Probe};
use sitewright_failure::render;
use sitewright_jobs::SCHEMA_VERSION;
use sitewright_model::ai::Attempt;
use sitewright_model::message::causes_of;
use sitewright_site::SitesRoot;

/// Check configuration, folders, database, templates and AI routes.
///
/// Uses the code that orders use. Exits with 2 if a check fails.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Make no AI call: check only the configuration of the routes.
    #[arg(long)]
    offline: bool,
}

/// Maximum time for the probes of all routes together.
const PROBE_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct Check {
    what: String,
    ok: bool,
    says: String,
}

impl Check {
    fn new(what: impl Into<String>, result: Result<String, String>) -> Self {
        let (ok, says) = match result {
            Ok(says) => (true, says),
            Err(says) => (false, says),
        };
        Check { what: what.into(), ok, says }
    }
}

/// The result: all checks, and the details of each route.
#[derive(Debug, Default, Serialize)]
struct Findings {
    checks: Vec<Check>,
    routes: Vec<Probe>,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let mut found = Findings::default();
    match setup.config() {
        Err(error) => found.checks.push(Check::new("configuration", Err(whole(&error)))),
        Ok(config) => {
            let file = config
                .file
                .as_ref()
                .map_or_else(|| "no file, defaults".to_owned(), |file| file.display().to_string());
            found.checks.push(Check::new(
                "configuration",
                Ok(format!("{file}, version {}", config.version)),
            ));
            if let Some(gateway) =
                examine(&config, &mut found.checks).await.filter(|_| !args.offline)
            {
                found.routes = gateway.probe_all(Instant::now() + PROBE_DEADLINE).await;
                found.checks.extend(found.routes.iter().map(route_check));
            }
        }
    }
    if let Some(says) = crate::telemetry::examine_export() {
        found.checks.push(Check::new("OpenTelemetry", says));
    }
    let all_well = found.checks.iter().all(|check| check.ok);
    if json {
        output::print_json(
            &serde_json::json!({ "ok": all_well, "checks": found.checks, "routes": found.routes }),
        );
    } else {
        output::print(&page(&found));
    }
    Ok(if all_well { Exit::Done } else { Exit::Usage })
}

/// Opens the database as a worker does, but makes no file and no tables.
async fn database(config: &Config) -> Result<String, String> {
    let opened = match Setup::orders(config).await {
        Ok(database) if database.is_embedded() => Ok(database),
        Ok(database) => {
            // A worker needs more connections than a command, and sessions of its own.
            database.close().await;
            Setup::existing_worker_database(config).await
        }
        Err(error) => Err(error),
    };
    match opened {
        Ok(database) => {
            let shown = database.shown().to_owned();
            database.close().await;
            Ok(format!("{shown}, schema version {SCHEMA_VERSION}"))
        }
        Err(SetupError::Database(error)) if error.is_without_tables() => {
            can_be_made(config.database.expose())?;
            Ok("it has no tables yet: `sitewright migrate` or the first worker makes them"
                .to_owned())
        }
        Err(error) => Err(whole(&error)),
    }
}

/// Checks that the first worker can make the file of a SQLite database that is not there yet.
/// Leaves no file behind.
///
/// # Errors
/// The folder that cannot be written to, why, and what to do.
fn can_be_made(url: &str) -> Result<(), String> {
    let Some(path) = url.strip_prefix("sqlite://").and_then(|path| path.split('?').next()) else {
        return Ok(());
    };
    // SQLite reads `%20` in a path as a space; `:memory:` is no path.
    if !path.starts_with('/') || path.contains('%') || Path::new(path).exists() {
        return Ok(());
    }
    let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
    let written = std::fs::metadata(folder).and_then(|_| tempfile::tempfile_in(folder));
    written.map(drop).map_err(|error| {
        format!(
            "there is no file `{path}` yet, and a worker cannot make it, because its folder cannot \
             be written to: {error}; make the folder and give the host's user write access to it, \
             or name another file with `database.url`"
        )
    })
}

/// Whether receivers and senders of webhooks and the identity provider can be used, if the
/// configuration has any.
fn webhooks(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    if !config.webhooks.is_empty() || config.callbacks.is_some() {
        let read = Setup::webhooks(config);
        let says = read.map(|webhooks| webhooks.names().join(", "));
        checks.push(Check::new("webhooks", says.map_err(|error| whole(&error))));
    }
    if !config.hooks.is_empty() {
        let read = Setup::hooks(config);
        let says = read.map(|hooks| hooks.keys().cloned().collect::<Vec<_>>().join(", "));
        checks.push(Check::new("hooks", says.map_err(|error| whole(&error))));
    }
    #[cfg(feature = "server")]
    if let Some(oidc) = &config.server.oidc {
        // The provider is not asked: the server starts without it.
        let says = Setup::oidc(config).map(|_| oidc.issuer.clone());
        checks.push(Check::new("oidc", says.map_err(|error| whole(&error))));
    }
    for (name, hook) in &config.hooks {
        for says in misspelt(hook, &config.default_locale) {
            checks.push(Check::new(format!("map of hook {name}"), Err(says)));
        }
        let file = config.templates.join(format!("{}.wasm", hook.template));
        if config.templates.is_dir() && !file.is_file() {
            let says = format!("there is no template {:?} in the templates folder", hook.template);
            checks.push(Check::new(format!("template of hook {name}"), Err(says)));
        }
    }
    checks
}

/// Runs all checks that need no AI call. Returns the gateway, if it can be created.
async fn examine(config: &Config, checks: &mut Vec<Check>) -> Option<Arc<Gateway>> {
    checks.push(Check::new(
        "sites folder",
        SitesRoot::open(&config.sites)
            .map(|root| root.path().display().to_string())
            .map_err(|error| whole(&error)),
    ));
    checks.push(Check::new("database", database(config).await));
    checks.extend(webhooks(config));
    let gateway = Setup::gateway(config);
    let mut purposes = Vec::new();
    match Setup::catalogue(config, 1) {
        Err(error) => checks.push(Check::new("templates", Err(whole(&error)))),
        Ok(catalogue) => match catalogue.load_all().await {
            Err(error) => checks.push(Check::new("templates", Err(whole(&error)))),
            Ok(templates) if templates.is_empty() => {
                checks.push(Check::new(
                    "templates",
                    Err(format!("there are none in {}", catalogue.folder().display())),
                ));
            }
            Ok(templates) => {
                for template in templates {
                    checks.push(match template {
                        Ok(template) => {
                            let manifest = &template.manifest;
                            let name = template.name().into_owned();
                            purposes.extend(
                                manifest
                                    .ai_purposes
                                    .iter()
                                    .map(|purpose| (name.clone(), purpose.name.clone())),
                            );
                            Check::new(
                                format!("template {name}"),
                                Ok(format!("{} {}", manifest.version, template.digest())),
                            )
                        }
                        Err(error) => {
                            // The error's own text repeats the file.
                            let reasons: Vec<String> =
                                causes_of(&error).iter().map(ToString::to_string).collect();
                            let reason = if reasons.is_empty() {
                                error.to_string()
                            } else {
                                reasons.join(": ")
                            };
                            Check::new(format!("template {}", error.path.display()), Err(reason))
                        }
                    });
                }
            }
        },
    }
    let gateway = match gateway {
        Ok(gateway) => gateway,
        Err(error) => {
            checks.push(Check::new("AI providers", Err(whole(&error))));
            return None;
        }
    };
    for (template, purpose) in purposes {
        if !gateway.purposes_without_route([purpose.as_str()]).is_empty() {
            let advice =
                format!("no route serves it; add [ai.routes.{purpose}] or [ai.routes.default]");
            checks.push(Check::new(format!("purpose {purpose} of {template}"), Err(advice)));
        }
    }
    Some(gateway)
}

fn route_check(probe: &Probe) -> Check {
    let attempt = &probe.attempt;
    let says = match (&attempt.message, attempt.outcome) {
        (Some(message), _) => message.to_string(),
        (None, outcome) => format!("{outcome} ({})", super::ai::latency(attempt).join(", ")),
    };
    let says = match refused(probe) {
        Some(refused) if probe.usable => format!("{says}; {refused}"),
        _ => says,
    };
    let what = format!("route {} → {} {}", probe.route, attempt.provider, attempt.model);
    Check::new(what, if probe.usable { Ok(says) } else { Err(says) })
}

/// Which parameters the model refuses, and what is done about it.
fn refused(probe: &Probe) -> Option<String> {
    let names = probe.refused.join(", ");
    (!names.is_empty())
        .then(|| format!("it refuses {names}, so requests are sent without that or in another way"))
}

/// The text of an error and all its causes, in one line.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    causes_of(error).iter().fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn page(found: &Findings) -> String {
    let good = anstyle::AnsiColor::Green.on_default();
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let mut text = String::new();
    // Checks of routes come last; the table is enough for those that can be used.
    let (others, routes) = found.checks.split_at(found.checks.len() - found.routes.len());
    for check in others {
        text.push_str(&paragraph(check));
    }
    if !routes.is_empty() {
        text.push('\n');
        text.push_str(&candidates(&found.routes));
        for probe in &found.routes {
            if let Some(refused) = refused(probe) {
                let Attempt { provider, model, .. } = &probe.attempt;
                let line = format!("{provider} {model}: {refused}");
                text.push_str(&format!("  {}\n", render::clean(&line)));
            }
        }
        text.push('\n');
    }
    for check in routes.iter().filter(|check| !check.ok) {
        text.push_str(&paragraph(check));
    }
    let wrong = found.checks.iter().filter(|check| !check.ok).count();
    text.push_str(&match wrong {
        0 => format!("\n{good}All is well.{good:#}\n"),
        _ => format!("\n{bad}{wrong} of {} checks failed.{bad:#}\n", found.checks.len()),
    });
    text
}

fn marked(ok: bool) -> String {
    let good = anstyle::AnsiColor::Green.on_default();
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    if ok { format!("{good}✓{good:#}") } else { format!("{bad}✗{bad:#}") }
}

fn paragraph(check: &Check) -> String {
    format!(
        "{} {}\n{}",
        marked(check.ok),
        render::clean(&check.what),
        render::paragraph(&check.says, "    ", output::width())
    )
}

/// One line for each candidate of each route.
fn candidates(probes: &[Probe]) -> String {
    const HEAD: [&str; 8] =
        ["route", "provider", "model", "connect", "first byte", "total", "outcome", "what to do"];
    let ms = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time} ms"));
    let row = |probe: &Probe| {
        let Attempt {
            provider,
            model,
            connect_ms,
            first_byte_ms,
            duration_ms,
            outcome,
            status,
            ..
        } = &probe.attempt;
        // A success with a message is a script, which is loaded and not called.
        let asked = !(probe.usable && probe.attempt.message.is_some() && status.is_none());
        [
            probe.route.clone(),
            provider.clone(),
            model.clone(),
            ms(*connect_ms),
            ms(*first_byte_ms),
            ms(asked.then_some(*duration_ms)),
            match (asked, status) {
                (false, _) => "not asked".to_owned(),
                (true, None) => outcome.to_string(),
                (true, Some(status)) => format!("{outcome} ({status})"),
            },
            probe.hint.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        ]
        .map(|cell| render::clean(&cell))
    };
    let dim = anstyle::Style::new().dimmed();
    let mut rows = vec![HEAD.map(|name| format!("{dim}{name}{dim:#}"))];
    rows.extend(probes.iter().map(row));
    let marks =
        std::iter::once(" ".to_owned()).chain(probes.iter().map(|probe| marked(probe.usable)));
    let lines = table([Align::Left; 8], &rows);
    lines.lines().zip(marks).map(|(line, mark)| format!("{mark} {line}\n")).collect()
}
