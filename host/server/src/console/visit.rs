//! What handlers know of a request, and how they answer.

use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sitewright_console::{Error, Frame, Level, Note, Section, Viewer};
use sitewright_model::time::now_ms;

use crate::problem::{Problem, ProblemKind};

/// Parameters of a query, or fields of a form, that are read.
const MAX_FIELDS: usize = 32;
/// The parameter that says what a form did. The guard removes it if none did.
pub(crate) const DID: &str = "did";

/// Who asks, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) viewer: Viewer,
    pub(crate) csrf: String,
    /// Id of the session, if there is one.
    pub(crate) session: Option<String>,
    /// The parameters of the query.
    pub(crate) query: Fields,
    /// The fields of the form, of a `POST`.
    pub(crate) form: Fields,
}

/// Names with values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        Fields(
            form_urlencoded::parse(bytes)
                .take(MAX_FIELDS)
                .map(|(n, v)| (n.into(), v.into()))
                .collect(),
        )
    }

    /// The value with this name, as it was typed; `None` if it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| value.as_str()).filter(|value| !value.trim().is_empty())
    }

    /// The names, as they came.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Removes all values with this name.
    pub(crate) fn forget(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// The same without white space at both ends.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.trim().to_owned())
    }
}

impl Visit {
    /// What is around a page.
    pub(crate) fn frame(&self, section: Section, title: impl Into<String>) -> Frame {
        Frame {
            section,
            title: title.into(),
            viewer: Some(self.viewer.clone()),
            csrf: self.csrf.clone(),
            note: self.query.get(DID).and_then(done),
            events: None,
            now: now_ms(),
        }
    }
}

/// The guard adds it.
impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Visit>().cloned().ok_or_else(|| {
            Problem::new(ProblemKind::Internal, "the route of this page has no guard")
        })
    }
}

/// What a form did, as the page says that comes next. No text is taken from the address.
fn done(did: &str) -> Option<Note> {
    let note = |level, text: &str| Some(Note { level, text: text.to_owned() });
    match did {
        "queued" => note(Level::Good, "The order is queued again."),
        "cancelled" => note(Level::Good, "The order is cancelled. It can be made again."),
        "stopping" => note(Level::Good, "Its worker is asked to stop it."),
        "already_ended" => note(Level::Warning, "The order had ended; nothing was changed."),
        "revised" => note(Level::Good, "The new document is queued."),
        "revised_same" => note(Level::Warning, "The order has this document already."),
        "bulk_stopping" => note(Level::Good, "It stops after the orders that are being changed."),
        "bulk_ended" => note(Level::Warning, "It had ended; nothing was changed."),
        "redelivered" => note(Level::Good, "It is delivered again."),
        "enabled" => note(Level::Good, "The webhook is enabled: what waits for it is delivered."),
        "chosen" => note(Level::Good, "It is the current release: visitors see it."),
        "chosen_before" => note(Level::Good, "It was the current release already."),
        "moved" => note(
            Level::Warning,
            "Nothing was changed: another release has become current since the page was shown.",
        ),
        "erased" => note(Level::Good, "The order is erased."),
        "paused" => note(Level::Good, "The queue is paused. Orders that run continue."),
        "resumed" => note(Level::Good, "The queue is resumed."),
        "held" => note(Level::Good, "It is held: orders that need it wait."),
        "released" => note(Level::Good, "It is released: its orders are made within seconds."),
        "draining" => note(
            Level::Good,
            "The worker claims no more orders, and exits when those that it has are made.",
        ),
        "undrained" => note(Level::Good, "The worker claims orders again within seconds."),
        "drain_same" => note(Level::Warning, "That was so before; nothing was changed."),
        "breakers_released" => note(
            Level::Good,
            "Its breakers are released: workers let the next call through within seconds.",
        ),
        "breakers_same" => {
            note(Level::Warning, "None of its breakers was open; nothing was changed.")
        }
        "not_held" => note(Level::Warning, "It was not held; nothing was changed."),
        _ => None,
    }
}

/// A page.
pub(crate) fn page(rendered: Result<String, Error>) -> Result<Response, Problem> {
    page_with(StatusCode::OK, rendered)
}

pub(crate) fn page_with(
    status: StatusCode,
    rendered: Result<String, Error>,
) -> Result<Response, Problem> {
    let html = rendered.map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("the page cannot be made: {error}"))
    })?;
    Ok((status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// Leads to another page of the console, with `GET`.
pub(crate) fn see(address: &str) -> Result<Response, Problem> {
    let address = HeaderValue::from_str(address).map_err(|error| {
        let detail = format!("the address of the next page cannot be written: {error}");
        Problem::new(ProblemKind::Internal, detail)
    })?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_only_what_the_console_says() {
        assert_eq!(done("queued").unwrap().text, "The order is queued again.");
        for did in ["evil", "<b>", "queued ", "QUEUED", ""] {
            assert_eq!(done(did).map(|note| note.text), None, "{did:?}");
        }
    }
}
