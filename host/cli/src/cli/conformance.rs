//! `sitewright conformance`: checks templates against the contract.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::browser::{BrowserArgs, OpenBrowser};
use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError, unbuilt};
use crate::config::Config;
use sitewright_conformance::report::{Report, TemplateReport, github, junit, markdown, tap, text};
use sitewright_conformance::{Candidate, Setting, SuiteRule, conform, suite};
use sitewright_http as http;
use sitewright_model::message;
use sitewright_model::time::millis;
use sitewright_runtime::plugin::template_names;

/// Check templates against the contract.
///
/// Checks the file itself, orders made from its own schema, models that fail, its use of limits,
/// its pages, and runs that are cancelled. Offline; a few seconds for each template.
///
/// The folder `conformance` beside a template, or beside its source (`[template.<name>] source`),
/// contains its author's cases: one folder each, with `case.toml`, `order.json` and, if replies
/// matter, `ai.toml`. `sitewright template record` makes one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sitewright conformance bakery.wasm
  sitewright conformance target/templates --junit conformance.xml
  sitewright conformance bakery.wasm --filter ai/          only the rules about models
  sitewright conformance bakery.wasm --browser             look at the pages in Chromium, too
  sitewright conformance bakery.wasm --update              accept the sites of the author's cases

Exit codes: 0 every rule holds, 10 a rule is broken, 2 usage, a case or the configuration, 1 host \
                        error.")]
pub(super) struct Args {
    /// Templates, or folders of templates.
    #[arg(value_name = "FILE.wasm|DIR", required_unless_present_any = ["export", "rules"])]
    templates: Vec<PathBuf>,
    /// Use the author's cases of this folder instead of `conformance` beside the template.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Check only rules and cases whose names contain this text: `contract/`, `ai/escaped`.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Also write a JUnit XML report, for CI systems.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print TAP 14 instead of the report.
    #[arg(long, conflicts_with = "json")]
    tap: bool,
    /// Replace the snapshots of the author's cases by the sites that were made now.
    #[arg(long)]
    update: bool,
    /// Write the suite's own cases to this folder and check nothing.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// List the rules and check nothing.
    #[arg(long)]
    rules: bool,
    #[command(flatten)]
    browser: BrowserArgs,
}

impl Args {
    /// Checks one template with the author's cases of a folder.
    #[cfg(feature = "author")]
    pub(super) fn of(template: PathBuf, cases: Option<PathBuf>, filter: Option<String>) -> Self {
        Args {
            templates: vec![template],
            cases,
            filter,
            junit: None,
            tap: false,
            update: false,
            export: None,
            rules: false,
            browser: BrowserArgs::default(),
        }
    }
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    if let Some(folder) = &args.export {
        return export(folder.clone(), json).await;
    }
    if args.rules {
        return Ok(rules(json));
    }
    let config = setup.author_config()?;
    let files = files(&args.templates).await?;
    let browser = args.browser.open(&config).await?;
    let exit = check(&config, args, &files, &browser, json).await;
    browser.close().await;
    exit
}

/// Checks all files, and reports.
async fn check(
    config: &Config,
    args: Args,
    files: &[PathBuf],
    browser: &OpenBrowser,
    json: bool,
) -> Result<Exit, SetupError> {
    let setting = Setting { viewer: browser.viewer(), ..setting(config)? };
    let began = Instant::now();
    let mut templates: Vec<TemplateReport> = Vec::new();
    for file in files {
        let (progress, looked_at) = watch::channel((0, 0));
        let candidate = Candidate {
            file: file.clone(),
            cases: args.cases.clone(),
            filter: args.filter.clone(),
            update: args.update,
            progress,
        };
        let shown = output::watched().then(|| bar(file, looked_at));
        let tried = conform(&setting, &candidate).await;
        drop(candidate);
        if let Some((bar, task)) = shown {
            task.abort();
            bar.finish_and_clear();
        }
        templates.push(tried.map_err(SetupError::Usage)?);
    }
    let nothing = templates.iter().all(|template| template.rules.is_empty());
    if let Some(filter) = args.filter.filter(|_| nothing) {
        return Err(SetupError::Usage(message!(
            "the filter {filter:?} fits no rule and no case; `sitewright conformance --rules` \
             lists the rules"
        )));
    }
    let report = Report::new(templates, millis(began.elapsed()));
    if let Some(file) = args.junit {
        let xml = junit::junit(&report).map_err(SetupError::Usage)?;
        let written = tokio::fs::write(&file, xml).await;
        written.map_err(|error| {
            SetupError::Usage(message!(
                "the report {} (--junit) cannot be written: {error}",
                file.display()
            ))
        })?;
    }
    if let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY") {
        summarize(file.into(), markdown::markdown(&report)).await;
    }
    let annotated = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    let annotations = if annotated { github::annotations(&report) } else { String::new() };
    if json {
        output::print_json(&report);
        output::complain(&annotations);
    } else if args.tap {
        output::print(&tap::tap(&report));
        output::complain(&annotations);
    } else {
        output::print(&text::text(&report, output::width()));
        output::print(&annotations);
    }
    Ok(if report.passed { Exit::Done } else { Exit::Nonconforming })
}

/// Adds the report to the summary of a job on GitHub. The verdict does not depend on it.
async fn summarize(file: PathBuf, text: String) {
    let shown = file.display().to_string();
    let written = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
        file.write_all(text.as_bytes())
    });
    let failed = match written.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(file = shown, error = failed, "the summary (GITHUB_STEP_SUMMARY) is missing");
}

fn setting(config: &Config) -> Result<Setting, SetupError> {
    // Two on each core: some runs wait for delayed replies while others compute.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let default = u32::try_from(cores * 2).unwrap_or(u32::MAX);
    let concurrency = config.concurrency.unwrap_or(default);
    let loader = Setup::loader(config, concurrency)?;
    Ok(Setting {
        loader,
        limits: config.limits.clone(),
        default_locale: config.default_locale.clone(),
        at_once: concurrency as usize,
        client: http::client()?,
        viewer: None,
    })
}

/// The files of the arguments; those of a folder are sorted by name.
async fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, SetupError> {
    let mut files = Vec::new();
    for path in named {
        if path.is_file() {
            files.push(path.clone());
            continue;
        }
        if !path.is_dir() {
            let missing = || message!("there is no file or folder {}", path.display());
            return Err(SetupError::Usage(unbuilt(path).unwrap_or_else(missing)));
        }
        let names = template_names(path).await?;
        if names.is_empty() {
            return Err(SetupError::Usage(message!(
                "the folder {} has no templates: no `.wasm` file",
                path.display()
            )));
        }
        files.extend(names.into_iter().map(|name| path.join(format!("{name}.wasm"))));
    }
    Ok(files)
}

async fn export(folder: PathBuf, json: bool) -> Result<Exit, SetupError> {
    let written = tokio::task::spawn_blocking(move || suite::export(&folder)).await;
    let files = written
        .map_err(|error| SetupError::Host(message!("writing the suite did not end: {error}")))?
        .map_err(SetupError::Usage)?;
    if json {
        output::print_json(&serde_json::json!({ "suite": suite::VERSION, "files": files }));
    } else {
        output::print(
            &files.iter().map(|file| format!("{}\n", file.display())).collect::<String>(),
        );
    }
    Ok(Exit::Done)
}

fn rules(json: bool) -> Exit {
    let all = SuiteRule::all();
    if json {
        let rule = |rule: &SuiteRule| serde_json::json!({ "rule": rule, "demand": rule.demand(), "hint": rule.hint() });
        output::print_json(
            &serde_json::json!({ "rules": all.iter().map(rule).collect::<Vec<_>>() }),
        );
    } else {
        let line = |rule: &SuiteRule| format!("{:<28}  {}\n", rule.id(), rule.demand());
        output::print(&all.iter().map(line).collect::<String>());
    }
    Exit::Done
}

/// A progress bar of the test cases.
fn bar(
    file: &Path,
    mut progress: watch::Receiver<(usize, usize)>,
) -> (ProgressBar, tokio::task::JoinHandle<()>) {
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {bar:30.cyan} {pos} of {len} orders {elapsed:.dim}")
    {
        bar.set_style(style);
    }
    bar.set_message(
        file.file_stem()
            .map(|stem| output::one_line(&stem.to_string_lossy(), 60))
            .unwrap_or_default(),
    );
    bar.enable_steady_tick(Duration::from_millis(100));
    let followed = bar.clone();
    let task = tokio::spawn(async move {
        while progress.changed().await.is_ok() {
            let (done, all) = *progress.borrow_and_update();
            followed.set_length(all as u64);
            followed.set_position(done as u64);
        }
    });
    (bar, task)
}
