//! Who may see a page or do something, and is a form one of ours?

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sitewright_console::{Frame, Section, Viewer, address, refused};
use sitewright_jobs::{Scope, Token};
use sitewright_model::time::now_ms;

use super::session::is_same;
use super::visit::{DID, Fields, Visit, page_with, see};
use crate::access::{self, Access, Actor};
use crate::app::App;
use crate::extract::{MAX_SMALL_BODY, read};
use crate::problem::{Problem, ProblemKind, Told};
use crate::refusals;
use crate::revocation::TokenId;
use crate::routes::Route;

/// The cookie with the id of a session.
pub(crate) const SESSION: &str = "sitewright_session";

/// Nothing but what the console itself serves; no script and no style in a page; nobody frames it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Lets a request through that may see the page or do what it asks for.
pub(crate) async fn guard(
    State((app, route)): State<(App, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let (answer, viewer) = answer(app.clone(), route, request, next, &asked).await;
    if let (Some(_), Some(visit)) = (route.action, &viewer) {
        let next = answer.headers().get(LOCATION).and_then(|next| next.to_str().ok());
        app.outcomes.lead(&visit.csrf, next.unwrap_or_default());
    }
    let told = answer.extensions().get::<Told>().cloned();
    let mut answer = match told {
        None => answer,
        Some(told) => as_page(&told, viewer),
    };
    secure(answer.headers_mut());
    answer
}

async fn answer(
    app: App,
    route: &'static Route,
    request: Request,
    next: Next,
    asked: &str,
) -> (Response, Option<Visit>) {
    let (mut parts, body) = request.into_parts();
    if route.access == Access::Public {
        return (next.run(Request::from_parts(parts, body)).await, None);
    }
    let entered = match enter(&app, &parts.headers).await {
        Ok(entered) => entered,
        Err(problem) => return (problem.into_response(), None),
    };
    let Some((actor, mut visit)) = entered else {
        // What a form asked for is not repeated after the login.
        let next = if route.action.is_none() { entrance_for(asked) } else { entrance_for("") };
        return (see(&next).unwrap_or_else(Problem::into_response), None);
    };
    visit.query = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
    if visit.query.get(DID).is_some() && !app.outcomes.see(&visit.csrf, asked) {
        visit.query.forget(DID);
    }
    let Some(action) = route.action else {
        let answer = match access::needs(route, &actor) {
            Err(problem) => problem.into_response(),
            Ok(()) => {
                if let Actor::Token(token) = &actor {
                    parts.extensions.insert(TokenId(token.id.clone()));
                }
                parts.extensions.insert(visit.clone());
                next.run(Request::from_parts(parts, body)).await
            }
        };
        return (answer, Some(visit));
    };
    let subject = access::subject(&mut parts).await;
    let checked = match access::needs(route, &actor) {
        Err(problem) => Err(problem),
        Ok(()) => form(&app, &parts.headers, body, &visit.csrf).await,
    };
    let answer = match checked {
        Ok(form) => {
            visit.form = form;
            parts.extensions.insert(visit.clone());
            let request = Request::from_parts(parts, Body::empty());
            access::audited(app, actor, action, subject, next.run(request)).await
        }
        Err(problem) => {
            let status = problem.kind.status().as_u16();
            refusals::record(&app, &actor, action, subject, status).await;
            problem.into_response()
        }
    };
    (answer, Some(visit))
}

/// Who sent a request; `None` if they have to log in.
async fn enter(app: &App, headers: &HeaderMap) -> Result<Option<(Actor, Visit)>, Problem> {
    if app.lock.is_open(&app.database).await? {
        access::only_for_this_machine(headers)?;
        let viewer = Viewer {
            name: "this machine".to_owned(),
            may_operate: true,
            may_admin: true,
            has_session: false,
        };
        let csrf = app.sessions.local()?;
        return Ok(Some((Actor::Local, visit(viewer, csrf, None))));
    }
    let Some(id) = cookie(headers, SESSION) else { return Ok(None) };
    let now = now_ms();
    let Some(session) = app.sessions.of(&id, now) else { return Ok(None) };
    let token = app.database.token(&session.token).await?;
    let Some(token) = token.filter(|token| token.is_valid_at(now)) else {
        app.sessions.end(&id);
        return Ok(None);
    };
    if let Err(error) = app.database.note_use(&token).await {
        tracing::warn!(%error, token = token.id, "the use of a token could not be recorded");
    }
    let viewer = viewer(&token);
    Ok(Some((Actor::Token(Box::new(token)), visit(viewer, session.csrf, Some(id)))))
}

fn viewer(token: &Token) -> Viewer {
    Viewer {
        name: token.name.clone(),
        may_operate: token.may(Scope::Operate),
        may_admin: token.may(Scope::Admin),
        has_session: true,
    }
}

fn visit(viewer: Viewer, csrf: String, session: Option<String>) -> Visit {
    Visit { viewer, csrf, session, query: Fields::default(), form: Fields::default() }
}

/// The value of a cookie; `None` if there is none, or more than one with this name.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let pairs = all.flat_map(|header| header.split(';')).filter_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then(|| value.to_owned())
    });
    let mut values = pairs;
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// The fields of a form that a page of this server sent, with the secret of the session.
async fn form(app: &App, headers: &HeaderMap, body: Body, csrf: &str) -> Result<Fields, Problem> {
    let fields = fields(app, headers, body).await?;
    if !fields.get("csrf").is_some_and(|given| is_same(given, csrf)) {
        let detail = "the form is not one of this session: it is older, or from another page";
        return Err(Problem::new(ProblemKind::CrossOrigin, detail));
    }
    Ok(fields)
}

/// The fields of a form that a page of this server sent.
pub(crate) async fn fields(app: &App, headers: &HeaderMap, body: Body) -> Result<Fields, Problem> {
    access::from_own_page(headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let detail = format!("the content type is {kind:?} and must be that of a form");
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
    }
    let (bytes, _room) = read(headers, body, app, MAX_SMALL_BODY).await?;
    Ok(Fields::read(&bytes))
}

/// The login that leads to this page, if it is one of the console.
fn entrance_for(asked: &str) -> String {
    let next = own(asked).filter(|next| *next != address::HOME);
    address::with("/console/login", &[("next", next)])
}

/// The text, if it is the address of a page of the console and nothing else.
pub(crate) fn own(address: &str) -> Option<&str> {
    let rest = address.strip_prefix(address::HOME)?;
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"/_.~%=&?-+".contains(&c);
    let is_own = (rest.is_empty() || rest.starts_with(['/', '?']))
        && address.len() <= 1_000
        && address.bytes().all(is_plain)
        && !address.contains("//")
        && !address.contains("/..");
    is_own.then_some(address)
}

/// A problem as a page.
fn as_page(told: &Told, visit: Option<Visit>) -> Response {
    let frame = match visit {
        Some(mut visit) => {
            // It would say what was done before, beside why this was not.
            visit.query = Fields::default();
            visit.frame(Section::Outside, told.kind.title())
        }
        None => outside(told.kind.title()),
    };
    let status = told.kind.status();
    let html = refused(&frame, status.as_u16(), told.kind.title(), &told.detail, hint(told.kind));
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
        ProblemKind::NotEnded => "Wait until it has ended, or cancel it first.",
        ProblemKind::BadRequest => "Correct what is named, and send it again.",
        ProblemKind::StillRunning => "Erase it again when it has ended.",
        ProblemKind::DatabaseUnavailable => {
            "Load the page again; if this lasts, `sitewright doctor` says why."
        }
        ProblemKind::Timeout => "Load the page again, or raise `server.request_ms`.",
        ProblemKind::Internal => "Look at the log of the server.",
        ProblemKind::UnsupportedMediaType
        | ProblemKind::BodyTooLarge
        | ProblemKind::BodyTimeout
        | ProblemKind::NoSuchRoute
        | ProblemKind::NoSuchWebhook
        | ProblemKind::NoSuchDelivery
        | ProblemKind::CallbackRefused
        | ProblemKind::NoSuchTemplate
        | ProblemKind::InvalidOrder
        | ProblemKind::OrderRefused
        | ProblemKind::OtherOrder
        | ProblemKind::OrderDiffers
        | ProblemKind::KeyInUse
        | ProblemKind::TooManyStreams
        | ProblemKind::BadSignature
        | ProblemKind::NoSuchHook
        | ProblemKind::NoSuchHookDelivery
        | ProblemKind::NoSuchBulk => "Go back, and try it again.",
    }
}

fn secure(headers: &mut HeaderMap) {
    let all = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: a browser would not say then which page a form comes from.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=()",
        ),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_console_are_led_to() {
        for address in ["/console", "/console/orders/1%2F2?state=failed&text=a+b", "/console?x=1"] {
            assert_eq!(own(address), Some(address));
        }
        for address in [
            "",
            "/",
            "//evil.example",
            "/console//evil.example",
            "/consoles",
            "/console.evil.example",
            "/console@evil.example",
            "/console/../v1",
            "/console/%0d%0aX: y",
            "/console\\evil.example",
            "/console/\r\nX: y",
            "https://evil.example/console",
            "javascript:alert(1)",
        ] {
            assert_eq!(own(address), None, "{address:?}");
        }
    }

    #[test]
    fn a_cookie_that_comes_twice_is_none() {
        let of = |texts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(COOKIE, HeaderValue::from_static(text));
            }
            cookie(&headers, "a")
        };
        assert_eq!(of(&["b=1; a=2;c=3"]).as_deref(), Some("2"));
        for texts in [&["a=1; a=2"][..], &["a=1", "a=2"], &["aa=1"], &["b=a"], &[]] {
            assert_eq!(of(texts), None, "{texts:?}");
        }
    }
}
