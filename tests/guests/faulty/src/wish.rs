//! What the order asks for.

use std::collections::BTreeMap;

use sitewright_sdk::{
    prelude::*,
    serde_json::{Map, Value},
};

/// The `extra` part of the order.
#[derive(Deserialize)]
#[serde(crate = "sitewright_sdk::serde")]
pub(crate) struct Wish {
    /// What to do.
    #[serde(default)]
    pub(crate) fault: Fault,
    /// How many, how large or how long.
    pub(crate) n: Option<u32>,
    /// For [`Fault::Paths`]: written to one after the other.
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// For [`Fault::Files`]: the whole site, by path.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Whether the run ends with an error after the fault, so that a record shows what was left of
    /// it.
    #[serde(default)]
    pub(crate) then_fail: bool,
    /// Whether an AI call is made before the fault.
    #[serde(default)]
    pub(crate) ai_first: bool,
    /// For [`Fault::AiEcho`]: `copywriting` when missing.
    pub(crate) purpose: Option<String>,
    /// For [`Fault::AiEcho`]: `text` (when missing), `json` or `json-schema`.
    pub(crate) format: Option<String>,
    /// For [`Fault::AiEcho`] with `json-schema`.
    pub(crate) schema: Option<Value>,
    /// For [`Fault::AiEcho`]: the message. For [`Fault::CallsInTurn`] and [`Fault::AiUnreadable`]:
    /// what each message begins with.
    pub(crate) prompt: Option<String>,
}

/// A way to fail.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case", crate = "sitewright_sdk::serde")]
pub(crate) enum Fault {
    /// None: a small, valid site.
    #[default]
    Ok,
    /// Writes a page, then returns an error with three causes, attributes and a code of its own.
    Error,
    /// A panic with a literal.
    PanicStr,
    /// A panic with a formatted text.
    PanicString,
    /// A panic whose payload is a number.
    PanicAny,
    /// A panic with a text that would repaint a terminal and turn its lines round.
    PanicEscape,
    /// A panic with an empty text.
    PanicEmpty,
    /// A panic after the SDK's hook was taken away: only stderr tells of it.
    PanicNoHook,
    /// The wasm instruction `unreachable`.
    Unreachable,
    /// Reads far behind the end of memory.
    Oob,
    /// Recurses for ever.
    StackOverflow,
    /// The wasm instruction `i32.div_u` by zero.
    DivideByZero,
    /// The wasm instruction `i32.div_s` whose result does not fit.
    IntegerOverflow,
    /// A call through a pointer to a function of another type.
    BadIndirectCall,
    /// A text for the host that is not UTF-8.
    HostCall,
    /// A panic in async code, after an AI call was answered.
    PanicAsync,
    /// A panic while a panic is told.
    PanicTwice,
    /// `std::process::abort`.
    Abort,
    /// `std::process::exit(3)`.
    Exit,
    /// Computes for ever.
    Spin,
    /// Allocates `n` MiB and then the page; for ever when `n` is missing.
    MemoryBomb,
    /// Writes `n` small files and then the page.
    ManyFiles,
    /// Writes a file of `n` bytes and then the page.
    BigFile,
    /// As `BigFile`, but the refusal is ignored.
    IgnoredRefusal,
    /// Writes to each of `paths`; each refusal becomes a diagnostic whose code is its kind.
    Paths,
    /// Writes exactly `files`, whatever they hold.
    Files,
    /// `n` lines of log of 1 KiB.
    LogFlood,
    /// `n` lines of 1 KiB on stderr.
    StderrFlood,
    /// `n` diagnostics.
    ReportFlood,
    /// `n` steps of a stage.
    ProgressFlood,
    /// `n` times a line of log, a stage of its own and a diagnostic.
    ChatterFlood,
    /// `n` AI calls at once; each failure becomes a diagnostic whose code is its kind.
    ManyCalls,
    /// `n` AI calls one after the other; the first that fails ends the run.
    CallsInTurn,
    /// An AI call with the message `fail`, whose error ends the run.
    AiError,
    /// `n` AI calls one after the other (none when `n` is missing), and one (format `json`) whose
    /// reply the template finds unusable and blames; with a `prompt`, only a reply that holds
    /// `unusable`.
    AiUnreadable,
    /// An AI call as the order describes it; its reply becomes the page.
    AiEcho,
    /// A streamed AI call as the order describes it, read along; its reply becomes the page.
    Stream,
    /// A streamed AI call that is dropped after its first chunk, another call, and then the page.
    StreamDropped,
    /// A streamed AI call that is held and never read while another call goes on.
    StreamUnread,
    /// A streamed AI call of which only the outcome is wanted; its reply becomes `outcome.txt`.
    StreamOutcomeOnly,
    /// A streamed AI call whose outcome is awaited while its text is held and not read.
    StreamUnreadOutcome,
    /// `unreachable` after the first chunk of a streamed AI call.
    StreamTrap,
    /// `n` streamed AI calls that are forgotten after their first chunk.
    StreamLeft,
    /// `n` streamed AI calls, read side by side; each reply becomes a file.
    StreamsAtOnce,
    /// `n` streamed AI calls, all held; each failure becomes a diagnostic whose code is its kind.
    StreamsHeld,
    /// Waits for something that never comes.
    Never,
    /// Sleeps `n` seconds.
    Sleep,
    /// Writes the order as it arrived, as `order.json`, and then the page.
    Document,
    /// Writes what std's random numbers and clocks say into the page.
    Random,
    /// Tries every door of the sandbox; each becomes a diagnostic.
    Env,
    /// Makes, resizes and frees `n` blocks of memory and fails if one is not what it was.
    Allocations,
    /// Allocates and frees for ever.
    Churn,
    /// Recurses for ever, with a call of the host at each level.
    RecurseCalls,
    /// `n` diagnostics of 1 MiB.
    ReportLarge,
    /// `n` AI calls one after the other, whatever becomes of them.
    CallsIgnored,
    /// `n` AI calls that have begun and are forgotten when the site is returned.
    CallsLeft,
    /// `unreachable` while `n` AI calls are in flight.
    TrapInFlight,
    /// `n` AI calls at once; each says when it has ended.
    Race,
    /// Reports an error and goes on.
    Complain,
    /// Says what the customer and a model wrote wherever a template can say something, and fails.
    Quote,
}

impl Wish {
    /// Reads the order's `extra` part.
    pub(crate) fn of(extra: Map<String, Value>) -> Result<Self> {
        sitewright_sdk::serde_json::from_value(Value::Object(extra))
            .context("the order's `extra` part asks for nothing known")
    }
}
