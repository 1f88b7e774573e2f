//! The part of the configuration that replays need.

use std::path::PathBuf;

use sitewright_ai::AiConfig;
use sitewright_order::Locale;
use sitewright_runtime::plugin::Limits;

/// The operator's configuration as far as finding and exporting a recorded attempt needs it.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The folder of sites, failure records and journals.
    pub sites: PathBuf,
    /// The folder of templates, searched by the recorded digest.
    pub templates: PathBuf,
    /// Limits of the run of an attempt without a recording.
    pub limits: Limits,
    /// The language of orders that name none, for an attempt without a recording.
    pub default_locale: Locale,
    /// Routes and providers. Exports contain their names and models, never keys or addresses.
    pub ai: AiConfig,
    /// Version of the configuration, as failure records show it.
    pub version: String,
}
