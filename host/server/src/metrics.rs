//! `/metrics`: the metrics of the queue and of this process, for Prometheus: as OpenMetrics text, or
//! in the older text format for clients that read only that.

use std::collections::BTreeSet;
use std::fmt;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use sitewright_control::{metrics_of_process, metrics_of_queue};
use sitewright_model::metrics::{METRIC_PREFIX, MetricLabels, MetricPoints, MetricValue};

use super::app::App;
use super::problem::{Problem, ProblemKind};

/// `GET /metrics`.
pub(crate) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut registry = Registry::with_prefix(METRIC_PREFIX);
    let queue = metrics_of_queue(&app.database).await?;
    let process = metrics_of_process(&app.database, app.hub.listeners());
    for family in queue.into_iter().chain(process) {
        registry.register(family.name, family.help, MetricText(family.points));
    }
    let mut body = String::new();
    text::encode(&mut body, &registry).map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("the metrics cannot be written: {error}"))
    })?;
    let mut kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if reads_only_text(&headers) {
        body = text_format(&body);
        kind = "text/plain; version=0.0.4; charset=utf-8";
    }
    Ok((StatusCode::OK, [(CONTENT_TYPE, kind)], body).into_response())
}

/// Whether a client accepts plain text and does not name OpenMetrics. One that names neither, or
/// has no `Accept`, gets OpenMetrics.
fn reads_only_text(headers: &HeaderMap) -> bool {
    let accepts = |kind: &str| {
        let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.to_ascii_lowercase().contains(kind))
    };
    accepts("text/plain") && !accepts("application/openmetrics-text")
}

/// OpenMetrics text in the text format of version 0.0.4: descriptions of counters have the whole
/// name, with `_total`, and there is no line that marks the end.
fn text_format(open: &str) -> String {
    let counters: BTreeSet<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len() + 32 * counters.len());
    for line in open.lines().filter(|line| *line != "# EOF") {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|start| {
            let (name, rest) = line.strip_prefix(start)?.split_once(' ')?;
            counters.contains(name).then_some((start, name, rest))
        });
        match described {
            Some((start, name, rest)) => {
                for part in [start, name, "_total ", rest] {
                    text.push_str(part);
                }
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Points that are made for one answer.
#[derive(Debug)]
struct MetricText(MetricPoints);

impl EncodeMetric for MetricText {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        match &self.0 {
            MetricPoints::Gauges(points) => {
                each(&mut encoder, points, |encoder, value| match value {
                    MetricValue::Whole(number) => encoder.encode_gauge(number),
                    MetricValue::Real(number) => encoder.encode_gauge(number),
                })
            }
            MetricPoints::Counters(points) => {
                each(&mut encoder, points, |encoder, value| match value {
                    MetricValue::Whole(number) => {
                        let number = u64::try_from(*number).unwrap_or_default();
                        encoder.encode_counter::<NoLabelSet, _, u64>(&number, None)
                    }
                    MetricValue::Real(number) => {
                        encoder.encode_counter::<NoLabelSet, _, u64>(number, None)
                    }
                })
            }
            MetricPoints::Histograms(points) => each(&mut encoder, points, |encoder, histogram| {
                let (sum, count) = (histogram.sum, histogram.count());
                encoder.encode_histogram::<NoLabelSet>(sum, count, &histogram.buckets, None)
            }),
        }
    }

    fn metric_type(&self) -> MetricType {
        match &self.0 {
            MetricPoints::Gauges(_) => MetricType::Gauge,
            MetricPoints::Counters(_) => MetricType::Counter,
            MetricPoints::Histograms(_) => MetricType::Histogram,
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Encodes each point with its labels.
fn each<T>(
    encoder: &mut MetricEncoder<'_>,
    points: &[(MetricLabels, T)],
    encode: impl Fn(&mut MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (labels, value) in points {
        if labels.is_empty() {
            encode(encoder, value)?;
        } else {
            let labels: MetricLabels =
                labels.iter().map(|(name, value)| (*name, escaped(value))).collect();
            encode(&mut encoder.encode_family(&labels)?, value)?;
        }
    }
    Ok(())
}

/// As the format requires: the library writes label values as they are.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
