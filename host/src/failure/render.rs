//! A failure record as a report on a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::record::{AiFailure, Diagnostic, FailureRecord, Severity};
use super::trail::{TrailEntry, TrailOutcome};
use super::trap::{Frame, TrapRecord};
use crate::message::Message;
use crate::plugin::Measure;

const TITLE: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();
const OWN: Style = AnsiColor::Cyan.on_default().bold();

/// How many of the newest host calls a report shows; the record has all 256.
const TRAIL_SHOWN: usize = 12;
/// How many lines of a text's tail a report shows.
const TAIL_LINES: usize = 8;
/// Below this a terminal is treated as this wide.
const MIN_WIDTH: usize = 60;

/// The report, with ANSI colours, lines at most `width` columns where the text allows. Strip the colours where they are not
/// wanted.
pub fn terminal(record: &FailureRecord, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = write_report(&mut out, record, width);
    out
}

fn write_report(out: &mut String, record: &FailureRecord, width: usize) -> std::fmt::Result {
    let painted = |style: Style, text: &str| format!("{style}{}{style:#}", clean(text));
    writeln!(
        out,
        "{} {}",
        painted(BAD, &format!("✗ order {} failed: {}", record.order, record.kind)),
        painted(DIM, &record.id)
    )?;
    wrapped(out, record.message.as_str(), "  ", width)?;
    for (at, cause) in causes(record).enumerate() {
        let lead = if at == 0 { "  because " } else { "      and " };
        wrapped_after(out, cause.as_str(), lead, "          ", width)?;
    }
    for (name, value) in &record.attributes {
        wrapped_after(out, &format!("{name}: {value}"), "    ", "      ", width)?;
    }
    writeln!(out)?;
    writeln!(out, "  {}", painted(TITLE, "What to do"))?;
    wrapped(out, record.advice.as_str(), "    ", width)?;

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
        writeln!(out, "    {}", painted(OWN, &format!("{}:{}{column}", location.file, location.line)))?;
    }
    if let Some(trap) = &record.trap {
        frames(out, trap)?;
    }
    if let Some(ai) = &record.ai {
        ai_call(out, ai, &record.message, width)?;
    }
    if !record.trail.is_empty() {
        trail(out, &record.trail, width)?;
    }
    if !record.diagnostics.is_empty() {
        diagnostics(out, &record.diagnostics, width)?;
    }
    tail(out, "Log", &record.log.text)?;
    tail(out, "stderr", &record.stderr)?;
    tail(out, "stdout", &record.stdout)?;
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
        writeln!(out, "  {}", painted(DIM, &line))?;
    }
    if record.recording.is_some() {
        writeln!(out, "  {}", painted(DIM, &format!("sitewright replay {}", record.id)))?;
    }
    Ok(())
}

/// The causes that the message does not tell already. A template's own error repeats what its AI call said; what that call
/// itself knew comes last.
fn causes(record: &FailureRecord) -> impl Iterator<Item = &Message> {
    let told = record.ai.as_ref().map(|ai| ai.message.as_str());
    let own =
        record.causes.iter().filter(move |cause| told.is_none_or(|told| !cause.as_str().contains(told)));
    let of_call = record.ai.iter().flat_map(|ai| &ai.causes);
    own.chain(of_call).filter(|cause| !record.message.as_str().contains(cause.as_str()))
}

/// `2026-11-23 01:32:04 UTC`; a time in another shape stays as it is.
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
    // The author's own code first: that is where the bug is. The rest is one line.
    let has_own = trap.frames.iter().any(|frame| frame.own);
    let shown: Vec<&Frame> = trap.frames.iter().filter(|frame| frame.own || !has_own).take(20).collect();
    for (at, frame) in shown.iter().enumerate() {
        let style = if at == 0 && frame.own { OWN } else { Style::new() };
        let arrow = if at == 0 { "→" } else { " " };
        writeln!(out, "    {arrow} {style}{}{style:#}", clean(&frame.function))?;
        if let (Some(file), line) = (&frame.file, frame.line) {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            writeln!(out, "        {DIM}at{DIM:#} {}{line}", clean(file))?;
        }
    }
    let folded = trap.frames.len() - shown.len();
    if folded > 0 {
        writeln!(out, "      {DIM}and {folded} frames of libraries and the language's runtime{DIM:#}")?;
    }
    Ok(())
}

fn ai_call(out: &mut String, ai: &AiFailure, told: &Message, width: usize) -> std::fmt::Result {
    section(out, &format!("AI call {} for `{}`: {}", ai.call_id, ai.purpose, ai.kind))?;
    if !told.as_str().contains(ai.message.as_str()) {
        wrapped(out, ai.message.as_str(), "    ", width)?;
    }
    for (at, attempt) in ai.attempts.iter().enumerate() {
        let status = attempt.status.map(|status| format!(" · HTTP {status}")).unwrap_or_default();
        let request = attempt.request_id.as_deref().map(|id| format!(" · request {id}")).unwrap_or_default();
        writeln!(
            out,
            "    {}. {} {}: {BAD}{}{BAD:#}{status} · {}{}",
            at + 1,
            clean(&attempt.provider),
            clean(&attempt.model),
            clean(attempt.outcome.as_str()),
            duration(attempt.duration_ms.saturating_mul(1_000)),
            clean(&request),
        )?;
        if let Some(excerpt) = attempt.body_excerpt.as_deref().filter(|excerpt| !excerpt.trim().is_empty()) {
            let one_line: String = excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(out, "       {DIM}{}{DIM:#}", clean(&shortened(&one_line, width.saturating_sub(8))))?;
        }
    }
    Ok(())
}

fn trail(out: &mut String, trail: &[TrailEntry], width: usize) -> std::fmt::Result {
    let shown = &trail[trail.len().saturating_sub(TRAIL_SHOWN)..];
    let earlier = trail.len() - shown.len();
    let title = if earlier == 0 {
        "Host calls".to_owned()
    } else {
        format!("Last host calls ({earlier} earlier ones in the record)")
    };
    section(out, &title)?;
    for entry in shown {
        let took = match (entry.duration_us, &entry.outcome) {
            (Some(took), _) => duration(took),
            (None, TrailOutcome::InFlight) => "in flight".to_owned(),
            // Put together by somebody else after the process had ended.
            (None, _) => String::new(),
        };
        let begin =
            format!("{:>8} {:<20} {:>9}  ", duration(entry.at_ms.saturating_mul(1_000)), entry.call, took);
        let rest = width.saturating_sub(begin.chars().count() + 6);
        // What was asked is worth as much room as what came of it.
        let (style, outcome) = match &entry.outcome {
            TrailOutcome::Ok => (GOOD, "ok".to_owned()),
            TrailOutcome::InFlight => (WARN, "no answer yet".to_owned()),
            TrailOutcome::Error(error) => {
                (BAD, shortened(error, rest.saturating_sub(entry.args.chars().count() + 1).max(rest / 2)))
            }
        };
        let args = match entry.waited_ms {
            0 => entry.args.clone(),
            waited => {
                format!("waited {} for limits · {}", duration(waited.saturating_mul(1_000)), entry.args)
            }
        };
        writeln!(
            out,
            "    {begin}{style}{}{style:#} {DIM}{}{DIM:#}",
            clean(&outcome),
            clean(&shortened(&args, rest.saturating_sub(outcome.chars().count() + 1))),
        )?;
    }
    Ok(())
}

fn diagnostics(out: &mut String, diagnostics: &[Diagnostic], width: usize) -> std::fmt::Result {
    let shown = &diagnostics[diagnostics.len().saturating_sub(TRAIL_SHOWN)..];
    section(out, &format!("The template reported ({})", diagnostics.len()))?;
    for diagnostic in shown {
        let (style, mark) = match diagnostic.severity {
            Severity::Info => (DIM, "i"),
            Severity::Warning => (WARN, "!"),
            Severity::Error => (BAD, "✗"),
        };
        writeln!(out, "    {style}{mark} {}{style:#}", clean(&diagnostic.code))?;
        wrapped(out, diagnostic.message.as_str(), "      ", width)?;
        for cause in &diagnostic.causes {
            wrapped(out, &format!("because {cause}"), "        ", width)?;
        }
    }
    Ok(())
}

fn tail(out: &mut String, title: &str, text: &str) -> std::fmt::Result {
    if text.trim().is_empty() {
        return Ok(());
    }
    section(out, title)?;
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if shown.len() < lines.len() {
        writeln!(out, "    {DIM}… {} earlier lines in the record{DIM:#}", lines.len() - shown.len())?;
    }
    for line in shown {
        writeln!(out, "    {}", clean(&shortened(line, 300)))?;
    }
    Ok(())
}

fn limits(out: &mut String, record: &FailureRecord, width: usize) -> std::fmt::Result {
    if record.limits.is_empty() {
        return Ok(());
    }
    section(out, "Limits")?;
    let (used, unused): (Vec<_>, Vec<_>) = record.limits.iter().partition(|(_, measure)| measure.used > 0);
    for (name, measure) in used {
        let style = match measure.used.saturating_mul(100).checked_div(measure.max.max(1)).unwrap_or(0) {
            100.. => BAD,
            80..100 => WARN,
            _ => Style::new(),
        };
        writeln!(
            out,
            "    {:<14} {style}{:>12}{style:#} of {}",
            name,
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

/// A limit beside what was used, as reports show it: `12.3 MiB of 256 MiB`.
pub fn measure(name: &str, measure: Measure) -> String {
    format!("{} of {}", amount(name, measure.used), amount(name, measure.max))
}

fn amount(name: &str, value: u64) -> String {
    match name {
        _ if name.ends_with("_bytes") => bytes(value),
        _ if name.ends_with("_ms") => duration(value.saturating_mul(1_000)),
        _ => value.to_string(),
    }
}

/// Bytes for people: `255 B`, `12.3 KiB`, `256 MiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1_024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64;
    let mut unit = "B";
    for next in UNITS {
        if scaled < 1_024.0 {
            break;
        }
        scaled /= 1_024.0;
        unit = next;
    }
    if scaled.fract() < 0.05 || scaled >= 100.0 {
        format!("{scaled:.0} {unit}")
    } else {
        format!("{scaled:.1} {unit}")
    }
}

/// Microseconds for people: `85 µs`, `12 ms`, `1.20 s`, `10 min`.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..120_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => format!("{:.0} min", micros as f64 / 6e7),
    }
}

fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Text of a guest or a provider without what a terminal would obey: escape sequences could repaint the screen.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The text in lines of at most `width` columns, each behind `indent` and ended.
pub(crate) fn paragraph(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = wrapped(&mut out, text, indent, width.max(MIN_WIDTH));
    out
}

fn wrapped(out: &mut String, text: &str, indent: &str, width: usize) -> std::fmt::Result {
    wrapped_after(out, text, indent, indent, width)
}

/// Words in lines of at most `width` columns; a word longer than a line stays whole.
fn wrapped_after(out: &mut String, text: &str, first: &str, indent: &str, width: usize) -> std::fmt::Result {
    let mut lead = first;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut column = 0;
        for word in line.split_whitespace() {
            let word = clean(word);
            let length = word.chars().count();
            if column > 0 && column + 1 + length > width.saturating_sub(indent.len()) {
                writeln!(out)?;
                column = 0;
            }
            if column == 0 {
                out.write_str(lead)?;
                lead = indent;
            } else {
                out.write_char(' ')?;
                column += 1;
            }
            out.write_str(&word)?;
            column += length;
        }
        writeln!(out)?;
    }
    Ok(())
}
