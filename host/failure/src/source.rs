//! Excerpts of a template's source around a location.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use sitewright_model::failure::{FailureRecord, Frame, SourceExcerpt};

/// Number of lines shown before and after the failing line.
const AROUND: u32 = 2;
/// Maximum characters shown of a line.
const MAX_LINE: usize = 160;
/// The folder of a project to which the paths of Python are relative. Those of Rust and JavaScript
/// begin with it.
const SRC: &str = "src";
/// Maximum bytes of a source file; larger files are not read.
const MAX_FILE: u64 = 4 << 20;

/// The lines around `line` (from 1) of a text; `None` if it has no such line.
pub(super) fn excerpt(text: &str, line: u32) -> Option<SourceExcerpt> {
    if line == 0 {
        return None;
    }
    let first = line.saturating_sub(AROUND).max(1);
    let skipped = usize::try_from(first - 1).ok()?;
    let wanted = usize::try_from(line - first + 1 + AROUND).ok()?;
    let mut lines: Vec<String> = text
        .lines()
        .skip(skipped)
        .take(wanted)
        .map(|line| line.chars().take(MAX_LINE).collect())
        .collect();
    // Empty lines at the end of the excerpt are removed.
    let least = usize::try_from(line - first + 1).ok()?;
    while lines.len() > least && lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let has_line = u32::try_from(lines.len()).is_ok_and(|lines| first + lines > line);
    has_line.then(|| SourceExcerpt { file: String::new(), line, first, lines })
}

/// The lines around the first own frame, or else around the location that the template reported,
/// from the source in the folder `root`. Blocking.
///
/// The file's name comes from the template: files outside `root` are not read, also not through
/// links or `..`. `root` is the template's project; its `src` is taken, too.
pub fn from_folder(root: &Path, record: &FailureRecord) -> Option<SourceExcerpt> {
    let frame = record.trap.as_ref().and_then(|trap| first_own(&trap.frames));
    let (file, line) = match (frame, &record.location) {
        (Some(frame), _) => (frame.file.as_deref()?, frame.line?),
        (None, Some(location)) => (location.file.as_str(), location.line),
        (None, None) => return None,
    };
    let is_src = root.file_name().is_some_and(|name| name == SRC);
    let root = Dir::open_ambient_dir(root, ambient_authority()).ok()?;
    let mut paths = candidates(file).flat_map(|path| places(path, is_src));
    let text = paths.find_map(|path| read(&root, &path))?;
    Some(SourceExcerpt { file: file.to_owned(), ..excerpt(&text, line)? })
}

/// The first own frame with a line; a report shows it first.
pub(super) fn first_own(frames: &[Frame]) -> Option<&Frame> {
    frames.iter().find(|frame| frame.own && frame.line.is_some())
}

/// The path itself, then without its first folders: paths in debug information are relative to the
/// compiler's working directory, which may be above the template's folder. A file name alone is not
/// tried, because it is ambiguous.
fn candidates(file: &str) -> impl Iterator<Item = &Path> {
    const FOLDERS: usize = 16;
    let inner = file.match_indices('/').take(FOLDERS).map(|(at, _)| &file[at + 1..]);
    let inner = inner.filter(|rest| rest.contains('/'));
    std::iter::once(file).chain(inner).map(Path::new).filter(|path| {
        !path.as_os_str().is_empty()
            && path.components().all(|part| matches!(part, Component::Normal(_)))
    })
}

/// Where a path may be: as it is, below `src`, and without it if the root is that folder itself.
fn places(path: &Path, is_src: bool) -> impl Iterator<Item = PathBuf> {
    let inside = path.strip_prefix(SRC).ok().filter(|_| is_src).map(Path::to_owned);
    [Some(path.to_owned()), Some(Path::new(SRC).join(path)), inside].into_iter().flatten()
}

/// The text of a regular file below `root`; `Dir` follows no link that leaves it.
fn read(root: &Dir, path: &Path) -> Option<String> {
    let metadata = root.metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return None;
    }
    let mut bytes = Vec::new();
    root.open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use sitewright_model::failure::{FailureKind, OfAttempt, SourceLocation};
    use sitewright_model::message;

    use super::*;

    #[test]
    fn an_excerpt_has_the_line_and_a_few_around_it() {
        let text = "1\n2\n3\n4\n5\n6\n7";
        let lines = |line| excerpt(text, line).map(|found| (found.first, found.lines.concat()));
        for (line, first, shown) in [(1, 1, "123"), (2, 1, "1234"), (4, 2, "23456"), (7, 5, "567")]
        {
            assert_eq!(lines(line), Some((first, shown.to_owned())), "line {line}");
        }
        let few = excerpt("a\n\n", 1).map(|found| found.lines);
        assert_eq!(few, Some(vec!["a".to_owned()]), "empty lines below are left out");
        for line in [0, 8, u32::MAX] {
            assert_eq!(lines(line), None, "line {line}");
        }
        assert_eq!(
            excerpt(&"x".repeat(1_000), 1).map(|found| found.lines[0].len()),
            Some(MAX_LINE)
        );
    }

    #[test]
    fn the_project_and_its_src_are_both_the_source() {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("src")).unwrap();
        for file in ["src/app.py", "src/template.js", "beside.py"] {
            std::fs::write(project.path().join(file), "first\nsecond\n").unwrap();
        }
        let lines = |root: &str, file: &str| {
            let of = OfAttempt {
                order: "1".to_owned(),
                job: None,
                attempt: String::new(),
                trace_id: String::new(),
                template: "a".to_owned(),
                config_version: String::new(),
            };
            let message = message!("no bread");
            let mut record = FailureRecord::without_run(FailureKind::Panic, message, of);
            record.location = Some(SourceLocation { file: file.to_owned(), line: 2, column: None });
            let found = from_folder(&project.path().join(root), &record)?;
            Some((found.file, found.lines.join(" ")))
        };
        for root in ["", "src"] {
            for file in ["app.py", "src/app.py", "src/template.js"] {
                let expected = Some((file.to_owned(), "first second".to_owned()));
                assert_eq!(lines(root, file), expected, "{root:?}, {file}");
            }
        }
        for file in ["src/beside.py", "../beside.py", "beside.py"] {
            assert_eq!(lines("src", file), None, "{file}");
        }
    }

    #[test]
    fn only_paths_that_stay_below_the_root_are_tried() {
        let tried =
            |file| candidates(file).map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            tried("tests/a/src/lib.rs"),
            ["tests/a/src/lib.rs", "a/src/lib.rs", "src/lib.rs"]
        );
        assert_eq!(tried("app.py"), ["app.py"]);
        assert_eq!(tried("/etc/passwd"), ["etc/passwd"]);
        assert_eq!(tried("../../etc/passwd"), ["etc/passwd"]);
        for none in ["", "/", "..", "/passwd", "a/../b"] {
            assert_eq!(tried(none), [""; 0], "{none}");
        }
    }
}
