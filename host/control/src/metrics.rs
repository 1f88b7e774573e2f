//! Metrics: the queue at this moment, and what this process has done. `/metrics` shows them, and
//! OTLP sends them. Every label has a bounded number of values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sitewright_jobs::{AiFailureSeries, AiSeries, BreakerSeries, Database, Distribution, Error};
use sitewright_model::build;
use sitewright_model::metrics::{
    MetricFamily, MetricHistogram, MetricLabels, MetricPoints, MetricValue, ReadMetrics,
};

/// Maximum number of templates, and of holds, that are named; the others are `other`.
const MAX_NAMED: usize = 100;
/// A worker whose last heartbeat is older is counted as stale.
const STALE_AFTER: Duration = Duration::from_secs(20);

/// Counts the open streams of events of this process.
pub type CountListeners = Arc<dyn Fn() -> usize + Send + Sync>;

/// Reads the metrics of the queue and of this process. While the database does not answer, only
/// those of the process are read: what counts outages must not end with them.
pub fn read_metrics(database: Database, listeners: CountListeners) -> ReadMetrics {
    Arc::new(move |within| {
        let (database, listeners) = (database.clone(), Arc::clone(&listeners));
        Box::pin(async move {
            let queue = tokio::time::timeout(within, metrics_of_queue(&database)).await;
            let mut families = match queue {
                Ok(Ok(families)) => families,
                // Others report that the database is away.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the metrics of the queue are left out");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            families.extend(metrics_of_process(&database, listeners()));
            families
        })
    })
}

/// What the database says of all processes.
///
/// # Errors
/// If the database fails.
pub async fn metrics_of_queue(database: &Database) -> Result<Vec<MetricFamily>, Error> {
    let stats = database.stats().await?;
    let by_template = database.unfinished_by_template().await?;

    let mut orders = SummedPoints::default();
    for (state, count) in &stats.orders {
        orders.add([("state", state.to_string())], *count);
    }
    let mut unfinished = SummedPoints::default();
    for (index, ((template, state), count)) in by_template.iter().enumerate() {
        let template = named(index, template);
        unfinished.add([("template", template), ("state", state.to_string())], *count);
    }
    let ages = [("queued", stats.oldest_queued_ms), ("running", stats.oldest_running_ms)];
    let ages = ages.map(|(state, age)| {
        let age = MetricValue::Real(seconds(age.unwrap_or_default()));
        (vec![("state", state.to_owned())], age)
    });
    let mut held = SummedPoints::default();
    for (index, hold) in stats.holds.iter().enumerate() {
        let cause: &'static str = hold.cause.into();
        let name = named(index, &hold.id.to_string());
        held.add([("hold", name), ("cause", cause.to_owned())], hold.orders);
    }
    let holds = i64::try_from(stats.holds.len()).unwrap_or(i64::MAX);

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
    let mut workers = SummedPoints::default();
    workers.add([("state", "alive".to_owned())], alive);
    workers.add([("state", "stale".to_owned())], stale);

    Ok(vec![
        gauges("orders", "Orders in each state", orders.into()),
        gauges(
            "unfinished_orders",
            "Orders of each template that have not ended",
            unfinished.into(),
        ),
        gauges("oldest_order_seconds", "Age of the oldest order in a state", ages.into()),
        gauge("queue_paused", "Whether the queue is paused", i64::from(stats.paused)),
        gauge(
            "batch_items",
            "AI calls that wait for a batch, or for the answer of one",
            stats.batch_items,
        ),
        gauges("held_orders", "Orders that wait for a hold", held.into()),
        gauge("holds", "Holds that are set", holds),
        gauges("workers", "Workers, by whether their heartbeat is recent", workers.into()),
        gauge("worker_capacity", "Orders that all live workers can run at once", room),
        gauge(
            "oldest_heartbeat_seconds",
            "Age of the oldest last heartbeat of a worker",
            seconds(silent_ms),
        ),
    ])
}

/// What this process has done since its start. Needs no database.
pub fn metrics_of_process(database: &Database, listeners: usize) -> Vec<MetricFamily> {
    let version = vec![("version", build::host_build().to_owned())];
    let counts = database.attempt_counts();
    let ended = counts.snapshot().into_iter().map(|((end, kind), count)| {
        let labels = vec![("outcome", end.to_owned()), ("kind", kind.to_owned())];
        (labels, MetricValue::from(count))
    });
    let by_template = counts.by_template().into_iter().flat_map(|(template, ends)| {
        ends.into_iter().map(move |(end, count)| {
            let labels = vec![("template", template.clone()), ("outcome", end.to_owned())];
            (labels, MetricValue::from(count))
        })
    });
    let errors = ["true", "false"].into_iter().zip(database.error_counts());
    let errors = errors.map(|(is_transient, count)| {
        (vec![("transient", is_transient.to_owned())], MetricValue::from(count))
    });
    let took = counts.took().into_iter();
    let took = took.map(|(end, took)| (vec![("outcome", end.to_owned())], histogram(&took)));
    let waited = vec![(Vec::new(), histogram(&counts.waited()))];
    let listeners = i64::try_from(listeners).unwrap_or(i64::MAX);

    let mut families = vec![
        gauges(
            "build_info",
            "Version of the program; always 1",
            vec![(version, MetricValue::Whole(1))],
        ),
        counters(
            "attempts",
            "Attempts of this process that ended, by outcome and kind of failure",
            ended.collect(),
        ),
        counters(
            "template_attempts",
            "Attempts of this process that ended, by template and outcome",
            by_template.collect(),
        ),
        counters(
            "database_errors",
            "Reads and writes of this process that the database did not do",
            errors.collect(),
        ),
        counters(
            "release_bytes",
            "Bytes of all files of the releases that this process has made",
            vec![(MetricLabels::new(), MetricValue::from(counts.release_bytes()))],
        ),
        MetricFamily {
            name: "attempt_duration_seconds",
            help: "Seconds from claiming an order to completing the attempt, of this process",
            points: MetricPoints::Histograms(took.collect()),
        },
        MetricFamily {
            name: "queue_wait_seconds",
            help: "Seconds for which orders were due before this process claimed them",
            points: MetricPoints::Histograms(waited),
        },
    ];
    let problems = counts.problems().into_iter().flat_map(|(check, levels)| {
        levels.into_iter().map(move |(level, count)| {
            let labels = vec![("check", check.clone()), ("level", level.to_string())];
            (labels, MetricValue::from(count))
        })
    });
    families.push(counters(
        "site_problems",
        "Problems that the checks of sites found in this process, by check",
        problems.collect(),
    ));
    families.extend(metrics_of_ai(database));
    families.push(gauge("event_listeners", "Open streams of events of this process", listeners));
    families
}

/// What AI replies were paid for, which calls failed, and which breakers are open. The queue bounds
/// the number of models, and the configuration that of the breakers.
fn metrics_of_ai(database: &Database) -> [MetricFamily; 6] {
    let (mut replies, mut dollars) = (Vec::new(), Vec::new());
    let mut tokens = BTreeMap::<MetricLabels, u64>::new();
    for (AiSeries { provider, model, reply }, totals) in database.ai_counts().snapshot() {
        let outcome: &'static str = reply.into();
        let labels = |name: &'static str, value: &str| {
            vec![("provider", provider.clone()), ("model", model.clone()), (name, value.to_owned())]
        };
        replies.push((labels("outcome", outcome), MetricValue::from(totals.replies)));
        // Of replies that were used and of those that were not.
        let kinds = [("input", totals.input_tokens), ("output", totals.output_tokens)];
        for (kind, number) in kinds {
            let sum = tokens.entry(labels("kind", kind)).or_default();
            *sum = sum.saturating_add(number);
        }
        let usd = totals.nano_usd as f64 / 1e9;
        dollars.push((labels("outcome", outcome), MetricValue::Real(usd)));
    }
    let tokens = tokens.into_iter().map(|(labels, sum)| (labels, MetricValue::from(sum))).collect();
    let failures = database.ai_counts().failures().into_iter();
    let failures = failures.map(|(AiFailureSeries { provider, model, kind, sent }, count)| {
        let labels = vec![
            ("provider", provider),
            ("model", model),
            ("kind", kind.to_owned()),
            ("sent", sent.to_string()),
        ];
        (labels, MetricValue::from(count))
    });
    let breakers = database.ai_counts().breakers().into_iter();
    let breakers = breakers.map(|(BreakerSeries { route, provider, model }, is_open)| {
        let labels = vec![("route", route), ("provider", provider), ("model", model)];
        (labels, MetricValue::Whole(i64::from(is_open)))
    });
    let took = database.ai_counts().took().into_iter();
    let took = took.map(|(AiSeries { provider, model, reply }, took)| {
        let outcome: &'static str = reply.into();
        let labels =
            vec![("provider", provider), ("model", model), ("outcome", outcome.to_owned())];
        (labels, histogram(&took))
    });
    [
        counters("ai_replies", "AI replies that this process has paid for", replies),
        counters("ai_tokens", "Tokens of these replies, as far as providers say", tokens),
        counters(
            "ai_cost_usd",
            "US dollars of these replies, as far as prices are configured",
            dollars,
        ),
        counters(
            "ai_failures",
            "Attempts at AI calls of this process that failed, by kind of error",
            failures.collect(),
        ),
        gauges(
            "ai_breaker_open",
            "Whether the circuit breaker of a candidate of a route is open in this process",
            breakers.collect(),
        ),
        MetricFamily {
            name: "ai_reply_duration_seconds",
            help: "Seconds from a request of this process to the whole reply",
            points: MetricPoints::Histograms(took.collect()),
        },
    ]
}

/// Whole numbers by their labels: those with the same labels are added.
#[derive(Default)]
struct SummedPoints(BTreeMap<MetricLabels, i64>);

impl SummedPoints {
    fn add<const N: usize>(&mut self, labels: [(&'static str, String); N], number: i64) {
        let sum = self.0.entry(labels.into()).or_default();
        *sum = sum.saturating_add(number);
    }
}

impl From<SummedPoints> for Vec<(MetricLabels, MetricValue)> {
    fn from(points: SummedPoints) -> Self {
        points.0.into_iter().map(|(labels, number)| (labels, MetricValue::Whole(number))).collect()
    }
}

fn gauges(
    name: &'static str,
    help: &'static str,
    points: Vec<(MetricLabels, MetricValue)>,
) -> MetricFamily {
    MetricFamily { name, help, points: MetricPoints::Gauges(points) }
}

fn gauge(name: &'static str, help: &'static str, value: impl Into<MetricValue>) -> MetricFamily {
    gauges(name, help, vec![(MetricLabels::new(), value.into())])
}

fn counters(
    name: &'static str,
    help: &'static str,
    points: Vec<(MetricLabels, MetricValue)>,
) -> MetricFamily {
    MetricFamily { name, help, points: MetricPoints::Counters(points) }
}

fn histogram(durations: &Distribution) -> MetricHistogram {
    MetricHistogram { sum: durations.sum(), buckets: durations.buckets() }
}

/// The name, or `other` for those beyond the limit.
fn named(index: usize, name: &str) -> String {
    if index < MAX_NAMED { name.to_owned() } else { "other".to_owned() }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
