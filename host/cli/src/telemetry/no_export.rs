//! A build without the feature `otlp`: nothing is exported.

use std::convert::Infallible;
use std::time::Duration;

use super::{BoxedLayer, LogError};

/// There is none.
pub(super) type ExportError = Infallible;

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

#[allow(clippy::unnecessary_wraps, reason = "as with the feature")]
pub(super) fn start(_: &str) -> Result<Exported, LogError> {
    Ok(Exported::default())
}
