//! The metrics of the program, sent at an interval.
//!
//! Not the instruments of the SDK: there is one set of metrics, which `/metrics` shows too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use opentelemetry_http::HttpClient as _;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use prost::Message as _;
use sitewright_model::metrics::{
    MetricFamily, MetricHistogram, MetricLabels, MetricPoints, MetricValue, ReadMetrics,
};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber as _;

use super::sender::Sender;
use super::settings::MetricSettings;
use super::{Redact, SCOPE};

/// Maximum time to read the metrics of a database at the end of the program: the rest of its last
/// moments is for sending them.
const LAST_READ_WITHIN: Duration = Duration::from_millis(200);

/// Sends metrics.
pub(super) struct MetricExport {
    settings: MetricSettings,
    sender: Sender,
    points: PointWriter,
    resource: Resource,
    /// The number of exports that failed.
    lost: u64,
    /// Whether the last export failed: the log has why.
    is_failing: bool,
}

impl MetricExport {
    /// Counters began at `started`.
    pub(super) fn new(
        settings: MetricSettings,
        sender: Sender,
        resource: &opentelemetry_sdk::Resource,
        redact: Redact,
        started: SystemTime,
    ) -> Self {
        let attributes = ResourceAttributesWithSchema::from(resource).attributes.0;
        MetricExport {
            settings,
            sender,
            points: PointWriter { started: nanos(started), now: 0, redact },
            resource: Resource { attributes, ..Resource::default() },
            lost: 0,
            is_failing: false,
        }
    }

    /// Exports until `stop`, and then once more. Returns how many exports failed.
    pub(super) async fn run(mut self, read: ReadMetrics, stop: CancellationToken) -> u64 {
        let (interval, within) = (self.settings.interval, self.settings.within);
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        // After a slow export, the next one is not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = async {
                ticks.tick().await;
                self.export(&read, within).await;
            };
            // The last export has all that one under way has: sums are those since the start.
            if stop.run_until_cancelled(next).await.is_none() {
                break;
            }
        }
        self.export(&read, LAST_READ_WITHIN.min(within)).await;
        self.lost
    }

    async fn export(&mut self, read: &ReadMetrics, read_within: Duration) {
        let families = read(read_within).await;
        let request = self.request(&families);
        let answers = self.sender.answers();
        // As in `outlet`: what is logged while it is sent is not about an order.
        let sent = self.sender.send_bytes(request).with_subscriber(tracing::Dispatch::none()).await;
        let answer = std::mem::take(&mut *answers.lock());
        let failed = match sent {
            Ok(_) => answer.reason,
            Err(error) => Some(answer.reason.unwrap_or_else(|| error.to_string())),
        };
        self.report(failed);
    }

    /// Logs the first failure of several, and their end: a collector may be away for days, or have
    /// no place for metrics.
    fn report(&mut self, failed: Option<String>) {
        match failed {
            Some(reason) => {
                self.lost += 1;
                if !self.is_failing {
                    tracing::warn!(
                        signal = "metrics",
                        reason,
                        "metrics did not reach the OpenTelemetry collector: each export is tried, \
                         and the log says when one arrives; no order waits for it. \
                         OTEL_METRICS_EXPORTER=none turns metrics off"
                    );
                }
                self.is_failing = true;
            }
            None => {
                if self.is_failing {
                    let lost = self.lost;
                    tracing::info!(lost, "metrics reach the OpenTelemetry collector again");
                }
                self.is_failing = false;
            }
        }
    }

    fn request(&mut self, families: &[MetricFamily]) -> Request<Bytes> {
        self.points.now = nanos(SystemTime::now());
        let measured = families.iter().filter(|family| !family.points.is_empty());
        let scope = InstrumentationScope { name: SCOPE.to_owned(), ..Default::default() };
        let of_scope = ScopeMetrics {
            scope: Some(scope),
            metrics: measured.map(|family| self.points.metric(family)).collect(),
            schema_url: String::new(),
        };
        let of_resource = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![of_scope],
            schema_url: String::new(),
        };
        let body = ExportMetricsServiceRequest { resource_metrics: vec![of_resource] };
        let mut request = Request::new(Bytes::from(body.encode_to_vec()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.collector.url.clone();
        *request.headers_mut() = self.settings.collector.headers.clone();
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        request.headers_mut().insert(CONTENT_TYPE, protobuf);
        request
    }
}

/// Nanoseconds since the Unix epoch.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes metrics as OTLP has them. Times are nanoseconds since the Unix epoch.
struct PointWriter {
    /// When counters began.
    started: u64,
    now: u64,
    redact: Redact,
}

impl PointWriter {
    fn metric(&self, family: &MetricFamily) -> Metric {
        let temporality = AggregationTemporality::Cumulative.into();
        let data = match &family.points {
            MetricPoints::Gauges(points) => {
                let points = points.iter().map(|(labels, value)| self.number(labels, *value, 0));
                Data::Gauge(Gauge { data_points: points.collect() })
            }
            MetricPoints::Counters(points) => {
                let points = points.iter();
                let points =
                    points.map(|(labels, value)| self.number(labels, *value, self.started));
                Data::Sum(Sum {
                    data_points: points.collect(),
                    aggregation_temporality: temporality,
                    is_monotonic: true,
                })
            }
            MetricPoints::Histograms(points) => {
                let points = points.iter().map(|(labels, values)| self.histogram(labels, values));
                Data::Histogram(Histogram {
                    data_points: points.collect(),
                    aggregation_temporality: temporality,
                })
            }
        };
        // Other units have no name here: what writes Prometheus' format appends it to the metric.
        let unit = if family.name.ends_with("_seconds") { "s" } else { "" };
        Metric {
            name: family.full(),
            description: family.help.to_owned(),
            unit: unit.to_owned(),
            metadata: Vec::new(),
            data: Some(data),
        }
    }

    /// `began` is 0 for what is not summed up.
    fn number(&self, labels: &MetricLabels, value: MetricValue, began: u64) -> NumberDataPoint {
        let value = match value {
            MetricValue::Whole(number) => Number::AsInt(number),
            MetricValue::Real(number) => Number::AsDouble(number),
        };
        NumberDataPoint {
            attributes: self.attributes(labels),
            start_time_unix_nano: began,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(&self, labels: &MetricLabels, values: &MetricHistogram) -> HistogramDataPoint {
        let bounds = values.buckets.iter().map(|(bound, _)| *bound);
        HistogramDataPoint {
            attributes: self.attributes(labels),
            start_time_unix_nano: self.started,
            time_unix_nano: self.now,
            count: values.count(),
            sum: Some(values.sum),
            bucket_counts: values.buckets.iter().map(|(_, count)| *count).collect(),
            // The last bucket has no bound in OTLP.
            explicit_bounds: bounds.filter(|bound| *bound < f64::MAX).collect(),
            ..HistogramDataPoint::default()
        }
    }

    fn attributes(&self, labels: &MetricLabels) -> Vec<KeyValue> {
        let attributes = labels.iter().map(|(name, value)| {
            let value = Any::StringValue((self.redact)(value).into_owned());
            KeyValue {
                key: (*name).to_owned(),
                value: Some(AnyValue { value: Some(value) }),
                ..KeyValue::default()
            }
        });
        attributes.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn writer() -> PointWriter {
        let redact: Redact = |text| Cow::Owned(text.replace("secret", "[redacted]"));
        PointWriter { started: 5, now: 7, redact }
    }

    fn family(points: MetricPoints) -> MetricFamily {
        MetricFamily { name: "took_seconds", help: "How long", points }
    }

    #[test]
    fn a_counter_is_a_monotonic_sum_since_the_start() {
        let labels = vec![("model", "a \"secret\" one".to_owned())];
        let points = MetricPoints::Counters(vec![(labels, MetricValue::Whole(3))]);
        let metric = writer().metric(&family(points));
        assert_eq!((&*metric.name, &*metric.unit), ("sitewright_took_seconds_total", "s"));
        let Some(Data::Sum(sum)) = metric.data else { panic!("{metric:?}") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
        let [point] = &sum.data_points[..] else { panic!("{sum:?}") };
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 7));
        assert_eq!(point.value, Some(Number::AsInt(3)));
        let value = point.attributes[0].value.clone().unwrap().value;
        assert_eq!(value, Some(Any::StringValue("a \"[redacted]\" one".to_owned())));
    }

    #[test]
    fn a_gauge_has_no_start() {
        let points = MetricPoints::Gauges(vec![(Vec::new(), MetricValue::Real(0.5))]);
        let metric = writer().metric(&family(points));
        let Some(Data::Gauge(gauge)) = metric.data else { panic!("{metric:?}") };
        assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(0.5)));
        assert_eq!(gauge.data_points[0].start_time_unix_nano, 0);
        assert!(gauge.data_points[0].attributes.is_empty());
    }

    #[test]
    fn a_histogram_has_one_bucket_more_than_bounds() {
        let buckets = vec![(0.5, 2), (2.0, 0), (f64::MAX, 1)];
        let values = MetricHistogram { sum: 9.5, buckets };
        let points = MetricPoints::Histograms(vec![(Vec::new(), values)]);
        let metric = writer().metric(&family(points));
        assert_eq!(metric.name, "sitewright_took_seconds");
        let Some(Data::Histogram(histogram)) = metric.data else { panic!("{metric:?}") };
        let point = &histogram.data_points[0];
        assert_eq!(point.explicit_bounds, [0.5, 2.0]);
        assert_eq!(point.bucket_counts, [2, 0, 1]);
        assert_eq!((point.count, point.sum, point.start_time_unix_nano), (3, Some(9.5), 5));
    }
}
