//! All routes in one table: method, path, what is needed, and what the audit log says.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodRouter, delete, get, post, put};
use sitewright_jobs::Scope;

use super::access::{Access, guard};
use super::app::{App, Surface};
use super::problem::{Problem, ProblemKind};
use super::{events, failures, health, metrics, openapi, orders, queue, templates, webhooks};

/// A route.
pub struct Route {
    pub method: Method,
    /// As axum and OpenAPI write it: `/v1/orders/{id}`.
    pub path: &'static str,
    pub access: Access,
    /// What the audit log calls it; `None` if it changes nothing.
    pub action: Option<&'static str>,
    /// One line for the description of the API.
    pub summary: &'static str,
    handler: fn() -> MethodRouter<App>,
}

const READ: Access = Access::Scope(Scope::Read);
const SUBMIT: Access = Access::Scope(Scope::Submit);
const OPERATE: Access = Access::Scope(Scope::Operate);
const ADMIN: Access = Access::Scope(Scope::Admin);

macro_rules! route {
    ($method:ident $path:literal, $access:ident, $action:expr, $handler:expr, $summary:literal) => {
        Route {
            method: Method::$method,
            path: $path,
            access: $access,
            action: $action,
            summary: $summary,
            handler: || $handler,
        }
    };
}

const PUBLIC: Access = Access::Public;

/// The routes of every server.
static STATUS: &[Route] = &[
    route!(GET "/healthz", PUBLIC, None, get(health::healthz), "Whether the process is alive"),
    route!(GET "/readyz", PUBLIC, None, get(health::readyz), "Whether requests can be answered"),
    route!(GET "/metrics", READ, None, get(metrics::metrics), "Metrics for Prometheus"),
];

/// The routes of `sitewright serve`.
static API: &[Route] = &[
    route!(GET "/v1/openapi.json", PUBLIC, None, get(openapi::document), "This description"),
    route!(POST "/v1/orders", SUBMIT, Some("order.add"), post(orders::add), "Add an order"),
    route!(GET "/v1/orders", READ, None, get(orders::list), "List orders, the newest first"),
    route!(GET "/v1/orders/{id}", READ, None, get(orders::show), "Show one order"),
    route!(
        DELETE "/v1/orders/{id}",
        ADMIN,
        Some("order.erase"),
        delete(orders::remove),
        "Erase everything of an order"
    ),
    route!(
        GET "/v1/orders/{id}/document",
        READ,
        None,
        get(orders::show_document),
        "The document of an order"
    ),
    route!(
        PUT "/v1/orders/{id}/document",
        SUBMIT,
        Some("order.revise"),
        put(orders::revise),
        "Make an order again with a changed document"
    ),
    route!(
        POST "/v1/orders/{id}/cancel",
        OPERATE,
        Some("order.cancel"),
        post(orders::cancel),
        "Cancel an order"
    ),
    route!(
        POST "/v1/orders/{id}/retry",
        OPERATE,
        Some("order.retry"),
        post(orders::retry),
        "Queue an order again that has ended"
    ),
    route!(
        GET "/v1/orders/{id}/events",
        READ,
        None,
        get(events::of_order),
        "Follow one order (Server-Sent Events)"
    ),
    route!(
        GET "/v1/events",
        READ,
        None,
        get(events::of_all),
        "Follow all orders (Server-Sent Events)"
    ),
    route!(GET "/v1/failures", READ, None, get(failures::list), "List failures by cause"),
    route!(
        GET "/v1/failures/{fingerprint}",
        READ,
        None,
        get(failures::of_cause),
        "Show one cause, with its newest record"
    ),
    route!(
        GET "/v1/failures/records/{id}",
        READ,
        None,
        get(failures::record),
        "Show one failure record"
    ),
    route!(GET "/v1/stats", READ, None, get(queue::stats), "The queue at this moment"),
    route!(GET "/v1/templates", READ, None, get(templates::list), "List the templates"),
    route!(GET "/v1/holds", READ, None, get(queue::holds), "List what orders wait for"),
    route!(
        PUT "/v1/holds/{id}",
        OPERATE,
        Some("hold.set"),
        put(queue::hold),
        "Hold a route or a template"
    ),
    route!(
        DELETE "/v1/holds/{id}",
        OPERATE,
        Some("hold.release"),
        delete(queue::release),
        "Release a route or a template"
    ),
    route!(
        POST "/v1/queue/pause",
        OPERATE,
        Some("queue.pause"),
        post(queue::pause),
        "Pause the queue"
    ),
    route!(
        POST "/v1/queue/resume",
        OPERATE,
        Some("queue.resume"),
        post(queue::resume),
        "Resume the queue"
    ),
    route!(GET "/v1/webhooks", READ, None, get(webhooks::list), "List the webhooks"),
    route!(
        POST "/v1/webhooks/{id}/enable",
        OPERATE,
        Some("webhook.enable"),
        post(webhooks::enable),
        "Enable a webhook that its receiver disabled"
    ),
    route!(
        GET "/v1/webhooks/deliveries",
        READ,
        None,
        get(webhooks::deliveries),
        "List deliveries, the newest first"
    ),
    route!(
        GET "/v1/webhooks/deliveries/{id}",
        READ,
        None,
        get(webhooks::show),
        "Show one delivery, with its attempts"
    ),
    route!(
        POST "/v1/webhooks/deliveries/{id}/redeliver",
        OPERATE,
        Some("webhook.redeliver"),
        post(webhooks::redeliver),
        "Deliver again"
    ),
    route!(GET "/v1/audit", ADMIN, None, get(queue::audit), "The audit log, the newest first"),
];

/// The routes of a server.
pub fn routes(surface: Surface) -> impl Iterator<Item = &'static Route> {
    let api: &[Route] = match surface {
        Surface::Api => API,
        Surface::Status => &[],
    };
    STATUS.iter().chain(api)
}

pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in routes(app.surface) {
        let state = (app.clone(), route, openapi::takes_parameters(route));
        let guarded = middleware::from_fn_with_state(state, guard);
        router = router.route(route.path, (route.handler)().route_layer(guarded));
    }
    let surface = app.surface;
    router
        .fallback(no_path)
        .method_not_allowed_fallback(move |request| no_method(surface, request))
        .with_state(app.clone())
}

async fn no_path(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(ProblemKind::NoSuchPath, format!("there is no path {path:?}"))
}

async fn no_method(surface: Surface, request: Request) -> Problem {
    let matched = request.extensions().get::<axum::extract::MatchedPath>();
    let path = matched.map_or(request.uri().path(), axum::extract::MatchedPath::as_str);
    let methods: Vec<&str> = routes(surface)
        .filter(|route| route.path == path)
        .map(|route| route.method.as_str())
        .collect();
    let methods = methods.join(", ");
    let detail = format!("{} {path} does not exist; the path has {methods}", request.method());
    Problem::new(ProblemKind::MethodNotAllowed, detail).allowing(&methods)
}
