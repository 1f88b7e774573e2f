//! What `manifest.json` at the top of a release says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use ulid::Ulid;

use super::path::SitePath;
use super::root::OrderDir;

/// The version of the manifest's shape that this host writes.
pub const MANIFEST_FORMAT: u32 = 1;

/// The id of a release, and the name of its folder. Ids of one order grow with time.
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

    /// Reads an id as manifests and folders show it.
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(id).map(ReleaseId)
    }
}

/// The template that made a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTemplate {
    /// Its name, from its own manifest.
    pub name: String,
    /// Its version, from its own manifest.
    pub version: String,
    /// SHA-256 of the component, as the catalogue writes it.
    pub digest: String,
}

/// Where a release comes from: all of its manifest but the files.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseInfo {
    /// The release's id; a new one when missing.
    pub id: Option<ReleaseId>,
    /// The template.
    pub template: ReleaseTemplate,
    /// The build of the host that ran it.
    pub host_build: String,
    /// Calls, tokens and cost of the AI models, as the gateway counts them.
    pub ai: serde_json::Value,
    /// How long the run took, and each limit with what was used of it.
    pub usage: serde_json::Value,
    /// The site's language: a BCP 47 tag.
    pub locale: Option<String>,
    /// When the run ended.
    pub created_at: OffsetDateTime,
}

/// `manifest.json` of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`] of the host that wrote it.
    pub format: u32,
    /// The release.
    pub id: ReleaseId,
    /// The order it fulfils.
    pub order: OrderDir,
    /// The attempt that made it.
    pub attempt: OrderDir,
    /// The template that made it.
    pub template: ReleaseTemplate,
    /// The build of the host that ran the template.
    pub host_build: String,
    /// The site's language: a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// When it was made; RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// What the AI calls used.
    pub ai: serde_json::Value,
    /// How long the run took, and each limit with what was used of it.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub usage: serde_json::Value,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// The site's files by path; not this one.
    pub files: Vec<ManifestFile>,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Path from the top of the site.
    pub path: SitePath,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}
