//! The reader of bundles, for its fuzz target (`host/fuzz`).

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::bundle::{self, FILES};

/// Opens a bundle with arbitrary bytes. After an even byte, they are the tar file itself; after an
/// odd one, the contents of its files, with headers and digests that fit: the first two bytes of
/// each say which file it is and, times 16, how long.
pub fn bundle(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let tar = match kind % 2 {
        0 => bytes.to_vec(),
        _ => archive(bytes),
    };
    let Ok(folder) = tempfile::tempdir() else { return };
    let (file, scratch) = (folder.path().join("b.tar"), folder.path().join("scratch"));
    if std::fs::write(&file, tar).is_ok() && std::fs::create_dir(&scratch).is_ok() {
        drop(bundle::open(&file, &scratch));
    }
}

fn archive(mut bytes: &[u8]) -> Vec<u8> {
    let mut files: BTreeMap<&str, &[u8]> = BTreeMap::new();
    while let [name, length, rest @ ..] = bytes {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length) * 16));
        files.insert(FILES[usize::from(*name) % FILES.len()].name, content);
        bytes = rest;
    }
    let listed: serde_json::Map<String, serde_json::Value> = files
        .iter()
        .map(|(name, content)| {
            let sha256 = hex::encode(Sha256::digest(content));
            ((*name).to_owned(), json!({ "size": content.len(), "sha256": sha256 }))
        })
        .collect();
    let listed = serde_json::Value::from(listed).to_string();
    files.insert(bundle::MANIFEST, listed.as_bytes());
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        drop(tar.append_data(&mut header, name, content));
    }
    tar.into_inner().unwrap_or_default()
}
