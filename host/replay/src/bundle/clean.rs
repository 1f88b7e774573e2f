//! Removes what must not be exported: keys, and on request the texts of customer and models.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::write::ExportOptions;
use crate::scrub::Scrubber;
use crate::subject::{RecordedAttempt, RecordedEnd};
use sitewright_ai::Redactor;
use sitewright_model::failure::FailureRecord;
use sitewright_runtime::run::ArchivedRelease;
use sitewright_runtime::run::recording::{Recording, reply_digest};

/// The attempt without keys and, if `options.scrub` is set, without texts of customer and models.
pub(super) fn clean(
    subject: &RecordedAttempt,
    options: &ExportOptions,
    wasm: &[u8],
) -> Result<RecordedAttempt, serde_json::Error> {
    let mut cleaned = subject.clone();
    let redactor = &options.redactor;
    let replaced = replace(&mut cleaned, redactor)?;
    if replaced {
        cleaned.scrubbed = true;
        cleaned.notes.push("Keys were removed from texts that the run depends on.".to_owned());
    }
    if options.scrub {
        let scrubber = Scrubber::new(subject, wasm);
        replace(&mut cleaned, &scrubber)?;
        cleaned.scrubbed = true;
    }
    Ok(cleaned)
}

/// Removes something from texts.
trait Clean {
    /// Cleans a text of the host or the template.
    fn mention(&self, text: &str) -> String;

    /// Cleans a text of the customer or of a model.
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

/// Cleans every text of the attempt, and updates the digests that depend on them. Returns whether a
/// text changed that the run sees.
fn replace(subject: &mut RecordedAttempt, clean: &impl Clean) -> Result<bool, serde_json::Error> {
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
    let document = hex::encode(Sha256::digest(&subject.document));
    let mut recordings: Vec<&mut Recording> = subject.recording.iter_mut().collect();
    if let RecordedEnd::Released(kept) = &mut subject.ended {
        recordings.push(&mut kept.recording);
    }
    for recording in recordings {
        let mut cleaned = values(&*recording, clean, &[])?;
        cleaned.document.clone_from(&document);
        // A path would show the exporting machine's folders.
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
        RecordedEnd::Failed(record) => {
            **record = values::<FailureRecord>(record, clean, &KEPT)?;
            // A dump holds the template's whole memory and is not exported, so its path is useless.
            record.coredump = None;
        }
        RecordedEnd::Released(kept) => {
            let recording = kept.recording.clone();
            let cleaned = values::<ArchivedRelease>(kept, clean, &KEPT)?;
            **kept = ArchivedRelease { recording, ..cleaned };
        }
        RecordedEnd::Unknown => {}
    }
    Ok(seen)
}

/// Fields of records that hold the host's own texts only.
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
    "hint",
    "frames",
    "digest",
    "version",
    "recording",
    "template",
    "call_id",
    "file",
    "release",
];

/// The value with every text cleaned, except in the `kept` fields. An error if its type refuses the
/// cleaned value.
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
                let coded = value.is_string()
                    && (CODED.contains(&name.as_str()) || (trap && name == "code"));
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

/// Fields whose text is one of a closed list, or a digest: a cleaned one could not be read again.
const CODED: [&str; 15] = [
    "calls",
    "reply",
    "document",
    "outcome",
    "kind",
    "limit",
    "severity",
    "default_locale",
    "fallback_locale",
    "call",
    "call_id",
    "finish_reason",
    "sha256",
    "request",
    "rule",
];

/// Fields whose inner names come from the template: paths, attributes.
const NAMED: [&str; 2] = ["list", "attributes"];
