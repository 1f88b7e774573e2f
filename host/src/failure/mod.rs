//! What went wrong, whole: one record for every attempt that did not succeed.

mod kind;
mod record;
pub mod render;
pub mod store;
pub mod symbolize;
mod trail;
mod trap;

pub use kind::FailureKind;
pub use record::{
    AiFailure, Diagnostic, FailureRecord, LogTail, Problem, Progress, RECORD_VERSION, Severity, SourceLocation, TemplateRef,
};
pub(crate) use trail::millis;
pub use trail::{Trail, TrailEntry, TrailOutcome, TRAIL_LENGTH};
pub use trap::{Frame, RawFrame, TrapCode, TrapRecord};
