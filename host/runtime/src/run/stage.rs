//! The host's stages of an attempt.

use crate::host_functions::RunProgress;

/// A stage of an attempt. Progress and failure records show its name; while the template runs,
/// they show the template's own stage as soon as it has reported one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The order document is read and checked.
    Order,
    /// The template is loaded, and the order checked against the template's schema.
    Template,
    /// The template runs.
    Run,
    /// The site is checked.
    Checks,
    /// The site becomes a release.
    Release,
}

impl Stage {
    /// The name in records, progress and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Order => "order",
            Stage::Template => "template",
            Stage::Run => "run",
            Stage::Checks => "checks",
            Stage::Release => "release",
        }
    }
}

/// The stage has just begun: none of its steps is known.
impl From<Stage> for RunProgress {
    fn from(stage: Stage) -> Self {
        RunProgress { stage: stage.as_str().to_owned(), done: 0, total: 0 }
    }
}
