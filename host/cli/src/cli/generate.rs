//! `sitewright generate`: makes the site of one order without the queue.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::browser::{BrowserArgs, OpenBrowser};
use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use super::signals::StopSignals;
use crate::config::Config;
use crate::telemetry::{EXPORT_WITHIN, Logging};
use sitewright_failure::render;
use sitewright_intake as order;
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::plugin::TemplateSetting;
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, Released, Totals, attempt,
    journal_file,
};

/// Make the site of one order now, without the queue.
///
/// The release is `<out>/public/<order>/releases/<id>`, and `<out>/<order>/current` leads to it. A
/// failure leaves a record in `<out>/<order>/failures` and does not touch the last good release.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the template, or path to a `.wasm` file.
    #[arg(long, value_name = "NAME|FILE.wasm")]
    template: String,
    /// Order document (JSON), as the CRM sends it or flat; `-` reads stdin.
    #[arg(long, value_name = "FILE|-")]
    order: PathBuf,
    /// Reuse the AI replies in the journal of this earlier attempt; its failure record and report
    /// contain the id.
    #[arg(long, value_name = "ATTEMPT")]
    resume: Option<AttemptId>,
    /// Folder of the template's project, or its `src`: the failure record quotes the lines around
    /// the template's first own frame, or around the place that it reported. Overrides `source` in
    /// `[template.NAME]`.
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Keep a memory dump in `<out>/.coredumps` if the template is stopped. It contains data of the
    /// order.
    #[arg(long)]
    coredump: bool,
    #[command(flatten)]
    browser: BrowserArgs,
}

/// What `--json` prints; `order add --wait` prints the same.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    /// `released` or `failed`.
    pub(super) outcome: &'static str,
    pub(super) order: &'a str,
    pub(super) release: Option<Value>,
    pub(super) files: Vec<Value>,
    /// Calls, tokens and cost.
    pub(super) ai: Value,
    /// Duration, and each limit with its usage.
    pub(super) usage: Value,
    pub(super) failure: Option<&'a FailureRecord>,
    pub(super) failure_file: Option<PathBuf>,
}

pub(super) async fn run(
    setup: &Setup,
    args: Args,
    json: bool,
    logging: &mut Logging,
) -> Result<Exit, SetupError> {
    let mut config = setup.config()?;
    if let Some(source) = &args.source {
        check_source(source)?;
    }
    config.template_settings.of_all =
        TemplateSetting { source: args.source.clone(), coredump: args.coredump };
    config.template_settings.read_stacks = true;
    let document =
        read_document(&args.order, config.limits.order_bytes).await.map_err(|error| {
            SetupError::Usage(message!(
                "the order {} cannot be read (--order): {error}",
                args.order.display()
            ))
        })?;
    let journal = match args.resume {
        None => JournalUse::Keep,
        Some(attempt) => resume(&config, &document, attempt)?,
    };
    // Before anything is paid: it may be missing.
    let browser = args.browser.open(&config).await?;
    let exit = make(&config, args, document, journal, &browser, json, logging).await;
    browser.close().await;
    exit
}

/// Makes the site of an order, and reports.
async fn make(
    config: &Config,
    args: Args,
    document: Vec<u8>,
    journal: JournalUse,
    browser: &OpenBrowser,
    json: bool,
    logging: &mut Logging,
) -> Result<Exit, SetupError> {
    let mut host = Setup::host(config, 1)?;
    host.viewer = browser.viewer();

    let cancel = CancellationToken::new();
    let (progress, watcher) = watch::channel(RunProgress::default());
    let display = (output::watched() && !json).then(|| show(watcher));
    let interrupts = tokio::spawn(cancel_on_interrupt(cancel.clone()));
    let checked = tokio::select! {
        biased;
        // The attempt reports that it was cancelled.
        () = cancel.cancelled() => Ok(()),
        checked = Setup::check_template(&host, &args.template) => checked,
    };
    if let Err(error) = checked {
        if let Some(display) = display {
            display.finish().await;
        }
        return Err(error);
    }
    let request = AttemptRequest {
        document,
        template: args.template,
        id: AttemptId::new(),
        job: None,
        revision: None,
        journal,
        publication: Publication::Publish,
        cancel,
        progress,
    };
    let outcome = attempt(&host, request).await;
    if let Some(display) = display {
        display.finish().await;
    }

    let exit = match outcome {
        Outcome::Released(released) => {
            if json {
                output::print_json(&released_json(&released));
            } else {
                output::print(&released_text(&released));
            }
            Exit::Done
        }
        Outcome::Failed { record, stored, totals, .. } => {
            if let Err(message) = &stored {
                tracing::error!(order = record.order, "{message}");
            }
            if json {
                output::print_json(&Report {
                    outcome: "failed",
                    order: &record.order,
                    release: None,
                    files: Vec::new(),
                    ai: ai(&totals),
                    usage: usage(&totals),
                    failure: Some(&record),
                    failure_file: stored.ok(),
                });
            } else {
                output::print(&render::terminal(&record, output::width()));
                match stored {
                    Ok(path) => output::print(&format!("  record {}\n", path.display())),
                    Err(message) => output::print(&format!("  {message}\n")),
                };
                let answered = totals.ai_calls.len();
                if answered > 0 {
                    output::print(&format!(
                        "  {answered} AI replies{} are kept: --resume {} reuses them\n",
                        replayed(&totals),
                        totals.attempt
                    ));
                }
            }
            if record.kind == FailureKind::Cancelled && record.stage == "template" {
                // No guest runs yet. Do not wait for a template that is still being compiled.
                logging.finish_export(EXPORT_WITHIN).await;
                leave(Exit::Cancelled);
            }
            record.kind.into()
        }
    };
    // Only now: Ctrl-C must work while the report is printed to a reader that stopped reading.
    interrupts.abort();
    Ok(exit)
}

/// Rejects a missing folder, with which the record would only lack the quoted lines.
pub(super) fn check_source(folder: &Path) -> Result<(), SetupError> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(SetupError::Usage(message!(
        "the source {} is not a folder (--source): name the folder of the template's project",
        folder.display()
    )))
}

/// Reuses the journal of an earlier attempt. Rejects an id without a journal, with which every
/// reply would be paid again.
fn resume(config: &Config, document: &[u8], attempt: AttemptId) -> Result<JournalUse, SetupError> {
    // The attempt itself reports an invalid order.
    if let Ok(order) = order::load_as(
        document,
        order::Reading {
            max_bytes: config.limits.order_max_bytes(),
            default_locale: &config.default_locale,
            strict: config.orders.strict,
        },
    ) {
        let file = journal_file(&config.sites, order.id().as_ref(), attempt);
        if !file.is_file() {
            return Err(SetupError::Usage(message!(
                "the attempt {attempt} at the order {} left no replies in {} (--resume): check \
                 the id in its record, or leave out --resume to ask for all of them",
                order.id(),
                file.display()
            )));
        }
    }
    Ok(JournalUse::Resume(attempt))
}

/// Ends the process without waiting for the runtime.
fn leave(exit: Exit) -> ! {
    #[allow(clippy::exit, reason = "the runtime would wait for blocking work")]
    std::process::exit(exit as i32)
}

/// An order document: at most one byte over the limit is read, so that the order's own check can
/// name the limit. `-` is stdin.
pub(super) async fn read_document(path: &Path, max: u64) -> std::io::Result<Vec<u8>> {
    let mut document = Vec::new();
    let most = max.saturating_add(1);
    if path == Path::new("-") {
        tokio::io::stdin().take(most).read_to_end(&mut document).await?;
    } else {
        tokio::fs::File::open(path).await?.take(most).read_to_end(&mut document).await?;
    }
    Ok(document)
}

/// The first Ctrl-C (or SIGTERM) cancels the run, which then leaves its record; the second ends the
/// process at once. Returns at once if signals cannot be caught.
async fn cancel_on_interrupt(cancel: CancellationToken) {
    let mut signals = match StopSignals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!(%error, "Ctrl-C ends the process without a record");
            return;
        }
    };
    loop {
        signals.next().await;
        if cancel.is_cancelled() {
            leave(Exit::Cancelled);
        }
        cancel.cancel();
        tracing::info!("cancelling; a second Ctrl-C ends the process at once");
    }
}

/// Progress on stderr.
struct Display {
    bar: ProgressBar,
    follow: tokio::task::JoinHandle<()>,
}

fn show(mut watcher: watch::Receiver<RunProgress>) -> Display {
    let bar = output::spinner();
    let follower = bar.clone();
    let follow = tokio::spawn(async move {
        while watcher.changed().await.is_ok() {
            let progress = watcher.borrow_and_update().clone();
            let stage = output::one_line(&progress.stage, 60);
            follower.set_message(match progress.total {
                0 => stage,
                total => format!("{stage} {}/{total}", progress.done),
            });
        }
    });
    Display { bar, follow }
}

impl Display {
    async fn finish(self) {
        self.follow.abort();
        self.bar.finish_and_clear();
    }
}

fn ai(totals: &Totals) -> Value {
    let (input, output) = totals.tokens();
    serde_json::json!({
        "calls": totals.replies(),
        "replayed": totals.replayed(),
        "input_tokens": input,
        "output_tokens": output,
        "unusable": totals.unusable,
        "by_call": totals.ai_calls,
    })
}

fn usage(totals: &Totals) -> Value {
    serde_json::json!({ "attempt": totals.attempt, "duration_ms": totals.duration_ms, "limits": totals.limits })
}

fn released_json(released: &Released) -> impl Serialize + '_ {
    let manifest = &released.release.manifest;
    Report {
        outcome: "released",
        order: &released.order,
        release: Some(serde_json::json!({
            "id": manifest.id,
            "path": released.release.path,
            "current": current(&released.release.path),
            "template": released.template,
            "locale": manifest.locale,
            "total_bytes": manifest.total_bytes,
            "diagnostics": released.diagnostics,
            "warnings": manifest.warnings,
            "printed": released.printed,
        })),
        files: manifest
            .files
            .iter()
            .map(|file| serde_json::json!({ "path": file.path, "size": file.size, "sha256": file.sha256 }))
            .collect(),
        ai: ai(&released.totals),
        usage: usage(&released.totals),
        failure: None,
        failure_file: None,
    }
}

/// The link to the order's newest release.
pub(super) fn current(release: &Path) -> PathBuf {
    release.parent().and_then(Path::parent).unwrap_or(release).join(sitewright_site::CURRENT)
}

/// The number of replies from the journal, as text.
fn replayed(totals: &Totals) -> String {
    match totals.replayed() {
        0 => String::new(),
        replayed => format!(" ({replayed} from the journal)"),
    }
}

fn released_text(released: &Released) -> String {
    let manifest = &released.release.manifest;
    let totals = &released.totals;
    let (input, output) = totals.tokens();
    let good = anstyle::AnsiColor::Green.on_default().bold();
    let dim = anstyle::Style::new().dimmed();
    let mut text = format!(
        "{good}✓ order {} is a website{good:#} {dim}{}{dim:#}\n  {}\n\n",
        released.order,
        manifest.id,
        current(&released.release.path).join("index.html").display()
    );
    text.push_str(&format!(
        "  {} files, {} · {} · {} AI calls{}, {input} tokens in, {output} out\n",
        manifest.files.len(),
        render::bytes(manifest.total_bytes),
        render::duration(totals.duration_ms.saturating_mul(1_000)),
        totals.replies(),
        replayed(totals),
    ));
    text.push_str(&render::limits_used(&totals.limits, output::width()));
    text.push_str(&format!(
        "  {dim}template {} {}{dim:#}\n",
        released.template.name, released.template.version
    ));
    text.push_str(&output::diagnostics(&released.diagnostics, "  "));
    text.push_str(&output::site_warnings(&manifest.warnings, "  "));
    text.push_str(&output::printed(&released.printed));
    text
}
