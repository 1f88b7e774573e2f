//! What is known of an attempt while it is made, and why it has no release.

use std::any::Any;
use std::sync::Arc;

use super::classify::Classified;
use super::end::RunEnd;
use super::outcome::Totals;
use super::stage::Stage;
use crate::plugin::Template;
use sitewright_ai::RunJournal;
use sitewright_model::failure::{FailureKind, Problem, TemplateRef};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::panic::panic_text;
use sitewright_site::Staging;

/// Everything known of an attempt so far. Each stage adds to it, so that the failure record is
/// complete wherever the attempt ends.
pub(super) struct AttemptState {
    pub(super) stage: Stage,
    /// The order's id; `unknown` until the document is read.
    pub(super) order: String,
    /// Size of the order document as it came.
    pub(super) order_bytes: u64,
    /// SHA-256 of the order document as it came; empty if nothing of the attempt is kept.
    pub(super) document_sha256: String,
    pub(super) template: TemplateRef,
    pub(super) loaded: Option<Arc<Template>>,
    /// The limit on compiling, or on checks with its schema, that the template hit, and its value.
    pub(super) compile_limit: Option<(&'static str, u64)>,
    pub(super) journal: Option<Arc<RunJournal>>,
    pub(super) staging: Option<Staging>,
    pub(super) run: Option<RunEnd>,
    /// What the checks of the site used.
    pub(super) checks: CheckUse,
    /// Measured once, when the run has ended well; otherwise by the report.
    pub(super) totals: Option<Totals>,
}

/// What the checks of a site used of their limits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CheckUse {
    /// Milliseconds of processor time.
    pub(super) ms: u64,
    /// Whether they used all of the memory they may.
    pub(super) all_memory: bool,
}

/// Why an attempt has no release.
pub(super) struct AttemptError {
    pub(super) classified: Classified,
    /// Everything that is wrong with the order document or the site.
    pub(super) problems: Vec<Problem>,
}

impl AttemptError {
    pub(super) fn new(kind: FailureKind, message: Message) -> Self {
        AttemptError::from(Classified::new(kind, message))
    }

    /// See [`Classified::refused`].
    pub(super) fn refused(message: Message, error: &(dyn std::error::Error + 'static)) -> Self {
        AttemptError::from(Classified::refused(message, error))
    }

    /// The host's own code panicked.
    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let why = panic_text(payload);
        let message = message!("the host panicked, which is a bug in Sitewright: {why}");
        AttemptError::new(FailureKind::Host, message)
    }

    pub(super) fn with_causes(mut self, causes: Vec<Message>) -> Self {
        self.classified.causes = causes;
        self
    }

    pub(super) fn with_problems(self, problems: Vec<Problem>) -> Self {
        AttemptError { problems, ..self }
    }
}

impl From<Classified> for AttemptError {
    fn from(classified: Classified) -> Self {
        AttemptError { classified, problems: Vec::new() }
    }
}
