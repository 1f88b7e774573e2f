//! Which kind of failure the end of a run is: decided by types, and by text only where the engine
//! or a language offers nothing else.

use std::any::Any;
use std::collections::BTreeMap;

use wasmtime::{Trap, WasmBacktrace};

use super::end::{RunError, StoppedAt};
use crate::host_functions::RunTrace;
use crate::plugin::bindings::types;
use crate::plugin::{LimitHit, Limits, raw_frames};
use sitewright_failure::{GoPanic, PythonException, RawFrame};
use sitewright_model::ai::{AiError, AiErrorKind};
use sitewright_model::failure::{FailureKind, Frame, SourceExcerpt, SourceLocation, TrapCode};
use sitewright_model::message;
use sitewright_model::message::{Message, causes_of, io_kind_of};
use sitewright_site::{SiteLimit, StorageError};

/// The kind of a failure, and everything that its record shows of the cause.
pub(super) struct Classified {
    pub(super) kind: FailureKind,
    pub(super) message: Message,
    pub(super) causes: Vec<Message>,
    pub(super) code: Option<String>,
    pub(super) location: Option<SourceLocation>,
    pub(super) trap: Option<Stopped>,
    pub(super) panic: Option<String>,
    pub(super) ai: Option<AiError>,
    pub(super) blamed_calls: Vec<String>,
    pub(super) attributes: BTreeMap<String, String>,
    /// What the operating system refused the host, if that is the cause.
    pub(super) refused: Option<std::io::ErrorKind>,
}

/// A stopped guest, not yet symbolized.
pub(super) struct Stopped {
    pub(super) code: TrapCode,
    pub(super) message: String,
    pub(super) frames: Vec<RawFrame>,
    /// Frames of an interpreted language as it printed them, innermost first.
    pub(super) language_frames: Vec<Frame>,
    /// The source line of the first of these.
    pub(super) source: Option<SourceExcerpt>,
}

impl Classified {
    pub(super) fn new(kind: FailureKind, message: Message) -> Self {
        Classified {
            kind,
            message,
            causes: Vec::new(),
            code: None,
            location: None,
            trap: None,
            panic: None,
            ai: None,
            blamed_calls: Vec::new(),
            attributes: BTreeMap::new(),
            refused: None,
        }
    }

    /// The same with where the code of the stopped guest was. The line of the first own frame is
    /// where the failure happened, unless the template says another; without a stack it is that of
    /// the last call, and the message says so.
    pub(super) fn stopped_at(mut self, at: StoppedAt) -> Self {
        let StoppedAt { stack, last_call } = at;
        let Some(trap) = &mut self.trap else { return self };
        if !stack.is_empty() && trap.language_frames.is_empty() {
            let own = stack.iter().find(|frame| frame.own).and_then(place_of);
            trap.language_frames = stack;
            self.location = self.location.or(own);
        } else if self.location.is_none()
            && matches!(self.kind, FailureKind::CpuLimit | FailureKind::MemoryLimit)
            && let Some(place) = last_call
        {
            let said = format!(
                "{}. The line at which it was stopped is not known; its last call of the SDK was \
                 at {}:{}",
                self.message, place.file, place.line
            );
            self.message = Message::new(said).unwrap_or(self.message);
            self.location = Some(place);
        }
        self
    }

    /// The host failed because the operating system refused something.
    pub(super) fn refused(message: Message, error: &(dyn std::error::Error + 'static)) -> Self {
        Classified {
            causes: causes_of(error),
            refused: io_kind_of(error),
            ..Classified::new(FailureKind::Host, message)
        }
    }
}

/// Classifies `error`, with what the run left in its trace and on stderr. `memory_peak` is the
/// maximum memory of the run in bytes.
pub(super) fn classify(
    error: RunError,
    trace: &RunTrace,
    stderr: &str,
    limits: &Limits,
    memory_peak: u64,
) -> Classified {
    match error {
        RunError::Template(failure) => returned(failure, trace, limits),
        RunError::Stopped(error) => stopped(&error, trace, stderr, limits, memory_peak),
        RunError::Deadline => {
            let stage = last_stage(trace);
            let waiting = match trace.trail().iter().rev().find(|entry| entry.duration_us.is_none())
            {
                Some(entry) => format!("; it was waiting for {} ({})", entry.call, entry.args),
                None => String::new(),
            };
            Classified::new(
                FailureKind::Deadline,
                message!(
                    "the run did not end within its deadline of {} ms; {stage}{waiting}",
                    limits.deadline_ms
                ),
            )
        }
        RunError::NoSlot { concurrency } => Classified::new(
            FailureKind::Deadline,
            message!(
                "the run did not begin within its deadline of {} ms: all {concurrency} slots for \
                 runs were in use; raise `concurrency` or start fewer orders at once",
                limits.deadline_ms
            ),
        ),
        RunError::Cancelled => Classified::new(
            FailureKind::Cancelled,
            message!("the run was cancelled after {} ms; {}", trace.now_ms(), last_stage(trace)),
        ),
    }
}

fn last_stage(trace: &RunTrace) -> String {
    let progress = trace.progress();
    match (progress.stage.is_empty(), progress.total) {
        (true, _) => "the template had named no stage".to_owned(),
        (false, 0) => format!("its last stage was `{}`", progress.stage),
        (false, total) => {
            format!("its last stage was `{}`, {} of {total}", progress.stage, progress.done)
        }
    }
}

/// The template returned a failure: its own, or one that comes from a refused AI call or write.
fn returned(failure: types::Failure, trace: &RunTrace, limits: &Limits) -> Classified {
    let code =
        Message::new(&failure.code).map_or_else(|| "no-code".to_owned(), |code| code.to_string());
    let mut message =
        Message::or(&failure.message, message!("(the template gave no message) {code}"));
    let mut causes: Vec<Message> = failure.causes.iter().filter_map(Message::new).collect();
    let named = failure.ai_calls.iter().find_map(|id| trace.ai_failure(id));
    // Of concurrent calls the template returns either error.
    let ai = named.map(|named| trace.sent_beside(&named).unwrap_or(named));
    let mentioned = |text: &str| {
        message.as_str().contains(text) || causes.iter().any(|cause| cause.as_str().contains(text))
    };
    let output_limit = trace.output_limit().filter(|refused| {
        // A template may have recovered from a path that was too long, and failed for another
        // reason.
        refused.limit != SiteLimit::PathBytes || mentioned(&refused.message)
    });
    let unmentioned = output_limit.as_ref().filter(|refused| !mentioned(&refused.message)).cloned();
    let kind = match &ai {
        Some(ai)
            if ai.kind == AiErrorKind::BudgetExceeded
                && trace.ai_call_count() > limits.ai_calls =>
        {
            FailureKind::CallLimit
        }
        Some(_) => FailureKind::Ai,
        None if output_limit.is_some() => FailureKind::OutputLimit,
        None => FailureKind::TemplateError,
    };
    match kind {
        FailureKind::Ai | FailureKind::CallLimit => {
            // `while writing the headline` says where. The message must also say what failed and
            // what to do.
            let ai = ai.as_ref().filter(|ai| !message.as_str().contains(ai.message.as_str()));
            if let Some(ai) = ai {
                message = Message::new(format!("{message}: {}", ai.message)).unwrap_or(message);
            }
        }
        FailureKind::OutputLimit => {
            causes.extend(unmentioned.and_then(|refused| Message::new(refused.message)))
        }
        _ => {}
    }
    Classified {
        code: Some(code),
        causes,
        location: failure.location.map(crate::host_functions::location),
        ai,
        blamed_calls: failure.ai_calls,
        attributes: failure
            .attributes
            .into_iter()
            .map(|attribute| (attribute.name, attribute.value))
            .collect(),
        ..Classified::new(kind, message)
    }
}

/// The guest was stopped in the middle of its code, or could not be started.
fn stopped(
    error: &wasmtime::Error,
    trace: &RunTrace,
    stderr: &str,
    limits: &Limits,
    memory_peak: u64,
) -> Classified {
    let cause = root_message(error);
    let stopped = |code| {
        let frames = frames(error);
        let message = cause.clone();
        Some(Stopped { code, message, frames, language_frames: Vec::new(), source: None })
    };

    if let Some(limit) = find::<LimitHit>(error) {
        let (kind, code) = match limit {
            // The others', not the order's: it waits, and uses no attempt.
            LimitHit::AllGuests { .. } => {
                let busy = Some(std::io::ErrorKind::ResourceBusy);
                let message = message!("the run had to stop: {limit}");
                return Classified { refused: busy, ..Classified::new(FailureKind::Host, message) };
            }
            LimitHit::Cpu { .. } => (FailureKind::CpuLimit, TrapCode::Cpu),
            LimitHit::Memory { .. }
            | LimitHit::InFlight { .. }
            | LimitHit::Table { .. }
            | LimitHit::Call { .. }
            | LimitHit::Text { .. } => (FailureKind::MemoryLimit, TrapCode::Memory),
        };
        return Classified {
            trap: stopped(code),
            ..Classified::new(kind, message!("stopped by a limit: {limit}"))
        };
    }
    if let Some(storage) = find::<StorageError>(error) {
        return Classified::refused(
            message!("the host could not store a file of the site: {storage}"),
            storage,
        );
    }
    if find::<wasmtime::PoolConcurrencyLimitError>(error).is_some() {
        return Classified::new(
            FailureKind::Host,
            message!(
                "the host has no slot for another run: {cause}; raise `concurrency` or start \
                 fewer orders at once"
            ),
        );
    }

    let code = match (find::<Trap>(error), find::<wasmtime_wasi::I32Exit>(error)) {
        (Some(trap), _) => crate::plugin::trap_code(*trap),
        (None, Some(_)) => TrapCode::Exit,
        (None, None) if frames(error).is_empty() => TrapCode::Other,
        (None, None) => TrapCode::HostCall,
    };
    // A panic message without an abort belongs to a panic that the template caught.
    let aborted = matches!(code, TrapCode::Unreachable | TrapCode::Exit);
    let panic = trace.panic().or_else(|| printed_panic(stderr)).filter(|_| aborted);
    if code == TrapCode::Unreachable && is_engine_full(panic.as_ref(), stderr, memory_peak) {
        return Classified {
            trap: stopped(TrapCode::Memory),
            ..Classified::new(
                FailureKind::MemoryLimit,
                message!(
                    "the JavaScript engine ran out of memory: its own heap for objects and texts \
                     is smaller than `limits.memory_bytes`, so a higher limit does not help; the \
                     run used {memory_peak} bytes of {} in all; keep fewer objects and shorter \
                     texts at a time",
                    limits.memory_bytes
                ),
            )
        };
    }
    if let Some(python) = panic.as_ref().and_then(|panic| uncaught_exception(panic, stderr)) {
        let location = python.frames.iter().find(|frame| frame.own).and_then(place_of);
        let message = message!("the template raised {}", python.message);
        let trap = stopped(code).map(|stopped| Stopped {
            language_frames: python.frames,
            source: python.source,
            ..stopped
        });
        return Classified {
            location,
            trap,
            panic: Some(python.message),
            causes: python.causes.iter().filter_map(Message::new).collect(),
            ..Classified::new(FailureKind::Panic, message)
        };
    }
    if let Some(go) = GoPanic::printed(stderr).filter(|_| aborted) {
        let own = go.frames.iter().find(|frame| frame.own).and_then(place_of);
        let (text, location) = match panic {
            Some(panic) => (panic.message, panic.location.or(own)),
            None => (go.message, own),
        };
        let trap = stopped(code).map(|stopped| Stopped { language_frames: go.frames, ..stopped });
        return Classified {
            location,
            trap,
            panic: Some(text.clone()),
            ..Classified::new(FailureKind::Panic, message!("the template panicked: {text}"))
        };
    }
    match panic {
        Some(panic) => Classified {
            location: panic.location,
            trap: stopped(code),
            panic: Some(panic.message.clone()),
            ..Classified::new(
                FailureKind::Panic,
                message!("the template panicked: {}", panic.message),
            )
        },
        None => {
            let printed = last_line(stderr);
            let message = match code {
                TrapCode::Exit => {
                    message!(
                        "the template ended its program instead of returning from `generate`: \
                         {cause}"
                    )
                }
                _ => message!("the template was stopped: {cause}"),
            };
            Classified {
                causes: printed
                    .and_then(|line| Message::new(format!("it printed: {line}")))
                    .into_iter()
                    .collect(),
                trap: stopped(code),
                ..Classified::new(FailureKind::Trap, message)
            }
        }
    }
}

/// Whether the engine of a JavaScript template stopped because its own heap is full. The engine has
/// a limit of its own, so the host never refuses it memory: it throws the text `out of memory`, which
/// the SDK reports, or, if it has no memory for that either, aborts. An abort of an engine that used
/// little memory has another cause.
fn is_engine_full(
    panic: Option<&crate::host_functions::Panic>,
    stderr: &str,
    memory_peak: u64,
) -> bool {
    match panic {
        Some(panic) => {
            (panic.location.is_none() && panic.message == ENGINE_FULL)
                || panic.message == ENGINE_FULL_ERROR
        }
        None => {
            memory_peak >= ENGINE_HEAP
                && last_line(stderr).is_some_and(|line| line.starts_with(ENGINE_ABORT))
        }
    }
}

/// What SpiderMonkey throws if its heap is full: a text, because there is no memory for an error.
const ENGINE_FULL: &str = "out of memory";

/// The same where there is memory for an error.
const ENGINE_FULL_ERROR: &str = "InternalError: out of memory";

/// What SpiderMonkey prints when it aborts.
const ENGINE_ABORT: &str = "Redirecting call to abort()";

/// Bytes that SpiderMonkey's heap can have (`JS::DefaultHeapMaxBytes`). A component whose heap is
/// full uses more in all.
const ENGINE_HEAP: u64 = 32 << 20;

/// The place of a frame of an interpreted language.
fn place_of(frame: &Frame) -> Option<SourceLocation> {
    Some(SourceLocation { file: frame.file.clone()?, line: frame.line?, column: None })
}

/// The engine's own message, without the frames that it adds as context.
fn root_message(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    Message::new(&cause).map_or_else(|| format!("{error:?}"), |message| message.to_string())
}

/// An error of type `E` anywhere in the chain, context included.
fn find<E: std::error::Error + Any + Send + Sync>(error: &wasmtime::Error) -> Option<&E> {
    error.downcast_ref::<E>().or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<E>()))
}

fn frames(error: &wasmtime::Error) -> Vec<RawFrame> {
    error.downcast_ref::<WasmBacktrace>().map(raw_frames).unwrap_or_default()
}

/// What Rust's standard library prints after a panic's message.
const AFTER_A_PANIC: [&str; 3] =
    ["note: ", "stack backtrace:", "thread panicked while processing panic"];

/// A Rust panic as the standard library prints it, for guests whose hook did not report it:
/// `thread 'main' (1) panicked at src/lib.rs:10:5:` and the message on the lines that follow.
fn printed_panic(stderr: &str) -> Option<crate::host_functions::Panic> {
    // A panic while another one is printed has no thread before it.
    let begins = [" panicked at ", "\npanicked at "]
        .map(|words| stderr.rfind(words).map(|at| at + words.len()));
    let begins =
        begins.into_iter().flatten().max().or(stderr.starts_with("panicked at ").then_some(12))?;
    let rest = &stderr[begins..];
    let (location, text) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut parts = location.trim().trim_end_matches(':').rsplitn(3, ':');
    let column = parts.next().and_then(|part| part.parse().ok());
    let line = parts.next().and_then(|part| part.parse().ok());
    let location = match (parts.next(), line) {
        (Some(file), Some(line)) => Some(SourceLocation { file: file.to_owned(), line, column }),
        _ => None,
    };
    let text: Vec<&str> = text
        .lines()
        .take_while(|line| !AFTER_A_PANIC.iter().any(|words| line.starts_with(words)))
        .collect();
    let message = Message::or(text.join("\n"), message!("(no message)")).to_string();
    Some(crate::host_functions::Panic { message, location })
}

/// The exception that ended a Python interpreter, whose own panic says only that there was one, or
/// shows it without its causes. The SDK prints it before such a panic.
fn uncaught_exception(
    panic: &crate::host_functions::Panic,
    stderr: &str,
) -> Option<PythonException> {
    let shown = PythonException::shown(&panic.message);
    if shown.is_none() && !panic.message.contains("unexpected exception") {
        return None;
    }
    // Of a traceback that was printed for an exception that was caught, the message differs.
    let printed = PythonException::printed(stderr).filter(|printed| {
        shown.as_ref().is_none_or(|shown| {
            let class = shown.message.split(':').next().unwrap_or_default();
            printed.message.starts_with(class)
        })
    });
    printed.or(shown)
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use sitewright_model::ai::{AttemptOutcome, CallId};

    use super::*;

    #[test]
    fn a_full_heap_of_the_javascript_engine_is_known_by_what_it_throws_or_prints() {
        let abort = "Error while running\nRedirecting call to abort() to mozalloc_abort\n";
        let place = SourceLocation { file: "src/lib.rs".to_owned(), line: 3, column: None };
        let rows = [
            // (what, panic with its place, stderr, bytes, expected)
            ("thrown", Some(("out of memory", None)), "out of memory\n", 1, true),
            ("aborted", None, abort, 75 << 20, true),
            ("printed by a template in C", None, "out of memory\n", 75 << 20, false),
            ("aborted with little memory", None, abort, 20 << 20, false),
            ("a panic in Rust", Some(("out of memory", Some(place))), "", 75 << 20, false),
            ("another text", Some(("out of memory, said the baker", None)), "", 75 << 20, false),
            ("another exception", Some(("Error: no bread", None)), abort, 75 << 20, false),
            ("a trap", None, "no bread\n", 75 << 20, false),
            ("nothing printed", None, "", 75 << 20, false),
        ];
        for (what, panic, stderr, bytes, expected) in rows {
            let panic = panic.map(|(message, location)| crate::host_functions::Panic {
                message: message.to_owned(),
                location,
            });
            assert_eq!(is_engine_full(panic.as_ref(), stderr, bytes), expected, "{what}");
        }
    }

    #[test]
    fn a_call_that_was_sent_is_shown_instead_of_one_that_a_breaker_rejected() {
        use AiErrorKind as Kind;
        /// A failed call at a provider: whether it was sent, or a breaker rejected it.
        fn call(number: u32, provider: &str, kind: Kind, is_sent: bool) -> AiError {
            let outcome = AttemptOutcome::Failed(kind);
            let mut attempt = serde_json::json!({
                "provider": provider, "model": "m", "started_ms": 1, "duration_ms": 1,
                "outcome": outcome, "usage": {}, "message": "m", "not_sent": !is_sent,
            });
            if !is_sent {
                attempt["opened_by"] = serde_json::json!({ "message": "another order's" });
            }
            let message = message!("call {number} failed");
            let error =
                AiError::before_any_attempt(Some(CallId::nth(number)), "code", kind, message);
            AiError { attempts: vec![serde_json::from_value(attempt).unwrap()], ..error }
        }
        let rejected = || call(1, "a", Kind::Overloaded, false);
        let rows = [
            // (what, the other call, the call of the record)
            ("it was sent", call(2, "a", Kind::Timeout, true), 2),
            ("it was rejected too", call(2, "a", Kind::Overloaded, false), 1),
            ("at another provider", call(2, "b", Kind::Overloaded, true), 1),
            ("its own words are refused", call(2, "a", Kind::ContentFiltered, true), 1),
        ];
        for (what, other, expected) in rows {
            let limits = Limits::default();
            let trace = RunTrace::new(&limits, tokio::sync::watch::Sender::default());
            trace.ai_failed(rejected());
            trace.ai_failed(other);
            let failure = types::Failure {
                code: "no-page".to_owned(),
                message: "no page: call 1 failed".to_owned(),
                causes: Vec::new(),
                location: None,
                ai_calls: vec![CallId::nth(1).to_string()],
                attributes: Vec::new(),
            };
            let found = returned(failure, &trace, &limits);
            assert_eq!(found.kind, FailureKind::Ai, "{what}");
            let shown = found.ai.unwrap();
            assert_eq!(shown.message, message!("call {expected} failed"), "{what}");
            assert!(found.message.as_str().contains(shown.message.as_str()), "{what}");
            assert_eq!(found.blamed_calls, [CallId::nth(1).to_string()], "{what}");
        }
    }

    #[test]
    fn a_panic_of_go_has_the_lines_that_it_printed_and_what_the_template_reported() {
        let stderr = "panic: no bread\n\ngoroutine 1 [running]:\nmain.bake({0x1, 0x2})\n\
                      \tbakery/bake.go:17 +0x51\n";
        let reported = crate::host_functions::Panic {
            message: "no bread at all".to_owned(),
            location: Some(SourceLocation { file: "bake.go".to_owned(), line: 16, column: None }),
        };
        let rows = [
            // (what, reported, trap, kind, message, location)
            (
                "printed",
                None,
                Trap::UnreachableCodeReached,
                FailureKind::Panic,
                "the template panicked: no bread",
                Some(("bakery/bake.go", 17)),
            ),
            (
                "reported and printed",
                Some(reported),
                Trap::UnreachableCodeReached,
                FailureKind::Panic,
                "the template panicked: no bread at all",
                Some(("bake.go", 16)),
            ),
            // What stopped it is not the panic, which was caught.
            (
                "printed before",
                None,
                Trap::StackOverflow,
                FailureKind::Trap,
                "the template was stopped: wasm trap: call stack exhausted",
                None,
            ),
        ];
        for (what, reported, trap, kind, message, location) in rows {
            let limits = Limits::default();
            let trace = RunTrace::new(&limits, tokio::sync::watch::Sender::default());
            if let Some(reported) = reported {
                trace.panicked(reported);
            }
            let found = stopped(&wasmtime::Error::from(trap), &trace, stderr, &limits, 0);
            let place = found.location.as_ref().map(|found| (found.file.as_str(), found.line));
            assert_eq!(
                (found.kind, found.message.to_string().as_str(), place),
                (kind, message, location),
                "{what}"
            );
            let frames = found.trap.map_or(0, |trap| trap.language_frames.len());
            assert_eq!(frames, usize::from(kind == FailureKind::Panic), "{what}");
        }
    }

    #[test]
    fn a_printed_panic_is_read_as_the_standard_library_prints_it() {
        let at =
            |file: &str, line, column| Some(SourceLocation { file: file.to_owned(), line, column });
        let rows = [
            // (stderr, message, location)
            (
                "\nthread '<unnamed>' (1) panicked at src/lib.rs:41:32:\nno bread\nnote: run with \
                 `RUST_BACKTRACE=1`\n",
                "no bread",
                at("src/lib.rs", 41, Some(32)),
            ),
            (
                "thread 'main' panicked at src/a b.rs:1:2:\nfirst\nsecond\n",
                "first\nsecond",
                at("src/a b.rs", 1, Some(2)),
            ),
            // Every line of the message counts, and nothing after it does.
            (
                "x panicked at c:/d.rs:7:1:\nm\nstack backtrace:\n 0: f\n",
                "m",
                at("c:/d.rs", 7, Some(1)),
            ),
            // The last panic is the one that stopped the guest.
            (
                "a panicked at a.rs:1:1:\none\nb panicked at b.rs:2:2:\ntwo\n",
                "two",
                at("b.rs", 2, Some(2)),
            ),
            // A message may be empty or cut; the record's may not.
            (
                "t panicked at src/lib.rs:44:34:\n\nnote: run with",
                "(no message)",
                at("src/lib.rs", 44, Some(34)),
            ),
            ("t panicked at src/lib.rs:44:34:", "(no message)", at("src/lib.rs", 44, Some(34))),
            ("t panicked at somewhere\nm\n", "m", None),
            // A panic while the first one was printed.
            (
                "panicked at src/a.rs:3:4:\nagain\nthread panicked while processing panic. \
                 aborting.\n",
                "again",
                at("src/a.rs", 3, Some(4)),
            ),
            ("x\npanicked at a.rs:1:1:\nagain\n", "again", at("a.rs", 1, Some(1))),
        ];
        for (stderr, message, location) in rows {
            let panic = printed_panic(stderr).unwrap_or_else(|| panic!("no panic in {stderr:?}"));
            assert_eq!((panic.message.as_str(), panic.location), (message, location), "{stderr:?}");
        }
        for stderr in ["", "all is well", "the cook panicked over the soup"] {
            assert_eq!(printed_panic(stderr), None, "{stderr:?}");
        }
    }
}
