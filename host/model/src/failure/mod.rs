//! The failure record and its parts.

mod coredump;
mod kind;
mod record;
mod source;
mod trail;
mod trap;

pub use coredump::CoreDumpRecord;
pub use kind::FailureKind;
pub use record::{
    AiCallTries, Diagnostic, FailureRecord, LogTail, OfAttempt, Problem, Progress, RECORD_VERSION,
    Severity, SourceLocation, TemplateRef, UNKNOWN_STAGE, top_frame,
};
pub use source::SourceExcerpt;
pub use trail::{Ended, NewCall, TRAIL_LENGTH, Trail, TrailEntry, TrailOutcome};
pub use trap::{Frame, TrapCode, TrapRecord};
