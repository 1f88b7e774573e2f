//! Writes the contract's WIT for tools that need it. It is embedded in this program, so that a
//! project needs no copy.

use std::path::PathBuf;

use super::{BuildError, replace};
use crate::project::Project;

const WIT: &str = include_str!("../../../../wit/0.2.0/template.wit");

/// A folder with the contract's WIT, written if it differs.
pub(super) async fn folder(project: &Project) -> Result<PathBuf, BuildError> {
    let folder = project.scratch().join("wit");
    let file = folder.join("template.wit");
    let write = move || match std::fs::read(&file) {
        Ok(found) if found == WIT.as_bytes() => Ok(()),
        _ => replace(&file, WIT.as_bytes()),
    };
    tokio::task::spawn_blocking(write).await.map_err(|error| {
        BuildError::Unexpected(format!("writing the contract's WIT failed: {error}"))
    })??;
    Ok(folder)
}
