//! The releases of an order: which there are, what differs between two, and which one is current.

use askama::Template as _;
use sitewright_control::{DiffLine, FileChange, FileDiff, LineChange, ReleaseDiff};
use sitewright_failure::render::bytes as size;
use sitewright_jobs::Order;
use sitewright_site::{Manifest, StoredRelease};

use super::address;
use super::escape::length;
use super::frame::Frame;
use super::text::{When, count_of, counted, short};

/// Releases that are listed.
const SHOWN: usize = 40;
/// Bytes of the files and lines of a difference: a page has at most 60 KiB.
const ROOM: usize = 48 << 10;
/// Bytes around each file and each line.
const AROUND_FILE: usize = 450;
const AROUND_LINE: usize = 110;

/// What the list is made of.
#[derive(Debug)]
pub struct ReleasesFacts {
    pub order: Order,
    /// The newest first. `None` if they are on another machine.
    pub releases: Option<Vec<StoredRelease>>,
    /// The address of the preview of each; none if there are no previews.
    pub previews: Vec<String>,
}

/// What the page that asks before another release is made current is made of.
#[derive(Debug)]
pub struct ChoiceFacts {
    pub order: Order,
    pub chosen: StoredRelease,
    /// The current one, if it is kept.
    pub current: Option<StoredRelease>,
}

#[derive(askama::Template)]
#[template(path = "releases.html")]
struct Page<'a> {
    f: &'a Frame,
    id: &'a str,
    href: String,
    is_elsewhere: bool,
    rows: Vec<Row>,
    more: usize,
    /// Ids of two that are compared if nothing else is chosen.
    compared: Option<(String, String)>,
}

struct Row {
    id: String,
    is_current: bool,
    /// Whether the database says that it is current, and visitors see another one still.
    is_coming: bool,
    made: Option<When>,
    template: String,
    version: String,
    revision: String,
    files: String,
    bytes: String,
    warnings: usize,
    /// Why its manifest cannot be read.
    trouble: Option<String>,
    choose: Option<String>,
    compare: Option<String>,
    preview: Option<String>,
}

/// The releases of an order.
///
/// # Errors
/// Never, as far as is known.
pub fn releases(frame: &Frame, facts: &ReleasesFacts) -> Result<String, askama::Error> {
    let order = &facts.order;
    let known = facts.releases.as_deref().unwrap_or_default();
    let current = known.iter().find(|release| release.current);
    let previews = facts.previews.iter().map(Some).chain(std::iter::repeat(None));
    let rows: Vec<Row> = known
        .iter()
        .take(SHOWN)
        .zip(previews)
        .map(|(release, preview)| row(frame, facts, release, current, preview))
        .collect();
    let compared = match rows.as_slice() {
        [newest, before, ..] => Some((before.id.clone(), newest.id.clone())),
        _ => None,
    };
    Page {
        f: frame,
        id: &order.id,
        href: address::order(&order.id),
        is_elsewhere: facts.releases.is_none(),
        rows,
        more: known.len().saturating_sub(SHOWN),
        compared,
    }
    .render()
}

fn row(
    frame: &Frame,
    facts: &ReleasesFacts,
    release: &StoredRelease,
    current: Option<&StoredRelease>,
    preview: Option<&String>,
) -> Row {
    let order = &facts.order;
    let id = release.id.to_string();
    let manifest = release.manifest.as_ref().ok();
    let is_wanted = order.current_release.as_deref() == Some(id.as_str());
    let choose = frame.may_operate() && manifest.is_some() && !(release.current && is_wanted);
    let with_current = current.filter(|current| current.id != release.id);
    Row {
        is_current: release.current,
        is_coming: is_wanted && !release.current,
        made: manifest.map(|manifest| made(manifest, frame.now)),
        template: manifest.map(|one| short(&one.template.name, 60)).unwrap_or_default(),
        version: manifest.map(|one| short(&one.template.version, 30)).unwrap_or_default(),
        revision: manifest
            .and_then(|manifest| manifest.revision)
            .map(|revision| revision.to_string())
            .unwrap_or_default(),
        files: manifest.map(|one| count_of(one.files.len() as u64)).unwrap_or_default(),
        bytes: manifest.map(|one| size(one.total_bytes)).unwrap_or_default(),
        warnings: manifest.map_or(0, |one| one.warnings.len() + one.diagnostics.len()),
        trouble: release.manifest.as_ref().err().map(|why| short(why.as_str(), 300)),
        choose: choose.then(|| address::choose_release(&order.id, &id)),
        compare: with_current.map(|current| {
            // The older one is what it is compared to.
            let (before, after) = match current.id < release.id {
                true => (current.id.to_string(), id.clone()),
                false => (id.clone(), current.id.to_string()),
            };
            address::compare_releases(&order.id, &before, &after)
        }),
        preview: preview.filter(|_| manifest.is_some()).cloned(),
        id,
    }
}

fn made(manifest: &Manifest, now: i64) -> When {
    let ms = manifest.created_at.unix_timestamp_nanos() / 1_000_000;
    When::new(i64::try_from(ms).unwrap_or_default(), now)
}

#[derive(askama::Template)]
#[template(path = "compare.html")]
struct ComparePage<'a> {
    f: &'a Frame,
    id: &'a str,
    href: String,
    before: &'a str,
    after: &'a str,
    swapped: String,
    summary: String,
    files: Vec<FileRow<'a>>,
    more: usize,
}

struct FileRow<'a> {
    path: &'a str,
    change: String,
    class: &'static str,
    bytes: String,
    lines: Vec<LineRow<'a>>,
    is_cut: bool,
    /// What the lines do not say.
    note: Option<String>,
}

struct LineRow<'a> {
    class: &'static str,
    sign: &'static str,
    /// How it differs, for those who do not see the colour.
    said: &'static str,
    text: &'a str,
}

/// What differs between two releases of an order.
///
/// # Errors
/// Never, as far as is known.
pub fn compare(frame: &Frame, order: &str, diff: &ReleaseDiff) -> Result<String, askama::Error> {
    let number = |change| diff.files.iter().filter(|file| file.change == change).count() as u64;
    let summary = format!(
        "{} changed, {} added, {} removed; {} alike",
        count_of(number(FileChange::Changed)),
        count_of(number(FileChange::Added)),
        count_of(number(FileChange::Removed)),
        counted(i64::try_from(diff.same).unwrap_or(i64::MAX), "file is", "files are"),
    );
    let mut room = ROOM;
    let mut files = Vec::new();
    for file in &diff.files {
        let Some(left) = room.checked_sub(AROUND_FILE + 2 * length(file.path.as_str())) else {
            break;
        };
        room = left;
        files.push(file_row(file, &mut room));
    }
    ComparePage {
        f: frame,
        id: order,
        href: address::order(order),
        before: &diff.before,
        after: &diff.after,
        swapped: address::compare_releases(order, &diff.after, &diff.before),
        summary,
        more: diff.files.len() - files.len(),
        files,
    }
    .render()
}

/// A file with its lines, as far as there is room.
fn file_row<'a>(file: &'a FileDiff, room: &mut usize) -> FileRow<'a> {
    let mut lines = Vec::new();
    for one in &file.lines {
        let Some(left) = room.checked_sub(AROUND_LINE + length(&one.text)) else { break };
        *room = left;
        lines.push(line(one));
    }
    FileRow {
        path: file.path.as_str(),
        change: file.change.to_string(),
        class: match file.change {
            FileChange::Added => "good",
            FileChange::Removed => "bad",
            FileChange::Changed => "warn",
        },
        bytes: match (file.bytes_before, file.bytes_after) {
            (Some(before), Some(after)) => format!("{} → {}", size(before), size(after)),
            (one, other) => one.or(other).map(size).unwrap_or_default(),
        },
        is_cut: file.is_cut || lines.len() < file.lines.len(),
        note: file.note.map(|note| format!("It {note}.")),
        lines,
    }
}

fn line(line: &DiffLine) -> LineRow<'_> {
    let (class, sign, said) = match line.change {
        LineChange::Same => ("", " ", ""),
        LineChange::Removed => ("gone", "−", "removed: "),
        LineChange::Added => ("new", "+", "added: "),
        LineChange::Gap => ("gap", "⋯", ""),
    };
    LineRow { class, sign, said, text: &line.text }
}

#[derive(askama::Template)]
#[template(path = "choose.html")]
struct ChoosePage<'a> {
    f: &'a Frame,
    id: &'a str,
    href: String,
    release: String,
    made: Option<When>,
    template: String,
    revision: Option<i64>,
    current: Option<String>,
    current_made: Option<When>,
    compare: Option<String>,
    /// What the database has as current, so that the form replaces no other.
    expected: &'a str,
    /// Visitors see it already, and the database says so.
    is_current: bool,
    is_unfinished: bool,
    is_older_document: bool,
}

/// Asks before a release is made current, and says what will happen.
///
/// # Errors
/// Never, as far as is known.
pub fn choose(frame: &Frame, facts: &ChoiceFacts) -> Result<String, askama::Error> {
    let ChoiceFacts { order, chosen, current } = facts;
    let manifest = chosen.manifest.as_ref().ok();
    let release = chosen.id.to_string();
    let revision = manifest.and_then(|manifest| manifest.revision);
    ChoosePage {
        f: frame,
        id: &order.id,
        href: address::order(&order.id),
        made: manifest.map(|manifest| made(manifest, frame.now)),
        template: manifest
            .map(|one| short(&format!("{} {}", one.template.name, one.template.version), 90))
            .unwrap_or_default(),
        revision,
        current: current.as_ref().map(|release| release.id.to_string()),
        current_made: current
            .as_ref()
            .and_then(|release| Some(made(release.manifest.as_ref().ok()?, frame.now))),
        compare: current
            .as_ref()
            .map(|current| address::compare_releases(&order.id, &current.id.to_string(), &release)),
        expected: order.current_release.as_deref().unwrap_or_default(),
        is_current: chosen.current && order.current_release.as_ref() == Some(&release),
        is_unfinished: !order.state.has_ended(),
        is_older_document: revision.is_some_and(|revision| revision < order.revision),
        release,
    }
    .render()
}
