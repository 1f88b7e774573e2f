//! Bundles: a recorded attempt as a tar file that can be replayed without configuration, database
//! and keys.
//!
//! The same attempt gives the same bytes. A bundle is untrusted input: only the names below are
//! read, only regular files within their limits, each with the digest in the manifest. Its template
//! runs within the limits of the host that reads it, see [`limits`](crate::limits).

mod clean;
mod read;
mod write;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use sitewright_model::failure::TemplateRef;
use sitewright_runtime::plugin::{Limits, MAX_TEMPLATE_BYTES};
use sitewright_runtime::run::recording::Recording;

pub(super) use read::open;
pub use write::{ExportOptions, Exported, export};

/// Version of the format.
const FORMAT: u32 = 1;

pub(super) const MANIFEST: &str = "manifest.json";
const ATTEMPT: &str = "attempt.json";
const RECORD: &str = "record.json";
const RELEASE: &str = "release.json";
const ORDER: &str = "order.json";
const JOURNAL: &str = "journal.jsonl";
const TEMPLATE: &str = "template.wasm";
const DEBUG: &str = "template.debug.wasm";

/// The rule for one file of a bundle.
pub(super) struct FileRule {
    pub(super) name: &'static str,
    max_bytes: u64,
    /// Maximum values and names of fields of a JSON document; 0 for files that are not parsed as
    /// one document.
    max_values: usize,
}

const fn file(name: &'static str, max_bytes: u64, max_values: usize) -> FileRule {
    FileRule { name, max_bytes, max_values }
}

/// The files of a bundle.
pub(super) const FILES: [FileRule; 11] = [
    file("README.txt", 64 << 10, 0),
    file(MANIFEST, 64 << 10, 1_000),
    // Lengths of the deltas of streamed replies are most of the values.
    file(ATTEMPT, 16 << 20, 500_000),
    file("configuration.json", 1 << 20, 0),
    file(RECORD, 16 << 20, 200_000),
    file("record.txt", 16 << 20, 0),
    file(RELEASE, 16 << 20, 500_000),
    // The order itself is checked with `limits.order_bytes`, as any order is.
    file(ORDER, 64 << 20, 0),
    file(JOURNAL, 64 << 20, 0),
    file(TEMPLATE, MAX_TEMPLATE_BYTES, 0),
    file(DEBUG, 512 << 20, 0),
];

/// Maximum replies in a journal.
const MAX_REPLIES: usize = 10_000;
/// Maximum bytes of one reply in a journal.
const MAX_REPLY_BYTES: u64 = 32 << 20;
/// Maximum values and names of fields of one reply. A reply's own JSON is a text.
const MAX_REPLY_VALUES: usize = 200;

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
    /// The bundle's file is not a regular one, or too large.
    #[error("the bundle cannot be read: {source}")]
    File { source: sitewright_files::FileError },
    /// A file of the attempt is larger than bundles may hold.
    #[error("the bundle cannot be written: its {name} would have {what}")]
    TooLarge { name: &'static str, what: String },
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

fn rule_of(name: &str) -> Option<&'static FileRule> {
    FILES.iter().find(|rule| rule.name == name)
}
