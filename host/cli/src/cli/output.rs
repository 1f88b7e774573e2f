//! What commands print, and their exit codes.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::setup::SetupError;
use sitewright_failure::render;
use sitewright_jobs::{Cost, OrderState};
use sitewright_model::failure::FailureKind;
use sitewright_model::message::Message;

/// Exit codes scripts may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The host itself failed.
    Host = 1,
    /// Usage or configuration.
    Usage = 2,
    /// The order is not valid.
    InvalidOrder = 3,
    /// The template failed: an error, a trap, a limit.
    Template = 4,
    /// An AI call failed.
    Ai = 5,
    /// The site did not pass its checks.
    OutputRejected = 6,
    /// Cancelled.
    Cancelled = 7,
    /// A replay is not what was recorded, or not fixed.
    Diverged = 8,
    /// An attempt cannot be replayed.
    NotReplayable = 9,
    /// A template breaks a rule of the conformance suite.
    Nonconforming = 10,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<FailureKind> for Exit {
    fn from(kind: FailureKind) -> Exit {
        match kind {
            FailureKind::InvalidOrder => Exit::InvalidOrder,
            FailureKind::TemplateLoad
            | FailureKind::TemplateError
            | FailureKind::Panic
            | FailureKind::Trap
            | FailureKind::CpuLimit
            | FailureKind::MemoryLimit
            | FailureKind::OutputLimit
            | FailureKind::CallLimit
            | FailureKind::Deadline => Exit::Template,
            FailureKind::Ai => Exit::Ai,
            FailureKind::OutputRejected => Exit::OutputRejected,
            FailureKind::Cancelled => Exit::Cancelled,
            FailureKind::Crashed | FailureKind::Host => Exit::Host,
        }
    }
}

impl From<&SetupError> for Exit {
    fn from(error: &SetupError) -> Exit {
        if error.is_usage() { Exit::Usage } else { Exit::Host }
    }
}

/// When text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    /// Where a terminal shows them and nobody asked for none.
    Auto,
    /// Also in a pipe: for a pager.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    /// From now on, for the whole process.
    pub(super) fn choose(self) {
        let choice = match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Columns of the terminal, or 100 where there is none.
pub(super) fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(100)
}

/// Whether a person is watching stderr.
pub(super) fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Prints text with colours where stdout shows them. A reader that has gone away is no failure;
/// whether there is one still.
pub(super) fn print(text: &str) -> bool {
    let mut stdout = anstream::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = &written {
        tracing::debug!(%error, "stdout is closed");
    }
    written.is_ok()
}

/// Prints one JSON value.
pub(super) fn print_json(value: &impl Serialize) -> bool {
    print_written(serde_json::to_string_pretty(value))
}

/// Prints one JSON value on a line of its own.
pub(super) fn print_json_line(value: &impl Serialize) -> bool {
    print_written(serde_json::to_string(value))
}

fn print_written(json: serde_json::Result<String>) -> bool {
    match json {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => {
            tracing::error!(%error, "the result cannot be written as JSON");
            true
        }
    }
}

/// Prints text on stderr, with colours where it shows them.
pub(super) fn complain(text: &str) {
    if let Err(error) = anstream::stderr().write_all(text.as_bytes()) {
        tracing::debug!(%error, "stderr is closed");
    }
}

/// A line on stderr that follows what happens.
pub(super) fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The text on one line of at most `room` columns, without what a terminal would obey.
pub(super) fn one_line(text: &str, room: usize) -> String {
    // Lines of a text become one; whatever else is no text is shown as such.
    let text = text.replace(['\n', '\r', '\t'], " ");
    render::shortened(&render::clean(&text), room)
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

/// What AI calls came to: `5 AI calls, 1200 tokens in, 800 out, 0.0123 USD`.
pub(super) fn cost(cost: &Cost) -> String {
    let mut text = format!(
        "{}, {} tokens in, {} out",
        count(cost.calls, "AI call"),
        cost.input_tokens,
        cost.output_tokens
    );
    // Nothing may also mean that nobody knows the prices.
    if cost.nano_usd > 0 {
        text.push_str(&format!(", {:.4} USD", cost.nano_usd as f64 / 1e9));
    }
    text
}

/// Tells why a command could not begin.
pub(super) fn refuse(error: &SetupError, json: bool) {
    let causes = sitewright_model::message::causes_of(error);
    if json {
        print_error(&error.to_string(), &causes);
    }
    let mut text = format!("{BAD}error{BAD:#}: {error}\n");
    for cause in causes {
        text.push_str(&format!("  because {cause}\n"));
    }
    complain(&text);
}

const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

/// Prints help, or what is wrong with the command line.
pub(super) fn misread(error: &clap::Error, json: bool) -> Exit {
    let wrong = error.use_stderr();
    if wrong && json {
        let text = error.render().to_string();
        let text = text.trim().trim_start_matches("error: ");
        print_error(text.split("\n\nUsage:").next().unwrap_or(text), &[]);
    }
    if let Err(error) = error.print() {
        tracing::debug!(%error, "stdout or stderr is closed");
    }
    if wrong { Exit::Usage } else { Exit::Done }
}

/// What `--json` prints when nothing was begun: the keys of every report, so that a script need not
/// look before it reads.
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
