//! All routes in one place, a table for the API and one for the console: method, path, what is
//! needed, and what the audit log says.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use sitewright_jobs::Scope;

use super::access::{Access, guard};
use super::app::{App, Surface};
use super::console;
use super::console::refusal::is_page;
use super::console::{
    actions, bulk as many, confirm, entrance, oidc, pages as shown, releases as chosen, revise,
    webhooks as receivers,
};
use super::problem::{Problem, ProblemKind};
use super::{
    bulk, bundles, callbacks, calls, cost, events, failures, health, hooks, metrics, openapi,
    orders, queue, releases, replays, templates, webhooks,
};

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
const SIGNED: Access = Access::Signed;

/// The routes of every server.
static STATUS: &[Route] = &[
    route!(GET "/healthz", PUBLIC, None, get(health::healthz), "Whether the process is alive"),
    route!(GET "/readyz", PUBLIC, None, get(health::readyz), "Whether requests can be answered"),
    route!(GET "/metrics", READ, None, get(metrics::metrics), "Metrics for Prometheus"),
];

/// The routes of `sitewright serve`.
static API: &[Route] = &[
    route!(GET "/v1/openapi.json", PUBLIC, None, get(openapi::document), "This description"),
    route!(GET "/v1/openapi.html", PUBLIC, None, get(openapi::page), "The same, for people"),
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
        GET "/v1/orders/{id}/calls",
        READ,
        None,
        get(calls::list),
        "List the AI calls of an order that were paid for, the oldest first"
    ),
    route!(
        GET "/v1/orders/{id}/releases",
        READ,
        None,
        get(releases::list),
        "List the releases of an order, the newest first"
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
        PUT "/v1/orders/{id}/callback",
        SUBMIT,
        Some("callback.set"),
        put(callbacks::set),
        "Give an order another callback"
    ),
    route!(
        DELETE "/v1/orders/{id}/callback",
        SUBMIT,
        Some("callback.remove"),
        delete(callbacks::remove),
        "Remove the callback of an order"
    ),
    route!(
        POST "/v1/orders/{id}/callback/enable",
        OPERATE,
        Some("callback.enable"),
        post(callbacks::enable),
        "Enable the callback of an order that its receiver disabled"
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
    route!(
        POST "/v1/bulk",
        OPERATE,
        Some("bulk.start"),
        post(bulk::start),
        "Queue many orders again, or cancel them"
    ),
    route!(GET "/v1/bulk/{id}", READ, None, get(bulk::show), "Show how far a bulk action is"),
    route!(
        DELETE "/v1/bulk/{id}",
        OPERATE,
        Some("bulk.stop"),
        delete(bulk::stop),
        "Stop a bulk action"
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
    route!(
        POST "/v1/failures/records/{id}/replay",
        OPERATE,
        Some("failure.replay"),
        post(replays::replay),
        "Repeat the attempt of a failure record, offline"
    ),
    route!(
        GET "/v1/failures/records/{id}/bundle",
        OPERATE,
        Some("failure.export"),
        get(bundles::bundle),
        "Export the attempt of a failure record as a file, without the customer's texts"
    ),
    route!(GET "/v1/stats", READ, None, get(queue::stats), "The queue at this moment"),
    route!(GET "/v1/cost", READ, None, get(cost::list), "What AI calls cost"),
    route!(GET "/v1/templates", READ, None, get(templates::list), "List the templates"),
    route!(
        GET "/v1/templates/{id}",
        READ,
        None,
        get(templates::show),
        "Show one template, with what the conformance suite said of it"
    ),
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
        POST "/v1/templates/{id}/pause",
        OPERATE,
        Some("hold.set"),
        post(queue::pause_template),
        "Hold a template"
    ),
    route!(
        POST "/v1/templates/{id}/resume",
        OPERATE,
        Some("hold.release"),
        post(queue::resume_template),
        "Release a template"
    ),
    route!(
        POST "/v1/routes/{id}/hold",
        OPERATE,
        Some("hold.set"),
        post(queue::hold_route),
        "Hold a route"
    ),
    route!(
        POST "/v1/routes/{id}/release",
        OPERATE,
        Some("hold.release"),
        post(queue::release_route),
        "Release a route"
    ),
    route!(
        POST "/v1/breakers/{id}/release",
        OPERATE,
        Some("breaker.release"),
        post(queue::release_breakers),
        "Release the open circuit breakers of a provider"
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
    route!(
        POST "/v1/workers/{id}/drain",
        OPERATE,
        Some("worker.drain"),
        post(queue::drain),
        "Let a worker finish its orders and end"
    ),
    route!(
        DELETE "/v1/workers/{id}/drain",
        OPERATE,
        Some("worker.undrain"),
        delete(queue::undrain),
        "Let a worker claim orders again that was to drain"
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
    route!(
        POST "/hooks/{source}",
        SIGNED,
        None,
        post(hooks::receive),
        "Send a webhook that becomes an order"
    ),
    route!(
        GET "/v1/hooks/deliveries",
        READ,
        None,
        get(hooks::deliveries),
        "List what webhooks of others brought, the newest first"
    ),
    route!(
        GET "/v1/hooks/deliveries/{id}",
        READ,
        None,
        get(hooks::show),
        "Show what one webhook brought"
    ),
    route!(
        POST "/v1/hooks/deliveries/{id}/replay",
        OPERATE,
        Some("hook.replay"),
        post(hooks::replay),
        "Map what a webhook brought again"
    ),
    route!(GET "/v1/audit", ADMIN, None, get(queue::audit), "The audit log, the newest first"),
];

/// The pages and forms of the console, of `sitewright serve`. They are not a part of the API: their
/// guard knows sessions in place of tokens, and their errors are pages.
static CONSOLE: &[Route] = &[
    route!(GET "/", PUBLIC, None, get(entrance::home), "Lead to the console"),
    route!(GET "/console/", PUBLIC, None, get(entrance::home), "The same"),
    route!(GET "/console/assets/{name}", PUBLIC, None, get(entrance::asset), "Style and script"),
    route!(GET "/console/login", PUBLIC, None, get(entrance::login), "The form for a token"),
    route!(GET "/console/enter", PUBLIC, None, get(entrance::by_link), "The one-time link"),
    route!(GET "/console/oidc/begin", PUBLIC, None, get(oidc::begin), "To the identity provider"),
    route!(
        GET "/console/oidc/callback",
        PUBLIC,
        None,
        get(oidc::callback),
        "Back from the identity provider"
    ),
    route!(POST "/console/login", PUBLIC, Some("session.begin"), post(entrance::begin), "Log in"),
    route!(POST "/console/logout", READ, Some("session.end"), post(entrance::end), "Log out"),
    route!(GET "/console", READ, None, get(shown::now), "Is all well?"),
    route!(GET "/console/events", READ, None, get(events::of_all), "Follow all orders"),
    route!(GET "/console/orders", READ, None, get(shown::orders), "Find orders"),
    route!(GET "/console/orders/{id}", READ, None, get(shown::order), "Show one order"),
    route!(
        GET "/console/orders/{id}/events",
        READ,
        None,
        get(events::of_order),
        "Follow one order"
    ),
    route!(
        GET "/console/orders/{id}/document",
        READ,
        None,
        get(orders::show_document),
        "The document of an order"
    ),
    route!(
        GET "/console/orders/{id}/retry",
        OPERATE,
        None,
        get(confirm::retry),
        "Say what making an order again would do"
    ),
    route!(
        POST "/console/orders/{id}/retry",
        OPERATE,
        Some("order.retry"),
        post(actions::retry),
        "Queue an order again"
    ),
    route!(
        GET "/console/orders/{id}/cancel",
        OPERATE,
        None,
        get(confirm::cancel),
        "Say what cancelling an order would do"
    ),
    route!(
        POST "/console/orders/{id}/cancel",
        OPERATE,
        Some("order.cancel"),
        post(actions::cancel),
        "Cancel an order"
    ),
    route!(
        GET "/console/orders/{id}/revise",
        SUBMIT,
        None,
        get(revise::form),
        "The form for another document"
    ),
    route!(
        POST "/console/orders/{id}/revise",
        SUBMIT,
        Some("order.revise"),
        post(revise::send),
        "Check another document, and make the order with it"
    ),
    route!(
        GET "/console/orders/{id}/releases",
        READ,
        None,
        get(chosen::list),
        "The releases of an order"
    ),
    route!(
        GET "/console/orders/{id}/compare",
        READ,
        None,
        get(chosen::compare),
        "What differs between two releases"
    ),
    route!(
        GET "/console/orders/{id}/use",
        OPERATE,
        None,
        get(chosen::ask),
        "Say what making a release current would do"
    ),
    route!(
        POST "/console/orders/{id}/use",
        OPERATE,
        Some("order.release"),
        post(chosen::choose),
        "Make a release current"
    ),
    route!(GET "/console/orders/{id}/erase", ADMIN, None, get(shown::erase), "Ask before erasing"),
    route!(
        POST "/console/orders/{id}/erase",
        ADMIN,
        Some("order.erase"),
        post(actions::erase),
        "Erase everything of an order"
    ),
    route!(GET "/console/bulk", OPERATE, None, get(many::preview), "Say what a change would do"),
    route!(
        POST "/console/bulk",
        OPERATE,
        Some("bulk.start"),
        post(many::begin),
        "Retry or cancel all orders that fit"
    ),
    route!(GET "/console/bulk/{id}", READ, None, get(many::progress), "How far a change is"),
    route!(
        POST "/console/bulk/{id}/stop",
        OPERATE,
        Some("bulk.stop"),
        post(many::stop),
        "Stop a change of many orders"
    ),
    route!(GET "/console/failures", READ, None, get(shown::failures), "What fails?"),
    route!(GET "/console/failures/{fingerprint}", READ, None, get(shown::cause), "One cause"),
    route!(
        GET "/console/failures/{fingerprint}/retry",
        OPERATE,
        None,
        get(shown::retry),
        "Say what retrying a cause would do"
    ),
    route!(
        POST "/console/failures/{fingerprint}/retry",
        OPERATE,
        Some("bulk.start"),
        post(many::retry_cause),
        "Retry the orders of a cause"
    ),
    route!(GET "/console/records/{id}", READ, None, get(shown::record), "One failure record"),
    route!(
        GET "/console/records/{id}/markdown",
        READ,
        None,
        get(shown::markdown),
        "A failure record as Markdown"
    ),
    route!(
        POST "/console/records/{id}/replay",
        OPERATE,
        Some("failure.replay"),
        post(shown::replay),
        "Repeat the attempt of a failure record"
    ),
    route!(
        POST "/console/records/{id}/bundle",
        OPERATE,
        Some("failure.export"),
        post(shown::bundle),
        "Export the attempt of a failure record as a file"
    ),
    route!(GET "/console/ai", READ, None, get(shown::ai), "AI and cost"),
    route!(GET "/console/templates", READ, None, get(shown::templates), "Templates and workers"),
    route!(GET "/console/templates/{id}", READ, None, get(shown::template), "Show one template"),
    route!(
        POST "/console/queue/pause",
        OPERATE,
        Some("queue.pause"),
        post(actions::pause),
        "Pause the queue"
    ),
    route!(
        GET "/console/queue/resume",
        OPERATE,
        None,
        get(confirm::resume),
        "Say what resuming the queue would do"
    ),
    route!(
        POST "/console/queue/resume",
        OPERATE,
        Some("queue.resume"),
        post(actions::resume),
        "Resume the queue"
    ),
    route!(
        GET "/console/workers/{id}/drain",
        OPERATE,
        None,
        get(confirm::drain),
        "Say what draining a worker would do"
    ),
    route!(
        POST "/console/workers/{id}/drain",
        OPERATE,
        Some("worker.drain"),
        post(actions::drain),
        "Let a worker finish its orders and end"
    ),
    route!(
        POST "/console/workers/{id}/undrain",
        OPERATE,
        Some("worker.undrain"),
        post(actions::undrain),
        "Let a worker claim orders again"
    ),
    route!(
        POST "/console/holds/set",
        OPERATE,
        Some("hold.set"),
        post(actions::hold),
        "Hold a route or a template"
    ),
    route!(
        GET "/console/holds/release",
        OPERATE,
        None,
        get(confirm::release),
        "Say what releasing a hold would do"
    ),
    route!(
        POST "/console/holds/release",
        OPERATE,
        Some("hold.release"),
        post(actions::release),
        "Release a route or a template"
    ),
    route!(
        GET "/console/breakers/{id}/release",
        OPERATE,
        None,
        get(confirm::release_breakers),
        "Say what releasing circuit breakers would do"
    ),
    route!(
        POST "/console/breakers/{id}/release",
        OPERATE,
        Some("breaker.release"),
        post(actions::release_breakers),
        "Release the open circuit breakers of a provider"
    ),
    route!(GET "/console/settings", READ, None, get(shown::settings), "Who may do what?"),
    route!(GET "/console/webhooks", READ, None, get(receivers::list), "Webhooks and deliveries"),
    route!(
        GET "/console/webhooks/{id}/enable",
        OPERATE,
        None,
        get(confirm::enable),
        "Say what enabling a webhook would do"
    ),
    route!(
        POST "/console/webhooks/{id}/enable",
        OPERATE,
        Some("webhook.enable"),
        post(receivers::enable),
        "Enable a webhook that its receiver disabled"
    ),
    route!(GET "/console/deliveries/{id}", READ, None, get(receivers::delivery), "One delivery"),
    route!(
        GET "/console/deliveries/{id}/redeliver",
        OPERATE,
        None,
        get(confirm::redeliver),
        "Say what delivering again would do"
    ),
    route!(
        POST "/console/deliveries/{id}/redeliver",
        OPERATE,
        Some("webhook.redeliver"),
        post(receivers::redeliver),
        "Deliver again"
    ),
    route!(GET "/console/hooks", READ, None, get(receivers::received), "Webhooks of others"),
    route!(GET "/console/retention", OPERATE, None, get(receivers::retention), "What has expired"),
    route!(GET "/console/audit", ADMIN, None, get(shown::audit), "The audit log"),
];

/// The routes of the console.
pub fn pages(surface: Surface) -> impl Iterator<Item = &'static Route> {
    let pages: &[Route] = match surface {
        Surface::Api | Surface::Worker => CONSOLE,
        Surface::Status => &[],
    };
    pages.iter()
}

/// The routes of the API of a server.
pub fn routes(surface: Surface) -> impl Iterator<Item = &'static Route> {
    let api: &[Route] = match surface {
        Surface::Api | Surface::Worker => API,
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
    for page in pages(app.surface) {
        let guarded = middleware::from_fn_with_state((app.clone(), page), console::guard::guard);
        router = router.route(page.path, (page.handler)().route_layer(guarded));
    }
    let surface = app.surface;
    router
        .fallback(move |request| no_path(surface, request))
        .method_not_allowed_fallback(move |request| no_method(surface, request))
        .with_state(app.clone())
}

async fn no_path(surface: Surface, request: Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    if surface.has_api() && is_page(&path) {
        return console::refusal::no_page(
            ProblemKind::NoSuchPath,
            format!("there is no page {path:?}"),
        );
    }
    let detail = format!("there is no path {path:?}");
    Problem::new(ProblemKind::NoSuchPath, detail).into_response()
}

async fn no_method(surface: Surface, request: Request) -> Response {
    let matched = request.extensions().get::<axum::extract::MatchedPath>();
    let path = matched.map_or(request.uri().path(), axum::extract::MatchedPath::as_str);
    let methods: Vec<&str> = routes(surface)
        .chain(pages(surface))
        .filter(|route| route.path == path)
        .map(|route| route.method.as_str())
        .collect();
    let methods = methods.join(", ");
    let detail = format!("{} {path} does not exist; the path has {methods}", request.method());
    if is_page(path) {
        return console::refusal::no_page(ProblemKind::MethodNotAllowed, detail);
    }
    Problem::new(ProblemKind::MethodNotAllowed, detail).allowing(&methods).into_response()
}
