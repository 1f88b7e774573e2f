//! The files of a run, under the host's rules.

use std::collections::{BTreeMap, BTreeSet};

use crate::site::{WriteError, WriteErrorKind};

// The host's defaults, as the contract names them.
const FILES: usize = 2_000;
const FILE_BYTES: usize = 8 * 1024 * 1024;
const SITE_BYTES: usize = 64 * 1024 * 1024;
const PATH_BYTES: usize = 255;

/// Names that some file systems keep for devices, with any ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

#[derive(Default)]
pub(super) struct Files {
    written: BTreeMap<String, Vec<u8>>,
    /// Paths of files and of the folders they stand in, in lower case.
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
    bytes: usize,
}

impl Files {
    pub(super) fn into_map(self) -> BTreeMap<String, Vec<u8>> {
        self.written
    }

    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let refuse =
            |kind, why: String| Err(WriteError { kind, message: format!("`{path}` {why}") });
        if let Some(why) = fault_of(path) {
            return refuse(WriteErrorKind::InvalidPath, format!("is not an allowed path: {why}"));
        }
        let key = path.to_lowercase();
        let parents: Vec<&str> = key.match_indices('/').map(|(at, _)| &key[..at]).collect();
        if self.files.contains(&key) || self.folders.contains(&key) {
            return refuse(
                WriteErrorKind::Conflict,
                "exists, perhaps in other upper and lower case".to_owned(),
            );
        }
        if let Some(file) = parents.iter().find(|parent| self.files.contains(**parent)) {
            return refuse(
                WriteErrorKind::Conflict,
                format!("cannot stand in `{file}`, which is a file"),
            );
        }
        if self.written.len() == FILES {
            return refuse(
                WriteErrorKind::Limit,
                format!("is one file too many: the limit is {FILES}"),
            );
        }
        if bytes.len() > FILE_BYTES {
            return refuse(
                WriteErrorKind::Limit,
                format!("has {} bytes: the limit is {FILE_BYTES}", bytes.len()),
            );
        }
        if self.bytes + bytes.len() > SITE_BYTES {
            return refuse(
                WriteErrorKind::Limit,
                format!("makes the site larger than {SITE_BYTES} bytes"),
            );
        }
        self.folders.extend(parents.into_iter().map(str::to_owned));
        self.files.insert(key);
        self.bytes += bytes.len();
        self.written.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }
}

/// What is wrong with a path.
fn fault_of(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > PATH_BYTES {
        return Some("it is longer than 255 bytes");
    }
    if path.contains(|c: char| c.is_control() || matches!(c, '\\' | ':')) {
        return Some("it holds `\\`, `:` or a control character");
    }
    path.split('/').find_map(|part| {
        let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
        let is_device = DEVICES.contains(&stem.as_str())
            || numbered.is_some_and(|number| {
                number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit())
            });
        match part {
            "" => Some("it begins or ends with `/`, or has an empty part"),
            "." | ".." => Some("it has a `.` or `..` part"),
            _ if part.ends_with(['.', ' ']) => Some("a part ends with a dot or a space"),
            _ if is_device => Some("a part is the name of a device"),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_paths_that_leave_the_site_or_confuse_a_file_system_are_refused() {
        for path in [
            "", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "a\0", "a\n", "nul",
            "Com1.txt", "a.", "a ", "c:x",
        ] {
            let error = Files::default().write(path, b"x").unwrap_err();
            assert_eq!(error.kind, WriteErrorKind::InvalidPath, "{path:?}");
            assert!(error.message.contains(path), "{path:?}: {}", error.message);
        }
        let longest = "a".repeat(255);
        Files::default().write(&longest, b"").unwrap();
        assert!(Files::default().write(&format!("{longest}a"), b"").is_err());
    }

    #[test]
    fn f1_a_file_is_written_once_whatever_its_case() {
        let mut files = Files::default();
        files.write("About/index.html", b"x").unwrap();
        for path in ["About/index.html", "about/INDEX.html", "about", "About/index.html/x"] {
            assert_eq!(
                files.write(path, b"y").unwrap_err().kind,
                WriteErrorKind::Conflict,
                "{path}"
            );
        }
        files.write("about/team.html", b"x").unwrap();
    }

    #[test]
    fn f2_the_limits_of_size_and_count_hold() {
        let mut files = Files::default();
        assert_eq!(
            files.write("big", &vec![0; FILE_BYTES + 1]).unwrap_err().kind,
            WriteErrorKind::Limit
        );
        for number in 0..FILES {
            files.write(&format!("{number}"), b"").unwrap();
        }
        assert_eq!(files.write("more", b"").unwrap_err().kind, WriteErrorKind::Limit);
        let mut files = Files::default();
        let largest = vec![0; FILE_BYTES];
        for number in 0..8 {
            files.write(&format!("{number}"), &largest).unwrap();
        }
        files.write("empty", b"").unwrap();
        assert_eq!(files.write("more", b"x").unwrap_err().kind, WriteErrorKind::Limit);
    }
}
