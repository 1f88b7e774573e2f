//! Parameters of the fault, from the order.

use std::collections::BTreeMap;

use sitewright_sdk::{
    prelude::*,
    serde_json::{Map, Value},
};

/// The `extra` part of the order.
#[derive(Deserialize)]
#[serde(crate = "sitewright_sdk::serde")]
pub(crate) struct FaultParams {
    #[serde(default)]
    pub(crate) fault: Fault,
    /// Number, size or duration; [`Fault`] says which.
    pub(crate) n: Option<u32>,
    /// For [`Fault::Paths`].
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// For [`Fault::Files`]: content by path.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Returns an error after the fault, so that there is a failure record to inspect.
    #[serde(default)]
    pub(crate) then_fail: bool,
    /// Makes an AI call before the fault.
    #[serde(default)]
    pub(crate) ai_first: bool,
    /// For [`Fault::AiEcho`]. Default: `copywriting`.
    pub(crate) purpose: Option<String>,
    /// For [`Fault::AiEcho`] and [`Fault::Stream`]: `text` (default), `json` or `json-schema`.
    pub(crate) format: Option<String>,
    /// For the format `json-schema`. Default: `true`.
    pub(crate) schema: Option<Value>,
    /// For [`Fault::AiEcho`] and [`Fault::Stream`]: the message. For [`Fault::CallsInTurn`] and
    /// [`Fault::AiUnreadable`]: prefix of each message.
    pub(crate) prompt: Option<String>,
    /// For [`Fault::AiEcho`]: empty pieces of data in the message. Default: 0.
    #[serde(default)]
    pub(crate) data: usize,
    /// For [`Fault::ManyCalls`]: bytes that each message has beside its number. Default: 0.
    #[serde(default)]
    pub(crate) bytes: usize,
}

/// A way to fail. Faults that do not end the run write a page afterwards.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case", crate = "sitewright_sdk::serde")]
pub(crate) enum Fault {
    /// No fault: writes a small, valid site.
    #[default]
    Ok,
    /// Writes a page, then returns an error with three causes, attributes and a code of its own.
    Error,
    /// Panics with a string literal.
    PanicStr,
    /// Panics with a formatted string.
    PanicString,
    /// Panics with a number as its payload.
    PanicAny,
    /// Panics with escape sequences and a right-to-left override in the message.
    PanicEscape,
    /// Panics with an empty message.
    PanicEmpty,
    /// Panics without the SDK's panic hook, so that only stderr contains the message.
    PanicNoHook,
    /// Executes the instruction `unreachable`.
    Unreachable,
    /// Reads far beyond the end of memory.
    Oob,
    /// Recurses until the stack is exhausted.
    StackOverflow,
    /// Executes `i32.div_u` with a divisor of zero.
    DivideByZero,
    /// Executes `i32.div_s` with a result that overflows.
    IntegerOverflow,
    /// Calls a function through a pointer with the wrong signature.
    BadIndirectCall,
    /// Passes the host a string that is not UTF-8.
    HostCall,
    /// Panics in async code after an AI call.
    PanicAsync,
    /// Panics while the message of a panic is formatted.
    PanicTwice,
    /// Calls `std::process::abort`.
    Abort,
    /// Calls `std::process::exit(3)`.
    Exit,
    /// Loops forever without a host call.
    Spin,
    /// Allocates `n` MiB, or without end if `n` is missing.
    MemoryBomb,
    /// Writes `n` small files. Default: 3,000.
    ManyFiles,
    /// Writes a file of `n` bytes. Default: 9 MiB.
    BigFile,
    /// Same as `BigFile`, but ignores the error.
    IgnoredRefusal,
    /// Writes to each of `paths`; the error's kind becomes the code of a diagnostic.
    Paths,
    /// Writes exactly `files`, without a page of its own.
    Files,
    /// Writes a file in `n` chunks of 1 KiB, and leaves another one unfinished.
    Chunks,
    /// Logs `n` lines of 1 KiB.
    LogFlood,
    /// Writes `n` lines of 1 KiB to stderr.
    StderrFlood,
    /// Reports `n` diagnostics.
    ReportFlood,
    /// Reports `n` steps of a stage.
    ProgressFlood,
    /// Logs a line, reports a new stage and reports a diagnostic, `n` times.
    ChatterFlood,
    /// Makes `n` concurrent AI calls; the error's kind becomes the code of a diagnostic.
    ManyCalls,
    /// Makes `n` sequential AI calls; the first failure ends the run.
    CallsInTurn,
    /// Makes an AI call with the message `fail`, whose error ends the run.
    AiError,
    /// Makes `n` sequential AI calls (default: 0) and another one in the format `json`, which it
    /// blames; with a `prompt`, only if its reply contains `unusable`.
    AiUnreadable,
    /// Makes an AI call as the order describes and writes its reply into the page.
    AiEcho,
    /// Reads the stream of an AI call as the order describes and writes its reply into the page.
    Stream,
    /// Drops a streamed AI call after its first chunk, then makes another call.
    StreamDropped,
    /// Keeps a streamed AI call without reading it while another call completes.
    StreamUnread,
    /// Waits for the outcome of a streamed AI call; its reply becomes `outcome.txt`.
    StreamOutcomeOnly,
    /// Waits for the outcome of a streamed AI call while its chunks are unread.
    StreamUnreadOutcome,
    /// Executes `unreachable` after the first chunk of a streamed AI call.
    StreamTrap,
    /// Leaks `n` streamed AI calls after their first chunk.
    StreamLeft,
    /// Reads `n` streamed AI calls concurrently; each reply becomes a file.
    StreamsAtOnce,
    /// Starts `n` streamed AI calls before it waits for the first outcome; the error's kind becomes
    /// the code of a diagnostic.
    StreamsHeld,
    /// Awaits a future that never completes.
    Never,
    /// Sleeps for `n` seconds. Default: 60.
    Sleep,
    /// Writes the order as it was received to `order.json`.
    Document,
    /// Writes random numbers and clock readings of std into the page.
    Random,
    /// Tries to access the system in every way that std offers; each attempt becomes a diagnostic.
    Env,
    /// Allocates, resizes and frees memory in `n` steps; fails if the content of a block changes.
    Allocations,
    /// Allocates and frees memory in an endless loop.
    Churn,
    /// Recurses until the stack is exhausted, with a host call at each level.
    RecurseCalls,
    /// Reports `n` diagnostics of 1 MiB.
    ReportLarge,
    /// Makes `n` sequential AI calls and ignores their outcome.
    CallsIgnored,
    /// Returns with `n` AI calls in flight.
    CallsLeft,
    /// Executes `unreachable` while `n` AI calls are in flight.
    TrapInFlight,
    /// Makes `n` concurrent AI calls; each logs its outcome when it completes.
    Race,
    /// Reports an error diagnostic and continues.
    Complain,
    /// Writes text of the customer and the model to every output of a template, then fails.
    Quote,
}

impl FaultParams {
    /// Reads the `extra` part of the order.
    pub(crate) fn of(extra: Map<String, Value>) -> Result<Self> {
        sitewright_sdk::serde_json::from_value(Value::Object(extra))
            .context("the order's `extra` part is not a known fault with its parameters")
    }
}
