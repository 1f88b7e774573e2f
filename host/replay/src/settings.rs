//! What a replay needs to know of the configuration.

use std::path::PathBuf;

use sitewright_ai::AiConfig;
use sitewright_order::Locale;
use sitewright_runtime::plugin::Limits;

/// The part of the operator's configuration that finding and exporting a recorded attempt needs.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The folder of sites, failure records and journals.
    pub sites: PathBuf,
    /// The folder of templates, searched by the recorded digest.
    pub templates: PathBuf,
    /// Limits of a run, for recordings that do not carry their own.
    pub limits: Limits,
    /// The language of orders that name none, for recordings that do not carry it.
    pub default_locale: Locale,
    /// Routes and providers: which routes there are, never keys or addresses.
    pub ai: AiConfig,
    /// The version of the configuration, as in records.
    pub version: String,
}
