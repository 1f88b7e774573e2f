//! Compares a replay with its recording, field by field.

use std::collections::BTreeSet;

use serde_json::Value;

use super::subject::RecordedEnd;
use sitewright_model::failure::{FailureKind, FailureRecord, TrailEntry};
use sitewright_model::replay::{CallDifference, Called, FieldDifference, ReplayEnd, ReplayOutcome};
use sitewright_runtime::host_functions::CallMismatch;
use sitewright_runtime::run::recording::{Files, Mark, Recording};

/// Fields of a failure record that are the same in each replay of an attempt.
const SAME: [&str; 14] = [
    "kind",
    "code",
    "message",
    "causes",
    "location",
    "attributes",
    "stage",
    "progress",
    "panic",
    "blamed_calls",
    "problems",
    "log",
    "stderr",
    "stdout",
];

/// Replaces a removed key in a text.
const REMOVED: &str = "[key removed]";

/// Maximum characters of a difference that a report shows.
const SHOWN: usize = 400;

/// Maximum files that are compared one by one. Recordings of this host list at most half as many.
const MAX_FILES: usize = 512;

/// How a recorded attempt ended.
pub(super) fn recorded_end(ended: &RecordedEnd, recording: Option<&Recording>) -> ReplayEnd {
    let calls = recording.map(|recording| recording.calls_total);
    let files = recording.map(|recording| recording.files.count);
    match ended {
        RecordedEnd::Failed(record) => failed(record, calls, files),
        RecordedEnd::Released(_) => released(calls, files),
        RecordedEnd::Unknown => ReplayEnd {
            outcome: ReplayOutcome::Unknown,
            kind: None,
            code: None,
            message: None,
            calls,
            files,
        },
    }
}

pub(super) fn failed(record: &FailureRecord, calls: Option<u64>, files: Option<u64>) -> ReplayEnd {
    ReplayEnd {
        outcome: ReplayOutcome::Failed,
        kind: Some(record.kind),
        code: record.code.clone(),
        message: Some(record.message.to_string()),
        calls,
        files,
    }
}

pub(super) fn released(calls: Option<u64>, files: Option<u64>) -> ReplayEnd {
    ReplayEnd {
        outcome: ReplayOutcome::Released,
        kind: None,
        code: None,
        message: None,
        calls,
        files,
    }
}

/// The first call that differs, with the arguments that the trail has of it.
pub(super) fn call_difference(
    found: Option<CallMismatch>,
    recorded: Option<&Recording>,
    trail: &[TrailEntry],
    begun: u64,
) -> Option<CallDifference> {
    let recording = recorded?;
    // A run that ended early made no call that differs.
    let early = || {
        let next = usize::try_from(begun).ok().and_then(|at| recording.calls.0.get(at).copied());
        (begun < recording.calls_total).then_some(CallMismatch {
            number: begun + 1,
            recorded: next,
            now: None,
        })
    };
    let differs = found.or_else(early)?;
    // The trail has only the most important calls. Equal marks mean equal arguments.
    let called = |entry: &TrailEntry| {
        let args = Mark::args(&entry.call, &entry.args, entry.bytes, entry.digest.as_deref());
        (Some(Mark::new(&entry.call, &args)) == differs.recorded).then_some(args)
    };
    let recorded = differs
        .recorded
        .map(|mark| Called { call: mark.call().to_owned(), args: trail.iter().find_map(called) });
    let now = differs.now.map(|(call, args)| Called { call, args: Some(args) });
    Some(CallDifference { number: differs.number, recorded, now })
}

/// Differences of two failures. With scrubbed texts, only fields that do not depend on texts count.
pub(super) fn failures(
    recorded: &FailureRecord,
    now: &FailureRecord,
    scrubbed: bool,
) -> Vec<FieldDifference> {
    let mut differences = Vec::new();
    let (then, is) = (value(recorded), value(now));
    let both = |kind: FailureKind| recorded.kind == kind && now.kind == kind;
    let by_processor_time = both(FailureKind::CpuLimit);
    // A worker does not read where the code of a guest was that a limit has stopped; a replay does.
    let by_limit = by_processor_time || both(FailureKind::MemoryLimit);
    for field in SAME {
        if by_limit && matches!(field, "location" | "message") {
            continue;
        }
        let depends_on_text =
            !matches!(field, "kind" | "code" | "location" | "stage" | "progress" | "blamed_calls");
        if scrubbed && depends_on_text {
            continue;
        }
        // Where exactly the limit stops the guest depends on the machine.
        if by_processor_time
            && matches!(field, "causes" | "stage" | "progress" | "log" | "stderr" | "stdout")
        {
            continue;
        }
        differ(field, &then[field], &is[field], &mut differences);
    }
    if !scrubbed && !by_processor_time {
        differ(
            "diagnostics",
            &timeless(&then["diagnostics"]),
            &timeless(&is["diagnostics"]),
            &mut differences,
        );
    }
    if !scrubbed {
        differ("ai", &then["ai"], &is["ai"], &mut differences);
    }
    differ("trap.code", &then["trap"]["code"], &is["trap"]["code"], &mut differences);
    if by_processor_time {
        return differences;
    }
    if !scrubbed {
        differ("trap.message", &then["trap"]["message"], &is["trap"]["message"], &mut differences);
    }
    let (then, is) = (frames(recorded, by_limit), frames(now, by_limit));
    differ("trap.frames", &then, &is, &mut differences);
    differences
}

/// Differences of the files.
pub(super) fn files(recorded: &Files, now: &Files, scrubbed: bool) -> Vec<FieldDifference> {
    if recorded.sha256 == now.sha256 {
        return Vec::new();
    }
    let mut differences = Vec::new();
    let paths: BTreeSet<&String> = recorded.list.keys().chain(now.list.keys()).collect();
    for path in paths.into_iter().take(MAX_FILES) {
        match (recorded.list.get(path), now.list.get(path)) {
            (Some(then), Some(is)) if then == is || scrubbed => {}
            (then, is) => {
                let say = |sha256: Option<&String>| {
                    sha256.map_or_else(
                        || "not written".to_owned(),
                        |sha256| format!("sha256 {sha256}"),
                    )
                };
                differences.push(FieldDifference {
                    what: format!("file {path}"),
                    recorded: say(then),
                    now: say(is),
                });
            }
        }
    }
    if differences.is_empty() && !scrubbed {
        let say =
            |files: &Files| format!("{} files, sha256 {} over all", files.count, files.sha256);
        differences.push(FieldDifference {
            what: "files".to_owned(),
            recorded: say(recorded),
            now: say(now),
        });
    }
    differences
}

/// Whether two failures, perhaps of two builds of the template, are the same bug: same kind, code
/// and trap code, and the same topmost own function, or the same words if there is none.
pub(super) fn same_failure(recorded: &FailureRecord, now: &FailureRecord) -> bool {
    let top = |record: &FailureRecord| {
        let trap = record.trap.as_ref()?;
        let own = trap.frames.iter().find(|frame| frame.own)?;
        Some(without_hash(&own.function).to_owned())
    };
    let code = |record: &FailureRecord| record.trap.as_ref().map(|trap| trap.code);
    let words = |record: &FailureRecord| {
        record.message.as_str().split(|c: char| !c.is_alphabetic()).collect::<Vec<_>>().join(" ")
    };
    let place = match (top(recorded), top(now)) {
        (Some(then), Some(is)) => then == is,
        _ => words(recorded) == words(now),
    };
    recorded.kind == now.kind && recorded.code == now.code && code(recorded) == code(now) && place
}

/// A Rust symbol may end in a hash that changes with every build.
fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            name
        }
        _ => function,
    }
}

fn value(record: &FailureRecord) -> Value {
    serde_json::to_value(record).unwrap_or_default()
}

/// Diagnostics without their times.
fn timeless(diagnostics: &Value) -> Value {
    let mut diagnostics = diagnostics.clone();
    for diagnostic in diagnostics.as_array_mut().into_iter().flatten() {
        if let Some(fields) = diagnostic.as_object_mut() {
            fields.remove("at_ms");
        }
    }
    diagnostics
}

/// The frames without what depends on the available debug information; if `engine_only`, those of
/// the engine, which have an offset, and none of an interpreted language.
fn frames(record: &FailureRecord, engine_only: bool) -> Value {
    let Some(trap) = &record.trap else { return Value::Null };
    // Inlined frames share the offset of the one they were inlined into.
    let mut offsets: Vec<Value> = trap
        .frames
        .iter()
        .filter(|frame| !engine_only || frame.offset.is_some())
        .map(|frame| match frame.offset {
            Some(offset) => Value::from(format!("{offset:#x}")),
            None => Value::from(frame.function.clone()),
        })
        .collect();
    offsets.dedup();
    Value::from(offsets)
}

fn differ(what: &str, recorded: &Value, now: &Value, differences: &mut Vec<FieldDifference>) {
    if !same(recorded, now) {
        differences.push(FieldDifference {
            what: what.to_owned(),
            recorded: shown(recorded),
            now: shown(now),
        });
    }
}

/// Whether two values are equal, except for keys removed from the recorded one.
fn same(recorded: &Value, now: &Value) -> bool {
    match (recorded, now) {
        (Value::String(then), Value::String(is)) => then == is || fits(then, is),
        (Value::Array(then), Value::Array(is)) => {
            then.len() == is.len() && then.iter().zip(is).all(|(then, is)| same(then, is))
        }
        (Value::Object(then), Value::Object(is)) => {
            then.len() == is.len()
                && then.iter().all(|(key, then)| is.get(key).is_some_and(|is| same(then, is)))
        }
        _ => recorded == now,
    }
}

fn fits(recorded: &str, now: &str) -> bool {
    let mut parts = recorded.split(REMOVED);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = now.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match if last {
            rest.strip_suffix(part).map(|_| rest.len())
        } else {
            rest.find(part).map(|at| at + part.len())
        } {
            Some(end) => rest = &rest[end..],
            None => return false,
        }
    }
    true
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sitewright_model::failure::{Frame, OfAttempt, SourceLocation, TrapCode, TrapRecord};
    use sitewright_model::message;

    #[test]
    fn a_key_that_was_taken_out_may_be_anything_and_nothing_else_may() {
        let rows = [
            ("as it was", "as it was", true),
            ("as it was", "as it is", false),
            ("the key [key removed] is wrong", "the key abc is wrong", true),
            ("the key [key removed] is wrong", "the key abc is right", false),
            ("[key removed]", "abc", true),
            ("a [key removed] b [key removed]", "a x b y", true),
            ("a [key removed] b [key removed] c", "a x b y", false),
            ("a", "ab", false),
        ];
        for (recorded, now, same) in rows {
            assert_eq!(
                super::same(&Value::from(recorded), &Value::from(now)),
                same,
                "{recorded} / {now}"
            );
        }
    }

    fn stopped(kind: FailureKind, frames: Vec<Frame>) -> FailureRecord {
        let of = OfAttempt {
            order: "1".to_owned(),
            job: None,
            attempt: String::new(),
            trace_id: String::new(),
            template: "a".to_owned(),
            config_version: String::new(),
        };
        let trap = TrapRecord {
            code: TrapCode::Memory,
            message: "too much".to_owned(),
            frames,
            symbols_missing: None,
        };
        let message = message!("stopped by a limit");
        FailureRecord { trap: Some(trap), ..FailureRecord::without_run(kind, message, of) }
    }

    fn frame(function: &str, offset: Option<u64>) -> Frame {
        Frame {
            function: function.to_owned(),
            file: None,
            line: None,
            column: None,
            own: offset.is_none(),
            inlined: false,
            offset,
        }
    }

    /// A worker does not read the stack of an interpreter that a limit has stopped.
    #[test]
    fn the_line_of_a_limit_that_only_a_replay_reads_is_no_difference() {
        let engine = || frame("PyEval_EvalFrame", Some(7));
        let own = || frame("make", None);
        let place = || SourceLocation { file: "app.py".to_owned(), line: 40, column: None };
        for (kind, different) in [(FailureKind::MemoryLimit, false), (FailureKind::Trap, true)] {
            let recorded = stopped(kind, vec![engine()]);
            let now =
                FailureRecord { location: Some(place()), ..stopped(kind, vec![own(), engine()]) };
            let found = failures(&recorded, &now, false);
            assert_eq!(!found.is_empty(), different, "{kind}: {found:?}");
        }
        // Another place in the engine is one.
        let recorded = stopped(FailureKind::MemoryLimit, vec![engine()]);
        let now = stopped(FailureKind::MemoryLimit, vec![own(), frame("malloc", Some(9))]);
        let found = failures(&recorded, &now, false);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].what, "trap.frames");
    }

    #[test]
    fn the_hash_of_a_symbol_is_no_part_of_its_name() {
        assert_eq!(without_hash("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(without_hash("a::b::hello"), "a::b::hello");
    }
}
