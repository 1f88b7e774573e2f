//! Tokens that are for the orders of one tenant: which routes they may use, and that what a path
//! names is theirs. To them, what belongs to others does not exist.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sitewright_jobs::Error as DatabaseError;

use super::access::Actor;
use super::app::App;
use super::extract::Id;
use super::problem::{Problem, ProblemKind};
use super::routes::Route;

/// The label of the only orders that a request may read or change; `None` for all. The guards add
/// it.
#[derive(Debug, Clone)]
pub(crate) struct Tenant(Option<String>);

impl Tenant {
    pub(crate) fn of(actor: &Actor) -> Self {
        Tenant(actor.tenant().map(str::to_owned))
    }

    pub(crate) fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The label that a parameter names, if this request may name it; that of the token without
    /// one.
    pub(crate) fn wanted(&self, named: Option<String>) -> Result<Option<String>, Problem> {
        match (&self.0, named) {
            (None, named) => Ok(named),
            (Some(own), Some(named)) if *own != named => {
                let detail = format!("`tenant` is {named:?}, and the token is of tenant {own:?}");
                let hint = format!(
                    "leave `tenant` out: the token is of tenant {own:?}, and its requests are for \
                     that one; or use a token of tenant {named:?}, or one without a tenant"
                );
                Err(Problem::new(ProblemKind::Forbidden, detail).hinting(&hint))
            }
            (Some(own), _) => Ok(Some(own.clone())),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Tenant>().cloned().ok_or_else(|| {
            Problem::new(ProblemKind::Internal, "the route of this request has no guard")
        })
    }
}

/// What a route reads or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The order in its path.
    Order,
    /// The failure record in its path.
    Record,
    /// The bulk action in its path.
    Bulk,
    /// Orders, of which its handler leaves out those of others.
    Orders,
    /// Nothing of any order.
    Shared,
    /// What belongs to all tenants.
    Others,
}

/// Whatever is not named here is not for a tenant: so are bundles, which have the template's file
/// and the models of all routes.
fn subject(path: &str) -> Subject {
    match path {
        "/v1/failures/records/{id}"
        | "/v1/failures/records/{id}/replay"
        | "/console/records/{id}"
        | "/console/records/{id}/markdown"
        | "/console/records/{id}/replay" => Subject::Record,
        "/v1/bulk/{id}" | "/console/bulk/{id}" | "/console/bulk/{id}/stop" => Subject::Bulk,
        "/v1/orders"
        | "/v1/events"
        | "/v1/bulk"
        | "/v1/failures"
        | "/v1/failures/{fingerprint}"
        | "/v1/stats"
        | "/v1/cost"
        | "/console"
        | "/console/events"
        | "/console/orders"
        | "/console/bulk"
        | "/console/failures"
        | "/console/failures/{fingerprint}"
        | "/console/failures/{fingerprint}/retry"
        | "/console/ai" => Subject::Orders,
        "/v1/templates" | "/console/logout" => Subject::Shared,
        _ if path.starts_with("/v1/orders/{id}") || path.starts_with("/console/orders/{id}") => {
            Subject::Order
        }
        _ => Subject::Others,
    }
}

/// Refuses what a token of a tenant may not use, and hides what belongs to others.
pub(crate) async fn check(
    app: &App,
    route: &Route,
    parts: &mut Parts,
    actor: &Actor,
) -> Result<(), Problem> {
    let Some(tenant) = actor.tenant() else { return Ok(()) };
    let subject = subject(route.path);
    let id = match subject {
        Subject::Order | Subject::Record | Subject::Bulk => {
            let Id(id) = Id::from_request_parts(parts, &()).await?;
            id
        }
        Subject::Orders | Subject::Shared => return Ok(()),
        Subject::Others => {
            let (whose, name) = (actor.called(), actor.name());
            let detail =
                format!("{whose} {name:?} is for one tenant, and this is about all of them");
            let problem = Problem::new(ProblemKind::Forbidden, detail);
            return Err(problem.hinting(
                "use a token without a tenant; `sitewright token create NAME --scope SCOPE` makes \
                 one",
            ));
        }
    };
    let (order, hidden) = match subject {
        Subject::Bulk => {
            let run = app.database.bulk_run(&id).await?;
            let of = run.and_then(|run| run.selection).and_then(|selection| selection.tenant);
            if of.as_deref() == Some(tenant) {
                return Ok(());
            }
            return Err(super::bulk::nothing(&id));
        }
        Subject::Record => {
            let hidden = super::failures::no_record(&id);
            match app.database.failure(&id).await? {
                Some(failure) => (failure.order, hidden),
                None => return Err(hidden),
            }
        }
        Subject::Order | Subject::Orders | Subject::Shared | Subject::Others => {
            let hidden = DatabaseError::NoSuchOrder { order: id.clone() };
            (id, Problem::from(hidden))
        }
    };
    let own = app.database.orders_of_tenant(std::slice::from_ref(&order), tenant).await?;
    if own.contains(&order) { Ok(()) } else { Err(hidden) }
}
