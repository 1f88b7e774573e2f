//! Logging in with an identity provider: the way to it, and back.
//!
//! The cookie of a login that has begun is `SameSite=Lax`: it is the page of the provider, on
//! another site, that leads the browser back, and a `Strict` cookie is not sent then. With `Lax` it
//! is sent if somebody follows a link, and not with forms, images and scripts of other sites. The
//! cookie of the session stays `Strict`. For the same reason the way back ends with a page that
//! leads on, and not with a redirect: what a browser follows from the provider it does without that
//! cookie.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sitewright_console::{Provider, address, entered};
use sitewright_model::time::now_ms;

use super::entrance::{Cookie, Protection, form, is_prefetch};
use super::guard::own;
use super::identity::{SESSION, kept};
use super::refusal::outside;
use super::session::{Holder, random};
use super::visit::{Fields, page_with, see};
use crate::access;
use crate::app::App;
use crate::oidc::{LASTS_SECONDS, LoginRefusal, Oidc, Person, Reply};
use crate::problem::{Problem, ProblemKind};
use crate::refusals;

/// The cookie with the secret of a login that has begun, and the page that it leads to.
const LOGIN: &str = "sitewright_oidc";
/// Where a login begins.
const BEGIN: &str = "/console/oidc/begin";

/// The button of the page to log in. Its address is that of the host that the provider leads back
/// to: a cookie of another one would not come along.
pub(super) fn provider(oidc: &Oidc, next: &str) -> Provider {
    let begin = address::with(BEGIN, &[("next", Some(next))]);
    let label = oidc.label().to_owned();
    Provider { label, href: format!("{}{begin}", oidc.console_url()) }
}

fn configured(app: &App) -> Result<&Oidc, Problem> {
    app.oidc.as_ref().ok_or_else(|| {
        let detail = "this server has no identity provider (`[server.oidc]`)";
        Problem::new(ProblemKind::NoSuchPath, detail)
    })
}

/// The cookie of a login.
fn login_cookie<'a>(value: &'a str, oidc: &Oidc) -> Cookie<'a> {
    Cookie {
        name: LOGIN,
        value,
        path: "/console/oidc",
        same_site: "Lax",
        seconds: LASTS_SECONDS,
        protection: protection(oidc),
    }
}

/// Of the cookies of this console.
fn protection(oidc: &Oidc) -> Protection {
    if oidc.is_https() { Protection::OwnHost } else { Protection::None }
}

/// `GET /console/oidc/begin`. A link and no form: the policy of the pages permits no form that is
/// sent on to another host.
pub(crate) async fn begin(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let oidc = configured(&app)?;
    if request.method() == Method::HEAD || is_prefetch(request.headers()) {
        // It would take the place of a login that has begun.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let query = Fields::read(request.uri().query().unwrap_or_default().as_bytes());
    let next = query.get("next").and_then(own).unwrap_or_default();
    let secret = random()?;
    match oidc.authorization(&secret).await {
        Ok(url) => {
            let mut response = see(url.as_str())?;
            login_cookie(&format!("{secret}:{next}"), oidc).set(&mut response)?;
            Ok(response)
        }
        Err(refusal) => {
            let why = refusal.to_string();
            form(&app, request.headers(), refusal.status(), next, Some(&why))
        }
    }
}

/// `GET /console/oidc/callback`: the provider has led the browser back.
pub(crate) async fn callback(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    let oidc = configured(&app)?;
    let (mut parts, _) = request.into_parts();
    if parts.method == Method::HEAD || is_prefetch(&parts.headers) {
        // It would use up the code.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let (_, client) = access::subject(&mut parts).await;
    let begun = kept(&app, &parts.headers, LOGIN).unwrap_or_default();
    let (secret, next) = begun.split_once(':').unwrap_or_default();
    let next = own(next).unwrap_or_default();
    let query = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
    let reply = Reply {
        state: query.get("state"),
        code: query.get("code"),
        iss: query.get("iss"),
        error: query.get("error"),
        error_description: query.get("error_description"),
    };
    let finished = oidc.finish(secret, &reply).await;
    // A login ends once. One that another tab has begun meanwhile goes on.
    let has_ended = !matches!(finished, Err(LoginRefusal::NotBegun));
    let mut response = match finished {
        Ok(person) => {
            // A session from before is not sent from another site; it ends by itself.
            if let Some(before) = kept(&app, &parts.headers, SESSION) {
                app.sessions.end(&before);
            }
            enter(&app, oidc, person, next, client).await?
        }
        Err(refusal) => {
            let why = refusal.to_string();
            tracing::warn!(client, "a login with the identity provider was refused: {why}");
            let status = refusal.status();
            let target = Some(refused_target(&refusal));
            refusals::record_unknown(&app, "session.begin", (target, client), status.as_u16())
                .await;
            form(&app, &parts.headers, status, next, Some(&why))?
        }
    };
    if has_ended {
        login_cookie("", oidc).removed().set(&mut response)?;
    }
    Ok(response)
}

/// Begins a session, and leads on to the page that was asked for.
async fn enter(
    app: &App,
    oidc: &Oidc,
    person: Person,
    next: &str,
    client: String,
) -> Result<Response, Problem> {
    let target = Some(format!("oidc, subject {}", person.subject));
    let status = StatusCode::OK.as_u16();
    refusals::record(app, &person.actor(), "session.begin", (target, client), status).await;
    let id = app.sessions.begin(Holder::Person(person), now_ms())?;
    let next = if next.is_empty() { address::HOME } else { next };
    let mut response = page_with(StatusCode::OK, entered(&outside("Logged in"), next))?;
    Cookie::session(&id, protection(oidc)).set(&mut response)?;
    Ok(response)
}

/// What the audit log says of a login that was refused: the way, and who it was if that is known.
fn refused_target(refusal: &LoginRefusal) -> String {
    match refusal {
        LoginRefusal::NoScope { subject, .. }
        | LoginRefusal::NoTenant { subject, .. }
        | LoginRefusal::UnverifiedMail { subject, .. } => format!("oidc, subject {subject}"),
        _ => "oidc".to_owned(),
    }
}
