//! What went wrong, whole: one record for every attempt that did not succeed.

pub mod coredump;
mod kind;
mod python;
mod record;
pub mod render;
mod source;
pub mod store;
pub mod symbolize;
mod trail;
mod trap;

pub use kind::FailureKind;
pub use python::PythonException;
pub(crate) use record::now;
pub use record::{
    AiFailure, Diagnostic, FailureRecord, LogTail, OfAttempt, Problem, Progress, RECORD_VERSION, Severity,
    SourceLocation, TemplateRef,
};
pub use source::{SourceExcerpt, from_folder};
pub(crate) use trail::millis;
pub use trail::{TRAIL_LENGTH, Trail, TrailEntry, TrailOutcome};
pub use trap::{Frame, RawFrame, TrapCode, TrapRecord};
