//! `sitewright template dev`: shows the site in a browser and updates it when a file is saved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_author::build::{Builder, Mode};
use sitewright_author::dev::places::{Editor, Links};
use sitewright_author::dev::watch::Watcher;
use sitewright_author::dev::{AiSource, Board, CASES, Dev, Event, Failed, Inputs, Server, Took};
use sitewright_author::project::Project;
use sitewright_failure::render;
use sitewright_http as http;
use sitewright_model::message;
use sitewright_model::time::millis;
use sitewright_runtime::plugin::TemplateSetting;

/// Configuration file of a project.
const CONFIG: &str = "sitewright.toml";
/// File of a project with scripted AI replies.
const SCRIPT: &str = "ai.toml";
/// Number of releases of the site that are kept on disk.
const KEEP: usize = 2;
/// Maximum time to wait for browsers to close their connections.
const GOODBYE: Duration = Duration::from_secs(1);

/// Show a template's site in a browser and update it when a file is saved.
///
/// Builds the template and makes the site of one order, again whenever a file of the template, the
/// order or the script is saved. Open pages reload themselves. If something fails, the page shows
/// the error. Ctrl-C ends the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sitewright template dev --order order.json
  sitewright template dev my-template --order orders/7.json --ai ai.toml --port 8000
  sitewright template dev --order orders                      all orders of a folder
  sitewright template dev --order order.json --ai recorded    use real replies, and ask each \
                        question once")]
pub(in crate::cli) struct Args {
    /// Folder of the project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Order document (JSON), or a folder of them: the page has a choice.
    #[arg(long, value_name = "FILE|DIR")]
    order: PathBuf,
    /// Answer AI calls with this script (TOML), or with `recorded`: ask the configured routes once
    /// for each question and keep the replies in `.sitewright/recorded.jsonl` [default: `ai.toml`
    /// of the project].
    #[arg(long, value_name = "SCRIPT|recorded")]
    ai: Option<PathBuf>,
    /// Listen on this port of the loopback interface; 0 selects a free one.
    #[arg(long, value_name = "PORT", default_value = "0")]
    port: u16,
    /// Open files of error reports with this address: `{path}`, `{line}` and `{column}` are
    /// replaced. For example `zed://file{path}:{line}:{column}`.
    #[arg(long, value_name = "URL", default_value_t)]
    editor: Editor,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let folder = args.folder.clone();
    let project = tokio::task::spawn_blocking(move || Project::open(&folder))
        .await
        .map_err(|error| SetupError::Host(message!("opening the project failed: {error}")))?
        .map_err(SetupError::Usage)?;
    let config = configured(setup, &project)?;
    let order = args.order.clone();
    let orders = tokio::task::spawn_blocking(move || orders(&order))
        .await
        .map_err(|error| SetupError::Host(message!("finding the orders failed: {error}")))??;
    let ai = answers(args.ai.as_deref(), &config, &project)?;
    let mut others = orders.clone();
    if let AiSource::Script(script) = &ai {
        others.push(script.clone());
    }
    let root = project.folder.clone();
    let watcher = tokio::task::spawn_blocking(move || {
        Watcher::new(&root, &others.iter().map(PathBuf::as_path).collect::<Vec<_>>())
    });
    let watcher = watcher
        .await
        .map_err(|error| SetupError::Host(message!("watching the project failed: {error}")))?
        .map_err(|error| SetupError::Host(message!("the project cannot be watched: {error}")))?;
    let server = Server::bind(args.port).await.map_err(SetupError::Usage)?;
    let client = http::client()?;
    let dev = Dev {
        builder: Builder::new(project.clone(), Mode::Dev),
        ai,
        host: Setup::host_with(&config, 1, client.clone())?,
        client,
    };

    let url = server.url();
    tell_of(json, &json!({ "event": "listening", "url": url }), || {
        format!("{} at {url} · press Ctrl-C to stop\n", project.name)
    });
    let links = Links { root: project.folder.clone(), editor: args.editor };
    let script = match &dev.ai {
        AiSource::Script(script) => Some(script.clone()),
        AiSource::Recorded { .. } => None,
    };
    let inputs = Inputs { script, cases: Some(project.folder.join(CASES)) };
    let board = Board::new(orders, Some(links)).with_inputs(inputs);
    let stop = CancellationToken::new();
    let tool = |line: &str| output::complain(&format!("{line}\n"));
    let told = |event: Event<'_>| tell(json, &project, &event);
    let mut serving = std::pin::pin!(server.serve(&board, stop.clone()));
    let wrong =
        |error: String| SetupError::Host(message!("the site cannot be shown any more: {error}"));
    // Dropping the future stops the build or the run.
    let ended = tokio::select! {
        () = interrupt() => Ok(Exit::Done),
        made = dev.run(watcher, &board, &tool, &told) => match made {
            Ok(never) => match never {},
            Err(error) => Err(wrong(error.to_string())),
        },
        served = &mut serving => return served.map(|()| Exit::Done).map_err(|error| wrong(error.to_string())),
    };
    stop.cancel();
    if tokio::time::timeout(GOODBYE, serving).await.is_err() {
        tracing::debug!("a browser did not close its connection in time");
    }
    ended
}

/// The configuration of the run: that of the project, unless --config names another one. All files
/// are written into the project.
fn configured(setup: &Setup, project: &Project) -> Result<Config, SetupError> {
    let own = project.folder.join(CONFIG);
    let file = setup.config.clone().or_else(|| own.is_file().then_some(own));
    let mut config =
        Setup { config: file, templates: setup.templates.clone(), out: None }.author_config()?;
    config.sites = setup.out.clone().unwrap_or_else(|| project.scratch().join("sites"));
    // Each build is another template, of which only the functions come again: a cache of whole
    // ones would only grow.
    config.cache = None;
    config.keep_releases = KEEP;
    config.template_settings.of_all =
        TemplateSetting { source: Some(project.folder.clone()), coredump: false };
    Ok(config)
}

/// The canonical path, which the watcher reports when the file changes.
fn found(file: &Path, flag: &str) -> Result<PathBuf, SetupError> {
    file.canonicalize().map_err(|error| {
        SetupError::Usage(message!("the file {} cannot be found ({flag}): {error}", file.display()))
    })
}

/// The order document, or those in the folder, sorted by name. Blocking.
fn orders(asked: &Path) -> Result<Vec<PathBuf>, SetupError> {
    if !asked.is_dir() {
        return Ok(vec![found(asked, "--order")?]);
    }
    let wrong = |error: std::io::Error| {
        SetupError::Usage(message!(
            "the folder {} cannot be read (--order): {error}",
            asked.display()
        ))
    };
    let mut orders = Vec::new();
    for entry in std::fs::read_dir(asked).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            orders.push(found(&path, "--order")?);
        }
    }
    orders.sort();
    if orders.is_empty() {
        return Err(SetupError::Usage(message!(
            "the folder {} has no order (--order): no file whose name ends with `.json`",
            asked.display()
        )));
    }
    Ok(orders)
}

fn answers(
    asked: Option<&Path>,
    config: &Config,
    project: &Project,
) -> Result<AiSource, SetupError> {
    let own = project.folder.join(SCRIPT);
    match asked {
        Some(asked) if asked == Path::new("recorded") => Ok(AiSource::Recorded {
            ai: Box::new(config.ai.clone()),
            base: config.base.clone(),
            journal: project.scratch().join("recorded.jsonl"),
        }),
        Some(script) => Ok(AiSource::Script(found(script, "--ai")?)),
        None if own.is_file() => Ok(AiSource::Script(own)),
        None => Err(SetupError::Usage(message!(
            "no AI replies: the project has no {SCRIPT}; give --ai a script, or `recorded` for \
             the configured routes"
        ))),
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupt() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("cannot handle Ctrl-C: it ends the process at once");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn tell(json: bool, project: &Project, event: &Event<'_>) {
    let short =
        |path: &Path| path.strip_prefix(&project.folder).unwrap_or(path).display().to_string();
    match event {
        Event::Begun(files) => {
            let gone = files.iter().filter(|file| !file.exists()).count();
            let files: Vec<String> = files.iter().map(|file| short(file)).collect();
            tell_of(json, &json!({ "event": "begun", "saved": files }), || begun(&files, gone));
        }
        Event::Shown(notes, took) => {
            let mut value = took_json("shown", *took);
            value["notes"] = json!(notes);
            tell_of(json, &value, || {
                let good = anstyle::AnsiColor::Green.on_default().bold();
                let notes = [
                    output::diagnostics(&notes.diagnostics, "  "),
                    output::site_warnings(&notes.warnings, "  "),
                    output::printed(&notes.printed),
                ];
                format!("{good}✓ the page is updated{good:#} {}\n{}", told(*took), notes.concat())
            });
        }
        Event::Failed(failed, took) => {
            let message = match failed {
                Failed::Build(error) => error.to_string(),
                Failed::Attempt(record) => record.message.to_string(),
                Failed::Before(message) => message.to_string(),
            };
            let mut value = took_json("failed", *took);
            value["message"] = Value::String(message.clone());
            tell_of(json, &value, || {
                let bad = anstyle::AnsiColor::Red.on_default().bold();
                let report = match failed {
                    Failed::Attempt(record) => render::terminal(record, output::width()),
                    Failed::Build(_) | Failed::Before(_) => {
                        format!("{bad}✗{bad:#} {}\n", render::clean(&message))
                    }
                };
                format!("{report}the page shows the error {}\n", told(*took))
            });
        }
    }
}

/// Why a round begins: files were saved, of which `gone` are no longer there.
fn begun(files: &[String], gone: usize) -> String {
    let done = match gone {
        0 => "saved",
        gone if gone == files.len() => "deleted",
        _ => "saved or deleted",
    };
    match files {
        [] => "building the first version\n".to_owned(),
        [file] => format!("{file} was {done}\n"),
        [file, others @ ..] => format!("{file} and {} more were {done}\n", others.len()),
    }
}

fn took_json(event: &str, took: Took) -> Value {
    json!({
        "event": event,
        "save_to_page_ms": millis(took.total),
        "build_ms": took.build.map(millis),
        "load_ms": millis(took.load),
        "run_ms": millis(took.run),
    })
}

/// `1.20 s after saving: built in 900 ms, loaded in 200 ms, made in 40 ms`.
fn told(took: Took) -> String {
    let time = |duration: Duration| {
        render::duration(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    };
    let mut text = format!("{} after saving", time(took.total));
    let build = took.build.map(|build| format!("built in {}", time(build)));
    let load = (!took.load.is_zero()).then(|| format!("loaded in {}", time(took.load)));
    let run = (!took.run.is_zero()).then(|| format!("made in {}", time(took.run)));
    let parts: Vec<String> = [build, load, run].into_iter().flatten().collect();
    if !parts.is_empty() {
        text.push_str(&format!(": {}", parts.join(", ")));
    }
    text
}

fn tell_of(json: bool, value: &Value, text: impl FnOnce() -> String) {
    if json {
        output::print_json_line(value);
    } else {
        output::print(&text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_says_what_was_done_to_the_files() {
        for (files, gone, expected) in [
            ("", 0, "building the first version\n"),
            ("a.js", 0, "a.js was saved\n"),
            ("a.js", 1, "a.js was deleted\n"),
            ("a.js b.js c.js", 0, "a.js and 2 more were saved\n"),
            ("a.js b.js", 2, "a.js and 1 more were deleted\n"),
            ("a.js b.js", 1, "a.js and 1 more were saved or deleted\n"),
        ] {
            let files: Vec<String> = files.split_whitespace().map(str::to_owned).collect();
            assert_eq!(begun(&files, gone), expected);
        }
    }
}
