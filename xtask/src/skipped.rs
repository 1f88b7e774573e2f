//! The tests that passed without testing anything, because this machine lacks what they need.
//!
//! Each appends a line `SKIPPED: <test>: <reason>` to a file, whose path is in `TESTS_SKIPPED`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::workspace::Workspace;

/// The file with one line for each skipped test.
pub(crate) fn file(workspace: &Workspace) -> PathBuf {
    workspace.target.join("skipped-tests.txt")
}

/// Removes the list of the previous run.
pub(crate) fn clear(workspace: &Workspace) -> anyhow::Result<()> {
    let file = file(workspace);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// The summary of the run, or `None` if no test was skipped.
pub(crate) fn summary(workspace: &Workspace) -> Option<String> {
    summarize(&fs::read_to_string(file(workspace)).ok()?)
}

/// The tests by reason, most tests first. A test that reports itself twice counts once.
fn summarize(list: &str) -> Option<String> {
    let mut reasons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in list.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")) {
        let (test, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
        reasons.entry(reason).or_default().insert(test);
    }
    let count: usize = reasons.values().map(BTreeSet::len).sum();
    if count == 0 {
        return None;
    }
    let mut sorted: Vec<_> = reasons.into_iter().collect();
    sorted.sort_by_key(|(_, tests)| std::cmp::Reverse(tests.len()));
    let mut text = format!("SKIPPED: {count} (these tests passed without testing anything)");
    for (reason, tests) in sorted {
        text += &format!("\n  {:>4}  {reason}", tests.len());
        for test in tests {
            text += &format!("\n        {test}");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_grouped_by_reason() {
        let list = "SKIPPED: one: PostgreSQL is not installed\n\
                    SKIPPED: pages: no java\n\
                    SKIPPED: two: PostgreSQL is not installed\n\
                    SKIPPED: one: PostgreSQL is not installed\n";
        let lines = [
            "SKIPPED: 3 (these tests passed without testing anything)",
            "     2  PostgreSQL is not installed",
            "        one",
            "        two",
            "     1  no java",
            "        pages",
        ];
        assert_eq!(summarize(list).unwrap(), lines.join("\n"));
        assert_eq!(summarize(""), None);
    }
}
