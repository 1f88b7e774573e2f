//! What differs between two releases: files, and lines of those that are text. Bounded, because a
//! template may write anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use similar::{DiffOp, DiffTag, TextDiff};
use sitewright_model::message;
use sitewright_site::store::content::content_type;
use sitewright_site::{Manifest, ManifestFile, OrderDir, SitePath, SiteStore};

use crate::error::Error;

/// Files of which lines are compared.
const MAX_FILES: usize = 25;
/// Maximum bytes of a file of which lines are compared: 256 KiB.
const MAX_BYTES: u64 = 256 << 10;
/// Maximum bytes of all files of which lines are compared, before and after: 2 MiB.
const MAX_BYTES_OF_ALL: u64 = 2 << 20;
/// Lines of a difference: of one file, and of all.
const MAX_LINES_OF_FILE: usize = 120;
const MAX_LINES: usize = 400;
/// Characters of a line that are kept, and how many of them are before the first that differs.
const MAX_LINE: usize = 240;
const BEFORE_CHANGE: usize = 80;
/// Where a line was cut.
const ELLIPSIS: char = '…';
/// Lines of context around a difference.
const CONTEXT: usize = 2;
/// Time for finding the differing lines of all files, of which each has a share. What does not fit
/// in is shown less minimally, or not.
const WITHIN: Duration = Duration::from_secs(1);

/// What differs between two releases.
#[derive(Debug, Serialize)]
pub struct ReleaseDiff {
    /// Id of the one that is compared to.
    pub before: String,
    pub after: String,
    /// The files that differ: `index.html`, then the other pages, then the rest; each by path.
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
    /// What the lines do not say, or why there are none.
    pub note: Option<FileNote>,
}

/// What the differing lines of a file do not say. `Display` is a sentence without its subject, the
/// file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum FileNote {
    #[strum(serialize = "ends its lines otherwise: with CRLF in one release, with LF in the other")]
    LineBreaks,
    #[strum(serialize = "ends with a line break in one release only")]
    LastLineBreak,
    #[strum(serialize = "differs in empty lines only")]
    EmptyLines,
    #[strum(serialize = "is no text, and its bytes differ")]
    NotText,
    #[strum(serialize = "has more than 256 KiB: its lines are not compared")]
    TooLarge,
    #[strum(serialize = "was not compared line by line: other files have used up the room")]
    NoRoom,
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
    let mut room = MAX_BYTES_OF_ALL;
    for (at, file) in files.iter_mut().enumerate() {
        let sizes = [file.bytes_before, file.bytes_after];
        file.note = Some(FileNote::NotText).filter(|_| file.change == FileChange::Changed);
        if !is_text(&file.path) {
            continue;
        }
        file.is_cut = true;
        if sizes.into_iter().flatten().any(|bytes| bytes > MAX_BYTES) {
            file.note = Some(FileNote::TooLarge);
            continue;
        }
        let left = room.checked_sub(sizes.into_iter().flatten().sum());
        let Some(left) = left.filter(|_| texts.len() < MAX_FILES) else {
            file.note = Some(FileNote::NoRoom);
            continue;
        };
        room = left;
        let old = text(store, before, file.bytes_before, &file.path).await?;
        let new = text(store, after, file.bytes_after, &file.path).await?;
        if let (Some(old), Some(new)) = (old, new) {
            texts.push(Texts { at, is_changed: file.change == FileChange::Changed, old, new });
        }
    }
    let compared = tokio::task::spawn_blocking(move || lines_of_all(texts)).await;
    let compared = compared
        .map_err(|error| Error::Host(message!("comparing the releases did not end: {error}")))?;
    for Compared { at, lines, is_cut, note } in compared {
        if let Some(file) = files.get_mut(at) {
            (file.lines, file.is_cut, file.note) = (lines, is_cut, note);
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
            note: None,
        });
    }
    files.sort_by_cached_key(|file| rank(&file.path));
    (files, same)
}

/// What visitors see first comes first, also where there is not room for all.
fn rank(path: &SitePath) -> (bool, bool, SitePath) {
    let is_page = content_type(path).starts_with("text/html");
    (*path != SitePath::entry_page(), !is_page, path.clone())
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

/// A file before and after.
struct Texts {
    /// Its position among the files that differ.
    at: usize,
    /// Whether both releases have it.
    is_changed: bool,
    old: String,
    new: String,
}

/// What differs in a file.
struct Compared {
    at: usize,
    lines: Vec<DiffLine>,
    is_cut: bool,
    note: Option<FileNote>,
}

/// The differing lines of each file. Each has the same share of time and of lines; what one does
/// not need, the others get.
fn lines_of_all(texts: Vec<Texts>) -> Vec<Compared> {
    let end = Instant::now() + WITHIN;
    let mut files_left = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    let mut all = Vec::with_capacity(texts.len());
    for Texts { at, is_changed, old, new } in texts {
        let now = Instant::now();
        let share = end.saturating_duration_since(now) / files_left.max(1);
        files_left = files_left.saturating_sub(1);
        if share.is_zero() {
            let note = Some(FileNote::NoRoom);
            all.push(Compared { at, lines: Vec::new(), is_cut: true, note });
            continue;
        }
        let (lines, is_cut) = lines(&old, &new, MAX_LINES_OF_FILE, now + share);
        let note = is_changed.then(|| note(&old, &new, lines.is_empty())).flatten();
        all.push(Compared { at, lines, is_cut, note });
    }
    let lengths: Vec<usize> = all.iter().map(|file| file.lines.len()).collect();
    for (file, share) in all.iter_mut().zip(shares(&lengths, MAX_LINES)) {
        if share < file.lines.len() {
            file.lines.truncate(share);
            file.is_cut = true;
        }
    }
    all
}

/// How many of `room` each gets that wants so many: all the same, as far as they want it.
fn shares(wanted: &[usize], mut room: usize) -> Vec<usize> {
    let mut shares = vec![0; wanted.len()];
    loop {
        let open: Vec<usize> = (0..wanted.len()).filter(|at| shares[*at] < wanted[*at]).collect();
        if open.is_empty() || room == 0 {
            return shares;
        }
        let each = (room / open.len()).max(1);
        for at in open {
            let more = each.min(wanted[at] - shares[at]).min(room);
            shares[at] += more;
            room -= more;
        }
    }
}

/// What the lines of a file that both releases have do not say.
fn note(old: &str, new: &str, has_no_lines: bool) -> Option<FileNote> {
    let has_crlf = |text: &str| text.contains("\r\n");
    if has_crlf(old) != has_crlf(new) {
        return Some(FileNote::LineBreaks);
    }
    if old.ends_with('\n') != new.ends_with('\n') {
        return Some(FileNote::LastLineBreak);
    }
    // The only text that is read otherwise than it is: see `split`.
    has_no_lines.then_some(FileNote::EmptyLines)
}

fn lines(old: &str, new: &str, most: usize, until: Instant) -> (Vec<DiffLine>, bool) {
    let is_long = [old, new].iter().any(|text| text.lines().any(|line| line.len() > MAX_LINE));
    let (old, new) = (split(old, is_long), split(new, is_long));
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
    let diff = TextDiff::configure().deadline(until).diff_slices(&old, &new);
    let mut lines: Vec<DiffLine> = Vec::new();
    for group in diff.grouped_ops(CONTEXT) {
        if !lines.is_empty() {
            lines.push(DiffLine { change: LineChange::Gap, text: String::new() });
        }
        for (tag, before, after) in group.iter().map(DiffOp::as_tag_tuple) {
            let (before, after) = (&old[before], &new[after]);
            let none: &[&str] = &[];
            let changed = match tag {
                DiffTag::Equal => [(LineChange::Same, after, none), (LineChange::Same, none, none)],
                _ => [(LineChange::Removed, before, after), (LineChange::Added, after, before)],
            };
            for (change, own, others) in changed {
                lines.extend(own.iter().enumerate().take(most + 1).map(|(at, line)| {
                    let from = others.get(at).map_or(0, |other| first_difference(line, other));
                    DiffLine { change, text: excerpt(line, from) }
                }));
            }
            if lines.len() > most {
                lines.truncate(most);
                return (lines, true);
            }
        }
    }
    (lines, false)
}

/// The number of characters with which both begin.
fn first_difference(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// A line, or at most [`MAX_LINE`] characters of it around the one at `change`.
fn excerpt(line: &str, change: usize) -> String {
    let length = line.chars().count();
    if length <= MAX_LINE {
        return line.to_owned();
    }
    // Two for where it is cut.
    let kept = MAX_LINE - 2;
    let from = change.saturating_sub(BEFORE_CHANGE).min(length - kept);
    let mut text = String::new();
    if from > 0 {
        text.push(ELLIPSIS);
    }
    text.extend(line.chars().skip(from).take(kept));
    if from + kept < length {
        text.push(ELLIPSIS);
    }
    text
}

/// The lines of a text. One with long lines, as minified pages are, is broken where an element or a
/// rule begins.
fn split(text: &str, is_long: bool) -> Vec<String> {
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
    fn a_long_line_is_cut_around_the_first_difference() {
        let filler = |seed: usize| -> String {
            (0..3_000).map(|at| char::from(b'a' + ((at * 7 + seed) % 26) as u8)).collect()
        };
        for at in [0, 10, 2_000, 2_999] {
            let old = filler(1);
            let mut new = old.clone();
            new.replace_range(at..=at, "#");
            let (lines, is_cut) = shown(&old, &new, 100);
            let lines: Vec<&str> = lines.trim_end_matches('|').split('|').collect();
            assert_eq!((lines.len(), is_cut), (2, false), "{at}: {lines:?}");
            assert!(lines[1].contains('#') && !lines[0].contains('#'), "{at}: {lines:?}");
            assert!(lines.iter().all(|line| line.chars().count() <= MAX_LINE + 1), "{lines:?}");
            let (cut_before, cut_behind) = (at > BEFORE_CHANGE, at < 2_000);
            assert_eq!(lines[1].starts_with("+…"), cut_before, "{at}: {lines:?}");
            assert_eq!(lines[1].ends_with('…'), cut_behind || at == 2_000, "{at}: {lines:?}");
        }
    }

    #[test]
    fn what_no_line_shows_is_said() {
        let is_said = |old: &str, new: &str| {
            let texts =
                vec![Texts { at: 0, is_changed: true, old: old.to_owned(), new: new.to_owned() }];
            let compared = lines_of_all(texts).remove(0);
            (compared.lines.len(), compared.note)
        };
        let long = "x".repeat(300);
        for (old, new, wanted) in [
            ("a\nb\n", "a\r\nb\r\n", (0, Some(FileNote::LineBreaks))),
            ("a\nb\n", "a\nb", (0, Some(FileNote::LastLineBreak))),
            ("a\nb\n", "a\r\nc\r\n", (3, Some(FileNote::LineBreaks))),
            ("a\nb\n", "a\nc\n", (3, None)),
            (&format!("{long}\n\nb\n"), &format!("{long}\nb\n"), (0, Some(FileNote::EmptyLines))),
        ] {
            assert_eq!(is_said(old, new), wanted, "{old:?} {new:?}");
        }
    }

    #[test]
    fn each_file_has_a_share_of_the_room() {
        for (wanted, room, shared) in [
            (&[120, 120, 120, 120, 120][..], 400, &[80, 80, 80, 80, 80][..]),
            (&[120, 3, 120, 120, 120], 400, &[100, 3, 99, 99, 99]),
            (&[2, 2], 400, &[2, 2]),
            (&[5, 5, 5], 2, &[1, 1, 0]),
            (&[], 400, &[]),
        ] {
            let shares = shares(wanted, room);
            assert!(shares.iter().sum::<usize>() <= room, "{shares:?}");
            assert_eq!(shares, shared, "{wanted:?}");
        }
        let path = |text: &str| SitePath::parse(text, 1_000).unwrap();
        let mut paths = ["404.html", "a.css", "about/index.html", "index.html", "x.svg"].map(path);
        paths.sort_by_key(rank);
        let sorted: Vec<&str> = paths.iter().map(SitePath::as_str).collect();
        assert_eq!(sorted, ["index.html", "404.html", "about/index.html", "a.css", "x.svg"]);
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
