//! What went wrong, whole: one record for every attempt that did not succeed.

pub mod coredump;
mod event;
pub mod fingerprint;
pub mod group;
mod kind;
mod python;
mod record;
mod recording;
pub mod render;
pub mod schema;
mod source;
pub mod store;
pub mod symbolize;
mod trail;
mod trap;

pub use event::emit;
pub use kind::FailureKind;
pub use python::PythonException;

pub use record::{
    AiCallTries, AiFailure, Diagnostic, FailureRecord, LogTail, OfAttempt, Problem, Progress,
    RECORD_VERSION, Severity, SourceLocation, TemplateRef,
};
pub(crate) use record::{now, top_frame};
pub use recording::{
    AiEnd, AiOpen, Files, MARKS, Mark, Marks, RECORDING_VERSION, Recording, reply_digest,
};
pub use source::{SourceExcerpt, from_folder};
pub(crate) use trail::millis;
pub use trail::{Ended, NewCall, TRAIL_LENGTH, Trail, TrailEntry, TrailOutcome};
pub use trap::{Frame, RawFrame, TrapCode, TrapRecord};
