//! Spans, log lines and metrics for the OpenTelemetry collector that the environment names.

use std::borrow::Cow;
use std::time::Duration;

use sitewright_ai::Redactor;
use sitewright_model::metrics::ReadMetrics;
use sitewright_otlp::OtlpSettings;
use tracing_subscriber::EnvFilter;

use super::BoxedLayer;

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// A variable has a value that cannot be followed.
    #[error(transparent)]
    Settings(#[from] sitewright_otlp::SettingsError),
    /// The SDK does not accept what the environment says.
    #[error(transparent)]
    Setup(#[from] sitewright_otlp::ExporterError),
    /// There is no HTTP client.
    #[error(transparent)]
    Client(#[from] sitewright_http::ClientError),
}

/// Added to the filter of what is exported. What libraries say while they send to the collector
/// would be sent too, without an end.
pub(super) const OWN: &str =
    ",hyper=off,hyper_util=off,h2=off,reqwest=off,rustls=off,sitewright_http=off";

/// The tasks that send; none if nothing is exported.
#[derive(Default)]
pub(super) struct Export(Option<sitewright_otlp::Exporters>);

impl Export {
    pub(super) fn metrics(&mut self, read: ReadMetrics) {
        if let Some(export) = &mut self.0 {
            export.send_metrics(read);
        }
    }

    pub(super) async fn finish(&mut self, within: Duration) {
        if let Some(export) = self.0.take() {
            export.finish(within).await;
        }
    }
}

/// A started export, and the layers that feed it.
#[derive(Default)]
pub(super) struct Exported {
    pub(super) export: Export,
    pub(super) layers: Vec<BoxedLayer>,
    /// Why nothing is exported although the environment names a collector.
    pub(super) refused: Option<String>,
}

/// Starts what the environment says: nothing, if it names no collector. `filter` selects the lines
/// of the log.
pub(super) fn start(filter: EnvFilter) -> Exported {
    begin(filter).unwrap_or_else(|error| Exported {
        refused: Some(error.to_string()),
        ..Exported::default()
    })
}

fn begin(filter: EnvFilter) -> Result<Exported, ExportError> {
    let Some(settings) = OtlpSettings::from_env()? else { return Ok(Exported::default()) };
    let client = sitewright_http::client()?;
    let (export, layers) = sitewright_otlp::start(&settings, &client, redact, filter)?;
    if settings.has_traces() {
        sitewright_ai::propagate_with(sitewright_otlp::traceparent_of);
    }
    Ok(Exported { export: Export(Some(export)), layers, refused: None })
}

/// What the environment says; `None` if it names no collector.
pub(super) fn examine() -> Option<Result<String, String>> {
    match OtlpSettings::from_env() {
        Ok(settings) => Some(Ok(settings?.signals())),
        Err(error) => Some(Err(error.to_string())),
    }
}

fn redact(text: &str) -> Cow<'_, str> {
    Redactor::of_process().redact(text)
}
