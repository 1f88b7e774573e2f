//! A failure record: what the command line shows, with frames, source lines, calls and limits.

use std::collections::BTreeMap;

use sitewright_failure::render::{self, duration};
use sitewright_model::Measure;
use sitewright_model::ai::{Attempt, AttemptOutcome};
use sitewright_model::failure::{FailureRecord, Frame, Severity, TrailEntry, TrailOutcome};

use super::address;
use super::text::{short, tail};

/// Entries of the trail that are shown; the newest.
const TRAIL: usize = 48;
/// Frames, problems, attempts that are shown.
const SHOWN: usize = 20;
/// Lines of a tail that are shown, and their width.
const LINES: usize = 30;
const LINE: usize = 200;

/// A record, ready to be shown.
pub(crate) struct RecordView {
    pub(crate) id: String,
    pub(crate) href: String,
    pub(crate) order: String,
    pub(crate) order_href: String,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) hint: String,
    pub(crate) problems: Vec<ProblemRow>,
    pub(crate) problems_more: usize,
    pub(crate) location: Option<String>,
    pub(crate) own: Vec<FrameRow>,
    pub(crate) others: Vec<FrameRow>,
    pub(crate) symbols_missing: Option<String>,
    pub(crate) source: Option<Source>,
    pub(crate) ai: Option<AiCallView>,
    pub(crate) trail: Vec<TrailRow>,
    pub(crate) trail_before: usize,
    pub(crate) diagnostics: Vec<DiagnosticRow>,
    pub(crate) tails: Vec<Tail>,
    pub(crate) bars: Vec<LimitBar>,
    pub(crate) about: Vec<(&'static str, String)>,
    pub(crate) replay: Option<String>,
}

pub(crate) struct ProblemRow {
    pub(crate) at: String,
    pub(crate) rule: String,
    pub(crate) message: String,
}

pub(crate) struct FrameRow {
    pub(crate) function: String,
    pub(crate) place: String,
    pub(crate) is_inlined: bool,
}

/// Lines of the template's source.
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) lines: Vec<SourceLine>,
}

pub(crate) struct SourceLine {
    pub(crate) number: u32,
    pub(crate) text: String,
    pub(crate) is_it: bool,
}

pub(crate) struct AiCallView {
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) attempts: Vec<TryRow>,
}

pub(crate) struct TryRow {
    pub(crate) who: String,
    pub(crate) outcome: &'static str,
    pub(crate) class: &'static str,
    pub(crate) status: String,
    pub(crate) took: String,
    pub(crate) request: String,
    pub(crate) message: String,
    pub(crate) body: String,
}

/// A host call as a bar of a waterfall of 100 units.
pub(crate) struct TrailRow {
    pub(crate) at: String,
    pub(crate) call: String,
    pub(crate) args: String,
    pub(crate) took: String,
    pub(crate) outcome: String,
    pub(crate) class: &'static str,
    pub(crate) x: u64,
    pub(crate) width: u64,
}

pub(crate) struct DiagnosticRow {
    pub(crate) class: &'static str,
    pub(crate) code: String,
    pub(crate) message: String,
}

pub(crate) struct Tail {
    pub(crate) name: &'static str,
    pub(crate) before: usize,
    pub(crate) text: String,
}

/// A limit with what was used of it.
pub(crate) struct LimitBar {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) percent: u64,
    pub(crate) class: &'static str,
    pub(crate) is_over: bool,
}

/// The limits of which something was used, the fullest first.
pub(crate) fn limit_bars(limits: &BTreeMap<String, Measure>) -> Vec<LimitBar> {
    let mut bars: Vec<LimitBar> = limits
        .iter()
        .filter(|(_, measure)| measure.used > 0)
        .map(|(name, measure)| {
            let percent = measure.used.saturating_mul(100) / measure.max.max(1);
            LimitBar {
                name: short(name, 40),
                text: render::measure(name, *measure),
                percent: percent.min(100),
                class: match percent {
                    0..70 => "",
                    70..100 => "warn",
                    _ => "bad",
                },
                is_over: measure.used > measure.max,
            }
        })
        .collect();
    bars.sort_by_key(|bar| (!bar.is_over, std::cmp::Reverse(bar.percent)));
    bars
}

impl RecordView {
    pub(crate) fn of(record: &FailureRecord) -> Self {
        let trap = record.trap.as_ref();
        let frames = trap.map(|trap| trap.frames.as_slice()).unwrap_or_default();
        let has_own = frames.iter().any(|frame| frame.own);
        let (own, others): (Vec<&Frame>, Vec<&Frame>) =
            frames.iter().partition(|frame| frame.own || !has_own);
        let rows = |frames: Vec<&Frame>| frames.into_iter().take(SHOWN).map(frame).collect();
        let (trail_before, trail) = trail(record);
        RecordView {
            id: record.id.clone(),
            href: address::record(&record.id),
            order: record.order.clone(),
            order_href: address::order(&record.order),
            kind: record.kind.as_str(),
            message: short(record.message.as_str(), 1_500),
            causes: render::causes(record)
                .take(SHOWN)
                .map(|cause| short(cause.as_str(), 600))
                .collect(),
            attributes: record
                .attributes
                .iter()
                .take(SHOWN)
                .map(|(name, value)| (short(name, 60), short(value, 300)))
                .collect(),
            hint: short(record.hint.as_str(), 800),
            problems: record
                .problems
                .iter()
                .take(SHOWN)
                .map(|problem| ProblemRow {
                    at: match problem.at.as_str() {
                        "" => "(whole document)".to_owned(),
                        at => short(at, 200),
                    },
                    rule: problem.rule.as_deref().map(|rule| short(rule, 60)).unwrap_or_default(),
                    message: short(&problem.message, 500),
                })
                .collect(),
            problems_more: record.problems.len().saturating_sub(SHOWN),
            location: record.location.as_ref().map(|location| {
                let column = location.column.map(|column| format!(":{column}"));
                let column = column.unwrap_or_default();
                short(&format!("{}:{}{column}", location.file, location.line), 200)
            }),
            own: rows(own),
            others: rows(others),
            symbols_missing: trap
                .and_then(|trap| trap.symbols_missing.as_deref())
                .map(|why| short(why, 300)),
            source: record.source.as_ref().map(|source| Source {
                file: short(&source.file, 200),
                lines: (source.first..)
                    .zip(&source.lines)
                    .take(SHOWN)
                    .map(|(number, text)| SourceLine {
                        number,
                        text: render::shortened(&text.replace('\t', "    "), LINE),
                        is_it: number == source.line,
                    })
                    .collect(),
            }),
            ai: ai_call(record),
            trail,
            trail_before,
            diagnostics: record
                .diagnostics
                .iter()
                .rev()
                .take(SHOWN)
                .rev()
                .map(|one| DiagnosticRow {
                    class: match one.severity {
                        Severity::Info => "",
                        Severity::Warning => "warn",
                        Severity::Error => "bad",
                    },
                    code: short(&one.code, 60),
                    message: short(one.message.as_str(), 500),
                })
                .collect(),
            tails: tails(record),
            bars: limit_bars(&record.limits),
            about: about(record),
            replay: record.recording.is_some().then(|| format!("sitewright replay {}", record.id)),
        }
    }
}

fn frame(frame: &Frame) -> FrameRow {
    let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
    FrameRow {
        function: short(&frame.function, 200),
        place: frame
            .file
            .as_ref()
            .map(|file| format!("{}{line}", short(file, 200)))
            .unwrap_or_default(),
        is_inlined: frame.inlined,
    }
}

fn ai_call(record: &FailureRecord) -> Option<AiCallView> {
    let ai = record.ai.as_ref()?;
    let call = ai.call_id.map_or_else(|| "AI call".to_owned(), |id| format!("AI {id}"));
    let said = record.message.as_str().contains(ai.message.as_str());
    Some(AiCallView {
        title: format!("{call} for {}: {}", short(&ai.purpose, 60), ai.kind),
        message: if said { String::new() } else { short(ai.message.as_str(), 600) },
        attempts: ai.attempts.iter().rev().take(SHOWN).rev().map(tried).collect(),
    })
}

fn tried(attempt: &Attempt) -> TryRow {
    TryRow {
        who: format!("{} {}", short(&attempt.provider, 40), short(&attempt.model, 60)),
        outcome: attempt.outcome.as_str(),
        class: match attempt.outcome {
            AttemptOutcome::Succeeded => "good",
            AttemptOutcome::Failed(_) => "bad",
        },
        status: match (attempt.status, attempt.not_sent) {
            (Some(status), _) => format!("HTTP {status}"),
            (None, true) => "not sent".to_owned(),
            (None, false) => "no answer".to_owned(),
        },
        took: duration(attempt.duration_ms.saturating_mul(1_000)),
        request: attempt.request_id.as_deref().map(|id| short(id, 80)).unwrap_or_default(),
        message: attempt
            .message
            .as_ref()
            .map(|message| short(message.as_str(), 400))
            .unwrap_or_default(),
        body: attempt.body_excerpt.as_deref().map(|body| short(body, 600)).unwrap_or_default(),
    }
}

/// The newest host calls as a waterfall, and the number of those before.
fn trail(record: &FailureRecord) -> (usize, Vec<TrailRow>) {
    let before = record.trail.len().saturating_sub(TRAIL);
    let shown = &record.trail[before..];
    let ended = |entry: &TrailEntry| {
        entry.at_ms.saturating_mul(1_000).saturating_add(entry.duration_us.unwrap_or_default())
    };
    let begin = shown.iter().map(|entry| entry.at_ms.saturating_mul(1_000)).min();
    let begin = begin.unwrap_or_default();
    let end = shown.iter().map(ended).max().unwrap_or_default();
    let whole = end.saturating_sub(begin).max(1);
    let scaled = |micros: u64| {
        let units = u128::from(micros) * 100 / u128::from(whole);
        u64::try_from(units).unwrap_or(100).min(100)
    };
    let rows = shown.iter().map(|entry| {
        let x = scaled(entry.at_ms.saturating_mul(1_000).saturating_sub(begin)).min(99);
        let width = match (entry.duration_us, &entry.outcome) {
            (Some(took), _) => scaled(took).max(1),
            (None, TrailOutcome::InFlight) => 100 - x,
            (None, _) => 1,
        };
        let (class, outcome) = match &entry.outcome {
            TrailOutcome::Ok => ("good", String::new()),
            TrailOutcome::InFlight => ("warn", "no answer yet".to_owned()),
            TrailOutcome::Error(error) => ("bad", short(error, 200)),
        };
        let times =
            if entry.count > 1 { format!(" · {} times", entry.count) } else { String::new() };
        TrailRow {
            at: duration(entry.at_ms.saturating_mul(1_000)),
            call: short(&entry.call, 40),
            args: format!("{}{times}", short(&entry.args, 120)),
            took: entry.duration_us.map(duration).unwrap_or_default(),
            outcome,
            class,
            x,
            width: width.min(100 - x),
        }
    });
    (before, rows.collect())
}

fn tails(record: &FailureRecord) -> Vec<Tail> {
    let texts = [("Log", &record.log.text), ("stderr", &record.stderr), ("stdout", &record.stdout)];
    let some = texts.into_iter().filter(|(_, text)| !text.trim().is_empty());
    some.map(|(name, text)| {
        let (before, text) = tail(text, LINES, LINE);
        Tail { name, before, text }
    })
    .collect()
}

fn about(record: &FailureRecord) -> Vec<(&'static str, String)> {
    let template = &record.template;
    let stage = match record.progress {
        Some(progress) => format!("{} ({} of {})", record.stage, progress.done, progress.total),
        None => record.stage.clone(),
    };
    let rows = [
        ("Stage", stage),
        ("Template", format!("{} {}", template.name, template.version)),
        ("Digest", template.digest.clone()),
        ("Code", record.code.clone().unwrap_or_default()),
        ("Attempt", record.attempt.clone()),
        ("Trace", record.trace_id.clone()),
        ("Job", record.job.clone().unwrap_or_default()),
        ("Host", record.host_build.clone()),
        ("Configuration", record.config_version.clone()),
        ("Time", record.time.clone()),
        ("Fingerprint", record.fingerprint.clone().unwrap_or_default()),
    ];
    let some = rows.into_iter().filter(|(_, value)| !value.trim().is_empty());
    some.map(|(name, value)| (name, short(&value, 200))).collect()
}
