//! Writes a recorded attempt as a bundle.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::clean::clean;
use super::{
    ATTEMPT, BundleError, BundledAttempt, BundledOutcome, DEBUG, FORMAT, JOURNAL, Listed, MANIFEST,
    ORDER, RECORD, RELEASE, TEMPLATE, limit_of,
};
use crate::settings::ReplaySettings;
use crate::subject::{RecordedAttempt, RecordedEnd};
use sitewright_ai::{JournalEntry, Redactor};
use sitewright_failure::render;
use sitewright_model::message::Message;

/// What a bundle contains.
pub struct ExportOptions {
    /// Replaces the texts of customer and models by placeholders.
    pub scrub: bool,
    /// Leaves the template out.
    pub without_template: bool,
    /// This template instead of the one that was found.
    pub template: Option<PathBuf>,
    /// Removes keys from all texts.
    pub redactor: Redactor,
}

impl ExportOptions {
    /// Everything but the keys of this process.
    pub fn new() -> Self {
        ExportOptions {
            scrub: false,
            without_template: false,
            template: None,
            redactor: Redactor::of_process(),
        }
    }
}

impl Default for ExportOptions {
    fn default() -> Self {
        ExportOptions::new()
    }
}

/// A written bundle.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    pub file: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Names of the files in it.
    pub contents: Vec<String>,
    /// Whether the texts were replaced by placeholders.
    pub scrubbed: bool,
    /// What a replay of the bundle lacks.
    pub missing: Vec<Message>,
}

/// Writes an attempt into one file, atomically. Blocking.
///
/// # Errors
/// If a file cannot be read or written.
pub fn export(
    subject: &RecordedAttempt,
    config: &ReplaySettings,
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
        (RecordedEnd::Failed(record), _) => {
            files.insert(RECORD, Content::Bytes(pretty(record)?));
            let text = anstream::adapter::strip_str(&render::terminal(record, 100)).to_string();
            files.insert("record.txt", Content::Bytes(text.into_bytes()));
        }
        (RecordedEnd::Released(kept), _) => {
            drop(files.insert(RELEASE, Content::Bytes(pretty(kept)?)))
        }
        (RecordedEnd::Unknown, _) => {}
    }
    if !subject.document.is_empty() {
        files.insert(ORDER, Content::Bytes(subject.document.clone()));
    }
    let mut journal = Vec::new();
    let mut entries: Vec<&JournalEntry> = subject.replies.iter().collect();
    entries.sort_by(|a, b| {
        (&a.key.request, a.key.occurrence, &a.content).cmp(&(
            &b.key.request,
            b.key.occurrence,
            &b.content,
        ))
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
            manifest.insert(
                name,
                Listed { size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(&bytes)) },
            );
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
        Ok((bytes, contents)) => {
            Ok(Exported { file: to.to_owned(), bytes, contents, scrubbed, missing })
        }
        Err(error) => {
            drop(std::fs::remove_file(&temporary));
            Err(failed(error))
        }
    }
}

/// Appends a file without metadata that depends on time or user.
fn append(
    tar: &mut tar::Builder<impl std::io::Write>,
    name: &str,
    bytes: &[u8],
) -> std::io::Result<()> {
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

fn attempt_of(subject: &RecordedAttempt) -> BundledAttempt {
    BundledAttempt {
        format: FORMAT,
        attempt: subject.attempt.to_string(),
        order: subject.order.clone(),
        template: subject.template.clone(),
        outcome: match &subject.ended {
            RecordedEnd::Failed(_) => BundledOutcome::Failed,
            RecordedEnd::Released(_) => BundledOutcome::Released,
            RecordedEnd::Unknown => BundledOutcome::Unknown,
        },
        scrubbed: subject.scrubbed,
        limits: subject.limits.clone(),
        default_locale: subject.default_locale.clone(),
        routes: subject.routes.clone(),
        recording: subject.recording.clone(),
        notes: subject.notes.clone(),
    }
}

/// The part of the configuration that a template's author may need, without keys and addresses.
fn configuration(config: &ReplaySettings) -> Value {
    let kind = |name: &str| {
        let provider =
            config.ai.providers.get(name).and_then(|provider| serde_json::to_value(provider).ok());
        provider.and_then(|provider| provider.get("kind").cloned()).unwrap_or(Value::Null)
    };
    let routes: BTreeMap<&String, Vec<Value>> = config
        .ai
        .routes
        .iter()
        .map(|(name, route)| {
            let shown = route.candidates.iter().map(|candidate| {
                serde_json::json!({
                    "provider": candidate.provider,
                    "kind": kind(&candidate.provider),
                    "model": candidate.model,
                })
            });
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

fn readme(subject: &RecordedAttempt, with_template: bool) -> String {
    let template = if with_template { "" } else { " --template template.wasm" };
    let texts = if subject.scrubbed {
        "The texts of the customer and of the models were replaced by placeholders of the same \
         shape. A failure that depends on those texts may not be reproducible.\n"
    } else {
        "It contains data of the customer: treat it like the order itself.\n"
    };
    format!(
        "A recorded attempt at order {}. {texts}\n\
         Replay it, without network, keys or configuration:\n\n    \
         sitewright replay FILE.tar{template}\n\n\
         Check whether another build fixes it:\n\n    \
         sitewright replay FILE.tar --template other.wasm\n\n\
         attempt.json        limits, names of the routes, digests of all host calls, the outcome \
         of each AI call\n\
         record.json, .txt   the failure record\n\
         release.json        the release, if the attempt succeeded\n\
         order.json          the order's document\n\
         journal.jsonl       replies of the models\n\
         configuration.json  limits and routes of the host that wrote this file\n\
         template.wasm       the template (template.debug.wasm: its debug information)\n\
         manifest.json       size and SHA-256 of each of these\n",
        subject.order
    )
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let failed = |source| BundleError::Io { what: "written", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
