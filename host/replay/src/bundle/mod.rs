//! A recorded attempt as one file: a tar that can be replayed where there is no configuration, no
//! database and no key.
//!
//! The same attempt gives the same bytes. Read as something that a stranger sent: only the names
//! below, only plain files, none larger than its limit, each with the digest that the manifest
//! says.

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

/// The shape of a bundle.
const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest.json";
const ATTEMPT: &str = "attempt.json";
const RECORD: &str = "record.json";
const RELEASE: &str = "release.json";
const ORDER: &str = "order.json";
const JOURNAL: &str = "journal.jsonl";
const TEMPLATE: &str = "template.wasm";
const DEBUG: &str = "template.debug.wasm";

/// What may be in a bundle, and how large it may be.
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
    /// The file system refused.
    #[error("the bundle {} cannot be {what}: {source}", .path.display())]
    Io {
        /// `read` or `written`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is in it is not what a bundle holds.
    #[error("{} is no bundle of a failure: {why}; make one with `sitewright failures export`", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Something does not serialize: a bug of ours.
    #[error("the bundle cannot be put together: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// The one document that says what the others are.
#[derive(Serialize, Deserialize)]
struct Attempt {
    format: u32,
    attempt: String,
    order: String,
    template: TemplateRef,
    outcome: String,
    scrubbed: bool,
    limits: Limits,
    default_locale: String,
    routes: Vec<String>,
    recording: Option<Recording>,
    notes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    size: u64,
    sha256: String,
}

fn limit_of(name: &str) -> u64 {
    NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, limit)| *limit)
}
