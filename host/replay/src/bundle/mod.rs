//! Bundles: a recorded attempt as a tar file that can be replayed without configuration, database
//! and keys.
//!
//! The same attempt gives the same bytes. A bundle is untrusted input: only the names below are
//! read, only regular files within their limits, each with the digest in the manifest.

mod clean;
mod read;
mod write;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use sitewright_model::failure::TemplateRef;
use sitewright_runtime::plugin::Limits;
use sitewright_runtime::run::recording::Recording;

pub(super) use read::open;
pub use write::{ExportOptions, Exported, export};

/// Version of the format.
const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest.json";
const ATTEMPT: &str = "attempt.json";
const RECORD: &str = "record.json";
const RELEASE: &str = "release.json";
const ORDER: &str = "order.json";
const JOURNAL: &str = "journal.jsonl";
const TEMPLATE: &str = "template.wasm";
const DEBUG: &str = "template.debug.wasm";

/// The files of a bundle, each with its maximum bytes.
const NAMES: [(&str, u64); 11] = [
    ("README.txt", 64 << 10),
    (MANIFEST, 64 << 10),
    (ATTEMPT, 16 << 20),
    ("configuration.json", 1 << 20),
    (RECORD, 64 << 20),
    ("record.txt", 64 << 20),
    (RELEASE, 16 << 20),
    (ORDER, 64 << 20),
    (JOURNAL, 256 << 20),
    (TEMPLATE, 256 << 20),
    (DEBUG, 512 << 20),
];

/// A bundle could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("the bundle {} cannot be {what}: {source}", .path.display())]
    Io {
        /// `read`, `unpacked` or `written`.
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file is not a bundle, or was changed.
    #[error(
        "{} is not a bundle of an attempt: {why}; create one with `sitewright failures export`",
        .path.display()
    )]
    Refused { path: PathBuf, why: String },
    /// A value cannot be serialized as JSON: a bug of the host.
    #[error("the bundle cannot be serialized: {0}; this is a bug of the host")]
    Serialize(#[from] serde_json::Error),
}

/// `attempt.json`: everything about the attempt without a file of its own.
#[derive(Serialize, Deserialize)]
struct BundledAttempt {
    format: u32,
    attempt: String,
    order: String,
    template: TemplateRef,
    outcome: BundledOutcome,
    scrubbed: bool,
    limits: Limits,
    default_locale: String,
    routes: Vec<String>,
    recording: Option<Recording>,
    notes: Vec<String>,
}

/// How the attempt ended; decides whether the bundle has a failure record or a release.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BundledOutcome {
    Failed,
    Released,
    #[serde(other)]
    Unknown,
}

/// Entry of one file in the manifest.
#[derive(Serialize, Deserialize)]
struct Listed {
    size: u64,
    sha256: String,
}

fn limit_of(name: &str) -> u64 {
    NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, limit)| *limit)
}
