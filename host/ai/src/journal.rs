//! Replies that were paid for, kept so that a retry or a replay of the order does not pay again.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::request::{Format, Request};
use sitewright_model::ai::AiError;
use sitewright_model::ai::CallId;
use sitewright_model::ai::Usd;
use sitewright_model::ai::{FinishReason, Usage};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Which call of a run this is, as the run sees it: the same question, asked for the n-th time.
/// Does not depend on the order in which calls that are made at once happen to begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JournalKey {
    /// SHA-256 of the request.
    pub request: String,
    /// How often the run asked the very same before.
    pub occurrence: u32,
}

/// One reply, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Its question.
    #[serde(flatten)]
    pub key: JournalKey,
    /// What the call was for.
    pub purpose: String,
    /// The checked reply.
    pub content: String,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// Tokens.
    pub usage: Usage,
    /// What it cost, all attempts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Who answered.
    pub provider: String,
    /// What answered.
    pub model: String,
    /// What the model wrote, where the JSON stood inside other text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_reply: Option<String>,
}

/// How a call ended when it was made before.
#[derive(Debug, Clone)]
pub enum Recalled {
    /// With this reply.
    Reply(Box<JournalEntry>),
    /// Without one. Only a replay makes the same failure again.
    Failed(Box<AiError>),
    /// With text that came in these pieces before it ended, if it did.
    Streamed {
        /// The pieces.
        pieces: Vec<String>,
        /// Its end; nothing when it had none.
        end: Option<Box<Recalled>>,
    },
}

/// Where replies are kept.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Is told of each call before anybody is asked, for whoever wants to see the questions
    /// themselves.
    fn asked(&self, _call: CallId, _key: &JournalKey, _request: &Request) {}

    /// The reply of an earlier attempt, when there is one.
    async fn lookup(&self, key: &JournalKey) -> Option<JournalEntry>;

    /// What is known of this call before anybody is asked. A replay knows failures too.
    async fn recall(&self, _call: CallId, key: &JournalKey) -> Option<Recalled> {
        self.lookup(key).await.map(|entry| Recalled::Reply(Box::new(entry)))
    }

    /// Keeps a reply. Has it for sure when it returns.
    async fn store(&self, entry: &JournalEntry) -> Result<(), Message>;
}

/// The journal as one run uses it: counts how often each question was asked.
#[derive(Debug)]
pub struct RunJournal {
    journal: Arc<dyn Journal>,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// How often each question was asked.
    times: HashMap<String, u32>,
    /// Which question each call asked.
    keys: HashMap<CallId, JournalKey>,
}

impl RunJournal {
    /// For a run that begins now.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        RunJournal { journal, asked: Mutex::default() }
    }

    /// The key of a call that begins now.
    pub(super) fn key(&self, call: CallId, request: &Request) -> JournalKey {
        let digest = digest(request);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.times.entry(digest.clone()).or_default();
        let occurrence = std::mem::replace(next, *next + 1);
        let key = JournalKey { request: digest, occurrence };
        asked.keys.insert(call, key.clone());
        drop(asked);
        self.journal.asked(call, &key, request);
        key
    }

    /// The questions of these calls of the run, as the template names calls; names of no call are
    /// passed over.
    pub fn keys_of(&self, calls: &[String]) -> Vec<JournalKey> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = calls.iter().filter_map(|call| call.parse::<CallId>().ok());
        ids.filter_map(|id| asked.keys.get(&id).cloned()).collect()
    }

    /// The question of this call of the run, when it was asked.
    pub fn key_of(&self, call: CallId) -> Option<JournalKey> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).keys.get(&call).cloned()
    }

    pub(super) async fn recall(&self, call: CallId, key: &JournalKey) -> Option<Recalled> {
        self.journal.recall(call, key).await
    }

    pub(super) async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        self.journal.store(entry).await
    }
}

/// Everything that a reply depends on. Each part is told with its length, so that no two requests
/// read the same.
fn digest(request: &Request) -> String {
    let schema = match &request.format {
        Format::JsonSchema(schema) => Some(schema.value().to_string()),
        Format::Text | Format::Json => None,
    };
    let format = match &request.format {
        Format::Text => "text",
        Format::Json => "json",
        Format::JsonSchema(_) => "json-schema",
    };
    let canonical = serde_json::json!([
        request.purpose,
        request.messages,
        format,
        schema,
        request.max_output_tokens,
        request.temperature,
        request.seed,
        request.stop,
    ]);
    hex::encode(Sha256::digest(canonical.to_string()))
}

/// A file with one JSON object a line. A half line at its end, from a process that died, is passed
/// over; any other line that cannot be read is logged with its number, because its reply will be
/// paid for again.
///
/// A reply that comes from an earlier attempt's file is written into this one's too, so that the
/// last attempt's file has all of them.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    earlier: HashMap<JournalKey, JournalEntry>,
    own: Mutex<HashMap<JournalKey, JournalEntry>>,
    file: Arc<Mutex<Option<fs::File>>>,
}

impl FileJournal {
    /// A journal that writes `path`, made with the first reply, and knows the replies of `earlier`
    /// too. Blocks on file I/O.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn open(path: PathBuf, earlier: Option<&Path>) -> Result<Self, Message> {
        let earlier = earlier.map(read_journal).transpose()?.unwrap_or_default();
        let own = Mutex::new(read_journal(&path)?);
        Ok(FileJournal { path, earlier, own, file: Arc::default() })
    }

    /// What this file has already.
    fn own(&self) -> MutexGuard<'_, HashMap<JournalKey, JournalEntry>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The replies of a file; none when there is no file. Blocks on file I/O.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read_journal(file: &Path) -> Result<HashMap<JournalKey, JournalEntry>, Message> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => {
            return Err(message!("the journal {} cannot be read: {error}", file.display()));
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
                tracing::debug!(journal = %file.display(), line = index + 1, %error, "the last line is not whole");
            }
            Err(error) => tracing::error!(
                journal = %file.display(),
                line = index + 1,
                %error,
                "a line of the journal cannot be read; its reply will be paid for again"
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
            // The reply is good; only an attempt that resumes this one would have to pay for it
            // again.
            tracing::error!("{message}");
        }
        Some(entry.clone())
    }

    async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        let shown = self.path.display().to_string();
        let failed = |error: String| message!("the journal {shown} cannot be written: {error}");
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
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    if file.is_none() {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut opened = fs::OpenOptions::new().create(true).append(true).open(path)?;
        // Parts the half line of a process that died from what follows.
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
