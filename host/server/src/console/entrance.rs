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
use super::identity::{SESSION, has_own_cookies, kept};
use super::oidc::provider;
use super::refusal::outside;
use super::session::{Holder, LASTS_MS, is_same, random};
use super::visit::{Fields, Visit, page_with, see};
use crate::access::{self, Actor, Audited};
use crate::app::App;
use crate::bodies::BodyHolder;
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
    form(&app, request.headers(), StatusCode::OK, next, None)
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
    Cookie::session(&id, Protection::of(&app, &parts.headers)).set(&mut response)?;
    Ok(response)
}

/// Whether a browser looks at a link before anybody has followed it.
pub(super) fn is_prefetch(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.to_ascii_lowercase().contains("prefetch"))
    };
    PURPOSES.iter().any(says)
}

/// The form for a token, with a secret that its cookie has as well, and the way to the identity
/// provider.
pub(super) fn form(
    app: &App,
    headers: &HeaderMap,
    status: StatusCode,
    next: &str,
    complaint: Option<&str>,
) -> Result<Response, Problem> {
    let secret = random()?;
    let frame = Frame { csrf: secret.clone(), ..outside("Log in") };
    let provider = app.oidc.as_ref().map(|oidc| provider(oidc, next));
    let mut response = page_with(status, login_page(&frame, next, complaint, provider.as_ref()))?;
    Cookie::form(&secret, Protection::of(app, headers)).set(&mut response)?;
    Ok(response)
}

/// `POST /console/login`.
pub(crate) async fn begin(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let subject = access::subject(&mut parts).await;
    let headers = &parts.headers;
    let holder = BodyHolder::of(&parts.extensions);
    let fields = fields(&app, headers, body, MAX_SMALL_BODY, holder).await?;
    let next = fields.get("next").and_then(own).unwrap_or(address::HOME);
    let secret = kept(&app, headers, FORM).unwrap_or_default();
    if !fields.get("csrf").is_some_and(|given| is_same(given, &secret)) {
        let why = "The form was too old. Send it again; the browser must accept cookies.";
        return form(&app, headers, StatusCode::FORBIDDEN, next, Some(why));
    }
    let Some(token) = valid(&app, &fields).await? else {
        tracing::warn!(client = subject.1, "a login was refused: its token is not valid");
        refusals::record_unknown(&app, "session.begin", subject, 401).await;
        // One text for all: it says nothing about which tokens there are.
        let why = "The token is not known, has expired or was revoked.";
        return form(&app, headers, StatusCode::UNAUTHORIZED, next, Some(why));
    };
    let actor = Actor::Token(Box::new(token.clone()));
    let status = if token.may(Scope::Read) { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
    refusals::record(&app, &actor, "session.begin", subject, status.as_u16()).await;
    if !token.may(Scope::Read) {
        let why = "This token may not read. The console needs one with the scope read, operate or \
                   admin.";
        return form(&app, headers, StatusCode::FORBIDDEN, next, Some(why));
    }
    if let Some(before) = kept(&app, headers, SESSION) {
        app.sessions.end(&before);
    }
    let id = app.sessions.begin(Holder::Token(token.id.clone()), now_ms())?;
    let mut response = see(next)?;
    let protection = Protection::of(&app, headers);
    Cookie::session(&id, protection).set(&mut response)?;
    Cookie::form("", protection).removed().set(&mut response)?;
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
    Cookie::session("", Protection::of(&app, &headers)).removed().set(&mut response)?;
    Ok(response)
}

/// Where a cookie is sent, and who can set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// Without TLS, too.
    None,
    /// With TLS only.
    Secure,
    /// With TLS only, and no other host can set it (`__Host-`): a page of a sibling host could log
    /// somebody in as somebody else with a cookie for all hosts of their domain.
    OwnHost,
}

impl Protection {
    /// Of cookies that answer this request.
    fn of(app: &App, headers: &HeaderMap) -> Self {
        if has_own_cookies(app) {
            Protection::OwnHost
        } else if is_https(headers) {
            Protection::Secure
        } else {
            Protection::None
        }
    }
}

/// The name of a cookie that no other host can set.
pub(super) fn of_own_host(name: &str) -> String {
    format!("__Host-{name}")
}

/// A cookie of the console, which no script reads.
pub(super) struct Cookie<'a> {
    /// Without `__Host-`.
    pub(super) name: &'static str,
    pub(super) value: &'a str,
    /// With [`Protection::OwnHost`] it is `/` in its place.
    pub(super) path: &'static str,
    /// `Strict` or `Lax`.
    pub(super) same_site: &'static str,
    /// How long it lasts.
    pub(super) seconds: i64,
    pub(super) protection: Protection,
}

impl<'a> Cookie<'a> {
    /// The one with the id of a session.
    pub(super) fn session(id: &'a str, protection: Protection) -> Self {
        let seconds = LASTS_MS / 1_000;
        Cookie { name: SESSION, value: id, seconds, ..Cookie::form(id, protection) }
    }

    /// The one with the secret of the form for a token.
    fn form(secret: &'a str, protection: Protection) -> Self {
        Cookie {
            name: FORM,
            value: secret,
            path: "/console",
            same_site: "Strict",
            seconds: 3_600,
            protection,
        }
    }

    /// Makes the browser forget it.
    pub(super) fn removed(self) -> Self {
        Cookie { value: "", seconds: 0, ..self }
    }

    pub(super) fn set(&self, response: &mut Response) -> Result<(), Problem> {
        let Cookie { name, value, path, same_site, seconds, protection } = self;
        let (name, path, secure) = match protection {
            Protection::None => ((*name).to_owned(), *path, ""),
            Protection::Secure => ((*name).to_owned(), *path, "; Secure"),
            Protection::OwnHost => (of_own_host(name), "/", "; Secure"),
        };
        let text = format!(
            "{name}={value}; Path={path}; HttpOnly; SameSite={same_site}; Max-Age={seconds}{secure}"
        );
        let value = HeaderValue::from_str(&text).map_err(|error| {
            Problem::new(ProblemKind::Internal, format!("a cookie cannot be written: {error}"))
        })?;
        response.headers_mut().append(SET_COOKIE, value);
        Ok(())
    }
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
