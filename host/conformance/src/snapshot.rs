//! Snapshots: the sites that an author's cases made before. Text files are kept as they are, others
//! as digests.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use sitewright_files::{Folder, Limit, json};
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
/// Maximum characters of a line of a difference in the report.
const SHOWN_CHARS: usize = 400;
/// Maximum bytes of `snapshot.json`. 4 MiB.
const MAX_MANIFEST: Limit = Limit::fixed(4 << 20);
/// Maximum files of a snapshot, twice: name and digest.
const MAX_MANIFEST_VALUES: usize = 50_000;
/// Maximum bytes of a file of which the changed lines are shown. The time for that grows with the
/// number of lines times the number of changes.
const MAX_COMPARED_BYTES: usize = 1 << 20;
/// Maximum time for the changed lines of one file; what is found by then is shown.
const MAX_COMPARING: Duration = Duration::from_millis(500);

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
    case.join(FOLDER).symlink_metadata().is_ok()
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
    let unreadable = |error: String| {
        message!(
            "cannot read the snapshot {}: {error}; run again with `--update` to replace it",
            case.join(FOLDER).join(MANIFEST).display()
        )
    };
    let folder = Folder::open(case)
        .and_then(|case| case.folder(FOLDER))
        .map_err(|error| unreadable(error.problem.to_string()))?;
    let text = folder
        .read(MANIFEST, MAX_MANIFEST)
        .map_err(|error| unreadable(error.problem.to_string()))?;
    let kept: Manifest =
        json::parse(&text, MAX_MANIFEST_VALUES).map_err(|error| unreadable(error.to_string()))?;
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
                lines: folder
                    .read(path, Limit::fixed(MAX_COMPARED_BYTES as u64))
                    .ok()
                    .and_then(|before| difference(&before, bytes, ["kept", "made now"])),
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

/// The lines in which two files differ; `None` if one is not text, or too large to be compared line
/// by line.
pub(super) fn difference(one: &[u8], other: &[u8], names: [&str; 2]) -> Option<String> {
    if one.len().max(other.len()) > MAX_COMPARED_BYTES {
        return None;
    }
    Some(lines(std::str::from_utf8(one).ok()?, std::str::from_utf8(other).ok()?, names))
}

fn lines(before: &str, after: &str, [one, other]: [&str; 2]) -> String {
    let difference = TextDiff::configure().timeout(MAX_COMPARING).diff_lines(before, after);
    let text = difference.unified_diff().context_radius(CONTEXT).header(one, other).to_string();
    let all = text.lines().count();
    let mut shown: Vec<String> = text
        .lines()
        .take(SHOWN)
        .map(|line| match line.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        })
        .collect();
    if all > SHOWN {
        shown.push(format!("… and {} more lines", all - SHOWN));
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
    if exists(case) {
        // Never removes files that are not a snapshot, and never writes through a link.
        let is_folder = folder.symlink_metadata().map_err(failed)?.is_dir();
        let is_snapshot = is_folder && folder.join(MANIFEST).symlink_metadata().is_ok();
        if !is_folder
            || (!is_snapshot && std::fs::read_dir(&folder).map_err(failed)?.next().is_some())
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn site(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    /// A case whose `snapshot.json` lists these files.
    fn case(paths: &[&str]) -> tempfile::TempDir {
        let case = tempfile::tempdir().unwrap();
        let folder = case.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        let files = paths.iter().map(|path| ((*path).to_owned(), "0".to_owned())).collect();
        let manifest = serde_json::to_string(&Manifest { files }).unwrap();
        std::fs::write(folder.join(MANIFEST), manifest).unwrap();
        case
    }

    #[test]
    fn a_snapshot_shows_no_file_outside_of_it() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), "secret\n").unwrap();
        let outside = outside.path().display().to_string();
        let names = [outside.as_str(), "/dev/zero", "../case.toml", "link", "fifo"];
        let case = case(&names);
        std::fs::write(case.path().join("case.toml"), "secret\n").unwrap();
        symlink(&outside, case.path().join(FOLDER).join("link")).unwrap();
        let fifo = case.path().join(FOLDER).join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
        let now: Vec<(&str, &str)> = names.iter().map(|name| (*name, "now\n")).collect();
        let found = compare(case.path(), &site(&now)).unwrap();
        assert_eq!(found.len(), names.len());
        for difference in found {
            assert!(difference.lines.is_none(), "{difference:?}");
        }
    }

    #[test]
    fn a_snapshot_that_is_a_link_is_neither_read_nor_replaced() {
        let other = case(&["index.html"]);
        let case = tempfile::tempdir().unwrap();
        symlink(other.path().join(FOLDER), case.path().join(FOLDER)).unwrap();
        assert!(exists(case.path()));
        let error = compare(case.path(), &site(&[])).unwrap_err().to_string();
        assert!(error.contains("it is a symbolic link"), "{error}");
        let error = update(case.path(), &site(&[("index.html", "")])).unwrap_err().to_string();
        assert!(error.contains("is not a snapshot and was not changed"), "{error}");
        assert!(other.path().join(FOLDER).join(MANIFEST).is_file());
    }

    #[test]
    fn comparing_files_without_a_common_line_ends() {
        let lines = |word: &str| -> String {
            (0..100_000).map(|number| format!("{word}{number}\n")).collect()
        };
        let began = std::time::Instant::now();
        let shown = difference(lines("a").as_bytes(), lines("b").as_bytes(), ["a", "b"]).unwrap();
        assert!(shown.lines().count() <= SHOWN + 1);
        // Without a limit it takes minutes.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let large = vec![b'\n'; MAX_COMPARED_BYTES + 1];
        assert_eq!(difference(&large, b"", ["a", "b"]), None);
        let long = "x".repeat(100_000);
        let shown = difference(long.as_bytes(), b"y", ["a", "b"]).unwrap();
        assert!(shown.len() < 2_000, "{}", shown.len());
    }
}
