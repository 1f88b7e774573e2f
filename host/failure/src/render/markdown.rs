//! A failure record as Markdown, for an issue in the template's tracker.
//!
//! **Invariant:** text of a guest, a model or a provider is always code: between fences or ticks
//! longer than any it contains, without line breaks and escape sequences of its own. No part of it
//! becomes a link, a mention, HTML or a heading.

use std::fmt::Write as _;

use super::calls::{ai_call, timeline};
use super::{amount, clean, frames, minute_and_second, shortened};
use sitewright_model::failure::FailureRecord;

/// Widest line of a block of code.
const WIDTH: usize = 120;
/// Moments of the timeline shown.
const MOMENTS: usize = 40;
/// Lines of a log's tail shown.
const LINES: usize = 40;
/// Problems of a document or site shown.
const PROBLEMS: usize = 50;
/// Most bytes of a block of code: an issue holds 65,536 characters.
const MAX_BLOCK: usize = 12 << 10;

/// The record as Markdown.
pub fn markdown(record: &FailureRecord) -> String {
    let mut out = String::new();
    #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = write_markdown(&mut out, record);
    out
}

fn write_markdown(out: &mut String, record: &FailureRecord) -> std::fmt::Result {
    let template = &record.template;
    writeln!(
        out,
        "# {} in {}\n",
        ticked(record.kind.as_str()),
        ticked(&format!("{} {}", template.name, template.version))
    )?;
    let mut said = record.message.to_string();
    for cause in super::causes(record) {
        said.push_str(&format!("\nbecause {cause}"));
    }
    for (name, value) in &record.attributes {
        said.push_str(&format!("\n{name}: {value}"));
    }
    fenced(out, &said)?;
    // The host's own hints are Markdown; a record can come from anywhere.
    match record.hint.as_str() {
        hint if hint == record.kind.hint() => writeln!(out, "{hint}\n")?,
        other => writeln!(out, "{}\n", ticked(other))?,
    }

    if !record.problems.is_empty() {
        writeln!(out, "## Problems ({})\n", record.problems.len())?;
        for problem in record.problems.iter().take(PROBLEMS) {
            let at = if problem.at.is_empty() { "(whole document)" } else { &problem.at };
            let rule = problem
                .rule
                .as_deref()
                .map(|rule| format!(" {}", ticked(rule)))
                .unwrap_or_default();
            writeln!(out, "- {}{rule}: {}", ticked(at), ticked(&problem.message))?;
        }
        if record.problems.len() > PROBLEMS {
            writeln!(out, "- and {} more in the record", record.problems.len() - PROBLEMS)?;
        }
        writeln!(out)?;
    }
    if let Some(location) = &record.location {
        let column = location.column.map(|column| format!(":{column}")).unwrap_or_default();
        let place = format!("{}:{}{column}", location.file, location.line);
        writeln!(out, "The template says it happened at {}.\n", ticked(&place))?;
    }
    if let Some(trap) = &record.trap {
        let mut text = String::new();
        frames(&mut text, trap)?;
        block(out, "Where it stopped", &text)?;
    }
    if let Some(ai) = &record.ai {
        let mut text = String::new();
        ai_call(&mut text, ai, &record.message, WIDTH)?;
        block(out, "The AI call", &text)?;
    }
    let mut text = String::new();
    timeline(&mut text, record, WIDTH, MOMENTS)?;
    block(out, "What led to it", &text)?;
    limits(out, record)?;
    for (title, tail) in
        [("Log", &record.log.text), ("stderr", &record.stderr), ("stdout", &record.stdout)]
    {
        if tail.trim().is_empty() {
            continue;
        }
        let lines: Vec<&str> = tail.lines().collect();
        let kept = &lines[lines.len().saturating_sub(LINES)..];
        let cut = if kept.len() < lines.len() {
            format!(", the last {LINES} lines")
        } else {
            String::new()
        };
        writeln!(out, "<details><summary>{title}{cut}</summary>\n")?;
        fenced(out, &kept.join("\n"))?;
        writeln!(out, "</details>\n")?;
    }
    about(out, record)
}

fn limits(out: &mut String, record: &FailureRecord) -> std::fmt::Result {
    if record.limits.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Limits\n\n| limit | used | of |\n|---|--:|--:|")?;
    for (name, measure) in &record.limits {
        let over = if measure.used > measure.max { " **over**" } else { "" };
        let (used, max) = (amount(name, measure.used), amount(name, measure.max));
        writeln!(out, "| {} | {used}{over} | {max} |", ticked(name).replace('|', "\\|"))?;
    }
    writeln!(out)
}

/// What the reader needs to find the failure again.
fn about(out: &mut String, record: &FailureRecord) -> std::fmt::Result {
    writeln!(out, "## About\n")?;
    let template = &record.template;
    let progress = record
        .progress
        .map(|steps| format!(" ({} of {})", steps.done, steps.total))
        .unwrap_or_default();
    let rows = [
        ("failure", Some(record.id.clone())),
        ("fingerprint", record.fingerprint.clone()),
        ("code", record.code.clone()),
        ("order", Some(record.order.clone())),
        ("job", record.job.clone()),
        ("stage", Some(format!("{}{progress}", record.stage))),
        ("template", Some(format!("{} {} {}", template.name, template.version, template.digest))),
        ("attempt", Some(record.attempt.clone())),
        ("trace", Some(record.trace_id.clone())),
        ("host", Some(record.host_build.clone())),
        ("configuration", Some(record.config_version.clone())),
        ("time", Some(minute_and_second(&record.time))),
    ];
    for (name, value) in rows {
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            writeln!(out, "- {name} {}", ticked(&value))?;
        }
    }
    Ok(())
}

/// A section of the terminal report as a block of code: without colours, title and indentation.
fn block(out: &mut String, title: &str, text: &str) -> std::fmt::Result {
    let plain = anstream::adapter::strip_str(text).to_string();
    let lines = plain.trim_start_matches('\n').lines().skip(1);
    let lines: Vec<&str> = lines.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "## {title}\n")?;
    fenced(out, &lines.join("\n"))
}

/// A block of code whose fence is longer than any run of ticks in it.
fn fenced(out: &mut String, text: &str) -> std::fmt::Result {
    let (mut lines, mut size, mut cut) = (Vec::new(), 0, false);
    for line in text.lines() {
        let line = shortened(&clean(line), 400);
        size += line.len() + 1;
        if size > MAX_BLOCK {
            cut = true;
            break;
        }
        lines.push(line);
    }
    if cut {
        lines.push("… cut; the record has all of it".to_owned());
    }
    let text = lines.join("\n");
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    writeln!(out, "{fence}text\n{text}\n{fence}\n")
}

/// Code within a line.
fn ticked(text: &str) -> String {
    let text = clean(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let text = shortened(&text, 500);
    if text.is_empty() {
        return "`(empty)`".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text) + 1);
    // A tick at an end would be part of the delimiter.
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}
