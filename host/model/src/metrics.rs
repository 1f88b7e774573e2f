//! Metrics of one moment, whichever format shows them: OpenMetrics text or OTLP.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The first part of the name of each metric, before a `_`.
pub const METRIC_PREFIX: &str = "sitewright";

/// Names and values of labels, as they are: a format escapes what it must. Each name has a bounded
/// number of values.
pub type MetricLabels = Vec<(&'static str, String)>;

/// What is measured, with a point for each set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricFamily {
    /// Without [`METRIC_PREFIX`], and without the `_total` of counters: see [`MetricFamily::full`].
    pub name: &'static str,
    /// What is counted or measured, in one sentence without a full stop.
    pub help: &'static str,
    pub points: MetricPoints,
}

/// The points of a metric: at most one for each set of labels.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricPoints {
    /// What is so at this moment.
    Gauges(Vec<(MetricLabels, MetricValue)>),
    /// What was counted since the start of the process; none is negative.
    Counters(Vec<(MetricLabels, MetricValue)>),
    /// Durations in seconds since the start of the process.
    Histograms(Vec<(MetricLabels, MetricHistogram)>),
}

/// The value of a gauge or counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricValue {
    Whole(i64),
    Real(f64),
}

/// Measured values, counted in buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricHistogram {
    /// The sum of all values.
    pub sum: f64,
    /// Upper bounds, rising, each with the number of values up to it and above the bound before.
    /// The last bound is `f64::MAX`.
    pub buckets: Vec<(f64, u64)>,
}

/// Reads the metrics of this moment. The argument is the maximum time for those that are in the
/// database; if it does not answer in time, these are left out.
pub type ReadMetrics =
    Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = Vec<MetricFamily>> + Send>> + Send + Sync>;

impl MetricFamily {
    /// The whole name, as it is in the documentation, in dashboards and in alert rules.
    pub fn full(&self) -> String {
        let end = if matches!(self.points, MetricPoints::Counters(_)) { "_total" } else { "" };
        format!("{METRIC_PREFIX}_{}{end}", self.name)
    }
}

impl MetricPoints {
    /// Whether there is no point at all.
    pub fn is_empty(&self) -> bool {
        match self {
            MetricPoints::Gauges(points) | MetricPoints::Counters(points) => points.is_empty(),
            MetricPoints::Histograms(points) => points.is_empty(),
        }
    }
}

impl MetricHistogram {
    /// The number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

impl From<i64> for MetricValue {
    fn from(value: i64) -> Self {
        MetricValue::Whole(value)
    }
}

impl From<u64> for MetricValue {
    fn from(value: u64) -> Self {
        MetricValue::Whole(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for MetricValue {
    fn from(value: f64) -> Self {
        MetricValue::Real(value)
    }
}
