//! What differs between two releases: files, and lines of those that are text. Bounded, because a
//! template may write anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use sitewright_model::message;
use sitewright_site::store::content::content_type;
use sitewright_site::{Manifest, ManifestFile, OrderDir, SitePath, SiteStore};

use crate::error::Error;

/// Files of which lines are compared.
const MAX_FILES: usize = 25;
/// Maximum bytes of a file of which lines are compared: 256 KiB.
const MAX_BYTES: u64 = 256 << 10;
/// Lines of a difference: of one file, and of all.
const MAX_LINES_OF_FILE: usize = 120;
const MAX_LINES: usize = 400;
/// Characters of a line that are kept.
const MAX_LINE: usize = 240;
/// Lines of context around a difference.
const CONTEXT: usize = 2;
/// Time for finding the differing lines of all files; what is left then is shown less minimally.
const WITHIN: Duration = Duration::from_secs(2);

/// What differs between two releases.
#[derive(Debug, Serialize)]
pub struct ReleaseDiff {
    /// Id of the one that is compared to.
    pub before: String,
    pub after: String,
    /// The files that differ, by path.
    pub files: Vec<FileDiff>,
    /// The number of files that both have alike.
    pub same: usize,
}

/// A file that is not the same in both.
#[derive(Debug, Serialize)]
pub struct FileDiff {
    pub path: SitePath,
    pub change: FileChange,
    /// Bytes before; `None` if there was none.
    pub bytes_before: Option<u64>,
    pub bytes_after: Option<u64>,
    /// The lines that differ, with some around them; empty if the file is no text, is too large, or
    /// others have used up the room.
    pub lines: Vec<DiffLine>,
    /// Whether lines that differ were left out.
    pub is_cut: bool,
}

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FileChange {
    Added,
    Removed,
    Changed,
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffLine {
    pub change: LineChange,
    /// At most 240 characters of it.
    pub text: String,
}

/// How a line differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineChange {
    Same,
    Removed,
    Added,
    /// Lines that both have are left out here.
    Gap,
}

/// What differs between two releases of an order.
///
/// # Errors
/// If the store fails.
pub async fn compare(
    store: &SiteStore,
    before: &Manifest,
    after: &Manifest,
) -> Result<ReleaseDiff, Error> {
    let (mut files, same) = differing(before, after);
    let mut texts = Vec::new();
    for (at, file) in files.iter_mut().enumerate() {
        let is_small = [file.bytes_before, file.bytes_after]
            .into_iter()
            .flatten()
            .all(|bytes| bytes <= MAX_BYTES);
        file.is_cut = is_text(&file.path);
        if !file.is_cut || !is_small || texts.len() >= MAX_FILES {
            continue;
        }
        let old = text(store, before, file.bytes_before, &file.path).await?;
        let new = text(store, after, file.bytes_after, &file.path).await?;
        if let (Some(old), Some(new)) = (old, new) {
            texts.push((at, old, new));
        }
    }
    let compared = tokio::task::spawn_blocking(move || lines_of_all(texts)).await;
    let compared = compared
        .map_err(|error| Error::Host(message!("comparing the releases did not end: {error}")))?;
    for (at, lines, is_cut) in compared {
        if let Some(file) = files.get_mut(at) {
            (file.lines, file.is_cut) = (lines, is_cut);
        }
    }
    Ok(ReleaseDiff { before: before.id.to_string(), after: after.id.to_string(), files, same })
}

/// The files that differ by their digests, and the number of those that do not.
fn differing(before: &Manifest, after: &Manifest) -> (Vec<FileDiff>, usize) {
    let by_path = |manifest: &Manifest| -> BTreeMap<SitePath, ManifestFile> {
        manifest.files.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (old, new) = (by_path(before), by_path(after));
    let paths: BTreeSet<&SitePath> = old.keys().chain(new.keys()).collect();
    let mut files = Vec::new();
    let mut same = 0;
    for path in paths {
        let change = match (old.get(path), new.get(path)) {
            (Some(old), Some(new)) if old.sha256 == new.sha256 => {
                same += 1;
                continue;
            }
            (Some(_), Some(_)) => FileChange::Changed,
            (Some(_), None) => FileChange::Removed,
            (None, _) => FileChange::Added,
        };
        files.push(FileDiff {
            path: path.clone(),
            change,
            bytes_before: old.get(path).map(|file| file.size),
            bytes_after: new.get(path).map(|file| file.size),
            lines: Vec::new(),
            is_cut: false,
        });
    }
    (files, same)
}

fn is_text(path: &SitePath) -> bool {
    let kind = content_type(path);
    kind.starts_with("text/") || ["json", "xml"].iter().any(|part| kind.contains(part))
}

/// The text of a file; an empty one if the release has no such file, `None` if it is no text or was
/// removed meanwhile.
async fn text(
    store: &SiteStore,
    release: &Manifest,
    bytes: Option<u64>,
    path: &SitePath,
) -> Result<Option<String>, Error> {
    if bytes.is_none() {
        return Ok(Some(String::new()));
    }
    let order: &OrderDir = &release.order;
    let file = store.file(order, release.id, path, MAX_BYTES).await?;
    Ok(file.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// The differing lines of each file, and whether some were left out.
fn lines_of_all(texts: Vec<(usize, String, String)>) -> Vec<(usize, Vec<DiffLine>, bool)> {
    let until = Instant::now() + WITHIN;
    let mut room = MAX_LINES;
    let one = |(at, old, new): (usize, String, String)| {
        let (lines, is_cut) = lines(&old, &new, room.min(MAX_LINES_OF_FILE), until);
        room = room.saturating_sub(lines.len());
        (at, lines, is_cut)
    };
    texts.into_iter().map(one).collect()
}

fn lines(old: &str, new: &str, most: usize, until: Instant) -> (Vec<DiffLine>, bool) {
    let (old, new) = (split(old), split(new));
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
    let diff = TextDiff::configure().deadline(until).diff_slices(&old, &new);
    let mut lines: Vec<DiffLine> = Vec::new();
    for group in diff.grouped_ops(CONTEXT) {
        if !lines.is_empty() {
            lines.push(DiffLine { change: LineChange::Gap, text: String::new() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            if lines.len() >= most {
                return (lines, true);
            }
            let text = change.value().chars().take(MAX_LINE).collect();
            let change = match change.tag() {
                ChangeTag::Equal => LineChange::Same,
                ChangeTag::Delete => LineChange::Removed,
                ChangeTag::Insert => LineChange::Added,
            };
            lines.push(DiffLine { change, text });
        }
    }
    (lines, false)
}

/// The lines of a text. One without line breaks, as minified pages are, is broken where an element
/// or a rule begins.
fn split(text: &str) -> Vec<String> {
    let is_long = text.lines().any(|line| line.len() > MAX_LINE);
    if !is_long {
        return text.lines().map(str::to_owned).collect();
    }
    let broken = text.replace('<', "\n<").replace('}', "}\n");
    broken.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str, most: usize) -> (String, bool) {
        let until = Instant::now() + Duration::from_secs(60);
        let (lines, is_cut) = lines(old, new, most, until);
        let sign = |line: &DiffLine| match line.change {
            LineChange::Same => ' ',
            LineChange::Removed => '-',
            LineChange::Added => '+',
            LineChange::Gap => '~',
        };
        let text = lines.iter().map(|line| format!("{}{}|", sign(line), line.text)).collect();
        (text, is_cut)
    }

    #[test]
    fn lines_that_differ_are_shown_with_some_around_them() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\nI\nj\n";
        let wanted = " a|-b|+B| c| d|~| g| h|-i|+I| j|";
        assert_eq!(shown(old, new, 100), (wanted.to_owned(), false));
        assert_eq!(shown(old, new, 3), (" a|-b|+B|".to_owned(), true));
        assert_eq!(shown(old, old, 100), (String::new(), false));
        assert_eq!(shown("", "x", 100), ("+x|".to_owned(), false));
    }

    #[test]
    fn a_page_without_line_breaks_is_broken_at_its_elements() {
        let long = "x".repeat(300);
        let page = |word: &str| format!("<p>{long}</p><h1>{word}</h1>");
        let (lines, is_cut) = shown(&page("old"), &page("new"), 100);
        assert!(lines.contains("-<h1>old|+<h1>new|"), "{lines}");
        assert!(!is_cut);
        assert!(lines.split('|').all(|line| line.chars().count() <= MAX_LINE + 1), "{lines}");
    }
}
