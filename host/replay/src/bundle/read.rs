//! Reads a bundle as untrusted input.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    ATTEMPT, BundleError, BundledAttempt, BundledOutcome, DEBUG, FORMAT, JOURNAL, Listed, MANIFEST,
    NAMES, ORDER, RECORD, RELEASE, TEMPLATE,
};
use crate::find::digest as digest_of;
use crate::subject::{RecordedAttempt, RecordedEnd};
use sitewright_ai::JournalEntry;

/// Reads a bundle and writes its template into the existing `folder`. Blocking.
pub(crate) fn open(file: &Path, folder: &Path) -> Result<RecordedAttempt, BundleError> {
    let refused = |why: String| BundleError::Refused { path: file.to_owned(), why };
    let files = unpack(file)?;
    let text = |name: &str| files.get(name).map(Vec::as_slice);
    let listed: BTreeMap<String, Listed> = text(MANIFEST)
        .ok_or_else(|| refused(format!("it has no {MANIFEST}")))
        .and_then(|json| {
            serde_json::from_slice(json)
                .map_err(|error| refused(format!("its {MANIFEST}: {error}")))
        })?;
    for (name, bytes) in files.iter().filter(|(name, _)| *name != MANIFEST) {
        let is = hex::encode(Sha256::digest(bytes));
        if listed.get(name.as_str()).is_none_or(|listed| listed.sha256 != is) {
            return Err(refused(format!(
                "{name} is not what its manifest says: it was damaged or changed"
            )));
        }
    }
    let parse = |name: &str| -> Result<Value, BundleError> {
        let json = text(name).ok_or_else(|| refused(format!("it has no {name}")))?;
        serde_json::from_slice(json).map_err(|error| refused(format!("its {name}: {error}")))
    };
    let attempt = parse(ATTEMPT)?;
    let format = attempt.get("format").and_then(Value::as_u64).unwrap_or(0);
    if format != u64::from(FORMAT) {
        return Err(refused(format!("it has format {format}, and this host reads {FORMAT}")));
    }
    let attempt: BundledAttempt = serde_json::from_value(attempt)
        .map_err(|error| refused(format!("its {ATTEMPT}: {error}")))?;
    let ended = match attempt.outcome {
        BundledOutcome::Failed => {
            let record = sitewright_failure::store::parse(parse(RECORD)?, Path::new(RECORD));
            RecordedEnd::Failed(Box::new(record.map_err(|error| refused(error.to_string()))?))
        }
        BundledOutcome::Released => {
            let kept = serde_json::from_value(parse(RELEASE)?);
            RecordedEnd::Released(Box::new(
                kept.map_err(|error| refused(format!("its {RELEASE}: {error}")))?,
            ))
        }
        BundledOutcome::Unknown => RecordedEnd::Unknown,
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
    let digest = wasm.as_ref().and_then(|path| digest_of(path).ok());
    let mut notes = attempt.notes;
    // A bundle may contain another build on purpose. It is replayed only with --template.
    if let Some(digest) = digest.filter(|digest| *digest != attempt.template.digest) {
        notes.push(format!(
            "The template in the bundle is another build than the recorded one: {digest}."
        ));
        wasm = None;
    }
    let id = attempt.attempt.parse();
    Ok(RecordedAttempt {
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

/// The files of a bundle: each name once, only known names, only regular files within their limits.
fn unpack(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let failed = |source| BundleError::Io { what: "read", path: path.to_owned(), source };
    let refused = |why: String| BundleError::Refused { path: path.to_owned(), why };
    let largest: u64 = NAMES.iter().map(|(_, limit)| limit).sum();
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > largest {
        return Err(refused(format!("it is not a regular file of at most {largest} bytes")));
    }
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    let mut files = BTreeMap::new();
    // Raw, so that no header changes the meaning of another one.
    for entry in archive.entries().map_err(failed)?.raw(true) {
        let entry = entry.map_err(|error| {
            refused(format!("it is not a tar file, or ends too early: {error}"))
        })?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some((known, limit)) = NAMES.iter().find(|(known, _)| *known == name) else {
            return Err(refused(format!(
                "it contains {:?}, which is not a file of a bundle",
                name.chars().take(80).collect::<String>()
            )));
        };
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(refused(format!("its {known} is not a regular file")));
        }
        let size = entry
            .header()
            .size()
            .map_err(|error| refused(format!("the size of its {known}: {error}")))?;
        if size > *limit {
            return Err(refused(format!(
                "its {known} has {size} bytes; at most {limit} are allowed"
            )));
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
