//! A recorded attempt as one file: a tar that can be replayed where there is no configuration, no database and no key.
//!
//! The same attempt gives the same bytes. Read as something that a stranger sent: only the names below, only plain files, none larger
//! than its limit, each with the digest that the manifest says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::scrub::Scrubber;
use super::subject::{Ended, Subject};
use crate::ai::{JournalEntry, Redactor};
use crate::config::Config;
use crate::failure::{FailureRecord, Recording, TemplateRef, render, reply_digest};
use crate::message::Message;
use crate::plugin::{Limits, hex};
use crate::run::KeptRelease;

/// The shape of a bundle.
const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest.json";
const ATTEMPT: &str = "attempt.json";
const RECORD: &str = "record.json";
const RELEASE: &str = "release.json";
const ORDER: &str = "order.json";
const JOURNAL: &str = "journal.jsonl";
const TEMPLATE: &str = "template.wasm";
const DEBUG: &str = "template.debug.wasm";

/// What may be in a bundle, and how large it may be.
const NAMES: [(&str, u64); 11] = [
    ("README.txt", 64 << 10),
    (MANIFEST, 64 << 10),
    (ATTEMPT, 16 << 20),
    ("configuration.json", 1 << 20),
    (RECORD, 64 << 20),
    ("record.txt", 64 << 20),
    (RELEASE, 16 << 20),
    (ORDER, 64 << 20),
    (JOURNAL, 256 << 20),
    (TEMPLATE, 256 << 20),
    (DEBUG, 512 << 20),
];

/// A bundle could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file system refused.
    #[error("the bundle {} cannot be {what}: {source}", .path.display())]
    Io {
        /// `read` or `written`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is in it is not what a bundle holds.
    #[error("{} is no bundle of a failure: {why}; make one with `sitewright failures export`", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Something does not serialize: a bug of ours.
    #[error("the bundle cannot be put together: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// The one document that says what the others are.
#[derive(Serialize, Deserialize)]
struct Attempt {
    format: u32,
    attempt: String,
    order: String,
    template: TemplateRef,
    outcome: String,
    scrubbed: bool,
    limits: Limits,
    default_locale: String,
    routes: Vec<String>,
    recording: Option<Recording>,
    notes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    size: u64,
    sha256: String,
}

/// What goes into a bundle.
pub struct ExportOptions {
    /// Replaces what the customer wrote by placeholders.
    pub scrub: bool,
    /// Leaves the template out.
    pub without_template: bool,
    /// This template instead of the one that was found.
    pub template: Option<PathBuf>,
    /// Keys that are taken out.
    pub(crate) redactor: Redactor,
}

impl ExportOptions {
    /// Everything, with the keys of this process taken out.
    pub fn new() -> Self {
        ExportOptions {
            scrub: false,
            without_template: false,
            template: None,
            redactor: Redactor::of_process().for_records(),
        }
    }
}

impl Default for ExportOptions {
    fn default() -> Self {
        ExportOptions::new()
    }
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What is in it.
    pub contents: Vec<String>,
    /// Whether the texts are placeholders.
    pub scrubbed: bool,
    /// What is not in it although it would be of use.
    pub missing: Vec<Message>,
}

/// Writes an attempt into one file, whole or not at all. Blocking.
///
/// # Errors
/// When a file cannot be read or written.
pub fn export(
    subject: &Subject,
    config: &Config,
    options: &ExportOptions,
    to: &Path,
) -> Result<Exported, BundleError> {
    let wasm = options.template.as_ref().or(subject.wasm.as_ref());
    let vocabulary = match wasm {
        Some(path) if options.scrub => read_file(path, limit_of(TEMPLATE))?,
        _ => Vec::new(),
    };
    let subject = &clean(subject, options, &vocabulary)?;
    let mut files: BTreeMap<&'static str, Content> = BTreeMap::new();
    let mut missing = subject.missing(wasm.is_some(), false);
    match (&subject.ended, options.without_template) {
        (Ended::Failed(record), _) => {
            files.insert(RECORD, Content::Bytes(pretty(record)?));
            let text = anstream::adapter::strip_str(&render::terminal(record, 100)).to_string();
            files.insert("record.txt", Content::Bytes(text.into_bytes()));
        }
        (Ended::Released(kept), _) => drop(files.insert(RELEASE, Content::Bytes(pretty(kept)?))),
        (Ended::Unknown, _) => {}
    }
    if !subject.document.is_empty() {
        files.insert(ORDER, Content::Bytes(subject.document.clone()));
    }
    let mut journal = Vec::new();
    let mut entries: Vec<&JournalEntry> = subject.replies.iter().collect();
    entries.sort_by(|a, b| {
        (&a.key.request, a.key.occurrence, &a.content).cmp(&(&b.key.request, b.key.occurrence, &b.content))
    });
    entries.dedup();
    for entry in entries {
        serde_json::to_writer(&mut journal, entry)?;
        journal.push(b'\n');
    }
    files.insert(JOURNAL, Content::Bytes(journal));
    files.insert(ATTEMPT, Content::Bytes(pretty(&attempt_of(subject))?));
    files.insert("configuration.json", Content::Bytes(pretty(&configuration(config))?));
    if let Some(path) = wasm.filter(|_| !options.without_template) {
        files.insert(TEMPLATE, Content::File(path.clone()));
        let beside = path.with_extension("debug.wasm");
        if beside.is_file() {
            files.insert(DEBUG, Content::File(beside));
        }
    }
    if options.without_template {
        missing.clear();
    }
    files.insert(
        "README.txt",
        Content::Bytes(readme(subject, !options.without_template && wasm.is_some()).into_bytes()),
    );
    write(files, subject.scrubbed, missing, to)
}

enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

fn write(
    files: BTreeMap<&'static str, Content>,
    scrubbed: bool,
    missing: Vec<Message>,
    to: &Path,
) -> Result<Exported, BundleError> {
    let failed = |source| BundleError::Io { what: "written", path: to.to_owned(), source };
    let mut temporary = to.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut manifest: BTreeMap<&str, Listed> = BTreeMap::new();
    let written = (|| {
        let mut tar = tar::Builder::new(std::io::BufWriter::new(File::create(&temporary)?));
        let mut contents = Vec::with_capacity(files.len());
        for (name, content) in files {
            let bytes = match content {
                Content::Bytes(bytes) => bytes,
                Content::File(path) => std::fs::read(path)?,
            };
            manifest.insert(name, Listed { size: bytes.len() as u64, sha256: hex(&Sha256::digest(&bytes)) });
            append(&mut tar, name, &bytes)?;
            contents.push(name.to_owned());
        }
        let listed = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::other)?;
        append(&mut tar, MANIFEST, &listed)?;
        contents.push(MANIFEST.to_owned());
        let mut file = tar.into_inner()?;
        file.flush()?;
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        std::fs::rename(&temporary, to)?;
        Ok((bytes, contents))
    })();
    match written {
        Ok((bytes, contents)) => Ok(Exported { file: to.to_owned(), bytes, contents, scrubbed, missing }),
        Err(error) => {
            drop(std::fs::remove_file(&temporary));
            Err(failed(error))
        }
    }
}

/// With nothing in it that depends on when and by whom it was written.
fn append(tar: &mut tar::Builder<impl std::io::Write>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes)
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn attempt_of(subject: &Subject) -> Attempt {
    Attempt {
        format: FORMAT,
        attempt: subject.attempt.to_string(),
        order: subject.order.clone(),
        template: subject.template.clone(),
        outcome: match &subject.ended {
            Ended::Failed(_) => "failed",
            Ended::Released(_) => "released",
            Ended::Unknown => "unknown",
        }
        .to_owned(),
        scrubbed: subject.scrubbed,
        limits: subject.limits.clone(),
        default_locale: subject.default_locale.clone(),
        routes: subject.routes.clone(),
        recording: subject.recording.clone(),
        notes: subject.notes.clone(),
    }
}

/// What of the configuration an author may need. Neither keys nor addresses.
fn configuration(config: &Config) -> Value {
    let kind = |name: &str| {
        let provider = config.ai.providers.get(name).and_then(|provider| serde_json::to_value(provider).ok());
        provider.and_then(|provider| provider.get("kind").cloned()).unwrap_or(Value::Null)
    };
    let routes: BTreeMap<&String, Vec<Value>> = config
        .ai
        .routes
        .iter()
        .map(|(name, route)| {
            let candidates = route.candidates.iter();
            let shown = candidates
                .map(|one| serde_json::json!({ "provider": one.provider, "kind": kind(&one.provider), "model": one.model }));
            (name, shown.collect())
        })
        .collect();
    serde_json::json!({
        "version": config.version,
        "limits": config.limits,
        "default_locale": config.default_locale.as_str(),
        "routes": routes,
    })
}

fn readme(subject: &Subject, with_template: bool) -> String {
    let template = if with_template { "" } else { " --template template.wasm" };
    let texts = if subject.scrubbed {
        "What the customer wrote and what models answered was replaced by placeholders of the same shape. A failure that depends on \
         those texts may not come again.\n"
    } else {
        "It holds what the customer wrote: treat it like the order itself.\n"
    };
    format!(
        "One attempt at order {}, as it was recorded. {texts}\n\
         Make it again, without a network, a key or a configuration:\n\n    sitewright replay FILE.tar{template}\n\n\
         Is it fixed in another build?\n\n    sitewright replay FILE.tar --template other.wasm\n\n\
         attempt.json        limits, routes' names, the marks of all host calls, how each AI call ended\n\
         record.json, .txt   the failure record\n\
         release.json        of an attempt that succeeded: what it released\n\
         order.json          the order's document\n\
         journal.jsonl       what models answered\n\
         configuration.json  limits and routes of the one who made this file\n\
         template.wasm       the template (template.debug.wasm: its debug information)\n\
         manifest.json       size and SHA-256 of each of these\n",
        subject.order
    )
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Taking out what must not travel.

/// The subject without keys and, when asked for, without what the customer wrote.
fn clean(subject: &Subject, options: &ExportOptions, wasm: &[u8]) -> Result<Subject, serde_json::Error> {
    let mut cleaned = subject.clone();
    let redactor = &options.redactor;
    let replaced = replace(&mut cleaned, redactor)?;
    if replaced {
        cleaned.scrubbed = true;
        cleaned.notes.push("Keys were taken out of texts that the run depends on.".to_owned());
    }
    if options.scrub {
        let scrubber = Scrubber::new(subject, wasm);
        replace(&mut cleaned, &scrubber)?;
        cleaned.scrubbed = true;
    }
    Ok(cleaned)
}

/// What takes things out of texts.
trait Clean {
    /// A text of the host's or the template's.
    fn mention(&self, text: &str) -> String;

    /// A text of the customer's or of a model.
    fn theirs(&self, text: &str) -> String;
}

impl Clean for Redactor {
    fn mention(&self, text: &str) -> String {
        self.redact(text).into_owned()
    }

    fn theirs(&self, text: &str) -> String {
        let Ok(before) = serde_json::from_str::<Value>(text) else { return self.mention(text) };
        let mut after = before.clone();
        walk(&mut after, self, &[]);
        if after == before { text.to_owned() } else { after.to_string() }
    }
}

impl Clean for Scrubber {
    fn mention(&self, text: &str) -> String {
        Scrubber::mention(self, text)
    }

    fn theirs(&self, text: &str) -> String {
        self.json_or_text(text)
    }
}

/// Cleans every text of the subject, and the digests that depend on them. Whether the run would see any of it.
fn replace(subject: &mut Subject, clean: &impl Clean) -> Result<bool, serde_json::Error> {
    let mut digests = BTreeMap::new();
    let mut seen = false;
    for entry in &mut subject.replies {
        let before = reply_digest(&entry.content);
        let content = clean.theirs(&entry.content);
        seen |= content != entry.content;
        entry.content = content;
        entry.raw_reply = entry.raw_reply.as_deref().map(|raw| clean.theirs(raw));
        digests.insert(before, reply_digest(&entry.content));
    }
    if !subject.document.is_empty() {
        let document = clean.theirs(&String::from_utf8_lossy(&subject.document));
        if document.as_bytes() != subject.document.as_slice() {
            seen = true;
            subject.document = document.into_bytes();
        }
    }
    let document = hex(&Sha256::digest(&subject.document));
    let mut recordings: Vec<&mut Recording> = subject.recording.iter_mut().collect();
    if let Ended::Released(kept) = &mut subject.ended {
        recordings.push(&mut kept.recording);
    }
    for recording in recordings {
        let mut cleaned = values(&*recording, clean, &[])?;
        cleaned.document.clone_from(&document);
        // A path tells about the machine of the one who exports.
        if let Some(name) = Path::new(&recording.template).file_name() {
            cleaned.template = name.to_string_lossy().into_owned();
        }
        for end in &mut cleaned.ai {
            if let Some(reply) = end.reply.as_mut() {
                *reply = digests.get(reply).unwrap_or(reply).clone();
            }
        }
        *recording = cleaned;
    }
    match &mut subject.ended {
        Ended::Failed(record) => {
            **record = values::<FailureRecord>(record, clean, &KEPT)?;
        }
        Ended::Released(kept) => {
            let recording = kept.recording.clone();
            let cleaned = values::<KeptRelease>(kept, clean, &KEPT)?;
            **kept = KeptRelease { recording, ..cleaned };
        }
        Ended::Unknown => {}
    }
    Ok(seen)
}

/// Fields of records that hold no text of a customer's: they are told in the host's own words.
const KEPT: [&str; 18] = [
    "id",
    "time",
    "order",
    "job",
    "attempt",
    "trace_id",
    "host_build",
    "config_version",
    "kind",
    "advice",
    "frames",
    "digest",
    "version",
    "recording",
    "template",
    "call_id",
    "file",
    "release",
];

/// The value with every text in it replaced, but for the named fields. What a type refuses afterwards does not travel at all.
fn values<T: Serialize + serde::de::DeserializeOwned>(
    value: &T,
    clean: &dyn Clean,
    kept: &[&str],
) -> Result<T, serde_json::Error> {
    let mut tree = serde_json::to_value(value)?;
    walk(&mut tree, clean, kept);
    serde_json::from_value(tree)
}

fn walk(value: &mut Value, clean: &dyn Clean, kept: &[&str]) {
    match value {
        Value::String(text) => *text = clean.mention(text),
        Value::Array(values) => values.iter_mut().for_each(|value| walk(value, clean, kept)),
        Value::Object(fields) => {
            let trap = fields.contains_key("frames");
            let log = fields.contains_key("dropped_bytes");
            for (name, mut value) in std::mem::take(fields) {
                if let (Value::String(text), true) = (&value, Scrubber::is_theirs(&name) && !log) {
                    value = Value::String(clean.theirs(text));
                    fields.insert(name, value);
                    continue;
                }
                let coded = value.is_string() && (CODED.contains(&name.as_str()) || (trap && name == "code"));
                let named_by_template = NAMED.contains(&name.as_str());
                if !coded && name != "routes" && !kept.contains(&name.as_str()) {
                    walk(&mut value, clean, kept);
                }
                if let Some(named) = value.as_object_mut().filter(|_| named_by_template) {
                    *named = std::mem::take(named)
                        .into_iter()
                        .map(|(name, value)| (clean.mention(&name), value))
                        .collect();
                }
                fields.insert(name, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Fields whose text is one of a closed list, or a digest: a replaced one could not be read any more.
const CODED: [&str; 14] = [
    "calls",
    "reply",
    "document",
    "outcome",
    "kind",
    "limit",
    "severity",
    "default_locale",
    "call",
    "call_id",
    "finish_reason",
    "sha256",
    "request",
    "rule",
];

/// Fields whose own fields are named by the template: paths, attributes.
const NAMED: [&str; 2] = ["list", "attributes"];

// ---------------------------------------------------------------------------------------------------------------------------------
// Reading one.

fn limit_of(name: &str) -> u64 {
    NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, limit)| *limit)
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let failed = |source| BundleError::Io { what: "written", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

/// Reads a bundle; its template is put into `folder`. Blocking.
pub(super) fn open(file: &Path, folder: &Path) -> Result<Subject, BundleError> {
    let refused = |why: String| BundleError::Refused { path: file.to_owned(), why };
    let files = unpack(file)?;
    let text = |name: &str| files.get(name).map(Vec::as_slice);
    let listed: BTreeMap<String, Listed> =
        text(MANIFEST).ok_or_else(|| refused(format!("it has no {MANIFEST}"))).and_then(|json| {
            serde_json::from_slice(json).map_err(|error| refused(format!("its {MANIFEST}: {error}")))
        })?;
    for (name, bytes) in files.iter().filter(|(name, _)| *name != MANIFEST) {
        let is = hex(&Sha256::digest(bytes));
        if listed.get(name.as_str()).is_none_or(|listed| listed.sha256 != is) {
            return Err(refused(format!("{name} is not what its manifest says: it was damaged or changed")));
        }
    }
    let parse = |name: &str| -> Result<Value, BundleError> {
        let json = text(name).ok_or_else(|| refused(format!("it has no {name}")))?;
        serde_json::from_slice(json).map_err(|error| refused(format!("its {name}: {error}")))
    };
    let attempt = parse(ATTEMPT)?;
    let format = attempt.get("format").and_then(Value::as_u64).unwrap_or(0);
    if format != u64::from(FORMAT) {
        return Err(refused(format!("its shape is {format}, and this host knows {FORMAT}")));
    }
    let attempt: Attempt =
        serde_json::from_value(attempt).map_err(|error| refused(format!("its {ATTEMPT}: {error}")))?;
    let ended = match attempt.outcome.as_str() {
        "failed" => {
            let record = crate::failure::store::parse(parse(RECORD)?, Path::new(RECORD));
            Ended::Failed(Box::new(record.map_err(|error| refused(error.to_string()))?))
        }
        "released" => {
            let kept = serde_json::from_value(parse(RELEASE)?);
            Ended::Released(Box::new(kept.map_err(|error| refused(format!("its {RELEASE}: {error}")))?))
        }
        _ => Ended::Unknown,
    };
    let journal = text(JOURNAL).unwrap_or_default();
    let lines = journal.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let replies: Result<Vec<JournalEntry>, _> = lines.map(serde_json::from_slice).collect();
    let replies = replies.map_err(|error| refused(format!("its {JOURNAL}: {error}")))?;
    let unpacked = |source| BundleError::Io { what: "unpacked", path: file.to_owned(), source };
    let mut wasm = None;
    for name in [DEBUG, TEMPLATE] {
        if let Some(bytes) = text(name) {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(unpacked)?;
            wasm = (name == TEMPLATE).then_some(path);
        }
    }
    let digest = wasm.as_ref().and_then(|path| super::find::digest(path).ok());
    let mut notes = attempt.notes;
    // Another build may be enclosed on purpose; then it is what is replayed only when it is named.
    if let Some(digest) = digest.filter(|digest| *digest != attempt.template.digest) {
        notes.push(format!("The enclosed template is another build than the recorded one: {digest}."));
        wasm = None;
    }
    let id = attempt.attempt.parse();
    Ok(Subject {
        attempt: id.map_err(|error| refused(format!("the id of its attempt: {error}")))?,
        order: attempt.order,
        template: attempt.template,
        ended,
        recording: attempt.recording,
        document: text(ORDER).unwrap_or_default().to_vec(),
        replies,
        limits: attempt.limits,
        default_locale: attempt.default_locale,
        routes: attempt.routes,
        wasm,
        looked: vec![file.to_owned()],
        scrubbed: attempt.scrubbed,
        notes,
    })
}

/// The files of a bundle: known names, plain files, within their limits, each once.
fn unpack(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let failed = |source| BundleError::Io { what: "read", path: path.to_owned(), source };
    let refused = |why: String| BundleError::Refused { path: path.to_owned(), why };
    let largest: u64 = NAMES.iter().map(|(_, limit)| limit).sum();
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > largest {
        return Err(refused(format!("it is no file of at most {largest} bytes")));
    }
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    let mut files = BTreeMap::new();
    // Raw: no header may say anything about another one.
    for entry in archive.entries().map_err(failed)?.raw(true) {
        let entry = entry.map_err(|error| refused(format!("it is no tar, or ends too early: {error}")))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some((known, limit)) = NAMES.iter().find(|(known, _)| *known == name) else {
            return Err(refused(format!("it holds {:?}", name.chars().take(80).collect::<String>())));
        };
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(refused(format!("its {known} is no plain file")));
        }
        let size =
            entry.header().size().map_err(|error| refused(format!("the size of its {known}: {error}")))?;
        if size > *limit {
            return Err(refused(format!("its {known} has {size} bytes; at most {limit} are allowed")));
        }
        let mut bytes = Vec::new();
        entry
            .take(*limit)
            .read_to_end(&mut bytes)
            .map_err(|error| refused(format!("its {known} ends too early: {error}")))?;
        if bytes.len() as u64 != size || files.insert(name, bytes).is_some() {
            return Err(refused(format!("its {known} is there twice, or ends too early")));
        }
    }
    Ok(files)
}
