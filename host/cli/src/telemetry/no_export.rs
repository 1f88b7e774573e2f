//! A build without the feature `otlp`: nothing is exported.

use std::time::Duration;

use sitewright_model::metrics::ReadMetrics;
use tracing_subscriber::EnvFilter;

use super::BoxedLayer;

/// Added to the filter of what is exported.
pub(super) const OWN: &str = "";

#[derive(Default)]
pub(super) struct Export;

impl Export {
    #[allow(clippy::unused_self, clippy::needless_pass_by_value, reason = "as with the feature")]
    pub(super) fn metrics(&mut self, _: ReadMetrics) {}

    #[allow(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn finish(&mut self, _: Duration) {}
}

#[derive(Default)]
pub(super) struct Exported {
    pub(super) export: Export,
    pub(super) layers: Vec<BoxedLayer>,
    /// Why nothing is exported although the environment names a collector.
    pub(super) refused: Option<String>,
}

#[allow(clippy::needless_pass_by_value, reason = "as with the feature")]
pub(super) fn start(_: EnvFilter) -> Exported {
    Exported { refused: examine().and_then(Result::err), ..Exported::default() }
}

/// What the environment says; `None` if it names no collector.
pub(super) fn examine() -> Option<Result<String, String>> {
    let text = |name: &str| std::env::var(name).unwrap_or_default().trim().to_owned();
    if text("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true") {
        return None;
    }
    let signals = [
        ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"),
        ("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    ];
    let is_off = |exporter: &str| matches!(&*text(exporter), "none" | "prometheus");
    let wanted = signals.into_iter().filter(|(exporter, _)| !is_off(exporter));
    let mut endpoints = wanted.flat_map(|(_, own)| [own, "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let named = endpoints.find(|name| !text(name).is_empty())?;
    Some(Err(format!(
        "the environment variable {named} is set, but this program was built without the feature \
         `otlp`; unset it, or build with `--features otlp`"
    )))
}
