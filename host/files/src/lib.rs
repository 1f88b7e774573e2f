//! Reads files that a stranger wrote or named: bundles, failure records, conformance folders.
//!
//! | file | question |
//! |---|---|
//! | `plain` | is this a regular file of at most so many bytes? |
//! | [`Folder`] | which file does a name that a stranger wrote mean? |
//! | [`json`], [`toml`] | how many values has a document, before they are collected? |
//! | `error` | what is wrong with a file? |
//!
//! **Invariant:** opening never waits: FIFOs, sockets and devices are refused before they are
//! opened.
//!
//! **Invariant:** nothing is read beyond its limit, and a document is counted before it is parsed.
//!
//! Everything here is blocking.

mod error;
mod folder;
pub mod json;
mod plain;
pub mod toml;

pub use error::{FileError, FileProblem, Limit};
pub use folder::Folder;
pub use plain::{open, read, read_text};
