//! Snapshots: the sites that an author's cases made before. Text files are kept as they are, others
//! as digests.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use sitewright_model::message;
use sitewright_model::message::Message;

/// The snapshot's folder in a case's folder.
pub(super) const FOLDER: &str = "snapshot";
/// Lists every file of the site with its digest.
const MANIFEST: &str = "snapshot.json";
/// Lines of context around a difference.
const CONTEXT: usize = 2;
/// Maximum number of lines of a difference in the report.
const SHOWN: usize = 60;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// SHA-256 of each file of the site.
    files: BTreeMap<String, String>,
}

/// A difference in one file: a sentence and, for text files, the changed lines.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) file: String,
    pub(super) message: String,
    pub(super) lines: Option<String>,
}

/// Whether a case has a snapshot.
pub(super) fn exists(case: &Path) -> bool {
    case.join(FOLDER).is_dir()
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Compares a site with the snapshot. Blocking.
///
/// # Errors
/// If the snapshot cannot be read.
pub(super) fn compare(
    case: &Path,
    site: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<Difference>, Message> {
    let folder = case.join(FOLDER);
    let file = folder.join(MANIFEST);
    let unreadable = |error: String| {
        message!(
            "cannot read the snapshot {}: {error}; run again with `--update` to replace it",
            file.display()
        )
    };
    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(error.to_string()))?;
    let kept: Manifest =
        serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let mut differences = Vec::new();
    for (path, before) in &kept.files {
        let message = match site.get(path) {
            None => Difference {
                file: path.clone(),
                message: "the file is missing now".to_owned(),
                lines: None,
            },
            Some(bytes) if digest(bytes) == *before => continue,
            Some(bytes) => Difference {
                file: path.clone(),
                message: "the file differs from the snapshot".to_owned(),
                lines: std::fs::read_to_string(folder.join(path))
                    .ok()
                    .filter(|_| is_text(bytes))
                    .map(|before| {
                        lines(&before, &String::from_utf8_lossy(bytes), ["kept", "made now"])
                    }),
            },
        };
        differences.push(message);
    }
    for path in site.keys().filter(|path| !kept.files.contains_key(*path)) {
        differences.push(Difference {
            file: path.clone(),
            message: "the file is new".to_owned(),
            lines: None,
        });
    }
    Ok(differences)
}

/// The lines in which two files differ; `None` if one is not text.
pub(super) fn difference(one: &[u8], other: &[u8], names: [&str; 2]) -> Option<String> {
    Some(lines(std::str::from_utf8(one).ok()?, std::str::from_utf8(other).ok()?, names))
}

fn lines(before: &str, after: &str, [one, other]: [&str; 2]) -> String {
    let difference = TextDiff::from_lines(before, after);
    let text = difference.unified_diff().context_radius(CONTEXT).header(one, other).to_string();
    let all = text.lines().count();
    let mut shown: Vec<&str> = text.lines().take(SHOWN).collect();
    let rest = format!("… and {} more lines", all.saturating_sub(SHOWN));
    if all > SHOWN {
        shown.push(&rest);
    }
    shown.join("\n")
}

/// Replaces the snapshot with this site. Blocking.
///
/// # Errors
/// If the snapshot cannot be written, or the folder has files that are not a snapshot.
pub(super) fn update(case: &Path, site: &BTreeMap<String, Vec<u8>>) -> Result<(), Message> {
    let folder = case.join(FOLDER);
    let failed =
        |error: std::io::Error| message!("cannot write the snapshot {}: {error}", folder.display());
    if folder.exists() {
        // Never removes files that are not a snapshot.
        if !folder.join(MANIFEST).is_file()
            && std::fs::read_dir(&folder).map_err(failed)?.next().is_some()
        {
            return Err(message!(
                "the folder {} is not a snapshot and was not changed; move it away and run again",
                folder.display()
            ));
        }
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for (path, bytes) in site.iter().filter(|(_, bytes)| is_text(bytes)) {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(file, bytes).map_err(failed)?;
    }
    let files = site.iter().map(|(path, bytes)| (path.clone(), digest(bytes))).collect();
    let manifest =
        serde_json::to_string_pretty(&Manifest { files }).map_err(|error| failed(error.into()))?;
    std::fs::write(folder.join(MANIFEST), manifest + "\n").map_err(failed)
}
