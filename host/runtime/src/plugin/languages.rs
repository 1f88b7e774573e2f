//! The languages that templates write, kept beside their compiled code: whoever adds an order knows
//! at once whether its template writes its language, without running the template.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sitewright_files::Limit;
use sitewright_intake::TemplateLanguages;

/// Maximum bytes of an entry: 256 languages, and a path.
const MAX_ENTRY: u64 = 64 << 10;

/// A template's file and its languages, as they are kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    file: State,
    #[serde(flatten)]
    languages: TemplateLanguages,
}

/// A file, as it was when it was read. Another file in its place has another time or size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl State {
    /// The state of a file; `None` if it cannot be looked at. Blocking.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let path = fs::canonicalize(path).ok()?;
        let metadata = fs::metadata(&path).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        Some(State { path, bytes: metadata.len(), modified: u64::try_from(modified).ok()? })
    }

    /// Its entry in the cache; one for each name, so that old ones do not add up.
    fn entry(&self, cache: &Path) -> Option<PathBuf> {
        let name = self.path.file_stem()?.to_str()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let is_plain = (1..=64).contains(&name.len()) && name.bytes().all(plain);
        is_plain.then(|| cache.join(format!("{name}.languages")))
    }
}

/// The languages of the template in `path`; `None` if no process of this machine has loaded it as it
/// is now. Blocking.
pub(super) fn known(cache: &Path, path: &Path) -> Option<TemplateLanguages> {
    let state = State::of(path)?;
    let entry = read(&state.entry(cache)?)?;
    (entry.file == state).then_some(entry.languages)
}

fn read(path: &Path) -> Option<Entry> {
    let bytes = sitewright_files::read(path, Limit::fixed(MAX_ENTRY)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Keeps the languages of a template. Without an entry, orders are told later: a failure is logged
/// and no more. Blocking.
pub(super) fn keep(cache: &Path, file: State, languages: &TemplateLanguages) {
    let Some(path) = file.entry(cache) else { return };
    let entry = Entry { file, languages: languages.clone() };
    if read(&path).as_ref() == Some(&entry) {
        return;
    }
    if let Err(error) = write(&path, &entry) {
        tracing::warn!(
            entry = %path.display(),
            %error,
            "the languages of a template could not be kept: orders in others fail at their attempt"
        );
    }
}

/// Under a temporary name, so that readers see a whole entry or none.
fn write(path: &Path, entry: &Entry) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", ulid::Ulid::generate()));
    let written = (|| {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(entry)?)?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_those_of_the_file_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("shop.wasm");
        fs::write(&file, b"one").unwrap();
        let languages = |tags: &[&str], fallback: Option<&str>| TemplateLanguages {
            locales: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            fallback: fallback.map(|tag| tag.parse().unwrap()),
        };
        let both = languages(&["en", "pt-BR"], Some("en"));
        assert_eq!(known(place.path(), &file), None);
        keep(place.path(), State::of(&file).unwrap(), &both);
        assert_eq!(known(place.path(), &file), Some(both));
        // Another file in its place, and the same name elsewhere.
        fs::write(&file, b"another").unwrap();
        assert_eq!(known(place.path(), &file), None);
        let one = languages(&["en"], None);
        keep(place.path(), State::of(&file).unwrap(), &one);
        assert_eq!(known(place.path(), &file), Some(one));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = elsewhere.path().join("shop.wasm");
        fs::write(&other, b"another").unwrap();
        assert_eq!(known(place.path(), &other), None);
        // A damaged entry is none.
        fs::write(place.path().join("shop.languages"), b"{").unwrap();
        assert_eq!(known(place.path(), &file), None);
    }
}
