//! `/metrics`: the queue at this moment, and what this process has done, for Prometheus. Every
//! label has a bounded number of values.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sitewright_jobs::{Database, Error};
use sitewright_model::build;

use super::app::App;
use super::problem::{Problem, ProblemKind};

/// Maximum number of templates, and of holds, that are named; the others are `other`.
const MAX_NAMED: usize = 100;
/// A worker whose last heartbeat is older is counted as stale.
const STALE_AFTER: Duration = Duration::from_secs(20);

type Labels = Vec<(&'static str, String)>;
type Numbers = Family<Labels, Gauge>;
type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let registry = registry(&app.database, app.hub.listeners()).await?;
    let mut body = String::new();
    text::encode(&mut body, &registry).map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("the metrics cannot be written: {error}"))
    })?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok((StatusCode::OK, [(CONTENT_TYPE, kind)], body).into_response())
}

async fn registry(database: &Database, listeners: usize) -> Result<Registry, Error> {
    let stats = database.stats().await?;
    let by_template = database.unfinished_by_template().await?;
    let mut metrics = Metrics { registry: Registry::with_prefix("sitewright") };

    let built = metrics.numbers("build_info", "Version of the program; always 1");
    built.get_or_create(&vec![("version", build::host_build().to_owned())]).set(1);

    let orders = metrics.numbers("orders", "Orders in each state");
    for (state, count) in &stats.orders {
        orders.get_or_create(&vec![("state", state.to_string())]).set(*count);
    }
    let unfinished =
        metrics.numbers("unfinished_orders", "Orders of each template that have not ended");
    for (index, ((template, state), count)) in by_template.iter().enumerate() {
        let template = named(index, template);
        let labels = vec![("template", template), ("state", state.to_string())];
        unfinished.get_or_create(&labels).inc_by(*count);
    }
    let oldest = metrics.seconds("oldest_order_seconds", "Age of the oldest order in a state");
    let ages = [("queued", stats.oldest_queued_ms), ("running", stats.oldest_running_ms)];
    for (state, age) in ages {
        let age = seconds(age.unwrap_or_default());
        oldest.get_or_create(&vec![("state", state.to_owned())]).set(age);
    }
    metrics.number("queue_paused", "Whether the queue is paused", i64::from(stats.paused));

    let holds = metrics.numbers("held_orders", "Orders that wait for a hold");
    for (index, hold) in stats.holds.iter().enumerate() {
        let cause: &'static str = hold.cause.into();
        let name = named(index, &hold.id.to_string());
        holds.get_or_create(&vec![("hold", name), ("cause", cause.to_owned())]).inc_by(hold.orders);
    }
    let count = i64::try_from(stats.holds.len()).unwrap_or(i64::MAX);
    metrics.number("holds", "Holds that are set", count);

    let stale_ms = i64::try_from(STALE_AFTER.as_millis()).unwrap_or(i64::MAX);
    let (mut alive, mut stale, mut room) = (0, 0, 0i64);
    let mut silent_ms = 0;
    for worker in &stats.workers {
        if worker.silent_ms < stale_ms {
            alive += 1;
            room = room.saturating_add(worker.max_orders);
        } else {
            stale += 1;
        }
        silent_ms = silent_ms.max(worker.silent_ms);
    }
    let workers = metrics.numbers("workers", "Workers, by whether their heartbeat is recent");
    workers.get_or_create(&vec![("state", "alive".to_owned())]).set(alive);
    workers.get_or_create(&vec![("state", "stale".to_owned())]).set(stale);
    metrics.number("worker_capacity", "Orders that all live workers can run at once", room);
    let oldest: Gauge<f64, AtomicU64> = Gauge::default();
    oldest.set(seconds(silent_ms));
    let help = "Age of the oldest last heartbeat of a worker";
    metrics.registry.register("oldest_heartbeat_seconds", help, oldest);

    let ended: Family<Labels, Counter> = Family::default();
    for ((end, kind), count) in database.attempt_counts().snapshot() {
        let labels = vec![("outcome", end.to_owned()), ("kind", kind.to_owned())];
        ended.get_or_create(&labels).inc_by(count);
    }
    let help = "Attempts of this process that ended, by outcome and kind of failure";
    metrics.registry.register("attempts", help, ended);
    let listeners = i64::try_from(listeners).unwrap_or(i64::MAX);
    metrics.number("event_listeners", "Open streams of events of this process", listeners);
    Ok(metrics.registry)
}

/// The name, or `other` for those beyond the limit.
fn named(index: usize, name: &str) -> String {
    if index < MAX_NAMED { escaped(name) } else { "other".to_owned() }
}

/// As the format requires: the library writes label values as they are.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// Metrics that are made for one answer.
struct Metrics {
    registry: Registry,
}

impl Metrics {
    fn numbers(&mut self, name: &str, help: &str) -> Numbers {
        let family = Numbers::default();
        self.registry.register(name, help, family.clone());
        family
    }

    fn seconds(&mut self, name: &str, help: &str) -> Seconds {
        let family = Seconds::default();
        self.registry.register(name, help, family.clone());
        family
    }

    fn number(&mut self, name: &str, help: &str, value: i64) {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }
}
