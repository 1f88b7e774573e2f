//! The reply journal as a file.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use super::{Journal, JournalEntry, JournalKey};
use sitewright_model::message;
use sitewright_model::message::Message;

/// A file with one JSON object per line. An incomplete last line, from a process that was killed,
/// is ignored; any other invalid line is logged with its number, because its reply must be paid for
/// again.
///
/// A reply found in an earlier attempt's file is written to this one too, so that the last
/// attempt's file contains all of them.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    earlier: HashMap<JournalKey, JournalEntry>,
    own: Mutex<HashMap<JournalKey, JournalEntry>>,
    file: Arc<Mutex<Option<fs::File>>>,
}

impl FileJournal {
    /// A journal that appends to `path`, which is created, mode 0600, with the first reply, and
    /// also returns the replies of `earlier`. Blocks on file I/O.
    ///
    /// # Errors
    /// A file exists and cannot be read.
    pub fn open(path: PathBuf, earlier: Option<&Path>) -> Result<Self, Message> {
        let earlier = earlier.map(read_journal).transpose()?.unwrap_or_default();
        let own = Mutex::new(read_journal(&path)?);
        Ok(FileJournal { path, earlier, own, file: Arc::default() })
    }

    fn own(&self) -> MutexGuard<'_, HashMap<JournalKey, JournalEntry>> {
        self.own.lock()
    }
}

/// The replies of a journal file; empty if the file does not exist. Blocks on file I/O.
///
/// # Errors
/// The file exists and cannot be read.
pub fn read_journal(file: &Path) -> Result<HashMap<JournalKey, JournalEntry>, Message> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => {
            return Err(message!("the reply journal {} cannot be read: {error}", file.display()));
        }
    };
    let mut entries = HashMap::new();
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<JournalEntry>(line) {
            Ok(entry) => drop(entries.insert(entry.key.clone(), entry)),
            Err(error) if lines.peek().is_none() => {
                tracing::debug!(
                    journal = %file.display(),
                    line = index + 1,
                    %error,
                    "the last line of the reply journal is incomplete"
                );
            }
            Err(error) => tracing::error!(
                journal = %file.display(),
                line = index + 1,
                %error,
                "a line of the reply journal is invalid; its reply will be paid for again"
            ),
        }
    }
    Ok(entries)
}

#[async_trait]
impl Journal for FileJournal {
    async fn lookup(&self, key: &JournalKey) -> Option<JournalEntry> {
        if let Some(entry) = self.own().get(key) {
            return Some(entry.clone());
        }
        let entry = self.earlier.get(key)?;
        if let Err(message) = self.store(entry).await {
            // The reply is valid; only a later attempt has to pay for it again.
            tracing::error!("{message}");
        }
        Some(entry.clone())
    }

    async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        let shown = self.path.display().to_string();
        let failed =
            |error: String| message!("the reply journal {shown} cannot be written: {error}");
        let mut line = serde_json::to_vec(entry).map_err(|error| failed(error.to_string()))?;
        line.push(b'\n');
        let (path, file) = (self.path.clone(), self.file.clone());
        let written = tokio::task::spawn_blocking(move || append(&path, &file, &line)).await;
        written
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        self.own().insert(entry.key.clone(), entry.clone());
        Ok(())
    }
}

fn append(path: &Path, file: &Mutex<Option<fs::File>>, line: &[u8]) -> std::io::Result<()> {
    let mut file = file.lock();
    if file.is_none() {
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut opened = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        // Terminates the incomplete line of a process that was killed.
        if opened.metadata()?.len() > 0 {
            opened.write_all(b"\n")?;
        }
        *file = Some(opened);
    }
    match file.as_mut() {
        Some(file) => file.write_all(line),
        None => Ok(()),
    }
}
