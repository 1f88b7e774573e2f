//! Logging in and out, and the files that pages refer to.

use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use secrecy::SecretString;
use sitewright_console::{Frame, address, assets, login as login_page};
use sitewright_jobs::{Scope, Token};
use sitewright_model::time::now_ms;

use super::guard::{fields, own};
use super::identity::{SESSION, cookie};
use super::refusal::outside;
use super::session::{Holder, LASTS_MS, is_same, random};
use super::visit::{Fields, Visit, page_with, see};
use crate::access::{self, Actor, Audited};
use crate::app::App;
use crate::extract::MAX_SMALL_BODY;
use crate::problem::{Problem, ProblemKind};
use crate::refusals;

/// The cookie with the secret of the form for a token, which there is no session for yet.
const FORM: &str = "sitewright_login";
/// Why somebody does not get in who has no session.
const NEEDS_LINK: &str =
    "this server has printed a link to its console, and nobody gets in without";
/// Set by proxies.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Where browsers say that they prefetch or prerender a page; the last two are those of older ones.
const PURPOSES: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];

/// `GET /`.
pub(crate) async fn home() -> Result<Response, Problem> {
    see(address::HOME)
}

/// `GET /console/assets/{name}`.
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let Some(asset) = assets::asset(&name) else {
        let name: String = name.chars().take(100).collect();
        return Err(Problem::new(ProblemKind::NoSuchPath, format!("there is no file {name:?}")));
    };
    // Another version has another address.
    let headers = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.bytes).into_response())
}

/// `GET /console/login`.
pub(crate) async fn login(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    if app.lock.is_open(&app.database).await? {
        if app.link.is_needed() {
            return Err(Problem::new(ProblemKind::LinkNeeded, NEEDS_LINK));
        }
        return see(address::HOME);
    }
    let query = Fields::read(request.uri().query().unwrap_or_default().as_bytes());
    let next = query.get("next").and_then(own).unwrap_or_default();
    form(request.headers(), StatusCode::OK, next, None)
}

/// `GET /console/enter`: the one-time link that `sitewright serve` prints.
pub(crate) async fn by_link(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    if !app.lock.is_open(&app.database).await? {
        return see("/console/login");
    }
    access::only_for_this_machine(&app, &parts.headers)?;
    if parts.method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    if is_prefetch(&parts.headers) {
        // Not a success: a browser would keep that as the page.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let query = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
    let key = query.text("key").unwrap_or_default();
    let is_right = app.link.is_used_with(&key, Instant::now());
    let status = if is_right { StatusCode::SEE_OTHER } else { StatusCode::UNAUTHORIZED };
    let subject = access::subject(&mut parts).await;
    refusals::record(&app, &Actor::Local, "session.begin", subject, status.as_u16()).await;
    if !is_right {
        let detail = "the link was used before, is too old, or is not one of this server";
        return Err(Problem::new(ProblemKind::LinkNeeded, detail));
    }
    let id = app.sessions.begin(Holder::Link, now_ms())?;
    let mut response = see(address::HOME)?;
    set_cookie(&mut response, &parts.headers, SESSION, &id, LASTS_MS / 1_000)?;
    Ok(response)
}

/// Whether a browser looks at a link before anybody has followed it.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.to_ascii_lowercase().contains("prefetch"))
    };
    PURPOSES.iter().any(says)
}

/// The form for a token, with a secret that its cookie has as well.
fn form(
    headers: &HeaderMap,
    status: StatusCode,
    next: &str,
    complaint: Option<&str>,
) -> Result<Response, Problem> {
    let secret = random()?;
    let frame = Frame { csrf: secret.clone(), ..outside("Log in") };
    let mut response = page_with(status, login_page(&frame, next, complaint))?;
    set_cookie(&mut response, headers, FORM, &secret, 3_600)?;
    Ok(response)
}

/// `POST /console/login`.
pub(crate) async fn begin(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let subject = access::subject(&mut parts).await;
    let headers = &parts.headers;
    let fields = fields(&app, headers, body, MAX_SMALL_BODY).await?;
    let next = fields.get("next").and_then(own).unwrap_or(address::HOME);
    let secret = cookie(headers, FORM).unwrap_or_default();
    if !fields.get("csrf").is_some_and(|given| is_same(given, &secret)) {
        let why = "The form was too old. Send it again; the browser must accept cookies.";
        return form(headers, StatusCode::FORBIDDEN, next, Some(why));
    }
    let Some(token) = valid(&app, &fields).await? else {
        tracing::warn!(client = subject.1, "a login was refused: its token is not valid");
        refusals::record_unknown(&app, "session.begin", subject, 401).await;
        // One text for all: it says nothing about which tokens there are.
        let why = "The token is not known, has expired or was revoked.";
        return form(headers, StatusCode::UNAUTHORIZED, next, Some(why));
    };
    let actor = Actor::Token(Box::new(token.clone()));
    let status = if token.may(Scope::Read) { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
    refusals::record(&app, &actor, "session.begin", subject, status.as_u16()).await;
    if !token.may(Scope::Read) {
        let why = "This token may not read. The console needs one with the scope read, operate or \
                   admin.";
        return form(headers, StatusCode::FORBIDDEN, next, Some(why));
    }
    if let Some(before) = cookie(headers, SESSION) {
        app.sessions.end(&before);
    }
    let id = app.sessions.begin(Holder::Token(token.id.clone()), now_ms())?;
    let mut response = see(next)?;
    set_cookie(&mut response, headers, SESSION, &id, LASTS_MS / 1_000)?;
    set_cookie(&mut response, headers, FORM, "", 0)?;
    Ok(response)
}

/// The token in the form, if it is valid.
async fn valid(app: &App, fields: &Fields) -> Result<Option<Token>, Problem> {
    let token = SecretString::from(fields.text("token").unwrap_or_default());
    let Some(digest) = sitewright_control::digest_of(&token) else { return Ok(None) };
    let known = app.database.token_of(&digest).await?;
    Ok(known.filter(|token| token.is_valid_at(now_ms())))
}

/// `POST /console/logout`.
pub(crate) async fn end(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(session) = visit.session else {
        // Without tokens there is none.
        let mut response = see(address::HOME)?;
        response.extensions_mut().insert(Audited::Nothing);
        return Ok(response);
    };
    app.sessions.end(&session);
    let mut response = see("/console/login")?;
    set_cookie(&mut response, &headers, SESSION, "", 0)?;
    Ok(response)
}

/// Sets a cookie for the console, for this many seconds; 0 removes it.
fn set_cookie(
    response: &mut Response,
    headers: &HeaderMap,
    name: &str,
    value: &str,
    seconds: i64,
) -> Result<(), Problem> {
    let secure = if is_https(headers) { "; Secure" } else { "" };
    let text = format!(
        "{name}={value}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
    );
    let value = HeaderValue::from_str(&text).map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("a cookie cannot be written: {error}"))
    })?;
    response.headers_mut().append(SET_COOKIE, value);
    Ok(())
}

/// Whether the browser came with TLS, as its own header of a form says, or the proxy in front. Who
/// lies about it changes only their own cookie.
fn is_https(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    text(&ORIGIN).is_some_and(|origin| origin.starts_with("https://"))
        || text(&FORWARDED_PROTO).is_some_and(|proto| {
            proto.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("https"))
        })
}
