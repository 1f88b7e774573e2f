//! Adds to a bundle from which line of which file each of its lines comes, so that the SDK names
//! the author's files and lines in failures.
//!
//! Whole lines are enough: the bundler moves lines and does not join them. The table is a few
//! kilobytes, because only the beginnings of runs of lines are in it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::BuildError;

/// Maximum bytes of a source map that is read: 64 MiB. A larger one is ignored.
const MAX_MAP: u64 = 64 << 20;
/// Maximum runs in the table. Of a bundle with more, the rest keeps its own lines.
const MAX_RUNS: usize = 100_000;

/// A source map, version 3.
#[derive(Deserialize)]
struct SourceMap {
    sources: Vec<String>,
    mappings: String,
}

/// The table, as the SDK reads it (`guest-sdk/js/stack.js`).
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Lines {
    /// Name of the bundle in stacks.
    bundle: String,
    /// Paths relative to the project.
    files: Vec<String>,
    /// Line of the bundle, index of the file (-1: none), line of the file, all counted from 1 but
    /// the index. Each line that follows comes from the next line of the same file.
    runs: Vec<(u32, i64, i64)>,
}

/// Appends the table to `bundle`. Blocking.
pub(super) fn append_lines(bundle: &Path, map: &Path, root: &Path) -> Result<(), BuildError> {
    let file_error = |path: &Path, operation| {
        let path = path.to_owned();
        move |source| BuildError::File { path, operation, source }
    };
    let metadata = std::fs::metadata(map).map_err(file_error(map, "cannot be read"))?;
    if metadata.len() > MAX_MAP {
        return Ok(());
    }
    let text = std::fs::read_to_string(map).map_err(file_error(map, "cannot be read"))?;
    let found: SourceMap = serde_json::from_str(&text).map_err(|error| {
        BuildError::Unexpected(format!("the source map {} cannot be read: {error}", map.display()))
    })?;
    let folder = map.parent().unwrap_or(root);
    let table = Lines {
        bundle: bundle.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        files: found.sources.iter().map(|source| relative(folder, source, root)).collect(),
        runs: runs(&found.mappings),
    };
    let json = serde_json::to_string(&table).map_err(|error| {
        BuildError::Unexpected(format!("the lines of the bundle cannot be written: {error}"))
    })?;
    let append = || {
        let mut file = OpenOptions::new().append(true).open(bundle)?;
        file.write_all(format!("\nglobalThis.__sitewright_lines = {json};\n").as_bytes())
    };
    append().map_err(file_error(bundle, "cannot be written"))
}

/// A source's path below the project's folder; of a file outside it, the last three parts, which
/// do not name a folder of this machine.
fn relative(folder: &Path, source: &str, root: &Path) -> String {
    // A path that cannot be resolved may lead out of the project with `..`.
    if let Ok(whole) = folder.join(source).canonicalize()
        && let Ok(inside) = whole.strip_prefix(root)
    {
        return inside.display().to_string();
    }
    let parts: Vec<&str> = source.split('/').filter(|part| *part != "..").collect();
    parts[parts.len().saturating_sub(3)..].join("/")
}

/// The runs of lines in the mappings of a source map. Segments that are not Base64 VLQ are ignored.
fn runs(mappings: &str) -> Vec<(u32, i64, i64)> {
    let mut runs: Vec<(u32, i64, i64)> = Vec::new();
    // The values of a segment are differences to the segment before, also across lines.
    let (mut file, mut line) = (0_i64, 0_i64);
    for (generated, segments) in (1..).zip(mappings.split(';')) {
        let mut first = None;
        for segment in segments.split(',') {
            let Some([_, file_step, line_step]) = vlq(segment) else { continue };
            file = file.saturating_add(file_step);
            line = line.saturating_add(line_step);
            first.get_or_insert((file, line.saturating_add(1)));
        }
        let (file, line) = first.unwrap_or((-1, 0));
        let continues = runs.last().is_some_and(|(start, last_file, last_line)| {
            let lines = i64::from(generated - start);
            *last_file == file && (file < 0 || last_line.saturating_add(lines) == line)
        });
        if !continues {
            if runs.len() == MAX_RUNS {
                break;
            }
            runs.push((generated, file, line));
        }
    }
    runs
}

/// The first three values of a segment: steps of the column, the file and the line. `None` if it
/// has fewer.
fn vlq(segment: &str) -> Option<[i64; 3]> {
    let mut values = [0; 3];
    let mut digits = segment.bytes();
    for value in &mut values {
        let (mut sum, mut shift) = (0_i64, 0_u32);
        loop {
            let digit = match digits.next()? {
                letter @ b'A'..=b'Z' => letter - b'A',
                letter @ b'a'..=b'z' => letter - b'a' + 26,
                number @ b'0'..=b'9' => number - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            if shift > 40 {
                return None;
            }
            sum += i64::from(digit & 31) << shift;
            shift += 5;
            if digit & 32 == 0 {
                break;
            }
        }
        *value = if sum & 1 == 1 { -(sum >> 1) } else { sum >> 1 };
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_follow_each_other_are_one_run() {
        for (mappings, expected) in [
            // Two helper lines, three lines of file 0, a line of file 1, two of file 0.
            (
                ";;AAAA,EAAE;AACA;AACA;ACDA;ADEA;AACA",
                vec![(1, -1, 0), (3, 0, 1), (6, 1, 2), (7, 0, 4)],
            ),
            ("AAAA;;AACA", vec![(1, 0, 1), (2, -1, 0), (3, 0, 2)]),
            // A large step, and one backwards.
            ("AAgkBA;AAhkBA", vec![(1, 0, 577), (2, 0, 1)]), // typos:ignore
            ("", vec![(1, -1, 0)]),
            ("A;AA;?;A!A", vec![(1, -1, 0)]),
        ] {
            assert_eq!(runs(mappings), expected, "{mappings:?}");
        }
        // A number without an end.
        assert_eq!(vlq("AAgggggggggggggg"), None);
    }

    #[test]
    fn the_table_is_appended_with_paths_below_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let build = root.join(".sitewright/build");
        std::fs::create_dir_all(&build).unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        std::fs::write(root.join("src/a.js"), "x").unwrap();
        let (bundle, map) = (build.join("t.js"), build.join("t.js.map"));
        std::fs::write(&bundle, "x();").unwrap();
        let text = r#"{"sources":["../../src/a.js","../../../elsewhere/b.js"],"mappings":"AAAA"}"#;
        std::fs::write(&map, text).unwrap();
        append_lines(&bundle, &map, &root).unwrap();
        assert_eq!(
            std::fs::read_to_string(&bundle).unwrap(),
            "x();\nglobalThis.__sitewright_lines = {\"bundle\":\"t.js\",\"files\":[\"src/a.js\",\
             \"elsewhere/b.js\"],\"runs\":[[1,0,1]]};\n"
        );
    }
}
