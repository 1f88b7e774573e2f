//! A failure record as a report on a terminal.
//!
//! | file | question |
//! |---|---|
//! | `calls` | which calls led to the failure, and what did the AI providers answer? |
//! | `timeline` | in which order did calls and diagnostics happen, and which of them are shown? |
//! | `markdown` | the record as an issue for the template's tracker |
//! | `text` | amounts, lines of a given width, and no character that a terminal interprets |
//!
//! **Invariant:** rendering a record cannot fail, whatever its fields contain.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use sitewright_model::Measure;
use sitewright_model::failure::{
    CoreDumpRecord, FailureKind, FailureRecord, Frame, SourceExcerpt, TrapRecord,
};
use sitewright_model::message::Message;

mod calls;
mod markdown;
mod text;
mod timeline;

use calls::{ai_call, timeline};
pub use markdown::markdown;
use text::{MIN_WIDTH, amount, wrapped, wrapped_after};
pub use text::{bytes, duration, measure};
pub use text::{clean, columns, hanging, is_obeyed, paragraph, shortened};

const TITLE: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();
const OWN: Style = AnsiColor::Cyan.on_default().bold();

/// Number of the newest moments that a report shows, besides half as many earlier ones that matter.
/// The record has all of them.
const MOMENTS_SHOWN: usize = 12;
/// Maximum number of problems of a document or site in a brief report.
const BRIEF_PROBLEMS: usize = 5;
/// Number of lines that a report shows of a text's tail.
const TAIL_LINES: usize = 8;

/// The report with ANSI colours, which the caller strips if they are not wanted. Lines have at most
/// `width` columns (minimum: 72), except for words that are longer.
pub fn terminal(record: &FailureRecord, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = write_report(&mut out, record, width);
    out
}

fn write_report(out: &mut String, record: &FailureRecord, width: usize) -> std::fmt::Result {
    let painted = |style: Style, text: &str| format!("{style}{}{style:#}", clean(text));
    let title = format!("✗ order {} failed: {}", shortened(&record.order, 60), record.kind);
    let between = if columns(&title) + columns(&record.id) < width { " " } else { "\n  " };
    writeln!(out, "{}{between}{}", painted(BAD, &title), painted(DIM, &record.id))?;
    wrapped(out, record.message.as_str(), "  ", width)?;
    for (at, cause) in causes(record).enumerate() {
        let lead = if at == 0 { "  because " } else { "      and " };
        wrapped_after(out, cause.as_str(), lead, "          ", width)?;
    }
    // The others have theirs in the kind.
    if let Some(code) = record.code.as_ref().filter(|_| record.kind == FailureKind::TemplateError) {
        wrapped_after(out, &format!("code: {code}"), "    ", "      ", width)?;
    }
    for (name, value) in &record.attributes {
        wrapped_after(out, &format!("{name}: {value}"), "    ", "      ", width)?;
    }
    writeln!(out)?;
    writeln!(out, "  {}", painted(TITLE, "What to do"))?;
    wrapped(out, record.hint.as_str(), "    ", width)?;

    if !record.problems.is_empty() {
        section(out, &format!("Problems ({})", record.problems.len()))?;
        for problem in &record.problems {
            let rule = problem.rule.as_deref().map(|rule| format!("[{rule}] ")).unwrap_or_default();
            writeln!(
                out,
                "    {}",
                painted(
                    WARN,
                    &format!(
                        "{}{}",
                        rule,
                        if problem.at.is_empty() { "(whole document)" } else { &problem.at }
                    )
                )
            )?;
            wrapped(out, &problem.message, "      ", width)?;
        }
    }
    if let Some(location) = &record.location {
        section(out, "Where it says it happened")?;
        let column = location.column.map(|column| format!(":{column}")).unwrap_or_default();
        writeln!(
            out,
            "    {}",
            painted(OWN, &format!("{}:{}{column}", location.file, location.line))
        )?;
    }
    if let Some(trap) = &record.trap {
        frames(out, trap)?;
    }
    if let Some(source) = &record.source {
        excerpt(out, source)?;
    }
    if let Some(dump) = &record.coredump {
        coredump(out, dump, width)?;
    }
    if let Some(ai) = &record.ai {
        ai_call(out, ai, &record.message, width)?;
    }
    timeline(out, record, width, MOMENTS_SHOWN)?;
    tail(out, "Log", &record.log.text, TAIL_LINES, width)?;
    tail(out, "stderr", &record.stderr, TAIL_LINES, width)?;
    tail(out, "stdout", &record.stdout, TAIL_LINES, width)?;
    limits(out, record, width)?;

    writeln!(out)?;
    let template = &record.template;
    let digest = template.digest.get(..19).map(|digest| format!(" {digest}…")).unwrap_or_default();
    let stage = match record.progress {
        Some(progress) => format!("{} ({} of {})", record.stage, progress.done, progress.total),
        None => record.stage.clone(),
    };
    for line in [
        format!("stage {stage} · template {} {}{digest}", template.name, template.version),
        format!("attempt {} · trace {}", record.attempt, record.trace_id),
        format!(
            "host {} · configuration {} · {}",
            record.host_build,
            record.config_version,
            minute_and_second(&record.time)
        ),
    ] {
        let line = text::paragraph(&line, "  ", width);
        writeln!(out, "{DIM}{}{DIM:#}", line.trim_end())?;
    }
    if let Some(fingerprint) = &record.fingerprint {
        let line = format!(
            "fingerprint {fingerprint}; all like it: sitewright failures show {fingerprint}"
        );
        let line = text::paragraph(&line, "  ", width);
        writeln!(out, "{DIM}{}{DIM:#}", line.trim_end())?;
    }
    if record.recording.is_some() {
        writeln!(out, "  {}", painted(DIM, &format!("sitewright replay {}", record.id)))?;
    }
    Ok(())
}

/// What happened, why, where, and what to do, in a few lines: for output that is about more than
/// the failure.
pub fn in_brief(record: &FailureRecord, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = write_brief(&mut out, record, width);
    out
}

fn write_brief(out: &mut String, record: &FailureRecord, width: usize) -> std::fmt::Result {
    wrapped(out, record.message.as_str(), "    ", width)?;
    for cause in causes(record) {
        wrapped_after(out, cause.as_str(), "      because ", "              ", width)?;
    }
    for problem in record.problems.iter().take(BRIEF_PROBLEMS) {
        wrapped_after(
            out,
            &format!("{} {}", problem.at, problem.message),
            "      ",
            "        ",
            width,
        )?;
    }
    if record.problems.len() > BRIEF_PROBLEMS {
        writeln!(out, "      and {} more", record.problems.len() - BRIEF_PROBLEMS)?;
    }
    if let Some(frame) = record.top_frame() {
        let mut line = String::new();
        wrapped_after(&mut line, &frame, "    where: ", "           ", width)?;
        writeln!(out, "{OWN}{}{OWN:#}", line.trim_end())?;
    }
    wrapped_after(out, record.hint.as_str(), "    to do: ", "           ", width)
}

/// The causes whose text is not part of the message. A template's own error repeats the message of
/// its AI call; the causes of that call come last.
pub fn causes(record: &FailureRecord) -> impl Iterator<Item = &Message> {
    let told = record.ai.as_ref().map(|ai| ai.message.as_str());
    let own = record
        .causes
        .iter()
        .filter(move |cause| told.is_none_or(|told| !cause.as_str().contains(told)));
    let of_call = record.ai.iter().flat_map(|ai| &ai.causes);
    own.chain(of_call).filter(|cause| !record.message.as_str().contains(cause.as_str()))
}

/// `2026-11-23 01:32:04 UTC`; a time in another format is returned unchanged.
fn minute_and_second(time: &str) -> String {
    match (time.get(..10), time.get(11..19), time.ends_with('Z')) {
        (Some(day), Some(second), true) => format!("{day} {second} UTC"),
        _ => time.to_owned(),
    }
}

fn section(out: &mut String, title: &str) -> std::fmt::Result {
    writeln!(out, "\n  {TITLE}{}{TITLE:#}", clean(title))
}

fn frames(out: &mut String, trap: &TrapRecord) -> std::fmt::Result {
    section(out, "Where it stopped")?;
    if let Some(missing) = &trap.symbols_missing {
        writeln!(out, "    {WARN}{}{WARN:#}", clean(missing))?;
    }
    // The author's own code first: that is where the bug is. The other frames become one line.
    let has_own = trap.frames.iter().any(|frame| frame.own);
    let shown: Vec<&Frame> =
        trap.frames.iter().filter(|frame| frame.own || !has_own).take(20).collect();
    for (at, frame) in shown.iter().enumerate() {
        let style = if at == 0 && frame.own { OWN } else { Style::new() };
        let arrow = if at == 0 { "→" } else { " " };
        let inlined = if frame.inlined { " (inlined)" } else { "" };
        writeln!(
            out,
            "    {arrow} {style}{}{style:#}{DIM}{inlined}{DIM:#}",
            clean(&frame.function)
        )?;
        if let (Some(file), line) = (&frame.file, frame.line) {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            writeln!(out, "        {DIM}at{DIM:#} {}{line}", clean(file))?;
        }
    }
    let folded = trap.frames.len() - shown.len();
    if folded > 0 {
        writeln!(
            out,
            "      {DIM}and {folded} frames of libraries and the language's runtime{DIM:#}"
        )?;
    }
    Ok(())
}

/// The lines around the location, with a mark on the line itself.
fn excerpt(out: &mut String, source: &SourceExcerpt) -> std::fmt::Result {
    section(out, &source.file)?;
    for (number, line) in (source.first..).zip(&source.lines) {
        let (mark, style) = if number == source.line { (">", OWN) } else { (" ", DIM) };
        writeln!(
            out,
            "    {mark} {DIM}{number:>5}{DIM:#}  {style}{}{style:#}",
            clean(&line.replace('\t', "    "))
        )?;
    }
    Ok(())
}

fn coredump(out: &mut String, dump: &CoreDumpRecord, width: usize) -> std::fmt::Result {
    section(out, "Core dump")?;
    match (&dump.path, &dump.missing) {
        (Some(path), _) => {
            let size = dump.bytes.map(|size| format!(" ({})", bytes(size))).unwrap_or_default();
            writeln!(out, "    {}{DIM}{size}, holds the order's data{DIM:#}", clean(path))
        }
        (None, missing) => wrapped(
            out,
            &format!("none: {}", missing.as_deref().unwrap_or("no reason was given")),
            "    ",
            width,
        ),
    }
}

fn tail(
    out: &mut String,
    title: &str,
    text: &str,
    lines_shown: usize,
    width: usize,
) -> std::fmt::Result {
    if text.trim().is_empty() {
        return Ok(());
    }
    section(out, title)?;
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(lines_shown)..];
    if shown.len() < lines.len() {
        writeln!(
            out,
            "    {DIM}… {} earlier lines in the record{DIM:#}",
            lines.len() - shown.len()
        )?;
    }
    for line in shown {
        writeln!(out, "    {}", shortened(&clean(line), width.saturating_sub(4)))?;
    }
    Ok(())
}

/// The last lines of what a template printed or logged, below a title; empty if it is blank.
pub fn printed(title: &str, text: &str, width: usize) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = tail(&mut out, title, text, TAIL_LINES, width.max(MIN_WIDTH));
    out
}

/// One line for each limit with what was used of it; the names of unused limits come last.
pub fn limits_used(limits: &BTreeMap<String, Measure>, width: usize) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = measures(&mut out, limits, width.max(MIN_WIDTH));
    out
}

fn limits(out: &mut String, record: &FailureRecord, width: usize) -> std::fmt::Result {
    if record.limits.is_empty() {
        return Ok(());
    }
    section(out, "Limits")?;
    measures(out, &record.limits, width)
}

fn measures(
    out: &mut String,
    limits: &BTreeMap<String, Measure>,
    width: usize,
) -> std::fmt::Result {
    let (used, unused): (Vec<_>, Vec<_>) = limits.iter().partition(|(_, measure)| measure.used > 0);
    for (name, measure) in used {
        let style =
            match measure.used.saturating_mul(100).checked_div(measure.max.max(1)).unwrap_or(0) {
                100.. => BAD,
                80..100 => WARN,
                _ => Style::new(),
            };
        writeln!(
            out,
            "    {:<18} {style}{:>12}{style:#} of {}",
            clean(name),
            amount(name, measure.used),
            amount(name, measure.max)
        )?;
    }
    if !unused.is_empty() {
        let names: Vec<&str> = unused.into_iter().map(|(name, _)| name.as_str()).collect();
        let text = paragraph(&format!("nothing used of {}", names.join(", ")), "    ", width);
        writeln!(out, "{DIM}{}{DIM:#}", text.trim_end())?;
    }
    Ok(())
}
