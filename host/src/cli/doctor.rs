//! `sitewright doctor`: is everything there, does everything work, and what to do where it does not.

use serde::Serialize;

use super::output::{self, Exit};
use super::setup::{Setup, SetupError};
use crate::config::Config;
use crate::failure::render;
use crate::message::causes_of;
use crate::site::SitesRoot;

/// Checks the configuration, the folders, every template and every AI route through the code that orders use.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Makes no AI call: routes are checked as far as the configuration goes.
    #[arg(long)]
    offline: bool,
}

/// How long one route may take to answer a probe.
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

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let mut checks = Vec::new();
    match setup.config() {
        Err(error) => checks.push(Check::new("configuration", Err(whole(&error)))),
        Ok(config) => {
            let file = config
                .file
                .as_ref()
                .map_or_else(|| "no file, defaults".to_owned(), |file| file.display().to_string());
            checks.push(Check::new("configuration", Ok(format!("{file}, version {}", config.version))));
            examine(&config, &args, &mut checks).await;
        }
    }
    let all_well = checks.iter().all(|check| check.ok);
    if json {
        output::print_json(&serde_json::json!({ "ok": all_well, "checks": checks }));
    } else {
        output::print(&table(&checks));
    }
    Ok(if all_well { Exit::Done } else { Exit::Usage })
}

async fn examine(config: &Config, args: &Args, checks: &mut Vec<Check>) {
    checks.push(Check::new(
        "sites folder",
        SitesRoot::open(&config.sites)
            .map(|root| root.path().display().to_string())
            .map_err(|error| whole(&error)),
    ));
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
                            purposes.extend(
                                manifest
                                    .ai_purposes
                                    .iter()
                                    .map(|purpose| (manifest.name.clone(), purpose.name.clone())),
                            );
                            Check::new(
                                format!("template {}", manifest.name),
                                Ok(format!("{} {}", manifest.version, template.digest())),
                            )
                        }
                        Err(error) => {
                            // Its own words repeat the file.
                            let reasons: Vec<String> =
                                causes_of(&error).iter().map(ToString::to_string).collect();
                            let reason =
                                if reasons.is_empty() { error.to_string() } else { reasons.join(": ") };
                            Check::new(format!("template {}", error.path.display()), Err(reason))
                        }
                    });
                }
            }
        },
    }
    let gateway = match gateway {
        Ok(gateway) => gateway,
        Err(error) => return checks.push(Check::new("AI providers", Err(whole(&error)))),
    };
    for (template, purpose) in purposes {
        if !gateway.purposes_without_route([purpose.as_str()]).is_empty() {
            let advice = format!("no route serves it; add [ai.routes.{purpose}] or [ai.routes.default]");
            checks.push(Check::new(format!("purpose {purpose} of {template}"), Err(advice)));
        }
    }
    if args.offline {
        return;
    }
    for route in gateway.routes() {
        let deadline = tokio::time::Instant::now() + PROBE_DEADLINE;
        for probe in gateway.probe(&route.name, deadline).await.unwrap_or_default() {
            let attempt = &probe.attempt;
            let says = match (&attempt.message, attempt.outcome) {
                (Some(message), _) => message.to_string(),
                (None, outcome) => format!("{outcome} ({})", super::ai::latency(attempt).join(", ")),
            };
            checks.push(Check::new(
                format!("route {} → {} {}", route.name, attempt.provider, attempt.model),
                if probe.usable { Ok(says) } else { Err(says) },
            ));
        }
    }
}

/// An error with all its causes, in one line.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    causes_of(error).iter().fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn table(checks: &[Check]) -> String {
    let good = anstyle::AnsiColor::Green.on_default();
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let mut text = String::new();
    for check in checks {
        let (style, mark) = if check.ok { (good, "✓") } else { (bad, "✗") };
        text.push_str(&format!("{style}{mark}{style:#} {}\n", check.what));
        text.push_str(&render::paragraph(&check.says, "    ", output::width()));
    }
    let wrong = checks.iter().filter(|check| !check.ok).count();
    text.push_str(&match wrong {
        0 => format!("\n{good}All is well.{good:#}\n"),
        _ => format!("\n{bad}{wrong} of {} checks failed.{bad:#}\n", checks.len()),
    });
    text
}
