//! The error type of a template, which the host receives with all its causes.

use std::{error::Error as StdError, fmt, panic::Location};

use crate::{ai, site};

/// The result type of a template's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the template could not generate the site: a code, a message, the chain of causes, the source
/// location, and the AI calls that caused it.
///
/// `?` converts any error, with all its sources as causes. [`Context`] adds what the template was
/// doing:
///
/// ```
/// use sitewright_sdk::prelude::*;
///
/// fn years(text: &str) -> Result<u32> {
///     text.parse().with_context(|| format!("while reading `{text}` as years in business"))
/// }
///
/// let error = years("many").unwrap_err();
/// assert_eq!(error.message(), "while reading `many` as years in business");
/// assert_eq!(error.causes(), ["invalid digit found in string"]);
/// ```
///
/// An error with a code of its own, for a condition that only the template knows:
///
/// ```
/// # use sitewright_sdk::prelude::*;
/// let error = Error::new(
///     "missing-service",
///     "the order has no services, but the services page needs them",
/// )
/// .attribute("page", "services");
/// assert_eq!(error.code(), "missing-service");
/// ```
//
// It does not implement `std::error::Error`, so that `?` can convert every type that does.
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    code: String,
    message: String,
    causes: Vec<String>,
    location: &'static Location<'static>,
    ai_calls: Vec<String>,
    attributes: Vec<(String, String)>,
}

impl Error {
    /// An error with a short, stable code for programs (`missing-service`) and a message for the
    /// operator: what happened and what to do about it. A blank message is replaced by one that
    /// names the code, a blank code by `error`.
    #[track_caller]
    pub fn new(code: impl Into<String>, message: impl fmt::Display) -> Self {
        let code = Some(code.into())
            .filter(|code| !code.trim().is_empty())
            .unwrap_or_else(|| "error".to_owned());
        let message = non_blank(message.to_string()).unwrap_or_else(|| {
            format!("the template failed with the code `{code}` and gave no message")
        });
        Error(Box::new(Inner {
            code,
            message,
            causes: Vec::new(),
            location: Location::caller(),
            ai_calls: Vec::new(),
            attributes: Vec::new(),
        }))
    }

    /// Converts another error, as `?` does: all sources become causes, and the failed AI calls
    /// among them are blamed.
    ///
    /// The code is that of the first known error in the chain: `ai-<kind>`, `write-<kind>`,
    /// `rendering`, `json` or `formatting`; otherwise `error`.
    #[track_caller]
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        let chain: Vec<&(dyn StdError + 'static)> = chain(error).collect();
        let code =
            chain.iter().find_map(|error| code_of(*error)).unwrap_or_else(|| "error".to_owned());
        let mut converted = Error::new(code, error);
        let mut parent = converted.message().to_owned();
        for cause in &chain[1..] {
            // Many types print their source in their own message.
            if let Some(text) = non_blank(cause.to_string()) {
                if !parent.ends_with(&text) {
                    converted.0.causes.push(text.clone());
                }
                parent = text;
            }
        }
        chain
            .iter()
            .filter_map(|error| error.downcast_ref::<ai::Error>())
            .fold(converted, |converted, failed| converted.blame(&failed.call_id))
    }

    /// Replaces the code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = code.into();
        self
    }

    /// Appends a cause to the chain of causes. A blank one is ignored.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.causes.extend(non_blank(cause.to_string()));
        self
    }

    /// Adds an attribute to the failure record. At most 32 are kept.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.0.attributes.push((name.into(), value.to_string()));
        self
    }

    /// Blames an AI call whose reply was unusable, by its
    /// [`Completion::call_id`](ai::Completion::call_id). A retry of the order sends that call again
    /// and replays the others. Calls that failed are blamed automatically.
    #[must_use]
    pub fn blame(mut self, call_id: impl Into<String>) -> Self {
        let call_id = call_id.into();
        if !call_id.is_empty() && !self.0.ai_calls.contains(&call_id) {
            self.0.ai_calls.push(call_id);
        }
        self
    }

    /// Adds what the template was doing: `message` becomes the message, the old message the first
    /// cause. A blank message changes nothing.
    #[must_use]
    pub fn context(mut self, message: impl fmt::Display) -> Self {
        if let Some(message) = non_blank(message.to_string()) {
            let inner = std::mem::replace(&mut self.0.message, message);
            self.0.causes.insert(0, inner);
        }
        self
    }

    /// The code: short and stable, for programs.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The message. Never empty.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The chain of causes, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// Where the error was created or converted.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// Ids of the AI calls that caused the error.
    pub fn ai_calls(&self) -> &[String] {
        &self.0.ai_calls
    }

    /// The attributes, as keys and values.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.0.attributes
    }
}

/// The error and all its sources, outermost first.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> + 'a {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The text without surrounding white space; `None` if nothing is left.
fn non_blank(text: String) -> Option<String> {
    let trimmed = text.trim();
    match trimmed.len() {
        0 => None,
        length if length == text.len() => Some(text),
        _ => Some(trimmed.to_owned()),
    }
}

fn code_of(error: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<ai::Error>() {
        Some(format!("ai-{}", error.kind))
    } else if let Some(error) = error.downcast_ref::<site::WriteError>() {
        Some(format!("write-{}", error.kind))
    } else if error.is::<askama::Error>() {
        Some("rendering".to_owned())
    } else if error.is::<serde_json::Error>() {
        Some("json".to_owned())
    } else if error.is::<fmt::Error>() {
        Some("formatting".to_owned())
    } else {
        None
    }
}

impl<E: StdError + 'static> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        Error::of(&error)
    }
}

/// Writes the message, and with `{:#}` the causes after it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        if f.alternate() {
            for cause in self.causes() {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

/// Writes all parts of the error on several lines, for the output of tests.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] at {}", self.message(), self.code(), self.location())?;
        for cause in self.causes() {
            write!(f, "\n  because: {cause}")?;
        }
        for call in self.ai_calls() {
            write!(f, "\n  AI call: {call}")?;
        }
        for (name, value) in self.attributes() {
            write!(f, "\n  {name}: {value}")?;
        }
        Ok(())
    }
}

/// Adds what the template was doing to an error, or turns `None` into an error.
pub trait Context<T>: private::Sealed {
    /// Replaces the message of the error; the old one becomes the first cause.
    ///
    /// # Errors
    /// If the value is `Err` or `None`.
    #[track_caller]
    fn context(self, message: impl fmt::Display) -> Result<T>;

    /// As [`Context::context`], with a message that is built only if it is needed.
    ///
    /// # Errors
    /// If the value is `Err` or `None`.
    #[track_caller]
    fn with_context<M: fmt::Display>(self, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: private::IntoError> Context<T> for std::result::Result<T, E> {
    #[track_caller]
    fn context(self, message: impl fmt::Display) -> Result<T> {
        // In a closure `#[track_caller]` would have no effect.
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.into_error().context(message)),
        }
    }

    #[track_caller]
    fn with_context<M: fmt::Display>(self, message: impl FnOnce() -> M) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.into_error().context(message())),
        }
    }
}

/// `None` becomes an error with the code `missing`.
impl<T> Context<T> for Option<T> {
    #[track_caller]
    fn context(self, message: impl fmt::Display) -> Result<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(Error::new("missing", message)),
        }
    }

    #[track_caller]
    fn with_context<M: fmt::Display>(self, message: impl FnOnce() -> M) -> Result<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(Error::new("missing", message())),
        }
    }
}

mod private {
    use super::{Error, StdError};

    pub trait Sealed {}
    impl<T, E: IntoError> Sealed for std::result::Result<T, E> {}
    impl<T> Sealed for Option<T> {}

    /// The error types for which [`Context`](super::Context) is implemented: any error, and
    /// [`Error`] itself.
    pub trait IntoError {
        #[track_caller]
        fn into_error(self) -> Error;
    }

    impl IntoError for Error {
        fn into_error(self) -> Error {
            self
        }
    }

    impl<E: StdError + 'static> IntoError for E {
        #[track_caller]
        fn into_error(self) -> Error {
            Error::of(&self)
        }
    }
}
