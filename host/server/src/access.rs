//! Who may do what: tokens and scopes, the guard of a server without tokens, and the audit log.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use sitewright_jobs::{Database, NewAuditEntry, Scope, Token};
use sitewright_model::time::now_ms;

use super::app::App;
use super::problem::{Problem, ProblemKind};
use super::rates::Rated;
use super::refusals;
use super::revocation::TokenId;
use super::routes::Route;
use super::tenancy::{self, Tenant};

/// Set by browsers; pages cannot change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Maximum length of what the audit log says of a target.
const MAX_TARGET: usize = 200;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: probes of a supervisor.
    Public,
    /// What its handler checks: the signature of a webhook.
    Signed,
    /// A token with this scope, or no token at all on a server that has none.
    Scope(Scope),
}

/// The address of the client, as the connection has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) SocketAddr);

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) enum Actor {
    /// Whoever can reach the loopback interface of a server without tokens.
    Local,
    Token(Box<Token>),
    /// Somebody whom a proxy names that is believed, or who logged in with OpenID Connect.
    Person {
        /// Begins with what says so: `proxy: ` or `oidc: `.
        name: String,
        scope: Scope,
        tenant: Option<String>,
    },
}

impl Actor {
    /// As the audit log and the pages call it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Actor::Local => "local",
            Actor::Token(token) => &token.name,
            Actor::Person { name, .. } => name,
        }
    }

    /// What stands before the name where it is said that they may not do something.
    pub(crate) fn called(&self) -> &'static str {
        match self {
            Actor::Local | Actor::Person { .. } => "who is called",
            Actor::Token(_) => "the token",
        }
    }

    /// The label of the only orders that they may read and change; `None` for all.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Actor::Local => None,
            Actor::Token(token) => token.tenant.as_deref(),
            Actor::Person { tenant, .. } => tenant.as_deref(),
        }
    }

    /// Id of the token, if they have one.
    pub(crate) fn token(&self) -> Option<&str> {
        match self {
            Actor::Local | Actor::Person { .. } => None,
            Actor::Token(token) => Some(&token.id),
        }
    }
}

/// Who sent a request that changes something. The guards add it.
#[derive(Debug, Clone)]
pub(crate) struct Sender(pub(crate) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Sender>().cloned().ok_or_else(|| {
            Problem::new(ProblemKind::Internal, "the route of this request has no guard")
        })
    }
}

/// What the audit log says of an answer, if it is not the parameter of the path. A handler adds it
/// to its response.
#[derive(Debug, Clone)]
pub(crate) enum Audited {
    /// The action was done to this.
    Target(String),
    /// Nothing was done.
    Nothing,
}

/// Whether requests need a token.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The server listens on the loopback interface only.
    is_local: bool,
    /// A token was seen. Tokens are revoked and never removed, so this does not change back.
    has_tokens: AtomicBool,
}

impl Lock {
    /// `has_logins`: people log in without a token, through a proxy or with OpenID Connect. Such a
    /// server is never open: requests through a proxy in front come from this machine, and are not.
    pub(crate) fn new(listen: SocketAddr, has_logins: bool) -> Self {
        let is_local = is_loopback(listen.ip()) && !has_logins;
        Lock { is_local, has_tokens: AtomicBool::new(false) }
    }

    /// Also a token that is revoked counts: revoking the last one opens nothing.
    pub(crate) async fn is_open(&self, database: &Database) -> Result<bool, Problem> {
        if !self.is_local || self.has_tokens.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let has_tokens = database.has_tokens().await?;
        if has_tokens {
            self.has_tokens.store(true, Ordering::Relaxed);
        }
        Ok(!has_tokens)
    }
}

/// Whether only this machine reaches the address.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Lets a request through that may use the route, and writes what it did to the audit log.
pub(crate) async fn guard(
    State((app, route, takes_parameters)): State<(App, &'static Route, bool)>,
    request: Request,
    next: Next,
) -> Response {
    let mut rated = Rated::default();
    let mut response = answer(app, route, takes_parameters, request, next, &mut rated).await;
    rated.add_to(response.headers_mut());
    response
}

async fn answer(
    app: App,
    route: &'static Route,
    takes_parameters: bool,
    request: Request,
    next: Next,
    rated: &mut Rated,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = admit(&app, route, &parts.headers).await.and_then(|actor| {
        let unexpected = if takes_parameters { None } else { unexpected_parameters(&parts) };
        match unexpected {
            // Probes and senders of webhooks add what they like.
            Some(problem) if matches!(route.access, Access::Scope(_)) => Err((problem, actor)),
            _ => Ok(actor),
        }
    });
    let subject = match route.action {
        None => None,
        Some(action) => Some((action, subject(&mut parts).await)),
    };
    let mut has_room = Ok(());
    if let Ok(Some(actor)) | Err((_, Some(actor))) = &admitted {
        (*rated, has_room) = app.rates.take(actor, route);
    }
    let admitted = match (admitted, has_room) {
        (Ok(actor) | Err((_, actor)), Err(problem)) => Err((problem, actor)),
        (admitted, Ok(())) => admitted,
    };
    let admitted = match admitted {
        Ok(Some(actor)) => match tenancy::check(&app, route, &mut parts, &actor).await {
            Ok(()) => Ok(Some(actor)),
            Err(problem) => Err((problem, Some(actor))),
        },
        admitted => admitted,
    };
    let actor = match admitted {
        Ok(actor) => actor,
        Err((problem, actor)) => {
            if let (Some((action, subject)), Some(actor)) = (subject, actor) {
                let status = problem.kind.status().as_u16();
                refusals::record(&app, &actor, action, subject, status).await;
            }
            return problem.into_response();
        }
    };
    let mut request = Request::from_parts(parts, body);
    if let Some(actor) = &actor {
        request.extensions_mut().insert(Tenant::of(actor));
        if let Actor::Token(token) = actor {
            request.extensions_mut().insert(TokenId(token.id.clone()));
        }
    }
    match (subject, actor) {
        (Some((action, subject)), Some(actor)) => {
            request.extensions_mut().insert(Sender(actor.clone()));
            audited(app, actor, action, subject, next.run(request)).await
        }
        _ => next.run(request).await,
    }
}

/// Runs what changes something, and writes it to the audit log. In a task of its own: a client that
/// hangs up, or a time-out, does not stop a change half-way, and the log says what was done.
pub(crate) async fn audited(
    app: App,
    actor: Actor,
    action: &'static str,
    (target, client): Subject,
    change: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let actions = app.actions.clone();
    let done = actions.spawn(async move {
        let response = change.await;
        let target = match response.extensions().get::<Audited>() {
            Some(Audited::Nothing) => return response,
            Some(Audited::Target(target)) => Some(target.clone()),
            None => target,
        };
        let status = response.status().as_u16();
        refusals::record(&app, &actor, action, (target, client), status).await;
        response
    });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, action, "a request did not end");
        Problem::new(ProblemKind::Internal, format!("the request did not end: {error}"))
            .into_response()
    })
}

/// Writes to the audit log what somebody did.
pub(crate) async fn record(
    database: &Database,
    actor: &Actor,
    action: &str,
    (target, client): Subject,
    status: u16,
) {
    write(database, entry(actor, action, target, status, client)).await;
}

/// Who sent the request, if the route needs to know. With the problem comes who was refused, if
/// that is known.
async fn admit(
    app: &App,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Option<Actor>, (Problem, Option<Actor>)> {
    match route.access {
        Access::Public | Access::Signed => return Ok(None),
        Access::Scope(_) => {}
    }
    let unknown = |problem| (problem, None);
    if app.lock.is_open(&app.database).await.map_err(unknown)? {
        only_for_this_machine(app, headers).map_err(unknown)?;
        return Ok(Some(Actor::Local));
    }
    let token = token(&app.database, headers).await.map_err(unknown)?;
    if let Err(error) = app.database.note_use(&token).await {
        tracing::warn!(%error, token = token.id, "the use of a token could not be recorded");
    }
    let actor = Actor::Token(Box::new(token));
    match needs(route, &actor) {
        Ok(()) => Ok(Some(actor)),
        Err(problem) => Err((problem, Some(actor))),
    }
}

/// Refuses whoever has not the scope of a route.
pub(crate) fn needs(route: &Route, actor: &Actor) -> Result<(), Problem> {
    let Access::Scope(wanted) = route.access else { return Ok(()) };
    let may = match actor {
        Actor::Local => true,
        Actor::Token(token) => token.may(wanted),
        Actor::Person { scope, .. } => scope.includes(wanted),
    };
    if may {
        return Ok(());
    }
    let (whose, name) = (actor.called(), actor.name());
    let detail = format!("{whose} {name:?} has not the scope `{wanted}`, which this needs");
    Err(Problem::new(ProblemKind::Forbidden, detail).with("scope", wanted))
}

/// Refuses the parameters of a request that takes none, so that a wish like `dry_run` is not
/// ignored.
fn unexpected_parameters(parts: &Parts) -> Option<Problem> {
    let query = parts.uri.query().filter(|query| !query.is_empty())?;
    let name: String =
        query.split(['=', '&']).next().unwrap_or_default().chars().take(50).collect();
    let detail = format!("this request takes no parameters, and has {name:?}");
    Some(Problem::new(ProblemKind::BadRequest, detail))
}

/// The token of a request, if it is valid.
async fn token(database: &Database, headers: &HeaderMap) -> Result<Token, Problem> {
    let refused = |why: &str| Problem::new(ProblemKind::Unauthorized, why);
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let header = match (given.next(), given.next()) {
        (Some(header), None) => header,
        (None, _) => return Err(refused("the request has no token")),
        (Some(_), Some(_)) => return Err(refused("the request has more than one token")),
    };
    let text = header.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("the header `Authorization` is not `Bearer TOKEN`"));
    }
    // One text for all: it says nothing about which tokens there are.
    let invalid = || refused("the token is not known, has expired or was revoked");
    let token = SecretString::from(token.trim());
    let digest = sitewright_control::digest_of(&token).ok_or_else(invalid)?;
    let known = database.token_of(&digest).await?;
    known.filter(|token| token.is_valid_at(now_ms())).ok_or_else(invalid)
}

/// Refuses requests that a web page sends from the browser of somebody on this machine: with DNS
/// rebinding to another name of it, or from its own origin.
pub(crate) fn only_for_this_machine(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let host = only(headers, &HOST)?.unwrap_or_default();
    if !names_this_machine(host, app.link.host()) {
        let detail = format!("the request is for the host {host:?}, and this server has no tokens");
        return Err(Problem::new(ProblemKind::WrongHost, detail));
    }
    let site = only(headers, &SEC_FETCH_SITE)?;
    let origin = only(headers, &ORIGIN)?;
    let is_foreign = origin.is_some_and(|origin| is_foreign(origin, host));
    let is_other = site.is_some_and(is_foreign_site) && !is_link(headers)?;
    if is_foreign || is_other { Err(foreign()) } else { Ok(()) }
}

/// Refuses a form that a page of another origin sent. A browser says so itself; one that does not
/// names the origin, which must be the host of the request.
pub(crate) fn from_own_page(headers: &HeaderMap) -> Result<(), Problem> {
    let is_foreign = match only(headers, &SEC_FETCH_SITE)? {
        Some(site) => is_foreign_site(site),
        None => {
            let host = only(headers, &HOST)?.unwrap_or_default();
            only(headers, &ORIGIN)?.is_some_and(|origin| is_foreign(origin, host))
        }
    };
    if is_foreign { Err(foreign()) } else { Ok(()) }
}

/// Whether somebody follows a link in a browser: the page shows what is read, and the page that has
/// the link sees nothing of it. A form that is sent has an origin.
fn is_link(headers: &HeaderMap) -> Result<bool, Problem> {
    let [mode, dest] = [only(headers, &SEC_FETCH_MODE)?, only(headers, &SEC_FETCH_DEST)?];
    let has_origin = headers.contains_key(ORIGIN);
    Ok(mode == Some("navigate") && dest == Some("document") && !has_origin)
}

fn is_foreign_site(site: &str) -> bool {
    site != "same-origin" && site != "none"
}

fn is_foreign(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_none_or(|(_, authority)| authority != host)
}

fn foreign() -> Problem {
    let detail = "the request comes from a page of another origin";
    Problem::new(ProblemKind::CrossOrigin, detail)
}

/// The value of a header that a request may have once; an empty one if it is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.to_str().unwrap_or_default())),
        (_, Some(_)) => {
            let detail = format!("the request has more than one header `{name}`");
            Err(Problem::new(ProblemKind::BadRequest, detail))
        }
    }
}

/// `127.0.0.1`, `[::1]`, `localhost` or the host of the link to the console, with any port: it may be
/// forwarded.
pub(crate) fn names_this_machine(host: &str, of_link: Option<&str>) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_own = |own: &str| name.eq_ignore_ascii_case(own);
    is_own("localhost") || of_link.is_some_and(is_own) || address.is_ok_and(is_loopback)
}

/// What something is done to, and the address of the client.
pub(crate) type Subject = (Option<String>, String);

/// The first parameter of the path, and the client.
pub(crate) async fn subject(parts: &mut Parts) -> Subject {
    let client = parts.extensions.get::<Client>().map(|Client(address)| address.to_string());
    let parameters = RawPathParams::from_request_parts(parts, &()).await;
    let target = parameters.ok().and_then(|parameters| {
        let (_, value) = parameters.iter().next()?;
        Some(value.chars().take(MAX_TARGET).collect())
    });
    (target, client.unwrap_or_default())
}

pub(crate) fn entry(
    actor: &Actor,
    action: &str,
    target: Option<String>,
    status: u16,
    client: String,
) -> NewAuditEntry {
    let token = actor.token().map(str::to_owned);
    let target = target.as_deref().map(sitewright_control::without_tokens);
    let actor = actor.name().to_owned();
    NewAuditEntry { token, actor, action: action.to_owned(), target, status, client }
}

/// What was done stays done if this fails, so the log has it at least.
pub(crate) async fn write(database: &Database, entry: NewAuditEntry) {
    if let Err(error) = database.audit(entry.clone()).await {
        tracing::error!(%error, ?entry, "an action could not be written to the audit log");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for host in ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:80"] {
            assert!(names_this_machine(host, None), "{host}");
        }
        let of_link = Some("0f.localhost");
        for host in ["0f.localhost:8080", "0F.localhost", "localhost:8080", "127.0.0.1"] {
            assert!(names_this_machine(host, of_link), "{host}");
        }
        for host in ["1f.localhost:8080", "x.0f.localhost", "0f.localhost.evil.example"] {
            assert!(!names_this_machine(host, of_link), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8080",
            "evil@127.0.0.1",
            "10.0.0.1",
            "[::2]",
            "localhost:80, evil.example",
            "127.0.0.1 evil",
            "0f.localhost",
        ] {
            assert!(!names_this_machine(host, None), "{host}");
        }
    }
}
