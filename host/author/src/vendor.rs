//! The SDKs that this program carries, as the files of a project.
//!
//! They are written below [`FOLDER`] as in the repository, so that the crates find each other and
//! the contract.

use crate::project::Language;

/// Folder of the SDK in a project.
pub(crate) const FOLDER: &str = "vendor/sitewright";

/// The lock file of the Rust SDK, for a new project.
pub(crate) const LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/sdk.lock"));

/// The workspace of the crates of the Rust SDK.
const WORKSPACE: (&str, &[u8]) =
    ("Cargo.toml", include_bytes!(concat!(env!("OUT_DIR"), "/workspace.toml")));

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// The files of the SDK for a language: the path below [`FOLDER`], and the content.
pub(crate) fn files(language: Language) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let (files, workspace) = match language {
        Language::Rust => (embedded::RUST, Some(WORKSPACE)),
        Language::Python => (embedded::PYTHON, None),
        Language::Js => (embedded::JS, None),
    };
    files.iter().copied().chain(workspace)
}
