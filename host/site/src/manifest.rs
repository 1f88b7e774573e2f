//! The manifest of a release, `manifests/<id>.json` in the order's private folder. Visitors do not
//! get it: it has the models, the cost and the build of the host.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sitewright_model::failure::Diagnostic;
use time::OffsetDateTime;
use ulid::Ulid;

use super::path::SitePath;
use super::root::OrderDir;
use super::verify::SiteProblem;

/// Version of the manifest's format that this host writes.
pub const MANIFEST_FORMAT: u32 = 1;

/// The id of a release, and the name of its folder. Of two releases of an order, the newer one has
/// the greater id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseId(pub Ulid);

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ReleaseId {
    type Err = ulid::DecodeError;

    /// Parses an id as manifests and folder names spell it.
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(id).map(ReleaseId)
    }
}

/// The template that made a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTemplate {
    /// From the template's own manifest.
    pub name: String,
    /// From the template's own manifest.
    pub version: String,
    /// SHA-256 of the component, as the template catalogue writes it.
    pub digest: String,
}

/// The origin of a release: its manifest without the files.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseInfo {
    /// The release's id. Default: a new one.
    pub id: Option<ReleaseId>,
    pub template: ReleaseTemplate,
    /// The build of the host that ran the template.
    pub host_build: String,
    /// Calls, tokens and cost of the AI models, as counted by the gateway.
    pub ai: serde_json::Value,
    /// Duration of the run, and each limit with its usage.
    pub usage: serde_json::Value,
    /// The site's language: a BCP 47 tag.
    pub locale: Option<String>,
    /// What its checks warn of.
    pub warnings: Vec<SiteProblem>,
    /// What the host and the template reported beside the site: warnings and errors.
    pub diagnostics: Vec<Diagnostic>,
    /// Counts the documents of the order, from 1; `None` if the order did not come from the queue.
    pub revision: Option<i64>,
    /// When the run ended.
    pub created_at: OffsetDateTime,
}

/// The manifest of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The [`MANIFEST_FORMAT`] of the host that wrote it.
    pub format: u32,
    pub id: ReleaseId,
    pub order: OrderDir,
    pub attempt: OrderDir,
    pub template: ReleaseTemplate,
    /// The build of the host that ran the template.
    pub host_build: String,
    /// The site's language: a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The revision of the order that it was made from, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// When the run ended; RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Calls, tokens and cost of the AI models, as counted by the gateway.
    pub ai: serde_json::Value,
    /// Duration of the run, and each limit with its usage.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub usage: serde_json::Value,
    /// The violations of rules whose level is `warning`: at most 50 of one file and 500 of the site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<SiteProblem>,
    /// What the host and the template reported beside the site: warnings and errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
    /// Size of all files together, in bytes.
    pub total_bytes: u64,
    /// The site's files, sorted by path.
    pub files: Vec<ManifestFile>,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    pub path: SitePath,
    /// In bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}
