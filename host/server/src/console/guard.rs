//! Who may see a page or do something, and is a form one of ours?

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sitewright_console::address;

use super::fields::{check_form, check_query};
use super::headers::secure;
use super::identity::enter;
use super::refusal::as_page;
use super::session::is_same;
use super::visit::{DID, Fields, Visit, see};
use crate::access::{self, Access, Actor, Client, Sender};
use crate::app::App;
use crate::bodies::BodyHolder;
use crate::extract::{MAX_SMALL_BODY, read};
use crate::problem::{Problem, ProblemKind, Told};
use crate::rates::Rated;
use crate::refusals;
use crate::revocation::TokenId;
use crate::routes::Route;
use crate::tenancy::{self, Tenant};

/// The form that has a document in it.
const DOCUMENT_FORM: &str = "/console/orders/{id}/revise";

/// Lets a request through that may see the page or do what it asks for.
pub(crate) async fn guard(
    State((app, route)): State<(App, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut rated = Rated::default();
    let (answer, viewer) = answer(app.clone(), route, request, next, (&asked, &mut rated)).await;
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
    rated.add_to(answer.headers_mut());
    answer
}

async fn answer(
    app: App,
    route: &'static Route,
    request: Request,
    next: Next,
    (asked, rated): (&str, &mut Rated),
) -> (Response, Option<Visit>) {
    let (mut parts, body) = request.into_parts();
    if route.access == Access::Public {
        return (next.run(Request::from_parts(parts, body)).await, None);
    }
    let client = parts.extensions.get::<Client>().map(|Client(address)| address.ip());
    let entered = match enter(&app, &parts.headers, client).await {
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
    parts.extensions.insert(Tenant::of(&actor));
    let has_room;
    (*rated, has_room) = app.rates.take(&actor, route);
    let allowed = match has_room.and_then(|()| access::needs(route, &actor)) {
        Ok(()) => tenancy::check(&app, route, &mut parts, &actor).await,
        refused => refused,
    };
    let allowed = allowed.and_then(|()| check_query(route, &visit.query));
    let Some(action) = route.action else {
        let answer = match allowed {
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
    let checked = match allowed {
        Err(problem) => Err(problem),
        Ok(()) => {
            let holder = BodyHolder::new(Some(&actor), client);
            form(&app, route, &parts.headers, (body, holder), &visit.csrf).await
        }
    };
    let answer = match checked {
        Ok(form) => {
            visit.form = form;
            parts.extensions.insert(visit.clone());
            parts.extensions.insert(Sender(actor.clone()));
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

/// The fields of a form that a page of this server sent, with the secret of the session.
async fn form(
    app: &App,
    route: &Route,
    headers: &HeaderMap,
    (body, holder): (Body, BodyHolder),
    csrf: &str,
) -> Result<Fields, Problem> {
    let most = if route.path == DOCUMENT_FORM { app.settings.max_body() } else { MAX_SMALL_BODY };
    let fields = fields(app, headers, body, most, holder).await?;
    if !fields.get("csrf").is_some_and(|given| is_same(given, csrf)) {
        let detail = "the form is not one of this session: it is older, or from another page";
        return Err(Problem::new(ProblemKind::CrossOrigin, detail));
    }
    check_form(route, &fields)?;
    Ok(fields)
}

/// The fields of a form that a page of this server sent.
pub(crate) async fn fields(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    most: usize,
    holder: BodyHolder,
) -> Result<Fields, Problem> {
    access::from_own_page(headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let detail = format!("the content type is {kind:?} and must be that of a form");
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
    }
    let (bytes, _room) = read(headers, body, app, most, holder).await?;
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
}
