//! Spans and log lines for the OpenTelemetry collector that the environment names.

use std::borrow::Cow;
use std::time::Duration;

use sitewright_ai::Redactor;
use sitewright_otlp::OtlpSettings;

use super::{BoxedLayer, LogError, parsed};

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
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

/// What libraries say while they send to the collector: it would be sent too, without an end.
const OWN: &str = ",hyper=off,hyper_util=off,h2=off,reqwest=off,rustls=off,sitewright_http=off";

/// The tasks that send; none if nothing is exported.
#[derive(Default)]
pub(super) struct Export(Option<sitewright_otlp::Exporters>);

impl Export {
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
}

/// Starts what the environment says: nothing, if it names no collector. `filter` selects the lines
/// of the log.
pub(super) fn start(filter: &str) -> Result<Exported, LogError> {
    let Some(settings) = OtlpSettings::from_env().map_err(ExportError::from)? else {
        return Ok(Exported::default());
    };
    let client = sitewright_http::client().map_err(ExportError::from)?;
    let filter = parsed(filter, OWN)?;
    let started = sitewright_otlp::start(&settings, &client, redact, filter);
    let (export, layers) = started.map_err(ExportError::from)?;
    if settings.has_traces() {
        sitewright_ai::propagate_with(sitewright_otlp::traceparent_of);
    }
    Ok(Exported { export: Export(Some(export)), layers })
}

fn redact(text: &str) -> Cow<'_, str> {
    Redactor::of_process().redact(text)
}
