//! The suite's cases as data: embedded files, one folder per version of the contract.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::case::Case;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The version of the contract that the suite checks, and the name of its folder.
pub const VERSION: &str = "0.1.0";

/// The files of the suite: path in the folder, and text.
const FILES: [(&str, &str); 4] = [
    ("behaviour.toml", include_str!("suite/0.1.0/behaviour.toml")),
    ("ai.toml", include_str!("suite/0.1.0/ai.toml")),
    ("cancel.toml", include_str!("suite/0.1.0/cancel.toml")),
    ("orders/known.json", KNOWN),
];

/// See [`known`].
const KNOWN: &str = include_str!("suite/0.1.0/orders/known.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// All cases of the suite.
///
/// # Errors
/// If an embedded file is invalid, which is a bug.
pub fn cases() -> Result<Vec<Case>, Message> {
    let mut cases = Vec::new();
    for (path, text) in FILES.iter().filter(|(path, _)| path.ends_with(".toml")) {
        let file: File = toml::from_str(text).map_err(|error| {
            message!("the suite's file {VERSION}/{path} cannot be read: {error}")
        })?;
        cases.extend(file.case);
    }
    Ok(cases)
}

/// A valid value for each order field that the host defines.
///
/// # Errors
/// If the embedded file is invalid, which is a bug.
pub(super) fn known() -> Result<Map<String, Value>, Message> {
    serde_json::from_str(KNOWN).map_err(|error| {
        message!("the suite's file {VERSION}/orders/known.json cannot be read: {error}")
    })
}

/// Writes the suite's files to `folder/<version>/` and returns their paths. Blocking.
///
/// # Errors
/// If a file cannot be written.
pub fn export(folder: &Path) -> Result<Vec<PathBuf>, Message> {
    let mut written = Vec::new();
    for (path, text) in FILES {
        let file = folder.join(VERSION).join(path);
        let failed = |error| message!("cannot write the suite to {}: {error}", file.display());
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&file, text).map_err(failed)?;
        written.push(file);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_name_of_its_own_and_a_rule() {
        let cases = cases().unwrap();
        assert!(cases.len() > 30);
        for (at, case) in cases.iter().enumerate() {
            assert!(case.rule.is_some() && !case.name.is_empty(), "{case:?}");
            assert!(
                cases[..at].iter().all(|earlier| earlier.name != case.name),
                "there are two cases {}",
                case.name
            );
        }
    }
}
