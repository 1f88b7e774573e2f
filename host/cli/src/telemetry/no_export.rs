//! A build without the feature `otlp`: nothing is exported.

use std::time::Duration;

use super::{BoxedLayer, LogError};

/// The environment names a collector.
#[derive(Debug, thiserror::Error)]
#[error(
    "the environment variable {0} is set, but this program was built without the feature `otlp`; \
     unset it, or build with `--features otlp`"
)]
pub struct ExportError(&'static str);

#[derive(Default)]
pub(super) struct Export;

impl Export {
    #[allow(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn finish(&mut self, _: Duration) {}
}

#[derive(Default)]
pub(super) struct Exported {
    pub(super) export: Export,
    pub(super) layers: Vec<BoxedLayer>,
}

pub(super) fn start(_: &str) -> Result<Exported, LogError> {
    let endpoints = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    ];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let disabled = std::env::var("OTEL_SDK_DISABLED").unwrap_or_default();
    match endpoints.into_iter().find(is_set) {
        Some(name) if !disabled.trim().eq_ignore_ascii_case("true") => {
            Err(ExportError(name).into())
        }
        _ => Ok(Exported::default()),
    }
}
