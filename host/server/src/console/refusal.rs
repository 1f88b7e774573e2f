//! Problems as pages: what a browser gets where a program gets `application/problem+json`.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use sitewright_console::{Frame, Section, address, refused};
use sitewright_model::time::now_ms;

use super::headers::secure;
use super::visit::{Fields, Visit, page_with};
use crate::problem::{ProblemKind, Told};

/// Whether what a browser gets at this path is a page.
pub(crate) fn is_page(path: &str) -> bool {
    path.strip_prefix(address::HOME).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A problem as a page.
pub(super) fn as_page(told: &Told, visit: Option<Visit>) -> Response {
    let frame = match visit {
        Some(mut visit) => {
            // It would say what was done before, beside why this was not.
            visit.query = Fields::default();
            visit.frame(Section::Outside, told.kind.title())
        }
        None => outside(told.kind.title()),
    };
    let status = told.kind.status();
    let (title, needs_login) = (told.kind.title(), told.kind == ProblemKind::Unauthorized);
    let (detail, hint) = (&told.detail, hint(told.kind));
    let html = refused(&frame, status.as_u16(), title, detail, hint, needs_login);
    page_with(status, html).unwrap_or_else(|problem| {
        // Not a problem's own answer, which would become a page again.
        tracing::error!(detail = problem.detail, "a page that says why there is none");
        (StatusCode::INTERNAL_SERVER_ERROR, problem.detail).into_response()
    })
}

/// What is around a page before the login.
pub(crate) fn outside(title: &str) -> Frame {
    Frame {
        section: Section::Outside,
        title: title.to_owned(),
        viewer: None,
        csrf: String::new(),
        note: None,
        events: None,
        now: now_ms(),
    }
}

/// Says that there is no such page.
pub(crate) fn no_page(kind: ProblemKind, detail: String) -> Response {
    let mut answer = as_page(&Told { kind, detail }, None);
    secure(answer.headers_mut());
    answer
}

/// What to do, for somebody in front of a browser.
fn hint(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unauthorized => "Log in with a token that is valid.",
        ProblemKind::LinkNeeded => {
            "Open the link that `sitewright serve` printed: it is valid once, for 15 minutes. \
             Its session is of the host in that link, and of no other. Starting it again prints \
             another; with a token (`sitewright token create NAME --scope SCOPE`) there is a form to \
             log in."
        }
        ProblemKind::Forbidden => {
            "Log in with a token that has the scope; `sitewright token create NAME --scope SCOPE` \
             makes one."
        }
        ProblemKind::CrossOrigin => {
            "Open the address of the console yourself, go back to the page, and send its form again."
        }
        ProblemKind::WrongHost => {
            "Open the console at 127.0.0.1 or localhost, or make a token: then its name does not \
             matter."
        }
        ProblemKind::NoSuchPath | ProblemKind::MethodNotAllowed => {
            "The navigation leads to all pages there are."
        }
        ProblemKind::NoSuchOrder => {
            "It may have been erased, or have expired; the list of orders has those there are."
        }
        ProblemKind::NoSuchFailure => {
            "It may have been erased, or have expired; the list of failures has those there are."
        }
        ProblemKind::NoSuchRelease => {
            "Only the newest releases of an order are kept; its page lists them."
        }
        ProblemKind::NotEnded => "Wait until it has ended, or cancel it first.",
        ProblemKind::BadRequest => "Correct what is named, and send it again.",
        ProblemKind::StillRunning => "Erase it again when it has ended.",
        ProblemKind::DatabaseUnavailable => {
            "Load the page again; if this lasts, `sitewright doctor` says why."
        }
        ProblemKind::TooManyChanges => "Wait until one has ended, or stop it: Orders lists them.",
        ProblemKind::TooManyReplays | ProblemKind::TooManyExports => {
            "Wait until it has ended, and press the button again."
        }
        ProblemKind::RateLimited => "Wait for a minute, and load the page again.",
        ProblemKind::Timeout => "Load the page again, or raise `server.request_ms`.",
        ProblemKind::Internal => "Look at the log of the server.",
        ProblemKind::UnsupportedMediaType
        | ProblemKind::BodyTooLarge
        | ProblemKind::BodyTimeout
        | ProblemKind::UnknownCoding
        | ProblemKind::NoSuchRoute
        | ProblemKind::NoSuchProvider
        | ProblemKind::NoSuchWebhook
        | ProblemKind::NoSuchDelivery
        | ProblemKind::CallbackRefused
        | ProblemKind::NoSuchTemplate
        | ProblemKind::InvalidOrder
        | ProblemKind::OrderRefused
        | ProblemKind::OtherOrder
        | ProblemKind::OrderDiffers
        | ProblemKind::KeyInUse
        | ProblemKind::IdInUse
        | ProblemKind::TooManyStreams
        | ProblemKind::BadSignature
        | ProblemKind::NoSuchHook
        | ProblemKind::NoSuchHookDelivery
        | ProblemKind::NoSuchWorker
        | ProblemKind::NoSuchBulk => "Go back, and try it again.",
    }
}
