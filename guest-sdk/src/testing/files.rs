//! The files of a run, under the host's rules and default limits.

use std::{collections::BTreeMap, fmt};

use sitewright_rules::{
    limits::{SiteLimits, SiteUsage},
    names::TakenNames,
    path::SitePath,
};

use crate::site::{WriteError, WriteErrorKind};

pub(super) struct Files {
    written: BTreeMap<String, Vec<u8>>,
    names: TakenNames,
    usage: SiteUsage,
}

impl Default for Files {
    fn default() -> Self {
        Files {
            written: BTreeMap::new(),
            names: TakenNames::new(),
            usage: SiteUsage::none(&SiteLimits::default()),
        }
    }
}

impl Files {
    pub(super) fn into_map(self) -> BTreeMap<String, Vec<u8>> {
        self.written
    }

    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let (path, usage) = self.checked(path, bytes.len())?;
        self.usage = usage;
        self.names.insert(&path);
        self.written.insert(path.into(), bytes.to_vec());
        Ok(())
    }

    /// Whether a file of `bytes` bytes would be accepted.
    pub(super) fn would_fit(&self, path: &str, bytes: usize) -> Result<(), WriteError> {
        self.checked(path, bytes).map(drop)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.written.contains_key(path)
    }

    fn checked(&self, path: &str, bytes: usize) -> Result<(SitePath, SiteUsage), WriteError> {
        let max_bytes = usize::try_from(self.usage.path_bytes.max).unwrap_or(usize::MAX);
        let path =
            SitePath::parse(path, max_bytes).map_err(rejected(WriteErrorKind::InvalidPath))?;
        self.names.check(&path).map_err(rejected(WriteErrorKind::Conflict))?;
        let usage =
            self.usage.with(&path, bytes as u64).map_err(rejected(WriteErrorKind::Limit))?;
        Ok((path, usage))
    }
}

fn rejected<E: fmt::Display>(kind: WriteErrorKind) -> impl FnOnce(E) -> WriteError {
    move |error| WriteError { kind, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_f2_a_rejected_write_has_the_kind_of_its_cause_and_changes_nothing() {
        let mut files = Files::default();
        files.write("About/index.html", b"x").unwrap();
        let large = vec![0; 8 * 1024 * 1024 + 1];
        let rejected: [(&str, &[u8], WriteErrorKind); 5] = [
            ("../a", b"x", WriteErrorKind::InvalidPath),
            (&"a".repeat(256), b"", WriteErrorKind::InvalidPath),
            ("about/INDEX.html", b"y", WriteErrorKind::Conflict),
            ("About", b"y", WriteErrorKind::Conflict),
            ("large", &large, WriteErrorKind::Limit),
        ];
        for (path, bytes, kind) in rejected {
            let error = files.write(path, bytes).unwrap_err();
            assert_eq!(error.kind, kind, "{path:?}: {error}");
        }
        files.write("large", b"").unwrap();
        let written: Vec<String> = files.into_map().into_keys().collect();
        assert_eq!(written, ["About/index.html", "large"]);
    }

    #[test]
    fn f2_the_limits_of_size_and_count_hold() {
        let mut files = Files::default();
        for number in 0..2000 {
            files.write(&format!("{number}"), b"").unwrap();
        }
        assert_eq!(files.write("more", b"").unwrap_err().kind, WriteErrorKind::Limit);
        let mut files = Files::default();
        let largest = vec![0; 8 * 1024 * 1024];
        for number in 0..8 {
            files.write(&format!("{number}"), &largest).unwrap();
        }
        files.write("empty", b"").unwrap();
        assert_eq!(files.write("more", b"x").unwrap_err().kind, WriteErrorKind::Limit);
    }
}
