//! What went wrong, whole: one record for every attempt that did not succeed.

mod kind;
mod record;
mod recording;
pub mod render;
pub mod store;
pub mod symbolize;
mod trail;
mod trap;

pub use kind::FailureKind;
pub(crate) use record::now;
pub use record::{
    AiFailure, Diagnostic, FailureRecord, LogTail, OfAttempt, Problem, Progress, RECORD_VERSION, Severity,
    SourceLocation, TemplateRef,
};
pub use recording::{AiEnd, AiOpen, Files, MARKS, Mark, Marks, RECORDING_VERSION, Recording, reply_digest};
pub(crate) use trail::millis;
pub use trail::{TRAIL_LENGTH, Trail, TrailEntry, TrailOutcome};
pub use trap::{Frame, RawFrame, TrapCode, TrapRecord};
