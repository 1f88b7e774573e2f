//! Exit codes of the program.

use std::process::ExitCode;

use strum::{EnumMessage as _, VariantArray as _};

use super::setup::SetupError;
use sitewright_model::failure::FailureKind;

/// Exit codes that scripts may rely on. `--help` lists them from these comments;
/// `docs/src/reference/exit-codes.md` says what to do about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumMessage, strum::VariantArray)]
#[repr(u8)]
pub enum Exit {
    /// done
    Done = 0,
    /// host error
    Host = 1,
    /// wrong usage or configuration
    Usage = 2,
    /// invalid order
    InvalidOrder = 3,
    /// template failed: error, trap or limit
    Template = 4,
    /// AI call failed
    Ai = 5,
    /// output rejected: the site did not pass its checks
    OutputRejected = 6,
    /// cancelled
    Cancelled = 7,
    /// replay differs from the recording, or another build is not fixed
    Diverged = 8,
    /// attempt cannot be replayed
    NotReplayable = 9,
    /// template breaks a rule of the conformance suite
    Nonconforming = 10,
    /// worker did not end in time after SIGTERM
    Forced = sitewright_worker::FORCED_EXIT,
}

impl Exit {
    /// The codes as a section of the help.
    pub(super) fn help() -> String {
        let line = |exit: &Exit| {
            format!("\n  {:>2}  {}", *exit as u8, exit.get_documentation().unwrap_or_default())
        };
        format!("Exit codes:{}", Exit::VARIANTS.iter().map(line).collect::<String>())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<FailureKind> for Exit {
    fn from(kind: FailureKind) -> Exit {
        match kind {
            FailureKind::InvalidOrder => Exit::InvalidOrder,
            FailureKind::TemplateLoad
            | FailureKind::TemplateError
            | FailureKind::Panic
            | FailureKind::Trap
            | FailureKind::CpuLimit
            | FailureKind::MemoryLimit
            | FailureKind::OutputLimit
            | FailureKind::CallLimit
            | FailureKind::Deadline => Exit::Template,
            FailureKind::Ai => Exit::Ai,
            FailureKind::OutputRejected => Exit::OutputRejected,
            FailureKind::Cancelled => Exit::Cancelled,
            FailureKind::Crashed | FailureKind::Host => Exit::Host,
        }
    }
}

impl From<&SetupError> for Exit {
    fn from(error: &SetupError) -> Exit {
        if error.is_usage() { Exit::Usage } else { Exit::Host }
    }
}
