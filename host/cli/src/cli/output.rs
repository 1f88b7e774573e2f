//! What commands print: text, JSON, progress, errors.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::exit::Exit;
use super::setup::SetupError;
use crate::terminal::{Guard, Guarded};
use sitewright_failure::render;
use sitewright_jobs::{Cost, OrderState};
use sitewright_model::failure::{Diagnostic, Severity};
use sitewright_model::message::Message;
use sitewright_runtime::run::Printed;
use sitewright_site::SiteProblem;

/// When to colour text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also in a pipe, for a pager.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Sets the choice for the whole process.
    pub(super) fn choose(self) {
        let choice = match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Columns of the terminal; 100 without a terminal.
pub(super) fn width() -> usize {
    columns().unwrap_or(100)
}

/// Maximum length of a line that is cut or wrapped: of the terminal. Without a terminal there is no
/// such limit, because a program or a file gets the text.
pub(super) fn line_width() -> usize {
    columns().unwrap_or(usize::MAX)
}

fn columns() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
}

/// Whether stderr is a terminal.
pub(super) fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Prints text to stdout, without its colours if stdout shows none, and without what a terminal
/// would obey. A closed stdout is not an error: returns whether it is still open.
pub(super) fn print(text: &str) -> bool {
    print_guarded(Guard::Text, text)
}

/// Prints the JSON text of somebody else; returns whether stdout is still open.
pub(super) fn print_json_text(json: &str) -> bool {
    print_guarded(Guard::Json, json)
}

fn print_guarded(guard: Guard, text: &str) -> bool {
    let mut stdout = Guarded::new(anstream::stdout(), guard);
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = &written {
        tracing::debug!(%error, "stdout is closed");
    }
    written.is_ok()
}

/// Prints one JSON value; returns whether stdout is still open.
pub(super) fn print_json(value: &impl Serialize) -> bool {
    print_written(serde_json::to_string_pretty(value))
}

/// Prints one JSON value on one line; returns whether stdout is still open.
pub(super) fn print_json_line(value: &impl Serialize) -> bool {
    print_written(serde_json::to_string(value))
}

fn print_written(json: serde_json::Result<String>) -> bool {
    match json {
        Ok(text) => print_json_text(&format!("{text}\n")),
        Err(error) => {
            tracing::error!(%error, "the result cannot be written as JSON");
            true
        }
    }
}

/// Prints text to stderr, without its colours if stderr shows none, and without what a terminal
/// would obey.
pub(super) fn complain(text: &str) {
    if let Err(error) = Guarded::new(anstream::stderr(), Guard::Text).write_all(text.as_bytes()) {
        tracing::debug!(%error, "stderr is closed");
    }
}

/// A progress line on stderr.
pub(super) fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The text on one line of at most `room` columns, without control characters.
pub(super) fn one_line(text: &str, room: usize) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    render::shortened(&render::clean(&text), room)
}

/// The lines of a text of others, each without control characters and those after the first behind
/// `indent`, so that none can look like one of ours.
pub(super) fn lines(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.lines().map(render::clean).collect();
    lines.join(&format!("\n{indent}"))
}

/// An error and its causes, for people.
pub(super) fn error_text<'a>(
    title: &str,
    message: &str,
    causes: impl IntoIterator<Item = &'a Message>,
) -> String {
    let mut text = format!("{BAD}{title}{BAD:#}{}\n", lines(message, "  "));
    for cause in causes {
        text.push_str(&format!("  because {}\n", lines(cause.as_str(), "    ")));
    }
    text
}

/// What the host and the template reported, a paragraph each. Information is marked by a dot.
pub(super) fn diagnostics(reported: &[Diagnostic], indent: &str) -> String {
    let line = |one: &Diagnostic| {
        let mark = if one.severity == Severity::Info { '·' } else { '!' };
        render::paragraph(&format!("{mark} {}", one.summary()), indent, width())
    };
    reported.iter().map(line).collect()
}

/// What the checks of a site warn of: the first ten, a paragraph each, and the number of others.
pub(super) fn site_warnings(warnings: &[SiteProblem], indent: &str) -> String {
    const SHOWN: usize = 10;
    let shown = warnings.iter().take(SHOWN);
    let mut text: String =
        shown.map(|one| render::paragraph(&format!("! {one}"), indent, width())).collect();
    if let more @ 1.. = warnings.len().saturating_sub(SHOWN) {
        text.push_str(&format!("{indent}and {more} more; `--json` has all\n"));
    }
    text
}

/// What a template printed and logged.
pub(super) fn printed(printed: &Printed) -> String {
    [("log", printed.log.text.as_str()), ("stderr", &printed.stderr), ("stdout", &printed.stdout)]
        .map(|(title, text)| render::printed(title, text, width()))
        .concat()
}

/// The colour of a state.
pub(super) fn state_style(state: OrderState) -> anstyle::Style {
    use anstyle::AnsiColor::{Cyan, Green, Red, Yellow};
    match state {
        OrderState::Queued => anstyle::Style::new(),
        OrderState::Running => Cyan.on_default(),
        OrderState::Waiting => Yellow.on_default(),
        OrderState::Succeeded => Green.on_default(),
        OrderState::Failed | OrderState::Dead => Red.on_default().bold(),
        OrderState::Cancelled => anstyle::Style::new().dimmed(),
    }
}

/// `1 attempt`, `2 attempts`.
pub(super) fn count(number: i64, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

/// Usage and cost of AI calls: `5 AI calls, 1200 tokens in, 800 out, 0.0123 USD`.
pub(super) fn cost(cost: &Cost) -> String {
    let mut text = format!(
        "{}, {} tokens in, {} out",
        count(cost.calls, "AI call"),
        cost.input_tokens,
        cost.output_tokens
    );
    // 0 may also mean that no prices are configured.
    if cost.nano_usd > 0 {
        text.push_str(&format!(", {:.4} USD", cost.nano_usd as f64 / 1e9));
    }
    text
}

/// Prints why a command could not start.
pub(super) fn refuse(error: &SetupError, json: bool) {
    let causes = sitewright_model::message::causes_of(error);
    if json {
        print_error(&error.to_string(), &causes);
    }
    let text = error_text("error", &format!(": {error}"), &causes);
    complain(&crate::telemetry::for_journal(&text));
}

const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

/// Prints help, or the error of the command line.
pub(super) fn misread(error: &clap::Error, json: bool) -> Exit {
    let wrong = error.use_stderr();
    if wrong && json {
        let text = error.render().to_string();
        let text = text.trim().trim_start_matches("error: ");
        print_error(text.split("\n\nUsage:").next().unwrap_or(text), &[]);
    }
    let text = error.render().ansi().to_string();
    if wrong {
        complain(&text);
    } else {
        print(&text);
    }
    if wrong { Exit::Usage } else { Exit::Done }
}

/// What `--json` prints if a command could not start. It has the keys of every report, so that a
/// script can read them without a check.
fn print_error(message: &str, causes: &[Message]) {
    print_json(&serde_json::json!({
        "outcome": "error",
        "release": null,
        "files": [],
        "ai": null,
        "usage": null,
        "failure": null,
        "error": { "message": message, "causes": causes },
    }));
}
