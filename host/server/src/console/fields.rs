//! Which fields a form has that changes something, and which parameters the page that asks before.
//!
//! Elsewhere an unknown parameter does no harm. Here it can be a filter that somebody misspelt, and
//! all orders would be changed in place of some.

use axum::http::Method;

use super::visit::Fields;
use crate::app::Surface;
use crate::problem::{Problem, ProblemKind};
use crate::routes::{Route, pages};

/// The fields of the forms at a path, besides the secret of the session.
fn fields(path: &str) -> &'static [&'static str] {
    match path {
        "/console/bulk" => &["do", "state", "template", "kind", "text", "cause", "until", "most"],
        "/console/orders/{id}/use" => &["release", "expected"],
        "/console/orders/{id}/revise" => &["revision", "template", "document", "step"],
        "/console/orders/{id}/erase" => &["confirm"],
        "/console/failures/{fingerprint}/retry" => &["until", "most"],
        "/console/holds/set" | "/console/holds/release" => &["hold", "reason", "from"],
        _ => &[],
    }
}

/// Whether a route changes something, or is the page that asks before.
fn is_about_a_change(route: &Route) -> bool {
    let is_form = |other: &Route| other.path == route.path && other.method == Method::POST;
    pages(Surface::Api).any(is_form)
}

/// Refuses the query of a page that knows another one.
pub(super) fn check_query(route: &Route, query: &Fields) -> Result<(), Problem> {
    match (is_about_a_change(route), route.action) {
        (false, _) => Ok(()),
        (true, None) => check(query, fields(route.path), "the page"),
        (true, Some(_)) => check(query, &[], "the address of the form"),
    }
}

/// Refuses the form of a page that has other fields.
pub(super) fn check_form(route: &Route, form: &Fields) -> Result<(), Problem> {
    let mut known = fields(route.path).to_vec();
    known.push("csrf");
    check(form, &known, "the form")
}

fn check(given: &Fields, known: &[&str], what: &str) -> Result<(), Problem> {
    let mut seen = Vec::new();
    for name in given.names() {
        let shown: String = name.chars().take(50).collect();
        let why = if !known.contains(&name) {
            match known {
                [] => format!("{what} has no parameters, and {shown:?} was sent"),
                known => {
                    let known = known.join(", ");
                    format!("{what} has no {shown:?}; what it has is {known}")
                }
            }
        } else if seen.contains(&name) {
            format!("{what} has {shown:?} once, and it was sent twice")
        } else {
            seen.push(name);
            continue;
        };
        return Err(Problem::new(ProblemKind::BadRequest, format!("{why}; nothing was done")));
    }
    Ok(())
}
