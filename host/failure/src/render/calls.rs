//! What led to a failure, as a report shows it: the AI call that failed with its attempts, and host
//! calls and diagnostics in the order in which they happened.

use std::fmt::Write as _;

use sitewright_model::ai::{AiError, Attempt, AttemptOutcome};
use sitewright_model::failure::{Diagnostic, FailureRecord, Severity};
use sitewright_model::failure::{TrailEntry, TrailOutcome};
use sitewright_model::message::Message;
use sitewright_model::text::one_line;

use super::text::{bytes, clean, columns, duration, shortened, wrapped, wrapped_after};
use super::timeline::{self, Moment, What};
use super::{BAD, DIM, GOOD, WARN, section};

pub(super) fn ai_call(
    out: &mut String,
    ai: &AiError,
    message: &Message,
    width: usize,
) -> std::fmt::Result {
    let call = ai.call_id.map_or_else(|| "AI call".to_owned(), |id| format!("AI call {id}"));
    section(out, &format!("{call} for `{}`: {}", ai.purpose, ai.kind))?;
    if !message.as_str().contains(ai.message.as_str()) {
        wrapped(out, ai.message.as_str(), "    ", width)?;
    }
    for (at, attempt) in ai.attempts.iter().enumerate() {
        let begin = format!("    {}. ", at + 1);
        tried(out, attempt, &begin, "       ", width)?;
    }
    Ok(())
}

/// One attempt of an AI call, with the response body if it failed.
fn tried(
    out: &mut String,
    attempt: &Attempt,
    begin: &str,
    indent: &str,
    width: usize,
) -> std::fmt::Result {
    let status = attempt.status.map(|status| format!(" · HTTP {status}")).unwrap_or_default();
    let request =
        attempt.request_id.as_deref().map(|id| format!(" · request {id}")).unwrap_or_default();
    let style = if attempt.outcome == AttemptOutcome::Succeeded { GOOD } else { BAD };
    let outcome = attempt.outcome.as_str();
    let place = format!("{} {}:", attempt.provider, attempt.model);
    let rest =
        format!("{status} · {}{request}", duration(attempt.duration_ms.saturating_mul(1_000)));
    let mut line = String::new();
    wrapped_after(&mut line, &format!("{place} {outcome}{rest}"), begin, indent, width)?;
    // Words are not broken, so the first match is the outcome.
    let painted = format!(": {style}{outcome}{style:#}");
    writeln!(out, "{}", line.trim_end().replacen(&format!(": {outcome}"), &painted, 1))?;
    if let Some(excerpt) =
        attempt.body_excerpt.as_deref().filter(|excerpt| !excerpt.trim().is_empty())
    {
        let line = one_line(excerpt);
        let room = width.saturating_sub(indent.len());
        writeln!(out, "{indent}{DIM}{}{DIM:#}", shortened(&clean(&line), room))?;
    }
    Ok(())
}

/// Host calls, progress and diagnostics in the order in which they happened.
pub(super) fn timeline(
    out: &mut String,
    record: &FailureRecord,
    width: usize,
    room: usize,
) -> std::fmt::Result {
    let moments = timeline::of(record);
    if moments.is_empty() {
        return Ok(());
    }
    let title = match record.calls.unwrap_or(0).max(record.trail.len() as u64) {
        0 => "What led to it".to_owned(),
        1 => "What led to it (1 host call)".to_owned(),
        calls => format!("What led to it ({calls} host calls)"),
    };
    section(out, &title)?;
    let shown = timeline::shown(&moments, room);
    let mut next = 0;
    for at in shown {
        if at > next {
            writeln!(out, "             {DIM}… {} more in the record{DIM:#}", at - next)?;
        }
        next = at + 1;
        moment(out, record, &moments[at], width)?;
    }
    Ok(())
}

fn moment(
    out: &mut String,
    record: &FailureRecord,
    moment: &Moment<'_>,
    width: usize,
) -> std::fmt::Result {
    let begin = format!("{:>8} {}", duration(moment.at_ms.saturating_mul(1_000)), moment.lanes);
    match moment.what {
        What::Report(diagnostic) => reported(out, diagnostic, &begin, width),
        What::Call(entry, tries) => {
            called(out, entry, &begin, width)?;
            let failed = record.ai.as_ref().and_then(|ai| ai.call_id);
            let shown_above = failed.is_some_and(|id| entry.call_id == Some(id.to_string()));
            let tries = tries.map(|tries| &*tries.attempts).unwrap_or_default();
            // A single successful attempt adds nothing to the call, and the attempts of the failed
            // call have a section of their own.
            let worth = tries.len() > 1 || entry.outcome != TrailOutcome::Ok;
            for attempt in tries.iter().filter(|_| worth && !shown_above) {
                tried(out, attempt, "             └ ", "               ", width)?;
            }
            Ok(())
        }
    }
}

fn called(out: &mut String, entry: &TrailEntry, begin: &str, width: usize) -> std::fmt::Result {
    let took = match (entry.duration_us, &entry.outcome) {
        (Some(took), _) => duration(took),
        (None, TrailOutcome::InFlight) => "in flight".to_owned(),
        // Written after the process had ended: the duration is unknown.
        (None, _) => String::new(),
    };
    let begin = format!("{begin}{:<20} {took:>9}  ", clean(&entry.call));
    let rest = width.saturating_sub(columns(&begin) + 6);
    let mut args = entry.args.clone();
    if let Some(reply) = entry.reply_bytes {
        args = format!("{args} → {}", bytes(reply));
    }
    if entry.waited_ms > 0 {
        let waited = duration(entry.waited_ms.saturating_mul(1_000));
        args = format!("waited {waited} for limits · {args}");
    }
    if let Some(id) = &entry.call_id {
        args = format!("{id} · {args}");
    }
    if entry.count > 1 && entry.call == "diagnostics.progress" {
        args = format!("{args} · {} steps", entry.count);
    }
    // Arguments and outcome share the rest of the line.
    let (style, outcome) = match &entry.outcome {
        TrailOutcome::Ok => (GOOD, "ok".to_owned()),
        TrailOutcome::InFlight => (WARN, "no answer yet".to_owned()),
        TrailOutcome::Error(error) => {
            (BAD, shortened(&clean(error), rest.saturating_sub(columns(&args) + 1).max(rest / 2)))
        }
    };
    let args = shortened(&clean(&args), rest.saturating_sub(columns(&outcome) + 1));
    writeln!(out, "    {begin}{style}{outcome}{style:#} {DIM}{args}{DIM:#}")
}

fn reported(
    out: &mut String,
    diagnostic: &Diagnostic,
    begin: &str,
    width: usize,
) -> std::fmt::Result {
    let (style, mark) = match diagnostic.severity {
        Severity::Info => (DIM, "i"),
        Severity::Warning => (WARN, "!"),
        Severity::Error => (BAD, "✗"),
    };
    let code = shortened(&clean(&diagnostic.code), 60);
    writeln!(out, "    {begin}{style}{mark} {code}{style:#}")?;
    wrapped(out, diagnostic.message.as_str(), "               ", width)?;
    for cause in &diagnostic.causes {
        wrapped_after(
            out,
            cause.as_str(),
            "               because ",
            "                       ",
            width,
        )?;
    }
    Ok(())
}
