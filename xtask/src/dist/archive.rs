//! Writes a release archive: the same files give the same bytes on every machine.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

/// The file beside the archives that has their checksums, in the format of `sha256sum`.
pub(crate) const CHECKSUMS: &str = "SHA256SUMS";

/// One file of an archive.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its path inside the archive's folder, with `/`.
    pub(crate) path: String,
    /// Whether it is a program.
    pub(crate) executable: bool,
    pub(crate) content: Content,
}

/// Where the bytes of an entry are.
#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Entry {
    /// A file that was made for the archive.
    pub(crate) fn made(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Entry { path: path.into(), executable: false, content: Content::Bytes(bytes.into()) }
    }

    /// A copy of a file.
    pub(crate) fn copied(path: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Entry { path: path.into(), executable: false, content: Content::File(file.into()) }
    }

    /// A copy of a program.
    pub(crate) fn program(path: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Entry { executable: true, ..Entry::copied(path, file) }
    }
}

/// Writes the entries below `folder` into the compressed archive `file`, sorted by path, owned by
/// nobody, with `time` (seconds since 1970) as the time of each. The archive is written to a
/// temporary file and renamed.
pub(crate) fn write(
    file: &Path,
    folder: &str,
    mut entries: Vec<Entry>,
    time: u64,
    level: Compression,
) -> anyhow::Result<()> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let out = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(name);
    let result = compress(&part, folder, &entries, time, level).and_then(|()| {
        fs::rename(&part, file).with_context(|| format!("cannot write {}", file.display()))
    });
    if result.is_err() {
        // The first error is the one to report.
        fs::remove_file(&part).ok();
    }
    result
}

fn compress(
    part: &Path,
    folder: &str,
    entries: &[Entry],
    time: u64,
    level: Compression,
) -> anyhow::Result<()> {
    let cannot_write = || format!("cannot write {}", part.display());
    let file = File::create(part).with_context(cannot_write)?;
    // Neither the name of the file nor the time of the compression.
    let gzip = GzBuilder::new().mtime(0).write(BufWriter::new(file), level);
    let mut archive = tar::Builder::new(gzip);
    for entry in entries {
        append(&mut archive, folder, entry, time)
            .with_context(|| format!("cannot add {} to the archive", entry.path))?;
    }
    let gzip = archive.into_inner().with_context(cannot_write)?;
    gzip.finish().and_then(|mut file| file.flush()).with_context(cannot_write)
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    folder: &str,
    entry: &Entry,
    time: u64,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(if entry.executable { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    let path = format!("{folder}/{}", entry.path);
    match &entry.content {
        Content::Bytes(bytes) => {
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, path, bytes.as_slice())
        }
        Content::File(file) => {
            let file = File::open(file)?;
            header.set_size(file.metadata()?.len());
            archive.append_data(&mut header, path, file)
        }
    }
}

/// Writes the checksums of all archives in `out`, so that archives for several targets can be
/// collected in one folder. Returns the checksum of `archive`, which is one of them.
pub(crate) fn write_checksums(out: &Path, archive: &Path) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut wanted = None;
    for entry in fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".tar.gz") {
            continue;
        }
        let sum = checksum(&path).with_context(|| format!("cannot read {}", path.display()))?;
        lines.push((name, sum.clone()));
        if path == archive {
            wanted = Some(sum);
        }
    }
    lines.sort();
    let text: String = lines.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    let file = out.join(CHECKSUMS);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    wanted.with_context(|| format!("{} has disappeared", archive.display()))
}

/// The SHA-256 of a file in hexadecimal.
pub(crate) fn checksum(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path, reversed: bool) -> Vec<Entry> {
        let program = folder.join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let mut entries = vec![
            Entry::program("sitewright", program),
            Entry::made("deploy/sitewright.service", "[Unit]\n"),
            Entry::made(format!("man/{}.1", "long-name-".repeat(20)), ".TH\n"),
        ];
        if reversed {
            entries.reverse();
        }
        entries
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join("out").join(name);
        let (one, two, later) = (file("a.tar.gz"), file("b.tar.gz"), file("c.tar.gz"));
        for (file, reversed, time) in
            [(&one, false, 1000), (&two, true, 1000), (&later, true, 1001)]
        {
            let entries = entries(folder.path(), reversed);
            write(file, "sitewright-0.1.0", entries, time, Compression::best()).unwrap();
        }
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        assert_ne!(fs::read(&one).unwrap(), fs::read(&later).unwrap());

        let bytes = fs::read(&one).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let found: Vec<(String, u32, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.mtime().unwrap())
            })
            .collect();
        let long = format!("sitewright-0.1.0/man/{}.1", "long-name-".repeat(20));
        assert_eq!(
            found,
            [
                ("sitewright-0.1.0/deploy/sitewright.service".to_owned(), 0o644, 1000),
                (long, 0o644, 1000),
                ("sitewright-0.1.0/sitewright".to_owned(), 0o755, 1000),
            ]
        );
    }

    #[test]
    fn the_checksums_are_those_of_all_archives_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("a.tar.gz"), folder.path().join("b.tar.gz"));
        fs::write(&one, "").unwrap();
        fs::write(&two, "abc").unwrap();
        fs::write(folder.path().join("a.tar.gz.1.part"), "not an archive").unwrap();
        let sum = write_checksums(folder.path(), &two).unwrap();
        assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            fs::read_to_string(folder.path().join(CHECKSUMS)).unwrap(),
            format!("{empty}  a.tar.gz\n{sum}  b.tar.gz\n")
        );
    }

    #[test]
    fn a_missing_file_is_named_and_leaves_no_archive() {
        let folder = tempfile::tempdir().unwrap();
        let entries = vec![Entry::copied("LICENSE", folder.path().join("nowhere"))];
        let file = folder.path().join("a.tar.gz");
        let error = write(&file, "s", entries, 0, Compression::none()).unwrap_err();
        assert!(format!("{error:#}").contains("cannot add LICENSE"), "{error:#}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
