//! Traces, logs and metrics for an OpenTelemetry collector, by OTLP over HTTP.
//!
//! Nothing is sent unless the environment names an endpoint, see [`OtlpSettings::from_env`].
//!
//! | file | question |
//! |---|---|
//! | `settings` | which of the standard variables are set, and may they be followed? |
//! | `spans` | which spans are exported, and what is their parent? |
//! | `logs` | what is a line of the log in OTLP? |
//! | `metrics` | what are the metrics of the host in OTLP, and when are they sent? |
//! | `fields` | which attribute is a field, and what is removed from its value? |
//! | `outlet` | what waits for the collector, what is dropped, and who is told? |
//! | `sender` | how is a batch sent, and how often? |
//!
//! **Invariant:** no order waits for a collector. What cannot be sent in time is dropped and
//! counted.
//!
//! **Invariant:** no thread and no runtime of its own: the batch processors of the SDK have one
//! thread each, which blocks. Batches are sent by tasks of the one runtime.
//!
//! **Invariant:** every text passes the redactor of the log before it waits.
//!
//! **Invariant:** the only crate that depends on `opentelemetry`. It knows neither orders nor AI
//! calls, only the names of their spans; metrics are given to it.

mod fields;
mod logs;
mod metrics;
mod outlet;
mod sender;
mod settings;
mod spans;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::logs::LoggerProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, RetryPolicy, SpanExporter, WithHttpConfig as _,
};
use opentelemetry_sdk::logs::{LogExporter as _, SdkLoggerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter as _};
use sitewright_model::metrics::ReadMetrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{EnvFilter, FilterExt};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::{Layer, Registry};

use logs::{LogProcessor, Logs};
use metrics::MetricExport;
use sender::Sender;
pub use settings::{OtlpSettings, SettingsError};
pub use spans::traceparent_of;
use spans::{Ids, SpanProcessor, Spans};

/// Removes keys from a text, as the log does.
pub type Redact = fn(&str) -> Cow<'_, str>;

/// A layer of the program's subscriber.
pub type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What the spans and the log lines of this program are said to come from.
const SCOPE: &str = "sitewright";

/// The export cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("what is sent to the OpenTelemetry collector cannot be set up: {source}")]
pub struct ExporterError {
    #[from]
    source: ExporterBuildError,
}

/// The tasks that send. Call [`Exporters::finish`] at the end of the program.
#[must_use = "what waits at the end of the program is lost without `finish`"]
pub struct Exporters {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<u64>>,
    /// Until there are metrics to read.
    metrics: Option<MetricExport>,
}

/// Starts the tasks that send what `settings` says, and returns the layers that feed them. `filter`
/// selects the lines of the log; spans are exported whatever it says. Metrics are sent from
/// [`Exporters::send_metrics`] on.
///
/// Call it once, in the runtime of the program.
///
/// # Errors
/// The SDK does not accept a variable of the environment.
pub fn start(
    settings: &OtlpSettings,
    client: &sitewright_http::Client,
    redact: Redact,
    filter: EnvFilter,
) -> Result<(Exporters, Vec<BoxedLayer>), ExporterError> {
    let resource = settings.resource();
    let stop = CancellationToken::new();
    let (mut layers, mut tasks): (Vec<BoxedLayer>, _) = (Vec::new(), Vec::new());
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_id_generator(Ids::default());
    let provider = match &settings.traces {
        Some(traces) => {
            let sender = Sender::new(client.clone(), traces.timeout);
            let answers = sender.answers();
            // Retries are those of `Sender`: the exporter's own block the thread.
            let mut exporter = SpanExporter::builder()
                .with_http()
                .with_http_client(sender)
                .with_retry_policy(RetryPolicy::disabled())
                .build()?;
            exporter.set_resource(&resource);
            let (outlet, task) = outlet::open(exporter, "traces", traces.batches, answers, &stop);
            tasks.push(task);
            provider.with_span_processor(SpanProcessor(outlet)).build()
        }
        // The spans are made all the same: lines of the log get their order and trace from them.
        None => provider.with_sampler(Sampler::AlwaysOff).build(),
    };
    let spans = Spans::new(provider.tracer(SCOPE), redact);
    layers.push(filtered(spans, spans::exported()));
    let metrics = settings.metrics.clone().map(|metrics| {
        let sender = Sender::new(client.clone(), metrics.within);
        MetricExport::new(metrics, sender, &resource, redact, SystemTime::now())
    });
    if let Some(logs) = &settings.logs {
        let sender = Sender::new(client.clone(), logs.timeout);
        let answers = sender.answers();
        let mut exporter = LogExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        exporter.set_resource(&resource);
        let (outlet, task) = outlet::open(exporter, "logs", logs.batches, answers, &stop);
        tasks.push(task);
        let provider = SdkLoggerProvider::builder()
            .with_resource(resource)
            .with_log_processor(LogProcessor(outlet))
            .build();
        let logs = Logs::new(provider.logger(SCOPE), redact);
        // Spans are enabled whatever the filter says: lines name the order of theirs.
        layers.push(filtered(logs, FilterExt::<Registry>::or(spans::exported(), filter)));
    }
    Ok((Exporters { stop, tasks, metrics }, layers))
}

fn filtered<L, F>(layer: L, filter: F) -> BoxedLayer
where
    L: Layer<Registry> + Send + Sync,
    F: Filter<Registry> + Send + Sync + 'static,
{
    Box::new(layer.with_filter(filter))
}

impl Exporters {
    /// Starts to send what `read` reads, at the interval of the settings and once more in
    /// [`Exporters::finish`]. Does nothing if metrics are not exported, or at a second call.
    pub fn send_metrics(&mut self, read: ReadMetrics) {
        if let Some(export) = self.metrics.take() {
            self.tasks.push(tokio::spawn(export.run(read, self.stop.clone())));
        }
    }

    /// Sends what waits, for at most `within`; what is left then is lost, and the log says so.
    pub async fn finish(self, within: Duration) {
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + within;
        for mut task in self.tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
                tracing::warn!(
                    within_ms = within.as_millis(),
                    "the OpenTelemetry collector does not answer: what waited for it at the end \
                     of the program is lost"
                );
            }
        }
    }
}

/// What became of the last batch.
#[derive(Debug, Default)]
struct Answer {
    /// Why it was not taken, or not all of it, for the log.
    reason: Option<String>,
    /// The number of items that were refused of a batch that was taken.
    rejected: u64,
}

/// Shared by who sends and who counts.
type Answers = Arc<parking_lot::Mutex<Answer>>;
