//! `/metrics`: the queue at this moment, and what this process has done, for Prometheus. Every
//! label has a bounded number of values.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sitewright_jobs::{AiFailureSeries, AiSeries, Database, Distribution, Error};
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

    let help = "AI calls that wait for a batch, or for the answer of one";
    metrics.number("batch_items", help, stats.batch_items);

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
    let took = database.attempt_counts().took();
    let took = took.into_iter().map(|(end, took)| (vec![("outcome", end.to_owned())], took));
    let help = "Seconds from claiming an order to completing the attempt, of this process";
    metrics.registry.register("attempt_duration_seconds", help, Durations(took.collect()));
    let waited = Durations(vec![(Vec::new(), database.attempt_counts().waited())]);
    let help = "Seconds for which orders were due before this process claimed them";
    metrics.registry.register("queue_wait_seconds", help, waited);
    ai(&mut metrics.registry, database);
    let listeners = i64::try_from(listeners).unwrap_or(i64::MAX);
    metrics.number("event_listeners", "Open streams of events of this process", listeners);
    Ok(metrics.registry)
}

/// What AI replies were paid for, and which calls failed. The queue bounds the number of models.
fn ai(registry: &mut Registry, database: &Database) {
    let replies: Family<Labels, Counter> = Family::default();
    let tokens: Family<Labels, Counter> = Family::default();
    let dollars: Family<Labels, Counter<f64, AtomicU64>> = Family::default();
    for (AiSeries { provider, model, reply }, totals) in database.ai_counts().snapshot() {
        let outcome: &'static str = reply.into();
        let of_model = vec![("provider", escaped(&provider)), ("model", escaped(&model))];
        let labels = |name: &'static str, value: &str| {
            let mut labels = of_model.clone();
            labels.push((name, value.to_owned()));
            labels
        };
        replies.get_or_create(&labels("outcome", outcome)).inc_by(totals.replies);
        tokens.get_or_create(&labels("kind", "input")).inc_by(totals.input_tokens);
        tokens.get_or_create(&labels("kind", "output")).inc_by(totals.output_tokens);
        let usd = totals.nano_usd as f64 / 1e9;
        dollars.get_or_create(&labels("outcome", outcome)).inc_by(usd);
    }
    registry.register("ai_replies", "AI replies that this process has paid for", replies);
    registry.register("ai_tokens", "Tokens of these replies, as far as providers say", tokens);
    let help = "US dollars of these replies, as far as prices are configured";
    registry.register("ai_cost_usd", help, dollars);
    let failures: Family<Labels, Counter> = Family::default();
    for (AiFailureSeries { provider, model, kind, sent }, count) in database.ai_counts().failures()
    {
        let labels = vec![
            ("provider", escaped(&provider)),
            ("model", escaped(&model)),
            ("kind", kind.to_owned()),
            ("sent", sent.to_string()),
        ];
        failures.get_or_create(&labels).inc_by(count);
    }
    let help = "Attempts at AI calls of this process that failed, by kind of error";
    registry.register("ai_failures", help, failures);
}

/// Histograms that are made for one answer, each with its labels.
#[derive(Debug)]
struct Durations(Vec<(Labels, Distribution)>);

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        for (labels, durations) in &self.0 {
            let (sum, count, buckets) = (durations.sum(), durations.count(), durations.buckets());
            if labels.is_empty() {
                encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            } else {
                let mut encoder = encoder.encode_family(labels)?;
                encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
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
