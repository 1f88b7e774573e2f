//! What a template tells about itself. Nothing here fails, waits or ends the run.

use std::{error::Error as StdError, fmt, panic::Location};

use crate::{backend, error::chain};

/// Says which stage the run is in (`strategy`, `copy`, `pages`), with `done` of `total` steps;
/// `total` 0 means unknown.
pub fn progress(stage: impl AsRef<str>, done: u32, total: u32) {
    backend::progress(stage.as_ref(), done, total);
}

/// Adds a diagnostic to the order's report: something worth a line that does not stop the site.
///
/// ```
/// use sitewright_sdk::prelude::*;
///
/// report(
///     Diagnostic::warning("no-hours", "the order has no opening hours: the page leaves them out")
///         .attribute("page", "contact"),
/// );
/// ```
pub fn report(diagnostic: Diagnostic) {
    backend::report(diagnostic);
}

/// Lines of log, at most 8 KiB each; what is longer is cut by the host. Of all a run logs, the
/// newest 256 KiB are kept.
///
/// ```
/// use sitewright_sdk::prelude::*;
///
/// log::info(format!("{} pages", 7));
/// ```
pub mod log {
    use std::fmt::Display;

    use super::Level;
    use crate::backend;

    /// For the template's author, while looking for an error.
    pub fn trace(message: impl Display) {
        backend::log(Level::Trace, &message.to_string());
    }

    /// For the template's author.
    pub fn debug(message: impl Display) {
        backend::log(Level::Debug, &message.to_string());
    }

    /// What happens, in the course of things.
    pub fn info(message: impl Display) {
        backend::log(Level::Info, &message.to_string());
    }

    /// Something is not as it should be, and the template helped itself.
    pub fn warn(message: impl Display) {
        backend::log(Level::Warn, &message.to_string());
    }

    /// Something went wrong.
    pub fn error(message: impl Display) {
        backend::log(Level::Error, &message.to_string());
    }
}

/// How much a line of log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the functions of `log` say it")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// How much a [`Diagnostic`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// The site is worse for it.
    Warning,
    /// Something that was asked for is missing.
    Error,
}

/// Something worth a line in the order's report.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Short, stable, for machines: `no-opening-hours`.
    pub code: String,
    /// For people. The host replaces an empty one by the code.
    pub message: String,
    /// From the outermost cause to the root.
    pub causes: Vec<String>,
    /// Where it was made.
    pub location: &'static Location<'static>,
    /// Names with texts.
    pub attributes: Vec<(String, String)>,
}

impl Diagnostic {
    /// Something good to know.
    #[track_caller]
    pub fn info(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Diagnostic::new(Severity::Info, code.into(), message.to_string())
    }

    /// Something that makes the site worse.
    #[track_caller]
    pub fn warning(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Diagnostic::new(Severity::Warning, code.into(), message.to_string())
    }

    /// Something that was asked for and is missing.
    #[track_caller]
    pub fn error(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Diagnostic::new(Severity::Error, code.into(), message.to_string())
    }

    #[track_caller]
    fn new(severity: Severity, code: String, message: String) -> Self {
        let location = Location::caller();
        Diagnostic { severity, code, message, causes: Vec::new(), location, attributes: Vec::new() }
    }

    /// Adds what led to it, below the causes it already has.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and all its sources as causes.
    #[must_use]
    pub fn because(mut self, error: &(dyn StdError + 'static)) -> Self {
        self.causes.extend(chain(error).map(ToString::to_string));
        self
    }

    /// Adds a name with a text.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.attributes.push((name.into(), value.to_string()));
        self
    }
}
