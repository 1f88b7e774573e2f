//! Who sent a request: somebody with a session, whom a proxy names, or on this machine.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use sitewright_console::Viewer;
use sitewright_jobs::{Scope, Token};
use sitewright_model::time::now_ms;

use super::entrance::of_own_host;
use super::session::Holder;
use super::visit::{Fields, Visit};
use crate::access::{self, Actor};
use crate::app::App;
use crate::oidc::Oidc;
use crate::problem::Problem;

/// The cookie with the id of a session.
pub(super) const SESSION: &str = "sitewright_session";
/// Characters of a name that a proxy gives.
const MAX_NAME: usize = 100;

/// Who sent a request; `None` if they have to log in. Who has logged in is who they logged in as, also
/// if a proxy names them.
pub(super) async fn enter(
    app: &App,
    headers: &HeaderMap,
    client: Option<IpAddr>,
) -> Result<Option<(Actor, Visit)>, Problem> {
    let is_open = app.lock.is_open(&app.database).await?;
    if is_open {
        access::only_for_this_machine(app, headers)?;
    }
    if let Some(entered) = with_session(app, headers, is_open).await? {
        return Ok(Some(entered));
    }
    if let Some(name) = named_by_proxy(app, headers, client) {
        let scope = Scope::from(app.settings.console.proxy_scope);
        let csrf = app.sessions.of_name(&name)?;
        let viewer = of_person(&name, scope, None, false);
        let actor = Actor::Person { name: format!("proxy: {name}"), scope, tenant: None };
        return Ok(Some((actor, visit(viewer, csrf, None))));
    }
    if is_open && !app.link.is_needed() {
        let csrf = app.sessions.local()?;
        return Ok(Some((Actor::Local, visit(local(false), csrf, None))));
    }
    Ok(None)
}

/// Who has the session in the cookie of a request; `None` if there is none that is valid.
async fn with_session(
    app: &App,
    headers: &HeaderMap,
    is_open: bool,
) -> Result<Option<(Actor, Visit)>, Problem> {
    let Some(id) = kept(app, headers, SESSION) else { return Ok(None) };
    let now = now_ms();
    let Some(session) = app.sessions.of(&id, now) else { return Ok(None) };
    let token = match &session.holder {
        // With the first token, everybody logs in with one.
        Holder::Link if is_open => {
            return Ok(Some((Actor::Local, visit(local(true), session.csrf, Some(id)))));
        }
        Holder::Link => None,
        Holder::Person(person) => {
            let viewer = of_person(&person.name, person.scope, person.tenant.as_deref(), true);
            return Ok(Some((person.actor(), visit(viewer, session.csrf, Some(id)))));
        }
        Holder::Token(token) => app.database.token(token).await?,
    };
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

/// The name in the header of a proxy that is believed; `None` if there is none, or more than one.
fn named_by_proxy(app: &App, headers: &HeaderMap, client: Option<IpAddr>) -> Option<String> {
    let console = &app.settings.console;
    let header = console.proxy_header.as_deref()?;
    if !client.is_some_and(|client| console.trusts(client)) {
        return None;
    }
    let mut values = headers.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let name = std::str::from_utf8(value.as_bytes()).ok()?.trim();
    let is_name =
        (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    is_name.then(|| name.to_owned())
}

/// Somebody on the machine of a server without tokens.
fn local(has_session: bool) -> Viewer {
    Viewer {
        name: "this machine".to_owned(),
        may_submit: true,
        may_operate: true,
        may_admin: true,
        tenant: None,
        has_session,
    }
}

/// Somebody whom a proxy names, or who logged in with OpenID Connect.
fn of_person(name: &str, scope: Scope, tenant: Option<&str>, has_session: bool) -> Viewer {
    Viewer {
        name: name.to_owned(),
        may_submit: scope.includes(Scope::Submit),
        may_operate: scope.includes(Scope::Operate),
        may_admin: scope.includes(Scope::Admin),
        tenant: tenant.map(str::to_owned),
        has_session,
    }
}

fn viewer(token: &Token) -> Viewer {
    Viewer {
        name: token.name.clone(),
        may_submit: token.may(Scope::Submit),
        may_operate: token.may(Scope::Operate),
        may_admin: token.may(Scope::Admin),
        tenant: token.tenant.clone(),
        has_session: true,
    }
}

fn visit(viewer: Viewer, csrf: String, session: Option<String>) -> Visit {
    Visit { viewer, csrf, session, query: Fields::default(), form: Fields::default() }
}

/// Whether no other host can set the console's cookies: its address is known, and has TLS.
pub(super) fn has_own_cookies(app: &App) -> bool {
    app.oidc.as_ref().is_some_and(Oidc::is_https)
}

/// The value of a cookie of the console, whose name is given without `__Host-`. One that another
/// host may have set does not count where the console's have that prefix.
pub(super) fn kept(app: &App, headers: &HeaderMap, name: &str) -> Option<String> {
    match has_own_cookies(app) {
        true => cookie(headers, &of_own_host(name)),
        false => cookie(headers, name),
    }
}

/// The value of a cookie; `None` if there is none, or more than one with this name.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

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
