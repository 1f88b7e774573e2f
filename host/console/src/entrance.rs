//! The login, and pages that cannot be shown.

use askama::Template as _;

use super::frame::Frame;

#[derive(askama::Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    f: &'a Frame,
    next: &'a str,
    complaint: Option<&'a str>,
    provider: Option<&'a Provider>,
}

/// An identity provider that people can log in with.
#[derive(Debug, Clone)]
pub struct Provider {
    /// What people call it.
    pub label: String,
    /// Where the login begins.
    pub href: String,
}

/// The form for a token, and the button of the identity provider. `next` is the page that is shown
/// afterwards.
///
/// # Errors
/// Never, as far as is known.
pub fn login(
    frame: &Frame,
    next: &str,
    complaint: Option<&str>,
    provider: Option<&Provider>,
) -> Result<String, askama::Error> {
    LoginPage { f: frame, next, complaint, provider }.render()
}

#[derive(askama::Template)]
#[template(path = "entered.html")]
struct EnteredPage<'a> {
    f: &'a Frame,
    next: &'a str,
}

/// Says that somebody is logged in, and leads on to the page `next`.
///
/// # Errors
/// Never, as far as is known.
pub fn entered(frame: &Frame, next: &str) -> Result<String, askama::Error> {
    EnteredPage { f: frame, next }.render()
}

#[derive(askama::Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    f: &'a Frame,
    status: u16,
    title: &'a str,
    detail: &'a str,
    hint: &'a str,
    needs_login: bool,
}

/// Says why a page is not shown, or why nothing was done.
///
/// # Errors
/// Never, as far as is known.
pub fn refused(
    frame: &Frame,
    status: u16,
    title: &str,
    detail: &str,
    hint: &str,
    needs_login: bool,
) -> Result<String, askama::Error> {
    RefusedPage { f: frame, status, title, detail, hint, needs_login }.render()
}
