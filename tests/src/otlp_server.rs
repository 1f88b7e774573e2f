//! A receiver of OTLP over HTTP, as an OpenTelemetry collector is one: it decodes what it receives.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, NumberDataPoint,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::chat_server::{http, read_request};

/// Attributes by their names.
pub type Attributes = BTreeMap<String, Value>;

/// How the receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receives {
    /// It takes everything.
    All,
    /// It reads requests and never answers.
    Silently,
    /// It refuses everything with this status.
    Nothing(u16),
    /// It refuses this number of requests with the status 404, and takes everything after them.
    AllAfter(usize),
}

/// A received span. Ids are hexadecimal digits.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    /// Attributes of the resource.
    pub resource: Attributes,
    /// Its trace.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// Its parent; empty if it has none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// The number of its kind: 1 is internal, 3 client.
    pub kind: i32,
    /// Its attributes.
    pub attributes: Attributes,
    /// Whether its status is an error.
    pub failed: bool,
    /// Begin and end, in nanoseconds since the Unix epoch.
    pub time: (u64, u64),
}

/// A received line of a log.
#[derive(Debug, Clone)]
pub struct ReceivedLine {
    /// Attributes of the resource.
    pub resource: Attributes,
    /// Its trace; empty if it has none.
    pub trace: String,
    /// Its span; empty if it has none.
    pub span: String,
    /// Its text.
    pub body: String,
    /// Its level.
    pub severity: String,
    /// Its attributes.
    pub attributes: Attributes,
}

/// A received point of a metric.
#[derive(Debug, Clone)]
pub struct ReceivedPoint {
    /// Attributes of the resource.
    pub resource: Attributes,
    /// The name of its metric.
    pub name: String,
    /// The unit of its metric.
    pub unit: String,
    /// Its own attributes.
    pub labels: Attributes,
    /// Its number; the sum, if it is of a histogram.
    pub value: f64,
    /// When it began and when it was measured, in nanoseconds since the Unix epoch. A gauge begins
    /// at 0.
    pub time: (u64, u64),
    /// Upper bounds and counts of a histogram; the last count has no bound.
    pub buckets: (Vec<f64>, Vec<u64>),
}

#[derive(Default)]
struct Received {
    spans: Vec<ReceivedSpan>,
    lines: Vec<ReceivedLine>,
    exports: Vec<Vec<ReceivedPoint>>,
    bytes: Vec<u8>,
    requests: usize,
    authorization: Option<String>,
}

/// A running receiver; it stops on drop.
pub struct OtlpServer {
    port: u16,
    received: Arc<Mutex<Received>>,
    stopped: Arc<AtomicBool>,
}

impl OtlpServer {
    /// Starts a receiver on a free port.
    pub fn start(receives: Receives) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let (received, stopped) = (Arc::<Mutex<Received>>::default(), Arc::default());
        let server = OtlpServer { port, received: received.clone(), stopped };
        let stopped = server.stopped.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), received) = (stream, received.clone()) else { continue };
                std::thread::spawn(move || drop(serve(stream, receives, &received)));
            }
        });
        server
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.received().requests
    }

    /// The header `authorization` of the last request.
    pub fn authorization(&self) -> Option<String> {
        self.received().authorization.clone()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.received().spans.clone()
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<ReceivedLine> {
        self.received().lines.clone()
    }

    /// The points of each export of metrics so far, the oldest first.
    pub fn exports(&self) -> Vec<Vec<ReceivedPoint>> {
        self.received().exports.clone()
    }

    /// Whether this text is in a body that was received.
    pub fn has_received(&self, text: &str) -> bool {
        memchr::memmem::find(&self.received().bytes, text.as_bytes()).is_some()
    }

    fn received(&self) -> std::sync::MutexGuard<'_, Received> {
        self.received.lock().expect("no thread panicked")
    }
}

impl Drop for OtlpServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Unblocks `accept`.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn serve(stream: TcpStream, receives: Receives, to: &Mutex<Received>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let refused;
        {
            let mut received = to.lock().expect("no thread panicked");
            received.requests += 1;
            received.bytes.extend_from_slice(&request.body);
            received.authorization = request.authorization;
            refused = match receives {
                Receives::AllAfter(first) => (received.requests <= first).then_some(404),
                Receives::Nothing(status) => Some(status),
                Receives::All | Receives::Silently => None,
            };
            if receives != Receives::Silently && refused.is_none() {
                match request.target.as_str() {
                    "POST /v1/traces" => received.spans.extend(spans(&request.body)),
                    "POST /v1/logs" => received.lines.extend(lines(&request.body)),
                    "POST /v1/metrics" => received.exports.push(points(&request.body)),
                    other => panic!("unexpected request {other}"),
                }
            }
        }
        if receives == Receives::Silently {
            return reader.read_to_end(&mut Vec::new()).map(drop);
        }
        // An empty body is a response without a field.
        reader.get_mut().write_all(&http(refused.unwrap_or(200), &[], ""))?;
    }
    Ok(())
}

fn spans(body: &[u8]) -> Vec<ReceivedSpan> {
    let request = ExportTraceServiceRequest::decode(body).expect("it is an OTLP request");
    let mut spans = Vec::new();
    for of in request.resource_spans {
        let resource = attributes(&of.resource.expect("there is a resource").attributes);
        for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(ReceivedSpan {
                resource: resource.clone(),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                kind: span.kind,
                attributes: attributes(&span.attributes),
                failed: span.status.is_some_and(|status| status.code == 2),
                time: (span.start_time_unix_nano, span.end_time_unix_nano),
            });
            assert!(span.events.is_empty(), "log lines are not events of spans: {:?}", span.events);
        }
    }
    spans
}

fn lines(body: &[u8]) -> Vec<ReceivedLine> {
    let request = ExportLogsServiceRequest::decode(body).expect("it is an OTLP request");
    let mut lines = Vec::new();
    for of in request.resource_logs {
        let resource = attributes(&of.resource.expect("there is a resource").attributes);
        for line in of.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            lines.push(ReceivedLine {
                resource: resource.clone(),
                trace: hex(&line.trace_id),
                span: hex(&line.span_id),
                body: line.body.as_ref().map(value).unwrap_or_default().to_string(),
                severity: line.severity_text,
                attributes: attributes(&line.attributes),
            });
        }
    }
    lines
}

/// Panics if a sum or a histogram is not what was counted since the start.
fn points(body: &[u8]) -> Vec<ReceivedPoint> {
    let request = ExportMetricsServiceRequest::decode(body).expect("it is an OTLP request");
    let mut points = Vec::new();
    for of in request.resource_metrics {
        let resource = attributes(&of.resource.expect("there is a resource").attributes);
        for metric in of.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let base = ReceivedPoint {
                resource: resource.clone(),
                name: metric.name,
                unit: metric.unit,
                labels: Attributes::new(),
                value: 0.0,
                time: (0, 0),
                buckets: (Vec::new(), Vec::new()),
            };
            let cumulative = AggregationTemporality::Cumulative;
            match metric.data.expect("a metric has points") {
                Data::Gauge(gauge) => {
                    let numbers = gauge.data_points.iter();
                    points.extend(numbers.map(|number| number_point(&base, number)));
                }
                Data::Sum(sum) => {
                    assert_eq!(sum.aggregation_temporality(), cumulative, "{base:?}");
                    assert!(sum.is_monotonic, "{base:?}");
                    let numbers = sum.data_points.iter();
                    points.extend(numbers.map(|number| number_point(&base, number)));
                }
                Data::Histogram(histogram) => {
                    assert_eq!(histogram.aggregation_temporality(), cumulative, "{base:?}");
                    let counted = histogram.data_points.iter();
                    points.extend(counted.map(|counted| histogram_point(&base, counted)));
                }
                other => panic!("unexpected data of {base:?}: {other:?}"),
            }
        }
    }
    points
}

fn number_point(base: &ReceivedPoint, number: &NumberDataPoint) -> ReceivedPoint {
    ReceivedPoint {
        labels: attributes(&number.attributes),
        value: match number.value.expect("a point has a number") {
            Number::AsDouble(value) => value,
            Number::AsInt(value) => value as f64,
        },
        time: (number.start_time_unix_nano, number.time_unix_nano),
        ..base.clone()
    }
}

fn histogram_point(base: &ReceivedPoint, counted: &HistogramDataPoint) -> ReceivedPoint {
    assert_eq!(counted.count, counted.bucket_counts.iter().sum::<u64>(), "{counted:?}");
    assert_eq!(counted.bucket_counts.len(), counted.explicit_bounds.len() + 1, "{counted:?}");
    ReceivedPoint {
        labels: attributes(&counted.attributes),
        value: counted.sum.expect("durations have a sum"),
        time: (counted.start_time_unix_nano, counted.time_unix_nano),
        buckets: (counted.explicit_bounds.clone(), counted.bucket_counts.clone()),
        ..base.clone()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Panics if a name is there twice, which OTLP forbids.
fn attributes(list: &[KeyValue]) -> Attributes {
    let mut attributes = Attributes::new();
    for KeyValue { key, value: of, .. } in list {
        let before = attributes.insert(key.clone(), of.as_ref().map(value).unwrap_or_default());
        assert_eq!(before, None, "{key} is there twice: {list:?}");
    }
    attributes
}

fn value(any: &AnyValue) -> Value {
    match &any.value {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(value)) => json!(value),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(list)) => list.values.iter().map(value).collect(),
        other => panic!("an unexpected value: {other:?}"),
    }
}
