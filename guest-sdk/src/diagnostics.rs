//! Diagnostics: progress, reports and logs. No function here fails, waits or ends the run.

use std::{error::Error as StdError, fmt, panic::Location};

use crate::{backend, error::chain};

/// Reports the current stage of the run (`strategy`, `copy`, `pages`) and that `done` of `total`
/// steps are complete. `total` is 0 if it is not known.
pub fn progress(stage: impl AsRef<str>, done: u32, total: u32) {
    backend::progress(stage.as_ref(), done, total);
}

/// Adds a diagnostic to the order's report, for what the operator should know although the site is
/// made. At most 256 are kept of a run, the newest.
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

/// Log lines. The host truncates a line over 8 KiB, and keeps the newest 256 KiB of a run.
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

    /// Logs details for the template's author.
    pub fn trace(message: impl Display) {
        backend::log(Level::Trace, &message.to_string());
    }

    /// Logs information for the template's author.
    pub fn debug(message: impl Display) {
        backend::log(Level::Debug, &message.to_string());
    }

    /// Logs a normal event.
    pub fn info(message: impl Display) {
        backend::log(Level::Info, &message.to_string());
    }

    /// Logs something unexpected that the template could handle.
    pub fn warn(message: impl Display) {
        backend::log(Level::Warn, &message.to_string());
    }

    /// Logs a failure.
    pub fn error(message: impl Display) {
        backend::log(Level::Error, &message.to_string());
    }
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "documented at the functions of `log`")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The severity of a [`Diagnostic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Information.
    Info,
    /// The site is worse for it.
    Warning,
    /// Something that the order asks for is missing.
    Error,
}

/// An entry of the order's report; see [`report`].
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// A short, stable code for programs: `no-opening-hours`.
    pub code: String,
    /// The text for people. If it is empty, the host shows the code.
    pub message: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// Where the diagnostic was created.
    pub location: &'static Location<'static>,
    /// Further information as keys and values, at most 32.
    pub attributes: Vec<(String, String)>,
}

impl Diagnostic {
    /// A diagnostic of severity [`Info`](Severity::Info).
    #[track_caller]
    pub fn info(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Diagnostic::new(Severity::Info, code.into(), message.to_string())
    }

    /// A diagnostic of severity [`Warning`](Severity::Warning).
    #[track_caller]
    pub fn warning(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Diagnostic::new(Severity::Warning, code.into(), message.to_string())
    }

    /// A diagnostic of severity [`Error`](Severity::Error).
    #[track_caller]
    pub fn error(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Diagnostic::new(Severity::Error, code.into(), message.to_string())
    }

    #[track_caller]
    fn new(severity: Severity, code: String, message: String) -> Self {
        let location = Location::caller();
        Diagnostic { severity, code, message, causes: Vec::new(), location, attributes: Vec::new() }
    }

    /// Appends a cause to the chain of causes.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Appends an error and all its sources to the chain of causes.
    #[must_use]
    pub fn because(mut self, error: &(dyn StdError + 'static)) -> Self {
        self.causes.extend(chain(error).map(ToString::to_string));
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.attributes.push((name.into(), value.to_string()));
        self
    }
}
