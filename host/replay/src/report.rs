//! The report of a replay, for the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use sitewright_failure::render;
use sitewright_model::failure::{FailureKind, TemplateRef};
use sitewright_model::replay::{Called, FieldDifference, ReplayReport, ReplayVerdict};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// The report for a terminal, wrapped at `width` columns.
pub fn terminal(report: &ReplayReport, width: usize) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = write(report, &mut out, width);
    out
}

fn write(report: &ReplayReport, out: &mut String, width: usize) -> std::fmt::Result {
    let (style, mark) = if report.verdict.is_good() { (GOOD, '✓') } else { (BAD, '✗') };
    writeln!(out, "{style}{mark} {}{style:#}", render::clean(&report.summary))?;
    if let Some(call) = &report.first_call {
        writeln!(out, "\n  Host call {} is the first that differs", call.number)?;
        for (name, called) in [("recorded", &call.recorded), ("now", &call.now)] {
            let text = match called {
                Some(Called { call, args: Some(args) }) => format!("{call} {args}"),
                Some(Called { call, args: None }) => {
                    format!("{call} (the recording has no more of it)")
                }
                None => "no further call".to_owned(),
            };
            out.push_str(&render::paragraph(&format!("{name:<9} {text}"), "    ", width));
        }
    }
    if !report.differences.is_empty() {
        writeln!(out, "\n  What else differs")?;
        for FieldDifference { what, recorded, now } in &report.differences {
            writeln!(out, "    {}", render::clean(what))?;
            out.push_str(&render::paragraph(&format!("recorded  {recorded}"), "      ", width));
            out.push_str(&render::paragraph(&format!("now       {now}"), "      ", width));
        }
    }
    for note in &report.notes {
        out.push_str(&render::paragraph(&format!("! {note}"), "  ", width));
    }
    if let Some(record) = report.failure.as_ref().filter(|_| shows_record(report)) {
        writeln!(out)?;
        out.push_str(&render::terminal(record, width));
    }
    let template = |of: &TemplateRef| {
        let digest = of.digest.get(..19).map(|digest| format!(" {digest}…")).unwrap_or_default();
        format!("{} {}{digest}", render::clean(&of.name), render::clean(&of.version))
    };
    writeln!(
        out,
        "  {DIM}attempt {} · template {}{DIM:#}",
        report.attempt,
        template(&report.template)
    )?;
    if report.template.digest != report.template_recorded.digest {
        writeln!(out, "  {DIM}recorded with {}{DIM:#}", template(&report.template_recorded))?;
    }
    Ok(())
}

/// Whether the replay's failure record differs from the recorded one, or has the line of a failure
/// by a limit, which a worker does not read.
fn shows_record(report: &ReplayReport) -> bool {
    let has_line = report.failure.as_ref().is_some_and(|record| {
        matches!(record.kind, FailureKind::CpuLimit | FailureKind::MemoryLimit)
            && record.location.is_some()
    });
    has_line
        || matches!(
            report.verdict,
            ReplayVerdict::AnotherFailure
                | ReplayVerdict::StoppedAtReport
                | ReplayVerdict::SameFailure
        )
}
