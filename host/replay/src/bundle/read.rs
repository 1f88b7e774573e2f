//! Reads a bundle as untrusted input.
//!
//! Files are unpacked one after another into the scratch folder, each within its limit, so that a
//! bundle of any size takes little memory. JSON is parsed only after its values were counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    ATTEMPT, BundleError, BundledAttempt, BundledOutcome, FILES, FORMAT, FileRule, JOURNAL, Listed,
    MANIFEST, MAX_REPLIES, MAX_REPLY_BYTES, MAX_REPLY_VALUES, ORDER, RECORD, RELEASE, TEMPLATE,
    rule_of,
};
use crate::hashed::copy_hashed;
use crate::subject::{Origin, RecordedAttempt, RecordedEnd};
use sitewright_ai::JournalEntry;
use sitewright_files::{Limit, json};
use sitewright_site::OrderDir;

/// Maximum bytes of a name in an attempt.
const MAX_NAME_BYTES: usize = 512;
/// Maximum remarks that a bundle adds to the report, and bytes of each.
const MAX_NOTES: usize = 20;
const MAX_NOTE_BYTES: usize = 1_000;

/// Reads a bundle and unpacks it into the existing private `folder`. Blocking.
pub(crate) fn open(file: &Path, folder: &Path) -> Result<RecordedAttempt, BundleError> {
    let bundle = Unpacked { file, folder, files: unpack(file, folder)? };
    bundle.check_manifest()?;
    let format: Format = bundle.json(ATTEMPT)?;
    if format.format != FORMAT {
        let found = format.format;
        return Err(bundle.refused(format!("it has format {found}, and this host reads {FORMAT}")));
    }
    let attempt: BundledAttempt = bundle.json(ATTEMPT)?;
    let ended = match attempt.outcome {
        BundledOutcome::Failed => {
            let record: Value = bundle.json(RECORD)?;
            let record = sitewright_failure::store::parse(record, Path::new(RECORD));
            let record = record.map_err(|error| bundle.refused(error.to_string()))?;
            RecordedEnd::Failed(Box::new(record))
        }
        BundledOutcome::Released => RecordedEnd::Released(Box::new(bundle.json(RELEASE)?)),
        BundledOutcome::Unknown => RecordedEnd::Unknown,
    };
    let replies = bundle.replies()?;
    let document = if bundle.files.contains_key(ORDER) { bundle.read(ORDER)? } else { Vec::new() };
    let template = &attempt.template;
    for (what, text) in [
        ("the name of its template", &template.name),
        ("the version of its template", &template.version),
        ("the digest of its template", &template.digest),
        ("its language", &attempt.default_locale),
    ] {
        if text.len() > MAX_NAME_BYTES {
            return Err(bundle.refused(format!("{what} has more than {MAX_NAME_BYTES} bytes")));
        }
    }
    OrderDir::new(&attempt.order)
        .map_err(|error| bundle.refused(format!("the id of its order: {error}")))?;
    let mut notes = attempt.notes;
    notes.truncate(MAX_NOTES);
    for note in &mut notes {
        note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES.min(note.len())));
    }
    let mut wasm = None;
    if let Some(digest) = bundle.files.get(TEMPLATE) {
        let digest = format!("sha256:{digest}");
        // A bundle may contain another build on purpose. It is replayed only with --template.
        if digest == attempt.template.digest {
            wasm = Some(folder.join(TEMPLATE));
        } else {
            notes.push(format!(
                "The template in the bundle is another build than the recorded one: {digest}."
            ));
        }
    }
    let id = attempt.attempt.parse();
    Ok(RecordedAttempt {
        attempt: id.map_err(|error| bundle.refused(format!("the id of its attempt: {error}")))?,
        origin: Origin::Bundle,
        order: attempt.order,
        template: attempt.template,
        ended,
        recording: attempt.recording,
        document,
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

/// The version of the format, which is read before anything else that may depend on it.
#[derive(serde::Deserialize)]
struct Format {
    #[serde(default)]
    format: u32,
}

/// A bundle whose files are in a folder.
struct Unpacked<'a> {
    file: &'a Path,
    folder: &'a Path,
    /// The SHA-256 of each file, in hexadecimal digits.
    files: BTreeMap<&'static str, String>,
}

impl Unpacked<'_> {
    fn refused(&self, why: String) -> BundleError {
        BundleError::Refused { path: self.file.to_owned(), why }
    }

    /// Checks that the bundle consists of the files in its manifest.
    fn check_manifest(&self) -> Result<(), BundleError> {
        let listed: BTreeMap<String, Listed> = self.json(MANIFEST)?;
        for (name, is) in self.files.iter().filter(|(name, _)| **name != MANIFEST) {
            if listed.get(*name).is_none_or(|listed| listed.sha256 != *is) {
                return Err(self.refused(format!(
                    "{name} is not what its manifest says: it was damaged or changed"
                )));
            }
        }
        let missing = listed.keys().find(|name| !self.files.contains_key(name.as_str()));
        match missing.and_then(|name| rule_of(name)) {
            Some(rule) => {
                Err(self.refused(format!("it has no {}, which its manifest lists", rule.name)))
            }
            None => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, BundleError> {
        let Some(rule) = rule_of(name).filter(|rule| self.files.contains_key(rule.name)) else {
            return Err(self.refused(format!("it has no {name}")));
        };
        sitewright_files::read(&self.folder.join(rule.name), Limit::fixed(rule.max_bytes))
            .map_err(|error| self.refused(error.to_string()))
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, BundleError> {
        let bytes = self.read(name)?;
        let max_values = rule_of(name).map_or(0, |rule| rule.max_values);
        json::parse(&bytes, max_values)
            .map_err(|error| self.refused(format!("its {name}: {error}")))
    }

    /// The replies of the models, one on each line.
    fn replies(&self) -> Result<Vec<JournalEntry>, BundleError> {
        let wrong = |why: String| self.refused(format!("its {JOURNAL}: {why}"));
        let mut replies = Vec::new();
        if !self.files.contains_key(JOURNAL) {
            return Ok(replies);
        }
        let file = File::open(self.folder.join(JOURNAL));
        let mut lines = BufReader::new(file.map_err(|error| wrong(error.to_string()))?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let mut limited = (&mut lines).take(MAX_REPLY_BYTES + 1);
            let read = limited.read_until(b'\n', &mut line);
            let read = read.map_err(|error| wrong(error.to_string()))?;
            if read == 0 {
                break;
            }
            if read as u64 > MAX_REPLY_BYTES {
                return Err(wrong(format!("line {number} has more than {MAX_REPLY_BYTES} bytes")));
            }
            let reply = line.trim_ascii();
            if reply.is_empty() {
                continue;
            }
            if replies.len() == MAX_REPLIES {
                return Err(wrong(format!("it has more than {MAX_REPLIES} replies")));
            }
            let reply = json::parse(reply, MAX_REPLY_VALUES);
            replies.push(reply.map_err(|error| wrong(format!("line {number}: {error}")))?);
        }
        Ok(replies)
    }
}

/// Unpacks the files of a bundle into `folder` and returns the SHA-256 of each. Each name occurs
/// once, only known names, and only regular files within their limits.
fn unpack(path: &Path, folder: &Path) -> Result<BTreeMap<&'static str, String>, BundleError> {
    let refused = |why: String| BundleError::Refused { path: path.to_owned(), why };
    let early = |error: std::io::Error| {
        refused(format!("it is not a tar file, or ends too early: {error}"))
    };
    // Each file has a header and is filled up to 512 bytes; two empty blocks end the archive.
    let largest = FILES.iter().map(|rule| rule.max_bytes + 1_024).sum::<u64>() + 1_024;
    let file = sitewright_files::open(path, Limit::fixed(largest))
        .map_err(|error| BundleError::File { source: error })?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut files = BTreeMap::new();
    // Raw, so that no header changes the meaning of another one: names longer than a header holds,
    // links, and sparse files are entries of their own types, and refused as such.
    for entry in archive.entries().map_err(early)?.raw(true) {
        let entry = entry.map_err(early)?;
        let rule = known(&entry.path_bytes()).map_err(refused)?;
        let name = rule.name;
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(refused(format!("its {name} is not a regular file")));
        }
        let size = entry
            .header()
            .size()
            .map_err(|error| refused(format!("the size of its {name}: {error}")))?;
        if size > rule.max_bytes {
            return Err(refused(format!(
                "its {name} has {size} bytes; at most {} are allowed",
                rule.max_bytes
            )));
        }
        if files.contains_key(name) {
            return Err(refused(format!("its {name} is there twice")));
        }
        let unpacked = |source| BundleError::Io { what: "unpacked", path: path.to_owned(), source };
        let to = File::create_new(folder.join(name)).map_err(unpacked)?;
        let (sha256, written) = copy_hashed(entry.take(size), to).map_err(unpacked)?;
        if written != size {
            return Err(refused(format!("its {name} ends too early")));
        }
        files.insert(name, sha256);
    }
    Ok(files)
}

/// The rule for the file with this name; as an error, why there is none.
fn known(name: &[u8]) -> Result<&'static FileRule, String> {
    std::str::from_utf8(name).ok().and_then(rule_of).ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(name).chars().take(80).collect();
        format!("it contains {shown:?}, which is not a file of a bundle")
    })
}

/// Whether a file of a bundle may be written: what [`open`] refuses, [`export`](super::export)
/// refuses too.
pub(super) fn check_written(
    rule: &FileRule,
    bytes: u64,
    content: &[u8],
) -> Result<(), BundleError> {
    let too = |what: String| BundleError::TooLarge { name: rule.name, what };
    if bytes > rule.max_bytes {
        return Err(too(format!("{bytes} bytes; at most {} are allowed", rule.max_bytes)));
    }
    let values = if rule.max_values == 0 { 0 } else { json::count(content) };
    if values > rule.max_values {
        return Err(too(format!("{values} values; at most {} are allowed", rule.max_values)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// An entry of a tar file whose header says what `header` says.
    fn entry(name: &[u8], kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(size);
        header.set_link_name("/etc/passwd").unwrap();
        header.set_mode(0o777);
        header.set_cksum();
        let mut entry = header.as_bytes().to_vec();
        entry.extend_from_slice(content);
        entry.resize(entry.len().next_multiple_of(512), 0);
        entry
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        entry(name.as_bytes(), b'0', content.len() as u64, content)
    }

    /// The files, and a manifest that lists them.
    fn bundle(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let listed: serde_json::Map<String, Value> = files
            .iter()
            .map(|(name, content)| {
                let sha256 = hex::encode(Sha256::digest(content));
                ((*name).to_owned(), json!({ "size": content.len(), "sha256": sha256 }))
            })
            .collect();
        let mut bytes: Vec<u8> =
            files.iter().flat_map(|(name, content)| file(name, content)).collect();
        bytes.extend(file(MANIFEST, Value::from(listed).to_string().as_bytes()));
        bytes
    }

    /// An attempt that a bundle may hold, with these changes.
    fn attempt(changes: Value) -> Vec<u8> {
        let mut attempt = json!({
            "format": 1,
            "attempt": "01M8GMFKA59SKADNVXXKVJSDTT",
            "order": "102",
            "template": { "name": "a", "version": "1", "digest": "" },
            "outcome": "unknown",
            "scrubbed": false,
            "limits": {},
            "default_locale": "en",
            "routes": [],
            "recording": null,
            "notes": [],
        });
        for (name, value) in changes.as_object().unwrap() {
            attempt[name] = value.clone();
        }
        attempt.to_string().into_bytes()
    }

    /// Opens a bundle; the error's text if it is refused. Nothing may be outside of the folder.
    fn opened(bytes: &[u8]) -> Result<RecordedAttempt, String> {
        let top = tempfile::tempdir().unwrap();
        let (file, folder) = (top.path().join("b.tar"), top.path().join("scratch"));
        std::fs::write(&file, bytes).unwrap();
        std::fs::create_dir(&folder).unwrap();
        let opened = open(&file, &folder).map_err(|error| error.to_string());
        let left: Vec<String> = std::fs::read_dir(top.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(left.len() == 2, "{left:?}");
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            assert!(rule_of(&name).is_some() && entry.file_type().unwrap().is_file(), "{name}");
        }
        opened
    }

    #[test]
    fn a_bundle_is_read_and_its_template_is_not_trusted() {
        let wasm = b"template".to_vec();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&wasm)));
        for (digest, used) in [(digest.as_str(), true), ("sha256:0", false)] {
            let template = json!({ "name": "a", "version": "1", "digest": digest });
            let bytes = bundle(&[
                (ATTEMPT, attempt(json!({ "template": template }))),
                (TEMPLATE, wasm.clone()),
                (ORDER, b"{}".to_vec()),
            ]);
            let read = opened(&bytes).unwrap();
            assert_eq!(read.origin, Origin::Bundle);
            assert_eq!(read.wasm.is_some(), used);
            assert_eq!(read.document, b"{}");
            assert_eq!(read.notes.len(), usize::from(!used), "{:?}", read.notes);
        }
    }

    #[test]
    fn an_entry_that_is_not_a_file_of_a_bundle_is_refused_by_name() {
        let large = (8_u64 << 30) - 1;
        let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(100);
        let with_prefix = {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes().copy_from_slice(&file("order.json", b""));
            header.as_mut_bytes()[345..348].copy_from_slice(b"../");
            header.set_cksum();
            header.as_bytes().to_vec()
        };
        let many: Vec<u8> = (0..1_000).flat_map(|_| file("x", b"")).collect();
        let rows: Vec<(&str, Vec<u8>, &str)> = vec![
            ("nothing", Vec::new(), "it has no manifest.json"),
            ("no tar", b"this is no tar at all".repeat(100), "it is not a tar file"),
            ("compressed", gzip, "it is not a tar file"),
            ("a way out", file("../../evil", b"x"), "it contains \"../../evil\""),
            ("an absolute path", file("/etc/passwd", b"x"), "it contains \"/etc/passwd\""),
            ("a folder before it", file("./order.json", b"x"), "it contains \"./order.json\""),
            ("a prefix", with_prefix, "it contains \"../"),
            ("not UTF-8", entry(b"order.json\xff", b'0', 0, b""), "it contains"),
            ("a control character", file("order.json\u{1b}[2J", b""), "it contains"),
            ("a long name", file(&"n".repeat(100), b""), "it contains"),
            ("many entries", many, "it contains \"x\""),
            ("a GNU long name", entry(b"././@LongLink", b'L', large, b"x"), "it contains"),
            ("a pax header", entry(b"PaxHeaders/order.json", b'x', 0, b""), "it contains"),
            ("a hidden pax header", entry(b"order.json", b'x', 0, b""), "not a regular file"),
            ("a global header", entry(b"order.json", b'g', 0, b""), "not a regular file"),
            ("a hard link", entry(b"order.json", b'1', 0, b""), "not a regular file"),
            ("a link", entry(b"order.json", b'2', 0, b""), "not a regular file"),
            ("a character device", entry(b"order.json", b'3', 0, b""), "not a regular file"),
            ("a block device", entry(b"order.json", b'4', 0, b""), "not a regular file"),
            ("a folder", entry(b"order.json", b'5', 0, b""), "not a regular file"),
            ("a FIFO", entry(b"order.json", b'6', 0, b""), "not a regular file"),
            ("a contiguous file", entry(b"order.json", b'7', 0, b""), "not a regular file"),
            ("a sparse file", entry(b"order.json", b'S', 0, b""), "not a regular file"),
            ("an unknown kind", entry(b"order.json", b'Z', 0, b""), "not a regular file"),
            ("eight gigabytes", entry(b"order.json", b'0', large, b"x"), "at most"),
            ("a huge size", entry(b"order.json", b'0', u64::MAX, b"x"), "it"),
            ("cut off", entry(b"order.json", b'0', 5_000, b"x"), "early"),
            ("twice", [file("order.json", b"{}"), file("order.json", b"")].concat(), "twice"),
            ("not listed", [bundle(&[]), file("order.json", b"{}")].concat(), "manifest"),
            ("no attempt", bundle(&[(ORDER, b"{}".to_vec())]), "it has no attempt.json"),
        ];
        for (name, bytes, part) in rows {
            let error = opened(&bytes).err().unwrap_or_else(|| panic!("{name} is read"));
            assert!(error.contains(part), "{name}: {error}");
            assert!(error.len() < 600, "{name}: {error}");
        }
        let file_is_missing = {
            let mut bytes = file(
                MANIFEST,
                json!({ "order.json": { "size": 2, "sha256": "0" } }).to_string().as_bytes(),
            );
            bytes.extend(file(ATTEMPT, &attempt(json!({}))));
            opened(&bytes).unwrap_err()
        };
        assert!(file_is_missing.contains("manifest"), "{file_is_missing}");
    }

    #[test]
    fn documents_are_counted_before_they_are_parsed() {
        let zeros = |number: usize| format!("[{}0]", "0,".repeat(number)).into_bytes();
        let reply = |more: &str| format!("{{\"request\":\"a\"{more}}}\n").into_bytes();
        let deep = format!("[{}", "[".repeat(1 << 20)).into_bytes();
        let attempt_of = |more: &str| {
            let text = String::from_utf8(attempt(json!({}))).unwrap();
            format!("{{{more},{}", &text[1..]).into_bytes()
        };
        let many_lines = b"{}\n".repeat(100);
        type Row<'a> = (&'a str, Vec<(&'a str, Vec<u8>)>, &'a str);
        let rows: Vec<Row<'_>> = vec![
            ("values", vec![(ATTEMPT, zeros(7 << 20))], "attempt.json: it has more than"),
            ("depth", vec![(ATTEMPT, deep)], "attempt.json: it has more than"),
            (
                "an unknown field",
                vec![(ATTEMPT, attempt_of(&format!("\"x\":[{}0]", "0,".repeat(600_000))))],
                "attempt.json: it has more than",
            ),
            (
                "a record",
                vec![(ATTEMPT, attempt(json!({ "outcome": "failed" }))), (RECORD, zeros(1 << 20))],
                "record.json: it has more than",
            ),
            (
                "a release",
                vec![
                    (ATTEMPT, attempt(json!({ "outcome": "released" }))),
                    (RELEASE, zeros(1 << 20)),
                ],
                "release.json: it has more than",
            ),
            (
                "a reply",
                vec![
                    (ATTEMPT, attempt(json!({}))),
                    (JOURNAL, reply(&format!(",\"x\":[{}0]", "0,".repeat(10_000)))),
                ],
                "journal.jsonl: line 1: it has more than",
            ),
            (
                "not a reply",
                vec![(ATTEMPT, attempt(json!({}))), (JOURNAL, many_lines)],
                "journal.jsonl: line 1: missing field",
            ),
            (
                "another format",
                vec![(ATTEMPT, attempt(json!({ "format": 2 })))],
                "it has format 2, and this host reads 1",
            ),
            (
                "an id",
                vec![(ATTEMPT, attempt(json!({ "attempt": "../../etc" })))],
                "the id of its attempt",
            ),
            (
                "an order",
                vec![(ATTEMPT, attempt(json!({ "order": "../../etc" })))],
                "the id of its order",
            ),
            (
                "a long name",
                vec![(ATTEMPT, attempt(json!({ "default_locale": "x".repeat(1_000) })))],
                "its language has more than 512 bytes",
            ),
            (
                "a negative limit",
                vec![(ATTEMPT, attempt(json!({ "limits": { "cpu_ms": -1 } })))],
                "attempt.json",
            ),
        ];
        for (name, files, part) in rows {
            let error = opened(&bundle(&files)).err().unwrap_or_else(|| panic!("{name} is read"));
            assert!(error.contains(part), "{name}: {error}");
        }
    }

    #[test]
    fn remarks_of_a_bundle_are_short() {
        let notes = vec!["ä".repeat(MAX_NOTE_BYTES); MAX_NOTES + 1];
        let read = opened(&bundle(&[(ATTEMPT, attempt(json!({ "notes": notes })))])).unwrap();
        assert_eq!(read.notes.len(), MAX_NOTES);
        assert!(read.notes.iter().all(|note| note.len() <= MAX_NOTE_BYTES));
    }

    #[test]
    fn what_the_operator_names_is_a_plain_file() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["/dev/zero", "/dev/null", "/"] {
            let error = open(Path::new(path), folder.path()).unwrap_err().to_string();
            assert!(error.contains("only regular files are read"), "{path}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the bytes are, reading them ends, and writes known files only.
        #[test]
        fn any_bytes_are_read_or_refused(
            parts in prop::collection::vec(
                (prop::sample::select(vec!["order.json", "attempt.json", "x", "../y", "manifest.json"]),
                 any::<u8>(), 0_u64..2_000, prop::collection::vec(any::<u8>(), 0..1_500)),
                0..5,
            ),
            cut in 0_usize..4_000,
        ) {
            let mut bytes: Vec<u8> = parts
                .iter()
                .flat_map(|(name, kind, size, content)| entry(name.as_bytes(), *kind, *size, content))
                .collect();
            let length = bytes.len().saturating_sub(cut % 700);
            bytes.truncate(length);
            drop(opened(&bytes));
        }

        #[test]
        fn any_contents_are_read_or_refused(
            files in prop::collection::vec(
                (0_u8..11, "[\\[\\]{},:\"0-9a-z\\\\]{0,160}"), 0..6,
            ),
        ) {
            let mut bytes = vec![1];
            for (name, content) in files {
                bytes.extend([name, u8::try_from(content.len() / 16).unwrap()]);
                bytes.extend(&content.as_bytes()[..content.len() / 16 * 16]);
            }
            crate::fuzzing::bundle(&bytes);
        }
    }
}
